//! Keccak-256 of messages of any length, one thread a message.

use super::{PARAMS, Stage, WORKGROUP};
use crate::gpu::emit::{hash::keccak_functions, word::LimbForm};

/// Words that say where a message lies: its first word, its length in bytes.
pub(crate) const PLACE_WORDS: u32 = 2;
/// Words of a digest.
pub(crate) const DIGEST_WORDS: u32 = 8;

/// The one kernel.
pub(crate) const STAGE: Stage = Stage { name: "keccak", grouped: false };

/// The text of the module.
pub(crate) fn module(form: LimbForm) -> String {
    let words: Vec<String> = (0..34).map(|i| format!("word(m, first + {i}u)")).collect();
    let words: String = "struct Words { w0: u32, w1: u32, w2: u32, w3: u32, w4: u32, w5: u32, w6: \
                         u32, w7: u32 }\n"
        .to_owned()
        + &keccak_functions(form)
        + &KECCAK.replace("BLOCK", &words.join(", "));
    let workgroup = format!("@compute @workgroup_size({WORKGROUP})\nfn {}", STAGE.name);
    PARAMS.to_owned() + BINDINGS + &words.replace("ENTRY", &workgroup)
}

const BINDINGS: &str = "
@group(0) @binding(1) var<storage, read> messages: array<u32>;
@group(0) @binding(2) var<storage, read> places: array<u32>;
@group(0) @binding(3) var<storage, read_write> digests: array<u32>;
";

const KECCAK: &str = "
struct Message { start: u32, length: u32, last: u32 }
// Word i of the padded message.
fn word(m: Message, i: u32) -> u32 {
    let whole = m.length >> 2u;
    let shift = (m.length & 3u) * 8u;
    var w = 0u;
    if (i <= whole) { w = messages[m.start + i]; }
    if (i == whole) { w = (w & ((1u << shift) - 1u)) | (1u << shift); }
    if (i == m.last) { w ^= 0x80000000u; }
    return w;
}
ENTRY(@builtin(global_invocation_id) id: vec3<u32>) {
    let i = id.x;
    if (i >= params.count) { return; }
    let length = places[2u * i + 1u];
    let blocks = length / 136u + 1u;
    let m = Message(places[2u * i], length, blocks * 34u - 1u);
    var state = empty_state();
    for (var b = 0u; b < blocks; b++) {
        let first = b * 34u;
        state = keccak_f(absorb(state, Block(BLOCK)));
    }
    let hash = digest(state);
    let at = 8u * i;
    digests[at] = hash.w0;
    digests[at + 1u] = hash.w1;
    digests[at + 2u] = hash.w2;
    digests[at + 3u] = hash.w3;
    digests[at + 4u] = hash.w4;
    digests[at + 5u] = hash.w5;
    digests[at + 6u] = hash.w6;
    digests[at + 7u] = hash.w7;
}
";

//! The kernels: WGSL texts, and the shapes of the buffers they work on.

pub(crate) mod keccak;
pub(crate) mod recover;
pub(crate) mod verify;

use alloy_primitives::U256;

use super::{
    emit::{
        field::Field,
        hash,
        word::{Big, LimbForm},
        words::conversions,
    },
    host::HostCurve,
};

/// Threads of a workgroup.
pub(crate) const WORKGROUP: u32 = 64;

/// Elements that share one inversion.
pub(crate) const GROUP: u32 = 8;

/// One kernel of a module, with the threads that a batch needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stage {
    /// The entry point's name.
    pub(crate) name: &'static str,
    /// Whether one thread serves [`GROUP`] elements.
    pub(crate) grouped: bool,
}

impl Stage {
    /// Workgroups for a batch of this many elements.
    pub(crate) fn workgroups(&self, count: u32) -> u32 {
        let threads = if self.grouped { count.div_ceil(GROUP) } else { count };
        threads.div_ceil(WORKGROUP)
    }
}

/// A signature scheme on a device: its kernels, and the shape of its buffers.
///
/// Another scheme is another constant of this type, a module of texts, and a twin on the CPU.
#[derive(Debug)]
pub(crate) struct Scheme {
    /// The curve, whose generator the comb is made of.
    pub(crate) curve: &'static HostCurve,
    /// The kernels in order.
    pub(crate) stages: &'static [Stage],
    /// The text of the module that holds a stage.
    pub(crate) module: fn(LimbForm, &Stage) -> String,
    /// Words of a request.
    pub(crate) request_words: u32,
    /// Words of an answer; the first is its status.
    pub(crate) answer_words: u32,
    /// Words of the work buffer per request.
    pub(crate) work_words: fn(LimbForm) -> u32,
    /// Words of the table buffer per request.
    pub(crate) table_words: fn(LimbForm) -> u32,
}

impl Scheme {
    /// The comb's table: x and y of each entry, in limbs, as products take them.
    pub(crate) fn comb_words(&self, form: LimbForm) -> Vec<u32> {
        let field = Field::new("p", form, Big::from(self.curve.prime));
        let limbs = |number| {
            let entered = field.reduction.enter(form, &field.modulus, &Big::from::<U256>(number));
            form.split(&entered, form.count())
        };
        let points = self.curve.comb(COMB_BITS, COMB_WINDOWS, COMB_ENTRIES);
        let coordinates = points.iter().flat_map(|point| [point.x, point.y]);
        coordinates.flat_map(limbs).map(|limb| limb as u32).collect()
    }
}

/// Bits of a window of the comb, its windows, and the multiples in each.
pub(crate) const COMB_BITS: u32 = 8;
pub(crate) const COMB_WINDOWS: u32 = 256 / COMB_BITS;
pub(crate) const COMB_ENTRIES: u32 = 1 << (COMB_BITS - 1);

/// Odd multiples in a window's table.
pub(crate) const TABLE_ENTRIES: u32 = 8;

/// Statuses of an answer.
pub(crate) const STATUS_OK: u32 = 0;
pub(crate) const STATUS_INVALID: u32 = 1;
pub(crate) const STATUS_HIGH_S: u32 = 2;
/// The formulas met an exceptional case: the CPU decides.
pub(crate) const STATUS_RECOMPUTE: u32 = 3;

/// The uniform that every kernel reads: count, stride, groups, a spare word, round constants.
pub(crate) fn params_words(count: u32, stride: u32) -> Vec<u32> {
    let mut words = vec![count, stride, count.div_ceil(GROUP), 0];
    words.extend(hash::round_constant_words());
    words
}

/// The declaration of [`params_words`].
pub(crate) const PARAMS: &str = "
struct Params {
    count: u32,
    stride: u32,
    groups: u32,
    spare: u32,
    round_constants: array<vec4<u32>, 12>,
}
@group(0) @binding(0) var<uniform> params: Params;
";

/// A function that loads and one that stores an element of a buffer in which each limb has a row
/// of `params.stride` words, so that neighbouring threads touch neighbouring words.
pub(crate) fn row_access(form: LimbForm, buffer: &str) -> String {
    let place = |limb: usize| format!("{buffer}[(row + {limb}u) * params.stride + i]");
    let loads: Vec<String> = (0..form.count()).map(place).collect();
    let store = |limb: usize| format!("    {} = a.l{limb};\n", place(limb));
    let stores: String = (0..form.count()).map(store).collect();
    format!(
        "fn {buffer}_load(row: u32, i: u32) -> Fe {{\n    return Fe({});\n}}\n\
         fn {buffer}_store(row: u32, i: u32, a: Fe) {{\n{stores}}}\n",
        loads.join(", ")
    )
}

/// The declarations that all schemes share, with their constants.
pub(crate) fn shared(form: LimbForm, scheme: &Scheme, rows: &[(&str, u32)]) -> String {
    let constants = [
        ("LIMBS", form.count() as u32),
        ("GROUP", GROUP),
        ("REQUEST_WORDS", scheme.request_words),
        ("ANSWER_WORDS", scheme.answer_words),
        ("OK", STATUS_OK),
        ("INVALID", STATUS_INVALID),
        ("HIGH_S", STATUS_HIGH_S),
        ("RECOMPUTE", STATUS_RECOMPUTE),
        ("COMB_WINDOWS", COMB_WINDOWS),
        ("COMB_ENTRIES", COMB_ENTRIES),
        ("TABLE_ENTRIES", TABLE_ENTRIES),
    ];
    let constant = |(name, value): &(&str, u32)| format!("const {name} = {value}u;\n");
    let mut text = PARAMS.to_owned() + BINDINGS + &conversions(form);
    text.extend(constants.iter().chain(rows).map(constant));
    text + &row_access(form, "work")
}

/// Marks the entry point.
pub(crate) fn with_entry(text: &str, stage: &Stage) -> String {
    let entry = format!("@compute @workgroup_size({WORKGROUP})\nfn {}", stage.name);
    text.replace("ENTRY", &entry)
}

/// The function that gives one, as products take it.
pub(crate) fn one(field: &Field) -> String {
    let one = field.constant(&Big::from(1u8)).text;
    format!("fn {}_one() -> Fe {{ return {one}; }}\n", field.name)
}

/// A function that loads a coordinate of the comb, whose entries lie one after the other.
pub(crate) fn comb_load(form: LimbForm) -> String {
    let limbs: Vec<String> = (0..form.count()).map(|i| format!("comb[at + {i}u]")).collect();
    format!("fn comb_load(at: u32) -> Fe {{\n    return Fe({});\n}}\n", limbs.join(", "))
}

const BINDINGS: &str = "
@group(0) @binding(1) var<storage, read> requests: array<u32>;
@group(0) @binding(2) var<storage, read_write> digests: array<u32>;
@group(0) @binding(3) var<storage, read_write> work: array<u32>;
@group(0) @binding(4) var<storage, read_write> table: array<u32>;
@group(0) @binding(5) var<storage, read> comb: array<u32>;
@group(0) @binding(6) var<storage, read_write> answers: array<u32>;

fn request_words(i: u32, from_word: u32) -> Words {
    let at = i * REQUEST_WORDS + from_word;
    return Words(requests[at], requests[at + 1u], requests[at + 2u], requests[at + 3u],
        requests[at + 4u], requests[at + 5u], requests[at + 6u], requests[at + 7u]);
}
fn swapped(w: u32) -> u32 {
    return (w << 24u) | ((w & 0xff00u) << 8u) | ((w >> 8u) & 0xff00u) | (w >> 24u);
}
fn work_word(row: u32, i: u32) -> u32 {
    return work[row * params.stride + i];
}
fn work_set(row: u32, i: u32, value: u32) {
    work[row * params.stride + i] = value;
}
fn work_words(row: u32, i: u32) -> Words {
    return Words(work_word(row, i), work_word(row + 1u, i), work_word(row + 2u, i),
        work_word(row + 3u, i), work_word(row + 4u, i), work_word(row + 5u, i),
        work_word(row + 6u, i), work_word(row + 7u, i));
}
fn work_set_words(row: u32, i: u32, w: Words) {
    work_set(row, i, w.w0);
    work_set(row + 1u, i, w.w1);
    work_set(row + 2u, i, w.w2);
    work_set(row + 3u, i, w.w3);
    work_set(row + 4u, i, w.w4);
    work_set(row + 5u, i, w.w5);
    work_set(row + 6u, i, w.w6);
    work_set(row + 7u, i, w.w7);
}
fn is_zero(w: Words) -> bool {
    return (w.w0 | w.w1 | w.w2 | w.w3 | w.w4 | w.w5 | w.w6 | w.w7) == 0u;
}
// An odd k stands for the digits 2 * (byte) - 255 of (k + 2^256 - 1) / 2.
fn recoded(k: Words) -> Words {
    return Words((k.w0 >> 1u) | (k.w1 << 31u), (k.w1 >> 1u) | (k.w2 << 31u),
        (k.w2 >> 1u) | (k.w3 << 31u), (k.w3 >> 1u) | (k.w4 << 31u),
        (k.w4 >> 1u) | (k.w5 << 31u), (k.w5 >> 1u) | (k.w6 << 31u),
        (k.w6 >> 1u) | (k.w7 << 31u), (k.w7 >> 1u) | 0x80000000u);
}
";

/// The function that takes a multiple of the generator from the comb.
pub(crate) const COMB_MULTIPLE: &str = "
struct Affine { x: Fe, y: Fe }
// The multiple 2 * digit - 255 of 2^(8 * window) * G.
fn comb_multiple(i: u32, window: u32) -> Affine {
    let word = work_word(COMB + (window >> 2u), i);
    let digit = (word >> ((window & 3u) * 8u)) & 255u;
    let high = digit >= COMB_ENTRIES;
    let entry = select(COMB_ENTRIES - 1u - digit, digit - COMB_ENTRIES, high);
    let at = (window * COMB_ENTRIES + entry) * 2u * LIMBS;
    let y = comb_load(at + LIMBS);
    let negative = high == (work_word(NEGATIVE, i) == 1u);
    return Affine(comb_load(at), p_select(y, p_negative(y), negative));
}
";

#[cfg(test)]
mod tests {
    use naga::valid::{Capabilities, ValidationFlags, Validator};

    use super::*;

    /// Every module in this form, by name.
    fn modules(form: LimbForm) -> Vec<(&'static str, String)> {
        let mut modules = vec![(keccak::STAGE.name, keccak::module(form))];
        for scheme in [&recover::SCHEME, &verify::SCHEME] {
            let module = |stage: &Stage| (stage.name, (scheme.module)(form, stage));
            modules.extend(scheme.stages.iter().map(module));
        }
        modules
    }

    fn assert_valid(form: LimbForm, capabilities: Capabilities) {
        for (name, text) in modules(form) {
            let module = naga::front::wgsl::parse_str(&text)
                .unwrap_or_else(|error| panic!("{name}: {}", error.emit_to_string(&text)));
            assert_eq!(module.entry_points.len(), 1, "{name}");
            let mut validator = Validator::new(ValidationFlags::all(), capabilities);
            validator.validate(&module).unwrap_or_else(|error| panic!("{name}: {error:?}"));
        }
    }

    #[test]
    fn wide_kernels_are_valid() {
        assert_valid(LimbForm::Wide, Capabilities::SHADER_INT64);
    }

    #[test]
    fn narrow_kernels_need_no_capability() {
        assert_valid(LimbForm::Narrow, Capabilities::empty());
    }
}

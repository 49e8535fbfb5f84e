//! The kernels: WGSL texts, and the shapes of the buffers they work on.

pub(crate) mod keccak;
pub(crate) mod recover;

use super::emit::word::LimbForm;

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

/// The uniform that every kernel reads: count, stride, groups, a spare word, round constants.
pub(crate) fn params_words(count: u32, stride: u32) -> Vec<u32> {
    let mut words = vec![count, stride, count.div_ceil(GROUP), 0];
    words.extend(super::emit::hash::round_constant_words());
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

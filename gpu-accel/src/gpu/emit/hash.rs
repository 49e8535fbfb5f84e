//! Keccak-f[1600] (FIPS 202) as WGSL: 64-bit lanes where the device has them, else halves.

use std::fmt::Write as _;

use super::word::LimbForm;
use crate::cpu::ROUND_CONSTANTS;

/// Rotation of each lane (x + 5y).
const ROTATIONS: [u32; 25] =
    [0, 1, 62, 28, 27, 36, 44, 6, 55, 20, 3, 10, 43, 25, 39, 41, 45, 15, 21, 8, 18, 2, 61, 56, 14];

/// The round constants as words, low half first: what the kernels find in their parameters.
pub(crate) fn round_constant_words() -> Vec<u32> {
    ROUND_CONSTANTS.iter().flat_map(|lane| [*lane as u32, (*lane >> 32) as u32]).collect()
}

/// The sponge's functions: `State`, `empty_state`, `absorb_words` and `keccak_f`.
///
/// The text around them must declare `params.round_constants`, twelve times two lanes.
pub(crate) fn keccak_functions(form: LimbForm) -> String {
    let lanes = Lanes { form };
    let mut text = lanes.state();
    text += &lanes.absorb();
    text += &lanes.permutation();
    text += &lanes.digest();
    text
}

/// Writes each operation on lanes once, for both representations.
struct Lanes {
    form: LimbForm,
}

impl Lanes {
    fn halves(&self) -> &'static [&'static str] {
        match self.form {
            LimbForm::Wide => &[""],
            LimbForm::Narrow => &["l", "h"],
        }
    }

    fn lane_type(&self) -> &'static str {
        match self.form {
            LimbForm::Wide => "u64",
            LimbForm::Narrow => "u32",
        }
    }

    fn each_member(&self, text: impl Fn(usize, &str) -> String) -> String {
        let member = |lane: usize| self.halves().iter().map(move |half| (lane, *half));
        let texts: Vec<String> = (0..25).flat_map(member).map(|(l, half)| text(l, half)).collect();
        texts.join(", ")
    }

    fn state(&self) -> String {
        let lane = self.lane_type();
        let members = self.each_member(|l, half| format!("s{l}{half}: {lane}"));
        let zeros = self.each_member(|_, _| format!("{lane}(0u)"));
        format!(
            "struct State {{ {members} }}\nfn empty_state() -> State {{ return State({zeros}); }}\n"
        )
    }

    /// Mixes one block of 34 words into the state.
    fn absorb(&self) -> String {
        let members: String = (0..34).map(|i| format!("w{i}: u32, ")).collect();
        let mixed = self.each_member(|lane, half| match (lane < 17, half) {
            (false, _) => format!("s.s{lane}{half}"),
            (true, "l") => format!("s.s{lane}l ^ b.w{}", 2 * lane),
            (true, "h") => format!("s.s{lane}h ^ b.w{}", 2 * lane + 1),
            (true, _) => {
                let (low, high) = (2 * lane, 2 * lane + 1);
                format!("s.s{lane} ^ (u64(b.w{low}) | (u64(b.w{high}) << 32u))")
            }
        });
        format!(
            "struct Block {{ {members} }}\nfn absorb(s: State, b: Block) -> State {{\n    return \
             State({mixed});\n}}\n"
        )
    }

    /// The first eight words of the state.
    fn digest(&self) -> String {
        let word = |index: usize| match (self.form, index % 2) {
            (LimbForm::Wide, 0) => format!("u32(s.s{} & 0xfffffffflu)", index / 2),
            (LimbForm::Wide, _) => format!("u32(s.s{} >> 32u)", index / 2),
            (LimbForm::Narrow, 0) => format!("s.s{}l", index / 2),
            (LimbForm::Narrow, _) => format!("s.s{}h", index / 2),
        };
        let words: Vec<String> = (0..8).map(word).collect();
        format!("fn digest(s: State) -> Words {{ return Words({}); }}\n", words.join(", "))
    }

    fn permutation(&self) -> String {
        let mut text = "fn keccak_f(s: State) -> State {\n".to_owned();
        for lane in 0..25 {
            for half in self.halves() {
                line(&mut text, &format!("var a{lane}{half} = s.s{lane}{half};"));
            }
        }
        line(&mut text, "for (var i = 0u; i < 12u; i++) {");
        line(&mut text, "let constants = params.round_constants[i];");
        self.round(&mut text, 0, ["constants.x", "constants.y"]);
        self.round(&mut text, 1, ["constants.z", "constants.w"]);
        line(&mut text, "}");
        let members = self.each_member(|lane, half| format!("a{lane}{half}"));
        line(&mut text, &format!("return State({members});"));
        text + "}\n"
    }

    /// One round: theta, rho and pi, chi, iota.
    fn round(&self, text: &mut String, number: usize, constant: [&str; 2]) {
        let bind = |text: &mut String, name: String, expression: &dyn Fn(&str) -> String| {
            for half in self.halves() {
                line(text, &format!("let {name}{half} = {};", expression(half)));
            }
        };
        for x in 0..5 {
            let column = |half: &str| {
                let lanes: Vec<_> = (0..5).map(|y| format!("a{}{half}", x + 5 * y)).collect();
                lanes.join(" ^ ")
            };
            bind(text, format!("c{number}_{x}"), &column);
        }
        for x in 0..5 {
            let (left, right) =
                (format!("c{number}_{}", (x + 4) % 5), format!("c{number}_{}", (x + 1) % 5));
            let parity = |half: &str| format!("{left}{half} ^ {}", self.rotated(&right, 1, half));
            bind(text, format!("d{number}_{x}"), &parity);
        }
        for (lane, rotation) in ROTATIONS.into_iter().enumerate() {
            let (x, y) = (lane % 5, lane / 5);
            let mixed = format!("m{number}_{lane}");
            bind(text, mixed.clone(), &|half| format!("a{lane}{half} ^ d{number}_{x}{half}"));
            let to = y + 5 * ((2 * x + 3 * y) % 5);
            let turned = |half: &str| self.rotated(&mixed, rotation, half);
            bind(text, format!("b{number}_{to}"), &turned);
        }
        for lane in 0..25 {
            let (x, row) = (lane % 5, lane - lane % 5);
            let at = |step: usize| format!("b{number}_{}", row + (x + step) % 5);
            for half in self.halves() {
                let iota = match (lane, *half) {
                    (0, "") => format!(" ^ (u64({}) | (u64({}) << 32u))", constant[0], constant[1]),
                    (0, "l") => format!(" ^ {}", constant[0]),
                    (0, _) => format!(" ^ {}", constant[1]),
                    _ => String::new(),
                };
                let [own, next, after] = [0, 1, 2].map(|step| at(step) + half);
                line(text, &format!("a{lane}{half} = {own} ^ (~{next} & {after}){iota};"));
            }
        }
    }

    /// One half (or the whole) of a lane rotated left.
    fn rotated(&self, name: &str, by: u32, half: &str) -> String {
        if by == 0 {
            return format!("{name}{half}");
        }
        if self.form == LimbForm::Wide {
            return format!("(({name} << {by}u) | ({name} >> {}u))", 64 - by);
        }
        // From 32 on the halves change places.
        let (own, other) = if half == "l" { ("l", "h") } else { ("h", "l") };
        let (own, other) = if by >= 32 { (other, own) } else { (own, other) };
        match by % 32 {
            0 => format!("{name}{own}"),
            by => format!("(({name}{own} << {by}u) | ({name}{other} >> {}u))", 32 - by),
        }
    }
}

fn line(text: &mut String, line: &str) {
    writeln!(text, "    {line}").expect("a string takes any text");
}

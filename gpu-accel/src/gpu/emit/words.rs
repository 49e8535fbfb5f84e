//! Numbers as 8 words of 32 bits, lowest first: how they enter and leave the limb form.

use super::{
    field::{Bounds, Field},
    word::{Big, Code, LimbForm, Word},
};

/// The structs and conversions of a limb form.
pub(crate) fn conversions(form: LimbForm) -> String {
    let members = |prefix: &str, count: usize| -> String {
        (0..count).map(|index| format!("{prefix}{index}: u32, ")).collect()
    };
    let mut text = format!("struct Fe {{ {} }}\n", members("l", form.count()));
    text += &format!("struct Words {{ {} }}\n", members("w", 8));
    text += &from_words(form);
    text += &to_words(form);
    text
}

/// 8 words into limbs, whatever the number.
fn from_words(form: LimbForm) -> String {
    let (bits, mask) = (form.bits(), form.mask());
    let limb = |index: usize| {
        let start = index * bits;
        let (word, shift) = (start / 32, start % 32);
        if word >= 8 {
            return "0u".to_owned();
        }
        let mut text = format!("(w.w{word} >> {shift}u)");
        if shift + bits > 32 && word + 1 < 8 {
            text = format!("({text} | (w.w{} << {}u))", word + 1, 32 - shift);
        }
        format!("{text} & {mask}u")
    };
    let limbs: Vec<String> = (0..form.count()).map(limb).collect();
    format!("fn from_words(w: Words) -> Fe {{\n    return Fe({});\n}}\n", limbs.join(", "))
}

/// Exact digits into 8 words.
fn to_words(form: LimbForm) -> String {
    let mut code = Code::new(form);
    let digits: Vec<Word> =
        (0..form.count()).map(|i| Word::limb(format!("a.l{i}"), form.mask())).collect();
    let words: Vec<String> = (0..8).map(|i| code.window(&digits, 32 * i, 32).text).collect();
    code.line(&format!("return Words({});", words.join(", ")));
    format!("fn to_words(a: Fe) -> Words {{\n{}}}\n", code.text)
}

/// A function that says whether 8 words are below a constant.
pub(crate) fn below(name: &str, bound: &Big) -> String {
    let mut text = "false".to_owned();
    for index in 0..8 {
        let word = word_of(bound, index);
        text = format!("(w.w{index} < {word}u || (w.w{index} == {word}u && {text}))");
    }
    format!("fn {name}(w: Words) -> bool {{\n    return {text};\n}}\n")
}

impl Field {
    /// An element read from 8 words.
    pub(crate) fn word_bounds(&self) -> Bounds {
        Bounds::digits(self.form, (Big::from(1u8) << 256) - Big::from(1u8))
    }

    /// The functions that texts outside the generator call: all take and give tidy elements.
    pub(crate) fn helpers(&self) -> String {
        assert!(self.word_bounds().within(&self.tidy), "words are tidy");
        let name = self.name;
        let mut text = self.functions();
        text += &self.binary("sub", |field, code, a, b| field.sub(code, a, b));
        text += &self.binary("add", |field, code, a, b| field.add(code, a, b));
        let limbs = self.indices(|i| format!("a.l{i}"));
        text += &format!(
            "fn {name}_is_zero(a: Fe) -> bool {{\n    return ({}) == 0u;\n}}\n",
            limbs.join(" | ")
        );
        let chosen = self.indices(|i| format!("select(a.l{i}, b.l{i}, second)"));
        text += &format!(
            "fn {name}_select(a: Fe, b: Fe, second: bool) -> Fe {{\n    return Fe({});\n}}\n",
            chosen.join(", ")
        );
        text += &format!(
            "fn {name}_negative(a: Fe) -> Fe {{\n    return {name}_sub({}, a);\n}}\n",
            self.plain(&Big::ZERO).text
        );
        text
    }

    fn binary(
        &self,
        operation: &str,
        write: impl Fn(
            &Self,
            &mut Code,
            &super::field::Element,
            &super::field::Element,
        ) -> super::field::Element,
    ) -> String {
        let mut code = Code::new(self.form);
        let result = write(self, &mut code, &self.given("a"), &self.given("b"));
        let result = self.tidied(&mut code, &result);
        code.line(&format!("return {};", result.text));
        format!("fn {}_{operation}(a: Fe, b: Fe) -> Fe {{\n{}}}\n", self.name, code.text)
    }

    /// A function that raises to a constant power whose bits are mostly long runs of ones.
    ///
    /// The steps are data and the loop over them holds one product and one square: unrolled,
    /// compilers would take many times as long for no gain.
    pub(crate) fn power_by_runs(&self, function: &str, exponent: &Big) -> String {
        let chain = Chain::new(exponent);
        let name = self.name;
        let step = |(index, step): (usize, &ChainStep)| {
            let ChainStep { from, shift, factor } = step;
            format!(
                "        case {index}u: {{ return vec3<u32>({from}u, {shift}u, {factor}u); }}\n"
            )
        };
        let steps: String = chain.steps.iter().enumerate().map(step).collect();
        let (count, last_shift) = (chain.steps.len(), chain.last_shift);
        format!(
            "fn {function}_step(index: u32) -> vec3<u32> {{
    switch index {{
{steps}        default: {{ return vec3<u32>(0u, 0u, 0u); }}
    }}
}}
fn {function}(a: Fe) -> Fe {{
    var powers: array<Fe, {registers}>;
    powers[0] = a;
    var x = a;
    for (var i = 0u; i < {registers}u; i++) {{
        let step = {function}_step(i);
        if (i < {count}u) {{ x = powers[step.x]; }}
        let shift = select({last_shift}u, step.y, i < {count}u);
        for (var j = 0u; j < shift; j++) {{ x = {name}_sqr(x); }}
        if (i < {count}u) {{
            x = {name}_mul(x, powers[step.z]);
            powers[i + 1u] = x;
        }}
    }}
    return x;
}}
",
            registers = count + 1,
        )
    }

    /// A function that inverts by raising to the prime minus two, one bit at a time: for primes
    /// whose bits have no long runs, and for inversions that many elements share.
    pub(crate) fn inverse_by_bits(&self) -> String {
        let exponent = self.modulus - Big::from(2u8);
        let words: String = (0..8)
            .map(|index| {
                let word = word_of(&exponent, index);
                format!("        case {index}u: {{ return {word}u; }}\n")
            })
            .collect();
        let (name, one) = (self.name, self.constant(&Big::from(1u8)).text);
        format!(
            "fn {name}_exponent(index: u32) -> u32 {{
    switch index {{
{words}        default: {{ return 0u; }}
    }}
}}
fn {name}_inverse(a: Fe) -> Fe {{
    var x = {one};
    for (var i = 0u; i < 256u; i++) {{
        x = {name}_sqr(x);
        let bit = 255u - i;
        if ((({name}_exponent(bit >> 5u) >> (bit & 31u)) & 1u) == 1u) {{ x = {name}_mul(x, a); }}
    }}
    return x;
}}
"
        )
    }
}

/// Word `index` of a number.
fn word_of(number: &Big, index: usize) -> u32 {
    (*number >> (32 * index) & Big::from(u32::MAX)).to::<u32>()
}

/// One step: register `from` squared `shift` times, times register `factor`, is a new register.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct ChainStep {
    from: usize,
    shift: usize,
    factor: usize,
}

/// The steps that raise register 0 to a power, and the squares that follow the last one.
#[derive(Debug, Default)]
struct Chain {
    steps: Vec<ChainStep>,
    /// Register that holds the power 2^ones - 1.
    runs: Vec<(usize, usize)>,
    last_shift: usize,
}

impl Chain {
    fn new(exponent: &Big) -> Self {
        let mut chain = Self { runs: vec![(1, 0)], ..Self::default() };
        let runs = runs(exponent);
        let (first, mut zeros) = runs[0];
        let mut power = chain.run(first);
        for (ones, zeros_after) in &runs[1..] {
            let factor = chain.run(*ones);
            power = chain.step(power, zeros + ones, factor);
            zeros = *zeros_after;
        }
        // The last step must be the last register made.
        assert_eq!(power, chain.steps.len(), "a run was built after the last step");
        chain.last_shift = zeros;
        chain
    }

    fn step(&mut self, from: usize, shift: usize, factor: usize) -> usize {
        self.steps.push(ChainStep { from, shift, factor });
        self.steps.len()
    }

    /// The register of a^(2^ones - 1), made from shorter runs where it is not there.
    fn run(&mut self, ones: usize) -> usize {
        if let Some((_, register)) = self.runs.iter().find(|(have, _)| *have == ones) {
            return *register;
        }
        let (low, high) = if ones.is_multiple_of(2) { (ones / 2, ones / 2) } else { (1, ones - 1) };
        let (from, factor) = (self.run(high), self.run(low));
        let register = self.step(from, low, factor);
        self.runs.push((ones, register));
        register
    }
}

/// The runs of ones of a number, highest first, each with the zeros below it.
fn runs(number: &Big) -> Vec<(usize, usize)> {
    let mut runs: Vec<(usize, usize)> = Vec::new();
    let mut previous = false;
    for bit in (0..number.bit_len()).map(|index| number.bit(index)).rev() {
        match (bit, runs.last_mut()) {
            (true, Some((ones, _))) if previous => *ones += 1,
            (true, _) => runs.push((1, 0)),
            (false, Some((_, zeros))) => *zeros += 1,
            (false, None) => unreachable!("the highest bit of a number is one"),
        }
        previous = bit;
    }
    runs
}

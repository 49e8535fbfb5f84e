//! Straight-line WGSL in which every value carries the largest number it can be.

use std::fmt::Write as _;

use alloy_primitives::Uint;

/// Wide enough for the product of two field elements and a carry.
pub(crate) type Big = Uint<640, 10>;

/// How a device holds a number of 256 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LimbForm {
    /// 9 limbs of 29 bits, products in `u64`: devices with 64-bit integers in shaders.
    Wide,
    /// 20 limbs of 13 bits, products in `u32`: every device.
    Narrow,
}

impl LimbForm {
    /// Bits of a limb.
    pub const fn bits(self) -> usize {
        match self {
            Self::Wide => 29,
            Self::Narrow => 13,
        }
    }

    /// Limbs of a number.
    pub const fn count(self) -> usize {
        match self {
            Self::Wide => 9,
            Self::Narrow => 20,
        }
    }

    /// The largest limb after a carry.
    pub(crate) const fn mask(self) -> u128 {
        (1 << self.bits()) - 1
    }

    /// The largest value that products are summed in.
    pub(crate) const fn accumulator_max(self) -> u128 {
        match self {
            Self::Wide => u64::MAX as u128,
            Self::Narrow => u32::MAX as u128,
        }
    }

    /// The limbs of a number, lowest first; `count` of them.
    pub(crate) fn split(self, number: &Big, count: usize) -> Vec<u128> {
        let limb = |index: usize| (*number >> (index * self.bits())) & Big::from(self.mask());
        (0..count).map(|index| limb(index).to::<u128>()).collect()
    }
}

/// A value in the shader: a name or a literal, and its largest value.
#[derive(Debug, Clone)]
pub(crate) struct Word {
    pub(crate) text: String,
    pub(crate) max: u128,
    /// Whether its type is the accumulator's rather than `u32`.
    pub(crate) accumulator: bool,
}

impl Word {
    /// A limb that is already there under this name.
    pub(crate) fn limb(text: impl Into<String>, max: u128) -> Self {
        assert!(max <= u128::from(u32::MAX), "a limb is 32 bits");
        Self { text: text.into(), max, accumulator: false }
    }
}

/// The body of one function while it is written.
///
/// Whatever it binds is asserted to fit its type, so a shader that overflows cannot be written:
/// the generator stops instead, and every shader is generated in the tests.
#[derive(Debug)]
pub(crate) struct Code {
    pub(crate) form: LimbForm,
    pub(crate) text: String,
    names: usize,
}

impl Code {
    pub(crate) fn new(form: LimbForm) -> Self {
        Self { form, text: String::new(), names: 0 }
    }

    /// A name that no other value of this body has.
    pub(crate) fn fresh(&mut self) -> String {
        self.names += 1;
        format!("t{}", self.names)
    }

    /// Writes one line.
    pub(crate) fn line(&mut self, line: &str) {
        writeln!(self.text, "    {line}").expect("a string takes any text");
    }

    /// Binds an expression of the accumulator's type.
    pub(crate) fn accumulator(&mut self, expression: &str, max: u128) -> Word {
        assert!(max <= self.form.accumulator_max(), "{expression} overflows: {max:#x}");
        let text = self.fresh();
        self.line(&format!("let {text} = {expression};"));
        Word { text, max, accumulator: true }
    }

    /// Binds an expression of type `u32`.
    pub(crate) fn limb(&mut self, expression: &str, max: u128) -> Word {
        assert!(max <= u128::from(u32::MAX), "{expression} overflows a limb: {max:#x}");
        let text = self.fresh();
        self.line(&format!("let {text} = {expression};"));
        Word::limb(text, max)
    }

    /// A literal of the accumulator's type.
    pub(crate) fn literal(&self, value: u128) -> String {
        match self.form {
            LimbForm::Wide => format!("{value}lu"),
            LimbForm::Narrow => format!("{value}u"),
        }
    }

    /// The value as an expression of the accumulator's type.
    pub(crate) fn widened(&self, word: &Word) -> String {
        match self.form {
            LimbForm::Wide if !word.accumulator => format!("u64({})", word.text),
            _ => word.text.clone(),
        }
    }

    /// The value times a constant, as an expression, or nothing where it is zero.
    pub(crate) fn scaled(&self, word: &Word, factor: u128) -> Option<(String, u128)> {
        if factor == 0 || word.max == 0 {
            return None;
        }
        let wide = self.widened(word);
        let text = match factor {
            1 => wide,
            power if power.is_power_of_two() => format!("({wide} << {}u)", power.trailing_zeros()),
            _ => format!("{wide} * {}", self.literal(factor)),
        };
        Some((text, word.max * factor))
    }

    /// The sum of expressions of the accumulator's type; zero where there are none.
    pub(crate) fn sum(&mut self, terms: &[(String, u128)]) -> Word {
        if terms.is_empty() {
            return Word { text: self.literal(0), max: 0, accumulator: true };
        }
        let texts: Vec<&str> = terms.iter().map(|(text, _)| text.as_str()).collect();
        let max = terms.iter().map(|(_, max)| max).sum();
        self.accumulator(&texts.join(" + "), max)
    }

    /// The lowest limb of a value.
    pub(crate) fn low(&mut self, word: &Word) -> Word {
        let mask = self.form.mask();
        if word.max == 0 {
            return Word::limb("0u", 0);
        }
        let narrow = match self.form {
            LimbForm::Wide if word.accumulator => format!("u32({})", word.text),
            _ => word.text.clone(),
        };
        if word.max <= mask {
            return self.limb(&narrow, word.max);
        }
        self.limb(&format!("{narrow} & {mask}u"), mask)
    }

    /// What is left above the lowest limb.
    pub(crate) fn high(&mut self, word: &Word) -> Word {
        let bits = self.form.bits();
        let expression = format!("{} >> {bits}u", word.text);
        if word.accumulator {
            self.accumulator(&expression, word.max >> bits)
        } else {
            self.limb(&expression, word.max >> bits)
        }
    }

    /// Carries from the lowest column to the highest, until `value`, the largest number that the
    /// columns stand for, has no further digit. Gives exact digits.
    pub(crate) fn carry(&mut self, columns: &[Vec<(String, u128)>], value: &Big) -> Vec<Word> {
        let bits = self.form.bits();
        let mut digits = Vec::new();
        let mut carry: Option<Word> = None;
        for index in 0.. {
            let left = (*value >> (index * bits)).saturating_to::<u128>();
            let mut terms = columns.get(index).cloned().unwrap_or_default();
            if let Some(carry) = carry.filter(|carry| carry.max > 0) {
                terms.push((self.widened(&carry), carry.max));
            }
            if index >= columns.len() && (terms.is_empty() || left == 0) {
                break;
            }
            let mut column = self.sum(&terms);
            column.max = column.max.min(left);
            digits.push(self.low(&column));
            carry = Some(if column.max >> bits == 0 {
                Word::limb("0u", 0)
            } else {
                self.high(&column)
            });
        }
        digits
    }

    /// Carries through the columns alone; the last limb keeps what is above its bits.
    pub(crate) fn carry_open(&mut self, columns: &[Vec<(String, u128)>], value: &Big) -> Vec<Word> {
        let bits = self.form.bits();
        let mut limbs: Vec<Word> = Vec::new();
        let mut carry: Option<Word> = None;
        for (index, column) in columns.iter().enumerate() {
            let left = (*value >> (index * bits)).saturating_to::<u128>();
            let mut terms = column.clone();
            terms.extend(carry.as_ref().map(|carry| (self.widened(carry), carry.max)));
            let mut sum = self.sum(&terms);
            sum.max = sum.max.min(left);
            if index + 1 == columns.len() {
                limbs.push(self.narrowed(&sum));
            } else {
                limbs.push(self.low(&sum));
                carry = Some(self.high(&sum));
            }
        }
        limbs
    }

    /// The whole value as a limb.
    pub(crate) fn narrowed(&mut self, word: &Word) -> Word {
        if word.max == 0 {
            return Word::limb("0u", 0);
        }
        let expression = match self.form {
            LimbForm::Wide if word.accumulator => format!("u32({})", word.text),
            _ => word.text.clone(),
        };
        self.limb(&expression, word.max)
    }

    /// Bits `start..start + count` of exact digits, at most 32 of them.
    pub(crate) fn window(&mut self, digits: &[Word], start: usize, count: usize) -> Word {
        let bits = self.form.bits();
        let mut parts = Vec::new();
        for (index, digit) in digits.iter().enumerate() {
            let at = index * bits;
            if at + bits <= start || at >= start + count {
                continue;
            }
            parts.push(match at.checked_sub(start) {
                Some(0) => digit.text.clone(),
                Some(left) => format!("({} << {left}u)", digit.text),
                None => format!("({} >> {}u)", digit.text, start - at),
            });
        }
        let all = if parts.is_empty() { "0u".to_owned() } else { parts.join(" | ") };
        if count == 32 {
            return self.limb(&all, u128::from(u32::MAX));
        }
        let mask = (1u128 << count) - 1;
        self.limb(&format!("({all}) & {mask}u"), mask)
    }
}

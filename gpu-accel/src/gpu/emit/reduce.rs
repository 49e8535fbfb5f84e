//! The functions of a field: product, square, carry, canonical form.

use super::{
    field::{Bounds, Field},
    word::{Big, Code, LimbForm, Word},
};

/// How a product is brought back below 2^(bits · limbs).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Reduction {
    /// 2^(bits · limbs) ≡ 2^shift + rest with a small rest: the high limbs are folded down.
    Fold { shift: usize, rest: u128 },
    /// Montgomery's: `inverse` is -1/prime modulo a limb.
    Montgomery { inverse: u128 },
}

impl Reduction {
    /// The cheaper one for this prime.
    pub(crate) fn of(form: LimbForm, modulus: &Big) -> Self {
        let top = (Big::from(1u8) << (form.bits() * form.count())) % *modulus;
        let shift = top.bit_len() - 1;
        let rest = top - (Big::from(1u8) << shift);
        if rest.bit_len() <= 16 && shift < 64 {
            return Self::Fold { shift, rest: rest.to::<u128>() };
        }
        let limb = form.mask() + 1;
        let lowest = form.split(modulus, 1)[0];
        // Newton's iteration doubles the bits that are right; an odd number is its own inverse
        // modulo 8.
        let mut inverse = lowest;
        for _ in 0..5 {
            inverse = inverse * ((2 + limb * limb - lowest * inverse % limb) % limb) % limb;
        }
        Self::Montgomery { inverse: limb - inverse }
    }

    /// The number in the form that products are taken in.
    pub(crate) fn enter(&self, form: LimbForm, modulus: &Big, number: &Big) -> Big {
        match self {
            Self::Fold { .. } => *number % *modulus,
            Self::Montgomery { .. } => (*number << (form.bits() * form.count())) % *modulus,
        }
    }
}

impl Field {
    /// All functions of this field.
    pub(crate) fn functions(&self) -> String {
        let mut text = self.product_function().0;
        text += &self.square_function();
        text += &self.carry_function().0;
        text += &self.canonical_function();
        text
    }

    /// Bits above the limbs.
    fn top(&self) -> usize {
        self.form.bits() * self.form.count()
    }

    /// What a carry takes: limbs and a value far above any that the formulas reach.
    pub(crate) fn carry_input(&self) -> Bounds {
        let limb = match self.form {
            LimbForm::Wide => u128::from(u32::MAX),
            LimbForm::Narrow => 1 << 17,
        };
        Bounds::new(self.form, &vec![limb; self.form.count()], Big::from(1u8) << 265)
    }

    /// The largest product of two whole numbers that is taken.
    fn value_limit(&self) -> Big {
        match self.reduction {
            Reduction::Fold { .. } => Big::from(1u8) << (2 * self.top() + 4),
            Reduction::Montgomery { .. } => Big::from(1u8) << (self.top() + 260),
        }
    }

    /// The largest sum of products in each column that is taken.
    fn column_limits(&self) -> Vec<u128> {
        let (count, mask) = (self.form.count(), self.form.mask());
        let most = self.form.accumulator_max();
        let carry = (most >> self.form.bits()) + 1;
        let modulus = self.form.split(&self.modulus, count);
        let reduction = |column: usize| match self.reduction {
            // What the high digits come down as.
            Reduction::Fold { shift, rest } => mask * rest + (mask << (shift % self.form.bits())),
            Reduction::Montgomery { .. } => (0..count)
                .filter(|index| column >= *index && column - index < count)
                .map(|index| mask * modulus[column - index])
                .sum(),
        };
        (0..2 * count - 1).map(|column| most - carry - reduction(column)).collect()
    }

    /// Whether the product's columns have room.
    pub(crate) fn product_fits(&self, a: &Bounds, b: &Bounds) -> bool {
        let limits = self.column_limits();
        let mut columns = vec![0; limits.len()];
        for (i, a) in a.limbs.iter().enumerate() {
            for (j, b) in b.limbs.iter().enumerate() {
                columns[i + j] += a * b;
            }
        }
        let room = columns.iter().zip(&limits).all(|(column, limit)| column <= limit);
        room && a.value * b.value <= self.value_limit()
    }

    /// The bounds of one product: Montgomery's shrink with the factors.
    pub(crate) fn product_of(&self, a: &Bounds, b: &Bounds) -> Bounds {
        match self.reduction {
            Reduction::Fold { .. } => self.product.clone(),
            Reduction::Montgomery { .. } => {
                let value = ((a.value * b.value) >> self.top()) + self.modulus;
                Bounds::new(self.form, &self.product.limbs, value)
            }
        }
    }

    /// The function that multiplies, and what it gives.
    pub(crate) fn product_function(&self) -> (String, Bounds) {
        let count = self.form.count();
        let column = |column: usize| {
            let pair = |i: usize| format!("a{i} * b{}", column - i);
            let pairs = (0..count).filter(|i| column >= *i && column - i < count);
            pairs.map(pair).collect::<Vec<_>>().join(" + ")
        };
        self.reducing(&format!("fn {}_mul(a: Fe, b: Fe) -> Fe", self.name), &["a", "b"], column)
    }

    /// The function that squares: half the products.
    fn square_function(&self) -> String {
        let count = self.form.count();
        let column = |column: usize| {
            let pair = |i: usize| format!("a{i} * a{}", column - i);
            let below = (0..count).filter(|i| column >= *i && column - i < count);
            let twice: Vec<_> = below.filter(|i| 2 * i < column).map(pair).collect();
            let mut terms = Vec::new();
            if !twice.is_empty() {
                terms.push(format!("(({}) << 1u)", twice.join(" + ")));
            }
            if column.is_multiple_of(2) {
                terms.push(pair(column / 2));
            }
            terms.join(" + ")
        };
        self.reducing(&format!("fn {}_sqr(a: Fe) -> Fe", self.name), &["a"], column).0
    }

    /// A function that sums columns of products and reduces them.
    fn reducing(
        &self,
        head: &str,
        inputs: &[&str],
        column: impl Fn(usize) -> String,
    ) -> (String, Bounds) {
        let mut code = Code::new(self.form);
        for input in inputs {
            for index in 0..self.form.count() {
                let limb = Word::limb(format!("{input}.l{index}"), u128::from(u32::MAX));
                let wide = code.widened(&limb);
                code.line(&format!("let {input}{index} = {wide};"));
            }
        }
        let limits = self.column_limits();
        let columns: Vec<_> = (0..limits.len()).map(|i| vec![(column(i), limits[i])]).collect();
        let (limbs, value) = match self.reduction {
            Reduction::Fold { shift, rest } => self.fold(&mut code, &columns, shift, rest),
            Reduction::Montgomery { inverse } => self.montgomery(&mut code, &columns, inverse),
        };
        self.finish(code, head, &limbs, value)
    }

    /// Closes a function that gives these limbs.
    fn finish(&self, mut code: Code, head: &str, limbs: &[Word], value: Big) -> (String, Bounds) {
        let count = self.form.count();
        let text = |index: usize| limbs.get(index).map_or("0u".to_owned(), |w| w.text.clone());
        code.line(&format!("return Fe({});", self.indices(text).join(", ")));
        let max: Vec<u128> = (0..count).map(|i| limbs.get(i).map_or(0, |w| w.max)).collect();
        (format!("{head} {{\n{}}}\n", code.text), Bounds::new(self.form, &max, value))
    }

    /// Folds the high limbs down until the number is below 2^top, but for a carry that stays in a
    /// limb. The low columns are carried once, after the first fold.
    fn fold(
        &self,
        code: &mut Code,
        columns: &[Vec<(String, u128)>],
        shift: usize,
        rest: u128,
    ) -> (Vec<Word>, Big) {
        let count = self.form.count();
        let factor = (Big::from(1u8) << shift) + Big::from(rest);
        let high = self.value_limit() >> self.top();
        let digits = code.carry(&columns[count..], &high);
        let mut value = high * factor;
        for (index, column) in columns[..count].iter().enumerate() {
            let most: u128 = column.iter().map(|(_, max)| max).sum();
            value += Big::from(most) << (index * self.form.bits());
        }
        let low = columns[..count].to_vec();
        let mut columns = self.folded(code, low, &digits, shift, rest);
        loop {
            let digits = code.carry(&columns, &value);
            let high = value >> self.top();
            value = (Big::from(1u8) << self.top()) - Big::from(1u8) + high * factor;
            let low = digits[..count].iter().map(|digit| vec![(code.widened(digit), digit.max)]);
            let low: Vec<_> = low.collect();
            columns = self.folded(code, low, &digits[count..], shift, rest);
            if (high * factor) >> self.top() == Big::ZERO {
                let touched = digits.len() - count + shift / self.form.bits();
                return (self.partial_carry(code, &digits, &columns, touched), value);
            }
        }
    }

    /// The low columns with what the high digits are congruent to.
    fn folded(
        &self,
        code: &Code,
        mut low: Vec<Vec<(String, u128)>>,
        high: &[Word],
        shift: usize,
        rest: u128,
    ) -> Vec<Vec<(String, u128)>> {
        let (limbs, bits) = (shift / self.form.bits(), shift % self.form.bits());
        low.resize(low.len().max(high.len() + limbs), Vec::new());
        for (index, digit) in high.iter().enumerate() {
            low[index].extend(code.scaled(digit, rest));
            low[index + limbs].extend(code.scaled(digit, 1 << bits));
        }
        low
    }

    /// Carries from the lowest limb until the carry is small, past all limbs that were added to.
    fn partial_carry(
        &self,
        code: &mut Code,
        digits: &[Word],
        columns: &[Vec<(String, u128)>],
        touched: usize,
    ) -> Vec<Word> {
        let mut limbs: Vec<Word> = digits[..self.form.count()].to_vec();
        let mut carry: Option<Word> = None;
        for index in 0.. {
            let small = carry.as_ref().is_some_and(|carry| carry.max <= self.slack());
            let mut terms = columns[index].clone();
            if let Some(carry) = &carry {
                terms.push((code.widened(carry), carry.max));
            }
            let sum = code.sum(&terms);
            if index >= touched && small {
                limbs[index] = code.narrowed(&sum);
                break;
            }
            limbs[index] = code.low(&sum);
            carry = Some(code.high(&sum));
        }
        limbs
    }

    /// What a limb may exceed its bits by and still count as carried.
    fn slack(&self) -> u128 {
        self.form.mask() >> 6
    }

    /// Montgomery's reduction, column by column.
    fn montgomery(
        &self,
        code: &mut Code,
        columns: &[Vec<(String, u128)>],
        inverse: u128,
    ) -> (Vec<Word>, Big) {
        let (count, mask) = (self.form.count(), self.form.mask());
        let modulus = self.form.split(&self.modulus, count);
        let mut quotients: Vec<Word> = Vec::new();
        let mut carry: Option<Word> = None;
        for index in 0..count {
            let mut terms = columns[index].clone();
            for (i, quotient) in quotients.iter().enumerate() {
                terms.extend(code.scaled(quotient, modulus[index - i]));
            }
            terms.extend(carry.as_ref().map(|carry| (carry.text.clone(), carry.max)));
            let sum = code.sum(&terms);
            let low = code.low(&sum);
            let expression = match inverse {
                1 => low.text.clone(),
                _ => format!("({} * {inverse}u) & {mask}u", low.text),
            };
            let quotient = code.limb(&expression, mask);
            let (text, max) = code.scaled(&quotient, modulus[0]).expect("a prime is odd");
            let sum = code.accumulator(&format!("{} + {text}", sum.text), sum.max + max);
            carry = Some(code.high(&sum));
            quotients.push(quotient);
        }
        let mut rest: Vec<Vec<(String, u128)>> = Vec::new();
        for index in count..2 * count - 1 {
            let mut terms = columns[index].clone();
            for i in index - count + 1..count {
                terms.extend(code.scaled(&quotients[i], modulus[index - i]));
            }
            rest.push(terms);
        }
        let carry = carry.expect("there are limbs");
        rest[0].push((carry.text, carry.max));
        rest.push(Vec::new());
        let value = (self.value_limit() >> self.top()) + self.modulus;
        let digits = code.carry_open(&rest, &value);
        (digits, value)
    }

    /// The function that makes limbs small: what is above 2^256 comes back as its residue.
    pub(crate) fn carry_function(&self) -> (String, Bounds) {
        let (count, bits) = (self.form.count(), self.form.bits());
        let input = self.carry_input();
        let mut code = Code::new(self.form);
        let above = 256 - bits * (count - 1);
        let top = code.limb(&format!("a.l{}", count - 1), input.limbs[count - 1]);
        let quotient = code.limb(&format!("{} >> {above}u", top.text), top.max >> above);
        let kept = code.limb(&format!("{} & {}u", top.text, (1 << above) - 1), (1 << above) - 1);
        let residue = (Big::from(1u8) << 256) - self.modulus;
        let factors = self.form.split(&residue, count);
        let mut value = Big::from(quotient.max) * residue;
        let mut columns = Vec::new();
        for (index, factor) in factors.iter().enumerate() {
            let limb = match index + 1 == count {
                true => kept.clone(),
                false => Word::limb(format!("a.l{index}"), input.limbs[index]),
            };
            value += Big::from(limb.max) << (index * bits);
            let mut terms = vec![(code.widened(&limb), limb.max)];
            terms.extend(code.scaled(&quotient, *factor));
            columns.push(terms);
        }
        let limbs = code.carry_open(&columns, &value);
        self.finish(code, &format!("fn {}_carry(a: Fe) -> Fe", self.name), &limbs, value)
    }

    /// The function that gives the one representative below the prime, in exact digits.
    ///
    /// A carry leaves less than twice the prime; one conditional subtraction is left to do.
    fn canonical_function(&self) -> String {
        let count = self.form.count();
        let carried = self.carry_function().1;
        assert!(carried.value < self.modulus << 1, "one subtraction is not enough");
        let mut code = Code::new(self.form);
        code.line(&format!("let a = {}_carry(x);", self.name));
        let complement = (Big::from(1u8) << self.top()) - self.modulus;
        let add = self.form.split(&complement, count);
        let column = |code: &Code, i: usize, add: u128| {
            let limb = Word::limb(format!("a.l{i}"), carried.limbs[i]);
            let mut terms = vec![(code.widened(&limb), limb.max)];
            if add > 0 {
                terms.push((code.literal(add), add));
            }
            terms
        };
        let same: Vec<_> = (0..count).map(|i| column(&code, i, 0)).collect();
        let less: Vec<_> = (0..count).map(|i| column(&code, i, add[i])).collect();
        let same = code.carry(&same, &carried.value);
        let less = code.carry(&less, &(carried.value + complement));
        code.line(&format!("let wraps = {} != 0u;", less[count].text));
        let choose = |i: usize| format!("select({}, {}, wraps)", same[i].text, less[i].text);
        code.line(&format!("return Fe({});", self.indices(choose).join(", ")));
        format!("fn {}_canonical(x: Fe) -> Fe {{\n{}}}\n", self.name, code.text)
    }
}

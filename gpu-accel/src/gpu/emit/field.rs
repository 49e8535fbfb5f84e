//! Arithmetic modulo a prime of 256 bits, as WGSL functions.
//!
//! An element is a struct of limbs. Sums and differences are taken limb by limb and carry nothing;
//! the generator knows how large each limb can have become and writes a carry only where the next
//! product would overflow. A difference adds the smallest multiple of the prime that keeps every
//! limb positive.
//!
//! At the border of a function every element is *tidy*: within [`Field::tidy`], which every
//! function takes and gives. Text that only calls functions can therefore not overflow either.

use super::{
    reduce::Reduction,
    word::{Big, Code, LimbForm},
};

/// The largest value of each limb of an element, and of the whole number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Bounds {
    pub(crate) limbs: Vec<u128>,
    pub(crate) value: Big,
}

impl Bounds {
    /// Bounds in which no limb exceeds what the whole number allows.
    pub(crate) fn new(form: LimbForm, limbs: &[u128], value: Big) -> Self {
        let tight = |(index, limb): (usize, &u128)| {
            (*limb).min((value >> (index * form.bits())).saturating_to::<u128>())
        };
        Self { limbs: limbs.iter().enumerate().map(tight).collect(), value }
    }

    /// Exact digits of a number up to `value`.
    pub(crate) fn digits(form: LimbForm, value: Big) -> Self {
        let mut limbs = vec![form.mask(); form.count()];
        limbs[form.count() - 1] = u128::from(u32::MAX);
        Self::new(form, &limbs, value)
    }

    /// Whether every element within these bounds is within the others.
    pub(crate) fn within(&self, other: &Self) -> bool {
        self.value <= other.value && self.limbs.iter().zip(&other.limbs).all(|(a, b)| a <= b)
    }

    /// The smallest bounds that hold both.
    pub(crate) fn or(&self, other: &Self) -> Self {
        let limbs = self.limbs.iter().zip(&other.limbs).map(|(a, b)| *a.max(b)).collect();
        Self { limbs, value: self.value.max(other.value) }
    }
}

/// An element in the shader: a name and its bounds.
#[derive(Debug, Clone)]
pub(crate) struct Element {
    pub(crate) text: String,
    pub(crate) bounds: Bounds,
}

impl Element {
    pub(crate) fn limb(&self, index: usize) -> String {
        format!("{}.l{index}", self.text)
    }
}

/// One prime in one limb form; writes its functions and the calls to them.
#[derive(Debug)]
pub(crate) struct Field {
    /// Prefix of the functions' names.
    pub(crate) name: &'static str,
    pub(crate) form: LimbForm,
    pub(crate) modulus: Big,
    pub(crate) reduction: Reduction,
    /// What a product can be at most, whatever the factors.
    pub(crate) product: Bounds,
    /// What every function takes and gives.
    pub(crate) tidy: Bounds,
}

impl Field {
    /// The field of this prime, which must have exactly 256 bits.
    pub(crate) fn new(name: &'static str, form: LimbForm, modulus: Big) -> Self {
        assert_eq!(modulus.bit_len(), 256, "{name} is no prime of 256 bits");
        let reduction = Reduction::of(form, &modulus);
        let none = Bounds { limbs: Vec::new(), value: Big::ZERO };
        let mut field = Self { name, form, modulus, reduction, product: none.clone(), tidy: none };
        field.product = field.product_function().1;
        let least = match field.reduction {
            Reduction::Fold { .. } => field.product.clone(),
            // Montgomery's products shrink with their factors: tidy ones stay below this.
            Reduction::Montgomery { .. } => {
                Bounds::new(form, &field.product.limbs, Big::from(1u8) << 258)
            }
        };
        field.tidy = least.or(&field.carry_function().1);
        assert!(field.product_fits(&field.tidy, &field.tidy), "tidy elements multiply");
        let product = field.product_of(&field.tidy, &field.tidy);
        assert!(product.within(&field.tidy), "the product of tidy elements is tidy");
        field
    }

    /// The constant as an element in the form that products are taken in (Montgomery's where the
    /// reduction is his).
    pub(crate) fn constant(&self, number: &Big) -> Element {
        let number = self.reduction.enter(self.form, &self.modulus, number);
        self.plain(&number)
    }

    /// The constant as it is.
    pub(crate) fn plain(&self, number: &Big) -> Element {
        let limbs = self.form.split(number, self.form.count());
        let texts: Vec<String> = limbs.iter().map(|limb| format!("{limb}u")).collect();
        let bounds = Bounds::new(self.form, &limbs, *number);
        Element { text: format!("Fe({})", texts.join(", ")), bounds }
    }

    /// An element that a function was given under this name.
    pub(crate) fn given(&self, name: &str) -> Element {
        Element { text: name.to_owned(), bounds: self.tidy.clone() }
    }

    fn bind(&self, code: &mut Code, expression: &str, bounds: Bounds) -> Element {
        let text = code.fresh();
        code.line(&format!("let {text} = {expression};"));
        Element { text, bounds }
    }

    fn limbwise(&self, code: &mut Code, limbs: &[String], max: &[u128], value: Big) -> Element {
        assert!(max.iter().all(|max| *max <= u128::from(u32::MAX)), "a sum overflows a limb");
        let bounds = Bounds::new(self.form, max, value);
        self.bind(code, &format!("Fe({})", limbs.join(", ")), bounds)
    }

    /// a + b.
    pub(crate) fn add(&self, code: &mut Code, a: &Element, b: &Element) -> Element {
        let sums = |a: &Element, b: &Element| -> Vec<u128> {
            a.bounds.limbs.iter().zip(&b.bounds.limbs).map(|(a, b)| a + b).collect()
        };
        let (a, b) = self.room(code, a, b, |a, b| self.room_left(&sums(a, b)));
        let texts: Vec<String> = self.indices(|i| format!("{} + {}", a.limb(i), b.limb(i)));
        self.limbwise(code, &texts, &sums(&a, &b), a.bounds.value + b.bounds.value)
    }

    /// a - b, as a + (a multiple of the prime) - b.
    pub(crate) fn sub(&self, code: &mut Code, a: &Element, b: &Element) -> Element {
        let sums = |a: &Element, b: &Element| -> Vec<u128> {
            a.bounds.limbs.iter().zip(self.bias(&b.bounds).0).map(|(a, bias)| a + bias).collect()
        };
        let (a, b) = self.room(code, a, b, |a, b| self.room_left(&sums(a, b)));
        let (bias, total) = self.bias(&b.bounds);
        let text = |i: usize| format!("{} + ({}u - {})", a.limb(i), bias[i], b.limb(i));
        self.limbwise(code, &self.indices(text), &sums(&a, &b), a.bounds.value + total)
    }

    /// a times a small constant.
    pub(crate) fn times(&self, code: &mut Code, a: &Element, factor: u32) -> Element {
        let scaled = |a: &Element| -> Vec<u128> {
            a.bounds.limbs.iter().map(|limb| limb * u128::from(factor)).collect()
        };
        let a = if self.room_left(&scaled(a)) { a.clone() } else { self.carried(code, a) };
        let texts = self.indices(|i| format!("{} * {factor}u", a.limb(i)));
        self.limbwise(code, &texts, &scaled(&a), a.bounds.value * Big::from(factor))
    }

    /// a · b.
    pub(crate) fn mul(&self, code: &mut Code, a: &Element, b: &Element) -> Element {
        let (a, b) = self.room(code, a, b, |a, b| self.product_fits(&a.bounds, &b.bounds));
        let bounds = self.product_of(&a.bounds, &b.bounds);
        self.bind(code, &format!("{}_mul({}, {})", self.name, a.text, b.text), bounds)
    }

    /// a².
    pub(crate) fn sqr(&self, code: &mut Code, a: &Element) -> Element {
        let fits = self.product_fits(&a.bounds, &a.bounds);
        let a = if fits { a.clone() } else { self.carried(code, a) };
        assert!(self.product_fits(&a.bounds, &a.bounds), "a square overflows after a carry");
        let bounds = self.product_of(&a.bounds, &a.bounds);
        self.bind(code, &format!("{}_sqr({})", self.name, a.text), bounds)
    }

    /// The same element within [`Self::tidy`].
    pub(crate) fn tidied(&self, code: &mut Code, a: &Element) -> Element {
        if a.bounds.within(&self.tidy) {
            return a.clone();
        }
        let carried = self.carried(code, a);
        assert!(carried.bounds.within(&self.tidy), "a carry leaves an element untidy");
        carried
    }

    /// The same element with small limbs.
    fn carried(&self, code: &mut Code, a: &Element) -> Element {
        assert!(a.bounds.within(&self.carry_input()), "{} is too large to carry", a.text);
        let bounds = self.carry_function().1;
        self.bind(code, &format!("{}_carry({})", self.name, a.text), bounds)
    }

    /// Carries the larger one, then the other, until the operation has room.
    fn room(
        &self,
        code: &mut Code,
        a: &Element,
        b: &Element,
        fits: impl Fn(&Element, &Element) -> bool,
    ) -> (Element, Element) {
        if fits(a, b) {
            return (a.clone(), b.clone());
        }
        let a_is_larger = a.bounds.limbs[0] >= b.bounds.limbs[0];
        let (large, small) = if a_is_larger { (a, b) } else { (b, a) };
        let ordered = |large: &Element, small: &Element| match a_is_larger {
            true => (large.clone(), small.clone()),
            false => (small.clone(), large.clone()),
        };
        let large = self.carried(code, large);
        let (a, b) = ordered(&large, small);
        if fits(&a, &b) {
            return (a, b);
        }
        let (a, b) = ordered(&large, &self.carried(code, small));
        assert!(fits(&a, &b), "no room after carrying both operands");
        (a, b)
    }

    /// Whether limbs this large can still be carried.
    fn room_left(&self, limbs: &[u128]) -> bool {
        limbs.iter().zip(&self.carry_input().limbs).all(|(limb, most)| limb <= most)
    }

    /// A multiple of the prime whose limbs are at least these, and what it is.
    fn bias(&self, bounds: &Bounds) -> (Vec<u128>, Big) {
        let weight = |(index, limb): (usize, &u128)| Big::from(*limb) << (index * self.form.bits());
        let least: Big = bounds.limbs.iter().enumerate().map(weight).sum();
        let total = least.div_ceil(self.modulus) * self.modulus;
        let rest = self.form.split(&(total - least), self.form.count());
        (bounds.limbs.iter().zip(rest).map(|(limb, rest)| limb + rest).collect(), total)
    }

    /// One text per limb.
    pub(crate) fn indices(&self, text: impl Fn(usize) -> String) -> Vec<String> {
        (0..self.form.count()).map(text).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::{emit::endomorphism::ORDER, kernel::recover::PRIME};

    fn fields() -> Vec<Field> {
        let field = |form| [Field::new("p", form, PRIME), Field::new("n", form, ORDER)];
        [LimbForm::Wide, LimbForm::Narrow].into_iter().flat_map(field).collect()
    }

    /// The multiple of the prime that a difference adds is one, and covers every limb.
    #[test]
    fn the_bias_is_a_multiple_that_covers_every_limb() {
        for field in fields() {
            let (bias, total) = field.bias(&field.tidy);
            let weight = |(i, limb): (usize, &u128)| Big::from(*limb) << (i * field.form.bits());
            let sum: Big = bias.iter().enumerate().map(weight).sum();
            assert_eq!((sum, sum % field.modulus), (total, Big::ZERO));
            assert!(bias.iter().zip(&field.tidy.limbs).all(|(bias, limb)| bias >= limb));
        }
    }

    /// A chain of sums is carried before a limb can overflow, and not before that.
    #[test]
    fn sums_are_carried_when_they_must_be() {
        for field in fields() {
            let mut code = Code::new(field.form);
            let a = field.given("a");
            let mut sum = field.add(&mut code, &a, &a);
            assert!(!code.text.contains("_carry"), "one sum needs no carry");
            for _ in 0..40 {
                sum = field.add(&mut code, &sum, &sum);
                assert!(sum.bounds.limbs.iter().all(|limb| *limb <= u128::from(u32::MAX)));
            }
            assert!(code.text.contains("_carry"), "2^41 times an element needs a carry");
            let product = field.mul(&mut code, &sum, &sum);
            assert!(product.bounds.within(&field.tidy));
        }
    }

    #[test]
    #[should_panic(expected = "overflows")]
    fn an_overflow_is_never_written() {
        let mut code = Code::new(LimbForm::Narrow);
        code.accumulator("a * b", 1 << 32);
    }
}

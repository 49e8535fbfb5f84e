//! Q = u1·G + u2·R for a few groups at a time.

use super::{
    base_table::{BASE_ENTRIES, BASE_ENTRY, base_table},
    batch::Group,
    digits::{BASE_DIGITS, BASE_WINDOW, DIGITS, WINDOW, digit},
    field::{Field, limbwise},
    lanes::{Factors, Kernel, LIMBS, Lanes},
    multiples::Table,
    point::{Affine, InvertAll, Jacobian},
};

/// Q of each group, as a Jacobian point.
pub(crate) struct Multiply<'a, L: Lanes> {
    pub(crate) groups: &'a [Group<L>],
    pub(crate) tables: &'a [Table<'a>],
}

impl<L: Lanes> Kernel<L> for Multiply<'_, L> {
    type Output = Vec<Jacobian<L>>;

    #[inline(always)]
    fn run(self, lanes: L) -> Self::Output {
        let base = base_table(lanes);
        let sums = lanes.run(DigitSums { groups: self.groups, tables: self.tables });
        let mut products = Vec::with_capacity(self.groups.len());
        for (group, sums) in self.groups.iter().zip(sums.chunks_exact(DIGITS)) {
            // All at once, so that the cache misses of the table overlap.
            let multiples = lanes.run(BaseMultiples { group, base });
            products.push(lanes.run(Steps { sums, multiples: &multiples }));
        }
        products
    }
}

/// For each group and place, the sum of both halves' multiples of R there.
struct DigitSums<'a, L: Lanes> {
    groups: &'a [Group<L>],
    tables: &'a [Table<'a>],
}

/// A point, to be negated where the mask is all ones.
#[derive(Debug, Clone, Copy)]
struct Signed<L: Lanes> {
    point: Affine<L>,
    negative: L::Word,
}

impl<L: Lanes> Kernel<L> for DigitSums<'_, L> {
    type Output = Vec<Signed<L>>;

    /// The points of a pair are i·R and j·λ·R with small i and j, which are never equal or
    /// opposite, so no denominator is zero.
    #[inline(always)]
    fn run(self, lanes: L) -> Self::Output {
        let field = Field(lanes);
        let count = self.groups.len() * DIGITS;
        let (mut inverses, mut sums) = (Vec::with_capacity(count), Vec::with_capacity(count));
        for (group, table) in self.groups.iter().zip(self.tables) {
            for place in 0..DIGITS {
                let [first, second] = pair(lanes, group, *table, place);
                inverses.push(field.difference(&second.point.x, &first.point.x));
            }
        }
        lanes.run(InvertAll(&mut inverses));
        let mut inverses = inverses.iter();
        for (group, table) in self.groups.iter().zip(self.tables) {
            for (place, inverse) in (0..DIGITS).zip(&mut inverses) {
                let [first, second] = pair(lanes, group, *table, place);
                let sign = lanes.xor(first.negative, second.negative);
                let rise = field.signed_rise(&second.point.y, sign, &first.point.y);
                let slope = field.factors(&field.mul(&rise, inverse));
                let point = field.along(&first.point, &second.point.x, &slope);
                sums.push(Signed { point, negative: first.negative });
            }
        }
        sums
    }
}

/// The multiples of R and of λ·R that a place's digits name.
#[inline(always)]
fn pair<L: Lanes>(lanes: L, group: &Group<L>, table: Table<'_>, place: usize) -> [Signed<L>; 2] {
    let first = digit(lanes, &group.first, place, WINDOW);
    let second = digit(lanes, &group.second, place, WINDOW);
    [
        Signed { point: table.multiple(lanes, first.index), negative: first.negative },
        Signed { point: table.endomorphic(lanes, second.index), negative: second.negative },
    ]
}

/// A point ready to be added, or subtracted where the mask is all ones.
type Multiple<L> = ([Factors<L>; 2], <L as Lanes>::Word);

/// The multiples of G, and of 2^130·G, that a group's digits name.
struct BaseMultiples<'a, L: Lanes> {
    group: &'a Group<L>,
    base: &'a [u64],
}

impl<L: Lanes> Kernel<L> for BaseMultiples<'_, L> {
    type Output = [Multiple<L>; BASE_DIGITS];

    #[inline(always)]
    fn run(self, lanes: L) -> Self::Output {
        let mut multiples = [base_multiple(lanes, self.group, self.base, 0); BASE_DIGITS];
        for (place, multiple) in multiples.iter_mut().enumerate().skip(1) {
            *multiple = base_multiple(lanes, self.group, self.base, place);
        }
        multiples
    }
}

#[inline(always)]
fn base_multiple<L: Lanes>(lanes: L, group: &Group<L>, base: &[u64], place: usize) -> Multiple<L> {
    let half = if place < BASE_PLACES { 0 } else { BASE_ENTRIES * BASE_ENTRY };
    let digit = digit(lanes, &group.base, place, BASE_WINDOW);
    // Ten words for each entry.
    let start = lanes.add(lanes.shl::<3>(digit.index), lanes.shl::<1>(digit.index));
    let rows = lanes.gather::<BASE_ENTRY>(&base[half..], start, 1);
    let x = limbwise(|limb| lanes.factor_from_bits(rows[limb]));
    let y = limbwise(|limb| lanes.factor_from_bits(rows[LIMBS + limb]));
    ([x, y], lanes.xor(digit.negative, group.base_negative))
}

/// From the highest place down: doublings, and where a digit's place is reached, additions.
struct Steps<'a, L: Lanes> {
    sums: &'a [Signed<L>],
    multiples: &'a [Multiple<L>; BASE_DIGITS],
}

impl<L: Lanes> Kernel<L> for Steps<'_, L> {
    type Output = Jacobian<L>;

    #[inline(always)]
    fn run(self, lanes: L) -> Jacobian<L> {
        let field = Field(lanes);
        let highest = &self.sums[DIGITS - 1];
        let y = field.negated_where(&highest.point.y, highest.negative);
        let mut sum = Jacobian { x: highest.point.x, y, z: field.small(1) };
        for step in &STEPS {
            for _ in 0..step.doublings {
                sum = field.double(&sum);
            }
            let (point, negative) = match step.addend {
                Addend::Sum(place) => {
                    let Signed { point, negative } = &self.sums[place];
                    ([field.factors(&point.x), field.factors(&point.y)], *negative)
                }
                Addend::Base(place) => self.multiples[place],
            };
            sum = field.add_affine(&sum, &point, negative);
        }
        sum
    }
}

/// Places of digits of G's multiplier in the lower half of its table, and in the upper.
const BASE_PLACES: usize = BASE_DIGITS / 2;

/// What is added at a place.
#[derive(Debug, Clone, Copy)]
enum Addend {
    /// The sum of R's digits at this place.
    Sum(usize),
    /// G's digit at this place.
    Base(usize),
}

/// Doublings, then an addition.
#[derive(Debug, Clone, Copy)]
struct Step {
    doublings: u32,
    addend: Addend,
}

/// All but R's highest digits, from the highest bit down; the last step is at bit 0.
static STEPS: [Step; DIGITS - 1 + BASE_DIGITS] = steps();

const fn steps() -> [Step; DIGITS - 1 + BASE_DIGITS] {
    let mut steps = [Step { doublings: 0, addend: Addend::Sum(0) }; DIGITS - 1 + BASE_DIGITS];
    let (mut count, mut bit, mut doublings) = (0, (DIGITS - 1) * WINDOW as usize, 0);
    while bit > 0 {
        (bit, doublings) = (bit - 1, doublings + 1);
        let mut addends = [None; 3];
        if bit.is_multiple_of(WINDOW as usize) {
            addends[0] = Some(Addend::Sum(bit / WINDOW as usize));
        }
        if bit.is_multiple_of(BASE_WINDOW as usize) {
            let place = bit / BASE_WINDOW as usize;
            addends[1] = Some(Addend::Base(place));
            addends[2] = Some(Addend::Base(place + BASE_PLACES));
        }
        let mut next = 0;
        while next < addends.len() {
            if let Some(addend) = addends[next] {
                steps[count] = Step { doublings, addend };
                (count, doublings) = (count + 1, 0);
            }
            next += 1;
        }
    }
    assert!(count == steps.len(), "each digit is added once");
    steps
}

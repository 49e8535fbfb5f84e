//! A batch of signatures, from numbers to public keys.
//!
//! Q = u1·G + u2·R, with u1 = -z / r and u2 = s / r. The stages, each for the whole batch: lift R
//! from its x; the odd multiples of R; at each place the sum of both halves' digits of u2, as
//! affine points; the doublings, with these sums and G's multiples added in; and Q's coordinates.
//! Each stage that divides does so with one inversion for the batch.

use super::{
    base_table::{BASE_ENTRIES, BASE_ENTRY, base_table},
    digits::{BASE_DIGITS, BASE_WINDOW, BaseDigits, DIGITS, Digit, Halves, WINDOW},
    field::{Element, Field, limbs, limbwise, words},
    lanes::{Factors, Kernel, LIMBS, Lanes},
    multiples::{ENTRY, MULTIPLES, OddMultiples},
    point::{Affine, InvertAll, Jacobian},
};

/// A signature's numbers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Task {
    /// R's x, below p.
    pub(crate) x: [u64; 4],
    /// Whether R's y is odd.
    pub(crate) odd: bool,
    /// u1.
    pub(crate) base: BaseDigits,
    /// u2.
    pub(crate) halves: Halves,
}

/// What a task comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Key {
    /// Q's x and y, the lowest word first.
    Point([[u64; 4]; 2]),
    /// No point has this x.
    NoPoint,
    /// An addition met equal or opposite points: Q is the point at infinity, or another algorithm
    /// has to tell.
    Exceptional,
}

/// Recovers the keys of a batch, in order.
pub(crate) struct Recover<'a>(pub(crate) &'a [Task]);

impl<L: Lanes> Kernel<L> for Recover<'_> {
    type Output = Vec<Key>;

    #[inline(always)]
    fn run(self, lanes: L) -> Vec<Key> {
        let groups: Vec<Group<'_>> = self.0.chunks(L::COUNT).map(Group).collect();
        let lifted = lanes.run(Lift(&groups));
        let points: Vec<_> = lifted.iter().map(|(point, _)| *point).collect();
        let table = lanes.run(OddMultiples(&points));
        let sums = lanes.run(DigitSums { groups: &groups, table: &table });
        let products = lanes.run(Multiply { groups: &groups, sums: &sums });
        let points = lanes.run(ToAffine(&products));
        let exists = lifted.iter().map(|(_, exists)| *exists);
        let mut keys = Vec::with_capacity(self.0.len());
        for ((group, exists), point) in groups.iter().zip(exists).zip(&points) {
            group.keys(lanes, exists, point, &mut keys);
        }
        keys
    }
}

/// As many tasks as there are lanes, or fewer.
#[derive(Debug, Clone, Copy)]
struct Group<'a>(&'a [Task]);

impl Group<'_> {
    /// A number of each task, and zero in the lanes that have none.
    #[inline(always)]
    fn load<L: Lanes>(&self, lanes: L, number: impl Fn(&Task) -> u64) -> L::Word {
        let mut numbers = [0; MAX_LANES];
        for (lane, task) in numbers.iter_mut().zip(self.0) {
            *lane = number(task);
        }
        lanes.load(&numbers)
    }

    /// The places of a digit's multiple in a table, and its sign.
    #[inline(always)]
    fn digits<L: Lanes>(
        &self,
        lanes: L,
        digit: impl Fn(&Task) -> Digit,
        place: impl Fn(usize, u64) -> u64,
    ) -> (L::Word, L::Word) {
        let [mut places, mut signs] = [[0; MAX_LANES]; 2];
        for lane in 0..L::COUNT {
            let Digit { index, negative } = self.0.get(lane).map_or(NO_DIGIT, &digit);
            (places[lane], signs[lane]) = (place(lane, index), negative);
        }
        (lanes.load(&places), lanes.load(&signs))
    }

    /// What each lane of the point comes to.
    #[inline(always)]
    fn keys<L: Lanes>(
        &self,
        lanes: L,
        exists: L::Word,
        (point, infinite): &(Affine<L>, L::Word),
        keys: &mut Vec<Key>,
    ) {
        let field = Field(lanes);
        let x = stored_limbs(lanes, field.canonical(&point.x));
        let y = stored_limbs(lanes, field.canonical(&point.y));
        let (exists, infinite) = (stored(lanes, exists), stored(lanes, *infinite));
        for lane in 0..self.0.len() {
            keys.push(if exists[lane] == 0 {
                Key::NoPoint
            } else if infinite[lane] != 0 {
                Key::Exceptional
            } else {
                Key::Point([words(x.map(|limb| limb[lane])), words(y.map(|limb| limb[lane]))])
            });
        }
    }
}

/// Lanes of the widest instruction set here.
const MAX_LANES: usize = 16;
const NO_DIGIT: Digit = Digit { index: 0, negative: 0 };

#[inline(always)]
fn stored<L: Lanes>(lanes: L, word: L::Word) -> [u64; MAX_LANES] {
    let mut numbers = [0; MAX_LANES];
    lanes.store(word, &mut numbers);
    numbers
}

#[inline(always)]
fn stored_limbs<L: Lanes>(lanes: L, element: Element<L>) -> [[u64; MAX_LANES]; LIMBS] {
    limbwise(|limb| stored(lanes, element[limb]))
}

struct Lift<'a>(&'a [Group<'a>]);

impl<L: Lanes> Kernel<L> for Lift<'_> {
    type Output = Vec<(Affine<L>, L::Word)>;

    #[inline(always)]
    fn run(self, lanes: L) -> Self::Output {
        let mut lifted = Vec::with_capacity(self.0.len());
        for group in self.0 {
            let x = limbwise(|limb| group.load(lanes, |task| limbs(task.x)[limb]));
            let odd = group.load(lanes, |task| u64::from(task.odd).wrapping_neg());
            lifted.push(Field(lanes).lift(&x, odd));
        }
        lifted
    }
}

/// For each group and place, the sum of both halves' multiples of R there, and its sign.
struct DigitSums<'a> {
    groups: &'a [Group<'a>],
    table: &'a [u64],
}

/// A point, to be negated where the mask is all ones.
#[derive(Debug, Clone, Copy)]
struct Signed<L: Lanes> {
    point: Affine<L>,
    negative: L::Word,
}

impl<L: Lanes> Kernel<L> for DigitSums<'_> {
    type Output = Vec<Signed<L>>;

    /// The points of a pair are i·R and j·λ·R with small i and j, which are never equal or
    /// opposite, so no denominator is zero.
    #[inline(always)]
    fn run(self, lanes: L) -> Self::Output {
        let field = Field(lanes);
        let group_words = MULTIPLES * ENTRY * L::COUNT;
        let count = self.groups.len() * DIGITS;
        let (mut inverses, mut sums) = (Vec::with_capacity(count), Vec::with_capacity(count));
        for (group, table) in self.groups.iter().zip(self.table.chunks_exact(group_words)) {
            for place in 0..DIGITS {
                let [first, second] = pair(lanes, group, table, place);
                inverses.push(field.difference(&second.point.x, &first.point.x));
            }
        }
        lanes.run(InvertAll(&mut inverses));
        let mut inverses = inverses.iter();
        for (group, table) in self.groups.iter().zip(self.table.chunks_exact(group_words)) {
            for (place, inverse) in (0..DIGITS).zip(&mut inverses) {
                let [first, second] = pair(lanes, group, table, place);
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
fn pair<L: Lanes>(lanes: L, group: &Group<'_>, table: &[u64], place: usize) -> [Signed<L>; 2] {
    let start = |lane: usize, index: u64| index * (ENTRY * L::COUNT) as u64 + lane as u64;
    let (at, negative) = group.digits(lanes, |task| task.halves.first.digit(place, WINDOW), start);
    let [x, y]: [Element<L>; 2] = split(lanes.gather::<{ 2 * LIMBS }>(table, at, L::COUNT));
    let first = Signed { point: Affine { x, y }, negative };
    let (at, negative) = group.digits(lanes, |task| task.halves.second.digit(place, WINDOW), start);
    // The y and the x of λ times a point lie side by side.
    let [y, x] = split(lanes.gather(&table[LIMBS * L::COUNT..], at, L::COUNT));
    [first, Signed { point: Affine { x, y }, negative }]
}

#[inline(always)]
fn split<W: Copy>(words: [W; 2 * LIMBS]) -> [[W; LIMBS]; 2] {
    [limbwise(|limb| words[limb]), limbwise(|limb| words[LIMBS + limb])]
}

/// Q of each group.
struct Multiply<'a, L: Lanes> {
    groups: &'a [Group<'a>],
    sums: &'a [Signed<L>],
}

impl<L: Lanes> Kernel<L> for Multiply<'_, L> {
    type Output = Vec<Jacobian<L>>;

    #[inline(always)]
    fn run(self, lanes: L) -> Self::Output {
        let base = base_table(lanes);
        let each = self.groups.iter().zip(self.sums.chunks_exact(DIGITS));
        let mut products = Vec::with_capacity(self.groups.len());
        for (group, sums) in each {
            products.push(multiply(Field(lanes), group, sums, base));
        }
        products
    }
}

/// From the highest place down: doublings, and where a digit's place is reached, additions.
#[inline(always)]
fn multiply<L: Lanes>(
    field: Field<L>,
    group: &Group<'_>,
    sums: &[Signed<L>],
    base: &[u64],
) -> Jacobian<L> {
    let highest = &sums[DIGITS - 1];
    let y = field.negated_where(&highest.point.y, highest.negative);
    let mut sum = Jacobian { x: highest.point.x, y, z: field.small(1) };
    for step in STEPS {
        for _ in 0..step.doublings {
            sum = field.double(&sum);
        }
        let (point, negative) = match step.addend {
            Addend::Sum(place) => {
                let Signed { point, negative } = &sums[place];
                ([field.factors(&point.x), field.factors(&point.y)], *negative)
            }
            Addend::Base(place) => base_multiple(field.0, group, base, place),
        };
        sum = field.add_affine(&sum, &point, negative);
    }
    sum
}

/// The multiple of G, or of 2^130·G, that a digit names.
#[inline(always)]
fn base_multiple<L: Lanes>(
    lanes: L,
    group: &Group<'_>,
    base: &[u64],
    place: usize,
) -> ([Factors<L>; 2], L::Word) {
    let upper = if place < BASE_PLACES { 0 } else { BASE_ENTRIES };
    let start = |_, index: u64| (index + upper as u64) * BASE_ENTRY as u64;
    let (at, negative) = group.digits(lanes, |task| task.base.digit(place), start);
    let [x, y] = split(lanes.gather(base, at, 1));
    let x = limbwise(|limb| lanes.factor_from_bits(x[limb]));
    (([x, limbwise(|limb| lanes.factor_from_bits(y[limb]))]), negative)
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
const STEPS: [Step; DIGITS - 1 + BASE_DIGITS] = steps();

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

/// The points' coordinates; the mask is all ones where there is no point.
struct ToAffine<'a, L: Lanes>(&'a [Jacobian<L>]);

impl<L: Lanes> Kernel<L> for ToAffine<'_, L> {
    type Output = Vec<(Affine<L>, L::Word)>;

    #[inline(always)]
    fn run(self, lanes: L) -> Self::Output {
        let field = Field(lanes);
        let one = field.small(1);
        let mut infinite = Vec::with_capacity(self.0.len());
        let mut inverses = Vec::with_capacity(self.0.len());
        for point in self.0 {
            let zero = field.is_zero(&point.z);
            infinite.push(zero);
            inverses.push(field.factors(&field.select(zero, &one, &point.z)));
        }
        lanes.run(InvertAll(&mut inverses));
        let mut points = Vec::with_capacity(self.0.len());
        for ((point, inverse), infinite) in self.0.iter().zip(&inverses).zip(infinite) {
            let square = field.factors(&field.square(inverse));
            let cube = field.factors(&field.mul(&square, inverse));
            let x = field.mul(&field.factors(&point.x), &square);
            let y = field.mul(&field.factors(&point.y), &cube);
            points.push((Affine { x, y }, infinite));
        }
        points
    }
}

//! A batch of signatures, from numbers to public keys.
//!
//! Q = u1·G + u2·R, with u1 = -z / r and u2 = s / r. The stages: lift R from its x; the odd
//! multiples of R; at each place the sum of both halves' digits of u2, as affine points; the
//! doublings, with these sums and G's multiples added in; and Q's coordinates. What divides does
//! so with one inversion for many groups.

use std::cell::Cell;

use super::{
    digits::{BaseDigits, Halves},
    field::{Element, Field, limbs, limbwise, words},
    lanes::{Kernel, LIMBS, Lanes, MAX_LANES},
    multiples::{OddMultiples, Table, table_words, tables},
    multiply::Multiply,
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

/// Groups whose digits' sums share an inversion: enough to make its part small, and few enough for
/// their tables to stay in the cache from one use to the next, and for the lists of sums to be
/// memory that the allocator keeps.
const SHARED: usize = 4;

thread_local! {
    /// Room for the tables of a batch, kept from one to the next: it is large enough for the
    /// system to take it back in between, and to be slow to give it again.
    static TABLES: Cell<Vec<u64>> = const { Cell::new(Vec::new()) };
}

/// Recovers the keys of a batch, in order.
pub(crate) struct Recover<'a>(pub(crate) &'a [Task]);

impl<L: Lanes> Kernel<L> for Recover<'_> {
    type Output = Vec<Key>;

    #[inline(always)]
    fn run(self, lanes: L) -> Vec<Key> {
        let groups = lanes.run(LoadAll(self.0));
        let (points, exists) = lanes.run(LiftAll(&groups));
        let mut room = TABLES.take();
        let words = groups.len() * table_words::<L>();
        room.resize(words.max(room.len()), 0);
        lanes.run(OddMultiples { points: &points, tables: &mut room[..words] });
        let tables: Vec<Table<'_>> = tables::<L>(&room[..words]).collect();
        let mut products = Vec::with_capacity(groups.len());
        for (groups, tables) in groups.chunks(SHARED).zip(tables.chunks(SHARED)) {
            products.extend(lanes.run(Multiply { groups, tables }));
        }
        TABLES.set(room);
        let keys = lanes.run(ToAffine(&products));
        let mut answers = Vec::with_capacity(groups.len() * L::COUNT);
        for (exists, key) in exists.iter().zip(&keys) {
            write_keys(lanes, *exists, key, &mut answers);
        }
        answers.truncate(self.0.len());
        answers
    }
}

/// As many tasks as there are lanes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Group<L: Lanes> {
    x: Element<L>,
    odd: L::Word,
    /// The signs of u2's halves.
    pub(crate) first: [L::Word; 3],
    pub(crate) second: [L::Word; 3],
    /// The signs of u1, and whether each is to be turned.
    pub(crate) base: [L::Word; 5],
    pub(crate) base_negative: L::Word,
}

/// Loads tasks into lanes; those that none is left for repeat the last.
struct LoadAll<'a>(&'a [Task]);

impl<L: Lanes> Kernel<L> for LoadAll<'_> {
    type Output = Vec<Group<L>>;

    #[inline(always)]
    fn run(self, lanes: L) -> Self::Output {
        let mut groups = Vec::with_capacity(self.0.len().div_ceil(L::COUNT));
        for tasks in self.0.chunks(L::COUNT) {
            let load = |number: &dyn Fn(&Task) -> u64| {
                let task = |lane: usize| tasks[lane.min(tasks.len() - 1)];
                let numbers: [u64; MAX_LANES] = std::array::from_fn(|lane| number(&task(lane)));
                numbers
            };
            let halves = [0, 1, 2].map(|word| {
                [load(&|task| task.halves.first.0[word]), load(&|task| task.halves.second.0[word])]
            });
            let base = [0, 1, 2, 3, 4].map(|word| load(&|task| task.base.signs.0[word]));
            let x = [0, 1, 2, 3, 4].map(|limb| load(&|task| limbs(task.x)[limb]));
            groups.push(Group {
                x: limbwise(|limb| lanes.load(&x[limb])),
                odd: lanes.load(&load(&|task| u64::from(task.odd).wrapping_neg())),
                first: words_of(lanes, halves, 0),
                second: words_of(lanes, halves, 1),
                base: limbwise(|word| lanes.load(&base[word])),
                base_negative: lanes.load(&load(&|task| task.base.negative)),
            });
        }
        groups
    }
}

#[inline(always)]
fn words_of<L: Lanes>(lanes: L, halves: [[[u64; MAX_LANES]; 2]; 3], half: usize) -> [L::Word; 3] {
    [lanes.load(&halves[0][half]), lanes.load(&halves[1][half]), lanes.load(&halves[2][half])]
}

/// Each group's R, or G where there is none, and where there is one.
struct LiftAll<'a, L: Lanes>(&'a [Group<L>]);

impl<L: Lanes> Kernel<L> for LiftAll<'_, L> {
    type Output = (Vec<Affine<L>>, Vec<L::Word>);

    #[inline(always)]
    fn run(self, lanes: L) -> Self::Output {
        let mut points = Vec::with_capacity(self.0.len());
        let mut exists = Vec::with_capacity(self.0.len());
        let mut add = |(point, exists_here)| {
            points.push(point);
            exists.push(exists_here);
        };
        let (pairs, last) = self.0.as_chunks::<2>();
        for [a, b] in pairs {
            let [a, b] = Field(lanes).lift(&[a.x, b.x], [a.odd, b.odd]);
            add(a);
            add(b);
        }
        for group in last {
            let [lifted] = Field(lanes).lift(&[group.x], [group.odd]);
            add(lifted);
        }
        (points, exists)
    }
}

/// What each lane of a point comes to.
#[inline(always)]
fn write_keys<L: Lanes>(
    lanes: L,
    exists: L::Word,
    (point, infinite): &(Affine<L>, L::Word),
    keys: &mut Vec<Key>,
) {
    let field = Field(lanes);
    let x = stored_limbs(lanes, field.canonical(&point.x));
    let y = stored_limbs(lanes, field.canonical(&point.y));
    let (exists, infinite) = (stored(lanes, exists), stored(lanes, *infinite));
    for lane in 0..L::COUNT {
        keys.push(if exists[lane] == 0 {
            Key::NoPoint
        } else if infinite[lane] != 0 {
            Key::Exceptional
        } else {
            Key::Point([words(x.map(|limb| limb[lane])), words(y.map(|limb| limb[lane]))])
        });
    }
}

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

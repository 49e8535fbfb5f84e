//! Odd multiples of each signature's R.

use super::{
    field::{Element, Field, limbwise},
    lanes::{Factors, Kernel, LIMBS, Lanes},
    point::{Affine, InvertAll},
};

/// Odd multiples of R in a table: R, 3R, ... 31R.
const MULTIPLES: usize = 16;
/// Rows of an entry: the limbs of x, of y, and of the x of λ times the point, and one unused,
/// which makes it a power of two.
const ROWS: usize = 16;
/// The first row of the y.
const Y: usize = LIMBS;
/// The first row of λ's x, beside the y that both points have.
const ENDOMORPHIC_X: usize = 2 * LIMBS;
/// Entries of a table: the odd multiples, and after them 2R, 4R, 8R and 16R.
const ENTRIES: usize = MULTIPLES + 4;

/// A cube root of 1: λ·(x, y) = (BETA·x, y).
const BETA: [u64; 4] =
    [0xc139_6c28_7195_01ee, 0x9cf0_4975_12f5_8995, 0x6e64_479e_ac34_34e9, 0x7ae9_6a2b_657c_0710];

/// A sum of two entries; of an entry with itself, its double.
#[derive(Debug, Clone, Copy)]
struct Sum {
    into: usize,
    of: [usize; 2],
}

const fn sum(into: usize, of: [usize; 2]) -> Sum {
    Sum { into, of }
}

/// All additions of a level share one inversion.
const LEVELS: [&[Sum]; 5] = {
    let [two, four, eight, sixteen] = [16, 17, 18, 19];
    [
        &[sum(two, [0, 0])],
        &[sum(four, [two, two]), sum(1, [two, 0])],
        &[sum(eight, [four, four]), sum(2, [four, 0]), sum(3, [four, 1])],
        &[
            sum(sixteen, [eight, eight]),
            sum(4, [eight, 0]),
            sum(5, [eight, 1]),
            sum(6, [eight, 2]),
            sum(7, [eight, 3]),
        ],
        &[
            sum(8, [sixteen, 0]),
            sum(9, [sixteen, 1]),
            sum(10, [sixteen, 2]),
            sum(11, [sixteen, 3]),
            sum(12, [sixteen, 4]),
            sum(13, [sixteen, 5]),
            sum(14, [sixteen, 6]),
            sum(15, [sixteen, 7]),
        ],
    ]
};

/// A group's table: for each entry and row, the lanes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Table<'a>(&'a [u64]);

/// Words of a group's table.
pub(crate) const fn table_words<L: Lanes>() -> usize {
    ENTRIES * ROWS * L::COUNT
}

/// The tables that [`OddMultiples`] wrote.
pub(crate) fn tables<L: Lanes>(words: &[u64]) -> impl Iterator<Item = Table<'_>> {
    words.chunks_exact(table_words::<L>()).map(Table)
}

impl Table<'_> {
    /// In each lane, the odd multiple of R with this index.
    #[inline(always)]
    pub(crate) fn multiple<L: Lanes>(self, lanes: L, index: L::Word) -> Affine<L> {
        let rows = lanes.gather::<{ 2 * LIMBS }>(self.0, starts(lanes, index), L::COUNT);
        Affine { x: limbwise(|limb| rows[limb]), y: limbwise(|limb| rows[Y + limb]) }
    }

    /// In each lane, the odd multiple of λ·R with this index.
    #[inline(always)]
    pub(crate) fn endomorphic<L: Lanes>(self, lanes: L, index: L::Word) -> Affine<L> {
        let shared = &self.0[Y * L::COUNT..];
        let rows = lanes.gather::<{ 2 * LIMBS }>(shared, starts(lanes, index), L::COUNT);
        Affine {
            x: limbwise(|limb| rows[ENDOMORPHIC_X - Y + limb]),
            y: limbwise(|limb| rows[limb]),
        }
    }
}

/// Where each lane's entry begins.
#[inline(always)]
fn starts<L: Lanes>(lanes: L, index: L::Word) -> L::Word {
    const LANES: [u64; 8] = [0, 1, 2, 3, 4, 5, 6, 7];
    let entry = (ROWS * L::COUNT).ilog2();
    lanes.add(lanes.shl_by(index, entry), lanes.load(&LANES))
}

/// Writes the tables of all points, one after the other.
///
/// A point of prime order has no small multiples that are equal or opposite, so no denominator is
/// zero.
pub(crate) struct OddMultiples<'a, L: Lanes> {
    pub(crate) points: &'a [Affine<L>],
    pub(crate) tables: &'a mut [u64],
}

impl<L: Lanes> Kernel<L> for OddMultiples<'_, L> {
    type Output = ();

    #[inline(always)]
    fn run(self, lanes: L) {
        let mut inverses = Vec::with_capacity(self.points.len() * LEVELS[4].len());
        for (point, table) in
            self.points.iter().zip(self.tables.chunks_exact_mut(table_words::<L>()))
        {
            Entries { field: Field(lanes), table }.write_point(0, point);
        }
        for level in LEVELS {
            lanes.run(Level { level, tables: self.tables, inverses: &mut inverses });
        }
        for table in self.tables.chunks_exact_mut(table_words::<L>()) {
            Entries { field: Field(lanes), table }.write_endomorphic();
        }
    }
}

/// A level of all tables.
struct Level<'a, L: Lanes> {
    level: &'a [Sum],
    tables: &'a mut [u64],
    inverses: &'a mut Vec<Factors<L>>,
}

impl<L: Lanes> Kernel<L> for Level<'_, L> {
    type Output = ();

    #[inline(always)]
    fn run(self, lanes: L) {
        let field = Field(lanes);
        self.inverses.clear();
        for table in self.tables.chunks_exact_mut(table_words::<L>()) {
            let entries = Entries { field, table };
            for sum in self.level {
                self.inverses.push(entries.denominator(sum));
            }
        }
        lanes.run(InvertAll(self.inverses));
        let inverses = self.inverses.chunks_exact(self.level.len());
        for (table, inverses) in self.tables.chunks_exact_mut(table_words::<L>()).zip(inverses) {
            let mut entries = Entries { field, table };
            for (sum, inverse) in self.level.iter().zip(inverses) {
                let point = entries.finished(sum, inverse);
                entries.write_point(sum.into, &point);
            }
        }
    }
}

/// A table in work.
struct Entries<'a, L: Lanes> {
    field: Field<L>,
    table: &'a mut [u64],
}

impl<L: Lanes> Entries<'_, L> {
    #[inline(always)]
    fn denominator(&self, sum: &Sum) -> Factors<L> {
        let [p, q] = sum.of;
        if p == q {
            let y = self.read(p, Y);
            self.field.sum(&y, &y)
        } else {
            self.field.difference(&self.read(p, 0), &self.read(q, 0))
        }
    }

    #[inline(always)]
    fn finished(&self, sum: &Sum, inverse: &Factors<L>) -> Affine<L> {
        let [p, q] = sum.of;
        let point = Affine { x: self.read(p, 0), y: self.read(p, Y) };
        let rise = if p == q {
            self.field.tangent(&point)
        } else {
            self.field.difference(&point.y, &self.read(q, Y))
        };
        let slope = self.field.factors(&self.field.mul(&rise, inverse));
        self.field.along(&point, &self.read(q, 0), &slope)
    }

    #[inline(always)]
    fn write_endomorphic(&mut self) {
        let beta = self.field.factors(&self.field.constant(BETA));
        for entry in 0..MULTIPLES {
            let x = self.field.factors(&self.read(entry, 0));
            self.write(entry, ENDOMORPHIC_X, &self.field.mul(&x, &beta));
        }
    }

    #[inline(always)]
    fn write_point(&mut self, entry: usize, point: &Affine<L>) {
        self.write(entry, 0, &point.x);
        self.write(entry, Y, &point.y);
    }

    #[inline(always)]
    fn read(&self, entry: usize, row: usize) -> Element<L> {
        let start = (entry * ROWS + row) * L::COUNT;
        limbwise(|limb| self.field.0.load(&self.table[start + limb * L::COUNT..]))
    }

    #[inline(always)]
    fn write(&mut self, entry: usize, row: usize, element: &Element<L>) {
        let start = (entry * ROWS + row) * L::COUNT;
        for (limb, word) in element.iter().enumerate() {
            self.field.0.store(*word, &mut self.table[start + limb * L::COUNT..]);
        }
    }
}

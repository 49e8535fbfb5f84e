//! Odd multiples of each signature's R.

use super::{
    field::Field,
    lanes::{Factors, Kernel, LIMBS, Lanes},
    point::{Affine, InvertAll},
};

/// Odd multiples of R in a table: R, 3R, ... 31R.
pub(crate) const MULTIPLES: usize = 16;
/// Elements of an entry of the table of R: x, y, and the x of λ times the point.
pub(crate) const COORDINATES: usize = 3;
/// Words of an entry, for each lane.
pub(crate) const ENTRY: usize = COORDINATES * LIMBS;

/// A cube root of 1: λ·(x, y) = (BETA·x, y).
const BETA: [u64; 4] =
    [0xc139_6c28_7195_01ee, 0x9cf0_4975_12f5_8995, 0x6e64_479e_ac34_34e9, 0x7ae9_6a2b_657c_0710];

/// A sum of two points made earlier; of a point with itself, its double.
struct Sum {
    into: usize,
    of: [usize; 2],
}

const fn sum(into: usize, of: [usize; 2]) -> Sum {
    Sum { into, of }
}

/// Places 0 to 15 hold the odd multiples, and 16 to 19 these doubles.
const DOUBLES: [usize; 4] = [16, 17, 18, 19];
/// Points in work on the way to a table.
const PLACES: usize = MULTIPLES + DOUBLES.len();
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

/// The tables of all points, one after the other: for each entry and limb, the lanes.
///
/// All additions of a level share one inversion. A point of prime order has no small multiples that
/// are equal or opposite, so no denominator is zero.
pub(crate) struct OddMultiples<'a, L: Lanes>(pub(crate) &'a [Affine<L>]);

impl<L: Lanes> Kernel<L> for OddMultiples<'_, L> {
    type Output = Vec<u64>;

    #[inline(always)]
    fn run(self, lanes: L) -> Vec<u64> {
        let field = Field(lanes);
        let mut places: Vec<_> = self.0.iter().map(|point| [*point; PLACES]).collect();
        let mut inverses = Vec::with_capacity(places.len() * LEVELS[4].len());
        for level in LEVELS {
            inverses.clear();
            for places in &places {
                for sum in level {
                    inverses.push(denominator(field, places, sum));
                }
            }
            lanes.run(InvertAll(&mut inverses));
            for (places, inverses) in places.iter_mut().zip(inverses.chunks_exact(level.len())) {
                for (sum, inverse) in level.iter().zip(inverses) {
                    places[sum.into] = finished(field, places, sum, inverse);
                }
            }
        }
        written(field, &places)
    }
}

#[inline(always)]
fn denominator<L: Lanes>(field: Field<L>, places: &[Affine<L>; PLACES], sum: &Sum) -> Factors<L> {
    let [p, q] = [&places[sum.of[0]], &places[sum.of[1]]];
    if sum.of[0] == sum.of[1] { field.sum(&p.y, &p.y) } else { field.difference(&p.x, &q.x) }
}

#[inline(always)]
fn finished<L: Lanes>(
    field: Field<L>,
    places: &[Affine<L>; PLACES],
    sum: &Sum,
    inverse: &Factors<L>,
) -> Affine<L> {
    let [p, q] = [&places[sum.of[0]], &places[sum.of[1]]];
    let rise = if sum.of[0] == sum.of[1] { field.tangent(p) } else { field.difference(&p.y, &q.y) };
    let slope = field.factors(&field.mul(&rise, inverse));
    field.along(p, &q.x, &slope)
}

#[inline(always)]
fn written<L: Lanes>(field: Field<L>, places: &[[Affine<L>; PLACES]]) -> Vec<u64> {
    let beta = field.factors(&field.constant(BETA));
    let mut table = vec![0; places.len() * MULTIPLES * ENTRY * L::COUNT];
    let mut rows = table.chunks_exact_mut(L::COUNT);
    for places in places {
        for point in &places[..MULTIPLES] {
            let endomorphic = field.mul(&field.factors(&point.x), &beta);
            for element in [&point.x, &point.y, &endomorphic] {
                for word in element {
                    field.0.store(*word, rows.next().expect("the table has a row for each"));
                }
            }
        }
    }
    table
}

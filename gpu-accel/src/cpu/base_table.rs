//! Odd multiples of G, made once for all batches.

use std::sync::OnceLock;

use super::{
    digits::BASE_WINDOW,
    field::{Element, Field},
    lanes::{Emulated, Factors, LIMBS, Lanes},
    point::{Affine, InvertAll},
};

/// Words of an entry: the limbs of x, then of y, as the bits of factors.
pub(crate) const BASE_ENTRY: usize = 2 * LIMBS;
/// Entries for G; as many follow for 2^130·G.
pub(crate) const BASE_ENTRIES: usize = 1 << (BASE_WINDOW - 1);

/// Doublings from G to the second half of the table.
const UPPER: u32 = 130;

/// G, 3G, 5G, ... and the same for 2^130·G, in the form that this instruction set multiplies.
///
/// The first call makes it, which takes a few milliseconds; others wait for it.
pub(crate) fn base_table<L: Lanes>(lanes: L) -> &'static [u64] {
    static INTEGERS: OnceLock<Vec<u64>> = OnceLock::new();
    static DOUBLES: OnceLock<Vec<u64>> = OnceLock::new();
    let integers = INTEGERS.get_or_init(integers);
    if L::INTEGER_FACTORS {
        return integers;
    }
    DOUBLES.get_or_init(|| {
        let mut doubles = integers.clone();
        for chunk in doubles.chunks_exact_mut(L::COUNT) {
            let factor = lanes.factor(lanes.load(chunk));
            lanes.store(lanes.factor_bits(factor), chunk);
        }
        doubles
    })
}

/// One point at a time: the table is made where any CPU can.
type Single = Emulated<1>;

fn integers() -> Vec<u64> {
    let field = Field(Emulated::<1>);
    let base = field.base();
    let upper = (0..UPPER).fold(base, |point, _| double(field, &point));
    let points = odd_multiples(field, base).into_iter().chain(odd_multiples(field, upper));
    points.flat_map(|point| point.x.into_iter().chain(point.y)).map(|[limb]| limb).collect()
}

/// Each round doubles the table: (2(j + 2^m) + 1)·P = (2j + 1)·P + 2^(m+1)·P.
fn odd_multiples(field: Field<Single>, point: Affine<Single>) -> Vec<Affine<Single>> {
    let mut points = Vec::with_capacity(BASE_ENTRIES);
    points.push(point);
    let mut step = double(field, &point);
    while points.len() < BASE_ENTRIES {
        let mut inverses: Vec<_> =
            points.iter().map(|point| field.difference(&point.x, &step.x)).collect();
        field.0.run(InvertAll(&mut inverses));
        let added = points.iter().zip(&inverses).map(|(point, inverse)| {
            let slope = field.mul(&field.difference(&point.y, &step.y), inverse);
            canonical(field, field.along(point, &step.x, &field.factors(&slope)))
        });
        let added: Vec<_> = added.collect();
        points.extend(added);
        step = double(field, &step);
    }
    points
}

fn double(field: Field<Single>, point: &Affine<Single>) -> Affine<Single> {
    let one: Factors<Single> = field.factors(&field.small(1));
    let twice: Element<Single> = field.mul(&field.sum(&point.y, &point.y), &one);
    let inverse = field.factors(&field.inverse(&twice));
    let slope = field.factors(&field.mul(&field.tangent(point), &inverse));
    canonical(field, field.along(point, &point.x, &slope))
}

fn canonical(field: Field<Single>, point: Affine<Single>) -> Affine<Single> {
    Affine { x: field.canonical(&point.x), y: field.canonical(&point.y) }
}

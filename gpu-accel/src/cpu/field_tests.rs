//! Field arithmetic on every instruction set against big integers.

use alloy_primitives::U256;

use super::*;
use crate::cpu::{
    lanes::{Emulated, Kernel},
    testing::{Rng, each_lanes},
};

const P: U256 = U256::from_limbs([0xffff_fffe_ffff_fc2f, u64::MAX, u64::MAX, u64::MAX]);

/// The limbs of one lane each.
fn load<L: Lanes>(lanes: L, numbers: &[[u64; LIMBS]]) -> Element<L> {
    std::array::from_fn(|limb| {
        let column: Vec<u64> = (0..L::COUNT).map(|lane| numbers[lane][limb]).collect();
        lanes.load(&column)
    })
}

fn store<L: Lanes>(lanes: L, element: &Element<L>) -> Vec<[u64; LIMBS]> {
    let mut numbers = vec![[0; LIMBS]; L::COUNT];
    for (limb, word) in element.iter().enumerate() {
        let mut column = vec![0; L::COUNT];
        lanes.store(*word, &mut column);
        numbers.iter_mut().zip(column).for_each(|(number, value)| number[limb] = value);
    }
    numbers
}

/// The value modulo p of limbs that need not be normal.
fn value(limbs: [u64; LIMBS]) -> U256 {
    let radix = U256::from(1) << 52;
    limbs
        .iter()
        .rev()
        .fold(U256::ZERO, |sum, limb| sum.mul_mod(radix, P).add_mod(U256::from(*limb), P))
}

/// A limb near a bound, or anywhere below it.
fn limb(rng: &mut Rng, bits: u32) -> u64 {
    let end = 1 << bits;
    match rng.below(6) {
        0 => 0,
        1 => end - 1 - rng.below(3),
        2 => end / 2 + rng.below(3) - 1,
        3 => rng.below(3),
        _ => rng.below(end),
    }
}

struct Arithmetic<'a>(&'a mut Rng);

impl<L: Lanes> Kernel<L> for Arithmetic<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self, lanes: L) {
        let field = Field(lanes);
        for _ in 0..500 {
            let [a, b, c] = std::array::from_fn(|_| {
                let number =
                    |_| std::array::from_fn(|at| limb(self.0, if at == 4 { 49 } else { 52 }));
                (0..L::COUNT).map(number).collect::<Vec<[u64; LIMBS]>>()
            });
            let [ea, eb, ec] = [&a, &b, &c].map(|numbers| load(lanes, numbers));
            check_products(field, [&ea, &eb, &ec], [&a, &b, &c]);
            check_signs(field, [&ea, &eb], [&a, &b]);
        }
    }
}

fn check_products<L: Lanes>(
    field: Field<L>,
    [ea, eb, ec]: [&Element<L>; 3],
    [a, b, c]: [&Vec<[u64; LIMBS]>; 3],
) {
    let [fa, fb] = [ea, eb].map(|element| field.factors(element));
    let expect = |what: &str, got: &Element<L>, expected: &dyn Fn(usize) -> U256| {
        for (lane, limbs) in store(field.0, got).into_iter().enumerate() {
            let normal = limbs[..4].iter().all(|limb| *limb < 1 << 52) && limbs[4] < 1 << 49;
            assert!(normal, "{what}: {limbs:x?} is not normal");
            assert_eq!(value(limbs), expected(lane), "{what} of {:x?}, {:x?}", a[lane], b[lane]);
        }
    };
    let [va, vb, vc] =
        [a, b, c].map(|numbers| numbers.iter().map(|n| value(*n)).collect::<Vec<_>>());
    let product = |lane: usize| va[lane].mul_mod(vb[lane], P);
    let square = |lane: usize| va[lane].mul_mod(va[lane], P);
    expect("a·b", &field.mul(&fa, &fb), &product);
    expect("a²", &field.square(&fa), &square);
    let eight = U256::from(8);
    let less = |number: U256, lane: usize| number.add_mod(P - vc[lane].mul_mod(eight, P), P);
    let shifted = ec.map(|limb| field.0.shl::<3>(limb));
    let columns = field.0.product(&fa, &fb);
    expect("a·b - 8c", &field.finish(field.less(columns, &shifted)), &|lane| {
        less(product(lane), lane)
    });
    let columns = field.0.square(&fa);
    expect("3a²", &field.finish(field.tripled(columns)), &|lane| {
        square(lane).mul_mod(U256::from(3), P)
    });
    expect("8a²", &field.finish(field.doubled::<3>(columns)), &|lane| {
        square(lane).mul_mod(eight, P)
    });
    let difference = field.difference(ea, eb);
    expect("(a-b)²", &field.square(&difference), &|lane| {
        let difference = va[lane].add_mod(P - vb[lane], P);
        difference.mul_mod(difference, P)
    });
}

fn check_signs<L: Lanes>(
    field: Field<L>,
    [ea, eb]: [&Element<L>; 2],
    [a, b]: [&Vec<[u64; LIMBS]>; 2],
) {
    let signs: Vec<u64> = (0..L::COUNT as u64).map(|lane| (lane % 2).wrapping_neg()).collect();
    let one = field.factors(&field.small(1));
    let signed = field.signed_difference(ea, eb, field.0.load(&signs));
    let signed = store(field.0, &field.canonical(&field.mul(&signed, &one)));
    let canonical = store(field.0, &field.canonical(ea));
    for lane in 0..L::COUNT {
        let (a, b) = (value(a[lane]), value(b[lane]));
        let (x, y) = if signs[lane] == 0 { (a, b) } else { (b, a) };
        let expected = limbs(x.add_mod(P - y, P).into_limbs());
        assert_eq!(signed[lane], expected, "lane {lane}");
        assert_eq!(canonical[lane], limbs(a.into_limbs()), "lane {lane}");
    }
}

#[test]
fn arithmetic_equals_big_integers() {
    let mut rng = Rng::from_env();
    each_lanes!(|lanes| lanes.run(Arithmetic(&mut rng)));
}

struct Roots<'a>(&'a mut Rng);

impl<L: Lanes> Kernel<L> for Roots<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self, lanes: L) {
        let field = Field(lanes);
        for round in 0..4 {
            let number = |_| U256::from_limbs(std::array::from_fn(|_| self.0.word()));
            let mut numbers: Vec<U256> = (0..L::COUNT).map(number).collect();
            if round == 0 {
                numbers[0] = U256::ZERO;
            }
            let a: Vec<_> = numbers.iter().map(|n| limbs(n.into_limbs())).collect();
            let a = load(lanes, &a);
            let root = store(lanes, &field.square_roots(&[a])[0]);
            let inverse = store(lanes, &field.inverse(&a));
            for (lane, number) in numbers.iter().enumerate() {
                let exponent = (P >> 2) + U256::from(1);
                assert_eq!(value(root[lane]), number.pow_mod(exponent, P));
                assert_eq!(value(inverse[lane]), number.pow_mod(P - U256::from(2), P));
            }
        }
    }
}

#[test]
fn roots_and_inverses_equal_big_integers() {
    let mut rng = Rng::from_env();
    each_lanes!(|lanes| lanes.run(Roots(&mut rng)));
}

#[test]
fn zero_has_three_forms_and_each_is_seen() {
    let field = Field(Emulated::<3>);
    let p = limbs(P.into_limbs());
    // 2p: as p, but for its last limb, which is near 2^49.
    let twice = {
        let sum: u128 = 2 * u128::from(p[0]);
        [sum as u64 & LIMB_MASK, LIMB_MASK, LIMB_MASK, LIMB_MASK, (1 << 49) - 1]
    };
    let zeros = load(Emulated::<3>, &[[0; LIMBS], p, twice]);
    assert_eq!(field.is_zero(&zeros)[..2], [u64::MAX; 2]);
    let others = load(Emulated::<3>, &[[1, 0, 0, 0, 0], [p[0] - 1, p[1], p[2], p[3], p[4]], p]);
    assert_eq!(field.is_zero(&others)[..2], [0; 2]);
}

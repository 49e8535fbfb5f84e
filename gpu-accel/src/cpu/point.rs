//! Points of secp256k1 in lanes: y² = x³ + 7.
//!
//! Two exceptional cases of an addition need no detection. Where the points are equal or opposite,
//! the Jacobian formula gives Z = 0, and every doubling or addition after it keeps Z = 0, so
//! one look at the last Z tells of all of them. Affine additions are used only where these cases
//! cannot occur.

use super::{
    field::{Element, Field, limbwise},
    lanes::{Factors, Kernel, Lanes},
};

/// A point with both coordinates.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Affine<L: Lanes> {
    pub(crate) x: Element<L>,
    pub(crate) y: Element<L>,
}

/// (X / Z², Y / Z³); no point where Z = 0.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Jacobian<L: Lanes> {
    pub(crate) x: Element<L>,
    pub(crate) y: Element<L>,
    pub(crate) z: Element<L>,
}

/// G.
pub(crate) const BASE: [[u64; 4]; 2] = [
    [0x59f2_815b_16f8_1798, 0x029b_fcdb_2dce_28d9, 0x55a0_6295_ce87_0b07, 0x79be_667e_f9dc_bbac],
    [0x9c47_d08f_fb10_d4b8, 0xfd17_b448_a685_5419, 0x5da4_fbfc_0e11_08a8, 0x483a_da77_26a3_c465],
];

impl<L: Lanes> Field<L> {
    /// G in all lanes.
    #[inline(always)]
    pub(crate) fn base(self) -> Affine<L> {
        Affine { x: self.constant(BASE[0]), y: self.constant(BASE[1]) }
    }

    /// -a where the mask is all ones.
    #[inline(always)]
    pub(crate) fn negated_where(self, a: &Element<L>, negative: L::Word) -> Element<L> {
        let signed = self.signed_difference(a, &self.small(0), negative);
        self.mul(&signed, &self.factors(&self.small(1)))
    }

    /// 2P, in three products and four squares.
    #[inline(always)]
    pub(crate) fn double(self, p: &Jacobian<L>) -> Jacobian<L> {
        let (x, y, z) = (self.factors(&p.x), self.factors(&p.y), self.factors(&p.z));
        // E = 3X², B = Y², D = 4XB.
        let e = self.factors(&self.finish(self.tripled(self.0.square(&x))));
        let b = self.factors(&self.square(&y));
        let d = self.finish(self.doubled::<2>(self.0.product(&x, &b)));
        // X' = E² - 2D, Y' = E(D - X') - 8B², Z' = 2YZ.
        let columns = self.less(self.0.square(&e), &d);
        let x = self.finish(self.less(columns, &d));
        let bb = self.square(&b);
        let eight = limbwise(|i| self.0.shl::<3>(bb[i]));
        let rest = self.difference(&d, &x);
        let y_z = self.0.product(&y, &z);
        let y = self.finish(self.less(self.0.product(&e, &rest), &eight));
        Jacobian { x, y, z: self.finish(self.doubled::<1>(y_z)) }
    }

    /// P + Q, or P - Q where the mask is all ones; in eight products and three squares.
    #[inline(always)]
    pub(crate) fn add_affine(
        self,
        p: &Jacobian<L>,
        [qx, qy]: &[Factors<L>; 2],
        negative: L::Word,
    ) -> Jacobian<L> {
        let z = self.factors(&p.z);
        let zz = self.factors(&self.square(&z));
        // H = x·Z² - X, and r = y·Z³ ∓ Y, whose sign is made up for in Y'.
        let h = self.factors(&self.finish(self.less(self.0.product(qx, &zz), &p.x)));
        let zzz = self.factors(&self.mul(&z, &zz));
        let signed_y = self.negate_where(&p.y, negative);
        let r = self.factors(&self.finish(self.less(self.0.product(qy, &zzz), &signed_y)));
        let hh = self.factors(&self.square(&h));
        let hhh = self.mul(&h, &hh);
        let v = self.mul(&self.factors(&p.x), &hh);
        // X' = r² - H³ - 2V, Y' = ±r·(V - X') - Y·H³, Z' = Z·H.
        let columns = self.less(self.less(self.0.square(&r), &hhh), &v);
        let x = self.finish(self.less(columns, &v));
        let y_hhh = self.mul(&self.factors(&p.y), &self.factors(&hhh));
        let rest = self.signed_difference(&v, &x, negative);
        let y = self.finish(self.less(self.0.product(&r, &rest), &y_hhh));
        Jacobian { x, y, z: self.mul(&z, &h) }
    }

    /// The third point of the line through P and Q with this slope, mirrored: P + Q.
    #[inline(always)]
    pub(crate) fn along(self, p: &Affine<L>, qx: &Element<L>, slope: &Factors<L>) -> Affine<L> {
        let x = self.finish(self.less(self.less(self.0.square(slope), &p.x), qx));
        let rest = self.difference(&p.x, &x);
        let y = self.finish(self.less(self.0.product(slope, &rest), &p.y));
        Affine { x, y }
    }

    /// 3x², the numerator of a tangent's slope; 2y is its denominator.
    #[inline(always)]
    pub(crate) fn tangent(self, p: &Affine<L>) -> Factors<L> {
        let x = self.factors(&p.x);
        self.factors(&self.finish(self.tripled(self.0.square(&x))))
    }

    /// Each point with this x and parity of y (all ones for odd), and where there is one;
    /// elsewhere G stands in.
    #[inline(always)]
    pub(crate) fn lift<const N: usize>(
        self,
        x: &[Element<L>; N],
        odd: [L::Word; N],
    ) -> [(Affine<L>, L::Word); N] {
        let mut squares = *x;
        for square in &mut squares {
            let x = self.factors(square);
            let xx = self.factors(&self.square(&x));
            let mut columns = self.0.product(&xx, &x);
            columns[0] = self.0.add(columns[0], self.0.splat(7));
            *square = self.finish(columns);
        }
        let roots = self.square_roots(&squares);
        let mut lifted = [(self.base(), self.0.splat(0)); N];
        for (n, lifted) in lifted.iter_mut().enumerate() {
            *lifted = self.lifted(&x[n], &squares[n], &roots[n], odd[n]);
        }
        lifted
    }

    /// The point, if the root's square is y².
    #[inline(always)]
    fn lifted(
        self,
        x: &Element<L>,
        square: &Element<L>,
        y: &Element<L>,
        odd: L::Word,
    ) -> (Affine<L>, L::Word) {
        let lanes = self.0;
        let columns = self.less(lanes.square(&self.factors(y)), square);
        let exists = self.is_zero(&self.finish(columns));
        let parity = lanes.and(self.canonical(y)[0], lanes.splat(1));
        let parity = lanes.sub(lanes.splat(0), parity);
        let y = self.negated_where(y, lanes.xor(parity, odd));
        let base = self.base();
        let point =
            Affine { x: self.select(exists, x, &base.x), y: self.select(exists, &y, &base.y) };
        (point, exists)
    }
}

/// Inverts all in place, at the price of one inversion and three products each. A zero in a lane
/// makes all of this lane zero.
pub(crate) struct InvertAll<'a, L: Lanes>(pub(crate) &'a mut [Factors<L>]);

/// Products that grow side by side, since each step of one waits for the step before.
const CHAINS: usize = 2;

impl<L: Lanes> Kernel<L> for InvertAll<'_, L> {
    type Output = ();

    #[inline(always)]
    fn run(self, lanes: L) {
        let field = Field(lanes);
        let one = field.factors(&field.small(1));
        let mut products = [one; CHAINS];
        let mut before = Vec::with_capacity(self.0.len());
        for (at, value) in self.0.iter().enumerate() {
            let product = &mut products[at % CHAINS];
            before.push(*product);
            *product = field.factors(&field.mul(product, value));
        }
        let [first, second] = products;
        let both = field.factors(&field.inverse(&field.mul(&first, &second)));
        // 1 / first = second / (first · second), and the other way round.
        let mut inverses = [second, first];
        for inverse in &mut inverses {
            *inverse = field.factors(&field.mul(&both, inverse));
        }
        let values = self.0.iter_mut().zip(before).enumerate().rev();
        for (at, (value, before)) in values {
            let inverse = &mut inverses[at % CHAINS];
            let own = field.factors(&field.mul(inverse, &before));
            *inverse = field.factors(&field.mul(inverse, value));
            *value = own;
        }
    }
}

//! BN254's multiplication with its endomorphism (EIP-196).
//!
//! revm multiplies by double and add over the whole scalar. arkworks knows a second way, which
//! splits the scalar in two halves (Gallant, Lambert, Vanstone), and takes it for points in
//! projective form.

use ark_bn254::{Fq, Fr, G1Affine};
use ark_ec::{AffineRepr, CurveGroup};
use ark_ff::{BigInteger, PrimeField, Zero};
use revm::precompile::PrecompileHalt;

/// `scalar` times `point`: x and y of 32 bytes each, a scalar of 32 bytes that need not be below
/// the group order, all big-endian. (0, 0) is the point at infinity.
///
/// # Errors
/// [`PrecompileHalt::Bn254FieldPointNotAMember`] if a coordinate is not below the field's prime,
/// [`PrecompileHalt::Bn254AffineGFailedToCreate`] if the point is not on the curve.
pub(super) fn g1_mul(point: &[u8], scalar: &[u8]) -> Result<[u8; 64], PrecompileHalt> {
    let (x, y) = point.split_at(32);
    let point = read_point(read_coordinate(x)?, read_coordinate(y)?)?;
    let product = point.into_group() * Fr::from_be_bytes_mod_order(scalar);
    Ok(write_point(product.into_affine()))
}

fn read_coordinate(bytes: &[u8]) -> Result<Fq, PrecompileHalt> {
    let limb = |index: usize| {
        let bytes = bytes[8 * index..8 * (index + 1)].try_into().expect("eight bytes are taken");
        u64::from_be_bytes(bytes)
    };
    let limbs = [limb(3), limb(2), limb(1), limb(0)];
    Fq::from_bigint(ark_ff::BigInt::new(limbs)).ok_or(PrecompileHalt::Bn254FieldPointNotAMember)
}

fn read_point(x: Fq, y: Fq) -> Result<G1Affine, PrecompileHalt> {
    if x.is_zero() && y.is_zero() {
        return Ok(G1Affine::identity());
    }
    // The group is the whole curve, so no point on it is outside the subgroup.
    let point = G1Affine::new_unchecked(x, y);
    point.is_on_curve().then_some(point).ok_or(PrecompileHalt::Bn254AffineGFailedToCreate)
}

fn write_point(point: G1Affine) -> [u8; 64] {
    let mut bytes = [0; 64];
    if let Some((x, y)) = point.xy() {
        bytes[..32].copy_from_slice(&x.into_bigint().to_bytes_be());
        bytes[32..].copy_from_slice(&y.into_bigint().to_bytes_be());
    }
    bytes
}

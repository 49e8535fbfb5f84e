//! The back-ends that the precompiles compute with, for serial and parallel execution alike.
//!
//! revm asks one process-wide [`Crypto`] for every cryptographic precompile. [`install`] puts
//! [`PleachCrypto`] there: per precompile the fastest well-kept implementation, as measured by
//! `bench-suite/benches/precompiles.rs`, with results that equal revm's own in every bit. Where
//! revm's default is as fast, it stays.
//!
//! | precompile | back-end | instead of |
//! |---|---|---|
//! | SHA-256 | AWS-LC | `sha2` |
//! | MODEXP | AWS-LC's big numbers | `aurora-engine-modexp` |
//! | ECMUL (BN254) | arkworks with the endomorphism | arkworks, double and add |
//! | KZG point evaluation | blst, one constant of the trusted setup | c-kzg, the whole setup |
//! | P256VERIFY | AWS-LC | `p256` |
//!
//! # First use
//!
//! c-kzg expands the whole trusted setup on its first use, which is seconds where everything else
//! takes microseconds. A point evaluation needs one point of it, `[τ]₂`; [`PleachCrypto`] uses
//! revm's blst implementation, which holds that point as a constant, so nothing is left to load.
//! [`warm_up`] pays the small rest.

use std::sync::OnceLock;

use aws_lc_rs::digest;
use revm::precompile::{
    Crypto, PrecompileHalt, install_crypto, kzg_point_evaluation::blst as kzg_blst,
};

mod bn254;
mod modexp;
mod p256;
#[cfg(test)]
mod tests;

/// The precompiles' back-ends: the fastest of each, with the same results as revm's own.
#[derive(Debug, Clone, Copy, Default)]
pub struct PleachCrypto;

impl Crypto for PleachCrypto {
    fn sha256(&self, input: &[u8]) -> [u8; 32] {
        let digest = digest::digest(&digest::SHA256, input);
        digest.as_ref().try_into().expect("SHA-256 gives 32 bytes")
    }

    fn bn254_g1_mul(&self, point: &[u8], scalar: &[u8]) -> Result<[u8; 64], PrecompileHalt> {
        bn254::g1_mul(point, scalar)
    }

    fn modexp(&self, base: &[u8], exp: &[u8], modulus: &[u8]) -> Result<Vec<u8>, PrecompileHalt> {
        Ok(modexp::modexp(base, exp, modulus))
    }

    fn secp256r1_verify_signature(&self, msg: &[u8; 32], sig: &[u8; 64], pk: &[u8; 64]) -> bool {
        p256::verify(msg, sig, pk)
    }

    fn verify_kzg_proof(
        &self,
        z: &[u8; 32],
        y: &[u8; 32],
        commitment: &[u8; 48],
        proof: &[u8; 48],
    ) -> Result<(), PrecompileHalt> {
        if kzg_blst::verify_kzg_proof(commitment, z, y, proof) {
            Ok(())
        } else {
            Err(PrecompileHalt::BlobVerifyKzgProofFailed)
        }
    }
}

/// Makes revm compute precompiles with [`PleachCrypto`], in the whole process and for good.
///
/// revm has one place for this and keeps what comes first: another provider, or its own default as
/// soon as one precompile has run. So call it before the first block. Calling it again changes
/// nothing and gives the same answer.
///
/// Returns whether [`PleachCrypto`] is what the process uses. Results are the same either way;
/// false means slower.
pub fn install() -> bool {
    static INSTALLED: OnceLock<bool> = OnceLock::new();
    *INSTALLED.get_or_init(|| install_crypto(PleachCrypto))
}

/// Pays the costs of first use that are left, once per process; later calls return at once.
///
/// That is: decoding the one KZG constant, and what AWS-LC looks up about the processor. Well
/// below 10 ms in all, so call it before time is taken, and leave it out otherwise: each of them
/// comes by itself when it is needed.
pub fn warm_up() {
    static WARM: OnceLock<()> = OnceLock::new();
    WARM.get_or_init(|| {
        // The point at infinity proves that the zero polynomial is 0 at 0.
        let mut infinity = [0; 48];
        infinity[0] = 0xc0;
        let proof = PleachCrypto.verify_kzg_proof(&[0; 32], &[0; 32], &infinity, &infinity);
        assert!(proof.is_ok(), "the zero polynomial's proof holds");
        let hash = PleachCrypto.sha256(b"");
        PleachCrypto.secp256r1_verify_signature(&hash, &[1; 64], &[1; 64]);
    });
}

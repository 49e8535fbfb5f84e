//! Which instruction set computes.

use std::{fmt, sync::OnceLock};

use alloy_primitives::{Address, B256, keccak256};

#[cfg(target_arch = "x86_64")]
use super::lanes::{Avx2, Avx512, Avx512Ifma, Lanes};
#[cfg(target_arch = "x86_64")]
use super::{
    keccak::{Avx2Keccak, Avx512Keccak, Avx512VlKeccak, hash_all},
    recover::recover,
};
use crate::{RecoveryError, RecoveryRequest, SignedMessage, recover_one};

/// A way to compute a batch on a CPU; all give the same answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum CpuPath {
    /// Eight lanes with AVX-512 F, DQ and IFMA.
    Avx512Ifma,
    /// Eight lanes with AVX-512 F and DQ.
    Avx512,
    /// Four lanes with AVX2 and FMA.
    Avx2,
    /// One by one, with libsecp256k1 and the assembly of `keccak-asm`.
    Portable,
}

/// Signatures that share the inversions of one batch: enough to make their part small (each batch
/// has seven), and few enough for their tables to stay in a core's second-level cache.
pub(crate) const RECOVER_BATCH: usize = 256;

/// Fewer messages go one by one: a permutation of four lanes takes less time than two of one.
const KECCAK_BATCH_MIN: usize = 2;

impl CpuPath {
    /// From the fastest to the slowest.
    pub const ALL: [Self; 4] = [Self::Avx512Ifma, Self::Avx512, Self::Avx2, Self::Portable];

    /// Whether this CPU has the instructions.
    pub fn is_available(self) -> bool {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx512Ifma => Avx512Ifma::detect().is_some(),
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => Avx512::detect().is_some(),
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => Avx2::detect().is_some(),
            #[cfg(not(target_arch = "x86_64"))]
            Self::Avx512Ifma | Self::Avx512 | Self::Avx2 => false,
            Self::Portable => true,
        }
    }

    /// The fastest that this CPU has the instructions for.
    pub fn best() -> Self {
        static BEST: OnceLock<CpuPath> = OnceLock::new();
        let best = || Self::ALL.into_iter().find(|path| path.is_available());
        *BEST.get_or_init(|| best().unwrap_or(Self::Portable))
    }

    /// Recovers one address per request, in order, on the calling thread. Where the CPU lacks this
    /// path's instructions, [`Self::Portable`] does it.
    pub fn recover(self, requests: &[RecoveryRequest]) -> Vec<Result<Address, RecoveryError>> {
        let mut answers = Vec::with_capacity(requests.len());
        for batch in requests.chunks(RECOVER_BATCH) {
            match self.recover_batch(batch) {
                Some(batch) => answers.extend(batch),
                None => answers.extend(batch.iter().map(recover_one)),
            }
        }
        answers
    }

    /// Hashes each message and recovers one address per request, in order, on the calling thread.
    pub fn recover_messages(
        self,
        requests: &[SignedMessage<'_>],
    ) -> Vec<Result<Address, RecoveryError>> {
        let mut answers = Vec::with_capacity(requests.len());
        for requests in requests.chunks(RECOVER_BATCH) {
            let messages: Vec<&[u8]> = requests.iter().map(|request| request.message).collect();
            let mut hashes = vec![B256::ZERO; messages.len()];
            self.keccak256(&messages, &mut hashes);
            let each = requests.iter().zip(hashes);
            let hashed: Vec<_> = each.map(|(request, hash)| request.with_hash(hash)).collect();
            answers.extend(self.recover(&hashed));
        }
        answers
    }

    /// Keccak-256 of each message, in order, on the calling thread. Where the CPU lacks this path's
    /// instructions, and for a single message, [`Self::Portable`] does it.
    ///
    /// # Panics
    /// If there are not as many places for hashes as messages.
    pub fn keccak256<M: AsRef<[u8]>>(self, messages: &[M], hashes: &mut [B256]) {
        assert_eq!(messages.len(), hashes.len(), "each message has a place for its hash");
        if messages.len() >= KECCAK_BATCH_MIN {
            match self {
                #[cfg(target_arch = "x86_64")]
                Self::Avx512Ifma | Self::Avx512 => {
                    if let Some(keccak) = Avx512Keccak::detect() {
                        return hash_all(keccak, Avx512VlKeccak::detect(), messages, hashes);
                    }
                }
                #[cfg(target_arch = "x86_64")]
                Self::Avx2 => {
                    if let Some(keccak) = Avx2Keccak::detect() {
                        return hash_all(keccak, None::<Avx2Keccak>, messages, hashes);
                    }
                }
                _ => {}
            }
        }
        for (message, hash) in messages.iter().zip(hashes) {
            *hash = keccak256(message);
        }
    }

    /// Batches of fewer signatures go one by one, since a batch pays whole vectors in any case:
    /// measured, as `benches/cpu.rs` does it.
    const fn recover_batch_min(self) -> usize {
        match self {
            Self::Avx512 => 3,
            _ => 2,
        }
    }

    /// None where the batch is to go one by one.
    fn recover_batch(
        self,
        batch: &[RecoveryRequest],
    ) -> Option<Vec<Result<Address, RecoveryError>>> {
        if batch.len() < self.recover_batch_min() {
            return None;
        }
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx512Ifma => self.recover_if(Avx512Ifma::detect(), batch),
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => self.recover_if(Avx512::detect(), batch),
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => self.recover_if(Avx2::detect(), batch),
            _ => None,
        }
    }

    #[cfg(target_arch = "x86_64")]
    fn recover_if<L: Lanes>(
        self,
        lanes: Option<L>,
        batch: &[RecoveryRequest],
    ) -> Option<Vec<Result<Address, RecoveryError>>> {
        lanes.map(|lanes| recover(lanes, self, batch))
    }
}

impl fmt::Display for CpuPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Avx512Ifma => "avx512-ifma",
            Self::Avx512 => "avx512",
            Self::Avx2 => "avx2",
            Self::Portable => "portable",
        })
    }
}

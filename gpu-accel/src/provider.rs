//! The accelerator behind alloy's own recovery functions, for programs that call those.
//!
//! Alloy recovers one signature at a time, wherever somebody asks for a sender. A batch cannot be
//! made of that, but it can go before it: [`AcceleratorProvider::recover_ahead`] recovers the
//! signatures of a block, or of a batch of transactions from the network, together, and whoever
//! asks alloy for one of these senders afterwards gets what was found. What was not recovered
//! ahead is recovered then, by libsecp256k1.

use std::{
    collections::{HashMap, hash_map::RandomState},
    mem,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use alloy_consensus::crypto::{
    CryptoProvider, CryptoProviderAlreadySetError, RecoveryError as AlloyError,
    install_default_provider,
};
use alloy_primitives::{Address, B256, Signature};
use secp256k1::{Message, PublicKey, SECP256K1, ecdsa};

use crate::{
    Accelerator, RecoveryRequest, SignedMessage,
    recovery::{address_of, recover_compact},
};

/// Recovers ahead in batches, and answers alloy from what it found.
///
/// ```
/// use std::sync::Arc;
/// use alloy_consensus::crypto::secp256k1::recover_signer;
/// use alloy_primitives::{B256, Signature, U256};
/// use pleach_gpu_accel::{Accelerator, AcceleratorProvider, RecoveryRequest};
///
/// let accelerator = Arc::new(Accelerator::cpu(2)?);
/// let provider = Arc::new(AcceleratorProvider::new(accelerator, 100_000));
/// provider.install()?;
///
/// let signature = Signature::new(U256::from(1), U256::from(2), false);
/// let message_hash = B256::repeat_byte(3);
/// provider.recover_ahead(&[RecoveryRequest { signature, message_hash, require_low_s: true }]);
/// // Anywhere in the program, through alloy:
/// assert!(recover_signer(&signature, message_hash).is_ok());
/// assert_eq!(provider.metrics().known, 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct AcceleratorProvider {
    accelerator: Arc<Accelerator>,
    found: [Mutex<Found>; SHARDS],
    // Counters that nothing depends on: their order with other memory does not matter.
    known: AtomicU64,
    unknown: AtomicU64,
}

/// What a provider was asked so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ProviderMetrics {
    /// Recoveries that alloy asked for and that had been made ahead.
    pub known: u64,
    /// Recoveries that alloy asked for and that were made then.
    pub unknown: u64,
}

/// Parts of what was found, each with a lock, so that many threads can ask.
const SHARDS: usize = 16;

/// r, s, parity and message hash, all that an answer depends on.
type Key = ([u8; 65], [u8; 32]);

/// Answers: those found last, and those before. When the former are too many, the latter go.
#[derive(Debug)]
struct Found {
    most: usize,
    // Keyed at random: whoever makes signatures cannot make them collide.
    recent: HashMap<Key, Option<Address>, RandomState>,
    older: HashMap<Key, Option<Address>, RandomState>,
}

impl AcceleratorProvider {
    /// A provider that remembers at least `remember` answers, and at most about twice as many, of
    /// some 150 bytes each.
    pub fn new(accelerator: Arc<Accelerator>, remember: usize) -> Self {
        let most = remember.div_ceil(SHARDS).max(1);
        let found = || Found { most, recent: HashMap::default(), older: HashMap::default() };
        Self {
            accelerator,
            found: std::array::from_fn(|_| Mutex::new(found())),
            known: AtomicU64::new(0),
            unknown: AtomicU64::new(0),
        }
    }

    /// Makes this the provider that all of alloy's recovery in this process goes through.
    ///
    /// # Errors
    /// If the process has one already.
    pub fn install(self: &Arc<Self>) -> Result<(), CryptoProviderAlreadySetError> {
        install_default_provider(Arc::clone(self) as Arc<dyn CryptoProvider>)
    }

    /// Recovers a batch and remembers the answers. Whether a high s is refused does not matter:
    /// alloy asks for that by itself.
    pub fn recover_ahead(&self, requests: &[RecoveryRequest]) {
        let requests: Vec<_> = requests
            .iter()
            .map(|request| RecoveryRequest { require_low_s: false, ..*request })
            .collect();
        for (request, answer) in requests.iter().zip(self.accelerator.recover(&requests)) {
            self.remember((compact(&request.signature), request.message_hash.0), answer.ok());
        }
    }

    /// The same from messages that are not hashed yet, such as transactions encoded for signing.
    pub fn recover_messages_ahead(&self, requests: &[SignedMessage<'_>]) {
        let messages: Vec<&[u8]> = requests.iter().map(|request| request.message).collect();
        let hashes = self.accelerator.keccak256(&messages);
        let hashed = |(request, hash): (&SignedMessage<'_>, B256)| request.with_hash(hash);
        self.recover_ahead(&requests.iter().zip(hashes).map(hashed).collect::<Vec<_>>());
    }

    /// What alloy asked so far.
    pub fn metrics(&self) -> ProviderMetrics {
        ProviderMetrics {
            known: self.known.load(Ordering::Relaxed),
            unknown: self.unknown.load(Ordering::Relaxed),
        }
    }

    fn remember(&self, key: Key, answer: Option<Address>) {
        let mut found = self.shard(&key).lock().unwrap_or_else(PoisonError::into_inner);
        if found.recent.len() >= found.most {
            found.older = mem::take(&mut found.recent);
        }
        found.recent.insert(key, answer);
    }

    fn find(&self, key: &Key) -> Option<Option<Address>> {
        let found = self.shard(key).lock().unwrap_or_else(PoisonError::into_inner);
        found.recent.get(key).or_else(|| found.older.get(key)).copied()
    }

    /// By r, which whoever wants all of its own signatures in one shard can choose: that makes
    /// threads wait for each other, and nothing wrong.
    fn shard(&self, (signature, _): &Key) -> &Mutex<Found> {
        &self.found[usize::from(signature[31]) % SHARDS]
    }
}

impl CryptoProvider for AcceleratorProvider {
    fn recover_signer_unchecked(
        &self,
        sig: &[u8; 65],
        msg: &[u8; 32],
    ) -> Result<Address, AlloyError> {
        let answer = match self.find(&(*sig, *msg)) {
            Some(answer) => {
                self.known.fetch_add(1, Ordering::Relaxed);
                answer
            }
            None => {
                self.unknown.fetch_add(1, Ordering::Relaxed);
                recover_compact(sig, msg)
            }
        };
        answer.ok_or_else(AlloyError::new)
    }

    fn verify_and_compute_signer_unchecked(
        &self,
        pubkey: &[u8; 65],
        sig: &[u8; 64],
        msg: &[u8; 32],
    ) -> Result<Address, AlloyError> {
        let verify = || {
            let key = PublicKey::from_slice(pubkey)?;
            let signature = ecdsa::Signature::from_compact(sig)?;
            SECP256K1.verify_ecdsa(&Message::from_digest(*msg), &signature, &key)?;
            Ok::<_, secp256k1::Error>(address_of(&key))
        };
        verify().map_err(|_| AlloyError::new())
    }
}

/// The form in which alloy asks.
pub(crate) fn compact(signature: &Signature) -> [u8; 65] {
    let mut bytes = [0; 65];
    bytes[..32].copy_from_slice(&signature.r().to_be_bytes::<32>());
    bytes[32..64].copy_from_slice(&signature.s().to_be_bytes::<32>());
    bytes[64] = u8::from(signature.v());
    bytes
}

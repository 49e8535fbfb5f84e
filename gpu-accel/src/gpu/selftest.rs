//! Known answers, asked of a device before it is trusted.

use std::time::{Duration, Instant};

use alloy_primitives::{Address, keccak256};

use super::{
    Gpu, GpuError,
    cases::{Random, crafted_requests, random_requests},
    hashing::PackedMessages,
    packing,
};
use crate::{RecoveryError, RecoveryRequest, recover_one};

/// What a self-test asked, and how long it took.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SelfTest {
    /// Crafted exceptional signatures.
    pub crafted: usize,
    /// Random signatures, a tenth of them invalid.
    pub random: usize,
    /// Messages hashed.
    pub messages: usize,
    /// Time of the whole, the drivers' compiling at the first dispatch included.
    pub took: Duration,
}

impl Gpu {
    /// Compares the device with the CPU: all crafted signatures, `random` others, and messages
    /// of every length up to three blocks.
    ///
    /// # Errors
    /// [`GpuError::WrongAnswer`] at the first difference, or a fault of the device.
    pub fn self_test(&self, random: usize) -> Result<SelfTest, GpuError> {
        let start = Instant::now();
        let crafted = crafted_requests();
        self.compare(&crafted, "crafted signature")?;
        self.compare(&random_requests(random, 1), "random signature")?;
        let messages = messages_of_every_length(410);
        self.compare_hashes(&messages)?;
        self.compare_fused(&crafted[..messages.len().min(crafted.len())], &messages)?;
        let messages = messages.len();
        Ok(SelfTest { crafted: crafted.len(), random, messages, took: start.elapsed() })
    }

    /// One address per request, in order, all of them by the device.
    ///
    /// [`crate::Accelerator`] shares a batch with the CPU and survives a device's faults; this
    /// is for those who want neither.
    ///
    /// # Errors
    /// The device's faults.
    pub fn recover(
        &self,
        requests: &[RecoveryRequest],
    ) -> Result<Vec<Result<Address, RecoveryError>>, GpuError> {
        let capacity = requests.len().clamp(1, 2048).min(self.limit(&self.recover));
        let slot = self.slot(&self.recover, capacity)?;
        let mut found = Vec::with_capacity(requests.len());
        for requests in requests.chunks(capacity) {
            let digests = packing::digest_words(requests);
            let words = packing::request_words(requests);
            let pending = self.start(&self.recover, &slot, &words, Some(&digests));
            let words = self.finish(&slot, pending)?;
            found.extend(packing::answers(&words, |i| recover_one(&requests[i])));
        }
        Ok(found)
    }

    /// Compares each answer with libsecp256k1's.
    fn compare(&self, requests: &[RecoveryRequest], what: &str) -> Result<(), GpuError> {
        let found = self.recover(requests)?;
        if found.len() != requests.len() {
            return Err(self.wrong(format!("{} answers to {}", found.len(), requests.len())));
        }
        for (index, (request, found)) in requests.iter().zip(&found).enumerate() {
            let expected = recover_one(request);
            if expected != *found {
                let both = format!("gave {found:?} where {expected:?} is right");
                return Err(self.wrong(format!("{what} {index}: {request:?} {both}")));
            }
        }
        Ok(())
    }

    fn compare_hashes(&self, messages: &[Vec<u8>]) -> Result<(), GpuError> {
        let packed = PackedMessages::new(messages);
        let mut slot = None;
        self.keccak_slot_for(&mut slot, &packed)?;
        let slot = slot.expect("it was just made");
        let words = self.hash(&slot, &packed)?;
        for (message, found) in messages.iter().zip(packing::hashes(&words)) {
            if keccak256(message) != found {
                return Err(self.wrong(format!("hash of {} bytes", message.len())));
            }
        }
        Ok(())
    }

    fn compare_fused(
        &self,
        requests: &[RecoveryRequest],
        messages: &[Vec<u8>],
    ) -> Result<(), GpuError> {
        let messages = &messages[..requests.len()];
        let hash = |(request, message): (&RecoveryRequest, &Vec<u8>)| RecoveryRequest {
            message_hash: keccak256(message),
            ..*request
        };
        let requests: Vec<_> = requests.iter().zip(messages).map(hash).collect();
        let packed = PackedMessages::new(messages);
        let mut slot = None;
        self.keccak_slot_for(&mut slot, &packed)?;
        let slot = slot.expect("it was just made");
        let recover_slot = self.slot(&self.recover, requests.len())?;
        let words = packing::request_words(&requests);
        let pending = self.start_fused(&slot, &recover_slot, &words, &packed);
        let found =
            packing::answers(&self.finish(&recover_slot, pending)?, |i| recover_one(&requests[i]));
        let same =
            requests.iter().zip(&found).all(|(request, found)| recover_one(request) == *found);
        if same { Ok(()) } else { Err(self.wrong("a recovery from messages".to_owned())) }
    }

    pub(crate) fn wrong(&self, what: String) -> GpuError {
        GpuError::WrongAnswer { adapter: self.name.clone(), what }
    }
}

fn messages_of_every_length(most: usize) -> Vec<Vec<u8>> {
    let mut random = Random(2);
    (0..most).map(|length| (0..length).map(|_| random.next() as u8).collect()).collect()
}

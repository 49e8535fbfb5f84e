//! Batches of messages on the device: hashed, or hashed and recovered from.

use super::{
    Gpu, GpuError,
    batch::{Pending, Readback, Slot},
    kernel::{keccak, params_words, recover},
};

/// Messages packed for the device: each begins at a word.
#[derive(Debug, Clone, Default)]
pub(crate) struct PackedMessages {
    words: Vec<u32>,
    places: Vec<u32>,
}

impl PackedMessages {
    pub(crate) fn new<M: AsRef<[u8]>>(messages: &[M]) -> Self {
        let mut packed = Self::default();
        for message in messages {
            let message = message.as_ref();
            packed.places.extend([packed.words.len() as u32, message.len() as u32]);
            let chunks = message.chunks_exact(4);
            let rest = chunks.remainder();
            let word = |bytes: &[u8]| u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
            packed.words.extend(chunks.map(word));
            if !rest.is_empty() {
                let mut last = [0; 4];
                last[..rest.len()].copy_from_slice(rest);
                packed.words.push(u32::from_le_bytes(last));
            }
        }
        // The kernel reads one word past a message that ends at a word's end.
        packed.words.push(0);
        packed
    }

    pub(crate) fn count(&self) -> usize {
        self.places.len() / keccak::PLACE_WORDS as usize
    }
}

/// Buffers for messages; their digests go to the host, or stay for a recovery.
#[derive(Debug)]
pub(crate) struct KeccakSlot {
    words: usize,
    count: usize,
    params: wgpu::Buffer,
    messages: wgpu::Buffer,
    places: wgpu::Buffer,
    digests: Readback,
}

impl Gpu {
    /// Makes buffers for messages of this many words, and this many messages.
    ///
    /// # Errors
    /// [`GpuError::TooLong`] or [`GpuError::OutOfMemory`].
    pub(crate) fn keccak_slot(&self, words: usize, count: usize) -> Result<KeccakSlot, GpuError> {
        let (bytes, limit) = (4 * words as u64, self.buffer_limit());
        if bytes > limit {
            return Err(GpuError::TooLong { adapter: self.name.clone(), bytes, limit });
        }
        let storage = wgpu::BufferUsages::STORAGE;
        let per = |words: u32| 4 * u64::from(words) * count as u64;
        let params = self.input(4 * params_words(0, 0).len() as u64, wgpu::BufferUsages::UNIFORM);
        let slot = KeccakSlot {
            words,
            count,
            params,
            messages: self.input(bytes, storage),
            places: self.input(per(keccak::PLACE_WORDS), storage),
            digests: self.readback(per(keccak::DIGEST_WORDS)),
        };
        self.check(count)?;
        Ok(slot)
    }

    /// The slot if it is large enough, else a new one with room to grow.
    pub(crate) fn keccak_slot_for(
        &self,
        slot: &mut Option<KeccakSlot>,
        messages: &PackedMessages,
    ) -> Result<(), GpuError> {
        let (words, count) = (messages.words.len(), messages.count());
        if slot.as_ref().is_some_and(|slot| slot.words >= words && slot.count >= count) {
            return Ok(());
        }
        *slot = None;
        let limit = usize::try_from(self.buffer_limit() / 4).unwrap_or(usize::MAX);
        let room = words.next_power_of_two().min(limit).max(words);
        *slot = Some(self.keccak_slot(room, count.next_power_of_two())?);
        Ok(())
    }

    /// Hashes messages; 8 words for each.
    ///
    /// # Errors
    /// As the device's faults.
    pub(crate) fn hash(
        &self,
        slot: &KeccakSlot,
        messages: &PackedMessages,
    ) -> Result<Vec<u32>, GpuError> {
        self.send_messages(slot, messages);
        self.dispatch_hash(slot, messages.count(), &slot.digests.device);
        let bytes = 4 * keccak::DIGEST_WORDS as usize * messages.count();
        let pending = self.start_readback(&slot.digests, bytes as u64);
        self.finish_readback(&slot.digests, pending)
    }

    /// Hashes messages and starts recovering from the hashes, which never leave the device.
    pub(crate) fn start_fused(
        &self,
        slot: &KeccakSlot,
        recover_slot: &Slot,
        requests: &[u32],
        messages: &PackedMessages,
    ) -> Pending {
        let count = requests.len() / recover::REQUEST_WORDS as usize;
        assert_eq!(count, messages.count(), "a message for each signature");
        assert!(count <= recover_slot.capacity, "the slot is too small");
        self.send_messages(slot, messages);
        self.dispatch_hash(slot, count, &recover_slot.digests);
        self.start(&self.recover, recover_slot, requests, None)
    }

    pub(crate) fn send_messages(&self, slot: &KeccakSlot, messages: &PackedMessages) {
        assert!(messages.count() <= slot.count, "more messages than places");
        assert!(messages.words.len() <= slot.words, "more words than the slot holds");
        self.write(&slot.messages, &messages.words);
        self.write(&slot.places, &messages.places);
        self.write(&slot.params, &params_words(messages.count() as u32, slot.count as u32));
    }

    /// Hashes what the slot holds into a buffer.
    pub(crate) fn dispatch_hash(
        &self,
        slot: &KeccakSlot,
        count: usize,
        digests: &wgpu::Buffer,
    ) -> wgpu::SubmissionIndex {
        let buffers = [&slot.params, &slot.messages, &slot.places, digests];
        let group = self.group(&self.keccak_layout, &buffers);
        self.dispatch(&self.keccak_kernel, &group, count as u32)
    }

    /// Hashes what the slot holds and waits, without the way to the device and back.
    ///
    /// # Errors
    /// As the device's faults.
    pub(crate) fn hash_resident(&self, slot: &KeccakSlot, count: usize) -> Result<(), GpuError> {
        self.wait(self.dispatch_hash(slot, count, &slot.digests.device))
    }
}

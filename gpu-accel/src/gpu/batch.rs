//! One batch on the device: its buffers, the dispatches, and the answers.

use std::sync::mpsc;

use super::{
    Gpu, GpuError,
    device::Kernel,
    kernel::{keccak, params_words, recover},
};

/// The buffers of a batch of at most `capacity` signatures, used again and again.
#[derive(Debug)]
pub(crate) struct RecoverSlot {
    pub(crate) capacity: usize,
    params: wgpu::Buffer,
    requests: wgpu::Buffer,
    pub(crate) digests: wgpu::Buffer,
    answers: Readback,
    group: wgpu::BindGroup,
}

/// A buffer that kernels write, and the one that the host reads it through.
#[derive(Debug)]
pub(crate) struct Readback {
    pub(crate) device: wgpu::Buffer,
    host: wgpu::Buffer,
}

/// Work that was submitted, and the answer that will come.
#[derive(Debug)]
pub(crate) struct Pending {
    submission: wgpu::SubmissionIndex,
    mapped: mpsc::Receiver<Result<(), wgpu::BufferAsyncError>>,
    bytes: u64,
}

impl Gpu {
    /// The most signatures whose buffers the device's limits admit.
    pub(crate) fn recover_limit(&self) -> usize {
        let words = recover::table_words(self.form).max(recover::work_words(self.form));
        let most = self.buffer_limit() / (4 * u64::from(words));
        usize::try_from(most).unwrap_or(usize::MAX).min(1 << 20)
    }

    /// Makes the buffers for batches of at most this many signatures.
    ///
    /// # Errors
    /// [`GpuError::OutOfMemory`] if there is no room for them.
    pub(crate) fn recover_slot(&self, capacity: usize) -> Result<RecoverSlot, GpuError> {
        if capacity > self.recover_limit() {
            return Err(GpuError::OutOfMemory { adapter: self.name.clone(), batch: capacity });
        }
        let per = |words: u32| 4 * u64::from(words) * capacity as u64;
        let params = self.input(4 * params_words(0, 0).len() as u64, wgpu::BufferUsages::UNIFORM);
        let storage = wgpu::BufferUsages::STORAGE;
        let requests = self.input(per(recover::REQUEST_WORDS), storage);
        let digests = self.input(per(keccak::DIGEST_WORDS), storage);
        let work = self.input(per(recover::work_words(self.form)), storage);
        let table = self.input(per(recover::table_words(self.form)), storage);
        let answers = self.readback(per(recover::ANSWER_WORDS));
        self.check(capacity)?;
        let buffers = [&params, &requests, &digests, &work, &table, &self.comb, &answers.device];
        let group = self.group(&self.recover_layout, &buffers);
        Ok(RecoverSlot { capacity, params, requests, digests, answers, group })
    }

    /// Sends the requests and, where there are any, the digests; starts all stages and the way
    /// back. Each stage is a submission of its own, so that none holds the device for long.
    pub(crate) fn start_recover(
        &self,
        slot: &RecoverSlot,
        requests: &[u32],
        digests: Option<&[u32]>,
    ) -> Pending {
        let count = requests.len() / recover::REQUEST_WORDS as usize;
        assert!(count <= slot.capacity, "a batch of {count} in a slot of {}", slot.capacity);
        self.write(&slot.requests, requests);
        if let Some(digests) = digests {
            self.write(&slot.digests, digests);
        }
        self.dispatch_recover(slot, count);
        let bytes = (4 * recover::ANSWER_WORDS as usize * count) as u64;
        self.start_readback(&slot.answers, bytes)
    }

    /// Starts all stages over what the slot holds; gives the last submission.
    pub(crate) fn dispatch_recover(
        &self,
        slot: &RecoverSlot,
        count: usize,
    ) -> wgpu::SubmissionIndex {
        self.write(&slot.params, &params_words(count as u32, slot.capacity as u32));
        let mut last = None;
        for kernel in &self.recover_kernels {
            last = Some(self.dispatch(kernel, &slot.group, count as u32));
        }
        last.expect("there are stages")
    }

    /// The answers of a batch: a status and an address each.
    ///
    /// # Errors
    /// [`GpuError::Timeout`] or [`GpuError::Lost`].
    pub(crate) fn finish_recover(
        &self,
        slot: &RecoverSlot,
        pending: Pending,
    ) -> Result<Vec<u32>, GpuError> {
        self.finish_readback(&slot.answers, pending)
    }

    /// A buffer that the host writes.
    pub(crate) fn input(&self, bytes: u64, usage: wgpu::BufferUsages) -> wgpu::Buffer {
        self.buffer(bytes, usage | wgpu::BufferUsages::COPY_DST)
    }

    pub(crate) fn readback(&self, bytes: u64) -> Readback {
        let (storage, source) = (wgpu::BufferUsages::STORAGE, wgpu::BufferUsages::COPY_SRC);
        Readback {
            device: self.buffer(bytes, storage | source),
            host: self.buffer(bytes, wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST),
        }
    }

    fn buffer(&self, bytes: u64, usage: wgpu::BufferUsages) -> wgpu::Buffer {
        self.device.create_buffer(&wgpu::BufferDescriptor {
            label: None,
            size: bytes.max(16),
            usage,
            mapped_at_creation: false,
        })
    }

    pub(crate) fn group(
        &self,
        layout: &wgpu::BindGroupLayout,
        buffers: &[&wgpu::Buffer],
    ) -> wgpu::BindGroup {
        let entries: Vec<_> = buffers
            .iter()
            .enumerate()
            .map(|(index, buffer)| wgpu::BindGroupEntry {
                binding: index as u32,
                resource: buffer.as_entire_binding(),
            })
            .collect();
        let descriptor = wgpu::BindGroupDescriptor { label: None, layout, entries: &entries };
        self.device.create_bind_group(&descriptor)
    }

    pub(crate) fn write(&self, buffer: &wgpu::Buffer, words: &[u32]) {
        self.queue.write_buffer(buffer, 0, bytemuck::cast_slice(words));
    }

    pub(crate) fn dispatch(
        &self,
        kernel: &Kernel,
        group: &wgpu::BindGroup,
        count: u32,
    ) -> wgpu::SubmissionIndex {
        let mut encoder = self.device.create_command_encoder(&Default::default());
        {
            let mut pass = encoder.begin_compute_pass(&Default::default());
            pass.set_pipeline(&kernel.pipeline);
            pass.set_bind_group(0, group, &[]);
            pass.dispatch_workgroups(kernel.stage.workgroups(count), 1, 1);
        }
        self.queue.submit([encoder.finish()])
    }

    pub(crate) fn start_readback(&self, readback: &Readback, bytes: u64) -> Pending {
        let mut encoder = self.device.create_command_encoder(&Default::default());
        encoder.copy_buffer_to_buffer(&readback.device, 0, &readback.host, 0, bytes);
        let submission = self.queue.submit([encoder.finish()]);
        let (sender, mapped) = mpsc::channel();
        readback.host.map_async(wgpu::MapMode::Read, 0..bytes, move |result| {
            // The receiver is gone only where the batch was given up.
            let _ = sender.send(result);
        });
        Pending { submission, mapped, bytes }
    }

    pub(crate) fn finish_readback(
        &self,
        readback: &Readback,
        pending: Pending,
    ) -> Result<Vec<u32>, GpuError> {
        self.wait(pending.submission)?;
        self.check(0)?;
        let mapped = pending.mapped.try_recv().map_err(|_| self.lost("no answer was mapped"))?;
        mapped.map_err(|error| self.lost(error))?;
        let view = readback
            .host
            .get_mapped_range(0..pending.bytes)
            .map_err(|error| self.lost(format!("{error:?}")))?;
        let words = bytemuck::pod_collect_to_vec(&view);
        drop(view);
        readback.host.unmap();
        Ok(words)
    }
}

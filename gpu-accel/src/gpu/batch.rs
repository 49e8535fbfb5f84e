//! One batch on the device: its buffers, the dispatches, and the answers.

use std::sync::mpsc;

use super::{
    Gpu, GpuError,
    device::{Kernel, Program},
    kernel::{keccak, params_words},
};

/// The buffers of a batch of at most `capacity` requests, used again and again.
#[derive(Debug)]
pub(crate) struct Slot {
    pub(crate) capacity: usize,
    params: wgpu::Buffer,
    requests: wgpu::Buffer,
    pub(crate) digests: wgpu::Buffer,
    answers: Readback,
    pub(crate) group: wgpu::BindGroup,
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
    /// The most requests whose buffers the device's limits admit.
    pub(crate) fn limit(&self, program: &Program) -> usize {
        let scheme = program.scheme;
        let words = (scheme.table_words)(self.form).max((scheme.work_words)(self.form));
        let most = self.buffer_limit() / (4 * u64::from(words));
        usize::try_from(most).unwrap_or(usize::MAX).min(1 << 20)
    }

    /// Makes the buffers for batches of at most this many requests.
    ///
    /// # Errors
    /// [`GpuError::OutOfMemory`] if there is no room for them.
    pub(crate) fn slot(&self, program: &Program, capacity: usize) -> Result<Slot, GpuError> {
        if capacity > self.limit(program) {
            return Err(GpuError::OutOfMemory { adapter: self.name.clone(), batch: capacity });
        }
        let scheme = program.scheme;
        let per = |words: u32| 4 * u64::from(words) * capacity as u64;
        let params = self.input(4 * params_words(0, 0).len() as u64, wgpu::BufferUsages::UNIFORM);
        let storage = wgpu::BufferUsages::STORAGE;
        let requests = self.input(per(scheme.request_words), storage);
        let digests = self.input(per(keccak::DIGEST_WORDS), storage);
        let work = self.input(per((scheme.work_words)(self.form)), storage);
        let table = self.input(per((scheme.table_words)(self.form)), storage);
        let answers = self.readback(per(scheme.answer_words));
        self.check(capacity)?;
        let buffers = [&params, &requests, &digests, &work, &table, &program.comb, &answers.device];
        let group = self.group(&self.scheme_layout, &buffers);
        Ok(Slot { capacity, params, requests, digests, answers, group })
    }

    /// Sends the requests and, where there are any, the digests; starts all stages and the way
    /// back. Each stage is a submission of its own, so that none holds the device for long.
    pub(crate) fn start(
        &self,
        program: &Program,
        slot: &Slot,
        requests: &[u32],
        digests: Option<&[u32]>,
    ) -> Pending {
        let scheme = program.scheme;
        let count = requests.len() / scheme.request_words as usize;
        assert!(count <= slot.capacity, "a batch of {count} in a slot of {}", slot.capacity);
        self.write(&slot.requests, requests);
        if let Some(digests) = digests {
            self.write(&slot.digests, digests);
        }
        self.dispatch_all(program, slot, count);
        let bytes = (4 * scheme.answer_words as usize * count) as u64;
        self.start_readback(&slot.answers, bytes)
    }

    /// Starts all stages over what the slot holds; gives the last submission.
    pub(crate) fn dispatch_all(
        &self,
        program: &Program,
        slot: &Slot,
        count: usize,
    ) -> wgpu::SubmissionIndex {
        self.send_params(slot, count);
        let dispatch = |kernel| self.dispatch(kernel, &slot.group, count as u32);
        program.kernels.iter().map(dispatch).reduce(|_, last| last).expect("a scheme has stages")
    }

    /// Says how many requests the slot holds.
    pub(crate) fn send_params(&self, slot: &Slot, count: usize) {
        self.write(&slot.params, &params_words(count as u32, slot.capacity as u32));
    }

    /// The answers of a batch.
    ///
    /// # Errors
    /// [`GpuError::Timeout`] or [`GpuError::Lost`].
    pub(crate) fn finish(&self, slot: &Slot, pending: Pending) -> Result<Vec<u32>, GpuError> {
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

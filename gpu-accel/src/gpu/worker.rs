//! One thread per device, which alone speaks to the driver.
//!
//! Callers hand over packed batches and wait for the reply with a deadline. A driver that never
//! returns therefore blocks nobody but its own thread, which is left behind.

use std::{
    collections::VecDeque,
    sync::mpsc::{self, Receiver, RecvTimeoutError, Sender, TryRecvError},
    time::Duration,
};

use super::{
    Gpu, GpuError,
    batch::{Pending, Slot},
    faults::{FaultPlan, InjectedFault},
    hashing::{KeccakSlot, PackedMessages},
    kernel::recover,
};

/// Recoveries in flight: one computes while the next one's data travels.
pub(crate) const IN_FLIGHT: usize = 2;

/// What a device is asked to do.
#[derive(Debug)]
pub(crate) enum Batch {
    /// Recover from these signatures and hashes.
    Recover { requests: Vec<u32>, digests: Vec<u32> },
    /// Recover from these signatures and messages.
    Fused { requests: Vec<u32>, messages: PackedMessages },
}

type Reply = Result<Vec<u32>, GpuError>;

/// A batch and where its answer goes.
#[derive(Debug)]
struct Job {
    batch: Batch,
    reply: Sender<Reply>,
}

/// The caller's end of a device's thread.
#[derive(Debug, Clone)]
pub(crate) struct Worker {
    jobs: Sender<Job>,
    name: String,
    deadline: Duration,
}

/// An answer that will come.
#[derive(Debug)]
pub(crate) struct Ticket {
    reply: Receiver<Reply>,
    name: String,
    deadline: Duration,
}

impl Worker {
    /// Starts the thread, which ends when the last handle is gone.
    ///
    /// # Errors
    /// [`GpuError::OutOfMemory`] if the buffers cannot be made, [`GpuError::Refused`] if the
    /// operating system starts no thread.
    pub(crate) fn start(gpu: Gpu, chunk: usize, faults: FaultPlan) -> Result<Self, GpuError> {
        let (name, deadline) = (gpu.name.clone(), gpu.deadline);
        let slots =
            (0..IN_FLIGHT).map(|_| gpu.slot(&gpu.recover, chunk)).collect::<Result<_, _>>()?;
        let (jobs, queue) = mpsc::channel();
        let device = Device { gpu, free: slots, pending: VecDeque::new(), keccak: None, faults };
        let refused = |error: std::io::Error| GpuError::Refused {
            adapter: name.clone(),
            reason: error.to_string(),
        };
        std::thread::Builder::new()
            .name("pleach-gpu".to_owned())
            .spawn(move || device.serve(&queue))
            .map_err(refused)?;
        Ok(Self { jobs, name, deadline })
    }

    /// Hands over a batch.
    pub(crate) fn submit(&self, batch: Batch) -> Ticket {
        let (sender, reply) = mpsc::channel();
        // Where the thread is gone, the sender is dropped, and the ticket says so.
        let _ = self.jobs.send(Job { batch, reply: sender });
        Ticket { reply, name: self.name.clone(), deadline: self.deadline }
    }
}

impl Ticket {
    /// Waits for the answer.
    ///
    /// # Errors
    /// The device's own, or [`GpuError::Timeout`] where not even the driver returns.
    pub(crate) fn wait(self) -> Result<Vec<u32>, GpuError> {
        let adapter = self.name;
        // Batches in flight before this one have their own time.
        let deadline = self.deadline * (IN_FLIGHT as u32 + 1);
        match self.reply.recv_timeout(deadline) {
            Ok(reply) => reply,
            Err(RecvTimeoutError::Timeout) => Err(GpuError::Timeout { adapter, deadline }),
            Err(RecvTimeoutError::Disconnected) => {
                Err(GpuError::Lost { adapter, reason: "its thread ended".to_owned() })
            }
        }
    }
}

/// The thread's state.
struct Device {
    gpu: Gpu,
    free: Vec<Slot>,
    pending: VecDeque<(Slot, Pending, Sender<Reply>)>,
    keccak: Option<KeccakSlot>,
    faults: FaultPlan,
}

impl Device {
    /// Starts jobs while a slot is free, and finishes the oldest otherwise.
    fn serve(mut self, queue: &Receiver<Job>) {
        loop {
            let job = if self.pending.is_empty() {
                queue.recv().map_err(|_| TryRecvError::Disconnected)
            } else if self.free.is_empty() {
                Err(TryRecvError::Empty)
            } else {
                queue.try_recv()
            };
            match job {
                Ok(job) => self.begin(job),
                Err(TryRecvError::Disconnected) if self.pending.is_empty() => return,
                Err(_) => self.finish_oldest(),
            }
        }
    }

    /// Starts a recovery.
    fn begin(&mut self, job: Job) {
        let fault = self.faults.next();
        if let Some(error) = self.inject_before(fault) {
            self.answer(&job.reply, Err(error));
            return;
        }
        let Job { batch, reply } = job;
        let started = match batch {
            Batch::Recover { requests, digests } => self.slot_for(&requests).map(|slot| {
                let pending = self.gpu.start(&self.gpu.recover, &slot, &requests, Some(&digests));
                (slot, pending)
            }),
            Batch::Fused { requests, messages } => self.fused(&requests, &messages),
        };
        if fault == Some(InjectedFault::LostDevice) {
            self.gpu.device.destroy();
        }
        match started {
            Ok((slot, pending)) => self.pending.push_back((slot, pending, reply)),
            Err(error) => self.answer(&reply, Err(error)),
        }
    }

    /// A free slot; the callers' chunks fit.
    fn slot_for(&mut self, requests: &[u32]) -> Result<Slot, GpuError> {
        let missing =
            || GpuError::OutOfMemory { adapter: self.gpu.name.clone(), batch: requests.len() };
        self.free.pop().ok_or_else(missing)
    }

    fn fused(
        &mut self,
        requests: &[u32],
        messages: &PackedMessages,
    ) -> Result<(Slot, Pending), GpuError> {
        // The hashing slot is shared: the queue runs in order, so the next batch's messages
        // arrive after this one's hashes.
        self.gpu.keccak_slot_for(&mut self.keccak, messages)?;
        let slot = self.slot_for(requests)?;
        let keccak = self.keccak.as_ref().expect("it was just made");
        let pending = self.gpu.start_fused(keccak, &slot, requests, messages);
        Ok((slot, pending))
    }

    fn finish_oldest(&mut self) {
        let Some((slot, pending, reply)) = self.pending.pop_front() else { return };
        let words = self.gpu.finish(&slot, pending);
        self.free.push(slot);
        self.answer(&reply, words);
    }

    /// Sends an answer, falsified where a test asked for it. A caller that gave up is gone.
    fn answer(&self, reply: &Sender<Reply>, words: Reply) {
        let words = if self.faults.current() == Some(InjectedFault::WrongAnswer) {
            words.map(falsified)
        } else {
            words
        };
        let _ = reply.send(words);
    }

    /// What a test asked to go wrong before the batch starts.
    fn inject_before(&self, fault: Option<InjectedFault>) -> Option<GpuError> {
        match fault? {
            InjectedFault::Hang(time) => std::thread::sleep(time),
            InjectedFault::OutOfMemory => {
                return Some(GpuError::OutOfMemory { adapter: self.gpu.name.clone(), batch: 0 });
            }
            InjectedFault::LostDevice | InjectedFault::WrongAnswer => {}
        }
        None
    }
}

/// Other addresses, with the statuses as they were.
fn falsified(mut words: Vec<u32>) -> Vec<u32> {
    for (index, word) in words.iter_mut().enumerate() {
        if !index.is_multiple_of(recover::ANSWER_WORDS as usize) {
            *word ^= 1 << 24;
        }
    }
    words
}

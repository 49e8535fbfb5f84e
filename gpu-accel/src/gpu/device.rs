//! An opened device: its queue, and the kernels built for it.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use super::{
    GpuAdapter, GpuError,
    cache::PipelineStore,
    emit::word::LimbForm,
    hashing::PackedMessages,
    kernel::{Scheme, Stage, keccak, recover},
};

/// How a device is opened.
#[derive(Debug, Clone)]
pub struct GpuOptions {
    /// The limb form; the adapter's best one if not given.
    pub form: Option<LimbForm>,
    /// Where compiled kernels are kept between runs; nowhere if not given.
    pub cache_directory: Option<PathBuf>,
    /// How long a batch may take before the device counts as hung.
    pub deadline: Duration,
}

impl Default for GpuOptions {
    fn default() -> Self {
        Self { form: None, cache_directory: None, deadline: Duration::from_secs(10) }
    }
}

/// The longest that a kernel's first run may take: some drivers compile only then.
const FIRST_RUN: Duration = Duration::from_secs(300);

/// One step of the warm-up, which can take tens of seconds on a cold driver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WarmUp {
    /// The kernel.
    pub kernel: &'static str,
    /// Whether it was built, or run for the first time.
    pub phase: WarmUpPhase,
    /// Kernels that have passed this phase.
    pub done: usize,
    /// Kernels in all.
    pub total: usize,
    /// Time that this one took.
    pub took: Duration,
}

/// What is done with each kernel before the first batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WarmUpPhase {
    /// It is translated and handed to the driver.
    Build,
    /// It runs once, as some drivers compile only then.
    FirstRun,
}

/// One kernel, ready to be dispatched.
#[derive(Debug)]
pub(crate) struct Kernel {
    pub(crate) stage: Stage,
    pub(crate) pipeline: wgpu::ComputePipeline,
}

/// A scheme's kernels on one device.
#[derive(Debug)]
pub(crate) struct Program {
    pub(crate) scheme: &'static Scheme,
    pub(crate) kernels: Vec<Kernel>,
    pub(crate) comb: wgpu::Buffer,
}

/// A device with its kernels.
#[derive(Debug)]
pub struct Gpu {
    pub(crate) name: String,
    pub(crate) form: LimbForm,
    pub(crate) device: wgpu::Device,
    pub(crate) queue: wgpu::Queue,
    pub(crate) deadline: Duration,
    pub(crate) scheme_layout: wgpu::BindGroupLayout,
    pub(crate) recover: Program,
    pub(crate) keccak_layout: wgpu::BindGroupLayout,
    pub(crate) keccak_kernel: Kernel,
    store: PipelineStore,
    fault: Arc<Mutex<Option<Fault>>>,
}

/// What the driver reported since it was last asked.
#[derive(Debug, Clone)]
enum Fault {
    OutOfMemory,
    Lost(String),
}

impl Gpu {
    /// Opens the adapter and builds all kernels, telling `progress` of each.
    ///
    /// # Errors
    /// [`GpuError::Refused`] or [`GpuError::Kernel`] if the driver will not.
    pub fn open(
        adapter: &GpuAdapter,
        options: &GpuOptions,
        progress: &mut dyn FnMut(WarmUp),
    ) -> Result<Self, GpuError> {
        let name = adapter.name().to_owned();
        let form = options.form.unwrap_or_else(|| adapter.best_form());
        let (device, queue) = open_device(adapter, form)?;
        let fault = watch(&device);
        let store = PipelineStore::open(&device, adapter, options.cache_directory.as_deref());
        let scheme_layout = layout(&device, &SCHEME_BINDINGS);
        let keccak_layout = layout(&device, &KECCAK_BINDINGS);
        let mut builder = Builder {
            name: &name,
            form,
            device: &device,
            queue: &queue,
            store: &store,
            fault: &fault,
            done: 0,
            total: recover::SCHEME.stages.len() + 1,
            progress: &mut *progress,
        };
        let recover = builder.program(&recover::SCHEME, &scheme_layout)?;
        let text = keccak::module(form);
        let keccak_kernel = builder.build(keccak::STAGE, &text, &keccak_layout)?;
        let gpu = Self {
            name,
            form,
            device,
            queue,
            deadline: options.deadline,
            scheme_layout,
            recover,
            keccak_layout,
            keccak_kernel,
            store,
            fault,
        };
        gpu.run_first(progress)?;
        gpu.store.save();
        Ok(gpu)
    }

    /// Runs every kernel once, over one request of zeros.
    fn run_first(&self, progress: &mut dyn FnMut(WarmUp)) -> Result<(), GpuError> {
        let slot = self.slot(&self.recover, 1)?;
        let messages = PackedMessages::new(&[[0u8; 1]]);
        let mut keccak = None;
        self.keccak_slot_for(&mut keccak, &messages)?;
        let keccak = keccak.expect("it was just made");
        self.send_messages(&keccak, &messages);
        self.send_params(&slot, 1);
        let total = self.recover.kernels.len() + 1;
        for done in 1..=total {
            let start = Instant::now();
            let kernel = self.recover.kernels.get(done - 1);
            let submission = match kernel {
                Some(kernel) => self.dispatch(kernel, &slot.group, 1),
                None => self.dispatch_hash(&keccak, 1, &slot.digests),
            };
            self.wait_for(submission, FIRST_RUN)?;
            let kernel = kernel.unwrap_or(&self.keccak_kernel).stage.name;
            let (phase, took) = (WarmUpPhase::FirstRun, start.elapsed());
            progress(WarmUp { kernel, phase, done, total, took });
        }
        self.check(0)
    }

    /// Builds the kernels of a further scheme, telling `progress` of each.
    ///
    /// # Errors
    /// [`GpuError::Kernel`] if the driver will not.
    pub(crate) fn program(
        &self,
        scheme: &'static Scheme,
        progress: &mut dyn FnMut(WarmUp),
    ) -> Result<Program, GpuError> {
        let mut builder = Builder {
            name: &self.name,
            form: self.form,
            device: &self.device,
            queue: &self.queue,
            store: &self.store,
            fault: &self.fault,
            done: 0,
            total: scheme.stages.len(),
            progress,
        };
        let program = builder.program(scheme, &self.scheme_layout)?;
        self.store.save();
        Ok(program)
    }

    /// The adapter's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The limb form that its kernels use.
    pub fn form(&self) -> LimbForm {
        self.form
    }

    /// The longest that a batch may take.
    pub fn deadline(&self) -> Duration {
        self.deadline
    }

    /// An error if the driver has reported one since the last call.
    pub(crate) fn check(&self, batch: usize) -> Result<(), GpuError> {
        let fault = self.fault.lock().unwrap_or_else(PoisonError::into_inner).take();
        match fault {
            None => Ok(()),
            Some(Fault::OutOfMemory) => {
                Err(GpuError::OutOfMemory { adapter: self.name.clone(), batch })
            }
            Some(Fault::Lost(reason)) => Err(GpuError::Lost { adapter: self.name.clone(), reason }),
        }
    }

    pub(crate) fn lost(&self, reason: impl ToString) -> GpuError {
        GpuError::Lost { adapter: self.name.clone(), reason: reason.to_string() }
    }

    /// Waits for everything that was submitted.
    pub(crate) fn wait(&self, submission: wgpu::SubmissionIndex) -> Result<(), GpuError> {
        self.wait_for(submission, self.deadline)
    }

    fn wait_for(
        &self,
        submission: wgpu::SubmissionIndex,
        deadline: Duration,
    ) -> Result<(), GpuError> {
        let poll =
            wgpu::PollType::Wait { submission_index: Some(submission), timeout: Some(deadline) };
        match self.device.poll(poll) {
            Ok(_) => Ok(()),
            Err(wgpu::PollError::Timeout) => {
                Err(GpuError::Timeout { adapter: self.name.clone(), deadline })
            }
            Err(error) => Err(self.lost(error)),
        }
    }

    /// The most bytes that one buffer of a batch may have.
    pub(crate) fn buffer_limit(&self) -> u64 {
        let limits = self.device.limits();
        limits.max_storage_buffer_binding_size.min(limits.max_buffer_size)
    }
}

fn open_device(
    adapter: &GpuAdapter,
    form: LimbForm,
) -> Result<(wgpu::Device, wgpu::Queue), GpuError> {
    let mut features = wgpu::Features::PIPELINE_CACHE & adapter.inner.features();
    if form == LimbForm::Wide {
        features |= wgpu::Features::SHADER_INT64;
    }
    let descriptor = wgpu::DeviceDescriptor {
        label: Some("pleach"),
        required_features: features,
        required_limits: adapter.inner.limits(),
        memory_hints: wgpu::MemoryHints::Performance,
        ..Default::default()
    };
    pollster::block_on(adapter.inner.request_device(&descriptor)).map_err(|error| {
        GpuError::Refused { adapter: adapter.name().to_owned(), reason: error.to_string() }
    })
}

/// Keeps what the driver reports outside of calls.
fn watch(device: &wgpu::Device) -> Arc<Mutex<Option<Fault>>> {
    let fault = Arc::new(Mutex::new(None));
    let set = |fault: &Mutex<Option<Fault>>, what| {
        fault.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(what);
    };
    let errors = Arc::clone(&fault);
    device.on_uncaptured_error(Arc::new(move |error| {
        let what = match error {
            wgpu::Error::OutOfMemory { .. } => Fault::OutOfMemory,
            other => Fault::Lost(other.to_string()),
        };
        set(&errors, what);
    }));
    let losses = Arc::clone(&fault);
    device.set_device_lost_callback(move |reason, message| {
        // Dropping the device is no fault.
        if reason != wgpu::DeviceLostReason::Destroyed {
            set(&losses, Fault::Lost(message));
        }
    });
    fault
}

/// The kinds of the bindings, by number.
#[derive(Debug, Clone, Copy)]
enum Binding {
    Uniform,
    Read,
    Write,
}

const SCHEME_BINDINGS: [Binding; 7] = [
    Binding::Uniform,
    Binding::Read,
    Binding::Write,
    Binding::Write,
    Binding::Write,
    Binding::Read,
    Binding::Write,
];
const KECCAK_BINDINGS: [Binding; 4] =
    [Binding::Uniform, Binding::Read, Binding::Read, Binding::Write];

fn layout(device: &wgpu::Device, bindings: &[Binding]) -> wgpu::BindGroupLayout {
    let entry = |(index, binding): (usize, &Binding)| wgpu::BindGroupLayoutEntry {
        binding: index as u32,
        visibility: wgpu::ShaderStages::COMPUTE,
        ty: wgpu::BindingType::Buffer {
            ty: match binding {
                Binding::Uniform => wgpu::BufferBindingType::Uniform,
                Binding::Read => wgpu::BufferBindingType::Storage { read_only: true },
                Binding::Write => wgpu::BufferBindingType::Storage { read_only: false },
            },
            has_dynamic_offset: false,
            min_binding_size: None,
        },
        count: None,
    };
    let entries: Vec<_> = bindings.iter().enumerate().map(entry).collect();
    let descriptor = wgpu::BindGroupLayoutDescriptor { label: None, entries: &entries };
    device.create_bind_group_layout(&descriptor)
}

/// Builds kernels one after the other.
struct Builder<'a> {
    name: &'a str,
    form: LimbForm,
    device: &'a wgpu::Device,
    queue: &'a wgpu::Queue,
    store: &'a PipelineStore,
    fault: &'a Mutex<Option<Fault>>,
    done: usize,
    total: usize,
    progress: &'a mut dyn FnMut(WarmUp),
}

impl Builder<'_> {
    /// All kernels of a scheme, and its comb.
    fn program(
        &mut self,
        scheme: &'static Scheme,
        layout: &wgpu::BindGroupLayout,
    ) -> Result<Program, GpuError> {
        let mut kernels = Vec::new();
        for stage in scheme.stages {
            let text = (scheme.module)(self.form, stage);
            kernels.push(self.build(*stage, &text, layout)?);
        }
        let words = scheme.comb_words(self.form);
        let comb = self.device.create_buffer(&wgpu::BufferDescriptor {
            label: Some("comb"),
            size: 4 * words.len() as u64,
            usage: wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_DST,
            mapped_at_creation: false,
        });
        self.queue.write_buffer(&comb, 0, bytemuck::cast_slice(&words));
        Ok(Program { scheme, kernels, comb })
    }

    fn build(
        &mut self,
        stage: Stage,
        text: &str,
        layout: &wgpu::BindGroupLayout,
    ) -> Result<Kernel, GpuError> {
        let start = Instant::now();
        let module = trusted_module(self.device, stage.name, text);
        let layout = self.device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
            label: None,
            bind_group_layouts: &[Some(layout)],
            immediate_size: 0,
        });
        let pipeline = self.device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label: Some(stage.name),
            layout: Some(&layout),
            module: &module,
            entry_point: Some(stage.name),
            compilation_options: Default::default(),
            cache: self.store.cache(),
        });
        if let Some(fault) = self.fault.lock().unwrap_or_else(PoisonError::into_inner).take() {
            return Err(GpuError::Kernel {
                adapter: self.name.to_owned(),
                kernel: stage.name.to_owned(),
                reason: format!("{fault:?}"),
            });
        }
        self.done += 1;
        let (done, total, took) = (self.done, self.total, start.elapsed());
        let phase = WarmUpPhase::Build;
        (self.progress)(WarmUp { kernel: stage.name, phase, done, total, took });
        Ok(Kernel { stage, pipeline })
    }
}

/// Compiles without bounds checks and loop counters, which the generated texts do not need.
fn trusted_module(device: &wgpu::Device, name: &str, text: &str) -> wgpu::ShaderModule {
    let descriptor = wgpu::ShaderModuleDescriptor {
        label: Some(name),
        source: wgpu::ShaderSource::Wgsl(text.into()),
    };
    #[expect(unsafe_code, reason = "bounds checks and bounded loops cost a third of the speed")]
    // SAFETY: every kernel returns at once for an index at or past the count, all buffers are made
    // for at least that count, digits that index a table are masked to its size, and every loop
    // counts up to a constant or to a length that the host wrote.
    unsafe {
        device.create_shader_module_trusted(descriptor, wgpu::ShaderRuntimeChecks::unchecked())
    }
}

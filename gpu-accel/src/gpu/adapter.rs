//! Which adapters this machine has.

use super::{GpuError, emit::word::LimbForm};

/// Which adapters are looked at.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AdapterChoice {
    /// Whether adapters that compute on the CPU count: for tests, as they gain nothing.
    pub software: bool,
    /// Only adapters whose name contains this, whatever the case.
    pub name: Option<String>,
}

/// One adapter, as the driver describes it.
#[derive(Debug, Clone)]
pub struct GpuAdapter {
    pub(crate) inner: wgpu::Adapter,
    info: wgpu::AdapterInfo,
}

/// The adapters that the choice admits, those that compute in hardware first.
///
/// One device that several back-ends offer is listed once, by its first back-end.
pub fn adapters(choice: &AdapterChoice) -> Vec<GpuAdapter> {
    let descriptor = wgpu::InstanceDescriptor::new_without_display_handle();
    let instance = wgpu::Instance::new(descriptor);
    let mut found: Vec<GpuAdapter> = Vec::new();
    for inner in pollster::block_on(instance.enumerate_adapters(wgpu::Backends::all())) {
        let adapter = GpuAdapter { info: inner.get_info(), inner };
        if choice.admits(&adapter) && !found.iter().any(|other| other.is_same_device(&adapter)) {
            found.push(adapter);
        }
    }
    found.sort_by_key(GpuAdapter::is_software);
    found
}

/// The one adapter that the choice admits first.
///
/// # Errors
/// [`GpuError::NoAdapter`] if it admits none.
pub fn first_adapter(choice: &AdapterChoice) -> Result<GpuAdapter, GpuError> {
    let name = choice.name.clone().unwrap_or_else(|| "any".to_owned());
    adapters(choice).into_iter().next().ok_or(GpuError::NoAdapter { name })
}

impl AdapterChoice {
    fn admits(&self, adapter: &GpuAdapter) -> bool {
        let wanted = |part: &String| adapter.name().to_lowercase().contains(&part.to_lowercase());
        (self.software || !adapter.is_software()) && self.name.as_ref().is_none_or(wanted)
    }
}

impl GpuAdapter {
    /// The device's name.
    pub fn name(&self) -> &str {
        &self.info.name
    }

    /// The driver's name and version.
    pub fn driver(&self) -> String {
        format!("{} {}", self.info.driver, self.info.driver_info).trim().to_owned()
    }

    /// The interface it is reached through, such as `vulkan`.
    pub fn backend(&self) -> String {
        self.info.backend.to_string()
    }

    /// What kind of device it is.
    pub fn kind(&self) -> &'static str {
        match self.info.device_type {
            wgpu::DeviceType::DiscreteGpu => "discrete",
            wgpu::DeviceType::IntegratedGpu => "integrated",
            wgpu::DeviceType::VirtualGpu => "virtual",
            wgpu::DeviceType::Cpu => "software",
            wgpu::DeviceType::Other => "other",
        }
    }

    /// Whether it computes on the CPU.
    pub fn is_software(&self) -> bool {
        self.info.device_type == wgpu::DeviceType::Cpu
    }

    /// The faster limb form that it can run.
    pub fn best_form(&self) -> LimbForm {
        match self.inner.features().contains(wgpu::Features::SHADER_INT64) {
            true => LimbForm::Wide,
            false => LimbForm::Narrow,
        }
    }

    /// A name for what compiled pipelines are valid for, where the back-end can keep them.
    pub(crate) fn cache_key(&self) -> Option<String> {
        wgpu::util::pipeline_cache_key(&self.info)
    }

    fn is_same_device(&self, other: &Self) -> bool {
        let place = |info: &wgpu::AdapterInfo| {
            (info.vendor, info.device, info.name.clone(), info.device_pci_bus_id.clone())
        };
        self.info.backend != other.info.backend && place(&self.info) == place(&other.info)
    }
}

//! Compiled kernels on disk, where the back-end offers them.

use std::path::{Path, PathBuf};

use super::GpuAdapter;

/// A pipeline cache and the file it is kept in.
#[derive(Debug)]
pub(crate) struct PipelineStore {
    cache: Option<wgpu::PipelineCache>,
    file: Option<PathBuf>,
}

impl PipelineStore {
    /// Loads what is there for this adapter and driver; without a directory nothing is kept.
    pub(crate) fn open(
        device: &wgpu::Device,
        adapter: &GpuAdapter,
        directory: Option<&Path>,
    ) -> Self {
        let offered = device.features().contains(wgpu::Features::PIPELINE_CACHE);
        let (Some(directory), Some(key), true) = (directory, adapter.cache_key(), offered) else {
            return Self { cache: None, file: None };
        };
        let file = directory.join(key);
        let data = std::fs::read(&file).ok();
        let descriptor =
            wgpu::PipelineCacheDescriptor { label: None, data: data.as_deref(), fallback: true };
        #[expect(unsafe_code, reason = "wgpu cannot check where the bytes come from")]
        // SAFETY: the file is one that `save` wrote with the same key, and the driver checks its
        // header; with `fallback` it starts empty where it will not have the bytes.
        let cache = unsafe { device.create_pipeline_cache(&descriptor) };
        Self { cache: Some(cache), file: Some(file) }
    }

    pub(crate) fn cache(&self) -> Option<&wgpu::PipelineCache> {
        self.cache.as_ref()
    }

    /// Writes the cache beside its place and moves it there, so that no reader sees half of it.
    /// A cache that cannot be written costs time at the next start, and nothing else.
    pub(crate) fn save(&self) {
        let (Some(cache), Some(file)) = (&self.cache, &self.file) else { return };
        let Some(data) = cache.get_data() else { return };
        if let Err(error) = write_whole(file, &data) {
            log::warn!("compiled kernels could not be kept in {} ({error})", file.display());
        }
    }
}

fn write_whole(file: &Path, data: &[u8]) -> std::io::Result<()> {
    if let Some(directory) = file.parent() {
        std::fs::create_dir_all(directory)?;
    }
    let partial = file.with_extension(format!("partial-{}", std::process::id()));
    std::fs::write(&partial, data)?;
    std::fs::rename(&partial, file)
}

//! What the GPU does, as NVIDIA's management library tells.

use model::GpuUse;
use nvml_wrapper::{Nvml, error::NvmlError};

/// The first GPU, if there is one.
#[derive(Debug)]
pub(crate) struct Gpu {
    nvml: Option<Nvml>,
}

impl Gpu {
    /// Looks for the driver's library once; a machine without it has no GPU to watch.
    pub(crate) fn probe() -> Self {
        let nvml = Nvml::init()
            .inspect_err(|error| tracing::info!(%error, "no GPU is watched: NVIDIA's library is not here"))
            .ok();
        Self { nvml }
    }

    /// What the GPU does now; none if it cannot be told, which the API takes as unknown and not as idle.
    pub(crate) fn usage(&self) -> Option<GpuUse> {
        let nvml = self.nvml.as_ref()?;
        read(nvml)
            .inspect_err(|error| tracing::debug!(%error, "the GPU's use could not be read"))
            .ok()
    }
}

fn read(nvml: &Nvml) -> Result<GpuUse, NvmlError> {
    const MIB: u64 = 1024 * 1024;
    let device = nvml.device_by_index(0)?;
    let memory = device.memory_info()?;
    Ok(GpuUse {
        percent: device.utilization_rates()?.gpu,
        vram_used_mib: memory.used / MIB,
        vram_total_mib: memory.total / MIB,
    })
}

//! What the GPU does, as NVIDIA's management library tells.

use std::time::{Duration, Instant};

use model::GpuUse;
use nvml_wrapper::{Nvml, error::NvmlError, struct_wrappers::device::MemoryInfo};

/// The first GPU, if there is one.
#[derive(Debug)]
pub(crate) struct Gpu {
    nvml: Option<Nvml>,
    took: Duration,
}

impl Gpu {
    /// Looks for the driver's library once; a machine without it has no GPU to watch.
    pub(crate) fn probe() -> Self {
        let begin = Instant::now();
        let nvml = Nvml::init()
            .inspect_err(|error| tracing::info!(%error, "no GPU is watched: NVIDIA's library is not here"))
            .ok();
        let took = begin.elapsed();
        Self { nvml, took }
    }

    /// How long the driver took until it answered for the first time; none without one.
    pub(crate) fn took(&self) -> Option<Duration> {
        self.nvml.as_ref().map(|_| self.took)
    }

    /// What the GPU does now; none if it cannot be told, which the API takes as unknown and not as idle.
    pub(crate) fn usage(&self) -> Option<GpuUse> {
        let nvml = self.nvml.as_ref()?;
        read(nvml)
            .inspect_err(|error| tracing::debug!(%error, "the GPU's use could not be read"))
            .ok()?
    }
}

fn read(nvml: &Nvml) -> Result<Option<GpuUse>, NvmlError> {
    let device = nvml.device_by_index(0)?;
    Ok(of(
        device.utilization_rates().map(|rates| rates.gpu),
        device.memory_info(),
    ))
}

/// What can be told; none if that is nothing. Each by itself: a part of a GPU (MIG) has no utilisation.
fn of(percent: Result<u32, NvmlError>, memory: Result<MemoryInfo, NvmlError>) -> Option<GpuUse> {
    const MIB: u64 = 1024 * 1024;
    if let (Err(error), _) | (_, Err(error)) = (&percent, &memory) {
        tracing::debug!(%error, "not all of the GPU's use could be read");
    }
    let memory = memory.ok();
    let told = GpuUse {
        percent: percent.ok(),
        vram_used_mib: memory.as_ref().map(|memory| memory.used / MIB),
        vram_total_mib: memory.as_ref().map(|memory| memory.total / MIB),
    };
    (told != GpuUse::default()).then_some(told)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_one_field_lacks_the_others_tell() {
        let memory = || MemoryInfo {
            free: 1 << 30,
            reserved: 0,
            total: 3 << 30,
            used: 2 << 30,
            version: 2,
        };
        let part = of(Err(NvmlError::NotSupported), Ok(memory())).unwrap();
        assert_eq!(
            (part.percent, part.vram_used_mib, part.vram_total_mib),
            (None, Some(2048), Some(3072))
        );
        let shared = of(Ok(7), Err(NvmlError::NotSupported)).unwrap();
        assert_eq!((shared.percent, shared.vram_used_mib), (Some(7), None));
        assert_eq!(of(Err(NvmlError::GpuLost), Err(NvmlError::GpuLost)), None);
    }
}

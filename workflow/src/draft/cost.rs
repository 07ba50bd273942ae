//! What nodes take that are no diffusion, in megapixel-steps: first guesses, which the paces learned per model and pool
//! correct.
//!
//! One megapixel-step is a step of SDXL with guidance on one megapixel: two times 6 TFLOP, about 0.2 s on an A10G.

use crate::check::Extent;

/// Seconds in a megapixel-step, as `model::guess` has them.
const UNIT: f64 = 0.2;

/// What a node takes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Cost {
    /// Whatever the picture's size.
    once: f64,
    per_megapixel: f64,
}

/// An upscale model, by the pixels that it sees. The usual one (ESRGAN's RRDBNet) has 16.7 million weights, each used at
/// each pixel: 33 TFLOP in floats of 32 bits, of which an A10G does about 15 a second, and a fifth more since tiles overlap;
/// then 16 times the pixels to scale down again.
pub(crate) const UPSCALE_MODEL: Cost = seconds(2.2 * 1.2 + 16.0 * LANCZOS_SECONDS);
/// One of those that the plugin calls fast: a twentieth of the weights, but of transformers, which reach less of what the GPU
/// can do; and about 4 times the pixels to scale.
pub(crate) const FAST_UPSCALE_MODEL: Cost = seconds(0.5 + 4.0 * LANCZOS_SECONDS);

/// Scaling by lanczos, which ComfyUI does by Pillow on the CPU, by the larger size. Measured with Pillow 12 on one core.
pub(crate) const LANCZOS: Cost = seconds(LANCZOS_SECONDS);
const LANCZOS_SECONDS: f64 = 0.055;

/// Saving a result as PNG at ComfyUI's compression level of 4. Measured like [`LANCZOS`].
pub(crate) const SAVING: Cost = seconds(0.3);

/// ComfyUI's own edges, filters on the GPU.
pub(crate) const EDGES: Cost = seconds(0.05);
/// PiDiNet: 0.7 million weights.
pub(crate) const SCRIBBLE: Cost = detector(3.0, 0.1);
/// Two networks of lines.
pub(crate) const LINE_ART: Cost = detector(34.0, 0.2);
/// A small network of edges, laid over lines that are found on the CPU.
pub(crate) const SOFT_EDGE: Cost = detector(1.0, 0.4);
/// Depth Anything v2 on ViT-B.
pub(crate) const DEPTH: Cost = detector(390.0, 0.4);
/// BAE on EfficientNet-B5.
pub(crate) const NORMAL: Cost = detector(291.0, 0.4);
/// YOLOX-L, which looks at 640x640 pixels, then DWPose for each person, then a drawing on the CPU.
pub(crate) const POSE: Cost = detector(352.0, 0.5);
/// OneFormer on Swin-L.
pub(crate) const SEGMENTATION: Cost = detector(907.0, 1.0);

const fn seconds(per_megapixel: f64) -> Cost {
    Cost {
        once: 0.0,
        per_megapixel: per_megapixel / UNIT,
    }
}

/// A detector with networks of this size. Its pack reads them from disk for each picture
/// (<https://github.com/Fannovel16/comfyui_controlnet_aux>, `node_wrappers`): 0.5 GB a second, and 0.2 s to build them.
const fn detector(megabytes: f64, seconds_per_megapixel: f64) -> Cost {
    Cost {
        once: (0.2 + megabytes / 500.0) / UNIT,
        ..seconds(seconds_per_megapixel)
    }
}

impl Cost {
    /// Of one picture of this size.
    pub(crate) fn of(self, extent: Extent) -> f64 {
        self.once + self.per_megapixel * extent.pixels() as f64 / 1e6
    }
}

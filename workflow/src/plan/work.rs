//! How much there is to do.

use serde::{Deserialize, Serialize};

/// What a plan takes a machine. Loading models and the VAE are not counted: all pictures with a model have them alike, so
/// the pace that is learned for the model has them in it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Work {
    /// Sampling steps that really run, of all passes together; those that `start_step` leaves out are not counted.
    pub steps: u32,
    /// Millions of pixels that one step treats, of the whole batch together; the mean over all steps.
    pub megapixels: f32,
    /// All that is no diffusion (enlarging, detecting, scaling, saving), in megapixel-steps that take as long; of the
    /// whole batch. Plans from before it was counted have 0.
    #[serde(default)]
    pub auxiliary: f32,
}

impl Work {
    /// Megapixel-steps that any plan takes, whatever is in it: about 20 ms on a mid-range GPU, in which no picture comes and
    /// goes.
    pub const FLOOR: f64 = 0.1;

    /// The work of these passes (steps, pixels of one picture), and of what is no diffusion, for a batch.
    pub(crate) fn of(passes: impl Iterator<Item = (u32, u64)>, auxiliary: f64, batch: u32) -> Self {
        let (steps, pixels) = passes.fold((0, 0), |(steps, pixels), (s, p)| (steps + s, pixels + u64::from(s) * p));
        let per_step = if steps == 0 {
            0.0
        } else {
            (pixels * u64::from(batch)) as f64 / f64::from(steps)
        };
        Self {
            steps,
            megapixels: (per_step / 1e6) as f32,
            auxiliary: (auxiliary * f64::from(batch)) as f32,
        }
    }

    /// Megapixel-steps: steps × megapixels, and what is no diffusion; the batch included, at least [`Self::FLOOR`]. Time on
    /// one kind of GPU with one kind of model is about proportional to it.
    pub fn units(&self) -> f64 {
        let diffusion = f64::from(self.steps) * f64::from(self.megapixels);
        (diffusion + f64::from(self.auxiliary)).max(Self::FLOOR)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    #[allow(clippy::float_cmp, reason = "powers of two")]
    fn work_is_the_sum_over_passes_and_what_is_beside_them() {
        let work = Work::of([(20, 1_000_000), (8, 4_000_000)].into_iter(), 0.5, 2);
        assert_eq!((work.steps, work.auxiliary), (28, 1.0));
        assert!((work.units() - 105.0).abs() < 1e-4);
        assert_eq!(Work::of(std::iter::empty(), 3.0, 1).units(), 3.0);
        assert_eq!(Work::of(std::iter::empty(), 0.0, 1).units(), Work::FLOOR);
    }

    #[test]
    #[allow(clippy::float_cmp, reason = "powers of two")]
    fn plans_from_before_have_their_diffusion_or_the_floor() {
        let units = |stored| serde_json::from_value::<Work>(stored).unwrap().units();
        assert_eq!(units(json!({"steps": 4, "megapixels": 0.25})), 1.0);
        assert_eq!(units(json!({"steps": 0, "megapixels": 0.0})), Work::FLOOR);
    }
}

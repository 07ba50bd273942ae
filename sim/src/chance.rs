//! Chance that repeats: each draw depends on the seed, its purpose and its number only, so that two policies meet the
//! same boots, services and mishaps.

use fastrand::Rng;

/// A stream of draws.
#[derive(Debug)]
pub struct Chance(Rng);

impl Chance {
    /// The stream for this purpose and number.
    pub fn new(seed: u64, purpose: &str, number: u64) -> Self {
        // FNV-1a
        let bytes = purpose.bytes().chain(seed.to_le_bytes()).chain(number.to_le_bytes());
        let hash = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        Self(Rng::with_seed(hash))
    }

    /// Evenly between these.
    pub fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.0.f64()
    }

    /// A whole number between these, both included.
    pub fn whole(&mut self, low: u32, high: u32) -> u32 {
        self.0.u32(low..=high)
    }

    /// One of so many.
    pub fn below(&mut self, count: usize) -> usize {
        self.0.usize(..count.max(1))
    }

    /// Whether something of this probability happens.
    pub fn happens(&mut self, probability: f64) -> bool {
        self.0.f64() < probability
    }

    /// Log-normal with this median and this standard deviation of the logarithm (Box and Muller's transform).
    pub fn lognormal(&mut self, median: f64, sigma: f64) -> f64 {
        let radius = (-2.0 * (1.0 - self.0.f64()).ln()).sqrt();
        median * (sigma * radius * (std::f64::consts::TAU * self.0.f64()).cos()).exp()
    }

    /// Exponential with this mean.
    pub fn exponential(&mut self, mean: f64) -> f64 {
        -mean * (1.0 - self.0.f64()).ln()
    }

    /// In another order.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        self.0.shuffle(items);
    }
}

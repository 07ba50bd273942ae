//! Pauses between tries: doubling, with jitter, so that a fleet does not knock in step.

use std::time::Duration;

use uuid::Uuid;

/// The pauses of one row of tries.
#[derive(Debug, Clone)]
pub(crate) struct Backoff {
    first: Duration,
    most: Duration,
    tries: u32,
}

impl Backoff {
    pub(crate) fn new((first, most): (Duration, Duration)) -> Self {
        Self { first, most, tries: 0 }
    }

    /// Begins again with the shortest pause.
    pub(crate) fn reset(&mut self) {
        self.tries = 0;
    }

    /// How many pauses were asked for since the beginning.
    pub(crate) fn tries(&self) -> u32 {
        self.tries
    }

    /// The next pause: between a half and the whole of a time that doubles up to a limit.
    pub(crate) fn next(&mut self) -> Duration {
        let whole = self.first.saturating_mul(1_u32 << self.tries.min(16)).min(self.most);
        self.tries = self.tries.saturating_add(1);
        jittered(whole)
    }

    pub(crate) async fn wait(&mut self) {
        tokio::time::sleep(self.next()).await;
    }
}

/// Between a half and the whole of `whole`.
pub(crate) fn jittered(whole: Duration) -> Duration {
    let share = f64::from(random() as u32) / f64::from(u32::MAX);
    whole.mul_f64(0.5 + share / 2.0)
}

/// A random number; good enough for jitter and seeds.
pub(crate) fn random() -> u64 {
    Uuid::new_v4().as_u64_pair().1 & 0x3fff_ffff_ffff_ffff
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_limit() {
        let mut backoff = Backoff::new((Duration::from_secs(1), Duration::from_secs(5)));
        for whole in [1.0, 2.0, 4.0, 5.0, 5.0] {
            let pause = backoff.next().as_secs_f64();
            assert!((whole / 2.0..=whole).contains(&pause), "{pause} of {whole}");
        }
        backoff.reset();
        assert!(backoff.next() <= Duration::from_secs(1));
    }
}

//! The dead-man switch: a GPU host that nobody uses or nobody watches any more turns itself off, whatever else is broken.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Mutex,
    time::Duration,
};

use tokio::time::Instant;

use super::command::shell;

/// When the host last was of use, and when the API last answered.
#[derive(Debug)]
pub(crate) struct DeadMan {
    times: Mutex<Times>,
    /// What the host's own switch watches.
    alive_file: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy)]
struct Times {
    limit: Duration,
    work: Instant,
    answer: Instant,
}

impl Times {
    fn due(&self) -> Instant {
        self.work.min(self.answer) + self.limit
    }

    /// Why the host must be shut down, if it must.
    fn overdue(&self, now: Instant) -> Option<&'static str> {
        let reason = if self.answer <= self.work {
            "the API has not answered"
        } else {
            "there was no work"
        };
        (self.due() <= now).then_some(reason)
    }
}

impl DeadMan {
    /// Both count from now.
    pub(crate) fn new(limit: Duration, alive_file: Option<PathBuf>) -> Self {
        let now = Instant::now();
        if let Some(folder) = alive_file.as_deref().and_then(Path::parent) {
            // /run is empty after each boot; whether it worked shows at the first answer.
            let _ = fs::create_dir_all(folder);
        }
        Self {
            times: Mutex::new(Times {
                limit,
                work: now,
                answer: now,
            }),
            alive_file,
        }
    }

    pub(crate) fn set_limit(&self, limit: Duration) {
        self.change(|times| times.limit = limit);
    }

    /// A run has begun, goes on or has ended.
    pub(crate) fn worked(&self) {
        self.change(|times| times.work = Instant::now());
    }

    /// A heartbeat was answered.
    pub(crate) fn answered(&self) {
        self.change(|times| times.answer = Instant::now());
        if let Some(file) = &self.alive_file
            && let Err(error) = fs::write(file, "")
        {
            tracing::warn!(%error, "the file that shows that this host is alive cannot be written");
        }
    }

    /// Resolves when the host must be shut down, with the reason.
    pub(crate) async fn expired(&self) -> &'static str {
        loop {
            let times = self.change(|times| *times);
            let now = Instant::now();
            if let Some(reason) = times.overdue(now) {
                return reason;
            }
            let due = times.due().min(now + times.limit.min(Duration::from_secs(5)));
            // The limit may be shortened meanwhile, so the sleep is bounded.
            tokio::time::sleep_until(due).await;
        }
    }

    fn change<T>(&self, change: impl FnOnce(&mut Times) -> T) -> T {
        change(&mut self.times.lock().unwrap_or_else(std::sync::PoisonError::into_inner))
    }
}

/// Shuts the host down. True if the command went well.
pub(crate) async fn shut_down(command: &str) -> bool {
    match shell(command).status().await {
        Ok(status) if status.success() => true,
        Ok(status) => {
            tracing::error!(%status, "the shutdown command failed");
            false
        }
        Err(error) => {
            tracing::error!(%error, "the shutdown command could not be run");
            false
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn needs_both_work_and_answers() {
        let (start, limit) = (Instant::now(), Duration::from_mins(1));
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut times = Times {
            limit,
            work: start,
            answer: at(50),
        };
        assert_eq!(times.overdue(at(59)), None);
        assert_eq!(times.overdue(at(60)), Some("there was no work"));
        times.work = at(55);
        assert_eq!(times.overdue(at(60)), None);
        assert_eq!(times.overdue(at(110)), Some("the API has not answered"));
    }

    #[test]
    fn touches_its_file_with_each_answer() {
        let file = std::env::temp_dir()
            .join(format!("atelier-{}", std::process::id()))
            .join("alive");
        let switch = DeadMan::new(Duration::from_mins(1), Some(file.clone()));
        assert!(!file.exists());
        switch.answered();
        assert!(file.exists());
        fs::remove_dir_all(file.parent().unwrap()).unwrap();
    }
}

//! The dead-man switch: a GPU host that nobody uses or nobody watches any more turns itself off, whatever else is broken.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Mutex,
    time::Duration,
};

use tokio::{process::Command, time::Instant};

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
            let Times { limit, work, answer } = self.change(|times| *times);
            let due = work.min(answer) + limit;
            if due <= Instant::now() {
                return if answer <= work {
                    "the API has not answered"
                } else {
                    "there was no work"
                };
            }
            // The limit may be shortened meanwhile, so the sleep is bounded.
            tokio::time::sleep_until(due.min(Instant::now() + limit.min(Duration::from_secs(5)))).await;
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

/// An operator's command, by the shell, as it stands in a unit file.
pub(crate) fn shell(command: &str) -> Command {
    let mut shell = Command::new("sh");
    shell
        .arg("-c")
        .arg(command)
        .stdin(std::process::Stdio::null())
        .kill_on_drop(true);
    shell
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn needs_both_work_and_answers() {
        let file = std::env::temp_dir().join(format!("atelier-alive-{}", std::process::id()));
        let switch = DeadMan::new(Duration::from_mins(1), Some(file.clone()));
        tokio::time::advance(Duration::from_secs(50)).await;
        switch.answered();
        assert!(file.exists());
        fs::remove_file(file).unwrap();
        assert_eq!(switch.expired().await, "there was no work");
        switch.worked();
        assert_eq!(switch.expired().await, "the API has not answered");
    }
}

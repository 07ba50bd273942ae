//! How much CPU a process has used, from Linux's own books.

use std::{collections::BTreeMap, fs, time::Duration};

use anyhow::{Context, Result, bail};

/// The CPU that a process uses, all its threads together.
#[derive(Debug)]
pub(crate) struct Meter {
    pid: u32,
    /// Nanoseconds of each thread ever seen, so that one that ends is not forgotten.
    threads: BTreeMap<String, u64>,
}

impl Meter {
    pub(crate) fn new(pid: u32) -> Self {
        Self {
            pid,
            threads: BTreeMap::new(),
        }
    }

    /// CPU used from the start until the process has nothing left to do. The kernel's books are exact for a thread that
    /// sleeps, and lag for one that runs; so this waits until all of them sleep.
    pub(crate) async fn when_asleep(&mut self) -> Result<Duration> {
        for _ in 0..5_000 {
            if self.is_asleep()? {
                return self.total();
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        bail!("the function is busy although it asks for its next call")
    }

    fn is_asleep(&self) -> Result<bool> {
        let mut all = true;
        self.each(|folder| {
            let stat = fs::read_to_string(folder.join("stat"))?;
            // After the name, which is in parentheses and may hold anything.
            all &= stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('S'));
            Ok(())
        })?;
        Ok(all)
    }

    fn total(&mut self) -> Result<Duration> {
        let mut threads = std::mem::take(&mut self.threads);
        self.each(|folder| {
            let text = fs::read_to_string(folder.join("schedstat"))?;
            let time = text.split(' ').next().and_then(|it| it.parse().ok());
            let time = time.context("the kernel keeps no schedstat")?;
            threads.insert(folder.to_string_lossy().into_owned(), time);
            Ok(())
        })?;
        self.threads = threads;
        Ok(Duration::from_nanos(self.threads.values().sum()))
    }

    fn each(&self, mut look: impl FnMut(&std::path::Path) -> Result<()>) -> Result<()> {
        let folder = format!("/proc/{}/task", self.pid);
        let threads = fs::read_dir(&folder).with_context(|| format!("{folder} cannot be read"))?;
        for thread in threads {
            let path = thread?.path();
            match look(&path) {
                // It has just ended.
                Err(_) if !path.exists() => {}
                result => result.with_context(|| format!("{} cannot be read", path.display()))?,
            }
        }
        Ok(())
    }
}

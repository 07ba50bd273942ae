//! The core that functions have to themselves, as far as this program is concerned.

use std::{fs, process::Command};

use anyhow::{Context, Result, ensure};

/// Where functions run, and everything else of ours does not.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Core(Option<u32>);

impl Core {
    /// Takes the last core that this program may use and moves the program to the others. None is taken where there is
    /// only one, or no `taskset`.
    pub(crate) fn take() -> Self {
        let core = allowed().filter(|allowed| allowed.len() > 1).and_then(|mut allowed| {
            let core = allowed.pop()?;
            let rest: Vec<_> = allowed.iter().map(u32::to_string).collect();
            pin(&["--all-tasks"], &rest.join(","), &std::process::id().to_string()).ok()?;
            Some(core)
        });
        Self(core)
    }

    /// Its number, if there is one.
    pub(crate) const fn number(self) -> Option<u32> {
        self.0
    }

    /// Does this on the core: a process that is started there stays there.
    pub(crate) fn on<T: Send>(self, start: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        let there = move || {
            if let Some(core) = self.0 {
                let me = fs::read_link("/proc/thread-self").context("there is no /proc/thread-self")?;
                let me = me.file_name().context("/proc/thread-self is no thread")?;
                pin(&[], &core.to_string(), &me.to_string_lossy())?;
            }
            start()
        };
        let result = std::thread::scope(|scope| scope.spawn(there).join());
        result.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }
}

fn pin(options: &[&str], cores: &str, task: &str) -> Result<()> {
    let mut command = Command::new("taskset");
    let command = command.args(options).args(["--cpu-list", "--pid", cores, task]);
    let output = command.output().context("there is no taskset")?;
    ensure!(
        output.status.success(),
        "taskset: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}

/// The cores that this program may use.
fn allowed() -> Option<Vec<u32>> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let list = status
        .lines()
        .find_map(|line| line.strip_prefix("Cpus_allowed_list:"))?;
    let mut cores = Vec::new();
    for part in list.trim().split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        cores.extend(first.parse::<u32>().ok()?..=last.parse().ok()?);
    }
    Some(cores)
}

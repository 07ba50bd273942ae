//! How long this machine took to come up, stage by stage, for whoever wants it quicker.

use std::{fs, sync::OnceLock, time::Duration};

use model::BootTimes;
use tokio::{process::Command, time::Instant};

/// What is known of the boot. Times of day play no part: an instance's clock is set while it boots.
#[derive(Debug)]
pub(crate) struct Boot {
    began: Instant,
    answered: OnceLock<Instant>,
}

impl Boot {
    /// The worker begins.
    pub(crate) fn new() -> Self {
        Self {
            began: Instant::now(),
            answered: OnceLock::new(),
        }
    }

    /// ComfyUI answers; only the first time counts.
    pub(crate) fn comfy_answers(&self) {
        self.answered.get_or_init(Instant::now);
    }

    /// The stages, when the worker has just become ready for the first time. What the driver takes is told by whoever loads it.
    pub(crate) async fn times(&self) -> BootTimes {
        let ready = Instant::now();
        let answered = *self.answered.get_or_init(|| ready);
        let marks = Marks::read().await;
        // Since the kernel began, on the clock of systemd's marks.
        let uptime = uptime().map(|now| now.saturating_sub(ready.elapsed() + (ready - answered)));
        let comfyui = match (uptime, marks.comfyui) {
            (Some(answered), Some(begun)) => answered.saturating_sub(begun),
            _ => answered - self.began,
        };
        BootTimes {
            kernel: marks.kernel.map(ms),
            userland: marks
                .userspace
                .zip(marks.comfyui)
                .map(|(begun, comfyui)| ms(comfyui.saturating_sub(begun))),
            driver: None,
            comfyui: Some(ms(comfyui)),
            warm_up: Some(ms(ready - answered)),
        }
    }
}

pub(crate) fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// What systemd has noted, as time since the kernel began; nothing where it does not run.
#[derive(Debug, Default, PartialEq, Eq)]
struct Marks {
    /// How long the kernel took; none in a container, which has none of its own.
    kernel: Option<Duration>,
    /// When systemd began.
    userspace: Option<Duration>,
    /// When ComfyUI's unit began.
    comfyui: Option<Duration>,
}

impl Marks {
    async fn read() -> Self {
        let of_machine = show(&["--property=KernelTimestamp,UserspaceTimestampMonotonic"]).await;
        let of_comfyui = show(&["--property=ActiveEnterTimestampMonotonic", "comfyui.service"]).await;
        Self::of(&of_machine, &of_comfyui)
    }

    fn of(machine: &str, comfyui: &str) -> Self {
        let userspace = monotonic(machine, "UserspaceTimestampMonotonic");
        let has_kernel = value(machine, "KernelTimestamp").is_some_and(|at| !at.is_empty() && at != "n/a");
        Self {
            kernel: userspace.filter(|_| has_kernel),
            userspace,
            comfyui: monotonic(comfyui, "ActiveEnterTimestampMonotonic"),
        }
    }
}

async fn show(arguments: &[&str]) -> String {
    let output = Command::new("systemctl")
        .arg("show")
        .args(arguments)
        .kill_on_drop(true)
        .output();
    match tokio::time::timeout(Duration::from_secs(5), output).await {
        Ok(Ok(output)) => String::from_utf8_lossy(&output.stdout).into_owned(),
        _ => String::new(),
    }
}

fn value<'a>(shown: &'a str, property: &str) -> Option<&'a str> {
    shown
        .lines()
        .find_map(|line| line.strip_prefix(property)?.strip_prefix('='))
}

/// Microseconds; 0 stands for never.
fn monotonic(shown: &str, property: &str) -> Option<Duration> {
    let micros = value(shown, property)?.parse().ok().filter(|it| *it > 0)?;
    Some(Duration::from_micros(micros))
}

fn uptime() -> Option<Duration> {
    let text = fs::read_to_string("/proc/uptime").ok()?;
    Duration::try_from_secs_f64(text.split(' ').next()?.parse().ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn systemd_s_marks_are_read_where_they_are() {
        let comfyui = "ActiveEnterTimestampMonotonic=9000000\n";
        let machine = "KernelTimestamp=Sat 2026-11-28 12:00:00 UTC\nUserspaceTimestampMonotonic=4500000\n";
        let sec = Duration::from_secs_f32;
        let marks = Marks::of(machine, comfyui);
        assert_eq!(
            (marks.kernel, marks.userspace, marks.comfyui),
            (Some(sec(4.5)), Some(sec(4.5)), Some(sec(9.0)))
        );
        let inside = Marks::of(
            "KernelTimestamp=\nUserspaceTimestampMonotonic=77000000\n",
            "ActiveEnterTimestampMonotonic=0\n",
        );
        assert_eq!((inside.kernel, inside.comfyui), (None, None));
        assert_eq!(Marks::of("", ""), Marks::default());
    }

    #[tokio::test]
    async fn without_marks_what_the_worker_saw_is_told() {
        let boot = Boot::new();
        boot.comfy_answers();
        let times = boot.times().await;
        assert!(
            times.comfyui.is_some() && times.warm_up.is_some_and(|it| it < 60_000),
            "{times:?}"
        );
    }
}

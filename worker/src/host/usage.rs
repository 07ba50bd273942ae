//! How much of the machine's memory and disk is in use.

use std::{fs, path::Path};

use model::HostUse;

/// What can be told of it now; `folder` is on the disk in question.
pub(crate) fn usage(folder: &Path) -> HostUse {
    HostUse {
        ram_percent: fs::read_to_string("/proc/meminfo").ok().and_then(|text| memory(&text)),
        // Before the first file is there, its folder may not be.
        disk_percent: folder
            .ancestors()
            .find_map(|it| rustix::fs::statvfs(it).ok())
            .and_then(|disk| percent(disk.f_blocks - disk.f_bfree, disk.f_blocks)),
    }
}

/// Of `/proc/meminfo`: what no program could have. <https://docs.kernel.org/filesystems/proc.html#meminfo>
fn memory(text: &str) -> Option<u32> {
    let of = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line?.split_whitespace().next()?.parse::<u64>().ok()
    };
    let total = of("MemTotal")?;
    percent(total.saturating_sub(of("MemAvailable")?), total)
}

fn percent(part: u64, whole: u64) -> Option<u32> {
    part.saturating_mul(100)
        .checked_div(whole)
        .and_then(|it| it.try_into().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_is_told() {
        let here = usage(Path::new("/"));
        let bounded = |it: Option<u32>| it.is_some_and(|it| it <= 100);
        assert!(bounded(here.ram_percent) && bounded(here.disk_percent), "{here:?}");
        assert!(bounded(usage(Path::new("/tmp/nothing/is/here")).disk_percent));
        assert_eq!(usage(Path::new("nowhere")).disk_percent, None);
    }

    #[test]
    fn memory_is_read_as_the_kernel_writes_it() {
        let text = "MemTotal:       16000 kB\nMemFree:          100 kB\nMemAvailable:    4000 kB\n";
        assert_eq!(memory(text), Some(75));
        for broken in [
            "",
            "MemTotal: 0 kB\nMemAvailable: 0 kB",
            "MemTotal: x kB\nMemAvailable: 1 kB",
            "MemTotal:",
        ] {
            assert_eq!(memory(broken), None, "{broken}");
        }
    }
}

//! The files on disk: where they lie, and which go when the room is needed.

use std::{
    fs, io,
    path::{Component, Path, PathBuf},
    time::{Duration, SystemTime},
};

use crate::host::gone;

/// Below ComfyUI's folder of LoRAs. All in it is ours.
const OURS: &str = "atelier";
/// Of a file that is being written.
pub(super) const PART: &str = "part";
/// A file that nobody has gone on writing for so long was left behind by a worker that died.
const PART_LIFE: Duration = Duration::from_hours(1);

/// ComfyUI's folder of LoRAs, of which the folder of uploaded ones is bounded. A file's time of change is when it was
/// last used; ComfyUI does not look at it.
#[derive(Debug)]
pub(crate) struct LoraCache {
    root: PathBuf,
    limit: u64,
}

impl LoraCache {
    /// In ComfyUI's folder of models, with so many bytes at most.
    pub(crate) fn new(models: &Path, limit: u64) -> Self {
        Self {
            root: models.join("loras"),
            limit,
        }
    }

    /// Where a file lies; none if its name leads anywhere else.
    pub(crate) fn path(&self, file: &str) -> Option<PathBuf> {
        let file = Path::new(file);
        let plain = file.components().all(|part| matches!(part, Component::Normal(_)));
        (plain && file.starts_with(OURS)).then(|| self.root.join(file))
    }

    /// Whether the file is there, whole; if so, notes that it is being used.
    pub(crate) fn has(path: &Path, size: u64) -> io::Result<bool> {
        match fs::File::options().write(true).open(path) {
            Ok(file) => {
                file.set_modified(SystemTime::now())?;
                Ok(file.metadata()?.len() == size)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Deletes what was not used for the longest time until so many more bytes fit, but nothing of `keep`.
    pub(crate) fn make_room(&self, wanted: u64, keep: &[PathBuf]) -> io::Result<()> {
        let mut files = vec![];
        collect(&self.root.join(OURS), &mut files)?;
        let now = SystemTime::now();
        let stale = |file: &Stored| {
            file.path.extension().is_some_and(|it| it == PART)
                && now.duration_since(file.used).is_ok_and(|age| age > PART_LIFE)
        };
        let (stale, mut files): (Vec<_>, Vec<_>) = files.into_iter().partition(stale);
        files.sort_by_key(|file| file.used);
        let mut all = files.iter().map(|file| file.size).sum::<u64>().saturating_add(wanted);
        let surplus = files
            .iter()
            .filter(|file| !keep.contains(&file.path))
            .take_while(|file| {
                let over = all > self.limit;
                all = all.saturating_sub(if over { file.size } else { 0 });
                over
            });
        for file in stale.iter().chain(surplus) {
            tracing::info!(file = %file.path.display(), bytes = file.size, "making room for LoRAs");
            // Another worker with the same folder may have been faster.
            gone(fs::remove_file(&file.path))?;
        }
        Ok(())
    }
}

#[derive(Debug)]
struct Stored {
    path: PathBuf,
    size: u64,
    used: SystemTime,
}

fn collect(folder: &Path, files: &mut Vec<Stored>) -> io::Result<()> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            collect(&entry.path(), files)?;
        } else if let Ok(metadata) = entry.metadata() {
            files.push(Stored {
                path: entry.path(),
                size: metadata.len(),
                used: metadata.modified()?,
            });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(cache: &LoraCache, file: &str, size: usize, minutes_ago: u64) -> PathBuf {
        let path = cache.path(file).unwrap();
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, vec![0; size]).unwrap();
        let used = SystemTime::now() - Duration::from_mins(minutes_ago);
        fs::File::options()
            .write(true)
            .open(&path)
            .unwrap()
            .set_modified(used)
            .unwrap();
        path
    }

    #[test]
    fn the_longest_unused_go_first_and_what_is_needed_stays() {
        let folder = tempfile::tempdir().unwrap();
        let cache = LoraCache::new(folder.path(), 100);
        // Nothing is there yet.
        cache.make_room(50, &[]).unwrap();
        let [oldest, needed, old, new] = [("a/1", 30, 4), ("a/2", 30, 3), ("b/3", 30, 2), ("b/4", 10, 1)]
            .map(|(name, size, age)| put(&cache, &format!("atelier/{name}"), size, age));
        let others = folder.path().join("loras/studio.safetensors");
        fs::write(&others, vec![0; 500]).unwrap();
        cache.make_room(0, &[]).unwrap();
        assert!(oldest.exists());
        cache.make_room(50, std::slice::from_ref(&needed)).unwrap();
        let there = [&oldest, &needed, &old, &new].map(|path| path.exists());
        assert_eq!(there, [false, true, false, true]);
        // More than fits at all: what can go goes, and the run is tried.
        cache.make_room(500, std::slice::from_ref(&needed)).unwrap();
        assert!(needed.exists() && !new.exists() && others.exists());
    }

    #[test]
    fn only_parts_that_nobody_writes_are_cleared_away() {
        let folder = tempfile::tempdir().unwrap();
        let cache = LoraCache::new(folder.path(), 100);
        let dead = put(&cache, "atelier/a/1.part", 10, 70);
        let fresh = put(&cache, "atelier/a/2.part", 10, 1);
        cache.make_room(0, &[]).unwrap();
        assert!(!dead.exists() && fresh.exists());
    }

    #[test]
    fn names_lead_nowhere_else() {
        let cache = LoraCache::new(Path::new("/models"), 1);
        assert_eq!(
            cache.path("atelier/studio/a.safetensors").unwrap(),
            Path::new("/models/loras/atelier/studio/a.safetensors")
        );
        for bad in ["atelier/../x", "/etc/passwd", "x", "../atelier/x", "atelier/./../x", ""] {
            assert_eq!(cache.path(bad), None, "{bad}");
        }
    }
}

//! Input, temp and output files, kept in memory, with ComfyUI's naming rules.

use std::collections::HashMap;
use std::collections::VecDeque;

use bytes::Bytes;

/// Beyond this much, the oldest temp and output files go: the double also runs for days as the renderer of a laptop.
const KEPT_BYTES: usize = 512 * 1024 * 1024;

/// Which of ComfyUI's three folders.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Area {
    Input,
    Temp,
    Output,
}

impl Area {
    pub(crate) fn parse(name: &str) -> Option<Self> {
        match name {
            "input" => Some(Self::Input),
            "temp" => Some(Self::Temp),
            "output" => Some(Self::Output),
            _ => None,
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Input => "input",
            Self::Temp => "temp",
            Self::Output => "output",
        }
    }
}

type Key = (Area, String);

/// All files by area and path ("sub/name.png").
#[derive(Debug, Default)]
pub(crate) struct Files {
    by_path: HashMap<Key, Bytes>,
    results: VecDeque<Key>,
    result_bytes: usize,
}

impl Files {
    pub(crate) fn get(&self, area: Area, path: &str) -> Option<Bytes> {
        self.by_path.get(&(area, path.to_owned())).cloned()
    }

    pub(crate) fn remove_inputs(&mut self) {
        self.by_path.retain(|(area, _), _| *area != Area::Input);
    }

    /// The file that a LoadImage input names: "a.png", "sub/a.png" or "a.png [temp]".
    pub(crate) fn find_annotated(&self, name: &str) -> Option<Bytes> {
        let (path, area) = [Area::Input, Area::Temp, Area::Output]
            .into_iter()
            .find_map(|area| Some((name.strip_suffix(&format!(" [{}]", area.name()))?, area)))
            .unwrap_or((name, Area::Input));
        self.get(area, path)
    }

    /// The input files at the top level, as the node's list shows them.
    pub(crate) fn input_names(&self) -> Vec<String> {
        let mut names: Vec<_> = self
            .by_path
            .keys()
            .filter(|(area, path)| *area == Area::Input && !path.contains('/'))
            .map(|(_, path)| path.clone())
            .collect();
        names.sort();
        names
    }

    /// Keeps an upload and returns the name that it got: the same name with the same bytes is the
    /// same file, other bytes get " (1)" unless `overwrite` is set.
    pub(crate) fn upload(&mut self, area: Area, subfolder: &str, name: &str, bytes: Bytes, overwrite: bool) -> String {
        let (stem, extension) = match name.rfind('.') {
            Some(dot) if dot > 0 => name.split_at(dot),
            _ => (name, ""),
        };
        let mut free = name.to_owned();
        let mut count = 0;
        while !overwrite && self.get(area, &join(subfolder, &free)).is_some_and(|old| old != bytes) {
            count += 1;
            free = format!("{stem} ({count}){extension}");
        }
        self.by_path.insert((area, join(subfolder, &free)), bytes);
        free
    }

    /// The first number for new files "`prefix`_00001_.png" in a subfolder: one above the highest that exists.
    pub(crate) fn next_number(&self, area: Area, subfolder: &str, prefix: &str) -> u32 {
        let start = join(subfolder, &format!("{prefix}_"));
        let highest = self
            .by_path
            .keys()
            .filter(|(other, _)| *other == area)
            .filter_map(|(_, path)| path.strip_prefix(&start)?.split('_').next()?.parse::<u32>().ok())
            .max();
        highest.map_or(1, |highest| highest + 1)
    }

    pub(crate) fn save(&mut self, area: Area, path: String, bytes: Bytes) {
        self.result_bytes += bytes.len();
        self.results.push_back((area, path.clone()));
        self.by_path.insert((area, path), bytes);
        while self.result_bytes > KEPT_BYTES {
            let Some(oldest) = self.results.pop_front() else {
                break;
            };
            if let Some(bytes) = self.by_path.remove(&oldest) {
                self.result_bytes = self.result_bytes.saturating_sub(bytes.len());
            }
        }
    }
}

/// `subfolder/name`, or the name alone.
pub(crate) fn join(subfolder: &str, name: &str) -> String {
    if subfolder.is_empty() {
        name.to_owned()
    } else {
        format!("{subfolder}/{name}")
    }
}

/// A relative path cleaned of "." and empty parts; `None` if it leads out of its folder.
pub(crate) fn inside(path: &str) -> Option<String> {
    if path.starts_with('/') || path.contains('\\') || path.contains('\0') {
        return None;
    }
    let parts: Vec<_> = path
        .split('/')
        .filter(|part| !part.is_empty() && *part != ".")
        .collect();
    if parts.contains(&"..") {
        return None;
    }
    Some(parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_uploads_follow_the_bytes() {
        let mut files = Files::default();
        let mut put =
            |name: &str, text: &'static str, over| files.upload(Area::Input, "s", name, Bytes::from(text), over);
        assert_eq!(put("a.png", "1", false), "a.png");
        assert_eq!(put("a.png", "1", false), "a.png");
        assert_eq!(put("a.png", "2", false), "a (1).png");
        assert_eq!(put("a.png", "2", false), "a (1).png");
        assert_eq!(put("a.png", "3", false), "a (2).png");
        assert_eq!(put("a.png", "3", true), "a.png");
        assert_eq!(put("noext", "1", false), "noext");
        assert_eq!(put("noext", "2", false), "noext (1)");
    }

    #[test]
    fn paths_stay_inside() {
        assert_eq!(inside("tasks/t-1").as_deref(), Some("tasks/t-1"));
        assert_eq!(inside("").as_deref(), Some(""));
        for bad in ["../x", "a/../../x", "/etc/passwd", "a\\b"] {
            assert_eq!(inside(bad), None, "{bad}");
        }
    }

    #[test]
    fn numbers_of_results_continue() {
        let mut files = Files::default();
        assert_eq!(files.next_number(Area::Output, "t", "out"), 1);
        files.save(Area::Output, "t/out_00007_.png".to_owned(), Bytes::new());
        assert_eq!(files.next_number(Area::Output, "t", "out"), 8);
        assert_eq!(files.next_number(Area::Output, "t", "outer"), 1);
    }

    #[test]
    fn annotations_choose_the_folder() {
        let mut files = Files::default();
        files.save(Area::Temp, "t.png".to_owned(), Bytes::from("x"));
        assert!(files.find_annotated("t.png [temp]").is_some());
        assert!(files.find_annotated("t.png").is_none());
    }
}

//! A model file on this machine: what it is, and the sums that it is known by.

use std::{
    fs::File,
    io::{Read, Seek, SeekFrom},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};
use base64::{Engine, prelude::BASE64_STANDARD};
use catalog::{
    inspect::{self, LENGTH},
    models::part_size,
};
use sha2::{Digest, Sha256};

/// A file that can be brought.
#[derive(Debug, Clone)]
pub(super) struct Local {
    pub(super) path: PathBuf,
    /// Bytes.
    pub(super) size: u64,
    /// What it was found to be.
    pub(super) kind: &'static str,
}

/// Looks at a file's beginning: what cannot be taken is said before anything is sent.
pub(super) fn look(path: &Path) -> Result<Local> {
    let name = path.display();
    let mut file = File::open(path).with_context(|| format!("{name} cannot be opened"))?;
    let size = file.metadata().with_context(|| format!("{name} cannot be read"))?.len();
    let mut first = [0; LENGTH];
    let taken = file
        .read(&mut first)
        .with_context(|| format!("{name} cannot be read"))?;
    let end = inspect::header_end(&first[..taken], size).with_context(|| format!("{name} is not taken"))?;
    file.seek(SeekFrom::Start(LENGTH as u64))?;
    let mut header = vec![0; (end - LENGTH as u64) as usize];
    file.read_exact(&mut header)
        .with_context(|| format!("{name} cannot be read"))?;
    let found = inspect::inspect(&header, size).with_context(|| format!("{name} is not taken"))?;
    let kind = found.found.kind.map(inspect::Kind::name);
    Ok(Local {
        path: path.to_owned(),
        size,
        kind: kind.with_context(|| format!("{name} is not taken: nothing that ComfyUI could use was found in it"))?,
    })
}

/// The sums of a file and of its parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Sums {
    /// SHA-256 of the whole, 64 hexadecimal digits.
    pub(super) whole: String,
    /// Those of the parts, base64.
    pub(super) parts: Vec<String>,
}

/// Reads a file once from its beginning to its end. `told` hears how many bytes were read.
pub(super) fn sums(local: &Local, told: impl Fn(u64)) -> Result<Sums> {
    let part = part_size(local.size);
    let mut file = File::open(&local.path)?;
    let (mut whole, mut parts, mut done) = (Sha256::new(), Vec::new(), 0);
    let mut buffer = vec![0; 1 << 20];
    while done < local.size {
        let mut sum = Sha256::new();
        let mut left = part.min(local.size - done);
        while left > 0 {
            let most = buffer.len().min(left as usize);
            let read = file.read(&mut buffer[..most])?;
            ensure!(read > 0, "{} became shorter while it was read", local.path.display());
            sum.update(&buffer[..read]);
            whole.update(&buffer[..read]);
            left -= read as u64;
            done += read as u64;
            told(done);
        }
        parts.push(BASE64_STANDARD.encode(sum.finalize()));
    }
    Ok(Sums {
        whole: format!("{:x}", whole.finalize()),
        parts,
    })
}

/// A part's bytes; numbers begin with 1.
pub(super) fn part(local: &Local, number: u32) -> Result<Vec<u8>> {
    let full = part_size(local.size);
    let start = u64::from(number - 1) * full;
    let mut bytes = vec![0; full.min(local.size - start) as usize];
    let mut file = File::open(&local.path)?;
    file.seek(SeekFrom::Start(start))?;
    file.read_exact(&mut bytes)?;
    Ok(bytes)
}

/// The files that somebody means by a path, and what is left out of a folder, with the reason.
pub(super) fn below(path: &Path) -> Result<(Vec<PathBuf>, Vec<String>)> {
    if !path.is_dir() {
        return Ok((vec![path.to_owned()], vec![]));
    }
    ensure!(
        !path.join("model_index.json").exists(),
        "{} is a diffusers folder, of which ComfyUI loads only parts. Use the single safetensors file of the model.",
        path.display()
    );
    let (mut files, mut left) = (Vec::new(), Vec::new());
    let mut entries: Vec<_> = std::fs::read_dir(path)
        .and_then(Iterator::collect::<std::io::Result<Vec<_>>>)
        .with_context(|| format!("{} cannot be read", path.display()))?
        .into_iter()
        .map(|it| it.path())
        .collect();
    entries.sort();
    for entry in entries {
        let name = entry.display().to_string();
        if entry.is_dir() {
            match below(&entry) {
                Ok((more, others)) => {
                    files.extend(more);
                    left.extend(others);
                }
                Err(error) => left.push(error.to_string()),
            }
        } else {
            match entry.extension().and_then(|it| it.to_str()).unwrap_or_default() {
                "safetensors" => files.push(entry),
                "ckpt" | "pt" | "pth" | "bin" => left.push(format!("{name} is a pickle: {}", inspect::Refused::Pickle)),
                "gguf" => left.push(format!("{name}: {}", inspect::Refused::Gguf)),
                _ => {}
            }
        }
    }
    Ok((files, left))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_its_safetensors_files_and_says_what_it_leaves_out() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        for (name, bytes) in [
            ("a.safetensors", "x"),
            ("loras/b.safetensors", "x"),
            ("old.ckpt", "x"),
            ("q.gguf", "x"),
            ("readme.md", "x"),
            ("sd/model_index.json", "{}"),
            ("sd/unet/c.safetensors", "x"),
        ] {
            let path = root.join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, bytes).unwrap();
        }
        let (files, left) = below(root).unwrap();
        assert_eq!(files, ["a.safetensors", "loras/b.safetensors"].map(|it| root.join(it)));
        assert_eq!(left.len(), 3, "{left:?}");
        for words in ["pickle", "GGUF", "diffusers"] {
            assert!(left.iter().any(|it| it.contains(words)), "{left:?}");
        }
        assert!(below(&root.join("sd")).is_err());
        let refused = look(&root.join("a.safetensors")).unwrap_err();
        assert!(format!("{refused:#}").contains("not a safetensors file"), "{refused:#}");
    }

    #[test]
    fn sums_are_those_of_the_whole_and_of_each_part() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f");
        let bytes: Vec<u8> = (0..(65 << 20)).map(|it: u32| (it >> 8) as u8).collect();
        std::fs::write(&path, &bytes).unwrap();
        let local = Local {
            path,
            size: bytes.len() as u64,
            kind: "lora",
        };
        let sums = sums(&local, |_| ()).unwrap();
        assert_eq!(sums.whole, format!("{:x}", Sha256::digest(&bytes)));
        let parts = [1, 2].map(|number| part(&local, number).unwrap());
        assert_eq!(parts.concat(), bytes);
        assert_eq!(sums.parts, parts.map(|it| BASE64_STANDARD.encode(Sha256::digest(it))));
    }
}

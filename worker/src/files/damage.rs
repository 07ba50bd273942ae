//! Files that are not what their hash says.

use std::{
    fs::{self, File},
    io::{self, Read},
    path::Path,
};

use model::worker_api::ModelFile;
use sha2::{Digest, Sha256};

use super::part::PIECE;
use crate::host::gone;

/// Deletes a whole file of this disk whose bytes are not those of its hash; says whether it was so. It takes as long as reading it.
pub(super) fn remove_if_damaged(file: &ModelFile, path: &Path) -> io::Result<bool> {
    let mut bytes = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        opened => opened?,
    };
    let (mut hash, mut piece) = (Sha256::new(), vec![0; PIECE]);
    loop {
        match bytes.read(&mut piece)? {
            0 => break,
            read => hash.update(&piece[..read]),
        }
    }
    if format!("{:x}", hash.finalize()) == file.sha256 {
        return Ok(false);
    }
    gone(fs::remove_file(path))?;
    Ok(true)
}

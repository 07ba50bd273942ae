//! Why a file of the studio's store cannot be used.

use std::io;

/// A file could not be made ready for ComfyUI.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FileError {
    #[error("this machine has no folder for the studio's files (ATELIER_STORAGE or ATELIER_MODELS)")]
    NoFolder,
    #[error("its name leads elsewhere, or to another team")]
    Path,
    #[error("\"{0}\" is no longer on the server. Choose another one, or have it uploaded again.")]
    Gone(String),
    #[error("The model \"{0}\" is damaged. It must be uploaded again.")]
    Damaged(String),
    #[error("other bytes have come than were asked for")]
    Checksum,
    #[error("there is no room for it on the disk")]
    Full,
    #[error("the folder of models cannot be used")]
    Disk(#[source] io::Error),
}

impl From<io::Error> for FileError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::Full,
            _ => Self::Disk(error),
        }
    }
}

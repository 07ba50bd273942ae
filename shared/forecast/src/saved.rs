//! What was learned, as it is kept.

use std::{collections::BTreeMap, fmt::Write as _};

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use sha2::{Digest, Sha256};

use crate::members::Member;

/// Version of the members and of what they keep; a file of another is not used.
pub const VERSION: u32 = 1;

/// What the members have learned, and when.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Saved {
    /// The slot before which it was learned.
    pub learned: u64,
    /// What each member knows, by its name.
    pub members: BTreeMap<String, Vec<f64>>,
}

/// What is kept cannot be used; there is no forecast until it is learned again.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum SavedError {
    /// Cut off or changed.
    #[error("the forecast's model is damaged; there is no forecast until the next training")]
    Damaged,
    /// Of another release.
    #[error("the forecast's model is of version {0}, not {VERSION}; there is no forecast until the next training")]
    Version(u32),
}

#[derive(Serialize, Deserialize)]
struct Envelope {
    version: u32,
    sha256: String,
    body: String,
}

fn sum(body: &str) -> String {
    Sha256::digest(body).iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

impl Saved {
    /// What the members know after they have learned what was before the slot `learned`.
    pub fn of(members: &[Box<dyn Member>], learned: u64) -> Self {
        let members = members.iter().map(|it| (it.name().to_owned(), it.state())).collect();
        Self { learned, members }
    }

    /// Gives the members what they knew.
    ///
    /// # Errors
    /// [`SavedError::Damaged`] where a member is missing or does not understand it.
    pub fn restore(&self, members: &mut [Box<dyn Member>]) -> Result<(), SavedError> {
        for member in members {
            let state = self.members.get(member.name()).ok_or(SavedError::Damaged)?;
            if !member.restore(state) {
                return Err(SavedError::Damaged);
            }
        }
        Ok(())
    }

    /// As text, with its version and checksum.
    pub fn write(&self) -> String {
        seal(self)
    }

    /// From text.
    ///
    /// # Errors
    /// [`SavedError`]: it is of another version, or not what was written.
    pub fn read(text: &str) -> Result<Self, SavedError> {
        open(text)
    }
}

/// Something to be kept, as text with the version of this crate and a checksum.
pub fn seal<T: Serialize>(it: &T) -> String {
    let text = |it: serde_json::Result<String>| it.unwrap_or_default();
    let body = text(serde_json::to_string(it));
    text(serde_json::to_string(&Envelope {
        version: VERSION,
        sha256: sum(&body),
        body,
    }))
}

/// What was sealed.
///
/// # Errors
/// [`SavedError`]: it is of another version, or not what was written.
pub fn open<T: DeserializeOwned>(text: &str) -> Result<T, SavedError> {
    let kept: Envelope = serde_json::from_str(text).map_err(|_| SavedError::Damaged)?;
    if kept.version != VERSION {
        return Err(SavedError::Version(kept.version));
    }
    if sum(&kept.body) != kept.sha256 {
        return Err(SavedError::Damaged);
    }
    serde_json::from_str(&kept.body).map_err(|_| SavedError::Damaged)
}

/// The checksum of something, over what it is as JSON.
pub fn checksum<T: Serialize>(it: &T) -> String {
    sum(&serde_json::to_string(it).unwrap_or_default())
}

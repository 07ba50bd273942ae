use std::fmt::Write as _;

use sha2::{Digest, Sha256};

/// SHA-256 of a secret, hex: what is kept of it.
pub fn fingerprint(secret: &str) -> String {
    let hash = Sha256::digest(secret.as_bytes());
    hash.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

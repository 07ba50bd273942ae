use sha2::{Digest, Sha256};

/// SHA-256 of a secret, hex: what is kept of it.
pub fn fingerprint(secret: &str) -> String {
    format!("{:x}", Sha256::digest(secret.as_bytes()))
}

//! The caller's account.

use model::{Account, Millis};
use sha2::{Digest, Sha256};

use crate::{
    Store,
    http::{Caller, HttpError},
};

/// The caller's account; 401 if there is none (any more) or the token was issued before the account's tokens were
/// revoked.
pub async fn of(store: &Store, caller: &Caller) -> Result<Account, HttpError> {
    let account = store.get(&caller.user()).await?;
    // A token's time is cut to seconds; one of the very second counts as made at its end.
    let issued = Millis(caller.iat.saturating_mul(1000).saturating_add(999));
    match account {
        None => Err(HttpError::new(401, "Please sign in again: the account does not exist.")),
        Some(account) if account.is_revoked(issued) => {
            Err(HttpError::new(401, "Please sign in again: the token was revoked."))
        }
        Some(account) => Ok(account),
    }
}

/// SHA-256 of a secret, hex: what is kept of it.
pub fn fingerprint(secret: &str) -> String {
    use std::fmt::Write as _;
    let hash = Sha256::digest(secret.as_bytes());
    hash.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

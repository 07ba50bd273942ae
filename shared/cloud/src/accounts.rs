//! The caller's account.

use std::collections::BTreeSet;

use model::{Account, Identity, Millis, UserId};
use sha2::{Digest, Sha256};

use crate::{
    Store, StoreError, Write,
    http::{Caller, HttpError},
    tables::IdentityOf,
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

/// Writes an account together with the identities that open it, from what was read (none: it is new) to what it is to be
/// (none: it is deleted). Returns whose identity it is, and writes nothing, if one of them is another user's.
pub async fn write(
    store: &Store,
    before: Option<Account>,
    after: Option<Account>,
) -> Result<Option<UserId>, StoreError> {
    let names = |account: &Option<Account>| -> BTreeSet<String> {
        let names = account.iter().flat_map(|it| {
            let email = it.email.as_deref().map(Identity::email);
            email.into_iter().chain(it.subject.clone())
        });
        names.collect()
    };
    let (old, new) = (names(&before), names(&after));
    let mut writes = Vec::new();
    for name in new.difference(&old) {
        if let Some(found) = store.get(&IdentityOf(name.clone())).await? {
            return Ok(Some(found.user_id));
        }
        if let Some(account) = &after {
            let mut identity = Identity {
                name: name.clone(),
                version: 0,
                user_id: account.user_id.clone(),
            };
            writes.push(Write::put(&mut identity)?);
        }
    }
    for name in old.difference(&new) {
        if let Some(mut identity) = store.get(&IdentityOf(name.clone())).await? {
            writes.push(Write::delete(&mut identity));
        }
    }
    match (before, after) {
        (_, Some(mut account)) => writes.push(Write::put(&mut account)?),
        (Some(mut account), None) => writes.push(Write::delete(&mut account)),
        (None, None) => {}
    }
    store.commit_all(&writes).await.map(|()| None)
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

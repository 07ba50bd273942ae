//! The caller's account.

use model::{Account, Millis};

use crate::{
    Store,
    http::{Caller, HttpError},
};

/// The caller's account; 401 if there is none (any more) or the token was issued before the account's tokens were
/// revoked.
pub async fn of(store: &Store, caller: &Caller) -> Result<Account, HttpError> {
    let account = store.get(&caller.user()).await?;
    let revoked =
        |account: &Account| Millis(caller.iat.saturating_mul(1000).saturating_add(999)) < account.tokens_valid_from;
    match account {
        None => Err(HttpError::new(401, "Please sign in again: the account does not exist.")),
        Some(account) if revoked(&account) => Err(HttpError::new(401, "Please sign in again: the token was revoked.")),
        Some(account) => Ok(account),
    }
}

use cloud::{Store, StoreError, http::HttpError, token::Claims};
use model::{Account, Millis, Role, TeamId, UserId, WorkerId};

use crate::Caller;

/// Why somebody with a good token is out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Out {
    /// There is no such account (any more).
    #[error("the account does not exist")]
    Removed,
    /// The token is older than the account's tokens may be.
    #[error("the token was revoked")]
    Revoked,
    /// The device that the token was given to was signed out.
    #[error("this device was signed out")]
    SignedOut,
    /// Another process of the worker has begun, or its machine is off.
    #[error("the token is an earlier process's")]
    Earlier,
}

/// Whether whoever has a token of this second (`iat`), given to this device, is in, by the account that it names.
pub fn verdict(account: Option<Account>, iat: u64, device: Option<&str>) -> Result<Account, Out> {
    // A token's time is cut to seconds; one of the very second counts as made at its end.
    let issued = Millis(iat.saturating_mul(1000).saturating_add(999));
    match account {
        None => Err(Out::Removed),
        Some(account) if account.is_revoked(issued) => Err(Out::Revoked),
        Some(account) if !account.has(device) => Err(Out::SignedOut),
        Some(account) => Ok(account),
    }
}

/// The caller's account could not be had.
#[derive(Debug, thiserror::Error)]
pub enum AccountError {
    /// They are out.
    #[error(transparent)]
    Out(#[from] Out),
    /// The tables.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<AccountError> for HttpError {
    fn from(error: AccountError) -> Self {
        match error {
            AccountError::Out(out) => Self::new(401, format!("Please sign in again: {out}.")),
            AccountError::Store(error) => error.into(),
        }
    }
}

/// The caller's account, if they are in.
pub async fn of(store: &Store, caller: &Caller) -> Result<Account, AccountError> {
    let account = store.get(&caller.user()).await?;
    Ok(verdict(account, caller.iat, caller.device.as_deref())?)
}

/// What somebody who is in may do, and for whom: by what is known now, not by what their token was made with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bearer {
    /// The role.
    pub role: Role,
    /// The team; a worker's is its pool's name.
    pub team: TeamId,
}

/// Whether whoever bears this token is in: one read, of the account or the worker.
pub async fn admit(store: &Store, claims: &Claims) -> Result<Bearer, AccountError> {
    if claims.role == Role::Worker {
        let id = claims.sub.parse::<WorkerId>().map_err(|_| Out::Earlier)?;
        let worker = store.get(&id).await?;
        let worker = worker.filter(|it| Some(it.generation) == claims.generation && it.state.is_up());
        let worker = worker.ok_or(Out::Earlier)?;
        return Ok(Bearer {
            role: Role::Worker,
            team: TeamId::new(worker.pool.as_str()),
        });
    }
    let account = user(store, claims).await?;
    Ok(Bearer {
        role: account.role,
        team: account.team,
    })
}

/// The account of the user who bears this token, if they are in.
pub async fn user(store: &Store, claims: &Claims) -> Result<Account, AccountError> {
    // What is no id was never anybody's, and the tables refuse it as a key.
    let id = claims.sub.parse::<UserId>().map_err(|_| Out::Removed)?;
    let account = store.get(&id).await?;
    Ok(verdict(account, claims.iat, claims.device.as_deref())?)
}

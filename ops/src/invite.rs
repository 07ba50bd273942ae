//! Invitations: whoever has one signs in from Krita as its user, once.

use std::time::Duration;

use anyhow::{Context, Result};
use cloud::Store;
use model::{Millis, UserId};

use crate::audit::by;

/// Makes an invitation for a user that exists, good for this long; returns its words, which are kept nowhere.
pub async fn invite(store: &Store, user: &UserId, life: Duration, now: Millis) -> Result<String> {
    crate::user::find(store, user).await?;
    accounts::invite(store, user, life, &by(now))
        .await
        .context("the invitation was not written")
}

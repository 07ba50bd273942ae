//! Invitations: whoever has one signs in from Krita as its user, once.

use std::time::Duration;

use accounts::fingerprint;
use anyhow::{Context, Result};
use cloud::{Store, Write};
use model::{Invitation, Millis, UserId};

/// Makes an invitation for a user that exists, good for this long; returns its words, which are kept nowhere.
pub async fn invite(store: &Store, user: &UserId, life: Duration, now: Millis) -> Result<String> {
    crate::user::find(store, user).await?;
    let random = uuid::Uuid::new_v4().simple().to_string();
    let words = format!(
        "{}-{}-{}-{}",
        &random[..6],
        &random[6..12],
        &random[12..18],
        &random[18..24]
    );
    let expires_at = now + life;
    let mut invitation = Invitation {
        secret: fingerprint(&words),
        version: 0,
        user_id: user.clone(),
        made_at: now,
        expires_at,
        ttl: expires_at.seconds(),
    };
    store
        .commit([Write::put(&mut invitation)?])
        .await
        .context("the invitation was not written")?;
    Ok(words)
}

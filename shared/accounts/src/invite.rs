use std::time::Duration;

use cloud::{Store, StoreError, Write};
use model::{Invitation, UserId};

use crate::{audit::By, fingerprint};

/// Makes an invitation for a user, good for this long; returns its words, which are kept nowhere.
pub async fn invite(store: &Store, user: &UserId, life: Duration, by: &By) -> Result<String, StoreError> {
    let random = uuid::Uuid::new_v4().simple().to_string();
    let words = format!(
        "{}-{}-{}-{}",
        &random[..6],
        &random[6..12],
        &random[12..18],
        &random[18..24]
    );
    let expires_at = by.now + life;
    let mut invitation = Invitation {
        secret: fingerprint(&words),
        version: 0,
        user_id: user.clone(),
        made_at: by.now,
        expires_at,
        ttl: expires_at.seconds(),
    };
    let after = format!("an invitation until {}", expires_at.written());
    let line = by.did("invite", &format!("user {user}"), &[], &[after])?;
    store.commit([Write::put(&mut invitation)?, line]).await?;
    Ok(words)
}

//! Signing in from a device: the plugin starts it, a browser approves it.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{Millis, UserId};

/// A sign-in that waits for its approval: `code#<code>` in Accounts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignIn {
    /// Random, single-use, in the page's address. Says nothing about the device.
    pub code: String,
    /// Version of this item, for conditional writes.
    pub version: u64,
    /// The device, as it calls itself. Not to be trusted.
    pub device: String,
    /// The address that the device called from.
    pub address: String,
    /// When it was started.
    pub started_at: Millis,
    /// Whom the studio's provider has named; the browser has yet to confirm.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identified: Option<Identified>,
    /// Who approved it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approved_by: Option<UserId>,
    /// When the device was given its token, which dates from then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub given_at: Option<Millis>,
    /// When DynamoDB may delete the item, seconds.
    pub ttl: u64,
}

impl SignIn {
    /// How long a browser may take.
    pub const LIFE: Duration = Duration::from_mins(5);

    /// Whether it may still be approved or used.
    pub fn is_open(&self, now: Millis) -> bool {
        now.since(self.started_at) < Self::LIFE
    }
}

/// Whom the studio's OIDC provider has named in the course of a sign-in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identified {
    /// The user.
    pub user_id: UserId,
    /// SHA-256 of a secret of the browser that came back from the provider, hex. No other may confirm.
    pub browser: String,
}

/// Whose account an identity at the studio's OIDC provider opens: `identity#<name>` in Accounts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// An e-mail address or an issuer and its subject, as [`Self::email`] and [`Self::subject`] write them.
    pub name: String,
    /// Version of this item, for conditional writes.
    pub version: u64,
    /// The user.
    pub user_id: UserId,
}

impl Identity {
    /// Names an identity by its e-mail address, which is taken only where the provider has verified it.
    pub fn email(address: &str) -> String {
        format!("mailto:{}", address.to_lowercase())
    }

    /// Names an identity by what never changes of it.
    pub fn subject(issuer: &str, subject: &str) -> String {
        format!("{issuer} {subject}")
    }
}

/// Which sign-in a device started last: `device#<hash of its client id>` in Accounts. The client id itself is what the
/// token is handed out for, so it is not kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Device {
    /// SHA-256 of the client id, hex.
    pub client: String,
    /// Version of this item, for conditional writes.
    pub version: u64,
    /// The sign-in's code.
    pub code: String,
    /// When DynamoDB may delete the item, seconds.
    pub ttl: u64,
}

/// An invitation: `invitation#<hash of its words>` in Accounts. Whoever has it signs in as this user, once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Invitation {
    /// SHA-256 of the invitation, hex: reading the table invites nobody.
    pub secret: String,
    /// Version of this item, for conditional writes.
    pub version: u64,
    /// The user that it is for; the account exists.
    pub user_id: UserId,
    /// When it was made.
    #[serde(default)]
    pub made_at: Millis,
    /// When it ends.
    pub expires_at: Millis,
    /// When DynamoDB may delete the item, seconds.
    pub ttl: u64,
}

/// How fast an address may sign in: `address#<hash>` in Accounts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AddressRate {
    /// Hash of the address.
    pub address: String,
    /// Version of this item, for conditional writes.
    pub version: u64,
    /// When the bucket is full again.
    pub bucket: Millis,
    /// When DynamoDB may delete the item, seconds.
    pub ttl: u64,
}

/// A browser that is signed in: `browser#<hash of its cookie>` in Accounts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BrowserSession {
    /// SHA-256 of the secret in the browser's cookie, hex: reading the table signs nobody in.
    pub secret: String,
    /// Version of this item, for conditional writes.
    pub version: u64,
    /// Who is signed in.
    pub user_id: UserId,
    /// What a form of a page must carry, so that no other site's is taken.
    pub form: String,
    /// When the browser signed in.
    pub started_at: Millis,
    /// When its secret was made.
    pub renewed_at: Millis,
    /// When it ends.
    pub ends_at: Millis,
    /// When DynamoDB may delete the item, seconds.
    pub ttl: u64,
}

impl BrowserSession {
    /// How long a browser stays signed in.
    pub const LIFE: Duration = Duration::from_hours(12);
    /// After this long it is given another secret.
    pub const RENEWED: Duration = Duration::from_hours(1);
    /// So long its earlier secret is still good, for pages that were asked for at the same time.
    pub const BESIDE: Duration = Duration::from_mins(1);

    /// One that begins now.
    pub const fn new(secret: String, form: String, user_id: UserId, now: Millis) -> Self {
        let ends_at = Millis(now.0 + Self::LIFE.as_secs() * 1000);
        Self {
            secret,
            version: 0,
            user_id,
            form,
            started_at: now,
            renewed_at: now,
            ends_at,
            ttl: ends_at.seconds(),
        }
    }

    /// The same session under another secret; this one is good for a moment yet.
    #[must_use]
    pub fn renew(&mut self, secret: String, now: Millis) -> Self {
        let next = Self {
            secret,
            version: 0,
            renewed_at: now,
            ..self.clone()
        };
        self.ends_at = self.ends_at.min(now + Self::BESIDE);
        self.renewed_at = now;
        next
    }
}

/// Opens one WebSocket for a browser that is signed in: `ticket#<hash>` in Accounts. A browser can send no header there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ticket {
    /// SHA-256 of it, hex.
    pub secret: String,
    /// Version of this item, for conditional writes.
    pub version: u64,
    /// Whose it is.
    pub user_id: UserId,
    /// When the session began that asked for it: what was revoked since lets nobody in.
    pub since: Millis,
    /// When it ends.
    pub expires_at: Millis,
    /// When DynamoDB may delete the item, seconds.
    pub ttl: u64,
}

impl Ticket {
    /// How long a ticket is good: from the page to the socket, and no longer.
    pub const LIFE: Duration = Duration::from_secs(30);

    /// One that is made now.
    pub const fn new(secret: String, user_id: UserId, since: Millis, now: Millis) -> Self {
        let expires_at = Millis(now.0 + Self::LIFE.as_secs() * 1000);
        Self {
            secret,
            version: 0,
            user_id,
            since,
            expires_at,
            ttl: expires_at.seconds(),
        }
    }
}

//! Signing in from a device: the plugin starts it, a browser approves it.

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
    pub const LIFE: std::time::Duration = std::time::Duration::from_mins(5);

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

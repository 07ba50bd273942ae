use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{Blame, FailureClass, MicroUsd, Millis, PoolId, Settings, Task, TaskState, TeamId, UserId};

/// What the bearer of a token may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Asks for pictures.
    Painter,
    /// A painter who looks after a team, as a teacher does: sees and does for the team what a painter does for themselves.
    Lead,
    /// Renders them.
    Worker,
    /// Runs the studio's installation.
    Operator,
}

/// A painter or operator: `user#<id>` in Accounts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// Who it is.
    pub user_id: UserId,
    /// Version of this item, for conditional writes.
    pub version: u64,
    /// Name shown to people.
    pub name: String,
    /// The account's team.
    pub team: TeamId,
    /// The pool that renders for the team.
    pub pool: PoolId,
    /// What the account may do.
    pub role: Role,
    /// E-mail address at the studio's OIDC provider: whoever has it there, verified, signs in as this user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// The identity that has done so, as [`crate::Identity::subject`] writes it: from then on no other may.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// Tokens issued earlier than this are refused.
    #[serde(default)]
    pub tokens_valid_from: Millis,
    /// The budget of each month, in credits of [`MicroUsd::CREDIT`]; 0 is none at all. There is no "no limit": that is a
    /// number beyond any bill.
    #[serde(default)]
    pub credits: u64,
    /// The devices that are signed in, in the order in which they did so. A token of another one is refused.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub devices: Vec<SignedIn>,
}

/// A device that has a token of its user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedIn {
    /// Names the device in its token.
    pub id: String,
    /// As it calls itself. Not to be trusted.
    pub name: String,
    /// When it was given its token.
    pub at: Millis,
}

impl Account {
    /// How long a device's token is good for.
    pub const TOKEN_LIFE: Duration = Duration::from_hours(30 * 24);
    /// Most devices that are signed in at once: the item stays small, and a classroom fits.
    pub const DEVICES: usize = 50;

    /// Notes that a device was given a token. Those whose tokens have ended are forgotten; with more than
    /// [`Self::DEVICES`] the earliest are signed out.
    pub fn sign_in(&mut self, device: SignedIn) {
        self.devices
            .retain(|it| it.id != device.id && device.at.since(it.at) < Self::TOKEN_LIFE);
        self.devices.push(device);
        let too_many = self.devices.len().saturating_sub(Self::DEVICES);
        self.devices.drain(..too_many);
    }

    /// Signs a device out; false if it was not signed in.
    pub fn sign_out(&mut self, device: &str) -> bool {
        let before = self.devices.len();
        self.devices.retain(|it| it.id != device);
        self.devices.len() < before
    }

    /// Whether a token of this device is still taken. One that names none is nobody's device: an operator's.
    pub fn has(&self, device: Option<&str>) -> bool {
        device.is_none_or(|id| self.devices.iter().any(|it| it.id == id))
    }

    /// Budget of an account for which nobody said how much, in credits: US$ 10 a month, about ten hours of a g5.xlarge.
    pub const CREDITS: u64 = 10_000;

    /// A new painter. A token of an account that had this name before is not good for it.
    pub fn new(user_id: UserId, team: TeamId, pool: PoolId, now: Millis) -> Self {
        Self {
            name: user_id.to_string(),
            user_id,
            version: 0,
            team,
            pool,
            role: Role::Painter,
            email: None,
            subject: None,
            tokens_valid_from: Millis(now.seconds() * 1000),
            credits: Self::CREDITS,
            devices: Vec::new(),
        }
    }

    /// Ends every token, sign-in and invitation made up to now. Tokens know whole seconds, so those of this second end
    /// too.
    pub fn revoke(&mut self, now: Millis) {
        self.tokens_valid_from = Millis((now.seconds() + 1) * 1000);
        self.devices.clear();
    }

    /// Whether what was made then was made before everything was revoked.
    pub const fn is_revoked(&self, made: Millis) -> bool {
        made.0 < self.tokens_valid_from.0
    }
}

/// What an account used in one month: `usage#<user>#<yyyy-mm>` in Accounts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Whose usage.
    pub user_id: UserId,
    /// `yyyy-mm`, UTC.
    pub month: String,
    /// Version of this item, for conditional writes.
    pub version: u64,
    /// Pictures delivered.
    pub images: u64,
    /// Worker time of the runs that delivered them, in milliseconds.
    pub gpu_ms: u64,
    /// Worker time that nobody pays for, in milliseconds: of runs that ended without a picture by the painter's doing, as by
    /// a cancel, or at a limit of time or memory.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub unpaid_ms: u64,
    /// What they cost.
    #[serde(default)]
    pub spent: MicroUsd,
    /// What the tasks that are not over may cost yet.
    #[serde(default)]
    pub reserved: MicroUsd,
    /// State of the user's rate limit: when their bucket is full again. It and [`Self::finish`] are here because each
    /// submit writes this item anyway; a new month begins with a full bucket and at the present of the line.
    #[serde(default)]
    pub bucket: Millis,
    /// Where the next task of each flow (`<pool>#<lane>`) starts at the earliest, in virtual time.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub finish: BTreeMap<String, u64>,
    /// Places to upload to that no request has named yet, each with the moment at which its address dies.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub uploads: BTreeMap<String, Millis>,
    /// The prompt language of the last request, "" for English: nothing is translated, and the painter is told so.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub language: String,
}

impl Usage {
    /// Nothing used yet.
    pub const fn new(user_id: UserId, month: String) -> Self {
        Self {
            user_id,
            month,
            version: 0,
            images: 0,
            gpu_ms: 0,
            unpaid_ms: 0,
            spent: MicroUsd(0),
            reserved: MicroUsd(0),
            bucket: Millis(0),
            finish: BTreeMap::new(),
            uploads: BTreeMap::new(),
            language: String::new(),
        }
    }

    /// What a painter is to know of this month.
    pub fn news(&self) -> Option<String> {
        (!self.language.is_empty()).then(|| {
            format!(
                "Prompts are not translated on this server: what you write goes to the model as it is. Write in English, and \
                 set the prompt language to English in the settings; your last request asked for \"{}\".",
                self.language
            )
        })
    }

    /// What is left of the account's budget: neither spent nor reserved.
    pub const fn left(&self, account: &Account) -> MicroUsd {
        let taken = self.spent.0.saturating_add(self.reserved.0);
        MicroUsd(MicroUsd::of_credits(account.credits).0.saturating_sub(taken))
    }

    /// Whether so much machine time of this painter was paid for by nobody that they may not ask for more this month.
    pub fn too_much_unpaid(&self, settings: &Settings) -> bool {
        !settings.max_unpaid.is_zero() && Duration::from_millis(self.unpaid_ms) >= settings.max_unpaid
    }

    /// Reserves so much of the account's budget; false, and nothing done, if so much is not left.
    #[must_use]
    pub fn reserve(&mut self, wanted: MicroUsd, account: &Account) -> bool {
        let fits = wanted <= self.left(account);
        if fits {
            self.reserved.0 += wanted.0;
        }
        fits
    }

    /// Takes in a task that has just ended: releases what it reserved, and adds what it used if it succeeded.
    pub fn settle(&mut self, task: &Task) {
        self.reserved.0 = self.reserved.0.saturating_sub(task.reserved.0);
        self.unpaid_ms = self.unpaid_ms.saturating_add(task.unpaid_ms);
        let run_ms = u64::try_from(task.run_time().as_millis()).unwrap_or(u64::MAX);
        if task.state == TaskState::Succeeded {
            self.spent.0 = self.spent.0.saturating_add(task.cost.0);
            self.images += task.result.as_ref().map_or(0, |result| result.offsets.len() as u64);
            self.gpu_ms += run_ms;
        } else if task
            .error
            .as_ref()
            .is_none_or(|it| it.class == FailureClass::User || it.blame == Blame::Request)
        {
            self.unpaid_ms = self.unpaid_ms.saturating_add(run_ms);
        }
    }
}

/// The serializer hands over references.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
pub(crate) const fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// A team's rate limit: `team#<team>` in Accounts. Written only where the team has one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TeamRate {
    /// Whose.
    #[serde(rename = "limits")]
    pub team: TeamId,
    /// Version of this item, for conditional writes.
    pub version: u64,
    /// When the bucket is full again.
    pub bucket: Millis,
}

//! How a document came to be, step by step: recorded only where its painter, or for a class their team, has said so.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{DocumentId, Millis, Parameters, TaskId, TeamId, UserId};

impl DocumentId {
    /// The document of every picture whose request names none, as those of the stock plugin do: there a painter agrees for
    /// all of them at once.
    pub const UNNAMED: &str = "unnamed";

    /// That document.
    pub fn unnamed() -> Self {
        Self::new(Self::UNNAMED)
    }

    /// Whether it is that one.
    pub fn is_unnamed(&self) -> bool {
        self.as_str() == Self::UNNAMED
    }
}

/// A painter's document, and whether its history is recorded: `document#<id>` of its owner in History. There is none of a
/// document of which nothing was ever said or recorded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Document {
    /// Whose.
    pub owner: UserId,
    /// Which.
    pub document: DocumentId,
    /// Version of this item, for conditional writes. Every write of a step goes with one of this item, so that none is
    /// recorded beside a change of mind.
    pub version: u64,
    /// The owner's team when it was last changed; whoever leads it may look.
    pub team: TeamId,
    /// What its owner calls it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// What its owner has said: recorded or not. Where they said nothing, the class's setting counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recording: Option<bool>,
    /// Steps that were recorded.
    #[serde(default)]
    pub steps: u64,
    /// When it was last recorded or switched.
    pub last: Millis,
}

impl Document {
    /// Most steps of a document: what comes after them is not recorded.
    pub const MOST_STEPS: u64 = 5000;
    /// Most documents of a painter.
    pub const MOST: u32 = 500;
    /// Longest name, characters.
    pub const NAME: usize = 100;

    /// One of which nothing was said yet.
    pub const fn new(owner: UserId, document: DocumentId, team: TeamId, now: Millis) -> Self {
        Self {
            owner,
            document,
            version: 0,
            team,
            name: String::new(),
            recording: None,
            steps: 0,
            last: now,
        }
    }
}

/// A step: one picture request of a document, `step#<document>#<moment>#<task>` of its owner in History.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// Whose.
    pub owner: UserId,
    /// Of which document.
    pub document: DocumentId,
    /// The task that made its pictures.
    pub task_id: TaskId,
    /// Version of this item, for conditional writes.
    pub version: u64,
    /// When it was asked for.
    pub asked: Millis,
    /// When its pictures were there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<Millis>,
    /// What was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parameters: Option<Parameters>,
    /// Its pictures, small.
    #[serde(default)]
    pub pictures: StepPictures,
    /// Which of them were put into the document, in this order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub applied: Vec<Applied>,
}

impl Step {
    /// Most notes of what was applied: those after them are not kept.
    pub const MOST_APPLIED: usize = 32;
}

/// A picture was put into the document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Applied {
    /// Which one of the step's, from 0.
    pub picture: u32,
    /// When, milliseconds since 1970.
    #[schema(value_type = u64)]
    pub at: Millis,
}

/// The pictures of a step, small: WebP in base64. A worker makes them of what it has in memory, and only for a task of which
/// it is told that it is recorded.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StepPictures {
    /// What was sent: the first input picture. None where there was none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<String>,
    /// What was made, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub results: Vec<String>,
}

impl StepPictures {
    /// Most bytes of a small picture, before base64.
    pub const MOST: usize = 20 * 1024;
    /// Most bytes of all results of a step together, before base64: an item of a table may have 400 KB.
    pub const MOST_RESULTS: usize = 128 * 1024;
    /// Most results that are kept.
    pub const RESULTS: usize = 16;
}

/// A team's setting for a class: the documents of its painters are recorded unless they say no. `class#<team>` in Accounts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Class {
    /// Which team. Not called so in the item, which would put it among the team's accounts.
    #[serde(rename = "class")]
    pub team: TeamId,
    /// Version of this item, for conditional writes.
    pub version: u64,
    /// Whether it is recorded.
    pub recording: bool,
    /// Since when it is so.
    pub since: Millis,
}

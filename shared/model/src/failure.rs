use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Whose fault a failure is, which decides what happens next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum FailureClass {
    /// The request itself: fails at once, in plain words, and costs nothing.
    User,
    /// A machine, ComfyUI or the network: the task goes back to its place in line, at most [`crate::Task::MAX_FAILURES`] times.
    Infrastructure,
    /// No machine to be had, or a worker that must give its run back: the task stays in line and nothing is counted.
    Capacity,
}

/// What a failure says against the machine.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Blame {
    /// It may have been anything.
    #[default]
    Unknown,
    /// Nothing: the request asked for more time or memory than there is.
    Request,
    /// Its process, its hardware or a model file on it is broken.
    Machine,
}

impl Blame {
    /// Whether nothing is known, which is not written down.
    pub const fn is_unknown(&self) -> bool {
        matches!(self, Self::Unknown)
    }
}

/// Why something failed, in words a painter may read: no paths, no prompts, no secrets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Failure {
    /// Whose fault it is.
    pub class: FailureClass,
    /// One plain sentence.
    pub message: String,
    /// What it says against the machine.
    #[serde(default, skip_serializing_if = "Blame::is_unknown")]
    pub blame: Blame,
}

impl Failure {
    /// Longest message kept, in bytes: a task's item stays under 1 KB.
    pub const MAX_MESSAGE: usize = 300;

    /// A failure whose message is cut to [`Self::MAX_MESSAGE`].
    pub fn new(class: FailureClass, message: impl Into<String>) -> Self {
        let mut message: String = message.into();
        if message.len() > Self::MAX_MESSAGE {
            let end = (0..=Self::MAX_MESSAGE - 3)
                .rev()
                .find(|&i| message.is_char_boundary(i))
                .unwrap_or(0);
            message.truncate(end);
            message.push('…');
        }
        Self {
            class,
            message,
            blame: Blame::Unknown,
        }
    }

    /// The same, with what it says against the machine.
    #[must_use]
    pub fn blaming(self, blame: Blame) -> Self {
        Self { blame, ..self }
    }
}

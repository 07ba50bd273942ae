use model::{Millis, Task, TaskId};
use serde::{Deserialize, Serialize};

use crate::Record;

/// Most bytes of a prompt in an index: what is searched by it beyond that is not found.
const PROMPT: usize = 2000;

/// A place in a list of tasks, newest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Place {
    /// When the task was submitted.
    pub created: Millis,
    /// Which task: many may have been submitted at once.
    pub task_id: TaskId,
}

impl Place {
    /// That of the task.
    pub const fn of(task: &Task) -> Self {
        Self {
            created: task.created,
            task_id: task.task_id,
        }
    }

    /// Whether a list that goes on after `after` has this place.
    pub fn follows(self, after: Option<Self>) -> bool {
        after.is_none_or(|after| self < after)
    }
}

/// A task that is over, as an index lists it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// The task.
    #[serde(flatten)]
    pub task: Task,
    /// What the picture shows, as far as it is searched.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub prompt: String,
}

impl Entry {
    /// Its place.
    pub const fn place(&self) -> Place {
        Place::of(&self.task)
    }
}

impl From<&Record> for Entry {
    fn from(record: &Record) -> Self {
        let mut prompt = record
            .parameters
            .as_ref()
            .map_or_else(String::new, |it| it.prompt.clone());
        prompt.truncate(prompt.floor_char_boundary(PROMPT));
        Self {
            task: record.task.clone(),
            prompt,
        }
    }
}

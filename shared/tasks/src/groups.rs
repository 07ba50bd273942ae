//! Groups of variants: who may see one, and how it stands.

use cloud::{Store, StoreError};
use model::{Group, GroupId, MicroUsd, Role, Task, TaskState, TeamId, UserId};

/// Whoever asks for a group.
#[derive(Debug, Clone, Copy)]
pub struct Asker<'a> {
    /// Who it is.
    pub user: &'a UserId,
    /// Their team.
    pub team: &'a TeamId,
    /// What they may do.
    pub role: Role,
}

impl Asker<'_> {
    /// A painter sees their own, a lead the team's, an operator everybody's.
    pub fn may_see(self, group: &Group) -> bool {
        match self.role {
            Role::Operator => true,
            Role::Lead => group.owner == *self.user || group.team == *self.team,
            Role::Painter => group.owner == *self.user,
            Role::Worker => false,
        }
    }
}

/// A group and its tasks.
#[derive(Debug)]
pub struct Seen {
    /// The group.
    pub group: Group,
    /// Its members' tasks, in their order; none where a task is kept no more.
    pub tasks: Vec<Option<Task>>,
}

/// Reads a group; none if there is none that the asker may see.
pub async fn read(store: &Store, id: GroupId, asker: Asker<'_>) -> Result<Option<Seen>, StoreError> {
    let group = store.get(&id).await?.filter(|it| asker.may_see(it));
    let Some(group) = group else { return Ok(None) };
    let ids: Vec<_> = group.members.iter().map(|it| it.task_id).collect();
    let tasks = store.get_all(&ids).await?;
    Ok(Some(Seen { group, tasks }))
}

impl Seen {
    /// Whether all of its tasks are over.
    pub fn is_finished(&self) -> bool {
        self.tasks.iter().flatten().all(|task| task.state.is_terminal())
    }

    /// How many of its tasks are in this state.
    pub fn count(&self, state: TaskState) -> usize {
        self.tasks.iter().flatten().filter(|task| task.state == state).count()
    }

    /// What it has cost, and may cost yet.
    pub fn cost(&self) -> MicroUsd {
        let each = self.tasks.iter().flatten().map(|task| {
            if task.state.is_terminal() {
                task.cost.0
            } else {
                task.reserved.0
            }
        });
        MicroUsd(each.fold(0, u64::saturating_add))
    }
}

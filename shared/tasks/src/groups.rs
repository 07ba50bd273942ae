//! Groups of variants: who may see one, and how it stands.

use std::cmp::Reverse;

use cloud::{
    Store, StoreError, Write, on_conflict,
    retry::MayConflict,
    tables::{AccountKey, AccountsOf, GroupsUpTo},
};
use futures_util::future::try_join_all;
use history::index::Scope;
use model::{Group, GroupId, MicroUsd, Millis, Role, Task, TaskState, TeamId, UserId, VoteError};

use crate::list::cursor;

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

/// A vote was not kept.
#[derive(Debug, thiserror::Error)]
pub enum KeepVoteError {
    /// The tables.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It is none.
    #[error(transparent)]
    Vote(#[from] VoteError),
}

impl MayConflict for KeepVoteError {
    fn is_conflict(&self) -> bool {
        matches!(self, Self::Store(error) if error.is_conflict())
    }
}

/// Keeps with the group which of two of its members the asker prefers; false if there is no such group that they may see.
pub async fn vote(
    store: &Store,
    id: GroupId,
    asker: Asker<'_>,
    better: usize,
    worse: usize,
) -> Result<bool, KeepVoteError> {
    on_conflict!({
        let Some(mut group) = store.get(&id).await?.filter(|it| asker.may_see(it)) else {
            return Ok(false);
        };
        if group.vote(asker.user, better, worse)? {
            store.commit([Write::put(&mut group)?]).await?;
        }
        Ok(true)
    })
}

/// A place in a list of groups, newest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    created: Millis,
    group: GroupId,
}

impl Place {
    const fn of(group: &Group) -> Self {
        Self {
            created: group.created,
            group: group.group_id,
        }
    }

    /// As a text, which is good for the list of this scope alone.
    pub fn written(self, of: &Scope) -> String {
        cursor::text_of(&name(of), self.created, self.group)
    }

    /// The place that the text says; none if it says none in the list of this scope.
    pub fn read(of: &Scope, text: &str) -> Option<Self> {
        let (created, group) = cursor::place(&name(of), text)?;
        Some(Self { created, group })
    }
}

/// A list of groups is none of tasks.
fn name(of: &Scope) -> String {
    format!("groups/{}", of.folder())
}

/// Most groups of a page.
pub const MOST: u32 = 50;

/// At most `limit` groups of an owner or a team from behind `after` on, newest first, and where the list goes on. The index may
/// not show the very last ones yet.
pub async fn list(
    store: &Store,
    of: &Scope,
    after: Option<Place>,
    limit: usize,
) -> Result<(Vec<Group>, Option<Place>), StoreError> {
    let users = match of {
        Scope::Owner(user) => vec![user.clone()],
        Scope::Team(team) => {
            let keys = store.list(AccountsOf(team)).await?;
            keys.iter().filter_map(AccountKey::user).collect()
        }
        // A machine renders tasks, not groups.
        Scope::Worker(_) => Vec::new(),
    };
    let own = users.iter().map(|user| own(store, of, user, after, limit));
    let mut groups: Vec<_> = try_join_all(own).await?.into_iter().flatten().collect();
    groups.sort_unstable_by_key(|group| Reverse(Place::of(group)));
    let more = groups.len() > limit;
    groups.truncate(limit);
    let next = groups.last().map(Place::of).filter(|_| more);
    Ok((groups, next))
}

/// The user's groups that are in this list: more than `limit` of them, or all.
async fn own(
    store: &Store,
    of: &Scope,
    user: &UserId,
    after: Option<Place>,
    limit: usize,
) -> Result<Vec<Group>, StoreError> {
    let (mut found, mut cursor): (Vec<Group>, _) = (Vec::new(), None);
    let from = after.map_or(Millis(u64::MAX), |after| after.created);
    let many = u32::try_from(limit + 1).unwrap_or(u32::MAX);
    loop {
        let page = store.page(GroupsUpTo(user, from), cursor.as_ref(), many).await?;
        for group in page.entries {
            // Those of one moment come in no order.
            if found.get(limit).is_some_and(|last| group.created < last.created) {
                return Ok(found);
            }
            let is_in = match of {
                Scope::Team(team) => group.team == *team,
                _ => group.owner == *user,
            };
            if is_in && after.is_none_or(|after| Place::of(&group) < after) {
                found.push(group);
            }
        }
        cursor = page.next;
        if cursor.is_none() {
            return Ok(found);
        }
    }
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

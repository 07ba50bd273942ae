//! One list over the table and the archive: tasks of a painter or of a team, newest first.
//!
//! The table has what ended lately and whatever is not over; the indexes in the bucket have what was put together, some of
//! which the table still has. Both are read from one place on, put together by time, and each task counts once, as the table
//! has it.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, HashMap},
    ops::RangeInclusive,
};

use cloud::{
    Cloud, Store, StoreError,
    http::HttpError,
    tables::{AccountKey, AccountsOf, BodyOf, OwnTask, TasksUpTo},
};
use futures_util::future::try_join_all;
use history::{
    HistoryError,
    index::{self, Entry, Place, Scope},
};
use model::{GroupId, Millis, Task, TaskId, TaskState, UserId};

/// Most tasks that a search in prompts looks through at once.
pub const SEARCHED: usize = 500;
/// The same of any other choice.
const CHOSEN: usize = 100;

/// A list could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ListError {
    /// The tables.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The archive.
    #[error(transparent)]
    History(#[from] HistoryError),
}

impl From<ListError> for HttpError {
    fn from(error: ListError) -> Self {
        match error {
            ListError::Store(error) => error.into(),
            ListError::History(error) => error.into(),
        }
    }
}

/// Which tasks are wanted.
#[derive(Debug, Clone)]
pub struct Choice {
    /// Only those of this state.
    pub state: Option<TaskState>,
    /// Only those of this kind of picture.
    pub kind: Option<String>,
    /// None of this kind of picture.
    pub without: Option<String>,
    /// Only variants of this group.
    pub group: Option<GroupId>,
    /// Only those whose prompt has this text, in whatever case.
    pub text: Option<String>,
    /// Only those that were submitted in this time.
    pub created: RangeInclusive<Millis>,
}

impl Choice {
    /// All of them.
    pub const ALL: Self = Self {
        state: None,
        kind: None,
        without: None,
        group: None,
        text: None,
        created: Millis(0)..=Millis(u64::MAX),
    };

    /// How many tasks are looked at to find so many.
    fn looks(&self, limit: usize) -> usize {
        if self.text.is_some() {
            SEARCHED
        } else if self.state.is_some() || self.kind.is_some() || self.without.is_some() || self.group.is_some() {
            CHOSEN.max(limit)
        } else {
            limit
        }
    }

    /// `text`: that of the choice, in small letters.
    fn has(&self, task: &Task, prompt: &str, text: Option<&str>) -> bool {
        let group = task.variant.as_ref().map(|variant| variant.group);
        self.state.is_none_or(|state| state == task.state)
            && self.kind.as_ref().is_none_or(|kind| Some(kind) == task.kind.as_ref())
            && (self.without.is_none() || self.without != task.kind)
            && self.group.is_none_or(|wanted| Some(wanted) == group)
            && text.is_none_or(|text| prompt.to_lowercase().contains(text))
            && self.created.contains(&task.created)
    }
}

/// A task of the list.
#[derive(Debug, Clone)]
pub struct Found {
    /// The task.
    pub task: Task,
    /// It is in the table no more: its pictures have gone too.
    pub past: bool,
}

/// A part of the list.
#[derive(Debug, Default)]
pub struct Listed {
    /// The tasks, newest first. There may be few, or none, although the list goes on.
    pub tasks: Vec<Found>,
    /// Where the list goes on: the last task that was looked at; none at its end.
    pub next: Option<Place>,
    /// Parts of the archive that cannot be read, and whose tasks are left out.
    pub damaged: usize,
}

/// What is known of a task before it is looked at.
#[derive(Debug, Default)]
struct Candidate {
    live: Option<OwnTask>,
    past: Option<Entry>,
}

/// At most `limit` tasks from behind `after` on. The scope of a machine has only what was put together.
pub async fn all(
    cloud: &Cloud,
    of: &Scope,
    choice: &Choice,
    after: Option<Place>,
    limit: usize,
) -> Result<Listed, ListError> {
    let looks = choice.looks(limit);
    let (first, last) = (*choice.created.start(), *choice.created.end());
    // A list of one day begins at its end.
    let from = after.map_or(last, |after| after.created.min(last));
    let users = match of {
        Scope::Owner(user) => vec![user.clone()],
        Scope::Team(team) => {
            let keys = cloud.store.list(AccountsOf(team)).await?;
            keys.iter().filter_map(AccountKey::user).collect()
        }
        Scope::Worker(_) => Vec::new(),
    };
    let live = users
        .iter()
        .map(|user| live(&cloud.store, user, after, first..=from, looks));
    let live = async { try_join_all(live).await.map_err(ListError::from) };
    let past = async { Ok(index::after(&cloud.bucket, of, after, first, looks + 1).await?) };
    let (live, past) = tokio::try_join!(live, past)?;
    let mut found: BTreeMap<Reverse<Place>, Candidate> = BTreeMap::new();
    for task in live.into_iter().flatten() {
        let place = Place {
            created: task.created,
            task_id: task.task_id,
        };
        found.entry(Reverse(place)).or_default().live = Some(task);
    }
    for entry in past.entries.into_iter().filter(|it| it.task.created <= last) {
        let place = entry.place();
        found.entry(Reverse(place)).or_default().past = Some(entry);
    }
    let more = found.len() > looks;
    let found: Vec<_> = found.into_iter().take(looks).map(|(place, it)| (place.0, it)).collect();
    let mut whole = whole(&cloud.store, &found, choice).await?;
    let mut listed = Listed {
        damaged: past.damaged,
        ..Listed::default()
    };
    let text = choice.text.as_ref().map(|text| text.to_lowercase());
    let mut at = None;
    for (number, (place, candidate)) in found.iter().enumerate() {
        at = Some(*place);
        let now = whole.remove(&place.task_id);
        let past = now.is_none();
        let entry = candidate
            .past
            .as_ref()
            .map(|entry| (entry.task.clone(), entry.prompt.clone()));
        let Some((task, prompt)) = now.or(entry) else {
            continue;
        };
        let is_in = match of {
            Scope::Owner(user) => task.owner == *user,
            Scope::Team(team) => task.team == *team,
            Scope::Worker(worker) => task.last_run.as_ref().is_some_and(|run| run.worker_id == *worker),
        };
        if is_in && choice.has(&task, &prompt, text.as_deref()) {
            listed.tasks.push(Found { task, past });
        }
        if listed.tasks.len() >= limit {
            listed.next = at.filter(|_| more || number + 1 < found.len());
            return Ok(listed);
        }
    }
    listed.next = at.filter(|_| more);
    Ok(listed)
}

/// The user's tasks in the table, newest first: more than `looks` of them, or all.
async fn live(
    store: &Store,
    user: &UserId,
    after: Option<Place>,
    created: RangeInclusive<Millis>,
    looks: usize,
) -> Result<Vec<OwnTask>, StoreError> {
    let (mut found, mut cursor): (Vec<OwnTask>, _) = (Vec::new(), None);
    let limit = u32::try_from(looks + 1).unwrap_or(u32::MAX);
    loop {
        let page = store
            .page(TasksUpTo(user, *created.end()), cursor.as_ref(), limit)
            .await?;
        for task in page.entries {
            // Those of one moment come in no order.
            let enough = found.get(looks).is_some_and(|last| task.created < last.created);
            if enough || task.created < *created.start() {
                return Ok(found);
            }
            let place = Place {
                created: task.created,
                task_id: task.task_id,
            };
            if place.follows(after) {
                found.push(task);
            }
        }
        cursor = page.next;
        if cursor.is_none() {
            return Ok(found);
        }
    }
}

/// Those that the table has, with their prompts where they are searched. One that is gone, or cannot be read, is not in it.
async fn whole(
    store: &Store,
    found: &[(Place, Candidate)],
    choice: &Choice,
) -> Result<HashMap<TaskId, (Task, String)>, ListError> {
    // The index may be behind: a task that it shows unfinished may have ended, but not the other way round.
    let may_be = |it: &OwnTask| {
        choice
            .state
            .is_none_or(|wanted| it.state == wanted || !it.state.is_terminal())
    };
    let live = found.iter().filter_map(|(_, it)| it.live.as_ref());
    let ids: Vec<_> = live.filter(|it| may_be(it)).map(|it| it.task_id).collect();
    let bodies = async {
        if choice.text.is_none() {
            return Ok(Vec::new());
        }
        let ids: Vec<_> = ids.iter().map(|id| BodyOf(*id)).collect();
        store.get_all(&ids).await
    };
    let (tasks, bodies) = tokio::try_join!(store.get_all(&ids), bodies)?;
    let mut prompts: HashMap<_, _> = bodies
        .into_iter()
        .flatten()
        .filter_map(|body| Some((body.task_id, body.parameters?.prompt)))
        .collect();
    let tasks = tasks.into_iter().flatten();
    Ok(tasks
        .map(|task| {
            let prompt = prompts.remove(&task.task_id).unwrap_or_default();
            (task.task_id, (task, prompt))
        })
        .collect())
}

//! What the page is made of, in a number of reads that does not depend on how much there is.

use std::collections::HashMap;

use accounts::audit;
use cloud::{
    StoreError,
    page::Cursor,
    tables::{AccountKey, AccountsOf, AllPools, TasksOf, UsageOf},
};
use model::{Account, Audit, Millis, PoolId, Role, Task, TaskId, TaskState, TeamId, Usage, UserId, WorkerState};
use tasks::line::Line;

use crate::App;

/// How many of one's newest tasks are looked at.
const OWN: u32 = 24;
/// Most machines of which it is looked up what they render.
pub(crate) const MACHINES: usize = 100;
/// Most members of a team on one page.
const MEMBERS: u32 = 50;
/// How many lines of the audit list are shown beside the rest.
const LINES: u32 = 8;

/// A member of a team, and what they used this month.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) account: Account,
    pub(crate) usage: Usage,
}

/// What the page shows.
#[derive(Debug)]
pub(crate) struct Seen {
    /// Which pool.
    pub(crate) pool: PoolId,
    /// The others, for operators.
    pub(crate) pools: Vec<PoolId>,
    pub(crate) line: Line,
    pub(crate) usage: Usage,
    /// The visitor's newest tasks.
    pub(crate) own: Vec<Task>,
    /// What machines render, by task; for leads and operators.
    pub(crate) rendered: HashMap<TaskId, Task>,
    pub(crate) members: Vec<Member>,
    pub(crate) more_members: Option<Cursor>,
    pub(crate) audit: Vec<Audit>,
}

impl Seen {
    /// Reads it: `pool` is an operator's wish, `after` where the list of members goes on.
    pub(crate) async fn read(
        app: &App,
        account: &Account,
        pool: Option<PoolId>,
        after: Option<&Cursor>,
        now: Millis,
    ) -> Result<Self, StoreError> {
        let operates = account.role == Role::Operator;
        let pool = pool.filter(|_| operates).unwrap_or_else(|| account.pool.clone());
        let store = &app.cloud.store;
        let names = async {
            if !operates {
                return Ok(Vec::new());
            }
            let mut names = store.get(&AllPools).await?.unwrap_or_default().pools;
            names.sort();
            Ok::<_, StoreError>(names)
        };
        let lines = async {
            if operates {
                audit::page(store, None, LINES).await.map(|page| page.entries)
            } else {
                Ok(Vec::new())
            }
        };
        let (line, usage, own, pools, audit, (members, more_members)) = tokio::try_join!(
            Line::read(&app.cloud, &pool),
            accounts::usage(store, &account.user_id, now),
            own(app, &account.user_id),
            names,
            lines,
            members(app, account, after, now),
        )?;
        let rendered = if account.role == Role::Painter {
            HashMap::new()
        } else {
            rendered(app, &line).await?
        };
        Ok(Self {
            pool,
            pools,
            line,
            usage,
            own,
            rendered,
            members,
            more_members,
            audit,
        })
    }
}

async fn own(app: &App, user: &UserId) -> Result<Vec<Task>, StoreError> {
    let store = &app.cloud.store;
    let listed = store.page(TasksOf(user), None, OWN).await?.entries;
    let ids: Vec<_> = listed.iter().map(|it| it.task_id).collect();
    let tasks = store.get_all(&ids).await?;
    Ok(tasks.into_iter().flatten().filter(|it| it.owner == *user).collect())
}

/// What the machines render that are shown.
async fn rendered(app: &App, line: &Line) -> Result<HashMap<TaskId, Task>, StoreError> {
    let busy = line.workers.iter().filter(|it| it.state.is_up());
    let ids: Vec<_> = busy
        .filter_map(|it| it.run)
        .map(|run| run.task_id)
        .take(MACHINES)
        .collect();
    if ids.is_empty() {
        return Ok(HashMap::new());
    }
    let tasks = app.cloud.store.get_all(&ids).await?;
    Ok(tasks.into_iter().flatten().map(|it| (it.task_id, it)).collect())
}

async fn members(
    app: &App,
    account: &Account,
    after: Option<&Cursor>,
    now: Millis,
) -> Result<(Vec<Member>, Option<Cursor>), StoreError> {
    if account.role == Role::Painter {
        return Ok((Vec::new(), None));
    }
    let team: &TeamId = &account.team;
    let store = &app.cloud.store;
    let page = store.page(AccountsOf(team), after, MEMBERS).await?;
    let users: Vec<UserId> = page.entries.iter().filter_map(AccountKey::user).collect();
    let usages: Vec<_> = users.iter().map(|it| UsageOf(it.clone(), now.month())).collect();
    let (accounts, usages) = tokio::try_join!(store.get_all(&users), store.get_all(&usages))?;
    let all = users.into_iter().zip(accounts).zip(usages);
    let members = all.filter_map(|((user, account), usage)| {
        // Whoever was moved or removed may be in the index for a moment.
        let account = account.filter(|it| it.team == *team)?;
        let usage = usage.unwrap_or_else(|| Usage::new(user, now.month()));
        Some(Member { account, usage })
    });
    Ok((members.collect(), page.next))
}

/// Whether a task is one that its painter still waits for.
pub(crate) const fn is_open(state: TaskState) -> bool {
    !state.is_terminal()
}

/// In which order machines are shown: those that do something first.
pub(crate) const fn rank(state: WorkerState) -> u8 {
    match state {
        WorkerState::Busy => 0,
        WorkerState::Ready => 1,
        WorkerState::Draining => 2,
        WorkerState::Warming | WorkerState::Booting => 3,
        WorkerState::Starting | WorkerState::Launching => 4,
        WorkerState::Failed => 5,
        WorkerState::Stopping => 6,
        WorkerState::Stopped => 7,
        WorkerState::Gone => 8,
    }
}

//! The tables as the handlers see them: they look at each commit, and let others come in between.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use cloud::{
    BoxFuture, StoreError, Write,
    memory::Memory,
    page::{Cursor, Page},
    store::{Batch, Item, StorePort},
    tables::{Id, Key, Query, Table},
};
use model::{Account, Lane, MicroUsd, Task, TaskState, Usage, UserId, Worker, WorkerState};
use serde::de::DeserializeOwned;
use serde_json::Value;

type Wanted = Box<dyn Fn(&[Write]) -> bool + Send>;

/// What happens just before the first commit that is wanted.
struct Hook {
    wanted: Wanted,
    then: Box<dyn FnOnce() + Send>,
}

struct Inner {
    memory: Memory,
    label: String,
    chance: Mutex<Option<fastrand::Rng>>,
    hook: Mutex<Option<Hook>>,
    story: Mutex<Vec<String>>,
    /// What deleted tasks have cost, by owner.
    deleted: Mutex<BTreeMap<UserId, u64>>,
}

/// The in-memory tables with an eye on every commit.
#[derive(Clone)]
pub(crate) struct Port(Arc<Inner>);

impl fmt::Debug for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Port")
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Port {
    pub(crate) fn new(memory: Memory, label: String) -> Self {
        Self(Arc::new(Inner {
            memory,
            label,
            chance: Mutex::new(None),
            hook: Mutex::new(None),
            story: Mutex::new(Vec::new()),
            deleted: Mutex::default(),
        }))
    }

    /// From now on each call takes a while, so that handlers which run together meet in between.
    pub(crate) fn dawdle(&self, seed: u64) {
        *locked(&self.0.chance) = Some(fastrand::Rng::with_seed(seed));
    }

    /// Lets something happen just before the first commit that is wanted.
    pub(crate) fn before_commit(
        &self,
        wanted: impl Fn(&[Write]) -> bool + Send + 'static,
        then: impl AsyncFnOnce() + Send + 'static,
    ) {
        // In a thread of its own, since the handlers' futures may not move to another one.
        let then = move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
            runtime.unwrap().block_on(then());
        };
        *locked(&self.0.hook) = Some(Hook {
            wanted: Box::new(wanted),
            then: Box::new(move || std::thread::spawn(then).join().unwrap()),
        });
    }

    /// Whether what was to happen in between has happened.
    pub(crate) fn hook_is_spent(&self) -> bool {
        locked(&self.0.hook).is_none()
    }

    /// Notes what happens, to be shown when something is wrong.
    pub(crate) fn note(&self, line: String) {
        locked(&self.0.story).push(line);
    }

    /// Fails the test, and says what led there.
    pub(crate) fn fail(&self, what: &str) -> ! {
        let story = locked(&self.0.story);
        let last = story.len().saturating_sub(60);
        panic!("{}: {what}\n{}", self.0.label, story[last..].join("\n"));
    }

    /// One entity as the tables have it, now.
    pub(crate) async fn get<I: Id>(&self, id: &I) -> Option<I::Entity> {
        let item = StorePort::get(&self.0.memory, &id.key()).await.unwrap();
        item.map(|item| serde_json::from_value(Value::Object(item)).unwrap())
    }

    async fn pause(&self) {
        let turns = locked(&self.0.chance).as_mut().map_or(0, |chance| chance.u8(0..4));
        for _ in 0..turns {
            tokio::task::yield_now().await;
        }
    }

    async fn commit(&self, writes: &[Write]) -> Result<(), StoreError> {
        self.pause().await;
        let due = locked(&self.0.hook).take_if(|hook| (hook.wanted)(writes));
        if let Some(hook) = due {
            (hook.then)();
        }
        let mut before = Vec::new();
        for write in writes {
            before.push(StorePort::get(&self.0.memory, &write.key).await?);
        }
        let done = StorePort::commit(&self.0.memory, writes).await;
        if done.is_ok() {
            let stops = |(write, old): (&Write, &Option<Item>)| {
                let is_up = |item: &Item| read::<Worker>(item.clone()).state.is_up();
                write.key.table == Table::Fleet
                    && old.as_ref().is_some_and(is_up)
                    && write.item.as_ref().is_some_and(|item| !is_up(item))
            };
            let metered = writes.iter().any(|write| write.key.table == Table::Pools);
            if !metered && writes.iter().zip(&before).any(stops) {
                self.fail("a machine stopped and was not metered");
            }
            for (write, old) in writes.iter().zip(before) {
                self.check(write, old).await;
            }
            if writes
                .iter()
                .any(|write| matches!(write.key.table, Table::Tasks | Table::Accounts))
            {
                self.check_budgets();
            }
        }
        self.pause().await;
        done
    }

    async fn check(&self, write: &Write, old: Option<Item>) {
        match write.key.table {
            Table::Tasks => {
                let (old, new) = (old.map(read), write.item.clone().map(read));
                let Some(new) = new else {
                    return self.check_deleted(old);
                };
                self.check_task(old.as_ref(), &new).await;
            }
            Table::Fleet => {
                let (old, new) = (old.map(read::<Worker>), write.item.clone().map(read));
                let Some(new) = new else {
                    let never_was = |it: &Worker| {
                        it.state == WorkerState::Launching && it.instance_id.is_none() && it.run.is_none()
                    };
                    if !old.as_ref().is_some_and(never_was) {
                        self.fail("a worker that had an instance or a run was deleted")
                    }
                    return;
                };
                self.check_worker(old.as_ref(), &new).await;
            }
            _ => {}
        }
    }

    /// A task is deleted only when it is over; what it cost stays spent.
    fn check_deleted(&self, old: Option<Task>) {
        let Some(old) = old.filter(|it| it.state.is_terminal()) else {
            self.fail("a task was deleted that is not over")
        };
        *locked(&self.0.deleted).entry(old.owner).or_default() += old.cost.0;
    }

    async fn check_task(&self, old: Option<&Task>, new: &Task) {
        let holds = |what: &str, is: bool| {
            if !is {
                self.fail(&format!("{what}\nwas {old:#?}\nis {new:#?}"));
            }
        };
        if let Some(old) = old {
            holds(
                "a task took an edge that does not exist",
                old.state == new.state || old.state.may_become(new.state),
            );
            holds(
                "a task that is over changed",
                !old.state.is_terminal() || same_but_its_record(&for_good(old), &for_good(new)),
            );
            let preempted =
                old.lane == Lane::Batch && new.preempted == old.preempted + 1 && new.start_tag > old.start_tag;
            let kept = old.start_tag == new.start_tag && old.preempted == new.preempted;
            holds("a task lost its place in line", kept || preempted);
            holds(
                "a run was exchanged for another one",
                old.run.is_none() || new.run.is_none() || same_run(old, new),
            );
        }
        holds(
            "backlog and queued belong together",
            new.backlog.is_some() == (new.state == TaskState::Queued),
        );
        holds(
            "run and running or canceling belong together",
            new.run.is_some() == matches!(new.state, TaskState::Running | TaskState::Canceling),
        );
        holds(
            "result and succeeded belong together",
            new.result.is_some() == (new.state == TaskState::Succeeded),
        );
        holds("a task has an end", new.ended_at.is_some() == new.state.is_terminal());
        holds(
            "a task goes away, and has no record",
            new.ttl.is_none() || new.archived_at.is_some(),
        );
        let ends = old.is_none_or(|old| !old.state.is_terminal());
        if let Some(result) = new.result.as_ref().filter(|_| ends) {
            let run = old.and_then(|old| old.run.as_ref()).map(|run| run.run_id);
            let key = run.map(|run| format!("results/{}/{run}", new.task_id));
            holds("a result is not the run's", key.as_ref() == Some(&result.key));
        }
        if let Some(run) = &new.run {
            let worker = self.get(&run.worker_id).await;
            let held = worker.and_then(|worker| worker.run);
            holds(
                "a run's worker does not hold it",
                held.is_some_and(|held| held.run_id == run.run_id && held.task_id == new.task_id),
            );
        }
    }

    /// Between any two commits: what is spent is what the pictures cost, what is reserved is what the tasks that are not
    /// over reserved, and together they are within the budget.
    pub(crate) fn check_budgets(&self) {
        let (mut tasks, mut usage, mut budgets) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        let items = self.0.memory.items();
        // What another release wrote has books of its own.
        if items
            .iter()
            .any(|(_, item)| item.get("state").is_some_and(|it| it == "rehearsing"))
        {
            return;
        }
        let zero = (0, 0);
        for (owner, cost) in &*locked(&self.0.deleted) {
            tasks.insert(owner.clone(), (*cost, 0));
        }
        for (key, item) in items {
            if key.table == Table::Tasks {
                let task: Task = read(item);
                if task.cost > task.reserved || (task.cost.0 > 0 && task.state != TaskState::Succeeded) {
                    self.fail(&format!("a task cost too much: {task:#?}"));
                }
                let sum: &mut (u64, u64) = tasks.entry(task.owner).or_insert(zero);
                sum.0 += task.cost.0;
                sum.1 += if task.state.is_terminal() { 0 } else { task.reserved.0 };
            } else if key.partition.starts_with("usage#") {
                let one: Usage = read(item);
                let sum: &mut (u64, u64) = usage.entry(one.user_id).or_insert(zero);
                sum.0 += one.spent.0;
                sum.1 += one.reserved.0;
            } else if key.partition.starts_with("user#") {
                let account: Account = read(item);
                budgets.insert(account.user_id, MicroUsd::of_credits(account.credits));
            }
        }
        tasks.retain(|_, sum| *sum != zero);
        usage.retain(|_, sum| *sum != zero);
        if tasks != usage {
            self.fail(&format!("spent and reserved: by tasks {tasks:?}, by usage {usage:?}"));
        }
        let over = |(user, (spent, reserved)): (&UserId, &(u64, u64))| {
            budgets.get(user).is_some_and(|budget| spent + reserved > budget.0)
        };
        if usage.iter().any(over) {
            self.fail(&format!("above the budget: {usage:?} of {budgets:?}"));
        }
    }

    async fn check_worker(&self, old: Option<&Worker>, new: &Worker) {
        let holds = |what: &str, is: bool| {
            if !is {
                self.fail(&format!("{what}\nwas {old:#?}\nis {new:#?}"));
            }
        };
        if let Some(old) = old {
            holds(
                "a worker took an edge that does not exist",
                old.state == new.state || old.state.may_become(new.state),
            );
            holds("a generation fell", old.generation <= new.generation);
            holds("a proof was used twice", old.proof_date <= new.proof_date);
            let began = new.run.filter(|run| old.run != Some(*run));
            holds(
                "a worker that is not ready began a run",
                began.is_none() || old.state == WorkerState::Ready,
            );
        }
        holds(
            "only a busy or draining worker holds a run",
            new.run.is_none() || matches!(new.state, WorkerState::Busy | WorkerState::Draining),
        );
        holds(
            "a busy worker holds a run",
            new.run.is_some() || new.state != WorkerState::Busy,
        );
        if let Some(run) = new.run {
            let task = self.get(&run.task_id).await;
            let holder = task.and_then(|task| task.run).map(|run| run.run_id);
            holds("a worker's run does not hold the task", holder == Some(run.run_id));
        }
    }
}

/// Whether nothing differs but what is noted of its record.
fn same_but_its_record(old: &Task, new: &Task) -> bool {
    let noted = Task {
        version: new.version,
        unarchived: new.unarchived.clone(),
        offer_at: new.offer_at,
        archived_at: new.archived_at,
        ttl: new.ttl,
        ..old.clone()
    };
    noted == *new
}

/// What of a task that is over never changes: all but how long its pictures are kept.
fn for_good(task: &Task) -> Task {
    let mut task = task.clone();
    task.version = 0;
    if let Some(result) = &mut task.result {
        result.kept = None;
    }
    task
}

fn same_run(old: &Task, new: &Task) -> bool {
    let id = |task: &Task| task.run.as_ref().map(|run| run.run_id);
    id(old) == id(new)
}

fn read<T: DeserializeOwned>(item: Item) -> T {
    serde_json::from_value(Value::Object(item)).unwrap()
}

impl StorePort for Port {
    fn get<'a>(&'a self, key: &'a Key) -> BoxFuture<'a, Result<Option<Item>, StoreError>> {
        Box::pin(async move {
            self.pause().await;
            StorePort::get(&self.0.memory, key).await
        })
    }
    fn get_all<'a>(&'a self, keys: &'a [Key]) -> BoxFuture<'a, Result<Batch, StoreError>> {
        Box::pin(async move {
            self.pause().await;
            StorePort::get_all(&self.0.memory, keys).await
        })
    }
    fn query<'a>(
        &'a self,
        query: &'a Query,
        after: Option<&'a Cursor>,
        limit: u32,
    ) -> BoxFuture<'a, Result<Page<Item>, StoreError>> {
        Box::pin(async move {
            self.pause().await;
            StorePort::query(&self.0.memory, query, after, limit).await
        })
    }
    fn commit<'a>(&'a self, writes: &'a [Write]) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(self.commit(writes))
    }
}

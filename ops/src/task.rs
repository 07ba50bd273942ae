//! Tasks: shown, listed, canceled, put back in line, failed.

use std::fmt::Write as _;

use accounts::audit;
use anyhow::{Context, Result, bail};
use clap::{
    Args, Subcommand,
    builder::{PossibleValuesParser, TypedValueParser},
};
use cloud::{Cloud, StoreError, Write, tables::Backlog};
use history::index::Scope;
use model::{
    CancelCause, Canceled, FailureClass, LoraStrength, Millis, Parameters, PoolId, Task, TaskId, TaskState, TeamId,
    UserId, WorkerId,
};
use tasks::{
    bodies::{self, PlanPlace},
    list::{self, Choice},
    runs,
};

use crate::{audit::by, user::TABLES};

/// `ops task`.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show a task: where it stands, its times, what it cost, and what the functions and its machine wrote of it.
    Show {
        /// The task.
        task: TaskId,
        /// Print its plan too, as JSON: the graph with its prompts.
        #[arg(long)]
        plan: bool,
        /// Leave out what was written of it.
        #[arg(long)]
        no_logs: bool,
        /// The stack, whose logs are read.
        #[arg(long, default_value = "atelier")]
        stack: String,
    },
    /// List the tasks of a user, a team or a machine, newest first, or those of a pool that wait, first in line first.
    List {
        /// Whose.
        #[command(flatten)]
        of: Of,
        /// Only those that stand so.
        #[arg(long, value_parser = state(), conflicts_with = "pool")]
        state: Option<TaskState>,
        /// Most that are listed.
        #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1000))]
        most: u32,
    },
    /// Cancel a task, as its painter would. It costs nothing.
    Cancel {
        /// The task.
        task: TaskId,
    },
    /// Take a running task from its machine: it waits again at its old place in line.
    Requeue {
        /// The task.
        task: TaskId,
    },
    /// End a task that waits or runs, for good. It costs nothing.
    Fail {
        /// The task.
        task: TaskId,
        /// What its painter is told: one plain sentence.
        #[arg(long, default_value = "An operator of your studio ended this picture.")]
        because: String,
    },
}

/// Whose tasks.
#[derive(Debug, Clone, Args)]
#[group(required = true, multiple = false)]
pub struct Of {
    /// A user's.
    #[arg(long)]
    pub user: Option<UserId>,
    /// Those of all users of a team.
    #[arg(long)]
    pub team: Option<TeamId>,
    /// Those that a machine has rendered last, up to yesterday.
    #[arg(long)]
    pub worker: Option<WorkerId>,
    /// Those that wait in a pool.
    #[arg(long)]
    pub pool: Option<PoolId>,
}

/// One of the words of [`TaskState`].
fn state() -> impl TypedValueParser<Value = TaskState> {
    let of = |word: String| TaskState::ALL.into_iter().find(|it| it.word() == word);
    PossibleValuesParser::new(TaskState::ALL.map(TaskState::word)).try_map(move |word| of(word).ok_or("no state"))
}

/// Carries it out. What the logs have is for whoever can reach them.
pub async fn run(cloud: &Cloud, command: Command, now: Millis) -> Result<String> {
    match command {
        Command::Show { task, plan, .. } => {
            let found = find(cloud, task).await?;
            let mut text = lines(&found, now);
            let asked = bodies::parameters(&cloud.store, task).await.context(TABLES)?;
            if let Some(asked) = &asked {
                let _ = write!(text, "\n{}", asked_with(asked));
            }
            if plan {
                let _ = write!(text, "\n\n{}", plan_of(cloud, task).await?);
            }
            Ok(text)
        }
        Command::List { of, state, most } => {
            if let Some(pool) = of.pool {
                return waiting(cloud, &pool, most, now).await;
            }
            let user = of.user.map(Scope::Owner);
            let scope = user.or(of.team.map(Scope::Team)).or(of.worker.map(Scope::Worker));
            let scope = scope.context("say whose: --user, --team, --worker or --pool")?;
            newest(cloud, &scope, state, most).await
        }
        Command::Cancel { task } => {
            let line = |before: &Task, after: &Task| line_of("cancel", now, before, after);
            let done = runs::cancel_and(cloud, task, CancelCause::User, now, |_| true, line).await;
            let (done, after) = done.with_context(|| not_done(task))?;
            Ok(match done {
                Canceled::Ended => format!("{task} is canceled"),
                Canceled::Asked => format!("{task} is being canceled; its machine is told"),
                Canceled::Already => format!("nothing was to be done: {task} is {}", after.state.word()),
            })
        }
        Command::Requeue { task } => {
            let found = find(cloud, task).await?;
            let Some(run) = found.run.filter(|_| found.state == TaskState::Running) else {
                bail!(
                    "{task} is {}: only what runs can be put back in line",
                    found.state.word()
                );
            };
            let still = |task: &Task| task.state == TaskState::Running;
            let line = |before: &Task, after: &Task| line_of("requeue", now, before, after);
            let ended = runs::take_back(cloud, task, run.run_id, now, still, line).await;
            // Whom it concerns is told by now.
            ended.map(drop).with_context(|| not_done(task))?;
            Ok(format!("{task} waits again, at its old place in line"))
        }
        Command::Fail { task, because } => {
            let stands = find(cloud, task).await?.state;
            if stands.is_terminal() {
                bail!("{task} is over: it is {}", stands.word());
            }
            let line = |before: &Task, after: &Task| line_of("fail", now, before, after);
            let after = runs::fail(cloud, task, &because, now, line).await;
            let after = after.with_context(|| not_done(task))?;
            Ok(format!("{task} is {}", after.state.word()))
        }
    }
}

/// The audit list's line of what was done to a task.
fn line_of(what: &str, now: Millis, before: &Task, after: &Task) -> Result<Option<Write>, StoreError> {
    let (was, is) = (audit::of_task(before), audit::of_task(after));
    let line = by(now).did(what, &format!("task {}", before.task_id), &was, &is)?;
    Ok(Some(line))
}

fn not_done(task: TaskId) -> String {
    format!("task {task} was not changed; `ops task show {task}` says where it stands")
}

/// The task; an error that says what to do if there is none.
pub async fn find(cloud: &Cloud, task: TaskId) -> Result<Task> {
    let found = cloud.store.get(&task).await.context(TABLES)?;
    found.with_context(|| format!("there is no task {task}; `ops task list --user USER` shows a painter's"))
}

async fn plan_of(cloud: &Cloud, task: TaskId) -> Result<String> {
    let body = bodies::read(&cloud.store, task).await;
    let body = body.with_context(|| format!("the plan of {task} is not kept any more"))?;
    let plan = match body.plan {
        PlanPlace::Here(plan) => plan,
        PlanPlace::Bucket(key) => {
            let text = cloud
                .bucket
                .get(&key)
                .await
                .context("the bucket of pictures cannot be read")?;
            serde_json::from_str(&text).context("the plan is damaged")?
        }
    };
    Ok(serde_json::to_string_pretty(&plan)?)
}

/// All that its item says.
fn lines(task: &Task, now: Millis) -> String {
    let seconds = |from: Millis, to: Millis| format!("{:.1} s", to.since(from).as_secs_f64());
    let mut rows = vec![
        ("task", task.task_id.to_string()),
        ("state", task.state.word().to_owned()),
        (
            "owner",
            format!(
                "{} of team {}, lane {}, pool {}",
                task.owner,
                task.team,
                task.lane.word(),
                task.pool
            ),
        ),
        ("submitted", task.created.written()),
    ];
    let claimed = task.claimed_at.or_else(|| task.run.as_ref().map(|run| run.claimed_at));
    if let Some(claimed) = claimed {
        rows.push((
            "claimed",
            format!("{}, after {}", claimed.written(), seconds(task.created, claimed)),
        ));
    } else if task.ended_at.is_none() {
        rows.push(("waits", format!("for {}", seconds(task.created, now))));
    }
    if let Some(eta) = task.eta {
        rows.push(("expected", eta.written()));
    }
    if let Some(ended) = task.ended_at {
        let of = claimed.unwrap_or(task.created);
        rows.push(("ended", format!("{}, after {}", ended.written(), seconds(of, ended))));
    }
    if let Some(times) = task.times {
        rows.push((
            "parts",
            format!(
                "inputs {} ms, ComfyUI {} ms, result {} ms",
                times.fetch, times.execute, times.upload
            ),
        ));
    }
    if let Some(model) = &task.model {
        rows.push(("model", model.clone()));
    }
    rows.push((
        "credits",
        format!(
            "{} of at most {}",
            task.cost.credits_needed(),
            task.reserved.credits_needed()
        ),
    ));
    if let Some(run) = &task.run {
        rows.push((
            "run",
            format!(
                "{} on {}, {:.0} % done",
                run.run_id,
                run.worker_id,
                run.progress * 100.0
            ),
        ));
        rows.push((
            "until",
            format!(
                "lease {}, deadline {}",
                run.lease_until.written(),
                run.deadline.written()
            ),
        ));
    }
    if let Some(last) = &task.last_run {
        rows.push(("last run", format!("{} on {}", last.run_id, last.worker_id)));
    }
    if task.failures > 0 {
        rows.push((
            "failures",
            format!("{} of at most {}", task.failures, Task::MAX_FAILURES),
        ));
    }
    if let Some(worker) = &task.failed_on {
        rows.push(("failed on", worker.to_string()));
    }
    if let Some(error) = &task.error {
        let class = match error.class {
            FailureClass::User => "the request",
            FailureClass::Infrastructure => "a machine",
            FailureClass::Capacity => "no machine",
        };
        rows.push(("error", format!("{} ({class})", error.message)));
    }
    if let Some(result) = &task.result {
        rows.push((
            "result",
            format!(
                "pictures: {}, bytes: {}, {}",
                result.offsets.len(),
                result.size,
                result.key
            ),
        ));
    }
    in_rows(&rows)
}

fn in_rows(rows: &[(&str, String)]) -> String {
    let rows: Vec<_> = rows.iter().map(|(name, value)| format!("{name:<9} {value}")).collect();
    rows.join("\n")
}

/// What it was asked with.
fn asked_with(asked: &Parameters) -> String {
    let size = format!("{} × {}, pictures: {}", asked.width, asked.height, asked.count);
    let mut rows = vec![("kind", asked.kind.clone()), ("size", size)];
    for (name, text) in [
        ("prompt", &asked.prompt),
        ("negative", &asked.negative_prompt),
        ("style", &asked.style_prompt),
        ("upscaler", &asked.upscaler),
    ] {
        if !text.is_empty() {
            rows.push((name, one_line(text)));
        }
    }
    rows.extend(asked.regions.iter().map(|text| ("region", one_line(text))));
    if !asked.control.is_empty() {
        rows.push(("control", asked.control.join(", ")));
    }
    if let Some(steps) = asked.steps {
        let number = |number: Option<f64>| number.map_or_else(|| "–".to_owned(), |it| it.to_string());
        rows.push((
            "sampling",
            format!(
                "{} ({}), steps: {steps}, guidance: {}, strength: {}, seed: {}",
                asked.sampler,
                asked.scheduler,
                number(asked.guidance),
                number(asked.strength),
                asked.seed.map_or_else(|| "–".to_owned(), |it| it.to_string()),
            ),
        ));
    }
    if !asked.checkpoint.is_empty() {
        rows.push(("base", one_line(&asked.checkpoint)));
    }
    let lora = |it: &LoraStrength| ("LoRA", format!("{} at {}", one_line(&it.name), it.strength));
    rows.extend(asked.loras.iter().map(lora));
    in_rows(&rows)
}

/// A text of somebody's own, which must not look like rows of ours.
fn one_line(text: &str) -> String {
    let plain = |it: char| if it.is_control() { ' ' } else { it };
    text.chars().map(plain).collect()
}

async fn newest(cloud: &Cloud, of: &Scope, state: Option<TaskState>, most: u32) -> Result<String> {
    let choice = Choice { state, ..Choice::ALL };
    let (mut after, mut found, mut damaged) = (None, Vec::new(), 0);
    loop {
        let left = (most as usize).saturating_sub(found.len()).min(list::MOST as usize);
        let listed = list::all(cloud, of, &choice, after, left).await.context(TABLES)?;
        found.extend(listed.tasks.into_iter().map(|it| it.task));
        damaged += listed.damaged;
        after = listed.next;
        if after.is_none() || found.len() >= most as usize {
            break;
        }
    }
    let mut text = String::new();
    for task in found {
        let why = task.error.as_ref().map_or("", |error| error.message.as_str());
        let whose = match of {
            Scope::Owner(_) => String::new(),
            Scope::Team(_) | Scope::Worker(_) => format!("  {:<24}", task.owner),
        };
        let line = format!(
            "{}  {}{whose}  {:<11} {:<9} {why}",
            task.task_id,
            task.created.written(),
            task.lane.word(),
            task.state.word()
        );
        let _ = writeln!(text, "{}", line.trim_end());
    }
    if text.is_empty() {
        let name = match of {
            Scope::Owner(user) => user.as_str(),
            Scope::Team(team) => team.as_str(),
            Scope::Worker(worker) => worker.as_str(),
        };
        text = format!("{name} has no such tasks\n");
    }
    if damaged > 0 {
        let _ = writeln!(
            text,
            "parts of the archive cannot be read, so some may be missing; the log says which"
        );
    }
    Ok(text.trim_end().to_owned())
}

async fn waiting(cloud: &Cloud, pool: &PoolId, most: u32, now: Millis) -> Result<String> {
    let line = cloud.store.list(Backlog(pool, most)).await.context(TABLES)?;
    if line.is_empty() {
        return Ok(format!("nothing waits in pool {pool}"));
    }
    let mut text = String::new();
    for (place, task) in line.iter().enumerate() {
        let _ = writeln!(
            text,
            "{:>4}  {}  {:<24} {:<11} waits {:.0} s",
            place + 1,
            task.task_id,
            task.owner,
            task.lane.word(),
            now.since(task.created).as_secs_f64()
        );
    }
    Ok(text.trim_end().to_owned())
}

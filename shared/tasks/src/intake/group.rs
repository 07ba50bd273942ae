//! Many tasks at once: all of them are let in, or none.
//!
//! Their large parts are written first, where nobody finds them; then one transaction has the tasks, their group, and the
//! sum of what they may cost. Whoever dies in between leaves large parts behind, which time deletes.

use std::time::Duration;

use cloud::{Cloud, StoreError, Write, metrics, on_conflict};
use futures_util::future::try_join_all;
use model::{
    Account, Group, GroupId, Lane, Member, Millis, Parameters, Settings, Task, TaskBody, TaskId, Usage, Variant,
    metrics::SUBMITS,
    worker_api::{InputBlob, ModelFile},
};
use tracing::info;
use uuid::Uuid;
use workflow::Plan;

use super::{BODY_LIFE, Draft, Files, Fresh, IntakeError, Recent, admit, announce, note_refusal, task};
use crate::{bodies, line::Line};

/// How long a group is kept.
const GROUP_LIFE: Duration = Duration::from_hours(90 * 24);

/// Most bodies that are written at once, and most bytes of them: DynamoDB takes 4 MB in a transaction.
const BODIES: usize = 25;
const BODY_BYTES: usize = 3 << 20;

/// A variant as a front wants it.
#[derive(Debug)]
pub struct WantedVariant {
    /// What is special about it, for people.
    pub label: String,
    /// The compiled request.
    pub plan: Plan,
    /// What it asks for.
    pub parameters: Parameters,
    /// The files of the studio's store that the plan loads.
    pub models: Vec<ModelFile>,
    /// The whole credits that it may cost.
    pub credits: u64,
}

/// A group as a front wants it.
#[derive(Debug)]
pub struct WantedGroup {
    /// That it was not asked for before; it names the group's first task.
    pub fresh: Fresh,
    /// The input pictures that all variants have in common.
    pub files: Files,
    /// The language of the prompts, "" for English.
    pub language: String,
    /// At least one, at most 96.
    pub variants: Vec<WantedVariant>,
}

/// A group that was let in, now or by an earlier request with the same key.
#[derive(Debug)]
pub struct AdmittedGroup {
    /// The group.
    pub group: Group,
    /// What its owner has used, this group's reservation included.
    pub usage: Usage,
    /// Until its last picture is there, where that can be told.
    pub done: Option<Duration>,
}

/// Lets all variants in, in the batch lane, or says why not and keeps nothing that anybody sees.
pub async fn admit_group(
    cloud: &Cloud,
    settings: &Settings,
    recent: &Recent,
    account: &Account,
    wanted: WantedGroup,
    now: Millis,
) -> Result<AdmittedGroup, IntakeError> {
    let admitted = let_in(cloud, settings, recent, account, wanted, now).await;
    admitted.inspect_err(|error| note_refusal(account, error))
}

async fn let_in(
    cloud: &Cloud,
    settings: &Settings,
    recent: &Recent,
    account: &Account,
    wanted: WantedGroup,
    now: Millis,
) -> Result<AdmittedGroup, IntakeError> {
    recent.pools.note(&account.user_id, &account.pool);
    let line = async { Ok(recent.lines.read(cloud, &account.pool, settings, now).await?) };
    let with_pictures = wanted.variants.iter().find(|it| !it.plan.inputs.is_empty());
    let pinned = async {
        match with_pictures {
            Some(variant) => wanted.files.pin(cloud, settings, account, &variant.plan).await,
            None => Ok(None),
        }
    };
    // What is refused anyway is to put nothing.
    let affordable = affordable(cloud, settings, account, &wanted, now);
    let (inputs, line, ()) = tokio::try_join!(pinned, line, affordable)?;
    if line.pool.is_none() {
        return Err(IntakeError::NoPool(account.pool.clone()));
    }
    let group_id = GroupId::new(Uuid::now_v7());
    let tasks = tasks(account, settings, &wanted, group_id, now);
    let bodies = bodies(cloud, &tasks, &wanted, inputs.as_ref()).await?;
    let admitted = write(cloud, settings, account, &line, &wanted, &tasks, bodies, group_id).await?;
    let Written { group, usage, tasks } = admitted;
    let done = line.eta_of_all(&tasks, settings, now);
    if let Some(first) = tasks.first() {
        for task in &tasks {
            recent.lines.joined(task);
        }
        metrics::note([SUBMITS.of(tasks.len() as f64)], &[("pool", &account.pool)]);
        let noted = recent.asks.note(cloud, &first.pool, &first.owner, settings, now);
        // One message is enough: whoever gets it looks at the whole line.
        tokio::join!(announce(cloud, first, &line, settings, now), noted);
        info!(group.id = %group.group_id, tasks = tasks.len(), "a group was submitted");
    }
    Ok(AdmittedGroup { group, usage, done })
}

/// Refuses what a look at the budget and the rate refuses already. The transaction looks again.
async fn affordable(
    cloud: &Cloud,
    settings: &Settings,
    account: &Account,
    wanted: &WantedGroup,
    now: Millis,
) -> Result<(), IntakeError> {
    let usage = accounts::usage(&cloud.store, &account.user_id, now);
    let (mut usage, mut team) = tokio::try_join!(usage, admit::team_rate(cloud, settings, account))?;
    admit::take(settings, account, &mut usage, team.as_mut(), wanted.reserved(), now)
}

impl WantedGroup {
    fn reserved(&self) -> model::MicroUsd {
        let credits = self.variants.iter().map(|it| it.credits);
        model::MicroUsd::of_credits(credits.fold(0, u64::saturating_add))
    }
}

/// The tasks, without their places in line. The first has the request's own id, by which a repeated request finds the group.
fn tasks(account: &Account, settings: &Settings, wanted: &WantedGroup, group: GroupId, now: Millis) -> Vec<Task> {
    let variants = wanted.variants.iter().enumerate();
    let tasks = variants.map(|(number, it)| {
        let variant = Variant {
            group,
            label: it.label.clone(),
        };
        let draft = Draft {
            task_id: match number {
                0 => wanted.fresh.task_id(),
                _ => TaskId::new(Uuid::now_v7()),
            },
            plan: &it.plan,
            kind: &it.parameters.kind,
            lane: Lane::Batch,
            credits: it.credits,
            variant: Some(&variant),
        };
        task(account, draft, settings, now)
    });
    tasks.collect()
}

/// Makes the tasks' large parts and writes all but the first one's, whose name another request may have.
async fn bodies(
    cloud: &Cloud,
    tasks: &[Task],
    wanted: &WantedGroup,
    inputs: Option<&InputBlob>,
) -> Result<TaskBody, IntakeError> {
    let made = tasks.iter().zip(&wanted.variants).map(async |(task, variant)| {
        let plan = serde_json::to_string(&variant.plan)?;
        let inputs = inputs.filter(|_| !variant.plan.inputs.is_empty()).cloned();
        let ttl = (task.expires_at + BODY_LIFE).seconds();
        let (parameters, models) = (variant.parameters.clone(), variant.models.clone());
        let body = bodies::make(&cloud.bucket, task.task_id, plan, Some(parameters), inputs, models, ttl).await?;
        Ok::<_, IntakeError>(body)
    });
    let mut made = try_join_all(made).await?.into_iter();
    let first = made.next().ok_or(IntakeError::Files("there are no variants."))?;
    let mut chunk = Vec::new();
    let mut bytes = 0;
    let mut chunks = Vec::new();
    for mut body in made {
        let texts = body.parameters.as_ref().map_or(0, Parameters::bytes);
        let size = body.plan.as_ref().map_or(0, String::len) + texts + 4096;
        if chunk.len() == BODIES || bytes + size > BODY_BYTES {
            chunks.push(std::mem::take(&mut chunk));
            bytes = 0;
        }
        bytes += size;
        chunk.push(Write::put(&mut body)?);
    }
    chunks.push(chunk);
    try_join_all(
        chunks
            .iter()
            .map(async |writes| on_conflict!({ cloud.store.commit_all(writes).await }).map_err(IntakeError::from)),
    )
    .await?;
    Ok(first)
}

/// What was written; no tasks if an earlier request had let the group in.
struct Written {
    group: Group,
    usage: Usage,
    tasks: Vec<Task>,
}

#[expect(clippy::too_many_arguments, reason = "what one transaction is made of")]
async fn write(
    cloud: &Cloud,
    settings: &Settings,
    account: &Account,
    line: &Line,
    wanted: &WantedGroup,
    tasks: &[Task],
    body: TaskBody,
    group_id: GroupId,
) -> Result<Written, IntakeError> {
    let first = wanted.fresh.task_id();
    let now = tasks.first().map_or(Millis(0), |it| it.created);
    on_conflict!({
        let usage = accounts::usage(&cloud.store, &account.user_id, now);
        let (before, mut team) = tokio::try_join!(usage, admit::team_rate(cloud, settings, account))?;
        let (mut usage, mut body, mut tasks) = (before.clone(), body.clone(), tasks.to_vec());
        let refused = match admit::take(settings, account, &mut usage, team.as_mut(), wanted.reserved(), now) {
            Ok(()) => {
                if let Some(object) = &wanted.files.object() {
                    usage.uploads.remove(object);
                }
                usage.language.clone_from(&wanted.language);
                for task in &mut tasks {
                    task.start_tag = admit::place(&mut usage, &line.pace, task);
                }
                let mut group = group(account, group_id, &tasks, now);
                let mut writes = vec![Write::put(&mut usage)?, Write::put(&mut group)?, Write::put(&mut body)?];
                for task in &mut tasks {
                    writes.push(Write::put(task)?);
                }
                if let Some(team) = &mut team {
                    writes.push(Write::put(team)?);
                }
                match cloud.store.commit_all(&writes).await {
                    Ok(()) => return Ok(Written { group, usage, tasks }),
                    Err(error @ StoreError::Conflict) => error.into(),
                    Err(error) => return Err(error.into()),
                }
            }
            Err(refused) => refused,
        };
        // A repeated request with the same idempotency key, or the answer to the write was lost.
        match found(cloud, &first).await? {
            Some(group) => Ok(Written {
                group,
                usage: before,
                tasks: Vec::new(),
            }),
            None => Err(refused),
        }
    })
}

/// The group of which this task is the first.
async fn found(cloud: &Cloud, first: &TaskId) -> Result<Option<Group>, StoreError> {
    match cloud.store.get(first).await?.and_then(|task| task.variant) {
        Some(variant) => cloud.store.get(&variant.group).await,
        None => Ok(None),
    }
}

fn group(account: &Account, group_id: GroupId, tasks: &[Task], now: Millis) -> Group {
    let members = tasks.iter().map(|task| Member {
        task_id: task.task_id,
        label: task.variant.as_ref().map_or_else(String::new, |it| it.label.clone()),
    });
    Group {
        group_id,
        version: 0,
        owner: account.user_id.clone(),
        team: account.team.clone(),
        created: now,
        members: members.collect(),
        sheet: None,
        votes: vec![],
        ttl: (now + GROUP_LIFE).seconds(),
    }
}

//! The one write that lets a task in: a token of the rate limits, a place in line, a part of the budget.

use std::time::Duration;

use cloud::{Cloud, StoreError, Write, on_conflict, tables::TeamRateOf};
use model::{Account, DocumentId, MicroUsd, Millis, Pace, Settings, Task, TaskBody, TeamRate, Usage};
use policy::{
    estimate, fair,
    rate::{self, Rate},
    wait::Eta,
};

use super::{IntakeError, Wanted};
use crate::{line::Line, recording};

/// What was written, or found.
#[derive(Debug)]
pub(super) struct Written {
    /// False if an earlier request had let it in.
    pub(super) is_new: bool,
    pub(super) task: Task,
    pub(super) usage: Usage,
    pub(super) eta: Option<Eta>,
}

/// Lets the task in, or says why not and writes nothing.
pub(super) async fn write(
    cloud: &Cloud,
    settings: &Settings,
    account: &Account,
    line: &Line,
    task: &Task,
    body: &TaskBody,
    wanted: &Wanted,
) -> Result<Written, IntakeError> {
    let (now, upload) = (task.created, wanted.files.object());
    let named = wanted.document.clone().unwrap_or_else(DocumentId::unnamed);
    on_conflict!({
        let before = accounts::usage(&cloud.store, &account.user_id, now);
        let opened = recording::open(&cloud.store, account, &named, task, body.parameters.as_ref());
        let (before, mut opened) = tokio::try_join!(before, opened)?;
        let (mut task, mut body, mut usage) = (task.clone(), body.clone(), before.clone());
        let mut team = team_rate(cloud, settings, account).await?;
        let taken = take(settings, account, &mut usage, team.as_mut(), task.reserved, now);
        let refused = match taken {
            Ok(()) => {
                if let Some(object) = &upload {
                    usage.uploads.remove(object);
                }
                usage.language.clone_from(&wanted.language);
                task.start_tag = place(&mut usage, &line.pace, &task);
                let eta = line.eta_of_new(&task, settings, now);
                task.eta = eta.map(|eta| now + eta.done);
                task.document = opened.as_ref().map(|it| it.document().clone());
                let mut writes = vec![Write::put(&mut task)?, Write::put(&mut body)?, Write::put(&mut usage)?];
                if let Some(opened) = &mut opened {
                    writes.extend(opened.writes()?);
                }
                if let Some(team) = &mut team {
                    writes.push(Write::put(team)?);
                }
                match cloud.store.commit_all(&writes).await {
                    Ok(()) => {
                        return Ok(Written {
                            is_new: true,
                            task,
                            usage,
                            eta,
                        });
                    }
                    Err(error @ StoreError::Conflict) => error.into(),
                    Err(error) => return Err(error.into()),
                }
            }
            Err(refused) => refused,
        };
        // A repeated request with the same idempotency key: the first one counts. A task that nobody else can name is this
        // request's own: the answer to its write was lost.
        match cloud.store.get(&task.task_id).await? {
            Some(found) => Ok(Written {
                // Another request may name a named one.
                is_new: !wanted.fresh.is_named(),
                task: found,
                usage: before,
                eta: None,
            }),
            None => Err(refused),
        }
    })
}

pub(super) async fn team_rate(
    cloud: &Cloud,
    settings: &Settings,
    account: &Account,
) -> Result<Option<TeamRate>, StoreError> {
    if settings.team_rate_interval.is_zero() {
        return Ok(None);
    }
    let rate = cloud.store.get(&TeamRateOf(account.team.clone())).await?;
    Ok(Some(rate.unwrap_or_else(|| TeamRate {
        team: account.team.clone(),
        version: 0,
        bucket: Millis(0),
    })))
}

/// Takes what the task needs from the snapshots, or says what is lacking.
pub(super) fn take(
    settings: &Settings,
    account: &Account,
    usage: &mut Usage,
    team: Option<&mut TeamRate>,
    reserved: MicroUsd,
    now: Millis,
) -> Result<(), IntakeError> {
    let own = Rate {
        interval: settings.rate_interval,
        burst: settings.rate_burst,
    };
    let too_many = |who| move |wait| IntakeError::TooMany { who, wait };
    usage.bucket = rate::take(usage.bucket, own, now).map_err(too_many("You have"))?;
    if let Some(team) = team {
        let all = Rate {
            interval: settings.team_rate_interval,
            burst: settings.team_rate_burst,
        };
        team.bucket = rate::take(team.bucket, all, now).map_err(too_many("Your team has"))?;
    }
    if usage.too_much_unpaid(settings) {
        return Err(IntakeError::TooMuchUnpaid {
            used: Duration::from_millis(usage.unpaid_ms),
            left: usage.left(account).credits_left(),
        });
    }
    if usage.reserve(reserved, account) {
        Ok(())
    } else {
        Err(IntakeError::OverBudget {
            wanted: reserved.credits_needed(),
            left: usage.left(account).credits_left(),
            budget: account.credits,
        })
    }
}

/// The task's place in line; the flow's next one comes after it.
pub(super) fn place(usage: &mut Usage, pace: &Pace, task: &Task) -> u64 {
    let expected = estimate::run(&pace.estimates, task.model.as_deref(), task.work);
    let flow = format!("{}#{}", task.pool, task.lane.word());
    let tags = fair::tags(pace.virtual_time, usage.finish.get(&flow).copied(), expected, task.lane);
    usage.finish.insert(flow, tags.finish);
    tags.start
}

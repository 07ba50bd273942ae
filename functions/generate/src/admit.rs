//! The one write that lets a task in: a token of the rate limits, a place in line, a part of the budget.

use std::time::Duration;

use cloud::{Cloud, StoreError, Write, http::HttpError, retry::on_conflict, runs, tables::TeamRateOf};
use model::{Account, MicroUsd, Millis, Pace, Settings, Task, TaskBody, TeamRate, Usage};
use policy::{
    estimate, fair,
    rate::{self, Rate},
    wait::Eta,
};

use crate::waiting::Line;

/// A task that was let in, now or by an earlier request with the same key.
#[derive(Debug)]
pub(crate) struct Admitted {
    /// False if an earlier request had let it in.
    pub(crate) is_new: bool,
    /// What its owner has used, this task's reservation included.
    pub(crate) usage: Usage,
    /// Place in line and time left, where that can be told.
    pub(crate) eta: Option<Eta>,
}

/// Lets the task in, or says why not and writes nothing.
pub(crate) async fn admit(
    cloud: &Cloud,
    settings: &Settings,
    account: &Account,
    line: &Line,
    task: &Task,
    body: &TaskBody,
) -> Result<Admitted, HttpError> {
    let now = task.created;
    on_conflict(async || {
        let before = runs::usage(&cloud.store, &account.user_id, now).await?;
        let (mut task, mut body, mut usage) = (task.clone(), body.clone(), before.clone());
        let mut team = team_rate(cloud, settings, account).await?;
        let taken = take(settings, account, &mut usage, team.as_mut(), task.reserved, now);
        let refused = match taken {
            Ok(()) => {
                task.start_tag = place(&mut usage, &line.pace, &task);
                let eta = line.eta_of_new(&task, settings, now);
                task.eta = eta.map(|eta| now + eta.done);
                let mut writes = vec![Write::put(&mut task)?, Write::put(&mut body)?, Write::put(&mut usage)?];
                if let Some(team) = &mut team {
                    writes.push(Write::put(team)?);
                }
                match cloud.store.commit_all(&writes).await {
                    Ok(()) => {
                        return Ok(Admitted {
                            is_new: true,
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
        // A repeated request with the same idempotency key: the first one counts.
        match cloud.store.get(&task.task_id).await? {
            Some(_) => Ok(Admitted {
                is_new: false,
                usage: before,
                eta: None,
            }),
            None => Err(refused),
        }
    })
    .await
}

async fn team_rate(cloud: &Cloud, settings: &Settings, account: &Account) -> Result<Option<TeamRate>, StoreError> {
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
fn take(
    settings: &Settings,
    account: &Account,
    usage: &mut Usage,
    team: Option<&mut TeamRate>,
    reserved: MicroUsd,
    now: Millis,
) -> Result<(), HttpError> {
    let own = Rate {
        interval: settings.rate_interval,
        burst: settings.rate_burst,
    };
    usage.bucket = rate::take(usage.bucket, own, now).map_err(|wait| too_many("You have", wait))?;
    if let Some(team) = team {
        let all = Rate {
            interval: settings.team_rate_interval,
            burst: settings.team_rate_burst,
        };
        team.bucket = rate::take(team.bucket, all, now).map_err(|wait| too_many("Your team has", wait))?;
    }
    if usage.reserve(reserved, account) {
        Ok(())
    } else {
        Err(over_budget(reserved, usage, account))
    }
}

/// The task's place in line; the flow's next one comes after it.
fn place(usage: &mut Usage, pace: &Pace, task: &Task) -> u64 {
    let expected = estimate::run(&pace.estimates, task.model.as_deref(), task.work);
    let flow = format!("{}#{}", task.pool, task.lane.word());
    let tags = fair::tags(pace.virtual_time, usage.finish.get(&flow).copied(), expected, task.lane);
    usage.finish.insert(flow, tags.finish);
    tags.start
}

fn too_many(who: &str, wait: Duration) -> HttpError {
    let seconds = wait.as_secs() + 1;
    HttpError::new(
        429,
        format!("{who} sent too many requests at once. Try again in {seconds} s."),
    )
}

fn over_budget(wanted: MicroUsd, usage: &Usage, account: &Account) -> HttpError {
    let (wanted, left, budget) = (
        wanted.credits_needed(),
        usage.left(account).credits_left(),
        account.credits,
    );
    let message = format!(
        "This needs up to {wanted} credits; {left} of this month's {budget} are free. Ask for fewer or smaller pictures, \
         wait for those on the way, or ask your studio for more credits."
    );
    HttpError::no_credits(message, left)
}

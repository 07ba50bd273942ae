//! Deeds carried out: each conditional on what was shown, and written with its line of the audit list.

use std::time::Duration;

use accounts::audit::{By, of_account, of_pool, of_task, of_worker};
use cloud::{
    StoreError, Write, chain,
    http::{Form, HttpError},
    on_conflict,
    queue::Queued,
    tables::PresenceOf,
};
use maud::html;
use model::{
    Account, BreakerForce, CancelCause, Canceled, MicroUsd, Pool, PoolId, Role, Task, TaskId, TaskState, UserId,
    Worker, WorkerId, socket::ServerMessage,
};
use policy::{breaker, meter, presence, run, scale};
use tasks::{
    line::Line,
    notify::tell_worker,
    runs::{RunError, cancel_and, change_worker_and, take_back},
};

use super::{
    Outcome,
    deed::{Deed, Thing, Wanted},
};
use crate::App;

/// How long an invitation is good.
const INVITATION: Duration = Duration::from_hours(72);

fn joined(parts: &[String]) -> String {
    parts.join(", ").trim().to_owned()
}

/// How the thing stands that a deed is about, in the words that the deed is conditional on.
pub(super) async fn stands(app: &App, wanted: &Wanted, account: &Account) -> Result<String, HttpError> {
    let store = &app.cloud.store;
    let parts = match &wanted.thing {
        Thing::Pool(id) => store.get(id).await?.map(|it| of_pool(&it)),
        Thing::Worker(id) => store.get(id).await?.map(|it| of_worker(&it)),
        Thing::Task(id) => {
            let task = store.get(id).await?;
            task.filter(|it| may_touch(account, it)).map(|it| of_task(&it))
        }
        Thing::User(id) => store.get(id).await?.map(|it| of_account(&it)),
    };
    parts.map(|it| joined(&it)).ok_or_else(|| wanted.missing())
}

/// Whether a task is one that this account may end: their own, a lead's team's, or any.
fn may_touch(account: &Account, task: &Task) -> bool {
    match account.role {
        Role::Operator => true,
        Role::Lead => task.team == account.team || task.owner == account.user_id,
        Role::Painter | Role::Worker => task.owner == account.user_id,
    }
}

/// Does it.
pub(super) async fn carry_out(
    app: &App,
    wanted: &Wanted,
    account: &Account,
    form: &Form,
    by: &By,
) -> Result<Outcome, HttpError> {
    let seen = form.field("seen");
    let now = by.now;
    match (&wanted.thing, wanted.deed) {
        (Thing::Pool(id), Deed::Wake) => wake(app, wanted, id, account, &seen, by).await,
        (Thing::Pool(id), Deed::Limits) => {
            let (most, monthly) = limits(form)?;
            let change = |pool: &mut Pool| {
                pool.max_workers = most;
                if pool.monthly_limit != monthly {
                    pool.monthly_limit = monthly;
                    // Whoever was told was told of another limit.
                    pool.meter.told = 0;
                }
            };
            pool(app, wanted, id, &seen, by, change).await
        }
        (Thing::Pool(id), deed) => {
            let change = |pool: &mut Pool| match deed {
                Deed::Pause => breaker::force(&mut pool.breaker, Some(BreakerForce::Open)),
                Deed::Resume => breaker::force(&mut pool.breaker, None),
                Deed::Lift => meter::lift(pool, true, now),
                _ => meter::lift(pool, false, now),
            };
            pool(app, wanted, id, &seen, by, change).await
        }
        (Thing::Worker(id), deed) => worker(app, wanted, id, deed, &seen, by).await,
        (Thing::Task(id), Deed::Requeue) => requeue(app, wanted, *id, &seen, by).await,
        (Thing::Task(id), _) => cancel(app, wanted, *id, account, &seen, by).await,
        (Thing::User(id), Deed::Invite) => invite(app, wanted, id, by).await,
        (Thing::User(id), Deed::Budget) => {
            let credits = form
                .field("credits")
                .parse::<u64>()
                .ok()
                .filter(|it| *it <= 1_000_000_000);
            let credits =
                credits.ok_or_else(|| HttpError::new(400, "A budget is a whole number of credits, e.g. 10000."))?;
            user(app, wanted, id, &seen, by, |account| account.credits = credits).await
        }
        (Thing::User(id), _) => {
            let outcome = user(app, wanted, id, &seen, by, |account| account.revoke(now)).await?;
            accounts::hang_up(&app.cloud.store, &app.cloud.sockets, id).await?;
            Ok(outcome)
        }
    }
}

fn limits(form: &Form) -> Result<(u32, Option<MicroUsd>), HttpError> {
    let most = form.field("machines").parse::<u32>().ok().filter(|it| *it <= 1000);
    let most = most.ok_or_else(|| HttpError::new(400, "Most machines at once is a number from 0 to 1000."))?;
    let text = form.field("monthly");
    let usd = text.parse::<f64>().ok().filter(|usd| (0.0..=1e9).contains(usd));
    match usd {
        Some(usd) => Ok((most, Some(MicroUsd((usd * 1e6).round() as u64)))),
        None if text.is_empty() => Ok((most, None)),
        None => Err(HttpError::new(
            400,
            "Write what a month may cost in US$, e.g. 500; or nothing for no limit.",
        )),
    }
}

async fn pool(
    app: &App,
    wanted: &Wanted,
    id: &PoolId,
    seen: &str,
    by: &By,
    change: impl Fn(&mut Pool),
) -> Result<Outcome, HttpError> {
    let store = &app.cloud.store;
    let outcome = on_conflict!({
        let mut pool = store.get(id).await?.ok_or_else(|| wanted.missing())?;
        let before = of_pool(&pool);
        if joined(&before) != seen {
            return Ok(Outcome::Stale(joined(&before)));
        }
        change(&mut pool);
        let after = of_pool(&pool);
        if before == after {
            return Ok(Outcome::Nothing);
        }
        let line = by.did(wanted.deed.word(), &wanted.on(), &before, &after)?;
        store.commit([Write::put(&mut pool)?, line]).await?;
        Ok::<_, HttpError>(Outcome::Done(Some(id.to_string())))
    })?;
    if matches!(outcome, Outcome::Done(_)) {
        look(app, id).await;
    }
    Ok(outcome)
}

/// Has `dispatch` look at the pool at once. The minute's tick would do it, too.
async fn look(app: &App, pool: &PoolId) {
    let message = Queued {
        task_id: None,
        pool: pool.clone(),
    };
    if let Err(error) = app.cloud.queue.send(&message).await {
        tracing::warn!(pool = %pool, error = chain(&error), "nobody was told to look at a pool; the next tick will");
    }
}

/// Wakes a machine as somebody who is about to paint does, by being there.
async fn wake(
    app: &App,
    wanted: &Wanted,
    id: &PoolId,
    account: &Account,
    seen: &str,
    by: &By,
) -> Result<Outcome, HttpError> {
    let (store, now) = (&app.cloud.store, by.now);
    let line = Line::read(&app.cloud, id).await?;
    let pool = line.pool.as_ref().ok_or_else(|| wanted.missing())?;
    let stands = joined(&of_pool(pool));
    if stands != seen {
        return Ok(Outcome::Stale(stands));
    }
    if let Some(words) = scale::paused(pool, &line.workers, &app.settings, now) {
        return Err(HttpError::new(
            409,
            format!("No machine may be started. Painters are told: “{words}”"),
        ));
    }
    let up = |it: &Worker| it.state.is_coming() || it.answers(app.settings.worker_silent, now);
    let coming = line
        .workers
        .iter()
        .filter(|it| it.state.is_up() && it.dismissed.is_none());
    if coming.into_iter().any(up) {
        return Ok(Outcome::Nothing);
    }
    on_conflict!({
        let known = store.get(&PresenceOf(id.clone(), account.user_id.clone())).await?;
        let sign = presence::Sign::Ask;
        let stay = presence::noted(known.as_ref(), id, &account.user_id, sign, &app.settings, now);
        let mut writes = vec![by.did(
            wanted.deed.word(),
            &wanted.on(),
            &["no machine up".to_owned()],
            &["a machine asked for".to_owned()],
        )?];
        if let Some(mut stay) = stay {
            writes.push(Write::put(&mut stay)?);
        }
        Ok::<_, HttpError>(store.commit_all(&writes).await?)
    })?;
    look(app, id).await;
    Ok(Outcome::Done(Some(id.to_string())))
}

async fn worker(
    app: &App,
    wanted: &Wanted,
    id: &WorkerId,
    deed: Deed,
    seen: &str,
    by: &By,
) -> Result<Outcome, HttpError> {
    let (cloud, now) = (&app.cloud, by.now);
    let known = cloud.store.get(id).await?.ok_or_else(|| wanted.missing())?;
    let held = known.run;
    let changed = change_worker_and::<RunError>(
        cloud,
        id,
        now,
        |worker| {
            if joined(&of_worker(worker)) != seen {
                return Err(RunError::Changed);
            }
            Ok(match deed {
                Deed::Keep => run::keep(worker),
                deed => run::dismiss(worker, deed == Deed::Stop, now),
            })
        },
        |before, after| {
            let parts = |worker: &Worker| {
                let mut parts = of_worker(worker);
                parts.extend(worker.run.map(|run| format!("renders {}", run.task_id)));
                parts
            };
            by.did(wanted.deed.word(), &wanted.on(), &parts(before), &parts(after))
                .map(Some)
        },
    )
    .await;
    match changed {
        Ok(Some(worker)) => {
            // Hints; its next heartbeat says the same.
            if let Some(run) = held.filter(|_| deed == Deed::Stop) {
                tell_worker(cloud, &worker, &ServerMessage::Cancel { run_id: run.run_id }).await;
            }
            if deed != Deed::Keep {
                tell_worker(cloud, &worker, &ServerMessage::Drain).await;
            }
            Ok(Outcome::Done(Some(worker.pool.to_string())))
        }
        Ok(None) => Ok(Outcome::Nothing),
        Err(RunError::Changed) => changed_meanwhile(app, wanted, id).await,
        Err(error) => Err(error.into()),
    }
}

async fn changed_meanwhile(app: &App, wanted: &Wanted, id: &WorkerId) -> Result<Outcome, HttpError> {
    let worker = app.cloud.store.get(id).await?.ok_or_else(|| wanted.missing())?;
    Ok(Outcome::Stale(joined(&of_worker(&worker))))
}

async fn cancel(
    app: &App,
    wanted: &Wanted,
    id: TaskId,
    account: &Account,
    seen: &str,
    by: &By,
) -> Result<Outcome, HttpError> {
    let task = app.cloud.store.get(&id).await?.filter(|it| may_touch(account, it));
    let task = task.ok_or_else(|| wanted.missing())?;
    if task.state.is_terminal() || task.state == TaskState::Canceling {
        return Ok(Outcome::Nothing);
    }
    let still = |task: &Task| joined(&of_task(task)) == seen && may_touch(account, task);
    let also = |before: &Task, after: &Task| line_of(wanted, by, before, after).map(Some);
    let (done, task) = cancel_and(&app.cloud, id, CancelCause::User, by.now, still, also).await?;
    Ok(match done {
        Canceled::Already => Outcome::Stale(joined(&of_task(&task))),
        Canceled::Ended | Canceled::Asked => Outcome::Done(Some(task.pool.to_string())),
    })
}

fn line_of(wanted: &Wanted, by: &By, before: &Task, after: &Task) -> Result<Write, StoreError> {
    let parts = |task: &Task| {
        let mut parts = of_task(task);
        parts.push(format!("of {}", task.owner));
        parts
    };
    by.did(wanted.deed.word(), &wanted.on(), &parts(before), &parts(after))
}

async fn requeue(app: &App, wanted: &Wanted, id: TaskId, seen: &str, by: &By) -> Result<Outcome, HttpError> {
    let task = app.cloud.store.get(&id).await?.ok_or_else(|| wanted.missing())?;
    let stands = joined(&of_task(&task));
    if stands != seen {
        return Ok(Outcome::Stale(stands));
    }
    let Some(run) = task.run.as_ref().filter(|_| task.state == TaskState::Running) else {
        return Ok(Outcome::Nothing);
    };
    let still = |task: &Task| joined(&of_task(task)) == seen;
    let also = |before: &Task, after: &Task| line_of(wanted, by, before, after).map(Some);
    match take_back(&app.cloud, id, run.run_id, by.now, still, also).await {
        Ok(_) => Ok(Outcome::Done(Some(task.pool.to_string()))),
        Err(RunError::Changed | RunError::Refused(_)) => {
            let task = app.cloud.store.get(&id).await?.ok_or_else(|| wanted.missing())?;
            Ok(Outcome::Stale(joined(&of_task(&task))))
        }
        Err(error) => Err(error.into()),
    }
}

async fn user(
    app: &App,
    wanted: &Wanted,
    id: &UserId,
    seen: &str,
    by: &By,
    change: impl Fn(&mut Account),
) -> Result<Outcome, HttpError> {
    let store = &app.cloud.store;
    on_conflict!({
        let mut account = store.get(id).await?.ok_or_else(|| wanted.missing())?;
        let before = of_account(&account);
        if joined(&before) != seen {
            return Ok(Outcome::Stale(joined(&before)));
        }
        change(&mut account);
        let after = of_account(&account);
        if before == after {
            return Ok(Outcome::Nothing);
        }
        let mut writes = vec![by.did(wanted.deed.word(), &wanted.on(), &before, &after)?];
        if wanted.deed == Deed::Revoke {
            writes.push(accounts::leaving(id, by.now)?);
        }
        writes.push(Write::put(&mut account)?);
        store.commit_all(&writes).await?;
        Ok::<_, HttpError>(Outcome::Done(None))
    })
}

async fn invite(app: &App, wanted: &Wanted, id: &UserId, by: &By) -> Result<Outcome, HttpError> {
    let store = &app.cloud.store;
    if store.get(id).await?.is_none() {
        return Err(wanted.missing());
    }
    let words = accounts::invite(store, id, INVITATION, by).await?;
    Ok(Outcome::Shown(html! {
        p { "Give these words to " strong { bdi { (id) } } ". They are good once, for three days, and shown only here and now." }
        p { code { (words) } }
        p { a.button href="../studio" { "Back to the studio" } }
    }))
}

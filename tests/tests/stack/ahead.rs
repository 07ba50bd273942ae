//! A machine is there before the morning's first request.

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Context, Result, ensure};
use cloud::{
    Store, Write, on_conflict,
    tables::{DemandOf, ForecastOf},
};
use forecast::{Count, DAY, HOUR, Trial, clean, seal, slot};
use model::{DemandCount, Forecast, Millis, PoolId, WorkerState};

use crate::studio::{LOOK, Studio, small};

const DAYS: u64 = 8;
/// Pictures of each five minutes in which the studio is at work, and what one of them takes.
const PICTURES: u64 = 4;
const PICTURE: Duration = Duration::from_secs(10);

/// A day in a minute, and the eight before it: a morning that begins in the next five minutes, as on each of them, and an evening,
/// for which their work is moved to some hours ago. What forecasters said in the last three days is made here, by the very
/// members; all that acts is deployed.
pub(crate) async fn of_a_day_in_a_minute(studio: Studio) -> Result<()> {
    let (stack, pool) = (&studio.stack, &studio.pool);
    let store = stack.store();
    stack.tick_lifecycle().await?;
    ensure!(
        studio.until_machines(|_| true).await?.is_empty(),
        "a machine starts though nothing was forecast"
    );
    let now = cloud::now();
    let morning = slot(now) + 1;
    let counts = days(pool, (morning..morning + 12).step_by(2));
    put(store, counts.clone()).await?;
    let said = seal(&said(&counts, slot(now)));
    stack
        .pictures()
        .put(&format!("forecast/{pool}/said.json"), said)
        .await?;

    // The deployed function learns and says what the hour will ask for; the next tick starts a machine for it.
    stack.forecast(true).await?;
    stack.forecast(false).await?;
    let hour = store.get(&ForecastOf(pool.clone())).await?;
    let hour = hour.context("nothing was forecast")?.hour;
    ensure!(hour.acting.is_some() && hour.fault.is_none(), "{hour:?}");
    ensure!((12.0..60.0).contains(&hour.arrivals.p90), "{hour:?}");
    earned(store, pool, now).await?;
    stack.tick_lifecycle().await?;
    ensure!(believed(store, pool).await?.workers == 1, "{hour:?}");
    let machine = studio.until_machines(|it| it.len() == 1).await?.remove(0);
    let warm = loop {
        let worker = store.get(&machine.worker_id).await?.context("no worker")?;
        if worker.state == WorkerState::Ready {
            break worker.state_since;
        }
        tokio::time::sleep(LOOK).await;
    };

    // The morning's first request meets it.
    let task = studio.painter.submit(&small(2, 1)?).await?;
    studio.finish(task).await?;
    let done = studio.task(task).await?;
    ensure!(
        warm < done.created,
        "warm since {warm:?}, asked for at {:?}",
        done.created
    );
    let by = done.last_run.as_ref().map(|it| &it.worker_id);
    ensure!(by == Some(&machine.worker_id), "{done:?}");
    ensure!(studio.until_machines(|_| true).await?.len() == 1, "one was enough");
    // It is recorded as demand, too.
    let of_today = |counts: &[DemandCount]| counts.iter().any(|it| slot(it.at) + 1 >= morning && it.arrivals == 1);
    while !of_today(&store.list(DemandOf(pool, 4)).await?) {
        tokio::time::sleep(LOOK).await;
    }

    // In the evening nothing is asked for any more: the forecast says so, and the machine goes.
    for mut count in store.list(DemandOf(pool, DAYS as u32 * DAY as u32)).await? {
        if count.arrivals == PICTURES {
            store.commit([Write::delete(&mut count)]).await?;
        }
    }
    let evening = slot(cloud::now()) - 6 * HOUR as u64;
    put(store, days(pool, (evening..evening + 12).step_by(2))).await?;
    stack.forecast(true).await?;
    stack.forecast(false).await?;
    stack.tick_lifecycle().await?;
    let believed = believed(store, pool).await?;
    ensure!(believed.workers == 0, "{believed:?}");
    loop {
        let worker = store.get(&machine.worker_id).await?.context("no worker")?;
        if !worker.state.is_up() && studio.until_machines(|_| true).await?.iter().all(|it| !it.up) {
            ensure!(worker.run.is_none(), "{worker:?}");
            break;
        }
        stack.tick_reaper().await?;
        tokio::time::sleep(LOOK).await;
    }

    // What was learned is damaged: then nothing is forecast, and the page says why.
    let learned = format!("forecast/{pool}/learned.json");
    stack.pictures().put(&learned, "cut o".to_owned()).await?;
    stack.forecast(false).await?;
    let hour = store.get(&ForecastOf(pool.clone())).await?;
    ensure!(
        hour.is_some_and(|it| it.hour.fault.is_some()),
        "nobody found it damaged"
    );
    Ok(())
}

/// What was asked for in these five minutes, on each of the days before.
fn days(pool: &PoolId, slots: impl Iterator<Item = u64>) -> Vec<DemandCount> {
    let of_days = slots.flat_map(|at| (1..=DAYS).map(move |day| at - day * DAY as u64));
    let count = |at| DemandCount {
        arrivals: PICTURES,
        gpu_ms: PICTURES * PICTURE.as_millis() as u64,
        ..DemandCount::new(pool, forecast::began(at))
    };
    of_days.map(count).collect()
}

async fn put(store: &Store, counts: Vec<DemandCount>) -> Result<()> {
    for mut count in counts {
        store.commit([Write::put(&mut count)?]).await?;
    }
    Ok(())
}

/// What the members say every hour of the last three days and some, from what was before: as the function keeps it.
fn said(counts: &[DemandCount], now: u64) -> BTreeMap<&'static str, forecast::Record> {
    let series = |value: fn(&DemandCount) -> u64| {
        let known = counts.iter().map(|it| Count {
            slot: slot(it.at),
            value: value(it) as f64,
        });
        let known: Vec<_> = known.collect();
        clean(&known, now).series
    };
    let record = |value| {
        let series = series(value);
        let mut trial = Trial::new(1);
        for hours in (0..=3 * 24).rev() {
            trial.step(&series, series.len() - hours * HOUR);
        }
        trial.record(series.first())
    };
    BTreeMap::from([
        ("arrivals", record(|it| it.arrivals)),
        ("gpu_s", record(|it| it.gpu_ms / 1000)),
    ])
}

/// Days on which machines were up have earned the forecast an hour.
async fn earned(store: &Store, pool: &PoolId, now: Millis) -> Result<()> {
    Ok(on_conflict!({
        let Some(mut it) = store.get(pool).await? else {
            return Ok(());
        };
        it.forecast = Some(Forecast {
            credit_ms: 3_600_000,
            settled_at: now,
            ..Forecast::default()
        });
        store.commit([Write::put(&mut it)?]).await
    })?)
}

async fn believed(store: &Store, pool: &PoolId) -> Result<Forecast> {
    let pool = store.get(pool).await?.context("there is no pool")?;
    Ok(pool.forecast.unwrap_or_default())
}

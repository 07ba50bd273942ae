//! What the next hour will ask for: learned, said, believed as far as its credit goes; and what is damaged is not used.

use std::time::Duration;

use cloud::{
    fault::{Fault, How},
    store::StorePort,
    tables::{AllPools, ForecastOf, Id},
};
use forecast_function::ForecastError;
use model::{DemandCount, Forecast, HourForecast, Millis, NextHour, PoolId, Settings, Worker, WorkerState};
use serde_json::{Value, json};

use crate::{
    golden::{unknown, walk},
    support::{NOW, POOL, World, minutes, seconds},
};

const DAY: u64 = 24 * 60;
const MODEL: &str = "dreamshaper_8.safetensors";

fn pool() -> PoolId {
    PoolId::new(POOL)
}

fn settings() -> Settings {
    Settings {
        forecast_workers: 1,
        ..Settings::default()
    }
}

/// Painters who ask for five pictures of ten seconds every half an hour from nine until six, on so many days before today
/// and on it.
pub(crate) async fn painted(world: &World, days: u64) {
    let today = NOW.day_began();
    for day in 0..=days {
        for half in 18..36 {
            let mut count = DemandCount::new(&pool(), today - minutes(day * DAY) + minutes(half * 30));
            (count.arrivals, count.gpu_ms) = (5, 50_000);
            count.models.insert(MODEL.to_owned(), 5);
            world.put(count).await;
        }
    }
}

/// Looks every hour from so many days before this moment until it, after a training.
pub(crate) async fn looked(world: &World, days: u64, until: Millis) {
    let from = until - minutes(days * DAY);
    world.forecast(true, from).await;
    for hour in 0..=days * 24 {
        world.forecast(false, from + minutes(hour * 60)).await;
    }
}

async fn said(world: &World) -> NextHour {
    let said: HourForecast = world.get(&ForecastOf(pool())).await;
    said.hour
}

/// What lies in the bucket.
async fn kept(world: &World, what: &str) -> String {
    world
        .cloud
        .bucket
        .get(&format!("forecast/{POOL}/{what}.json"))
        .await
        .unwrap()
}

pub(crate) fn keep(world: &World, what: &str, text: &str) {
    let key = format!("forecast/{POOL}/{what}.json");
    world.memory.put_object(&key, text.len() as u64, text);
}

#[tokio::test]
async fn golden_events() {
    walk("forecast", async |name, _| {
        let world = World::new().await;
        match name {
            "look" => world.forecast(false, NOW).await,
            "train" => world.forecast(true, NOW).await,
            other => unknown(other),
        }
        world.effects()
    })
    .await;
}

/// A studio's first days: nothing was asked for, then there is no evidence, then somebody acts.
#[tokio::test]
async fn nobody_acts_before_there_is_evidence() {
    let world = World::new().await;
    let morning = NOW.day_began() + minutes(8 * 60);
    world.forecast(false, morning - minutes(4 * DAY)).await;
    assert_eq!((said(&world).await.acting, said(&world).await.fault), (None, None));
    painted(&world, 10).await;
    looked(&world, 2, morning - minutes(DAY)).await;
    let hour = said(&world).await;
    assert_eq!((hour.acting, hour.arrivals.p90), (None, 0.0));
    for it in 1..=24 {
        world.forecast(false, morning - minutes(DAY) + minutes(it * 60)).await;
    }
    let hour = said(&world).await;
    assert!(hour.acting.is_some() && hour.fault.is_none(), "{hour:?}");
    // The hour from eight on ends as they come; the one from nine on asks for ten pictures.
    world.forecast(false, morning + minutes(60)).await;
    let hour = said(&world).await;
    assert!((5.0..20.0).contains(&hour.arrivals.p90), "{hour:?}");
    assert!((50.0..200.0).contains(&hour.gpu_s.p90), "{hour:?}");
    assert_eq!(
        (hour.steps.len(), hour.models.as_slice()),
        (12, &[MODEL.to_owned()][..])
    );
    let parts: f64 = hour.steps.iter().map(|it| it.arrivals.p50).sum();
    assert!((parts - hour.arrivals.p50).abs() < 0.1, "{hour:?}");
    // At night nothing is expected.
    world.forecast(false, morning - minutes(5 * 60)).await;
    assert!(said(&world).await.arrivals.p90 < 2.0);
    // A training sums up what is over, once, and says nothing.
    let (before, days) = (said(&world).await, cloud::tables::DemandDaysOf(&pool(), 100));
    world.forecast(true, morning).await;
    world.forecast(true, morning).await;
    assert_eq!(said(&world).await, before);
    let sums = world.cloud.store.list(days).await.unwrap();
    assert_eq!(sums.len(), 9);
    assert!(
        sums.iter().all(|it| it.arrivals == 90 && it.gpu_ms == 900_000),
        "{sums:?}"
    );
}

/// Damaged, cut off, of another version or of another shape: there is no forecast, it is said, nothing else changes, and
/// the next training mends it.
#[tokio::test]
async fn what_is_damaged_is_not_used() {
    let world = World::set(settings()).await;
    let morning = NOW.day_began() + minutes(9 * 60);
    painted(&world, 8).await;
    looked(&world, 3, morning).await;
    world.tick(morning).await;
    let before = said(&world).await;
    assert!(before.arrivals.p90 > 1.0 && before.acting.is_some());
    assert_eq!(believed(&world).await.workers, 1);
    let (learned, said_before) = (kept(&world, "learned").await, kept(&world, "said").await);
    let other = learned.replacen("\"version\":1", "\"version\":7", 1);
    let cut = &learned[..learned.len() / 2];
    let turned = learned.replacen("0.1", "0.2", 1);
    for (what, words) in [
        (other.as_str(), "of version 7"),
        (cut, "damaged"),
        (turned.as_str(), "damaged"),
        ("", "damaged"),
    ] {
        keep(&world, "learned", what);
        world.forecast(false, morning).await;
        let hour = said(&world).await;
        assert!(hour.fault.as_ref().is_some_and(|it| it.contains(words)), "{hour:?}");
        assert_eq!((hour.arrivals.p90, hour.acting), (0.0, None));
        world.tick(morning + seconds(30)).await;
        assert_eq!(believed(&world).await.workers, 0);
        // What it has seen of its forecasters is not forgotten over it.
        assert_eq!(kept(&world, "said").await, said_before);
        assert_eq!(kept(&world, "learned").await, what);
    }
    world.forecast(true, morning).await;
    world.forecast(false, morning).await;
    assert_eq!(said(&world).await.acting, before.acting);
    // Without a record of what was said there is no evidence.
    keep(&world, "said", "{}");
    world.forecast(false, morning).await;
    assert!(said(&world).await.fault.is_some());
    world.forecast(false, morning).await;
    let hour = said(&world).await;
    assert_eq!((hour.fault, hour.acting), (None, None));
    // Somebody has changed what was published.
    let mut item: HourForecast = world.get(&ForecastOf(pool())).await;
    item.hour.arrivals.p90 = 1000.0;
    world.put(item).await;
    assert_eq!(
        tasks::demand::next_hour(&world.cloud.store, &pool(), morning).await,
        None
    );
    world.tick(morning + seconds(60)).await;
    assert_eq!(believed(&world).await.workers, 0);
}

async fn believed(world: &World) -> Forecast {
    world.get(&pool()).await.forecast.unwrap_or_default()
}

/// A training that is cut off leaves what was learned before, and one pool that cannot be read keeps no other from it.
#[tokio::test]
async fn a_training_that_is_cut_off_leaves_the_last_one() {
    let world = World::watched(settings()).await;
    painted(&world, 6).await;
    world.forecast(true, NOW - minutes(DAY)).await;
    let before = kept(&world, "learned").await;
    for at in 1.. {
        world.faults.plan(Fault {
            of: None,
            at,
            how: How::Crash,
        });
        let done = world.faults.run(world.try_forecast(true, NOW)).await;
        if done.is_some() {
            assert!(at > 4, "there were calls to break off");
            break;
        }
        assert_eq!(kept(&world, "learned").await, before, "call {at}");
    }
    world.faults.take();
    assert_ne!(kept(&world, "learned").await, before);
    // Counts that nobody can believe are left out, and said.
    let mut absurd = DemandCount::new(&pool(), DemandCount::began(NOW - minutes(60)));
    (absurd.arrivals, absurd.gpu_ms) = (u64::MAX, u64::MAX);
    world.put(absurd).await;
    world.forecast(false, NOW).await;
    assert!(said(&world).await.disbelieved > 0);
    // A pool that was named and is not there, beside one whose counts cannot be read.
    let mut names = world.get(&AllPools).await;
    // In its turn it is the first, five minutes from now.
    names.pools.push(PoolId::new("gone"));
    world.put(names).await;
    world.faults.plan(Fault {
        of: Some("store.query"),
        at: 1,
        how: How::Fail,
    });
    assert!(world.try_forecast(false, NOW + minutes(5)).await.is_err());
    assert_eq!(said(&world).await.from, NOW + minutes(5));
}

/// More pools than there is time for: on the next day others come first.
#[tokio::test]
async fn no_pool_is_the_last_every_day() {
    let world = World::watched(Settings::default()).await;
    let other = PoolId::new("other");
    let mut names = world.get(&AllPools).await;
    names.pools.push(other.clone());
    world.put(names).await;
    let learned = async |pool: &PoolId| {
        let key = format!("forecast/{pool}/learned.json");
        world.cloud.bucket.head(&key).await.unwrap().is_some()
    };
    let mut done = Vec::new();
    for day in 0..2 {
        // The list of pools, whose turn it is, the first one's counts and what was learned of them; the second one's counts do
        // not come.
        world.faults.plan(Fault {
            of: None,
            at: 5,
            how: How::Crash,
        });
        let all = world
            .faults
            .run(world.try_forecast(true, NOW + minutes(day * DAY)))
            .await;
        assert!(all.is_none(), "it was cut off");
        done.push((learned(&pool()).await, learned(&other).await));
    }
    assert!(done[0].0 != done[0].1, "{done:?}");
    assert_eq!(done[1], (true, true));
}

/// Thousands of pools in one call: one whose counts cannot be read takes nothing along, and no pool costs more calls than
/// one alone does.
#[tokio::test]
async fn thousands_of_pools_are_looked_after_in_one_call() {
    const POOLS: usize = 2000;
    let world = World::watched(Settings::default()).await;
    painted(&world, 6).await;
    world.forecast(true, NOW).await;
    world.faults.take();
    world.forecast(false, NOW).await;
    let alone = world.faults.take().len();
    let others = crowd(&world, POOLS).await;
    world.faults.plan(Fault {
        of: Some("store.query"),
        at: POOLS / 2,
        how: How::Fail,
    });
    let now = NOW + minutes(5);
    let done = world.try_forecast(false, now).await;
    assert!(matches!(done, Err(ForecastError::Pools(1))), "{done:?}");
    let calls = world.faults.take().len();
    assert!(calls <= alone * POOLS + 2, "{calls} calls");
    assert_eq!(others_said(&world, &others, now).await, POOLS - 2);
    // The one that somebody paints in has been looked after among them, by what it has learned.
    let hour = said(&world).await;
    assert_eq!((hour.from, hour.learned), (now, Some(NOW)));
}

/// More pools than there is time for: those that are left are said, and come first next time, until each had its turn.
#[tokio::test]
async fn pools_for_which_there_is_no_time_come_first_next_time() {
    const POOLS: usize = 60;
    let world = World::new().await;
    let others = crowd(&world, POOLS).await;
    let mut done = 0;
    for turn in 0..3 {
        let now = NOW + minutes(5 * turn);
        let call = world.forecast_within(false, now, 20).await;
        assert!(matches!(call, Err(ForecastError::Left(40))), "{call:?}");
        done += others_said(&world, &others, now).await;
    }
    // All of them but the world's own pool, each once.
    assert_eq!(done, POOLS - 1);
    // A training has a turn of its own, and when there is time enough nobody is left.
    let day = NOW + minutes(DAY);
    for (turn, learned) in [(0, 2), (1, 4)] {
        let call = world.forecast_within(true, day + minutes(turn * DAY), 2).await;
        assert!(matches!(call, Err(ForecastError::Left(58))), "{call:?}");
        let mut known = 0;
        for pool in &others {
            let key = format!("forecast/{pool}/learned.json");
            known += usize::from(world.cloud.bucket.head(&key).await.unwrap().is_some());
        }
        assert!((learned - 1..=learned).contains(&known), "{known}");
    }
    world.forecast(false, day).await;
    assert_eq!(others_said(&world, &others, day).await, POOLS - 1);
}

/// A call that looks ends before the next one, one that learns before it is cut off.
#[test]
fn a_call_ends_in_time() {
    let (look, train) = (json!({}), json!({ "train": true }));
    let deadline = NOW + minutes(10);
    assert_eq!(forecast_function::until(&look, NOW, deadline), NOW + minutes(4));
    assert_eq!(forecast_function::until(&train, NOW, deadline), NOW + minutes(9));
    assert_eq!(forecast_function::until(&look, NOW, NOW + minutes(2)), NOW + minutes(1));
    assert_eq!(
        forecast_function::until(&train, NOW, NOW + seconds(30)),
        NOW + seconds(15)
    );
}

/// Pools beside the world's own, so many together.
async fn crowd(world: &World, pools: usize) -> Vec<PoolId> {
    let mut names = world.get(&AllPools).await;
    let others: Vec<_> = (1..pools).map(|it| PoolId::new(format!("pool-{it}"))).collect();
    names.pools.extend(others.clone());
    world.put(names).await;
    others
}

/// How many of these have a forecast of this moment.
async fn others_said(world: &World, pools: &[PoolId], now: Millis) -> usize {
    let mut count = 0;
    for pool in pools {
        let said = world.cloud.store.get(&ForecastOf(pool.clone())).await.unwrap();
        count += usize::from(said.is_some_and(|it| it.hour.from == now));
    }
    count
}

/// The clock jumped ahead for a training and a forecast, and came back: what was learned and said of the future is not believed,
/// and the hour is forecast as if it had not happened.
#[tokio::test]
async fn a_clock_that_jumped_and_came_back_leaves_nothing_behind() {
    let world = World::set(settings()).await;
    let morning = NOW.day_began() + minutes(9 * 60);
    painted(&world, 8).await;
    looked(&world, 3, morning).await;
    let before = said(&world).await;
    assert!(before.acting.is_some() && before.arrivals.p90 > 1.0, "{before:?}");
    let ahead = morning + minutes(3 * DAY);
    world.forecast(true, ahead).await;
    world.forecast(false, ahead).await;
    world.tick(morning).await;
    assert_eq!(believed(&world).await.workers, 0, "of a later time");
    let next = morning + minutes(5);
    for trains in [false, true] {
        if trains {
            world.forecast(true, next).await;
        }
        world.forecast(false, next).await;
        world.tick(next).await;
        let hour = said(&world).await;
        assert_eq!((hour.from, hour.fault, &hour.acting), (next, None, &before.acting));
        // The hours from nine and from five past nine on both ask for ten pictures.
        assert!(
            (hour.arrivals.p90 - before.arrivals.p90).abs() < 4.0,
            "{:?}",
            hour.arrivals
        );
    }
    assert_eq!(believed(&world).await.workers, 1);
    // What is counted after that is known, though the last training was of a later time.
    world.forecast(true, ahead).await;
    // At half past nine something was counted already.
    for at in (0..11).filter(|it| *it != 5) {
        let mut count = DemandCount::new(&pool(), next + minutes(5 * at));
        count.arrivals = 500;
        world.put(count).await;
    }
    world.forecast(false, next + minutes(60)).await;
    let after = said(&world).await;
    assert!(after.arrivals.p50 > 2.0 * before.arrivals.p50, "{:?}", after.arrivals);
}

/// A day of a clock that runs fast, by the real functions: the next hour is forecast from what was counted, a machine is up
/// before the first request of the morning, as long as the credit lasts, and none is in the evening.
#[tokio::test]
async fn a_machine_is_up_before_the_morning_and_gone_in_the_evening() {
    let world = World::set(settings()).await;
    let today = NOW.day_began();
    let (morning, evening) = (today + minutes(9 * 60), today + minutes(18 * 60));
    painted(&world, 8).await;
    looked(&world, 3, today + minutes(8 * 60)).await;
    // Days on which machines were up have earned it.
    world
        .alter_pool(|pool| {
            pool.forecast = Some(Forecast {
                credit_ms: 3_600_000,
                ..Forecast::default()
            });
        })
        .await;
    let (mut up_at, mut states) = (None, Vec::new());
    // In the afternoon nothing changes.
    for minute in (8 * 60..13 * 60).chain(17 * 60 + 30..19 * 60 + 30) {
        let now = today + minutes(minute);
        if minute % 5 == 0 {
            world.forecast(false, now + seconds(20)).await;
        }
        for worker in world.workers() {
            // It comes up at once, and says so ever after.
            up_at.get_or_insert(now);
            let id = worker.worker_id.as_str();
            world
                .alter_worker(id, |it| {
                    if it.state.is_coming() {
                        (it.state, it.generation, it.outcome_due) = (WorkerState::Ready, 1, false);
                        it.idle_since = Some(now);
                    }
                    it.last_seen = now;
                })
                .await;
        }
        world.tick(now + seconds(40)).await;
        world.reap(now + seconds(45)).await;
        let runs = |it: &Worker| matches!(it.state, WorkerState::Ready | WorkerState::Draining);
        states.push((now, world.workers().iter().any(runs), believed(&world).await));
    }
    let up_at = up_at.expect("a machine was started");
    let lead = morning.since(up_at);
    assert!(
        (Duration::from_mins(3)..=Duration::from_mins(25)).contains(&lead),
        "it was started {lead:?} before the morning"
    );
    // It is up when the first painter asks, it was paid for, and it begins with what the hour asks for.
    let at = |moment: Millis| states.iter().find(|it| it.0 == moment).copied().unwrap();
    assert!(at(morning).1);
    assert!(at(morning).2.credit_ms < 3_600_000 - 600_000, "{:?}", at(morning));
    // Nobody came: after half an hour it stops whatever the forecast says. The credit pays for one start more, and by noon
    // nothing is kept up for it any more. In the evening nothing is asked for.
    assert!(world.workers().len() <= 2);
    let noon = at(today + minutes(12 * 60));
    assert!(
        !noon.1 && noon.2.workers == 1 && noon.2.credit_ms < 1_800_000,
        "{noon:?}"
    );
    let (_, runs, believed) = at(evening + minutes(60));
    assert!(!runs);
    assert_eq!(believed.workers, 0);
    assert_eq!(said(&world).await.models, [MODEL]);
}

/// Without the setting the forecast is made and shown, and nothing follows from it: not a write.
#[tokio::test]
async fn without_the_setting_nothing_follows() {
    let world = World::new().await;
    painted(&world, 8).await;
    let morning = NOW.day_began() + minutes(9 * 60);
    looked(&world, 3, morning).await;
    let key = pool().key();
    let before = StorePort::get(&world.memory, &key).await.unwrap();
    for minute in 0..5 {
        world.tick(morning + minutes(minute)).await;
    }
    assert_eq!(StorePort::get(&world.memory, &key).await.unwrap(), before);
    assert!(world.workers().is_empty());
    // What an operator sees of it.
    let shown = ops::forecast::run(&world.cloud.store, Some(&pool()), false, morning)
        .await
        .unwrap();
    for part in ["acting", "nine of ten", "seasonal x level", "coverage", MODEL] {
        assert!(shown.contains(part), "{shown}");
    }
    let shown = ops::forecast::run(&world.cloud.store, None, true, morning)
        .await
        .unwrap();
    let shown: Value = serde_json::from_str(&shown).unwrap();
    assert_eq!(shown[0]["pool"], POOL);
    assert_eq!(shown[0]["forecast"]["models"], json!([MODEL]));
    let nobody = ops::forecast::run(&world.cloud.store, Some(&PoolId::new("nobody")), false, NOW).await;
    assert!(nobody.unwrap_err().to_string().contains("there is no pool nobody"));
}

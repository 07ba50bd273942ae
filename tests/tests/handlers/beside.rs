//! Painters beside a group of variants: the studio's own functions on the tables in memory, and a clock that moves from one
//! event to the next.

use std::{collections::BTreeMap, time::Duration};

use model::{RunId, TaskId, UserId, Worker, worker_api::Assignment};
use serde_json::{Value, json};

use crate::support::{MARA, NOW, WORKER, WORKER_2, World, wire};

/// What one run takes.
const RUN: u64 = 3000;
/// Pictures of the group.
const MANY: u64 = 40;
/// Those who paint; each asks for three pictures at once, every so many milliseconds.
const PAINTERS: [(&str, u64); 3] = [("ada", 31_000), ("eva", 37_000), ("ida", 41_000)];
/// For so long they ask.
const PAINTING: u64 = 85_000;

fn millis(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// What is asked for besides.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Beside {
    Nothing,
    Group,
    /// As many pictures, as if they were no variants.
    Single,
}

fn one(seed: u64) -> Value {
    let mut body = wire("01_generate");
    body["input"]["workflow"]["batch_count"] = 1.into();
    body["input"]["workflow"]["sampling"]["seed"] = seed.into();
    body
}

/// What is asked for when, milliseconds.
fn asked(beside: Beside) -> Vec<(u64, &'static str, Value)> {
    let mut all = Vec::new();
    match beside {
        Beside::Nothing => {}
        Beside::Group => {
            let mut body = one(0);
            body["input"]["variants"] = json!({ "seeds": MANY });
            all.push((0, MARA, body));
        }
        Beside::Single => all.extend((0..MANY).map(|seed| (0, MARA, one(seed)))),
    }
    for (number, (name, every)) in (1..).zip(PAINTERS) {
        for at in (number * 1700..PAINTING).step_by(usize::try_from(every).unwrap()) {
            all.extend((1..=3).map(|seed| (at, name, one(at + seed))));
        }
    }
    all.sort_by_key(|(at, ..)| *at);
    all
}

/// From request to picture of those who paint, milliseconds, in order.
async fn waits(beside: Beside) -> Vec<u64> {
    let world = World::new().await;
    for name in PAINTERS.map(|(name, _)| name).into_iter().chain([MARA]) {
        world.seed(name).await;
        let mut account = world.get(&UserId::new(name)).await;
        account.credits = 1_000_000;
        world.put(account).await;
    }
    let mut workers = Vec::new();
    for (id, instance) in [(WORKER, "i-1"), (WORKER_2, "i-2")] {
        world.ready(id, instance, NOW).await;
        let model = |it: &mut Worker| it.models = vec!["dreamshaper_8.safetensors".to_owned()];
        workers.push(world.alter_worker(id, model).await);
    }
    let mut asked = asked(beside).into_iter().peekable();
    // Until when which worker renders what.
    let mut runs: BTreeMap<usize, (u64, TaskId, RunId)> = BTreeMap::new();
    let (mut since, mut found) = (BTreeMap::new(), Vec::new());
    loop {
        let done = runs.iter().map(|(at, (until, ..))| (*until, *at)).min();
        let next = asked.peek().map(|(at, ..)| *at);
        // Who is done at the very moment of a request is done before it.
        match (done, next) {
            (Some((until, at)), next) if next.is_none_or(|next| until <= next) => {
                let now = NOW + millis(until);
                let (_, task, run) = runs.remove(&at).unwrap();
                let result = json!({
                    "task_id": task, "run_id": run, "offsets": [0], "size": 9,
                    "times": { "fetch_ms": 1, "execute_ms": RUN - 2, "upload_ms": 1 },
                });
                let ended = world.work(&workers[at], "result", &result, now).await.ok();
                found.extend(since.remove(&task).map(|asked: u64| until - asked));
                if let Ok(next) = serde_json::from_value::<Assignment>(ended["assignment"].clone()) {
                    runs.insert(at, (until + RUN, next.task_id, next.run_id));
                }
            }
            (_, Some(_)) => {
                let (at, who, body) = asked.next().unwrap();
                let answer = world.submit(who, &body, NOW + millis(at)).await.ok();
                if who != MARA {
                    let task: TaskId = answer["id"].as_str().unwrap().parse().unwrap();
                    since.insert(task, at);
                }
                for (free, worker) in workers.iter().enumerate() {
                    if !runs.contains_key(&free)
                        && let Some(run) = world.claimed(worker, NOW + millis(at)).await
                    {
                        runs.insert(free, (at + RUN, run.task_id, run.run_id));
                    }
                }
            }
            (None, None) => break,
            (Some(_), None) => unreachable!("who renders is done first"),
        }
    }
    assert!(since.is_empty(), "not all were painted");
    found.sort_unstable();
    found
}

#[tokio::test]
async fn a_group_costs_others_no_more_than_the_run_under_way() {
    let (alone, beside, control) = (
        waits(Beside::Nothing).await,
        waits(Beside::Group).await,
        waits(Beside::Single).await,
    );
    assert_eq!((alone.len(), beside.len(), control.len()), (24, 24, 24));
    for (alone, beside) in alone.iter().zip(&beside) {
        assert!(*beside <= alone + RUN, "{alone} became {beside}");
    }
    // The lane is what spares them: in the interactive one as many pictures cost them several runs.
    assert!(
        control
            .iter()
            .zip(&alone)
            .any(|(control, alone)| *control > alone + 3 * RUN),
        "{control:?}"
    );
}

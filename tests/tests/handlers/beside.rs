//! Painters beside a group of variants: the studio's own functions on the tables in memory, and a clock that moves from one
//! event to the next.

use std::{collections::BTreeMap, time::Duration};

use model::{ConnectionId, Lane, RunId, Settings, Task, TaskId, TaskState, UserId, Worker, worker_api::Assignment};
use serde_json::{Value, json};

use crate::support::{MARA, NOW, POOL, WORKER, WORKER_2, World, sqs, wire};

/// What one run takes.
const RUN: u64 = 3000;
/// What it takes a worker to interrupt one.
const INTERRUPT: u64 = 500;
/// A run that is expected to end within this time is not taken back.
const LEAST: u64 = 1000;
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
pub(crate) enum Beside {
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

/// What a worker does until when, milliseconds.
#[derive(Debug, Clone, Copy)]
struct Work {
    until: u64,
    task: TaskId,
    run: RunId,
    /// Whether it has to interrupt it.
    taken_back: bool,
}

impl Work {
    fn of(run: &Assignment, at: u64) -> Self {
        Self {
            until: at + RUN,
            task: run.task_id,
            run: run.run_id,
            taken_back: false,
        }
    }
}

fn result(task: TaskId, run: RunId) -> Value {
    let times = json!({ "fetch_ms": 1, "execute_ms": RUN - 2, "upload_ms": 1 });
    json!({ "task_id": task, "run_id": run, "offsets": [0], "size": 9, "times": times })
}

/// A picture is painted before all else, so that it is known what one takes.
async fn learn(world: &World, worker: &Worker) {
    let began = NOW - millis(2 * RUN);
    world.submit(MARA, &one(0), began).await.ok();
    let run = world.claimed(worker, began).await.unwrap();
    let report = result(run.task_id, run.run_id);
    let ended = world.work(worker, "result", &report, began + millis(RUN)).await.ok();
    assert!(ended["assignment"].is_null(), "{ended}");
}

/// From request to picture of those who paint, milliseconds, in order; and how many runs were taken back.
pub(crate) async fn waits(beside: Beside, preemptions: u64) -> (Vec<u64>, usize) {
    let world = World::set(Settings {
        preemptions,
        ..Settings::default()
    })
    .await;
    for name in PAINTERS.map(|(name, _)| name).into_iter().chain([MARA]) {
        world.seed(name).await;
        let mut account = world.get(&UserId::new(name)).await;
        account.credits = 1_000_000;
        world.put(account).await;
    }
    let mut workers = Vec::new();
    for (id, instance) in [(WORKER, "i-1"), (WORKER_2, "i-2")] {
        world.ready(id, instance, NOW).await;
        let warm = |it: &mut Worker| {
            it.models = vec!["dreamshaper_8.safetensors".to_owned()];
            it.connection = Some(ConnectionId::new(format!("{id}-socket=")));
        };
        workers.push(world.alter_worker(id, warm).await);
    }
    learn(&world, &workers[0]).await;
    let mut asked = asked(beside).into_iter().peekable();
    let mut runs: BTreeMap<usize, Work> = BTreeMap::new();
    let (mut since, mut found, mut taken_back) = (BTreeMap::new(), Vec::new(), 0);
    loop {
        let done = runs.iter().map(|(at, work)| (work.until, *at)).min();
        let next = asked.peek().map(|(at, ..)| *at);
        // Who is done at the very moment of a request is done before it.
        match (done, next) {
            (Some((until, at)), next) if next.is_none_or(|next| until <= next) => {
                let now = NOW + millis(until);
                let Work {
                    task, run, taken_back, ..
                } = runs.remove(&at).unwrap();
                let (what, report) = if taken_back {
                    let report = json!({ "task_id": task, "run_id": run, "message": "The picture was canceled." });
                    ("failure", report)
                } else {
                    found.extend(since.remove(&task).map(|asked: u64| until - asked));
                    ("result", result(task, run))
                };
                let ended = world.work(&workers[at], what, &report, now).await.ok();
                assert_eq!(ended["accepted"], !taken_back, "{ended}");
                if let Ok(next) = serde_json::from_value::<Assignment>(ended["assignment"].clone()) {
                    runs.insert(at, Work::of(&next, until));
                }
            }
            (_, Some(_)) => {
                let (at, who, body) = asked.next().unwrap();
                let now = NOW + millis(at);
                let answer = world.submit(who, &body, now).await.ok();
                if who != MARA {
                    let task: TaskId = answer["id"].as_str().unwrap().parse().unwrap();
                    since.insert(task, at);
                }
                for (free, worker) in workers.iter().enumerate() {
                    if !runs.contains_key(&free)
                        && let Some(run) = world.claimed(worker, now).await
                    {
                        runs.insert(free, Work::of(&run, at));
                    }
                }
                world.dispatch(sqs(&[json!({ "pool": POOL }).to_string()]), now).await;
                for (number, work) in runs.iter_mut().filter(|(_, work)| !work.taken_back) {
                    let worker = world.worker(workers[*number].worker_id.as_str()).await;
                    if worker.run.is_none_or(|held| held.run_id != work.run) {
                        (work.until, work.taken_back) = (at + INTERRUPT, true);
                        taken_back += 1;
                    }
                }
            }
            (None, None) => break,
            (Some(_), None) => unreachable!("who renders is done first"),
        }
    }
    assert!(since.is_empty(), "not all were painted");
    let tasks = world.tasks();
    let many = |it: &&Task| it.lane == Lane::Batch && it.state == TaskState::Succeeded;
    let group = tasks.iter().filter(many).count() as u64;
    assert_eq!(group, if beside == Beside::Group { MANY } else { 0 }, "of the group");
    assert!(tasks.iter().all(|it| it.preempted <= preemptions && it.failures == 0));
    found.sort_unstable();
    (found, taken_back)
}

#[tokio::test]
async fn a_group_costs_others_little_more_than_to_interrupt_a_run() {
    let (without, none) = waits(Beside::Nothing, 3).await;
    let (with, taken_back) = waits(Beside::Group, 3).await;
    assert_eq!((without.len(), with.len(), none), (24, 24, 0));
    let longer = |by: u64| {
        without
            .iter()
            .zip(&with)
            .filter(|(alone, beside)| **beside > **alone + by)
            .count()
    };
    // Nine pictures are asked for at once, too: meanwhile the group has a turn of its own by its weight.
    assert!(longer(LEAST) <= 2 && longer(RUN) == 0, "{without:?} became {with:?}");
    // Two machines, eight times three pictures.
    assert!((1..=24).contains(&taken_back), "{taken_back} were taken back");
}

#[tokio::test]
async fn where_no_run_is_taken_back_a_group_costs_others_no_more_than_the_one_under_way() {
    let ((alone, _), (beside, none), (control, _)) = (
        waits(Beside::Nothing, 0).await,
        waits(Beside::Group, 0).await,
        waits(Beside::Single, 0).await,
    );
    assert_eq!((alone.len(), beside.len(), control.len(), none), (24, 24, 24, 0));
    for (alone, beside) in alone.iter().zip(&beside) {
        assert!(*beside <= alone + RUN, "{alone} became {beside}");
    }
    // The lane is what spares them: in the interactive one as many pictures cost them more than a run.
    assert!(
        control
            .iter()
            .zip(&alone)
            .any(|(control, alone)| *control > alone + RUN + RUN / 2),
        "{control:?}, {alone:?}"
    );
}

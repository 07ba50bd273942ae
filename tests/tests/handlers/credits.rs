//! Credits: reserved at submit, settled once with the task's end, never more than the budget. [`crate::port`] checks the
//! sums after each commit of every test; here is what the painter sees, and crashes between any two writes.

use std::{future::poll_fn, task::Poll};

use cloud::tables::{BodyOf, Table};
use futures_util::future::join_all;
use model::{MicroUsd, Millis, PoolId, RunId, Task, TaskId, TaskState, Usage, UserId, Worker, WorkerId, WorkerState};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::support::{
    Answer, INSTANCE, MARA, NOW, OTHER, POOL, WORKER, WORKER_2, World, http, minutes, painter, seconds, thorough, wire,
};

/// What request 01 reserves: the five credits on the plugin's button.
const RESERVED: u64 = 5_000;

async fn budget(world: &World, user: &str, credits: u64) {
    let mut account = world.get(&UserId::new(user)).await;
    account.credits = credits;
    world.put(account).await;
}

async fn user(world: &World) -> (u64, u64) {
    let user = world.paint(MARA, "GET /v1/user", "", &json!({}), NOW).await.ok();
    let number = |name: &str| user[name].as_u64().unwrap();
    (number("credits"), number("images_generated"))
}

/// What Mara spent and has reserved, of all months.
fn usage(world: &World) -> (u64, u64) {
    let accounts: Vec<Value> = world.all(Table::Accounts);
    let usage = accounts
        .into_iter()
        .filter_map(|it| serde_json::from_value::<Usage>(it).ok());
    let mine = usage.filter(|usage| usage.user_id.as_str() == MARA);
    mine.fold((0, 0), |sum, it| (sum.0 + it.spent.0, sum.1 + it.reserved.0))
}

async fn rendering(world: &World, now: Millis) -> (TaskId, Worker) {
    world.ready(WORKER, INSTANCE, now).await;
    let worker = world
        .alter_worker(WORKER, |it| it.instance_type = Some("g6.xlarge".to_owned()))
        .await;
    let task = world.submitted(now).await;
    assert!(world.claimed(&worker, now).await.is_some());
    (task, world.worker(WORKER).await)
}

async fn ended(world: &World, worker: &Worker, operation: &str, more: Value, now: Millis) -> Answer {
    let run = worker.run.unwrap();
    let mut body = more;
    body["task_id"] = json!(run.task_id);
    body["run_id"] = json!(run.run_id);
    world.work(worker, operation, &body, now).await
}

fn pictures() -> Value {
    json!({ "offsets": [0, 500], "size": 1000, "times": { "fetch_ms": 1, "execute_ms": 2, "upload_ms": 3 } })
}

// ---------------------------------------------------------------- what things cost

#[tokio::test]
async fn a_submit_reserves_and_a_result_settles() {
    let world = World::new().await;
    let (task, worker) = rendering(&world, NOW).await;
    assert_eq!(usage(&world), (0, RESERVED));
    assert_eq!(user(&world).await, (995, 0));
    ended(&world, &worker, "result", pictures(), NOW + seconds(10))
        .await
        .ok();
    // 10 s at US$ 0.8048 an hour, rounded up.
    assert_eq!(usage(&world), (2236, 0));
    assert_eq!(world.task(&task).await.cost, MicroUsd(2236));
    assert_eq!(user(&world).await, (997, 2));
    // Said again, by a worker that did not hear the answer.
    ended(&world, &worker, "result", pictures(), NOW + seconds(11))
        .await
        .ok();
    assert_eq!(usage(&world), (2236, 0));
}

#[tokio::test]
async fn nothing_costs_more_than_it_reserved() {
    let world = World::new().await;
    let (task, worker) = rendering(&world, NOW).await;
    ended(&world, &worker, "result", pictures(), NOW + minutes(50))
        .await
        .ok();
    assert_eq!(usage(&world), (RESERVED, 0));
    assert_eq!(world.task(&task).await.cost, MicroUsd(RESERVED));
}

#[tokio::test]
async fn a_pool_has_prices_of_its_own() {
    let world = World::new().await;
    let mut pool = world.get(&PoolId::new(POOL)).await;
    for (name, usd) in [("g5.xlarge", 2_012_000), ("g6.xlarge", 360_000), ("default", 36_000)] {
        pool.prices.insert(name.to_owned(), MicroUsd(usd));
    }
    world.put(pool).await;
    let (_, worker) = rendering(&world, NOW).await;
    assert_eq!(usage(&world).1, RESERVED, "the button knows no prices");
    ended(&world, &worker, "result", pictures(), NOW + seconds(10))
        .await
        .ok();
    assert_eq!(usage(&world), (1000, 0));
    // A worker under somebody's desk has no type.
    let worker = world.alter_worker(WORKER, |it| it.instance_type = None).await;
    world.submitted(NOW).await;
    world.claimed(&worker, NOW).await.unwrap();
    let worker = world.worker(WORKER).await;
    ended(&world, &worker, "result", pictures(), NOW + seconds(10))
        .await
        .ok();
    assert_eq!(usage(&world), (1100, 0));
}

#[tokio::test]
async fn what_brings_no_picture_costs_nothing() {
    for how in [
        "user",
        "infrastructure",
        "canceled",
        "canceled too late to stop",
        "while queued",
        "expired",
        "gone",
        "plan lost",
    ] {
        let world = World::new().await;
        world.alter_pool(|pool| pool.max_workers = 1).await;
        let (task, worker) = rendering(&world, NOW).await;
        let later = NOW + minutes(1);
        let cancel = async || {
            let route = "POST /v1/cancel/{worker}/{id}";
            world
                .paint(MARA, route, &task.to_string(), &json!({}), later)
                .await
                .ok()
        };
        let failure = async |class: Value| {
            let more = json!({ "class": class, "message": "No." });
            let worker = world.worker(WORKER).await;
            ended(&world, &worker, "failure", more, later).await.ok()
        };
        match how {
            "user" => drop(failure("user".into()).await),
            "infrastructure" => {
                for _ in 0..Task::MAX_FAILURES {
                    assert_eq!(usage(&world), (0, RESERVED), "a requeue changes nothing");
                    failure("infrastructure".into()).await;
                    world.claimed(&world.worker(WORKER).await, later).await;
                }
            }
            "canceled" => {
                cancel().await;
                assert_eq!(usage(&world), (0, RESERVED), "the worker has not let go");
                failure(Value::Null).await;
            }
            "canceled too late to stop" => {
                cancel().await;
                let refused = ended(&world, &worker, "result", pictures(), later).await.ok();
                assert_eq!(refused["accepted"], false);
            }
            "while queued" => {
                failure("capacity".into()).await;
                cancel().await;
                cancel().await;
            }
            "expired" => {
                world.tick(NOW + minutes(61)).await;
                world.tick(NOW + minutes(62)).await;
                world.tick(NOW + minutes(63)).await;
            }
            "gone" => {
                for (number, minute) in (0..Task::MAX_FAILURES).zip(1..) {
                    // The machine is lost with its run; another one takes the task.
                    world
                        .instances
                        .set(&model::InstanceId::new(INSTANCE), policy::watch::InstanceState::Gone);
                    world
                        .ec2(&model::InstanceId::new(INSTANCE), "terminated", NOW + minutes(minute))
                        .await;
                    assert_eq!(world.task(&task).await.failures, number + 1);
                    let worker = world.ready(WORKER, INSTANCE, NOW + minutes(minute)).await;
                    // Under the name of the lost one, to which the task is not offered again.
                    world.alter_task(&task, |task| task.failed_on = None).await;
                    world.claimed(&worker, NOW + minutes(minute)).await;
                }
            }
            "plan lost" => {
                failure("capacity".into()).await;
                let mut body = world.get(&BodyOf(task)).await;
                body.plan = None;
                world.put(body).await;
                world.alter_worker(WORKER, |it| it.state = WorkerState::Ready).await;
                assert!(world.claimed(&world.worker(WORKER).await, later).await.is_none());
            }
            other => panic!("{other}"),
        }
        let ended = world.task(&task).await;
        assert!(
            ended.state.is_terminal() && ended.state != TaskState::Succeeded,
            "{how}: {ended:#?}"
        );
        assert_eq!(usage(&world), (0, 0), "{how}");
        assert_eq!(user(&world).await, (1000, 0), "{how}");
    }
}

#[tokio::test]
async fn a_task_is_settled_in_the_month_in_which_it_was_asked_for() {
    let world = World::new().await;
    let august = Millis(NOW.0 - NOW.0 % 86_400_000) - minutes(1);
    let (_, worker) = rendering(&world, august).await;
    assert_eq!(user(&world).await, (1000, 0), "september is untouched");
    ended(&world, &worker, "result", pictures(), august + minutes(2))
        .await
        .ok();
    assert_eq!(user(&world).await, (1000, 0));
    assert_eq!(usage(&world).1, 0);
    let august = world.paint(MARA, "GET /v1/user", "", &json!({}), august).await.ok();
    assert_eq!(
        (&august["credits"], &august["images_generated"]),
        (&json!(995), &json!(2))
    );
}

#[tokio::test]
async fn the_last_status_says_what_is_left() {
    let world = World::new().await;
    let (task, worker) = rendering(&world, NOW).await;
    let status = async || {
        let route = "POST /v1/status/{id}";
        world.paint(MARA, route, &task.to_string(), &json!({}), NOW).await.ok()
    };
    assert_eq!(status().await.get("user"), None, "it is not settled yet");
    ended(&world, &worker, "result", pictures(), NOW + seconds(10))
        .await
        .ok();
    let (credits, images_generated) = user(&world).await;
    let last = status().await;
    assert_eq!(last["status"], "COMPLETED");
    assert_eq!(
        last["user"],
        json!({ "credits": credits, "images_generated": images_generated })
    );
}

#[tokio::test]
async fn whoever_has_what_the_button_says_is_let_in() {
    let world = World::new().await;
    for name in ["01_generate", "02_refine", "03_inpaint", "06_upscale_tiled"] {
        world.memory.put_object(crate::support::UPLOAD, 1 << 20, "");
        let mut request = wire(name);
        if let Some(data) = request.pointer_mut("/input/workflow/image_data") {
            data["s3_object"] = crate::support::UPLOAD.trim_start_matches("uploads/mara/").into();
        }
        let input = request.pointer("/input/workflow").unwrap().clone();
        let button = workflow::credits(&workflow::WorkflowInput::read(input).unwrap());
        for (credits, wanted) in [(button - 1, 402), (button, 200)] {
            budget(&world, MARA, credits).await;
            let answer = world.submit(MARA, &request, NOW).await;
            assert_eq!(answer.status, wanted, "{name}: {answer:?}");
            if wanted == 402 {
                assert!(
                    answer.error().contains(&format!("up to {button} credits")),
                    "{answer:?}"
                );
            } else {
                let route = "POST /v1/cancel/{worker}/{id}";
                world
                    .paint(MARA, route, answer.body["id"].as_str().unwrap(), &json!({}), NOW)
                    .await
                    .ok();
            }
        }
    }
}

// ---------------------------------------------------------------- when it is gone

#[tokio::test]
async fn beyond_the_budget_nothing_is_written() {
    let world = World::new().await;
    budget(&world, MARA, 9).await;
    let with_key = |key: &str| {
        let mut event = http("POST /v1/generate", "", Some(&painter(MARA)), &wire("01_generate"));
        event["headers"]["idempotency-key"] = key.into();
        event
    };
    let first = world.http(with_key("a"), NOW).await.ok();
    assert_eq!(first["user"], json!({ "images_generated": 0, "credits": 4 }));
    world.take_queued();
    let before = world.written();
    let refused = world.http(with_key("b"), NOW).await;
    assert_eq!((refused.status, &refused.body["credits"]), (402, &json!(4)));
    assert_eq!(
        refused.error(),
        "This needs up to 5 credits; 4 of this month's 9 are free. Ask for fewer or smaller pictures, wait for those on \
         the way, or ask your studio for more credits."
    );
    // The first one again: it has its credits.
    let again = world.http(with_key("a"), NOW).await.ok();
    assert_eq!((&again["id"], &again["user"]), (&first["id"], &first["user"]));
    assert_eq!(world.written(), before);
    let route = "POST /v1/cancel/{worker}/{id}";
    world
        .paint(MARA, route, first["id"].as_str().unwrap(), &json!({}), NOW)
        .await
        .ok();
    world.http(with_key("b"), NOW).await.ok();
    // Less than what is taken already is nothing, not a debt.
    budget(&world, MARA, 0).await;
    assert_eq!(user(&world).await.0, 0);
}

#[tokio::test]
async fn twenty_submits_at_once_take_what_is_there() {
    for seed in 0..20 {
        let world = World::unkind(seed).await;
        budget(&world, MARA, 8 * RESERVED.div_ceil(1000)).await;
        world.port.dawdle(seed);
        let request = wire("01_generate");
        let answers = join_all((0..20).map(|_| world.submit(MARA, &request, NOW))).await;
        let with = |status: i64| answers.iter().filter(|answer| answer.status == status).count();
        assert_eq!((with(200), with(402)), (8, 12), "seed {seed}: {answers:?}");
        assert_eq!(world.tasks().len(), 8);
    }
}

#[tokio::test]
async fn the_cost_is_told_beforehand_and_refusals_are_those_of_generate() {
    let world = World::new().await;
    let before = world.written();
    let cost = async |workflow: &Value| world.paint(MARA, "POST /v1/admin/cost", "", workflow, NOW).await;
    let mut request = wire("01_generate");
    assert_eq!(cost(&request["input"]["workflow"]).await.ok(), 5);
    request["input"]["workflow"]["models"]["checkpoint"] = "nothing.safetensors".into();
    let workflow = &request["input"]["workflow"];
    for (alone, whole) in [
        (workflow.clone(), request.clone()),
        (json!({}), json!({ "input": { "workflow": {} } })),
        (json!([]), json!({ "input": { "workflow": [] } })),
        ("{".into(), "{".into()),
        ("x".repeat(2 << 20).into(), "x".repeat(2 << 20).into()),
    ] {
        let (alone, whole) = (cost(&alone).await, world.submit(MARA, &whole, NOW).await);
        assert_eq!((alone.status, alone.error()), (whole.status, whole.error()));
        assert!([400, 413].contains(&alone.status));
    }
    assert_eq!(world.written(), before);
}

// ---------------------------------------------------------------- crashes

/// Something that anybody does. Numbers choose among what there is, old things included.
#[derive(Debug, Clone)]
enum Act {
    Submit {
        user: bool,
        key: Option<u8>,
    },
    Cancel {
        task: prop::sample::Index,
    },
    Claim {
        worker: bool,
    },
    Result {
        run: prop::sample::Index,
    },
    Failure {
        run: prop::sample::Index,
        class: Option<&'static str>,
    },
    Register {
        worker: bool,
    },
    Tick,
}

/// An act, after so many seconds; cut off after so many turns, if at all.
#[derive(Debug, Clone)]
struct Step {
    act: Act,
    wait: u64,
    cut: Option<u8>,
}

fn step() -> impl Strategy<Value = Step> {
    let index = any::<prop::sample::Index>;
    let class = prop::sample::select(vec![Some("user"), Some("infrastructure"), Some("capacity"), None]);
    let act = prop_oneof![
        4 => (any::<bool>(), prop::option::of(0_u8..4)).prop_map(|(user, key)| Act::Submit { user, key }),
        1 => index().prop_map(|task| Act::Cancel { task }),
        6 => any::<bool>().prop_map(|worker| Act::Claim { worker }),
        4 => index().prop_map(|run| Act::Result { run }),
        6 => (index(), class).prop_map(|(run, class)| Act::Failure { run, class }),
        1 => any::<bool>().prop_map(|worker| Act::Register { worker }),
        2 => Just(Act::Tick),
    ];
    let wait = prop_oneof![30 => 0_u64..5, 1 => 30_u64..400];
    (act, wait, prop::option::weighted(0.3, 0_u8..40)).prop_map(|(act, wait, cut)| Step { act, wait, cut })
}

struct Studio {
    world: World,
    now: Millis,
}

/// Who rendered what in which run.
type Runs = std::sync::Mutex<Vec<(WorkerId, TaskId, RunId)>>;

impl Studio {
    async fn new(seed: u64) -> Self {
        let world = World::unkind(seed).await;
        for user in [MARA, OTHER] {
            budget(&world, user, 16).await;
        }
        for (worker, instance) in [(WORKER, "i-a"), (WORKER_2, "i-b")] {
            world.ready(worker, instance, NOW).await;
        }
        world.port.dawdle(seed);
        Self { world, now: NOW }
    }

    async fn perform(&self, act: Act, runs: &Runs) {
        let (world, now) = (&self.world, self.now);
        let worker = async |first: bool| world.worker(if first { WORKER } else { WORKER_2 }).await;
        let run = |index: prop::sample::Index| {
            let runs = runs.lock().unwrap();
            let late = &runs[runs.len().saturating_sub(4)..];
            (!late.is_empty()).then(|| index.get(late).clone())
        };
        let answer = match act {
            Act::Submit { user, key } => {
                let user = if user { MARA } else { OTHER };
                let mut event = http("POST /v1/generate", "", Some(&painter(user)), &wire("01_generate"));
                if let Some(key) = key {
                    event["headers"]["idempotency-key"] = key.to_string().into();
                }
                world.http(event, now).await
            }
            Act::Cancel { task } => {
                let tasks = world.tasks();
                if tasks.is_empty() {
                    return;
                }
                let task = task.get(&tasks);
                let (route, id) = ("POST /v1/cancel/{worker}/{id}", task.task_id.to_string());
                world.paint(task.owner.as_str(), route, &id, &json!({}), now).await
            }
            Act::Claim { worker: first } => {
                let worker = worker(first).await;
                let answer = world.work(&worker, "claim", &json!({}), now).await;
                if let Some(assignment) = answer.body["assignment"].as_object() {
                    let id = |name: &str| assignment[name].as_str().unwrap();
                    let run = (
                        worker.worker_id,
                        id("task_id").parse().unwrap(),
                        id("run_id").parse().unwrap(),
                    );
                    runs.lock().unwrap().push(run);
                }
                answer
            }
            Act::Result { run: index } => {
                let Some((worker, task, run)) = run(index) else { return };
                let worker = world.get(&worker).await;
                let mut body = pictures();
                body["task_id"] = json!(task);
                body["run_id"] = json!(run);
                world.work(&worker, "result", &body, now).await
            }
            Act::Failure { run: index, class } => {
                let Some((worker, task, run)) = run(index) else { return };
                let worker = world.get(&worker).await;
                let body = json!({ "task_id": task, "run_id": run, "class": class, "message": "No." });
                world.work(&worker, "failure", &body, now).await
            }
            Act::Register { worker: first } => {
                // The process begins anew, and with it ends what it held.
                let worker = worker(first).await;
                let begin = |it: &mut Worker| {
                    it.run = None;
                    it.generation += 1;
                    if it.state == WorkerState::Busy {
                        it.become_state(WorkerState::Ready, now).unwrap();
                    }
                    Ok::<_, tasks::runs::RunError>(true)
                };
                // Conflicts are the register call's 503.
                let _ = tasks::runs::change_worker(&world.cloud, &worker.worker_id, now, begin).await;
                return;
            }
            Act::Tick => {
                // EC2's view plays no part here: only what waits or runs too long.
                let _ = world.lifecycle(crate::support::golden("lifecycle", "tick"), now).await;
                return;
            }
        };
        // Never a failure of ours; 503 is many conflicts in a row.
        assert!([200, 401, 402, 409, 503].contains(&answer.status), "{answer:?}");
    }
}

/// Polls so many times, and lets go.
async fn cut_off(work: impl Future<Output = ()>, turns: Option<u8>) {
    let mut work = Box::pin(work);
    let mut left = turns;
    poll_fn(move |context| match (work.as_mut().poll(context), &mut left) {
        (Poll::Pending, Some(0)) => Poll::Ready(()),
        (Poll::Pending, left) => {
            if let Some(left) = left {
                *left -= 1;
            }
            Poll::Pending
        }
        (ready, _) => ready,
    })
    .await;
}

async fn crashes(seed: u64, batches: Vec<Vec<Step>>) {
    let mut studio = Studio::new(seed).await;
    let runs = Runs::default();
    for batch in batches {
        for step in &batch {
            studio.now = studio.now + seconds(step.wait);
            studio.world.port.note(format!("{step:?}"));
        }
        let now = &studio;
        join_all(
            batch
                .into_iter()
                .map(|step| cut_off(now.perform(step.act, &runs), step.cut)),
        )
        .await;
        studio.world.port.check_budgets();
    }
    // Whatever is left is given up by everybody.
    studio.now = studio.now + minutes(60);
    for _ in 0..5 {
        studio.now = studio.now + minutes(1);
        studio.perform(Act::Tick, &runs).await;
    }
    let left: Vec<Task> = studio
        .world
        .tasks()
        .into_iter()
        .filter(|it| !it.state.is_terminal())
        .collect();
    assert!(left.is_empty(), "{left:#?}");
    // With nothing under way, the sums say that nothing is reserved.
    studio.world.port.check_budgets();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: if thorough() { 64 } else { 24 }, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn crashes_between_any_two_writes_neither_charge_twice_nor_lose_credits(
        seed in any::<u64>(),
        batches in prop::collection::vec(prop::collection::vec(step(), 1..4), 1..40),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(crashes(seed, batches));
    }
}

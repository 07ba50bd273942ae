//! `claim`: work for workers, heartbeats, results, failures. Registering has a file of its own.

use cloud::{
    memory::{Memory, Unkind},
    tables::{BodyOf, PaceOf, Table, UsageOf},
};
use model::{
    CancelCause, FailureClass, GpuUse, Millis, RunId, Task, TaskId, TaskState, Usage, UserId, Worker, WorkerId,
    WorkerState,
    worker_api::{Assignment, HeartbeatReply, InputBlob, PROTOCOL, RunEnded},
};
use serde_json::{Value, json};

use crate::{
    golden::{unknown, walk},
    support::{
        Answer, INSTANCE, MARA, NOW, OTHER, RUN, TASK, WORKER, WORKER_2, World, claims, http, minutes, run_id,
        scrubbed, seconds, task_id, worker_context, worker_id,
    },
};

const SECOND: &str = "01a05cd7-2a00-7000-8000-0000000000a2";

#[tokio::test]
async fn golden_events() {
    walk("claim", async |name, event| {
        let world = World::new().await;
        let before = NOW - seconds(10);
        match name {
            "register" => {
                world.ready(WORKER, INSTANCE, before).await;
                world
                    .alter_worker(WORKER, |worker| worker.state = WorkerState::Booting)
                    .await;
            }
            "claim" => {
                world.ready(WORKER, INSTANCE, before).await;
                world.queued(TASK, MARA, before).await;
            }
            "heartbeat-ready" => {
                world.ready(WORKER, INSTANCE, before).await;
                world
                    .alter_worker(WORKER, |worker| worker.state = WorkerState::Warming)
                    .await;
                world.queued(TASK, MARA, before).await;
            }
            "heartbeat-busy" | "result" | "failure" | "urls" => {
                world.running(before).await;
                world.painter_socket().await;
            }
            other => unknown(other),
        }
        let answer = world.http(event, NOW).await;
        let usage: Vec<Usage> = world
            .all::<Value>(Table::Accounts)
            .into_iter()
            .filter_map(|item| serde_json::from_value(item).ok())
            .collect();
        scrubbed(json!({ "status": answer.status, "body": answer.body, "effects": world.effects(), "usage": usage }))
    })
    .await;
}

async fn usage(world: &World) -> (u64, u64) {
    let usage = world.port.get(&UsageOf(UserId::new(MARA), "2026-09".to_owned())).await;
    usage.map_or((0, 0), |usage| (usage.images, usage.gpu_ms))
}

fn result_of(task: TaskId, run: RunId, offsets: &[u64]) -> Value {
    json!({
        "task_id": task, "run_id": run, "offsets": offsets, "size": 1000,
        "times": { "fetch_ms": 1, "execute_ms": 2000, "upload_ms": 3 },
    })
}

fn failure_of(run: RunId, class: Option<FailureClass>, message: &str) -> Value {
    json!({ "task_id": TASK, "run_id": run, "class": class, "message": message })
}

async fn result(world: &World, worker: &Worker, run: RunId, now: Millis) -> RunEnded {
    let body = result_of(task_id(), run, &[0, 500]);
    world.work(worker, "result", &body, now).await.parsed()
}

async fn failure(world: &World, worker: &Worker, run: RunId, class: Option<FailureClass>, now: Millis) -> RunEnded {
    let body = failure_of(run, class, "It did not work.");
    world.work(worker, "failure", &body, now).await.parsed()
}

async fn beat(world: &World, worker: &Worker, body: &Value, now: Millis) -> HeartbeatReply {
    world.work(worker, "heartbeat", body, now).await.parsed()
}

fn busy(run: RunId, seq: u64, value: f64) -> Value {
    json!({ "ready": true, "run": { "run_id": run, "seq": seq, "value": value } })
}

/// The task after its run was lost and another worker claimed it.
async fn lost_and_claimed_again(world: &World) -> (Worker, Worker, Assignment) {
    let (_, first) = world.running(NOW).await;
    let second = world.ready(WORKER_2, "i-2", NOW).await;
    world.tick(NOW + seconds(31)).await;
    assert_eq!(world.task(&task_id()).await.state, TaskState::Queued);
    let again = world.claimed(&second, NOW + seconds(32)).await.unwrap();
    assert_ne!(again.run_id, run_id());
    (first, second, again)
}

// ---------------------------------------------------------------- who may

#[tokio::test]
async fn a_token_is_good_for_its_own_worker_and_generation_only() {
    let world = World::new().await;
    world.running(NOW).await;
    world.ready(WORKER_2, "i-2", NOW).await;
    let before = world.written();
    let bodies = [
        ("claim", json!({})),
        ("heartbeat", busy(run_id(), 1, 0.5)),
        ("result", result_of(task_id(), run_id(), &[0])),
        ("failure", failure_of(run_id(), Some(FailureClass::User), "x")),
        ("urls", json!({ "task_id": TASK, "run_id": RUN })),
    ];
    for (operation, body) in bodies {
        let call = async |caller: Value, worker: &str| -> Answer {
            let route = format!("POST /v1/workers/{{id}}/{operation}");
            world.http(http(&route, worker, Some(&caller), &body), NOW).await
        };
        let mut no_generation = worker_context(WORKER, 1, NOW);
        no_generation.as_object_mut().unwrap().remove("generation");
        for (caller, path, status) in [
            (worker_context(WORKER_2, 1, NOW), WORKER, 403),
            (worker_context(WORKER, 0, NOW), WORKER, 401),
            (worker_context(WORKER, 2, NOW), WORKER, 401),
            (no_generation, WORKER, 401),
            (worker_context("w-unknown", 1, NOW), "w-unknown", 401),
            (worker_context(WORKER, 1, NOW), "..%2f", 404),
        ] {
            let answer = call(caller.clone(), path).await;
            assert_eq!(answer.status, status, "{operation} {path} {caller}");
            answer.error();
        }
    }
    assert_eq!(world.written(), before);
}

#[tokio::test]
async fn malformed_calls_are_refused_in_words() {
    let world = World::new().await;
    let (_, worker) = world.running(NOW).await;
    let before = world.written();
    for operation in ["claim", "heartbeat", "result", "failure", "urls"] {
        for body in ["{", "[7]", "\"x\"", "{\"task_id\":7,\"run_id\":7,\"ready\":7}"] {
            let answer = world.work(&worker, operation, &body.into(), NOW).await;
            assert_eq!(answer.status, 400, "{operation} {body}");
            answer.error();
        }
    }
    let size_1000 = |offsets: &[u64]| result_of(task_id(), run_id(), offsets);
    for offsets in [&[][..], &[5], &[0, 5, 5], &[0, 9, 5], &[0, 1000], &[0, u64::MAX]] {
        let answer = world.work(&worker, "result", &size_1000(offsets), NOW).await;
        assert_eq!(answer.status, 400, "{offsets:?}");
        answer.error();
    }
    assert_eq!(world.written(), before);
}

#[tokio::test]
async fn another_workers_run_cannot_be_ended() {
    let world = World::new().await;
    world.running(NOW).await;
    let other = world.ready(WORKER_2, "i-2", NOW).await;
    let ended = result(&world, &other, run_id(), NOW).await;
    assert!(!ended.accepted && ended.assignment.is_none());
    failure(&world, &other, run_id(), Some(FailureClass::User), NOW).await;
    let task = world.task(&task_id()).await;
    assert_eq!((task.state, task.failures), (TaskState::Running, 0));
    assert_eq!(usage(&world).await, (0, 0));
    // Nor is it shown where to put its pictures, or kept alive.
    let urls = json!({ "task_id": TASK, "run_id": RUN });
    assert_eq!(world.work(&other, "urls", &urls, NOW).await.status, 409);
    assert!(
        beat(&world, &other, &busy(run_id(), 9, 0.9), NOW + seconds(20))
            .await
            .run_lost
    );
    assert_eq!(world.task(&task_id()).await.run, task.run);
}

// ---------------------------------------------------------------- claim

#[tokio::test]
async fn the_earliest_task_is_claimed_with_all_a_run_needs() {
    let world = World::new().await;
    let worker = world.ready(WORKER, INSTANCE, NOW).await;
    let late = world.queued(SECOND, OTHER, NOW).await;
    let early = world.queued(TASK, MARA, NOW - seconds(1)).await;
    let body = InputBlob {
        base64: None,
        key: Some("uploads/mara/x".to_owned()),
        etag: Some("e".to_owned()),
        offsets: vec![0],
        size: 9,
    };
    let mut stored = world.get(&BodyOf(early)).await;
    stored.inputs = Some(body.clone());
    world.put(stored).await;

    let assignment = world.claimed(&worker, NOW).await.unwrap();
    assert_eq!(assignment.task_id, early);
    assert_eq!(assignment.inputs, Some(body));
    assert_eq!(assignment.urls.input.as_deref(), Some("memory:get/uploads/mara/x"));
    assert_eq!(assignment.urls.upload, "", "its size is not known yet");
    assert!(assignment.limit_ms > 0);

    let (task, worker) = (world.task(&early).await, world.worker(WORKER).await);
    let run = task.run.unwrap();
    assert_eq!(
        (run.worker_id, run.lease_until),
        (worker_id(), NOW + world.settings.lease)
    );
    assert!(run.deadline > NOW + world.settings.run_floor);
    assert_eq!(worker.state, WorkerState::Busy);
    assert_eq!(world.task(&late).await.state, TaskState::Queued);
}

#[tokio::test]
async fn a_hint_finds_its_task_although_the_index_lags() {
    let mut without = 0;
    for seed in 0..40 {
        let lagging = async || {
            let world = World::lagging(seed).await;
            let worker = world.ready(WORKER, INSTANCE, NOW).await;
            (world, worker)
        };
        let (world, worker) = lagging().await;
        let id = world.submitted(NOW).await;
        let claimed: Value = world.work(&worker, "claim", &json!({ "task_id": id }), NOW).await.ok();
        assert_eq!(claimed["assignment"]["task_id"], id.to_string(), "seed {seed}");

        let (world, worker) = lagging().await;
        world.submitted(NOW).await;
        without += u32::from(world.claimed(&worker, NOW).await.is_none());
    }
    assert!(without > 0, "the index never lagged: this test tests nothing");
}

#[tokio::test]
async fn a_hint_that_leads_nowhere_falls_back_to_the_backlog() {
    let world = World::new().await;
    world.running(NOW).await;
    let worker = world.ready(WORKER_2, "i-2", NOW).await;
    let waiting = world.queued(SECOND, MARA, NOW).await;
    let elsewhere = world
        .queued("01a05cd7-2a00-7000-8000-0000000000a3", MARA, NOW - minutes(1))
        .await;
    world
        .alter_task(&elsewhere, |task| {
            task.pool = model::PoolId::new("elsewhere");
            task.backlog = Some(task.pool.clone());
        })
        .await;
    let expired = world
        .queued("01a05cd7-2a00-7000-8000-0000000000a4", MARA, NOW - minutes(61))
        .await;
    for hint in [
        task_id(),
        elsewhere,
        expired,
        "01a05cd7-2a00-7000-8000-0000000000ff".parse().unwrap(),
    ] {
        let claimed: Value = world
            .work(&worker, "claim", &json!({ "task_id": hint }), NOW)
            .await
            .ok();
        assert_eq!(claimed["assignment"]["task_id"], waiting.to_string(), "{hint}");
        // Once more for the next hint.
        world.queued(SECOND, MARA, NOW).await;
        world
            .alter_worker(WORKER_2, |worker| {
                worker.run = None;
                worker.state = WorkerState::Ready;
            })
            .await;
    }
}

#[tokio::test]
async fn a_claim_whose_answer_was_lost_gets_the_same_run_again() {
    let world = World::new().await;
    let worker = world.ready(WORKER, INSTANCE, NOW).await;
    world.queued(TASK, MARA, NOW).await;
    world.queued(SECOND, MARA, NOW).await;
    let first = world.claimed(&worker, NOW).await.unwrap();
    let before = world.written();
    let again = world.claimed(&worker, NOW + seconds(10)).await.unwrap();
    assert_eq!((again.task_id, again.run_id), (first.task_id, first.run_id));
    assert_eq!(again.limit_ms + 10_000, first.limit_ms, "a deadline is never renewed");
    assert_eq!(world.written(), before);
    // A heartbeat that names no run says that there is work, too.
    assert!(
        beat(&world, &worker, &json!({ "ready": true }), NOW + seconds(11))
            .await
            .work
    );
}

#[tokio::test]
async fn claims_at_once_share_nothing() {
    for seed in 0..40 {
        let world = World::unkind(seed).await;
        let (a, b) = (
            world.ready(WORKER, INSTANCE, NOW).await,
            world.ready(WORKER_2, "i-2", NOW).await,
        );
        let id = world.queued(TASK, MARA, NOW).await;
        world.port.dawdle(seed);
        let hint = json!({ "task_id": id });
        // The first worker asks twice at once.
        let (one, two, three) = tokio::join!(
            world.work(&a, "claim", &hint, NOW),
            world.work(&b, "claim", &hint, NOW),
            world.work(&a, "claim", &hint, NOW)
        );
        let run = |answer: Answer| answer.ok()["assignment"]["run_id"].as_str().map(str::to_owned);
        let (one, two, three) = (run(one), run(two), run(three));
        let mine: Vec<_> = [one, three].into_iter().flatten().collect();
        assert!(
            mine.is_empty() || two.is_none(),
            "seed {seed}: two workers have one task"
        );
        assert!(
            mine.windows(2).all(|pair| pair[0] == pair[1]),
            "seed {seed}: two runs of one task"
        );
        assert_eq!(world.task(&id).await.state, TaskState::Running, "seed {seed}");
    }
}

#[tokio::test]
async fn only_a_ready_worker_claims() {
    let world = World::new().await;
    world.queued(TASK, MARA, NOW).await;
    world.ready(WORKER, INSTANCE, NOW).await;
    for state in WorkerState::ALL {
        if matches!(state, WorkerState::Ready | WorkerState::Busy) {
            continue;
        }
        let worker = world.alter_worker(WORKER, |worker| worker.state = state).await;
        for hint in [json!({}), json!({ "task_id": TASK })] {
            let answer = world.work(&worker, "claim", &hint, NOW).await;
            if state.is_up() {
                assert!(answer.ok()["assignment"].is_null(), "{state:?}");
            } else {
                assert_eq!(answer.status, 401, "{state:?}");
            }
        }
    }
    assert_eq!(world.task(&task_id()).await.state, TaskState::Queued);
}

#[tokio::test]
async fn a_task_whose_plan_is_lost_fails_in_words_and_the_next_is_claimed() {
    let world = World::new().await;
    let worker = world.ready(WORKER, INSTANCE, NOW).await;
    let lost = world.queued(TASK, MARA, NOW - seconds(1)).await;
    let mut body = world.get(&BodyOf(lost)).await;
    body.plan = None;
    world.put(body).await;
    let next = world.queued(SECOND, MARA, NOW).await;
    let assignment = world.claimed(&worker, NOW).await.unwrap();
    assert_eq!(assignment.task_id, next);
    let task = world.task(&lost).await;
    assert_eq!(task.state, TaskState::Failed);
    assert!(task.error.unwrap().message.contains("send it again"));
}

// ---------------------------------------------------------------- heartbeat

#[tokio::test]
async fn a_heartbeat_holds_the_lease_and_carries_progress() {
    let world = World::new().await;
    let (task, worker) = world.running(NOW).await;
    world.painter_socket().await;
    let reply = beat(&world, &worker, &busy(run_id(), 4, 0.5), NOW + seconds(20)).await;
    assert_eq!(reply, HeartbeatReply::default());
    let run = world.task(&task_id()).await.run.unwrap();
    assert_eq!(
        (run.lease_until, run.deadline, run.seq, run.progress),
        (NOW + seconds(50), task.run.unwrap().deadline, 4, 0.5)
    );
    assert_eq!(world.sent()[0].1["progress"], 0.5);
    // Doubled, and an older one late: the lease is held, the progress stays.
    for seq in [4, 3] {
        beat(&world, &worker, &busy(run_id(), seq, 0.1), NOW + seconds(21)).await;
    }
    let run = world.task(&task_id()).await.run.unwrap();
    assert_eq!((run.seq, run.progress, run.lease_until), (4, 0.5, NOW + seconds(51)));
    assert!(world.sent().is_empty());
    let worker = world.worker(WORKER).await;
    assert_eq!(worker.last_seen, NOW + seconds(21));
}

#[tokio::test]
async fn a_heartbeat_of_a_lost_run_says_so_and_leaves_the_new_one_alone() {
    let world = World::new().await;
    let (first, second, again) = lost_and_claimed_again(&world).await;
    let before = world.task(&task_id()).await;
    let reply = beat(&world, &first, &busy(run_id(), 9, 0.9), NOW + seconds(40)).await;
    assert!(reply.run_lost && !reply.cancel && !reply.work);
    assert_eq!(world.task(&task_id()).await, before);
    // The second worker is fine, unless it speaks of the old run.
    assert!(
        !beat(&world, &second, &busy(again.run_id, 1, 0.1), NOW + seconds(41))
            .await
            .run_lost
    );
    assert!(
        beat(&world, &second, &busy(run_id(), 1, 0.1), NOW + seconds(42))
            .await
            .run_lost
    );
}

#[tokio::test]
async fn a_heartbeat_says_that_the_run_is_canceled_as_often_as_it_takes() {
    let world = World::new().await;
    let (_, worker) = world.running(NOW).await;
    world
        .alter_task(&task_id(), |task| {
            task.cancel(CancelCause::User, NOW);
        })
        .await;
    for second in [1, 6] {
        let reply = beat(&world, &worker, &busy(run_id(), second, 0.5), NOW + seconds(second)).await;
        assert!(reply.cancel && !reply.run_lost);
    }
}

#[tokio::test]
async fn a_heartbeat_says_that_there_is_work_to_a_ready_worker() {
    let world = World::new().await;
    let worker = world.ready(WORKER, INSTANCE, NOW).await;
    let ready = json!({ "ready": true });
    assert!(!beat(&world, &worker, &ready, NOW).await.work);
    world.queued(TASK, MARA, NOW).await;
    assert!(beat(&world, &worker, &ready, NOW).await.work);
    let worker = world
        .alter_worker(WORKER, |worker| worker.state = WorkerState::Draining)
        .await;
    let reply = beat(&world, &worker, &ready, NOW).await;
    assert!(reply.drain && !reply.work);
}

#[tokio::test]
async fn a_worker_is_ready_when_it_says_so_and_only_after_warming() {
    let world = World::new().await;
    world.ready(WORKER, INSTANCE, NOW).await;
    let state = async |from: WorkerState, ready: bool| {
        let worker = world
            .alter_worker(WORKER, |worker| {
                worker.state = from;
                worker.failures = 1;
            })
            .await;
        let gpu = GpuUse {
            percent: Some(7),
            vram_used_mib: Some(1),
            vram_total_mib: Some(2),
        };
        let body = json!({ "ready": ready, "gpu": gpu, "models": ["a", "b"] });
        beat(&world, &worker, &body, NOW + seconds(1)).await;
        let worker = world.worker(WORKER).await;
        assert_eq!((worker.gpu, worker.models.len()), (Some(gpu), 2));
        worker
    };
    assert_eq!(state(WorkerState::Warming, false).await.state, WorkerState::Warming);
    let worker = state(WorkerState::Warming, true).await;
    assert_eq!(
        (worker.state, worker.idle_since, worker.failures),
        (WorkerState::Ready, Some(NOW), 0),
        "it was idle before, whatever ComfyUI did in between"
    );
    for from in [WorkerState::Draining, WorkerState::Stopping, WorkerState::Failed] {
        assert_eq!(state(from, true).await.state, from);
    }
}

#[tokio::test]
async fn what_an_old_process_says_late_is_not_taken_for_the_new_ones() {
    for operation in ["heartbeat", "claim"] {
        let world = World::new().await;
        let old = world.ready(WORKER, INSTANCE, NOW).await;
        world.queued(TASK, MARA, NOW).await;
        let cloud = world.memory.cloud();
        world.port.before_commit(
            |writes| writes.iter().any(|write| write.key.partition == WORKER),
            async move || {
                // A new process registers between the look and the write.
                let mut worker: Worker = cloud.store.get(&worker_id()).await.unwrap().unwrap();
                worker.become_state(WorkerState::Warming, NOW).unwrap();
                worker.generation += 1;
                let write = cloud::Write::put(&mut worker).unwrap();
                cloud.store.commit([write]).await.unwrap();
            },
        );
        let answer = world.work(&old, operation, &json!({ "ready": true }), NOW).await;
        assert!(world.port.hook_is_spent());
        assert!(
            answer.status == 401 || answer.body["assignment"].is_null(),
            "{answer:?}"
        );
        let worker = world.worker(WORKER).await;
        assert_eq!(
            (worker.state, worker.run, worker.generation),
            (WorkerState::Warming, None, 2)
        );
    }
}

#[tokio::test]
async fn a_token_past_its_half_is_renewed() {
    let world = World::new().await;
    let worker = world.ready(WORKER, INSTANCE, NOW).await;
    let token = async |issued: Millis, now: Millis| {
        let caller = worker_context(WORKER, worker.generation, issued);
        let event = http(
            "POST /v1/workers/{id}/heartbeat",
            WORKER,
            Some(&caller),
            &json!({ "ready": true }),
        );
        world.http(event, now).await.parsed::<HeartbeatReply>().token
    };
    assert_eq!(token(NOW, NOW + minutes(29)).await, None);
    let now = NOW + minutes(30);
    let renewed = claims(&token(NOW, now).await.unwrap());
    assert_eq!(
        (
            &renewed["sub"],
            &renewed["generation"],
            &renewed["iat"],
            &renewed["exp"]
        ),
        (
            &json!(WORKER),
            &json!(1),
            &json!(now.seconds()),
            &json!((now + minutes(60)).seconds())
        )
    );
}

// ---------------------------------------------------------------- result

#[tokio::test]
async fn a_result_counts_once_however_often_it_is_said() {
    let world = World::new().await;
    let (_, worker) = world.running(NOW).await;
    let socket = world.painter_socket().await;
    let done = NOW + seconds(7);
    let first = result(&world, &worker, run_id(), done).await;
    assert!(first.accepted && first.assignment.is_none());
    let task = world.task(&task_id()).await;
    assert_eq!(task.state, TaskState::Succeeded);
    assert_eq!(task.result.as_ref().unwrap().key, format!("results/{TASK}/{RUN}"));
    assert_eq!(task.times.unwrap().execute, 2000);
    assert_eq!(usage(&world).await, (2, 7000));
    let told = world.sent();
    assert_eq!(
        (told[0].0.as_str(), &told[0].1["state"]),
        (socket.as_str(), &json!("succeeded"))
    );
    // The address comes along, so that no call stands between.
    let url = told[0].1["result"]["url"].as_str().unwrap();
    assert!(url.contains(&format!("results/{TASK}/{RUN}")), "{url}");

    for again in [done, done + minutes(20)] {
        assert!(result(&world, &worker, run_id(), again).await.accepted);
    }
    assert_eq!(usage(&world).await, (2, 7000));
    assert_eq!(world.task(&task_id()).await, task);
    assert!(world.sent().is_empty());
    let worker = world.worker(WORKER).await;
    assert_eq!((worker.state, worker.run), (WorkerState::Ready, None));
}

#[tokio::test]
async fn results_at_once_count_once() {
    for seed in 0..40 {
        let world = World::unkind(seed).await;
        let (_, worker) = world.running(NOW).await;
        world.port.dawdle(seed);
        let (a, b) = tokio::join!(
            result(&world, &worker, run_id(), NOW + seconds(5)),
            result(&world, &worker, run_id(), NOW + seconds(5))
        );
        assert!(a.accepted && b.accepted, "seed {seed}");
        assert_eq!(usage(&world).await, (2, 5000), "seed {seed}");
    }
}

#[tokio::test]
async fn a_result_brings_the_next_run() {
    let world = World::new().await;
    let (_, worker) = world.running(NOW).await;
    let next = world.queued(SECOND, OTHER, NOW).await;
    let ended = result(&world, &worker, run_id(), NOW).await;
    assert_eq!(ended.assignment.unwrap().task_id, next);
    // Said again, it brings the same run again.
    let again = result(&world, &worker, run_id(), NOW).await;
    assert!(again.accepted);
    assert_eq!(again.assignment.unwrap().task_id, next);
}

#[tokio::test]
async fn a_late_result_of_a_lost_run_changes_nothing() {
    let world = World::new().await;
    let (first, second, again) = lost_and_claimed_again(&world).await;
    let late = result(&world, &first, run_id(), NOW + seconds(40)).await;
    assert!(!late.accepted);
    assert_eq!(world.task(&task_id()).await.run.unwrap().run_id, again.run_id);
    assert_eq!(usage(&world).await, (0, 0));

    assert!(result(&world, &second, again.run_id, NOW + seconds(42)).await.accepted);
    let stored = world.task(&task_id()).await;
    // And once more, when the other run has delivered.
    assert!(!result(&world, &first, run_id(), NOW + seconds(50)).await.accepted);
    assert_eq!(world.task(&task_id()).await, stored);
    assert_eq!(stored.result.unwrap().key, format!("results/{TASK}/{}", again.run_id));
    assert_eq!(usage(&world).await, (2, 10_000));
}

#[tokio::test]
async fn a_late_result_that_nobody_replaced_counts() {
    let world = World::new().await;
    let (_, worker) = world.running(NOW).await;
    // Long past the lease, but no tick came by.
    assert!(result(&world, &worker, run_id(), NOW + minutes(3)).await.accepted);
    assert_eq!(world.task(&task_id()).await.state, TaskState::Succeeded);
}

#[tokio::test]
async fn a_result_of_a_lost_run_that_still_waits_changes_nothing() {
    let world = World::new().await;
    world.alter_pool(|pool| pool.max_workers = 1).await;
    let (_, worker) = world.running(NOW).await;
    world.tick(NOW + seconds(31)).await;
    let ended = result(&world, &worker, run_id(), NOW + seconds(40)).await;
    assert!(!ended.accepted);
    assert_eq!(usage(&world).await, (0, 0));
    // The worker that is back gets the task again, as a new run.
    let assignment = ended.assignment.unwrap();
    assert_eq!(assignment.task_id, task_id());
    assert_ne!(assignment.run_id, run_id());
}

#[tokio::test]
async fn a_result_of_a_canceled_run_is_refused_and_costs_nothing() {
    for (cause, state) in [
        (CancelCause::User, TaskState::Canceled),
        (CancelCause::Expired, TaskState::Expired),
    ] {
        let world = World::new().await;
        let (_, worker) = world.running(NOW).await;
        world
            .alter_task(&task_id(), |task| {
                task.cancel(cause, NOW);
            })
            .await;
        for _ in 0..2 {
            assert!(!result(&world, &worker, run_id(), NOW + seconds(5)).await.accepted);
            assert_eq!(world.task(&task_id()).await.state, state);
        }
        assert_eq!(world.task(&task_id()).await.result, None);
        assert_eq!(usage(&world).await, (0, 0));
        assert_eq!(world.worker(WORKER).await.run, None);
    }
}

#[tokio::test]
async fn a_result_against_a_cancel_has_one_winner() {
    for seed in 0..40 {
        let world = World::unkind(seed).await;
        let (_, worker) = world.running(NOW).await;
        world.port.dawdle(seed);
        let cancel = async {
            let answer = world
                .paint(MARA, "POST /v1/cancel/{worker}/{id}", TASK, &json!({}), NOW)
                .await;
            answer.ok()["status"].clone()
        };
        let (ended, _) = tokio::join!(result(&world, &worker, run_id(), NOW), cancel);
        let task = world.task(&task_id()).await;
        let wanted = if ended.accepted {
            TaskState::Succeeded
        } else {
            TaskState::Canceled
        };
        assert_eq!(task.state, wanted, "seed {seed}");
        assert_eq!(usage(&world).await.0, if ended.accepted { 2 } else { 0 }, "seed {seed}");
    }
}

#[tokio::test]
async fn a_result_of_an_unknown_task_is_not_accepted() {
    let world = World::new().await;
    let worker = world.ready(WORKER, INSTANCE, NOW).await;
    assert!(!result(&world, &worker, run_id(), NOW).await.accepted);
}

// ---------------------------------------------------------------- failure

async fn run_again(world: &World, worker: &Worker, now: Millis) -> RunId {
    world.claimed(worker, now).await.unwrap().run_id
}

#[tokio::test]
async fn the_users_fault_fails_at_once_and_costs_nothing() {
    let world = World::new().await;
    let (_, worker) = world.running(NOW).await;
    failure(&world, &worker, run_id(), Some(FailureClass::User), NOW).await;
    let task = world.task(&task_id()).await;
    assert_eq!((task.state, task.failures), (TaskState::Failed, 0));
    assert_eq!(task.error.unwrap().message, "It did not work.");
    assert_eq!(usage(&world).await, (0, 0));
    assert!(world.take_queued().is_empty());
    assert_eq!(world.worker(WORKER).await.state, WorkerState::Ready);
}

#[tokio::test]
async fn infrastructure_failures_requeue_at_the_old_place_and_the_third_fails() {
    let world = World::new().await;
    world.alter_pool(|pool| pool.max_workers = 1).await;
    let (before, worker) = world.running(NOW).await;
    let mut run = run_id();
    for failures in 1..=Task::MAX_FAILURES {
        let ended = failure(&world, &worker, run, Some(FailureClass::Infrastructure), NOW).await;
        let task = world.task(&task_id()).await;
        assert_eq!((task.failures, task.start_tag), (failures, before.start_tag));
        if failures == Task::MAX_FAILURES {
            assert_eq!(task.state, TaskState::Failed);
            assert!(ended.assignment.is_none());
            assert!(world.take_queued().is_empty());
            return;
        }
        // There is no other machine and can be none, so the same one has it again, as its next run.
        run = ended.assignment.unwrap().run_id;
        assert_eq!(world.take_queued().len(), 1, "somebody else may, too");
    }
}

#[tokio::test]
async fn capacity_failures_are_never_counted() {
    let world = World::new().await;
    let (_, worker) = world.running(NOW).await;
    let mut run = run_id();
    for _ in 0..10 {
        let ended = failure(&world, &worker, run, Some(FailureClass::Capacity), NOW).await;
        assert!(ended.assignment.is_none(), "who gives a run back is about to stop");
        let after = world.worker(WORKER).await;
        assert_eq!((after.state, after.silent_since), (WorkerState::Draining, Some(NOW)));
        world
            .alter_worker(WORKER, |worker| worker.state = WorkerState::Ready)
            .await;
        run = run_again(&world, &worker, NOW).await;
    }
    assert_eq!(world.task(&task_id()).await.failures, 0);
}

/// Its process is about to end: neither the tick nor the reaper takes it back, although somebody waits.
#[tokio::test]
async fn who_gives_a_run_back_is_not_counted_on_until_it_is_heard_of_again() {
    let world = World::new().await;
    let (_, worker) = world.running(NOW).await;
    failure(&world, &worker, run_id(), Some(FailureClass::Capacity), NOW).await;
    world.tick(NOW + seconds(1)).await;
    world.reap(NOW + seconds(1)).await;
    assert_eq!(world.worker(WORKER).await.state, WorkerState::Draining);
    assert_eq!(world.instances.all().len(), 2, "another one is launched for who waits");
    // It lives on, as a machine does that was only restarted by hand.
    let reply = beat(&world, &worker, &json!({ "ready": true }), NOW + seconds(5)).await;
    assert!(reply.drain);
    world.reap(NOW + seconds(6)).await;
    assert_eq!(world.worker(WORKER).await.state, WorkerState::Ready);
}

/// A run that was lost in any way is not offered to the same machine while another may be had; a pool of one machine goes on.
#[tokio::test]
async fn a_run_that_was_lost_goes_to_another_machine_if_there_can_be_one() {
    for (most, taken) in [(1, true), (2, false)] {
        let world = World::new().await;
        world.alter_pool(|pool| pool.max_workers = most).await;
        world.running(NOW).await;
        world.tick(NOW + seconds(31)).await;
        assert_eq!(
            world.task(&task_id()).await.failed_on,
            Some(worker_id()),
            "it fell silent"
        );
        world
            .alter_worker(WORKER, |worker| worker.heard(NOW + seconds(40)))
            .await;
        let worker = world.worker(WORKER).await;
        assert_eq!(
            world.claimed(&worker, NOW + seconds(41)).await.is_some(),
            taken,
            "of {most}"
        );
    }
}

#[tokio::test]
async fn a_failure_said_twice_or_late_counts_once() {
    let world = World::new().await;
    let (_, worker) = world.running(NOW).await;
    // Nothing may be claimed in between, or the repetition would be about a run that is over anyway.
    world
        .alter_worker(WORKER, |worker| worker.state = WorkerState::Draining)
        .await;
    let class = Some(FailureClass::Infrastructure);
    failure(&world, &worker, run_id(), class, NOW).await;
    failure(&world, &worker, run_id(), class, NOW).await;
    assert_eq!(world.task(&task_id()).await.failures, 1);
    assert_eq!(world.take_queued().len(), 1);

    let second = world.ready(WORKER_2, "i-2", NOW).await;
    let run = run_again(&world, &second, NOW).await;
    failure(&world, &worker, run_id(), Some(FailureClass::User), NOW + seconds(9)).await;
    let task = world.task(&task_id()).await;
    assert_eq!((task.state, task.failures), (TaskState::Running, 1));
    assert_eq!(task.run.unwrap().run_id, run);
}

#[tokio::test]
async fn an_interrupted_run_ends_a_canceled_task() {
    for class in [None, Some(FailureClass::Infrastructure), Some(FailureClass::User)] {
        let world = World::new().await;
        let (_, worker) = world.running(NOW).await;
        world
            .alter_task(&task_id(), |task| {
                task.cancel(CancelCause::User, NOW);
            })
            .await;
        failure(&world, &worker, run_id(), class, NOW).await;
        let task = world.task(&task_id()).await;
        assert_eq!((task.state, task.failures), (TaskState::Canceled, 0), "{class:?}");
        assert!(world.take_queued().is_empty());
    }
    // Interrupted although nobody asked: it starts again.
    let world = World::new().await;
    let (_, worker) = world.running(NOW).await;
    failure(&world, &worker, run_id(), None, NOW).await;
    assert_eq!(world.task(&task_id()).await.failures, 1);
}

#[tokio::test]
async fn a_long_message_is_cut() {
    let world = World::new().await;
    let (_, worker) = world.running(NOW).await;
    let body = failure_of(run_id(), Some(FailureClass::User), &"ß".repeat(10_000));
    world.work(&worker, "failure", &body, NOW).await.ok();
    let message = world.task(&task_id()).await.error.unwrap().message;
    assert!(message.len() <= 300 && message.ends_with('…'), "{}", message.len());
}

#[tokio::test]
async fn a_requeued_task_waits_even_if_the_queue_is_broken() {
    let world = World::new().await;
    let (_, worker) = world.running(NOW).await;
    world
        .alter_worker(WORKER, |worker| worker.state = WorkerState::Draining)
        .await;
    world.memory.break_queue();
    failure(&world, &worker, run_id(), Some(FailureClass::Infrastructure), NOW).await;
    assert_eq!(world.task(&task_id()).await.state, TaskState::Queued);
}

// ---------------------------------------------------------------- urls

#[tokio::test]
async fn fresh_urls_are_for_the_run_that_is_held() {
    let world = World::new().await;
    let (first, second, again) = lost_and_claimed_again(&world).await;
    let ask = async |worker: &Worker, run: RunId| {
        let body = json!({ "task_id": TASK, "run_id": run, "size": 9 });
        world.work(worker, "urls", &body, NOW + seconds(40)).await
    };
    let fresh = ask(&second, again.run_id).await.ok();
    assert_eq!(
        fresh["upload"],
        format!("memory:put/results/{TASK}/{}?size=9", again.run_id)
    );
    // The lost run's result must not get a place again.
    for (worker, run) in [(&first, run_id()), (&first, again.run_id), (&second, run_id())] {
        let answer = ask(worker, run).await;
        assert_eq!(answer.status, 409);
        answer.error();
    }
}

#[tokio::test]
async fn a_results_address_is_signed_for_its_size() {
    let world = World::new().await;
    world.running(NOW).await;
    let worker = world.alter_worker(WORKER, |it| it.protocol = Some(PROTOCOL)).await;
    let ask = async |size: Option<u64>| {
        let body = json!({ "task_id": TASK, "run_id": run_id(), "size": size });
        world.work(&worker, "urls", &body, NOW + seconds(4)).await
    };
    let most = world.settings.max_result;
    let upload = format!("memory:put/results/{TASK}/{}?size={most}", run_id());
    assert_eq!(ask(Some(most)).await.ok()["upload"], upload);
    assert_eq!(ask(None).await.ok()["upload"], "", "none that takes any size");
    let refused = ask(Some(most + 1)).await;
    assert_eq!(refused.status, 400);
    refused.error();
}

#[tokio::test]
async fn what_a_machine_says_that_it_has_is_bounded() {
    let world = World::new().await;
    let (_, worker) = world.running(NOW).await;
    let long = "m".repeat(256);
    let main: Vec<_> = (0..20).map(|number| format!("{number}.safetensors")).collect();
    let main = [vec![long.clone()], main].concat();
    let beat = json!({ "ready": true, "main_models": main, "models": [long] });
    world.work(&worker, "heartbeat", &beat, NOW + seconds(5)).await.ok();
    assert_eq!(world.worker(WORKER).await.models, main[1..9]);
}

// ---------------------------------------------------------------- the double itself

#[tokio::test]
async fn the_unkind_memory_is_unkind() {
    let memory = Memory::new(Unkind::seeded(7));
    let cloud = memory.cloud();
    let mut conflicts = 0;
    let mut behind = 0;
    for number in 0..100 {
        let mut worker = Worker::launching(WorkerId::new(format!("w-{number}")), model::PoolId::new("default"), NOW);
        let write = cloud::Write::put(&mut worker).unwrap();
        conflicts += u32::from(cloud.store.commit([write]).await.is_err());
        let pool = model::PoolId::new("default");
        let seen = cloud.store.list(cloud::tables::WorkersOf(&pool)).await.unwrap().len();
        behind += u32::from(seen < memory.items().len());
    }
    assert!((5..50).contains(&conflicts) && behind > 20, "{conflicts} {behind}");
}

#[tokio::test]
async fn what_starts_and_runs_take_is_learned() {
    let world = World::new().await;
    let (task, worker) = world.running(NOW).await;
    let pace = PaceOf(worker.pool.clone());
    let done = result_of(task.task_id, run_id(), &[0]);
    // Said twice, learned once.
    for later in [12, 13] {
        world.work(&worker, "result", &done, NOW + seconds(later)).await.ok();
    }
    let run = world.get(&pace).await.estimates.run;
    assert_eq!(run.samples, 1);
    assert!((run.mean - 12_000.0).abs() < 1e-6, "{run:?}");

    let came = NOW + seconds(20);
    world
        .alter_worker(WORKER, |worker| {
            worker.state = WorkerState::Warming;
            worker.up_since = came - seconds(90);
        })
        .await;
    let hot = json!({ "ready": true, "gpu": { "percent": 99, "vram_used_mib": 1, "vram_total_mib": 2 } });
    for later in [0, 15] {
        world.work(&worker, "heartbeat", &hot, came + seconds(later)).await.ok();
    }
    let start = world.get(&pace).await.estimates.start;
    assert_eq!(start.samples, 1);
    assert!((start.mean - 90_000.0).abs() < 1e-6, "{start:?}");
    assert_eq!(world.worker(WORKER).await.hot_since, Some(came));
}

#[tokio::test]
async fn thumbnails_are_signed_for_their_sizes_and_shown_with_their_task() {
    let world = World::new().await;
    let (task, worker) = world.running(NOW).await;
    let (task_id, run_id) = (task.task_id, run_id());
    let ask = async |sizes: Value| {
        let body = json!({ "run_id": run_id, "task_id": task_id, "thumbnails": sizes });
        world.work(&worker, "urls", &body, NOW).await
    };
    let urls = ask(json!([4000, 5000])).await.ok();
    let key = |place| format!("thumbs/{task_id}/{run_id}/{place}.webp");
    assert_eq!(
        urls["thumbnails"],
        json!([
            format!("memory:put/{}?size=4000", key(0)),
            format!("memory:put/{}?size=5000", key(1))
        ])
    );
    assert_eq!(urls["upload"], "", "{urls}");
    for sizes in [json!([0]), json!([1, 20_001]), json!(vec![1; 17])] {
        assert_eq!(ask(sizes).await.status, 400);
    }
    let report = |thumbnails: Value| {
        json!({
            "run_id": run_id, "task_id": task_id, "offsets": [0, 10], "size": 20,
            "times": { "fetch_ms": 1, "execute_ms": 2, "upload_ms": 3 }, "thumbnails": thumbnails,
        })
    };
    for thumbnails in [json!([1]), json!([1, 2, 3]), json!([1, 0]), json!([1, 20_001])] {
        let answer = world.work(&worker, "result", &report(thumbnails), NOW).await;
        assert_eq!(answer.error(), "The thumbnails do not fit the pictures.");
    }
    assert_eq!(world.task(&task_id).await.state, TaskState::Running);
    world.painter_socket().await;
    world
        .work(&worker, "result", &report(json!([4000, 5000])), NOW)
        .await
        .ok();
    // A message of the socket may be too small for them.
    assert!(
        world
            .sent()
            .iter()
            .all(|(_, said)| !said.to_string().contains("thumbs/"))
    );
    let wanted = json!([format!("memory:get/{}", key(0)), format!("memory:get/{}", key(1))]);
    let id = task_id.to_string();
    let shown = world.paint(MARA, "GET /v1/tasks/{id}", &id, &Value::Null, NOW);
    assert_eq!(shown.await.ok()["result"]["thumbnails"], wanted);
    let listed = world.paint(MARA, "GET /v1/tasks", "", &Value::Null, NOW).await.ok();
    assert_eq!(listed["tasks"][0]["result"]["thumbnails"], wanted);
}

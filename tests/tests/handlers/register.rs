//! `claim`'s way in: how a worker's process proves which instance it is.

use cloud::tables::BodyOf;
use model::{
    CancelCause, ConnectionId, FailureClass, GpuUse, Millis, TaskBody, TaskState, WorkerState,
    worker_api::{ModelFile, PROTOCOL, Registered},
};
use policy::watch::InstanceState;
use serde_json::{Value, json};

use crate::support::{
    Answer, INSTANCE, MARA, NOW, POOL, TASK, WORKER, WORKER_2, World, claims, golden, http, instance_id, minutes,
    run_id, seconds, task_id,
};

const REGISTER: &str = "POST /v1/workers/register";

/// The golden registration with some headers of its proof changed; null removes one.
pub(crate) fn registration(changes: &[(&str, Value)]) -> Value {
    let body = golden("claim", "register")["body"].as_str().unwrap().to_owned();
    let mut body: Value = serde_json::from_str(&body).unwrap();
    let proof = body["proof"].as_object_mut().unwrap();
    for (name, value) in changes {
        if value.is_null() {
            proof.remove(*name);
        } else {
            proof.insert((*name).to_owned(), value.clone());
        }
    }
    body
}

async fn register(world: &World, body: &Value, now: Millis) -> Answer {
    world.http(http(REGISTER, "", None, body), now).await
}

fn dated(date: &str) -> Value {
    registration(&[("x-amz-date", date.into())])
}

/// A worker whose instance has booted.
async fn booted() -> World {
    let world = World::new().await;
    world.ready(WORKER, INSTANCE, NOW).await;
    world
        .alter_worker(WORKER, |worker| {
            worker.state = WorkerState::Booting;
            worker.generation = 0;
            worker.idle_since = None;
        })
        .await;
    world
}

/// The worker may not change.
async fn refused(world: &World, body: &Value, status: i64) -> String {
    let before = world.worker(WORKER).await;
    let answer = register(world, body, NOW).await;
    assert_eq!(answer.status, status, "{answer:?} to {body}");
    assert_eq!(world.worker(WORKER).await, before);
    answer.error().to_owned()
}

#[tokio::test]
async fn a_proof_gives_a_token_of_a_new_generation() {
    let world = booted().await;
    let registered: Registered = register(&world, &registration(&[]), NOW).await.parsed();
    assert_eq!(registered.pool.as_str(), "default");
    assert!(
        registered
            .warm_up
            .unwrap()
            .to_string()
            .contains("dreamshaper_8.safetensors")
    );
    assert_eq!(
        (registered.heartbeat_busy_ms, registered.heartbeat_ready_ms),
        (5000, 15_000)
    );
    let said = claims(&registered.token);
    assert_eq!(
        (
            &said["sub"],
            &said["role"],
            &said["generation"],
            &said["pool"],
            &said["aud"]
        ),
        (
            &json!(WORKER),
            &json!("worker"),
            &json!(1),
            &json!("default"),
            &json!("atelier")
        )
    );
    let worker = world.worker(WORKER).await;
    assert_eq!((worker.state, worker.generation), (WorkerState::Warming, 1));
    assert_eq!(worker.image.as_deref(), Some("ami-0fedcba9876543210"));
    assert_eq!(worker.release.as_deref(), Some("0.1.0"));
}

#[tokio::test]
async fn one_address_registers_only_so_fast_and_stops_no_other() {
    let world = booted().await;
    // Signed as it should be, by an instance that is no worker of ours: what a stranger with a machine of their own has.
    let body = registration(&[("x-atelier-worker", json!(WORKER_2))]);
    let from = |address: &str| {
        let mut event = http(REGISTER, "", None, &body);
        event["requestContext"]["http"]["sourceIp"] = address.into();
        event
    };
    let mut refused = 0;
    for _ in 0..120 {
        let answer = world.http(from("192.0.2.1"), NOW).await;
        refused += u32::from(answer.status == 429);
    }
    assert_eq!(refused, 20, "a hundred machines may begin a morning at once");
    assert_ne!(world.http(from("192.0.2.1"), NOW + seconds(2)).await.status, 429);
    assert_ne!(world.http(from("192.0.2.2"), NOW).await.status, 429);
    register(&world, &registration(&[]), NOW).await.ok();
}

#[tokio::test]
async fn how_a_machine_came_up_is_told_once_for_each_start() {
    let world = booted().await;
    register(&world, &registration(&[]), NOW).await.ok();
    let worker = world.worker(WORKER).await;
    let ready = async |warm_up: u64, ready: bool, now: Millis| {
        let boot = json!({ "kernel_ms": 3000, "warm_up_ms": warm_up, "of_tomorrow": "x" });
        let beat = json!({ "ready": ready, "boot": boot });
        world.work(&worker, "heartbeat", &beat, now).await.ok();
        let told = world.worker(WORKER).await.boot;
        told.map(|boot| (boot.total, boot.times.kernel, boot.times.warm_up, boot.times.driver))
    };
    assert_eq!(ready(1, false, NOW + seconds(20)).await, None, "it is not up yet");
    // However long the machine says it took, and whatever a later process says.
    let first = Some((60_000, Some(3000), Some(3_600_000), None));
    assert_eq!(ready(u64::MAX, true, NOW + seconds(60)).await, first);
    assert_eq!(ready(5, true, NOW + seconds(75)).await, first);
    let again = NOW + minutes(30);
    world
        .alter_worker(WORKER, |worker| {
            (worker.up_since, worker.state) = (again, WorkerState::Warming);
        })
        .await;
    let second = Some((40_000, Some(3000), Some(6), None));
    assert_eq!(ready(6, true, again + seconds(40)).await, second);
}

#[tokio::test]
async fn a_proof_is_good_once() {
    let world = booted().await;
    register(&world, &registration(&[]), NOW).await.ok();
    // The same once more, and an earlier one that comes late.
    for body in [registration(&[]), dated("20260901T115957Z")] {
        let error = refused(&world, &body, 403).await;
        assert!(error.contains("used before"), "{error}");
    }
    register(&world, &dated("20260901T115959Z"), NOW).await.ok();
    assert_eq!(world.worker(WORKER).await.generation, 2);
}

#[tokio::test]
async fn one_proof_at_once_is_good_once() {
    for seed in 0..20 {
        let world = World::unkind(seed).await;
        world.ready(WORKER, INSTANCE, NOW).await;
        world.port.dawdle(seed);
        let body = registration(&[]);
        let (a, b) = tokio::join!(register(&world, &body, NOW), register(&world, &body, NOW));
        let mut statuses = [a.status, b.status];
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 403], "seed {seed}");
        assert_eq!(world.worker(WORKER).await.generation, 2, "seed {seed}");
    }
}

#[tokio::test]
async fn a_proof_for_another_installation_is_refused() {
    let world = booted().await;
    for audience in [json!("another"), json!(""), Value::Null, json!("atelier ")] {
        let error = refused(&world, &registration(&[("x-atelier-audience", audience)]), 403).await;
        assert!(error.contains("another installation"), "{error}");
    }
}

#[tokio::test]
async fn a_proof_far_from_our_time_is_refused() {
    let world = booted().await;
    for date in [
        "20260901T115459Z",
        "20260901T120501Z",
        "20250901T115958Z",
        "20260901",
        "",
        "2026-09-01T11:59:58Z",
    ] {
        refused(&world, &dated(date), 403).await;
    }
    refused(&world, &registration(&[("x-amz-date", Value::Null)]), 403).await;
    register(&world, &dated("20260901T115500Z"), NOW).await.ok();
}

#[tokio::test]
async fn what_is_not_signed_does_not_count() {
    let world = booted().await;
    let golden = registration(&[]);
    let signed = golden["proof"]["authorization"].as_str().unwrap();
    for header in ["host", "x-amz-date", "x-atelier-audience", "x-atelier-worker"] {
        let without = signed
            .replace(&format!("{header};"), "")
            .replace(&format!(";{header}"), "");
        assert_ne!(without, signed);
        let error = refused(&world, &registration(&[("authorization", without.into())]), 403).await;
        assert!(error.contains("not signed"), "{error}");
    }
    for authorization in [
        Value::Null,
        json!(""),
        json!("Bearer x"),
        json!("AWS4-HMAC-SHA256 "),
        json!(signed.replace("AWS4-HMAC-SHA256", "AWS3")),
        json!(signed.replace("SignedHeaders=", "Signed=")),
    ] {
        refused(&world, &registration(&[("authorization", authorization)]), 403).await;
    }
}

#[tokio::test]
async fn only_our_role_of_our_account_with_the_workers_instance_gets_in() {
    let world = booted().await;
    let arn =
        |account: &str, role: &str, session: &str| format!("arn:aws:sts::{account}:assumed-role/{role}/{session}");
    for (signer, status) in [
        (arn("999999999999", "atelier-worker", INSTANCE), 403),
        (arn("123456789012", "somebody-elses", INSTANCE), 403),
        (arn("123456789012", "atelier-worker", "i-0123456789abcdef0"), 409),
        (arn("123456789012", "atelier-worker", "a-person"), 403),
        (format!("arn:aws:iam::123456789012:user/{INSTANCE}"), 403),
        ("garbage".to_owned(), 403),
    ] {
        world.sts.says(Ok(&signer));
        refused(&world, &registration(&[]), status).await;
    }
    for (status, answer) in [(403, 403), (400, 403), (500, 503)] {
        world.sts.says(Err(status));
        refused(&world, &registration(&[]), answer).await;
    }
}

#[tokio::test]
async fn an_instance_gets_in_as_its_own_worker_only() {
    let world = booted().await;
    world.ready(WORKER_2, "i-2", NOW).await;
    refused(&world, &registration(&[("x-atelier-worker", WORKER_2.into())]), 409).await;
    refused(&world, &registration(&[("x-atelier-worker", "w-unknown".into())]), 409).await;
    for name in [json!(""), json!("../w"), Value::Null] {
        refused(&world, &registration(&[("x-atelier-worker", name)]), 403).await;
    }
    // Not before the launch's answer has been written down: the worker asks again.
    world.alter_worker(WORKER, |worker| worker.instance_id = None).await;
    refused(&world, &registration(&[]), 409).await;
}

#[tokio::test]
async fn a_worker_that_is_being_stopped_or_is_gone_gets_no_token() {
    let world = booted().await;
    for state in [WorkerState::Stopping, WorkerState::Stopped, WorkerState::Gone] {
        world.alter_worker(WORKER, |worker| worker.state = state).await;
        refused(&world, &registration(&[]), 409).await;
    }
}

#[tokio::test]
async fn a_worker_of_another_protocol_is_told_so() {
    for (protocol, words) in [(PROTOCOL - 2, "too old"), (PROTOCOL + 1, "newer")] {
        let world = booted().await;
        let mut body = registration(&[]);
        body["protocol"] = protocol.into();
        let error = register(&world, &body, NOW).await;
        assert_eq!(error.status, 410);
        assert!(error.error().contains(words), "{error:?}");
        // Another machine takes its place; that it did not come up is no failure of a start.
        let worker = world.worker(WORKER).await;
        assert_eq!((worker.state, worker.protocol), (WorkerState::Failed, Some(protocol)));
        world.tick(NOW + minutes(1)).await;
        assert_eq!(world.power(INSTANCE), InstanceState::Gone);
        let pool: model::Pool = world.get(&model::PoolId::new(POOL)).await;
        assert!(
            pool.breaker.outcomes.is_empty() && pool.breaker.opened_at.is_none(),
            "{pool:?}"
        );
    }
}

#[tokio::test]
async fn a_proof_that_was_used_ends_no_worker() {
    let world = booted().await;
    let mut body = registration(&[]);
    register(&world, &body, NOW).await.ok();
    body["protocol"] = (PROTOCOL + 1).into();
    body["image"] = "x".repeat(256).into();
    assert_eq!(register(&world, &body, NOW).await.status, 403);
    let worker = world.worker(WORKER).await;
    assert_eq!((worker.state, worker.protocol), (WorkerState::Warming, Some(PROTOCOL)));
}

#[tokio::test]
async fn a_worker_of_the_protocol_before_works_on_until_it_is_idle_and_is_then_replaced() {
    let world = booted().await;
    let mut body = registration(&[]);
    body["protocol"] = (PROTOCOL - 1).into();
    register(&world, &body, NOW).await.ok();
    let worker = world.worker(WORKER).await;
    world
        .work(&worker, "heartbeat", &json!({ "ready": true }), NOW)
        .await
        .ok();
    // It knows no files of the store but LoRAs.
    let task = world.queued(TASK, MARA, NOW).await;
    let with = async |models: Vec<ModelFile>| {
        let mut body: TaskBody = world.get(&BodyOf(task)).await;
        body.models = models;
        world.put(body).await;
    };
    with(vec![ModelFile {
        name: "dream".into(),
        folder: "checkpoints".into(),
        file: "atelier/studio/d.safetensors".into(),
        key: "models/studio/d".into(),
        sha256: "d".into(),
        size: 1,
        arch: String::new(),
    }])
    .await;
    assert!(world.claimed(&worker, NOW).await.is_none());
    with(vec![]).await;
    let assignment = world.claimed(&worker, NOW).await.unwrap();
    assert_eq!(assignment.task_id, task);
    let failed = json!({ "task_id": task, "run_id": assignment.run_id, "class": "user", "message": "x" });
    world.work(&worker, "failure", &failed, NOW + seconds(5)).await.ok();

    let mut now = NOW + minutes(2);
    world.reap(now).await;
    assert_eq!(
        world.worker(WORKER).await.state,
        WorkerState::Draining,
        "however short it was idle"
    );
    now = now + minutes(1);
    world.reap(now).await;
    assert_eq!(world.worker(WORKER).await.state, WorkerState::Stopping);
    world.instances.set(&instance_id(), InstanceState::Stopped);
    world.ec2(&instance_id(), "stopped", now).await;
    world.tick(now + minutes(1)).await;
    assert_eq!(world.power(INSTANCE), InstanceState::Gone, "it is not started again");
}

#[tokio::test]
async fn malformed_registrations_are_refused_in_words() {
    let world = booted().await;
    for body in ["", "{", "[]", "{}", "{\"proof\":7,\"protocol\":1}"] {
        refused(&world, &body.into(), 400).await;
    }
}

#[tokio::test]
async fn a_new_process_holds_nothing_of_the_old_one() {
    let world = World::new().await;
    let (before, old) = world.running(NOW).await;
    let socket = world.painter_socket().await;
    world
        .alter_worker(WORKER, |worker| {
            worker.connection = Some(ConnectionId::new("old"));
            worker.models = vec!["a".to_owned()];
            worker.gpu = Some(GpuUse::default());
        })
        .await;
    register(&world, &registration(&[]), NOW + seconds(5)).await.ok();

    let task = world.task(&task_id()).await;
    assert_eq!(
        (task.state, task.start_tag, task.failures),
        (TaskState::Queued, before.start_tag, 1)
    );
    assert_eq!(world.take_queued().len(), 1);
    assert_eq!(world.sent()[0].0, socket.to_string());
    let worker = world.worker(WORKER).await;
    assert_eq!((worker.state, worker.generation), (WorkerState::Warming, 2));
    assert!(worker.run.is_none() && worker.connection.is_none() && worker.models.is_empty() && worker.gpu.is_none());

    // What the old process still says is not heard.
    let result = json!({
        "task_id": TASK, "run_id": run_id(), "offsets": [0], "size": 9,
        "times": { "fetch_ms": 0, "execute_ms": 0, "upload_ms": 0 },
    });
    let failure = json!({ "task_id": TASK, "run_id": run_id(), "class": FailureClass::User, "message": "x" });
    for (operation, body) in [
        ("result", result),
        ("failure", failure),
        ("heartbeat", json!({ "ready": true })),
    ] {
        let answer = world.work(&old, operation, &body, NOW + seconds(6)).await;
        assert_eq!(answer.status, 401, "{operation}");
        assert!(answer.error().contains("an earlier process's"), "{answer:?}");
    }
    assert_eq!(world.worker(WORKER).await.state, WorkerState::Warming);
}

#[tokio::test]
async fn a_canceled_run_ends_with_the_process_that_held_it() {
    let world = World::new().await;
    world.running(NOW).await;
    world
        .alter_task(&task_id(), |task| {
            task.cancel(CancelCause::User, NOW);
        })
        .await;
    register(&world, &registration(&[]), NOW).await.ok();
    assert_eq!(world.task(&task_id()).await.state, TaskState::Canceled);
    assert!(world.take_queued().is_empty());
}

#[tokio::test]
async fn a_failed_or_draining_worker_may_begin_again() {
    for state in [
        WorkerState::Launching,
        WorkerState::Starting,
        WorkerState::Warming,
        WorkerState::Ready,
        WorkerState::Draining,
        WorkerState::Failed,
    ] {
        let world = booted().await;
        world.alter_worker(WORKER, |worker| worker.state = state).await;
        register(&world, &registration(&[]), NOW).await.ok();
        assert_eq!(world.worker(WORKER).await.state, WorkerState::Warming, "{state:?}");
    }
}

#[tokio::test]
async fn a_pool_without_a_warm_up_gives_none() {
    let world = booted().await;
    let mut pool = world.get(&model::PoolId::new("default")).await;
    pool.warm_up = Some("not-in-the-catalogue".to_owned());
    world.put(pool).await;
    let registered: Registered = register(&world, &registration(&[]), NOW).await.parsed();
    assert!(registered.warm_up.is_none());
}

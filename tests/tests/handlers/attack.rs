//! Attacks: what was tried against the studio from outside, and by its own sick machines.

use model::{
    InstanceId, MicroUsd, Millis, PoolId, TaskId, TaskState, UserId, WorkerState,
    worker_api::{MAX_PLAN, PROTOCOL},
};
use policy::watch::InstanceState;
use serde_json::{Value, json, value::RawValue};

use crate::support::{
    INSTANCE, MARA, NOW, POOL, RUN, WORKER, WORKER_2, World, golden, http, minutes, painter, seconds, socket_event,
    wire,
};

fn jiff_date(now: Millis) -> String {
    // 1 September 2026, noon, is NOW.
    let s = now.since(NOW).as_secs() + 12 * 3600;
    let (day, s) = (1 + s / 86_400, s % 86_400);
    format!("202609{day:02}T{:02}{:02}{:02}Z", s / 3600, s / 60 % 60, s % 60)
}

fn register_body(date: &str) -> Value {
    let body = golden("claim", "register")["body"].as_str().unwrap().to_owned();
    let mut body: Value = serde_json::from_str(&body).unwrap();
    body["proof"]["x-amz-date"] = date.into();
    body
}

fn keyed(user: &str, key: &str, body: &Value) -> Value {
    let mut event = http("POST /v1/generate", "", Some(&painter(user)), body);
    event["headers"]["idempotency-key"] = key.into();
    event
}

fn request(batch: u64, steps: u64, prompt: &str) -> Value {
    let mut request = wire("01_generate");
    let workflow = &mut request["input"]["workflow"];
    workflow["batch_count"] = batch.into();
    workflow["sampling"]["total_steps"] = steps.into();
    workflow["conditioning"]["positive"] = prompt.into();
    workflow["conditioning"]["negative"] = prompt.into();
    request
}

/// The same idempotency key with another body: "the first body counts".
#[tokio::test]
async fn a_repeated_key_cannot_exchange_the_plan() {
    let world = World::new().await;
    // Escaped to six bytes each: a plan of more than 200 KB, which lies in the bucket.
    let long = "\u{1}".repeat(20_000);
    let cheap = request(1, 1, &long);
    let dear = request(16, 100, &long);
    let first = world.http(keyed(MARA, "k", &cheap), NOW).await.ok();
    let again = world.http(keyed(MARA, "k", &dear), NOW).await.ok();
    assert_eq!(again["id"], first["id"]);
    let worker = world.ready(WORKER, INSTANCE, NOW).await;
    let run = world.claimed(&worker, NOW).await.unwrap();
    let plan = run.urls.plan.as_deref().and_then(|it| it.strip_prefix("memory:get/"));
    let plan = world.cloud.bucket.get(plan.unwrap()).await.unwrap();
    let plan: Value = serde_json::from_str(&plan).unwrap();
    assert_eq!(
        plan["output"]["count"], 1,
        "the worker renders another request than the one that was paid for"
    );
}

/// A pool that does not exist: nothing waits for ever, nothing stays reserved for ever.
#[tokio::test]
async fn a_task_of_a_pool_that_is_not_there_is_refused() {
    let world = World::new().await;
    let mut account = world.get(&UserId::new(MARA)).await;
    account.pool = PoolId::new("nowhere");
    world.put(account).await;
    let answer = world.submit(MARA, &wire("01_generate"), NOW).await;
    assert_eq!(answer.status, 409);
    assert!(answer.error().contains("the pool nowhere"), "{answer:?}");
    assert!(world.tasks().is_empty());
    assert_eq!(world.usage(MARA).await.reserved, MicroUsd(0));
}

/// A worker process that crashes and comes back every few minutes, and nobody paints.
#[tokio::test]
async fn a_worker_that_crashes_now_and_then_stops_when_nobody_paints() {
    let world = World::new().await;
    let mut worker = world.ready(WORKER, INSTANCE, NOW).await;
    for minute in 1..=12 * 60_u64 {
        let now = NOW + minutes(minute);
        if minute % 8 == 0 {
            // What `register` and the first ready heartbeat do.
            let date = jiff_date(now);
            let body = register_body(&date);
            let answer = world
                .http(http("POST /v1/workers/register", "", None, &body), now)
                .await;
            assert_eq!(answer.status, 200, "{answer:?}");
            worker = world.worker(WORKER).await;
        }
        if worker.state != WorkerState::Stopped {
            let beat = json!({ "ready": true, "gpu": { "percent": 0, "vram_used_mib": 0, "vram_total_mib": 0 } });
            let answer = world.work(&worker, "heartbeat", &beat, now).await;
            if answer.status != 200 {
                return;
            }
        }
        world.tick(now).await;
        world.reap(now).await;
        if world.power(INSTANCE) != InstanceState::Up {
            return;
        }
    }
    panic!(
        "after 12 hours without any task the machine still runs: {:?}",
        world.worker(WORKER).await
    );
}

/// Different tasks fail on one machine, one after another: it is the machine, which makes room for another one.
#[tokio::test]
async fn a_machine_on_which_two_tasks_fail_is_replaced() {
    let world = World::new().await;
    let worker = world.ready(WORKER, INSTANCE, NOW).await;
    for _ in 0..2 {
        world.submitted(NOW).await;
    }
    for (failures, state) in [(1, WorkerState::Ready), (2, WorkerState::Failed)] {
        // The reply to a failure carries the next run.
        let run = if let Some(run) = world.worker(WORKER).await.run {
            (run.task_id, run.run_id)
        } else {
            let run = world.claimed(&worker, NOW).await.unwrap();
            (run.task_id, run.run_id)
        };
        let body = json!({ "task_id": run.0, "run_id": run.1, "class": "infrastructure", "message": "CUDA error" });
        world
            .work(&worker, "failure", &body, NOW + seconds(failures))
            .await
            .ok();
        let now = world.worker(WORKER).await;
        let busy = now.run.is_some();
        assert_eq!(now.failed.len() as u64, failures);
        assert!(now.state == state || busy && state == WorkerState::Ready, "{now:?}");
    }
    assert!(world.claimed(&worker, NOW + seconds(3)).await.is_none());
    let waiting: Vec<_> = world.tasks().iter().map(|task| task.task_id).collect();
    for minute in 1..=3 {
        world.tick(NOW + minutes(minute)).await;
        world.dispatch_tasks(&waiting, NOW + minutes(minute)).await;
    }
    assert_ne!(world.power(INSTANCE), InstanceState::Up);
    assert_eq!(world.instances.launches(), 1, "another one comes");
}

/// A worker's process that begins again and again is of no use.
#[tokio::test]
async fn a_worker_that_begins_too_often_is_stopped() {
    let world = World::new().await;
    world.ready(WORKER, INSTANCE, NOW).await;
    let begin = async |now: Millis| {
        let event = http("POST /v1/workers/register", "", None, &register_body(&jiff_date(now)));
        world.http(event, now).await.status
    };
    for minute in 1..=10 {
        assert_eq!(begin(NOW + minutes(minute)).await, 200, "{minute}");
    }
    assert_eq!(begin(NOW + minutes(11)).await, 409);
    assert_eq!(world.worker(WORKER).await.state, WorkerState::Failed);
    for minute in 12..15 {
        world.tick(NOW + minutes(minute)).await;
    }
    assert_ne!(world.power(INSTANCE), InstanceState::Up);
}

/// A GPU host that is not ours any more says that its GPU works, for ever.
#[tokio::test]
async fn a_host_that_says_it_is_busy_for_a_day_without_a_task_is_stopped() {
    let world = World::new().await;
    let worker = world.ready(WORKER, INSTANCE, NOW).await;
    for minute in 1..=24 * 60_u64 {
        let now = NOW + minutes(minute);
        let beat = json!({ "ready": true, "gpu": { "percent": 99, "vram_used_mib": 0, "vram_total_mib": 0 } });
        if world.work(&worker, "heartbeat", &beat, now).await.status != 200 {
            return;
        }
        world.tick(now).await;
        world.reap(now).await;
        if world.power(INSTANCE) != InstanceState::Up {
            return;
        }
    }
    panic!("a day without a single task, and the machine still runs");
}

/// Nobody who is not signed in writes megabytes into our logs.
#[test]
fn a_strangers_body_does_not_go_into_the_log() {
    use std::sync::{Arc, Mutex};
    #[derive(Clone, Default)]
    struct Sink(Arc<Mutex<Vec<u8>>>);
    impl std::io::Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let sink = Sink::default();
    let writer = sink.clone();
    let subscriber = tracing_subscriber::fmt()
        .json()
        .with_writer(move || writer.clone())
        .finish();
    tracing::subscriber::with_default(subscriber, || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let world = World::new().await;
            sink.0.lock().unwrap().clear();
            let body = json!({ "proof": {}, "protocol": "A".repeat(5_000_000) });
            world
                .http(http("POST /v1/workers/register", "", None, &body), NOW)
                .await;
        });
    });
    let logged = sink.0.lock().unwrap().len();
    assert!(
        logged < 10_000,
        "{logged} bytes of log by one call of somebody who is not signed in"
    );
}

/// Whoever was removed is out.
#[tokio::test]
async fn a_removed_painter_gets_no_place_to_upload_to() {
    let world = World::new().await;
    let mut account = world.get(&UserId::new(MARA)).await;
    account.revoke(NOW);
    world.put(account).await;
    let token = |route: &str| http(route, "", Some(&painter(MARA)), &json!({}));
    let user = world.http(token("GET /v1/user"), NOW + minutes(5)).await;
    let upload = world.http(token("POST /v1/upload/image"), NOW + minutes(5)).await;
    let connect = socket_event(
        "connect-painter",
        "c=",
        &json!({ "sub": MARA, "team": "studio", "role": "painter", "iat": NOW.seconds().to_string() }),
        None,
    );
    let connected = world.push(connect, NOW + minutes(5)).await;
    assert_eq!((user.status, upload.status, connected), (401, 401, 401));
}

/// Who may not spend anything wakes no GPU.
#[tokio::test]
async fn an_account_without_credits_wakes_no_gpu() {
    let world = World::new().await;
    let mut account = world.get(&UserId::new(MARA)).await;
    account.credits = 0;
    world.put(account).await;
    let mut up = 0;
    for minute in 0..12 * 60_u64 {
        let now = NOW + minutes(minute);
        // Calls for half an hour, a pause of six minutes, and again.
        if minute % 36 < 30 {
            world.paint(MARA, "GET /v1/user", "", &json!({}), now).await.ok();
        }
        let messages: Vec<_> = world
            .take_queued()
            .iter()
            .map(|it| serde_json::to_string(it).unwrap())
            .collect();
        if !messages.is_empty() {
            world.dispatch(crate::support::sqs(&messages), now).await;
        }
        // The machine comes up by itself.
        let ids: Vec<_> = world
            .workers()
            .iter()
            .filter(|it| it.state.is_coming())
            .map(|it| it.worker_id.to_string())
            .collect();
        for id in ids {
            world
                .alter_worker(&id, |it| {
                    it.state = WorkerState::Ready;
                    it.idle_since = Some(now);
                    it.state_since = now;
                })
                .await;
        }
        for it in world.workers().iter().filter(|it| it.state == WorkerState::Ready) {
            let id = it.worker_id.to_string();
            world.alter_worker(&id, |it| it.last_seen = now).await;
        }
        world.tick(now).await;
        world.reap(now).await;
        for instance in world.instances.all() {
            if instance.view.state == InstanceState::Stopping {
                world.instances.set(&instance.view.instance_id, InstanceState::Stopped);
            }
        }
        up += world
            .instances
            .all()
            .iter()
            .filter(|it| it.view.state == InstanceState::Up)
            .count();
    }
    assert_eq!(up, 0);
}

/// What a worker says of its models is bounded.
#[tokio::test]
async fn a_workers_item_stays_small() {
    let world = World::new().await;
    let worker = world.ready(WORKER, INSTANCE, NOW).await;
    let models: Vec<_> = (0..8).map(|n| format!("{n}{}", "m".repeat(48_000))).collect();
    let beat = json!({ "ready": true, "models": models });
    world.work(&worker, "heartbeat", &beat, NOW).await.ok();
    let size = serde_json::to_string(&world.worker(WORKER).await).unwrap().len();
    assert!(size < 8192, "{size}");
}

/// One sick machine, one good machine, one task.
#[tokio::test]
async fn a_machine_that_has_just_failed_a_task_is_not_given_it_again() {
    let world = World::new().await;
    world.submitted(NOW).await;
    let sick = world.ready(WORKER, INSTANCE, NOW).await;
    world.ready(WORKER_2, "i-2", NOW).await;
    let mut run = world.claimed(&sick, NOW).await.unwrap();
    for again in 1..=3_u64 {
        let now = NOW + seconds(again);
        let body = json!({ "task_id": run.task_id, "run_id": run.run_id, "class": "infrastructure", "message": "The renderer stopped with an error in its step KSampler." });
        let ended: model::worker_api::RunEnded = world.work(&sick, "failure", &body, now).await.parsed();
        match ended.assignment {
            Some(next) => run = next,
            None => break,
        }
    }
    let task = world.task(&run.task_id).await;
    assert_ne!(
        task.state,
        TaskState::Failed,
        "three tries, all of them on the same machine within 3 s, with a good one free"
    );
}

/// EC2 leaves an instance out of one description (its answers are eventually consistent).
#[tokio::test]
async fn an_instance_that_one_description_does_not_show_lives_on() {
    let world = World::new().await;
    let (_, worker) = world.running(NOW).await;
    let at = NOW + minutes(5);
    let renew = async |now: Millis| {
        let beat = json!({ "ready": true, "run": { "run_id": RUN, "seq": 1, "value": 0.1 } });
        world.work(&worker, "heartbeat", &beat, now).await
    };
    for second in (0..300).step_by(20) {
        renew(NOW + seconds(second)).await;
    }
    world.instances.hide(true);
    renew(at).await;
    world.tick(at).await;
    world.instances.hide(false);
    world.tick(at + minutes(1)).await;
    assert_eq!(
        world.power(INSTANCE),
        InstanceState::Up,
        "a busy machine was terminated by one empty answer of EC2"
    );
}

/// A stolen token that was revoked shows nobody's pictures any more.
#[tokio::test]
async fn a_revoked_token_sees_no_new_pictures() {
    let world = World::new().await;
    let mut account = world.get(&UserId::new(MARA)).await;
    account.revoke(NOW);
    world.put(account).await;
    // The thief's token is older than the revocation; Mara has signed in again.
    let thief = json!({ "sub": MARA, "team": "studio", "role": "painter", "iat": NOW.seconds() - 3600 });
    let later = NOW + minutes(10);
    let mut on_socket = thief.clone();
    on_socket["iat"] = (NOW.seconds() - 3600).to_string().into();
    let connected = world
        .push(socket_event("connect-painter", "thief=", &on_socket, None), later)
        .await;
    let mut mara = painter(MARA);
    mara["iat"] = (NOW.seconds() + 60).into();
    world
        .http(http("POST /v1/generate", "", Some(&mara), &wire("01_generate")), later)
        .await
        .ok();
    let worker = world.ready(WORKER, INSTANCE, later).await;
    let run = world.claimed(&worker, later).await.unwrap();
    let body = json!({ "task_id": run.task_id, "run_id": run.run_id, "offsets": [0, 500], "size": 1000, "times": { "fetch_ms": 1, "execute_ms": 2, "upload_ms": 3 } });
    world.work(&worker, "result", &body, later + seconds(3)).await.ok();
    let heard: Vec<_> = world.sent().into_iter().filter(|(to, _)| to == "thief=").collect();
    let id = run.task_id.to_string();
    let status = world
        .http(
            http("POST /v1/status/{id}", &id, Some(&thief), &json!({})),
            later + seconds(4),
        )
        .await;
    assert_eq!(connected, 401);
    assert!(heard.is_empty(), "{heard:?}");
    assert_eq!(
        status.status, 401,
        "whoever has a revoked token still gets Mara's new pictures"
    );
}

/// GPU time that ends in a cancel is seen by somebody.
#[tokio::test]
async fn canceled_gpu_time_is_bounded_or_at_least_counted() {
    let world = World::new().await;
    let mut worker = world.ready(WORKER, INSTANCE, NOW).await;
    let mut gpu = 0;
    for round in 0..60_u64 {
        let now = NOW + minutes(round);
        let id = world.submitted(now).await;
        let run = world.claimed(&worker, now).await.unwrap();
        let at = now + seconds(50);
        world
            .paint(MARA, "POST /v1/cancel/{worker}/{id}", &id.to_string(), &json!({}), at)
            .await
            .ok();
        let body = json!({ "task_id": run.task_id, "run_id": run.run_id, "class": null, "message": "canceled" });
        world.work(&worker, "failure", &body, at + seconds(1)).await.ok();
        worker = world.worker(WORKER).await;
        gpu += 51;
    }
    let usage = world
        .port
        .get(&cloud::tables::UsageOf(UserId::new(MARA), "2026-09".into()))
        .await
        .unwrap();
    assert_eq!((usage.unpaid_ms, usage.spent), (gpu * 1000, MicroUsd(0)));
    let command = ops::user::Command::Show {
        user: UserId::new(MARA),
    };
    let shown = ops::user::run(&world.cloud.store, &world.cloud.sockets, command, NOW)
        .await
        .unwrap();
    assert!(shown.contains("3060 s of rendering ended without a picture"), "{shown}");
    // Up to what the studio allows; then the painter is told why.
    let mut usage = usage;
    usage.unpaid_ms = u64::try_from(world.settings.max_unpaid.as_millis()).unwrap();
    world.put(usage).await;
    let refused = world.submit(MARA, &wire("01_generate"), NOW + minutes(61)).await;
    assert_eq!(refused.status, 402);
    assert!(refused.error().contains("600 min of your rendering"), "{refused:?}");
}

/// A picture that asks for too much memory costs three tries, not only the last one. The next one begins with the failure's
/// answer.
#[tokio::test]
async fn every_try_that_nobody_pays_for_is_counted() {
    let world = World::new().await;
    world.alter_pool(|pool| pool.max_workers = 1).await;
    let worker = world.ready(WORKER, INSTANCE, NOW).await;
    world.submitted(NOW).await;
    for round in 1..=3 {
        let now = NOW + minutes(round);
        let run = world.claimed(&worker, now).await.unwrap();
        let body = json!({ "task_id": run.task_id, "run_id": run.run_id, "class": "infrastructure", "message": "Too little memory.", "blame": "request" });
        world.work(&worker, "failure", &body, now + seconds(20)).await.ok();
        let counted = world.usage(MARA).await.unpaid_ms;
        assert_eq!(
            counted,
            if round == 3 { 140_000 } else { 0 },
            "the month's usage is written with the end"
        );
    }
}

/// What every kind reserves.
#[tokio::test]
async fn no_kind_of_picture_has_no_work() {
    let world = World::new().await;
    let folder = crate::support::workspace().join("workflow/tests/wire");
    let mut names: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|it| it.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned())
        .collect();
    names.sort();
    let mut none = vec![];
    for name in names {
        let request = wire(&name);
        if let Some(object) = request["input"]["workflow"]["image_data"]["s3_object"].as_str() {
            world
                .memory
                .put_object(&format!("uploads/mara/{}", object.replace('-', "")), 60_000_000, "");
        }
        let answer = world.submit(MARA, &request, NOW).await;
        if answer.status != 200 {
            continue;
        }
        let id: TaskId = answer.body["id"].as_str().unwrap().parse().unwrap();
        let task = world.task(&id).await;
        if task.work <= 0.0 {
            none.push(name);
        }
    }
    assert_eq!(none, Vec::<String>::new());
}

/// A result that comes twice, in the next month.
#[tokio::test]
async fn two_result_calls_and_a_month_change() {
    let world = World::new().await;
    // 30 September, 23:59:50.
    let eve = NOW + minutes(29 * 24 * 60 + 12 * 60) - seconds(10);
    let mut mara = painter(MARA);
    mara["iat"] = eve.seconds().into();
    world
        .http(http("POST /v1/generate", "", Some(&mara), &wire("01_generate")), eve)
        .await
        .ok();
    let worker = world.ready(WORKER, INSTANCE, eve).await;
    let run = world.claimed(&worker, eve).await.unwrap();
    let body = json!({ "task_id": run.task_id, "run_id": run.run_id, "offsets": [0, 500], "size": 1000, "times": { "fetch_ms": 1, "execute_ms": 2, "upload_ms": 3 } });
    world.work(&worker, "result", &body, eve + seconds(30)).await.ok();
    world.work(&worker, "result", &body, eve + seconds(31)).await.ok();
    let of = async |month: &str| {
        world
            .port
            .get(&cloud::tables::UsageOf(UserId::new(MARA), month.into()))
            .await
    };
    let (september, october) = (of("2026-09").await.unwrap(), of("2026-10").await);
    assert_eq!(september.reserved, MicroUsd(0));
    assert!(september.spent > MicroUsd(0) && october.is_none());
}

/// Headers in other letters.
#[tokio::test]
async fn a_header_in_other_letters_is_no_crash() {
    let world = World::new().await;
    let mut event = http("POST /v1/generate", "", Some(&painter(MARA)), &wire("01_generate"));
    event["headers"]["x-somebody"] = "Käthe ключ".into();
    event["headers"]["idempotency-key"] = "Käthe ключ".into();
    let text = event.to_string();
    let escaped: String = text
        .chars()
        .map(|letter| match u32::from(letter) {
            code @ 128.. => format!("\\u{code:04x}"),
            _ => letter.to_string(),
        })
        .collect();
    for text in [text, escaped] {
        let read = cloud::http::event(&RawValue::from_string(text).unwrap()).unwrap();
        assert_eq!(read.headers["idempotency-key"], "K%C3%A4the %D0%BA%D0%BB%D1%8E%D1%87");
    }
    let first = world.http(event.clone(), NOW).await.ok();
    let again = world.http(event.clone(), NOW).await.ok();
    assert_eq!(
        first["id"], again["id"],
        "the key is silently ignored, and a repetition is a second task"
    );
    event["headers"]["idempotency-key"] = "Käthe ключи".into();
    let other = world.http(event, NOW).await.ok();
    assert_ne!(first["id"], other["id"]);
}

/// Odd bodies.
#[tokio::test]
async fn odd_bodies_are_refused_in_words() {
    let world = World::new().await;
    let worker = world.ready(WORKER, INSTANCE, NOW).await;
    let deep = format!("{}{}", "[".repeat(400_000), "]".repeat(400_000));
    let deep_object = format!("{}1{}", "{\"input\":".repeat(50_000), "}".repeat(50_000));
    for body in [
        deep.as_str(),
        deep_object.as_str(),
        "{\"input\":{\"workflow\":{\"kind\":\"\\ud800\"}}}",
        "{\"input\":{\"workflow\":{\"kind\":\"generate\",\"batch_count\":1e999}}}",
        "{\"input\":{\"workflow\":{\"kind\":\"generate\",\"batch_count\":NaN}}}",
        "{\"input\":1,\"input\":2}",
        "null",
        "\"\"",
        "\u{0}",
    ] {
        let body = Value::String(body.to_owned());
        for route in ["POST /v1/generate", "POST /v1/admin/cost", "POST /v1/upload/lora"] {
            let status = world.paint(MARA, route, "", &body, NOW).await.status;
            assert_eq!(status, 400, "{route}");
        }
        for operation in ["result", "failure", "urls"] {
            assert_eq!(
                world.work(&worker, operation, &body, NOW).await.status,
                400,
                "{operation}"
            );
        }
        for route in [
            "POST /v1/auth/initiate",
            "POST /v1/auth/confirm",
            "POST /v1/workers/register",
        ] {
            assert_eq!(
                world.http(http(route, "", None, &body), NOW).await.status,
                400,
                "{route}"
            );
        }
    }
}

/// Whose work is whose: a worker's token for what is another worker's.
#[tokio::test]
async fn a_worker_ends_and_reads_only_its_own_runs() {
    let world = World::new().await;
    world.submitted(NOW).await;
    let mine = world.ready(WORKER, INSTANCE, NOW).await;
    let run = world.claimed(&mine, NOW).await.unwrap();
    let other = world.ready(WORKER_2, "i-2", NOW).await;
    let about = json!({ "task_id": run.task_id, "run_id": run.run_id });
    let mut result = about.clone();
    result["offsets"] = json!([0]);
    result["size"] = 10.into();
    result["times"] = json!({ "fetch_ms": 1, "execute_ms": 2, "upload_ms": 3 });
    let mut failure = about.clone();
    failure["class"] = "user".into();
    failure["message"] = "no".into();
    let said = world.work(&other, "result", &result, NOW).await.ok();
    assert_eq!(said["accepted"], false);
    let said = world.work(&other, "failure", &failure, NOW).await.ok();
    assert_eq!(said["accepted"], false);
    assert_eq!(world.work(&other, "urls", &about, NOW).await.status, 409);
    let beat = json!({ "ready": true, "run": { "run_id": run.run_id, "seq": 9, "value": 0.9 } });
    assert_eq!(world.work(&other, "heartbeat", &beat, NOW).await.ok()["run_lost"], true);
    assert_eq!(world.task(&run.task_id).await.state, TaskState::Running);
    // A worker of another pool.
    let far = world
        .alter_worker(WORKER_2, |it| it.pool = PoolId::new("elsewhere"))
        .await;
    let id = world.submitted(NOW).await;
    let said = world.work(&far, "claim", &json!({ "task_id": id }), NOW).await.ok();
    assert!(said["assignment"].is_null());
}

/// A month of a painter who is out of credits: nothing is let in, whatever meets in parallel.
#[tokio::test]
async fn parallel_submits_never_pass_the_budget() {
    for seed in 0..40 {
        let world = World::unkind(seed).await;
        world.port.dawdle(seed);
        let mut account = world.get(&UserId::new(MARA)).await;
        account.credits = 12;
        world.put(account).await;
        let body = wire("01_generate");
        let answers = futures_util::future::join_all((0..8).map(|_| world.submit(MARA, &body, NOW))).await;
        let taken = answers.iter().filter(|it| it.status == 200).count();
        let usage = world
            .port
            .get(&cloud::tables::UsageOf(UserId::new(MARA), "2026-09".into()))
            .await
            .unwrap();
        assert!(
            usage.reserved <= MicroUsd(12_000) && taken <= 2,
            "seed {seed}: {taken} {:?}",
            usage.reserved
        );
    }
}

/// Every way in which a task and its worker can meet the end of both, with a crash after each of them.
#[tokio::test]
async fn a_canceling_task_whose_worker_dies_ends_and_releases() {
    let world = World::new().await;
    let id = world.submitted(NOW).await;
    let worker = world.ready(WORKER, INSTANCE, NOW).await;
    world.claimed(&worker, NOW).await.unwrap();
    world
        .paint(
            MARA,
            "POST /v1/cancel/{worker}/{id}",
            &id.to_string(),
            &json!({}),
            NOW + seconds(5),
        )
        .await
        .ok();
    assert_eq!(world.task(&id).await.state, TaskState::Canceling);
    world.instances.set(&InstanceId::new(INSTANCE), InstanceState::Gone);
    world.tick(NOW + minutes(2)).await;
    let usage = world
        .port
        .get(&cloud::tables::UsageOf(UserId::new(MARA), "2026-09".into()))
        .await
        .unwrap();
    assert_eq!(
        (world.task(&id).await.state, usage.reserved),
        (TaskState::Canceled, MicroUsd(0))
    );
    assert_eq!(world.worker(WORKER).await.state, WorkerState::Gone);
}

/// An EC2 that answers each request, of this body, with what is between a reply's first tag and its last.
async fn ec2(subnets: &[&str], answer: impl Fn(&str) -> String + Clone + Send + Sync + 'static) -> fleet::Fleet {
    use axum::{Router, http::header::CONTENT_TYPE, response::IntoResponse};
    let app = Router::new().fallback(async move |body: String| {
        let action = body.split(['=', '&']).skip_while(|it| *it != "Action").nth(1).unwrap().to_owned();
        let inside = answer(&body);
        let text = format!("<{action}Response xmlns=\"http://ec2.amazonaws.com/doc/2016-11-15/\"><requestId>r</requestId>{inside}</{action}Response>");
        ([(CONTENT_TYPE, "text/xml")], text).into_response()
    });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, app).await });
    let config = fleet::ec2::FleetConfig {
        launch_template: "lt-1".into(),
        subnets: subnets.iter().map(|it| (*it).to_owned()).collect(),
        stack: "s".into(),
        image: None,
    };
    fleet::ec2::connect_with(&cloud::emulator_config(&url).await, config).await
}

/// A reply to `CreateFleet` without an instance, for these reasons.
fn no_instance(codes: &str) -> String {
    let item = |code| {
        format!(
            "<item><errorCode>{code}</errorCode><errorMessage>m</errorMessage><lifecycle>on-demand</lifecycle></item>"
        )
    };
    let items = codes.split(',').map(item).collect::<Vec<_>>().concat();
    format!("<fleetId>fleet-1</fleetId><errorSet>{items}</errorSet><fleetInstanceSet/>")
}

/// `SubnetIds` with two subnets of one zone, which EC2 refuses in a fleet.
#[tokio::test]
async fn one_subnet_of_a_zone_is_launched_in() {
    let asked = std::sync::Arc::new(std::sync::Mutex::new(vec![]));
    let heard = std::sync::Arc::clone(&asked);
    let fleet = ec2(&["subnet-a1", "subnet-a2", "subnet-b1"], move |body: &str| {
        heard.lock().unwrap().push(body.to_owned());
        if body.contains("Action=DescribeSubnets") {
            let item = |(id, zone)| {
                format!("<item><subnetId>{id}</subnetId><availabilityZone>{zone}</availabilityZone></item>")
            };
            let found = [("subnet-b1", "eu-1b"), ("subnet-a2", "eu-1a"), ("subnet-a1", "eu-1a")].map(item);
            format!("<subnetSet>{}</subnetSet>", found.concat())
        } else if body.contains("Action=CreateFleet") {
            let twice = body.contains("subnet-a1") && body.contains("subnet-a2");
            no_instance(if twice {
                "InvalidFleetConfiguration"
            } else {
                "InsufficientInstanceCapacity"
            })
        } else {
            "<reservationSet/>".to_owned()
        }
    })
    .await;
    for _ in 0..2 {
        let types = ["g5.xlarge".to_owned()];
        let answer = fleet
            .launch(&model::WorkerId::new("w-1"), &PoolId::new(POOL), &types)
            .await;
        assert!(matches!(answer, Err(fleet::FleetError::NoCapacity(_))), "{answer:?}");
    }
    let asked = asked.lock().unwrap();
    let count = |what: &str| asked.iter().filter(|body| body.contains(what)).count();
    assert_eq!((count("Action=CreateFleet"), count("Action=DescribeSubnets")), (2, 1));
    assert!(
        asked.iter().any(|body| body.contains("subnet-a1")
            && body.contains("subnet-b1")
            && body.contains("Action=CreateFleet"))
    );
}

/// What EC2 says when there is no machine, or no address, to be had.
#[tokio::test]
async fn codes_that_mean_not_here_not_now_do_not_count_as_failures() {
    let code = std::sync::Arc::new(std::sync::Mutex::new(String::new()));
    let said = std::sync::Arc::clone(&code);
    let fleet = ec2(&[], move |body: &str| {
        if body.contains("Action=CreateFleet") {
            no_instance(&said.lock().unwrap())
        } else {
            "<reservationSet/>".to_owned()
        }
    })
    .await;
    let mut wrong = vec![];
    for said in [
        "InsufficientInstanceCapacity",
        "InsufficientHostCapacity",
        "InsufficientFreeAddressesInSubnet",
        "UnfulfillableCapacity",
        "PendingVerification",
        "InsufficientInstanceCapacity,InsufficientFreeAddressesInSubnet",
    ] {
        *code.lock().unwrap() = said.to_owned();
        let worker = model::WorkerId::new("w-1");
        let answer = fleet
            .launch(&worker, &PoolId::new(POOL), &["g5.xlarge".to_owned()])
            .await;
        if !matches!(answer, Err(fleet::FleetError::NoCapacity(_))) {
            wrong.push(said);
        }
    }
    assert_eq!(
        wrong,
        Vec::<&str>::new(),
        "these count as failed starts, two of which open the breaker"
    );
}

/// "To shut somebody out for good, `ops user remove mara`; whoever gets that id later does not get the old tokens."
#[tokio::test]
async fn whoever_was_removed_is_shut_out_for_good() {
    use ops::user::{Command, run};
    let world = World::new().await;
    let user = UserId::new(MARA);
    run(
        &world.cloud.store,
        &world.cloud.sockets,
        Command::Remove { user: user.clone() },
        NOW,
    )
    .await
    .unwrap();
    let old = painter(MARA);
    let later = NOW + minutes(10);
    let upload = world
        .http(http("POST /v1/upload/image", "", Some(&old), &json!({})), later)
        .await
        .status;
    let mut on_socket = old.clone();
    on_socket["iat"] = NOW.seconds().to_string().into();
    let connected = world
        .push(socket_event("connect-painter", "old=", &on_socket, None), later)
        .await;
    // Another person gets the id.
    let mut account = model::Account::new(user, model::TeamId::new("studio"), PoolId::new(POOL), later);
    world
        .cloud
        .store
        .commit([cloud::Write::put(&mut account).unwrap()])
        .await
        .unwrap();
    let mut new = painter(MARA);
    new["iat"] = (later.seconds() + 60).into();
    let answer = world
        .http(
            http("POST /v1/generate", "", Some(&new), &wire("01_generate")),
            later + minutes(2),
        )
        .await
        .ok();
    let worker = world.ready(WORKER, INSTANCE, later + minutes(2)).await;
    world.claimed(&worker, later + minutes(2)).await.unwrap();
    let heard: Vec<_> = world.sent().into_iter().filter(|(to, _)| to == "old=").collect();
    let id = answer["id"].as_str().unwrap();
    let status = world
        .http(
            http("POST /v1/status/{id}", id, Some(&old), &json!({})),
            later + minutes(3),
        )
        .await;
    let cancel = world
        .http(
            http("POST /v1/cancel/{worker}/{id}", id, Some(&old), &json!({})),
            later + minutes(3),
        )
        .await;
    assert_eq!((upload, connected, status.status, cancel.status), (401, 401, 401, 401));
    assert!(heard.is_empty(), "{heard:?}");
}

/// Whoever is revoked is hung up on, hears nothing more, and comes back by no message either.
#[tokio::test]
async fn whoever_is_revoked_is_hung_up_on() {
    let world = World::new().await;
    let socket = world.painter_socket().await;
    let ping = |iat: u64| {
        let mut caller = painter(MARA);
        caller["iat"] = iat.to_string().into();
        socket_event("ping", socket.as_str(), &caller, Some(&json!({ "action": "ping" })))
    };
    assert_eq!(world.push(ping(NOW.seconds()), NOW).await, 200);
    world.sent();
    let command = ops::user::Command::Revoke {
        user: UserId::new(MARA),
    };
    let later = NOW + seconds(1);
    ops::user::run(&world.cloud.store, &world.cloud.sockets, command, later)
        .await
        .unwrap();
    assert!(world.all::<Value>(cloud::tables::Table::Sessions).is_empty());
    let closed = world.cloud.sockets.send(&socket, "{}").await;
    assert!(matches!(closed, Err(cloud::sockets::SocketError::Gone)), "{closed:?}");
    world.queued(crate::support::TASK, MARA, later).await;
    world.dispatch_tasks(&[crate::support::task_id()], later).await;
    let mut out = painter(MARA);
    out["iat"] = NOW.seconds().to_string().into();
    for (action, body) in [
        ("ping", json!({ "action": "ping" })),
        ("active", json!({ "action": "active" })),
        ("sync", json!({ "action": "sync", "tasks": [crate::support::TASK] })),
        ("look", json!({ "action": "look", "task_id": crate::support::TASK })),
    ] {
        let event = socket_event(action, socket.as_str(), &out, Some(&body));
        assert_eq!(world.push(event, later + seconds(1)).await, 401, "{action}");
    }
    assert!(world.all::<Value>(cloud::tables::Table::Sessions).is_empty());
    assert_eq!(world.sent(), []);
    // Whoever signs in again is in.
    assert_eq!(world.push(ping(later.seconds() + 1), later + seconds(2)).await, 200);
}

/// A verdict that cannot be had is a 503 for everybody, never a 401, which would make the plugin drop its token.
#[tokio::test]
async fn a_verdict_that_cannot_be_had_signs_nobody_out() {
    let world = World::watched(model::Settings::default()).await;
    let broken = authorize::App {
        store: world.cloud.store.clone(),
        verifier: world.verifier(),
        edge: accounts::Edge::default(),
    };
    let team = model::TeamId::new("studio");
    let token = world
        .signer
        .user(MARA, &team, model::Role::Painter, cloud::now(), minutes(5))
        .unwrap();
    for (name, header) in [("http", "authorization"), ("websocket-connect", "Authorization")] {
        let mut event = golden("authorize", name);
        event["headers"][header] = format!("Bearer {token}").into();
        world.faults.plan(cloud::fault::Fault {
            of: None,
            at: 1,
            how: cloud::fault::How::Fail,
        });
        let answer = broken.handle(&event).await;
        if name == "http" {
            let mut event = http("GET /v1/plugin/resources", "", None, &json!({}));
            event["requestContext"]["authorizer"] = json!({ "lambda": answer.unwrap()["context"] });
            let answer = world.http(event, NOW).await;
            assert_eq!(answer.status, 503, "{answer:?}");
            // Where no authorizer stands before, the function itself says so.
            let mut event = http("GET /v1/user", "", None, &json!({}));
            event["headers"]["authorization"] = format!("Bearer {token}").into();
            for at in [1, 2] {
                world.faults.plan(cloud::fault::Fault {
                    of: None,
                    at,
                    how: cloud::fault::How::Fail,
                });
                let answer = world.http(event.clone(), NOW).await;
                assert_eq!(answer.status, 503, "{answer:?}");
            }
        } else {
            assert!(answer.is_err(), "{answer:?}");
        }
    }
}

/// A function's answer has 6 MB at most.
#[tokio::test]
async fn a_plan_that_was_let_in_can_be_handed_over() {
    let world = World::new().await;
    let text = |place: u64| format!("{place} {}", "\u{1}".repeat(2_590));
    let regions: Vec<_> = (0..64_u64)
        .map(|place| {
            json!({
                "mask": place, "bounds": [0, 0, 512, 512], "positive": text(place), "control": [], "loras": [],
            })
        })
        .collect();
    let mut request = wire("01_generate");
    let workflow = &mut request["input"]["workflow"];
    workflow["batch_count"] = 1.into();
    workflow["conditioning"]["style"] = "{prompt}".repeat(15).into();
    workflow["conditioning"]["positive"] = "x".into();
    workflow["conditioning"]["regions"] = regions.into();
    let offsets: Vec<u64> = (0..64).collect();
    workflow["image_data"] = json!({ "base64": "A".repeat(128), "offsets": offsets });
    world.submit(MARA, &request, NOW).await.ok();
    world.ready(WORKER, INSTANCE, NOW).await;
    let worker = world.alter_worker(WORKER, |it| it.protocol = Some(PROTOCOL)).await;
    let claimed = world.work(&worker, "claim", &json!({}), NOW).await;
    let size = claimed.body.to_string().len();
    assert!(size < 100_000, "the answer to the claim has {size} bytes");
    let assignment = &claimed.ok()["assignment"];
    let address = assignment["urls"]["plan"].as_str().unwrap();
    let plan = world
        .cloud
        .bucket
        .get(address.strip_prefix("memory:get/").unwrap())
        .await
        .unwrap();
    assert!(plan.len() > 6 << 20, "{}", plan.len());
    serde_json::from_str::<workflow::Plan>(&plan).unwrap();
    let run = json!({ "task_id": assignment["task_id"], "run_id": assignment["run_id"] });
    let fresh = world.work(&worker, "urls", &run, NOW).await.ok();
    assert_eq!(fresh["plan"], assignment["urls"]["plan"]);
}

/// What nobody could hand over is not let in.
#[tokio::test]
async fn a_plan_has_a_largest_size() {
    let world = World::new().await;
    let make = async |plan: String| {
        tasks::bodies::make(
            &world.cloud.bucket,
            TaskId::new(uuid::Uuid::now_v7()),
            plan,
            None,
            None,
            vec![],
            0,
        )
        .await
    };
    let most = usize::try_from(MAX_PLAN).unwrap();
    assert!(make("x".repeat(most)).await.is_ok());
    let refused = cloud::http::HttpError::from(make("x".repeat(most + 1)).await.unwrap_err());
    assert_eq!(refused.status, 413);
    assert!(refused.to_string().contains("Shorten the style"), "{refused}");
}

/// A socket that could not be closed when its owner was revoked, or removed, is closed by the next tick.
#[tokio::test]
async fn the_tick_hangs_up_on_whoever_was_missed() {
    for removed in [false, true] {
        let world = World::new().await;
        let socket = world.painter_socket().await;
        world.submitted(NOW).await;
        world.tick(NOW + seconds(1)).await;
        assert!(world.cloud.store.get(&socket).await.unwrap().is_some(), "nobody is out");
        let account = world.get(&UserId::new(MARA)).await;
        let out = if removed {
            None
        } else {
            let mut account = account.clone();
            account.revoke(NOW + seconds(2));
            Some(account)
        };
        accounts::write(&world.cloud.store, Some(account), out).await.unwrap();
        world.tick(NOW + minutes(1)).await;
        assert!(
            world.cloud.store.get(&socket).await.unwrap().is_none(),
            "removed: {removed}"
        );
        assert!(world.cloud.sockets.send(&socket, "{}").await.is_err());
    }
}

/// A device that was signed out, and whose socket could not be closed then.
#[tokio::test]
async fn the_tick_hangs_up_on_a_device_that_was_signed_out() {
    let world = World::new().await;
    world.submitted(NOW).await;
    let (theirs, other) = (
        world
            .socket("signed-out=", UserId::new(MARA), model::Role::Painter, NOW)
            .await,
        world.painter_socket().await,
    );
    let mut session = world.get(&theirs).await;
    session.device = Some("a-tablet".to_owned());
    world.put(session).await;
    world.tick(NOW + minutes(1)).await;
    assert!(world.cloud.store.get(&theirs).await.unwrap().is_none());
    assert!(
        world.cloud.store.get(&other).await.unwrap().is_some(),
        "nobody else is out"
    );
}

/// A machine that says that it is of no use is believed, drained and replaced.
#[tokio::test]
async fn a_machine_that_calls_itself_sick_gets_no_task() {
    let world = World::new().await;
    world.submitted(NOW).await;
    let worker = world.ready(WORKER, INSTANCE, NOW).await;
    let sick = json!({ "ready": false, "sick": format!("no\nGPU {}", "x".repeat(100_000)) });
    let reply = world.work(&worker, "heartbeat", &sick, NOW + seconds(1)).await.ok();
    assert_eq!(reply["drain"], true);
    assert_eq!(world.worker(WORKER).await.state, WorkerState::Failed);
    let worker = world.worker(WORKER).await;
    let claimed = world.work(&worker, "claim", &json!({}), NOW + seconds(2)).await;
    assert!(claimed.body["assignment"].is_null(), "{claimed:?}");
    world.tick(NOW + seconds(60)).await;
    assert_ne!(world.power(INSTANCE), InstanceState::Up, "it still runs");
}

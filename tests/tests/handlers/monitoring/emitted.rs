//! Each metric that is declared is written by a handler, in a day of a studio.

use std::collections::BTreeSet;

use cloud::{aws::CallError, metrics};
use model::{MicroUsd, WorkerState, metrics::TABLE, metrics::TASK_WAIT};
use serde_json::{Value, json};

use super::emf;
use crate::support::{INSTANCE, MARA, NOW, WORKER, World, golden, http, minutes, run_id, seconds, task_id, wire};

/// A model of the studio's store, as a graph names it.
const STORED: &str = "atelier/shared/0123456789abcdef.safetensors";

/// A machine comes up, paints a picture, is begun again, and idles; somebody asks for what there is not.
async fn a_day(world: &World) {
    world.submitted(NOW).await;
    world.submit(MARA, &json!({ "input": {} }), NOW).await;
    world.ready(WORKER, INSTANCE, NOW - minutes(2)).await;
    let worker = world
        .alter_worker(WORKER, |worker| {
            worker.state = WorkerState::Warming;
            worker.outcome_due = true;
        })
        .await;
    let beat = json!({
        "ready": true,
        "gpu": { "percent": 97, "vram_used_mib": 9000, "vram_total_mib": 24000 },
        "host": { "ram_percent": 40, "disk_percent": 70 },
        "damaged": [{ "file": STORED, "from": "shared" }],
        "boot": { "kernel_ms": 4000, "userland_ms": 5000, "driver_ms": 900, "comfyui_ms": 20000, "warm_up_ms": 6000 },
    });
    world.work(&worker, "heartbeat", &beat, NOW + seconds(5)).await.ok();
    world.alter_pool(|pool| pool.monthly_limit = Some(MicroUsd(1))).await;
    world.tick(NOW + seconds(6)).await;
    let run = world.claimed(&worker, NOW + seconds(7)).await.unwrap();
    world
        .alter_task(&run.task_id, |task| {
            task.eta = Some(NOW + seconds(20));
            task.model = Some(STORED.to_owned());
        })
        .await;
    let done = json!({
        "task_id": run.task_id, "run_id": run.run_id, "offsets": [0], "size": 1000,
        "times": { "fetch_ms": 1, "execute_ms": 9000, "upload_ms": 1 },
        "reads": [{ "from": "bucket", "bytes": 7_000_000_000_u64, "ms": 4000 }, { "from": "disk", "bytes": 7_000_000_000_u64, "ms": 2500 }],
    });
    world.work(&worker, "result", &done, NOW + seconds(19)).await.ok();
    // Said twice, it counts once.
    world.work(&worker, "result", &done, NOW + seconds(19)).await.ok();
    world
        .work(&worker, "heartbeat", &json!({ "ready": false }), NOW + seconds(20))
        .await
        .ok();
    world.reap(NOW + seconds(30)).await;
}

/// What goes wrong now and then.
async fn troubles(world: &World) {
    let mut event = golden("authorize", "http");
    event["headers"]["authorization"] = Value::from("Bearer nothing");
    world.authorize.handle(&event).await.unwrap();
    // What `account` refuses by itself: a token, a guessed invitation, a sign-in that has ended.
    let mut user = http("GET /v1/user", "", None, &json!(""));
    user["headers"]["authorization"] = Value::from("Bearer nothing");
    assert_eq!(world.http(user, NOW).await.status, 401);
    let guess = http("POST /v1/sign-in", "", None, &"invitation=apple".into());
    assert_eq!(world.http(guess, NOW).await.status, 200);
    let mut ended = http("GET /v1/sign-in", "", None, &json!(""));
    ended["queryStringParameters"] = json!({ "code": "no-such-code" });
    assert_eq!(world.http(ended, NOW).await.status, 404);
    let _ = CallError::of_code("PutItem", "ThrottlingException", "slowly");
    metrics::note([TASK_WAIT.of(f64::NAN)], &[]);
}

#[tokio::test]
async fn each_metric_that_is_declared_is_written() {
    let (world, unkind) = (World::new().await, World::unkind(1).await);
    let found = emf::values(
        async {
            a_day(&world).await;
            troubles(&world).await;
            let foreseen = World::new().await;
            crate::forecast::painted(&foreseen, 8).await;
            crate::forecast::looked(&foreseen, 3, NOW).await;
            crate::forecast::keep(&foreseen, "learned", "cut o");
            foreseen.forecast(false, NOW).await;
            crate::beside::waits(crate::beside::Beside::Group, 1).await;
            for minute in 0..10 {
                unkind.submit(MARA, &wire("01_generate"), NOW + minutes(minute)).await;
            }
        },
        NOW,
    );
    let found = Box::pin(found).await;
    let names: BTreeSet<_> = found.iter().map(|((name, _), _)| name.as_str()).collect();
    for row in TABLE {
        assert!(names.contains(row.name), "nobody writes {}", row.name);
    }
    let sum = |wanted: &str| -> f64 {
        let of = found.iter().filter(|((name, _), _)| name == wanted);
        of.map(|(_, value)| value).sum()
    };
    assert_eq!(
        (
            sum("ValuesDropped"),
            sum("RefusedLogins"),
            sum("ComfyUiRestarts"),
            sum("ForecastsDamaged")
        ),
        (1.0, 4.0, 1.0, 1.0)
    );
}

#[tokio::test]
async fn what_a_picture_takes_and_costs_is_as_it_was() {
    let world = World::new().await;
    let found = Box::pin(emf::values(a_day(&world), NOW)).await;
    let of = |name: &str, of: &str| {
        let values = found
            .iter()
            .filter(|((it, series), _)| it == name && (of.is_empty() || series.values().any(|value| value == of)));
        values.map(|(_, value)| *value).collect::<Vec<_>>()
    };
    assert_eq!(of("TaskWait", ""), [7000.0]);
    assert_eq!(of("TaskTime", ""), [19_000.0]);
    assert_eq!(of("EtaError", ""), [1000.0]);
    assert_eq!(of("Tasks", "succeeded"), [1.0]);
    assert_eq!(of("TaskFailed", ""), [0.0]);
    assert_eq!(of("Starts", "came_up"), [1.0]);
    // It was asked for two minutes before, and was ready after 5 s more.
    assert_eq!(of("BootTime", "machine"), [90_000.0]);
    assert_eq!(of("BootTime", "first_picture"), [139_000.0]);
    assert_eq!(of("VramUse", ""), [37.5]);
    assert_eq!(
        (of("LoadTime", "bucket"), of("LoadTime", "disk")),
        (vec![4000.0], vec![2500.0])
    );
    assert_eq!(of("LoadTime", "memory"), [] as [f64; 0]);
    assert_eq!(of("Workers", "ready"), [1.0]);
    // A g6.xlarge where the type is not known costs as the pool says: US$ 1.006 an hour.
    let (cost, picture) = (of("MachineCost", ""), of("PictureCost", ""));
    assert!((cost[0] - 1.006 / 60.0).abs() < 1e-9, "{cost:?}");
    assert!((picture[0] - 1.006 * 12.0 / 3600.0).abs() < 1e-5, "{picture:?}");
    assert_eq!(of("LimitUsed", "").len(), 1);
}

/// Whoever has the model in the GPU reads nothing; who does not know files of the store cannot say so.
#[tokio::test]
async fn a_model_that_is_there_still_is_read_from_memory() {
    for (protocol, model, wanted) in [(3, STORED, 1), (3, "dreamshaper_8.safetensors", 0), (2, STORED, 0)] {
        let world = World::new().await;
        let found = emf::values(
            async {
                let (_, worker) = world.running(NOW).await;
                world
                    .alter_task(&task_id(), |task| task.model = Some(model.to_owned()))
                    .await;
                let worker = world
                    .alter_worker(worker.worker_id.as_str(), |it| it.protocol = Some(protocol))
                    .await;
                let done = json!({
                    "task_id": task_id(), "run_id": run_id(), "offsets": [0], "size": 1000,
                    "times": { "fetch_ms": 1, "execute_ms": 900, "upload_ms": 1 },
                    "reads": [{ "from": "bucket", "bytes": 40_000_000, "ms": 300 }],
                });
                world.work(&worker, "result", &done, NOW + seconds(5)).await.ok();
            },
            NOW,
        );
        let found = Box::pin(found).await;
        let hits = found
            .iter()
            .filter(|((name, of), value)| name == "LoadTime" && of.values().any(|it| it == "memory") && *value == 0.0);
        assert_eq!(hits.count(), wanted, "{protocol} {model}: {found:?}");
    }
}

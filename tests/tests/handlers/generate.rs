//! `generate`: submit, status, cancel, uploads.

use base64::{Engine, prelude::BASE64_STANDARD};
use cloud::{
    queue::Queued,
    tables::{BodyOf, Table},
};
use model::{
    Account, CancelCause, CatalogEntry, ConnectionId, Failure, FailureClass, Group, Member, Millis, Outcome, PoolId,
    Role, RunTimes, TaskBody, TaskId, TaskResult, TaskState, TeamId, UserId, Worker,
};
use serde_json::{Value, json};

use crate::{
    golden::{unknown, walk},
    support::{
        Answer, MARA, NOW, OTHER, POOL, TASK, UPLOAD, WORKER, WORKER_2, WORKER_SOCKET, World, http, minutes, painter,
        run_id, scrubbed, seconds, task_id, wire,
    },
};

const SUBMIT: &str = "POST /v1/generate";
const STATUS: &str = "POST /v1/status/{id}";
const TASKS: &str = "GET /v1/tasks/{id}";
const CANCEL: &str = "POST /v1/cancel/{worker}/{id}";

/// A worker that can be woken.
async fn reachable(world: &World, id: &str, socket: &str, now: Millis) -> Worker {
    world.ready(id, &format!("i-of-{id}"), now).await;
    world
        .alter_worker(id, |worker| worker.connection = Some(ConnectionId::new(socket)))
        .await
}

#[tokio::test]
async fn golden_events() {
    walk("generate", async |name, event| {
        let world = World::new().await;
        let before = NOW - seconds(30);
        match name {
            "submit" => drop(reachable(&world, WORKER, WORKER_SOCKET, NOW).await),
            "submit-refine-inline"
            | "upload-image"
            | "upload-lora"
            | "plugin-resources"
            | "admin-cost"
            | "submit-variants" => {}
            "submit-refine-uploaded" => world.memory.put_object(UPLOAD, 48_213, ""),
            "status" => {
                world.running(before).await;
                world
                    .alter_task(&task_id(), |task| {
                        task.take_progress(run_id(), 1, 0.25).unwrap();
                    })
                    .await;
            }
            "cancel" => {
                world.running(before).await;
                world
                    .alter_worker(WORKER, |worker| {
                        worker.connection = Some(ConnectionId::new(WORKER_SOCKET));
                    })
                    .await;
                world.painter_socket().await;
            }
            "task" => drop(world.queued(TASK, MARA, before).await),
            "keep" | "keep-no-longer" | "delete-task" => drop(crate::keep::finished(&world, before).await),
            "group" | "groups" | "cancel-group" => {
                let tasks = [TASK, "01a05cd7-2a00-7000-8000-0000000000a2"];
                for id in tasks {
                    world.queued(id, MARA, before).await;
                }
                world
                    .put(Group {
                        group_id: "01a05cd7-2a00-7000-8000-0000000000c1".parse().unwrap(),
                        version: 0,
                        owner: UserId::new(MARA),
                        team: TeamId::new("studio"),
                        created: before,
                        members: tasks
                            .map(|id| Member {
                                task_id: id.parse().unwrap(),
                                label: format!("of {id}"),
                            })
                            .to_vec(),
                        sheet: None,
                        votes: vec![],
                        ttl: 1,
                    })
                    .await;
            }
            "tasks" => {
                for (number, owner) in [(1, MARA), (2, OTHER), (3, MARA), (4, MARA)] {
                    let id = format!("01a05cd7-2a00-7000-8000-0000000000a{number}");
                    world.queued(&id, owner, before + seconds(number)).await;
                }
            }
            "applied" | "histories" | "history" | "history-switch" | "history-delete" | "histories-delete" => {
                crate::recording::recorded(&world, before).await;
            }
            other => unknown(other),
        }
        let answer = world.http(event, NOW).await;
        scrubbed(json!({ "status": answer.status, "body": answer.body, "effects": world.effects() }))
    })
    .await;
}

// ---------------------------------------------------------------- submit

#[tokio::test]
async fn a_submitted_task_is_small_and_its_plan_lies_apart() {
    let world = World::new().await;
    let body = world.submit(MARA, &wire("01_generate"), NOW).await.ok();
    assert_eq!(
        body,
        json!({
            "id": body["id"], "worker_id": POOL, "status": "IN_QUEUE",
            "user": { "images_generated": 0, "credits": 995 }, "position": 1, "eta_s": body["eta_s"],
        }),
        "what the plugin requires"
    );
    let [task] = world.tasks().try_into().unwrap();
    assert_eq!(task.task_id.to_string(), body["id"]);
    assert_eq!(
        (task.owner.as_str(), task.team.as_str(), task.state, task.seen_at),
        (MARA, "studio", TaskState::Queued, NOW)
    );
    assert_eq!(task.expires_at, NOW + world.settings.task_expiry);
    assert!(task.work > 0.0 && task.model.is_some());
    let stored: TaskBody = world.get(&BodyOf(task.task_id)).await;
    assert!(stored.plan.unwrap().contains("a red square"));
    assert!(stored.ttl > task.expires_at.seconds());
    let message = Queued {
        task_id: Some(task.task_id),
        pool: PoolId::new(POOL),
    };
    assert_eq!(world.take_queued(), [message]);
}

#[tokio::test]
async fn a_submit_wakes_one_free_worker_with_the_model_loaded() {
    let world = World::new().await;
    reachable(&world, WORKER, "first", NOW).await;
    reachable(&world, WORKER_2, "second", NOW).await;
    reachable(&world, "w-silent", "silent", NOW - minutes(5)).await;
    let model = "dreamshaper_8.safetensors".to_owned();
    for id in [WORKER_2, "w-silent"] {
        world
            .alter_worker(id, |worker| worker.models = vec!["other".to_owned(), model.clone()])
            .await;
    }
    let id = world.submitted(NOW).await;
    let wake = json!({ "event": "wake", "task_id": id });
    assert_eq!(world.sent(), [("second".to_owned(), wake)]);
}

#[tokio::test]
async fn a_wake_that_goes_nowhere_does_not_matter() {
    let world = World::new().await;
    reachable(&world, WORKER, "gone", NOW).await;
    world.memory.close(&ConnectionId::new("gone"));
    let id = world.submitted(NOW).await;
    assert_eq!(world.task(&id).await.state, TaskState::Queued);
    assert_eq!(world.take_queued().len(), 1);
}

#[tokio::test]
async fn a_broken_queue_does_not_stop_a_submit() {
    let world = World::new().await;
    world.memory.break_queue();
    let id = world.submitted(NOW).await;
    assert_eq!(world.task(&id).await.state, TaskState::Queued);
    assert!(world.take_queued().is_empty());
    // The minute tick makes the lost message good.
    world.tick(NOW + seconds(30)).await;
    assert_eq!(world.instances.launches(), 1);
}

async fn submit_with_key(world: &World, user: &str, key: Option<&str>) -> String {
    let mut event = http(SUBMIT, "", Some(&painter(user)), &wire("01_generate"));
    if let Some(key) = key {
        event["headers"]["Idempotency-Key"] = key.into();
    }
    let body = world.http(event, NOW).await.ok();
    body["id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn one_idempotency_key_is_one_task() {
    let world = World::new().await;
    let first = submit_with_key(&world, MARA, Some("k1")).await;
    assert_eq!(submit_with_key(&world, MARA, Some("k1")).await, first);
    assert_eq!(world.tasks().len(), 1);
    assert_eq!(world.take_queued().len(), 1);

    // Late, when the first one is over: it is not rendered again.
    let id: TaskId = first.parse().unwrap();
    world.paint(MARA, CANCEL, &first, &json!({}), NOW).await.ok();
    assert_eq!(submit_with_key(&world, MARA, Some("k1")).await, first);
    assert_eq!(world.task(&id).await.state, TaskState::Canceled);
    assert!(world.take_queued().is_empty());

    assert_ne!(submit_with_key(&world, MARA, Some("k2")).await, first);
    assert_ne!(submit_with_key(&world, OTHER, Some("k1")).await, first);
    assert_eq!(world.tasks().len(), 3);
}

#[tokio::test]
async fn requests_without_a_key_are_each_a_task() {
    let world = World::new().await;
    for key in [None, None, Some(""), Some("")] {
        submit_with_key(&world, MARA, key).await;
    }
    assert_eq!(world.tasks().len(), 4);
}

#[tokio::test]
async fn two_submits_at_once_with_one_key_are_one_task() {
    for seed in 0..20 {
        let world = World::unkind(seed).await;
        world.port.dawdle(seed);
        let (a, b, c) = tokio::join!(
            submit_with_key(&world, MARA, Some("k")),
            submit_with_key(&world, MARA, Some("k")),
            submit_with_key(&world, MARA, Some("k"))
        );
        assert!(a == b && b == c, "{a} {b} {c}");
        assert_eq!((world.tasks().len(), world.take_queued().len()), (1, 1), "seed {seed}");
    }
}

#[tokio::test]
async fn conflicts_for_no_reason_never_reach_the_painter() {
    for seed in 0..40 {
        let world = World::unkind(seed).await;
        let id = world.submitted(NOW).await;
        world
            .paint(MARA, STATUS, &id.to_string(), &json!({}), NOW + seconds(30))
            .await
            .ok();
        world
            .paint(MARA, CANCEL, &id.to_string(), &json!({}), NOW + seconds(30))
            .await
            .ok();
        assert_eq!(world.task(&id).await.state, TaskState::Canceled, "seed {seed}");
    }
}

#[tokio::test]
async fn a_body_may_come_as_base64() {
    let world = World::new().await;
    let mut event = http(SUBMIT, "", Some(&painter(MARA)), &wire("01_generate"));
    event["body"] = BASE64_STANDARD.encode(event["body"].as_str().unwrap()).into();
    event["isBase64Encoded"] = true.into();
    world.http(event.clone(), NOW).await.ok();

    event["body"] = "%%%".into();
    let answer = world.http(event, NOW).await;
    assert_eq!(answer.status, 400);
    answer.error();
}

#[tokio::test]
async fn a_large_plan_lies_in_the_bucket_and_comes_back_whole() {
    let world = World::new().await;
    let worker = world.ready(WORKER, "i-0", NOW).await;
    let prompt = "long ".repeat(60_000);
    let mut request = wire("01_generate");
    request["input"]["workflow"]["conditioning"]["positive"] = prompt.as_str().into();
    let answer = world.submit(MARA, &request, NOW).await;
    if answer.status != 200 {
        // The compiler may have a limit of its own.
        assert_eq!(answer.status, 400);
        answer.error();
        return;
    }
    let id = answer.body["id"].as_str().unwrap().parse().unwrap();
    let stored: TaskBody = world.get(&BodyOf(id)).await;
    assert!(stored.plan.is_none() && stored.plan_key.is_some());
    let assignment = world.claimed(&worker, NOW).await.unwrap();
    assert!(assignment.plan.to_string().contains(prompt.trim()));
}

fn changed(name: &str, changes: &[(&str, Value)]) -> Value {
    let mut request = wire(name);
    for (pointer, value) in changes {
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        let parent = request["input"]["workflow"]
            .pointer_mut(parent)
            .unwrap()
            .as_object_mut()
            .unwrap();
        if value.is_null() {
            parent.remove(key);
        } else {
            parent.insert(key.to_owned(), value.clone());
        }
    }
    request
}

/// A request that must be refused: 4xx in plain words, nothing written, nothing queued.
async fn refused(world: &World, body: &Value) -> Answer {
    let before = world.written();
    let answer = world.submit(MARA, body, NOW).await;
    let shown: String = body.to_string().chars().take(100).collect();
    assert!((400..500).contains(&answer.status), "{answer:?} to {shown}");
    let error = answer.error();
    assert!(error.starts_with("Validation error: "), "{error}");
    assert!(
        error.chars().count() <= 180 && error.ends_with('.') && !error.contains('\n'),
        "what the plugin shows: {error}"
    );
    assert_eq!(world.written(), before, "{shown}");
    answer
}

#[tokio::test]
async fn malformed_requests_are_refused_in_words_and_nothing_is_kept() {
    let world = World::new().await;
    let texts = [
        "",
        "{",
        "[]",
        "{}",
        "null",
        "7",
        "<html>",
        "{\"input\":{}}",
        "{\"input\":{\"workflow\":null}}",
        "{\"input\":{\"workflow\":[]}}",
        "{\"input\":{\"workflow\":{}}}",
        "{\"input\":{\"workflow\":{\"kind\":7}}}",
        "{\"input\":{\"workflow\":{\"kind\":\"generate\"}}}",
    ];
    for text in texts {
        assert_eq!(refused(&world, &text.into()).await.status, 400, "{text}");
    }
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    refused(&world, &deep.into()).await;
    for (pointer, value) in [
        ("/batch_count", json!(1_000_000)),
        ("/batch_count", json!(-1)),
        ("/sampling/total_steps", json!(1_000_000_000)),
        ("/sampling/sampler", json!("../../etc/passwd")),
        ("/images/extent/initial", json!([1_000_000, 1_000_000])),
        ("/images/extent", json!("large")),
        ("/models", Value::Null),
        ("/conditioning", Value::Null),
    ] {
        refused(&world, &changed("01_generate", &[(pointer, value)])).await;
    }
}

#[tokio::test]
async fn an_oversized_request_is_refused() {
    let world = World::new().await;
    let prompt = "x".repeat(1024 * 1024);
    let request = changed("01_generate", &[("/conditioning/positive", prompt.into())]);
    assert_eq!(refused(&world, &request).await.status, 413);
}

#[tokio::test]
async fn an_unknown_model_is_refused_by_name() {
    let world = World::new().await;
    for name in ["nobody-has-this.safetensors", "../dreamshaper_8.safetensors", ""] {
        let request = changed("01_generate", &[("/models/checkpoint", name.into())]);
        let answer = refused(&world, &request).await;
        assert!(answer.error().contains(name), "{answer:?}");
    }
    let lora = json!([{ "name": "nobody-has-this.safetensors", "strength": 1.0 }]);
    refused(&world, &changed("01_generate", &[("/models/loras", lora)])).await;
}

#[tokio::test]
async fn a_kind_that_is_unknown_is_refused() {
    let world = World::new().await;
    for (kind, word) in [("dance", "dance"), ("custom", "graph of your own")] {
        let request = changed("01_generate", &[("/kind", kind.into())]);
        let answer = refused(&world, &request).await;
        assert!(answer.error().contains(word), "{answer:?}");
    }
}

#[tokio::test]
async fn a_team_paints_with_its_own_models_only() {
    let world = World::new().await;
    for (team, name) in [("another", "theirs.safetensors"), ("studio", "ours.safetensors")] {
        world
            .put(CatalogEntry {
                arch: Some("sd15".to_owned()),
                ..CatalogEntry::on_images(TeamId::new(team), "checkpoint", name, name)
            })
            .await;
    }
    let with = |name: &str| changed("01_generate", &[("/models/checkpoint", name.into())]);
    refused(&world, &with("theirs.safetensors")).await;
    world.submit(MARA, &with("ours.safetensors"), NOW).await.ok();
}

#[tokio::test]
async fn a_painter_who_changed_teams_paints_with_the_new_teams_models() {
    let world = World::new().await;
    world
        .put(CatalogEntry {
            arch: Some("sd15".to_owned()),
            ..CatalogEntry::on_images(
                TeamId::new("studio"),
                "checkpoint",
                "ours.safetensors",
                "ours.safetensors",
            )
        })
        .await;
    let mut account: Account = world.get(&UserId::new(MARA)).await;
    account.team = TeamId::new("another");
    world.put(account).await;
    // The token still says `studio`.
    refused(
        &world,
        &changed("01_generate", &[("/models/checkpoint", "ours.safetensors".into())]),
    )
    .await;
    let id = world.submitted(NOW).await;
    assert_eq!(world.task(&id).await.team.as_str(), "another");
}

#[tokio::test]
async fn a_revoked_token_submits_nothing() {
    let world = World::new().await;
    let mut account: Account = world.get(&UserId::new(MARA)).await;
    account.tokens_valid_from = NOW + seconds(1);
    world.put(account).await;
    let before = world.written();
    for user in [MARA, "nobody"] {
        let answer = world.submit(user, &wire("01_generate"), NOW).await;
        assert_eq!(answer.status, 401);
        assert!(answer.error().contains("sign in again"), "{answer:?}");
    }
    assert_eq!(world.written(), before);
}

// ---------------------------------------------------------------- pictures

fn with_image(data: Value) -> Value {
    changed("02_refine", &[("/image_data", data)])
}

#[tokio::test]
async fn an_uploaded_picture_is_pinned() {
    let world = World::new().await;
    world.memory.put_object(UPLOAD, 48_213, "");
    let body = world.submit(MARA, &wire("02_refine"), NOW).await.ok();
    let id = body["id"].as_str().unwrap().parse().unwrap();
    let inputs = world.get(&BodyOf(id)).await.inputs.unwrap();
    assert_eq!(
        (
            inputs.key.as_deref(),
            inputs.size,
            inputs.offsets.as_slice(),
            inputs.base64
        ),
        (Some(UPLOAD), 48_213, [0].as_slice(), None)
    );
    assert_eq!(inputs.etag.unwrap(), format!("etag-of-{UPLOAD}"));
}

#[tokio::test]
async fn a_picture_that_is_not_the_painters_whole_upload_is_refused() {
    let world = World::new().await;
    let object = UPLOAD.rsplit('/').next().unwrap();
    let refer = |object: &str, offsets: Value| with_image(json!({ "s3_object": object, "offsets": offsets }));
    // Nobody uploaded it; another painter did.
    refused(&world, &refer(object, json!([0]))).await;
    world.memory.put_object(&format!("uploads/{OTHER}/{object}"), 100, "");
    let missing = refused(&world, &refer(object, json!([0]))).await;
    assert!(missing.error().contains("does not exist"), "{missing:?}");
    let escape = format!("../{OTHER}/{object}");
    for name in [escape.as_str(), "", "results/x", "%2e%2e/x"] {
        refused(&world, &refer(name, json!([0]))).await;
    }
    // Too large, and cut off: the last picture begins behind the end.
    world.memory.put_object(UPLOAD, world.settings.max_upload + 1, "");
    let large = refused(&world, &refer(object, json!([0]))).await;
    assert!(large.error().contains("too large"), "{large:?}");
    world.memory.put_object(UPLOAD, 100, "");
    for offsets in [json!([]), json!([100]), json!([0, 4000]), json!([-1]), json!("0")] {
        refused(&world, &refer(object, offsets)).await;
    }
    world.submit(MARA, &refer(object, json!([0])), NOW).await.ok();
}

#[tokio::test]
async fn a_picture_in_the_request_is_checked() {
    let world = World::new().await;
    let inline = |text: &str, offsets: Value| with_image(json!({ "base64": text, "offsets": offsets }));
    let small = BASE64_STANDARD.encode([7; 300]);
    refused(&world, &inline("not base64!", json!([0]))).await;
    refused(&world, &inline("", json!([0]))).await;
    refused(&world, &inline(&small, json!([300]))).await;
    refused(&world, &inline(&BASE64_STANDARD.encode(vec![7; 20_000]), json!([0]))).await;
    refused(&world, &with_image(json!({ "offsets": [0] }))).await;
    refused(&world, &with_image(Value::Null)).await;
    let body = world.submit(MARA, &inline(&small, json!([0])), NOW).await.ok();
    let id = body["id"].as_str().unwrap().parse().unwrap();
    let inputs = world.get(&BodyOf(id)).await.inputs.unwrap();
    assert_eq!((inputs.base64, inputs.size, inputs.key), (Some(small), 300, None));
}

#[tokio::test]
async fn uploads_lie_in_the_callers_own_folder() {
    let world = World::new().await;
    let upload = async |user: &str| {
        let body = world
            .paint(user, "POST /v1/upload/image", "", &json!({}), NOW)
            .await
            .ok();
        let (url, object) = (body["url"].as_str().unwrap(), body["object"].as_str().unwrap());
        assert_eq!(url, format!("memory:put/uploads/{user}/{object}"));
        object.to_owned()
    };
    let (first, second, other) = (upload(MARA).await, upload(MARA).await, upload(OTHER).await);
    assert!(first != second && second != other);
    assert!(world.all::<Value>(Table::Tasks).is_empty());
}

#[tokio::test]
async fn uploads_that_no_request_has_used_are_counted() {
    let world = World::new().await;
    let upload = async |now| world.paint(MARA, "POST /v1/upload/image", "", &json!({}), now).await;
    let most = world.settings.max_open_uploads;
    let mut last = Value::Null;
    for second in 0..most {
        last = upload(NOW + seconds(u64::from(second))).await.ok()["object"].clone();
    }
    let now = NOW + minutes(2);
    let refused = upload(now).await;
    assert_eq!(refused.status, 429);
    assert!(refused.error().contains("Try again in 9 min"), "{refused:?}");

    // A request that names one makes room for one; so does time.
    let object = last.as_str().unwrap();
    world.memory.put_object(&format!("uploads/{MARA}/{object}"), 100, "");
    let with_one = with_image(json!({ "s3_object": object, "offsets": [0] }));
    world.submit(MARA, &with_one, now).await.ok();
    upload(now).await.ok();
    assert_eq!(upload(now).await.status, 429);
    upload(NOW + world.settings.upload_life).await.ok();
    assert_eq!(upload(NOW + world.settings.upload_life).await.status, 429);
}

// ---------------------------------------------------------------- status and cancel

/// Without what is left of the budget, which comes once it is over.
async fn status(world: &World, now: Millis) -> Value {
    let mut status = world.paint(MARA, STATUS, TASK, &json!({}), now).await.ok();
    let over = !["IN_QUEUE", "IN_PROGRESS"].contains(&status["status"].as_str().unwrap());
    let left = status.as_object_mut().unwrap().remove("user");
    assert!(left.is_none() || over, "{status}");
    status
}

#[tokio::test]
async fn each_state_has_its_words() {
    let world = World::new().await;
    let result = || TaskResult {
        key: format!("results/{TASK}/{}", run_id()),
        offsets: vec![0, 5],
        size: 9,
        lora_warning: false,
        pose: None,
        ..TaskResult::default()
    };
    let failure = |class, message: &str| Outcome::Failed(Failure::new(class, message));
    let times = RunTimes {
        fetch: 1,
        execute: 2,
        upload: 3,
    };
    world.queued(TASK, MARA, NOW).await;
    assert_eq!(status(&world, NOW).await, json!({ "status": "IN_QUEUE" }));
    world.running(NOW).await;
    let running = world.task(&task_id()).await;
    assert_eq!(
        status(&world, NOW).await,
        json!({ "status": "IN_PROGRESS", "output": { "progress": 0.0 } })
    );
    let with = async |change: &dyn Fn(&mut model::Task)| {
        let mut task = running.clone();
        change(&mut task);
        world.put(task).await;
        status(&world, NOW).await
    };
    let end = |outcome: Outcome| {
        move |task: &mut model::Task| {
            task.end_run(run_id(), outcome.clone(), NOW).unwrap();
        }
    };
    let cancel = |cause| {
        move |task: &mut model::Task| {
            task.cancel(cause, NOW);
        }
    };
    assert_eq!(
        with(&end(Outcome::Succeeded(result(), times))).await,
        json!({
            "status": "COMPLETED",
            "output": { "images": { "url": format!("memory:get/results/{TASK}/{}", run_id()), "offsets": [0, 5] } },
            "times": { "fetch_ms": 1, "execute_ms": 2, "upload_ms": 3 },
        })
    );
    assert_eq!(
        with(&end(failure(FailureClass::User, "This needs a larger GPU."))).await,
        json!({ "status": "FAILED", "error": "This needs a larger GPU." })
    );
    assert_eq!(
        with(&end(failure(FailureClass::Infrastructure, "x"))).await,
        json!({ "status": "IN_QUEUE" })
    );
    assert_eq!(with(&cancel(CancelCause::User)).await, json!({ "status": "CANCELLED" }));
    assert_eq!(
        with(&cancel(CancelCause::Expired)).await,
        json!({ "status": "TIMED_OUT" })
    );
    for (cause, word) in [(CancelCause::User, "CANCELLED"), (CancelCause::Expired, "TIMED_OUT")] {
        let ended = move |task: &mut model::Task| {
            task.cancel(cause, NOW);
            task.end_run(run_id(), Outcome::Interrupted, NOW).unwrap();
        };
        assert_eq!(with(&ended).await, json!({ "status": word }));
    }
}

#[tokio::test]
async fn anothers_task_does_not_exist() {
    let world = World::new().await;
    world.queued(TASK, OTHER, NOW).await;
    let before = world.written();
    for route in [STATUS, TASKS, CANCEL] {
        for id in [TASK, "01a05cd7-2a00-7000-8000-0000000000ff", "none", "..", ""] {
            let answer = world.paint(MARA, route, id, &json!({}), NOW + minutes(1)).await;
            assert_eq!(answer.status, 404, "{route} {id}");
            // These two make another path of it.
            let words = if ["", ".."].contains(&id) {
                "There is nothing here."
            } else {
                "There is no such task."
            };
            assert_eq!(answer.error(), words);
        }
    }
    assert_eq!(world.written(), before);
}

#[tokio::test]
async fn polling_shows_that_somebody_waits_and_costs_few_writes() {
    let world = World::new().await;
    let id = world.queued(TASK, MARA, NOW).await;
    let version = world.task(&id).await.version;
    for half_seconds in 0..39 {
        status(&world, Millis(NOW.0 + 500 * half_seconds)).await;
    }
    assert_eq!(world.task(&id).await.version, version);
    status(&world, NOW + seconds(20)).await;
    assert_eq!(world.task(&id).await.seen_at, NOW + seconds(20));
    // A late poll takes nothing back.
    status(&world, NOW + seconds(5)).await;
    assert_eq!(world.task(&id).await.seen_at, NOW + seconds(20));
    // A task that is over is not written any more.
    world
        .alter_task(&id, |task| {
            task.cancel(CancelCause::User, NOW);
        })
        .await;
    assert_eq!(world.take_queued().len(), 1, "somebody is there");
    let before = world.written();
    assert_eq!(status(&world, NOW + minutes(9)).await["status"], "CANCELLED");
    assert_eq!(world.written(), before);
}

#[tokio::test]
async fn a_waiting_task_is_explained() {
    let world = World::new().await;
    world.queued(TASK, MARA, NOW).await;
    let note = async || world.paint(MARA, TASKS, TASK, &json!({}), NOW).await.ok()["note"].clone();
    assert_eq!(note().await, "Waiting for a GPU.");
    world.dispatch_tasks(&[task_id()], NOW).await;
    assert_eq!(note().await, "A GPU is waking up; this takes one or two minutes.");
    world.running(NOW).await;
    assert_eq!(note().await, Value::Null);
}

async fn cancel(world: &World) -> Value {
    world.paint(MARA, CANCEL, TASK, &json!({}), NOW).await.ok()["status"].clone()
}

#[tokio::test]
async fn cancelling_a_waiting_task_ends_it_and_twice_is_once() {
    let world = World::new().await;
    let id = world.queued(TASK, MARA, NOW).await;
    let socket = world.painter_socket().await;
    assert_eq!(cancel(&world).await, "CANCELLED");
    let told = world.sent();
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].0, socket.to_string());
    assert_eq!(told[0].1["state"], "canceled");
    let before = world.written();
    assert_eq!(cancel(&world).await, "CANCELLED");
    assert_eq!(world.written(), before);
    assert!(world.sent().is_empty());
    assert_eq!(world.task(&id).await.state, TaskState::Canceled);
}

#[tokio::test]
async fn cancelling_a_running_task_tells_its_worker_alone() {
    let world = World::new().await;
    world.running(NOW).await;
    for (id, socket) in [(WORKER, "mine"), (WORKER_2, "other")] {
        if id == WORKER_2 {
            world.ready(id, "i-2", NOW).await;
        }
        world
            .alter_worker(id, |worker| worker.connection = Some(ConnectionId::new(socket)))
            .await;
    }
    assert_eq!(cancel(&world).await, "CANCELLED");
    let told = world.sent();
    assert_eq!(
        told,
        [("mine".to_owned(), json!({ "event": "cancel", "run_id": run_id() }))]
    );
    assert_eq!(world.task(&task_id()).await.state, TaskState::Canceling);
    assert_eq!(cancel(&world).await, "CANCELLED");
    assert!(world.sent().is_empty(), "the heartbeat repeats it, not the painter");
    // An expiry that comes late does not change the cause.
    world.tick(NOW + seconds(5)).await;
    assert_eq!(status(&world, NOW + seconds(5)).await["status"], "CANCELLED");
}

#[tokio::test]
async fn a_cancel_that_comes_too_late_says_how_it_ended() {
    let world = World::new().await;
    world.running(NOW).await;
    let result = TaskResult {
        key: String::new(),
        offsets: vec![0],
        size: 1,
        lora_warning: false,
        pose: None,
        ..TaskResult::default()
    };
    world
        .alter_task(&task_id(), |task| {
            task.end_run(run_id(), Outcome::Succeeded(result, RunTimes::default()), NOW)
                .unwrap();
        })
        .await;
    let before = world.written();
    assert_eq!(cancel(&world).await, "COMPLETED");
    assert_eq!(world.written(), before);
}

#[tokio::test]
async fn a_gone_painters_socket_is_forgotten() {
    let world = World::new().await;
    world.queued(TASK, MARA, NOW).await;
    let gone = world.socket("gone", UserId::new(MARA), Role::Painter, NOW).await;
    world.memory.close(&gone);
    let open = world.painter_socket().await;
    cancel(&world).await;
    assert_eq!(
        world.sent().iter().map(|(to, _)| to.clone()).collect::<Vec<_>>(),
        [open.to_string()]
    );
    assert_eq!(world.port.get(&gone).await, None);
    assert!(world.port.get(&open).await.is_some());
}

/// Requests within a second go by one look at the line; who is free is looked up for each.
#[tokio::test]
async fn a_line_is_a_second_old_at_most() {
    let world = World::new().await;
    let (lines, pool) = (tasks::line::Lines::default(), PoolId::new(POOL));
    let settings = model::Settings::default();
    let read = async |now| lines.read(&world.cloud, &pool, &settings, now).await.unwrap();
    let before = read(NOW).await;
    world.alter_pool(|pool| pool.max_workers = 77).await;
    world.ready(WORKER, "i-0", NOW).await;
    let soon = read(NOW + settings.line_age - std::time::Duration::from_millis(1)).await;
    assert_eq!(soon.pool.unwrap().max_workers, before.pool.unwrap().max_workers);
    assert_eq!((before.workers.len(), soon.workers.len()), (0, 1));
    let later = read(NOW + settings.line_age).await;
    assert_eq!(later.pool.unwrap().max_workers, 77);
}

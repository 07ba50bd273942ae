//! The table of limits in `docs/limits.md`: as much as is allowed goes through whole, one more does not.

use base64::{
    Engine,
    prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD},
};
use cloud::{page::Cursor, tables::TasksOf};
use model::{Failure, FailureClass, TaskResult, UserId};
use serde_json::{Value, json};

use crate::{
    bad_input::{sent, taken, with, world},
    support::{
        INSTANCE, MARA, NOW, TEAM, WORKER, World, http, painter, socket_event, task_id, wire, worker_context, workspace,
    },
};

/// The walked table: name and limit.
fn rows() -> Vec<(String, usize)> {
    let text = std::fs::read_to_string(workspace().join("docs/limits.md")).unwrap();
    let (table, _) = text.split_once("# The worker's").unwrap();
    let rows = table.lines().filter_map(|line| {
        let (name, rest) = line.strip_prefix("| `")?.split_once("` | ")?;
        let (most, _) = rest.split_once(" |")?;
        Some((name.to_owned(), most.parse().expect("a number")))
    });
    rows.collect()
}

const CASES: &[&str] = &[
    "any_body",
    "submit_body",
    "inline_picture",
    "uploaded_picture",
    "stored_pictures",
    "open_uploads",
    "lora_file",
    "team_loras",
    "team_lora_bytes",
    "prompt",
    "merged_prompt",
    "batch",
    "variants",
    "variant_axes",
    "steps",
    "side",
    "pass_side",
    "pass_pixels",
    "result_pixels",
    "tiles",
    "tile_parts",
    "regions",
    "region_loras",
    "loras",
    "named_loras",
    "controls",
    "references",
    "plan",
    "tasks_page",
    "sync",
    "preview",
    "path",
    "id",
    "cursor",
    "device_name",
    "client_id",
    "worker_model",
    "worker_models",
    "result",
    "result_pictures",
    "result_bytes",
    "thumbnail",
    "picture_alone",
    "histories",
    "history_steps",
    "history_picture",
    "history_pictures",
    "applied",
    "failure_message",
    "logged_error",
];

/// Whether a run's pictures are taken that begin at these bytes and have so many bytes together.
async fn ended(world: &World, offsets: Vec<usize>, size: usize) -> bool {
    let (task, worker) = world.running(NOW).await;
    let run = task.run.unwrap().run_id;
    let times = json!({ "fetch_ms": 1, "execute_ms": 2, "upload_ms": 3 });
    let body = json!({ "run_id": run, "task_id": task.task_id, "offsets": offsets, "size": size, "times": times });
    world.work(&worker, "result", &body, NOW).await.status == 200
}

/// Text of so many bytes that is this JSON.
fn padded(value: &Value, bytes: usize) -> Value {
    let text = value.to_string();
    (text.clone() + &" ".repeat(bytes - text.len())).into()
}

/// What the tables keep of the models that a worker says it has loaded.
async fn models(world: &World, said: Vec<String>) -> Vec<String> {
    let worker = world.ready(WORKER, INSTANCE, NOW).await;
    let beat = json!({ "ready": true, "models": said });
    world.work(&worker, "heartbeat", &beat, NOW).await.ok();
    world.worker(WORKER).await.models
}

/// The storage id of the uploaded LoRA of this number.
fn lora(number: usize) -> Value {
    let mut hash = [0; 32];
    hash[..8].copy_from_slice(&number.to_le_bytes());
    json!({ "name": "mine.safetensors", "strength": 0.5, "storage_id": BASE64_STANDARD.encode(hash) })
}

/// Announces this LoRA; what the upload's place is, in a word.
async fn announce(world: &World, number: usize, size: u64) -> String {
    let body = json!({ "hash": lora(number)["storage_id"], "size": size });
    let answer = world.paint(MARA, "POST /v1/upload/lora", "", &body, NOW).await.ok();
    answer["status"].as_str().unwrap().to_owned()
}

/// Announces a LoRA, and sends it.
async fn upload(world: &World, number: usize) {
    announce(world, number, 1000).await;
    let mut key = format!("loras/{TEAM}/");
    key.extend(number.to_le_bytes().map(|byte| format!("{byte:02x}")));
    key.push_str(&"00".repeat(24));
    world.memory.put_object(&key, 1000, "");
}

/// Whether a request is refused for nothing but that there is too much of something.
async fn not_too_many(world: &World, request: &Value) -> bool {
    let answer = world.submit(MARA, request, NOW).await;
    answer.status == 200 || !answer.error().contains("too many")
}

/// Whether so much goes through whole.
async fn goes_through(name: &str, n: usize) -> bool {
    let world = world().await;
    let memory = &world.memory;
    let request = |name, pointer, value| with(memory, name, &[(pointer, value)]);
    match name {
        "any_body" => {
            let worker = world.ready(WORKER, INSTANCE, NOW).await;
            let caller = worker_context(WORKER, worker.generation, NOW);
            let event = http(
                "POST /v1/workers/{id}/claim",
                WORKER,
                Some(&caller),
                &padded(&json!({}), n),
            );
            world.http(event, NOW).await.status == 200
        }
        "submit_body" => {
            let body = padded(&with(memory, "01_generate", &[]), n);
            sent(&world, http("POST /v1/generate", "", Some(&painter(MARA)), &body), name).await
        }
        "inline_picture" => {
            let offsets = &wire("02_refine")["input"]["workflow"]["image_data"]["offsets"];
            let offsets: Vec<_> = (0..offsets.as_array().unwrap().len()).collect();
            let data = json!({ "base64": BASE64_STANDARD.encode(vec![0; n]), "offsets": offsets });
            taken(&world, &request("02_refine", "/image_data", data)).await
        }
        "uploaded_picture" => {
            let request = with(memory, "02_refine", &[]);
            let object = request["input"]["workflow"]["image_data"]["s3_object"]
                .as_str()
                .unwrap();
            memory.put_object(&format!("uploads/{MARA}/{object}"), n as u64, "");
            taken(&world, &request).await
        }
        "stored_pictures" => {
            let offsets = (0..n).collect();
            taken(&world, &request("02_refine", "/image_data/offsets", offsets)).await
        }
        "team_loras" => {
            let mut last = String::new();
            for number in 0..n {
                last = announce(&world, number, 1).await;
            }
            last == "upload"
        }
        "team_lora_bytes" => {
            let (mut left, mut last) = (n as u64, String::new());
            for number in 0.. {
                let size = left.min(world.settings.max_lora);
                last = announce(&world, number, size).await;
                left -= size;
                if left == 0 {
                    break;
                }
            }
            last == "upload"
        }
        "open_uploads" => {
            let mut last = 0;
            for _ in 0..n {
                let answer = world.paint(MARA, "POST /v1/upload/image", "", &json!({}), NOW).await;
                last = answer.status;
            }
            last == 200
        }
        "lora_file" => {
            let body = json!({ "hash": BASE64_STANDARD.encode([0; 32]), "size": n });
            let answer = world.paint(MARA, "POST /v1/upload/lora", "", &body, NOW).await;
            answer.ok()["status"] == "upload"
        }
        "prompt" => {
            taken(
                &world,
                &request("01_generate", "/conditioning/positive", "x".repeat(n).into()),
            )
            .await
        }
        "merged_prompt" => {
            let style = "{prompt}".to_owned() + &" {prompt}".repeat(9);
            // Ten times the prompt, and what the style says itself.
            let (times, own) = (10, style.len());
            let prompt = "x".repeat((n - own) / times);
            let rest = " ".repeat((n - own) % times);
            let changes = [
                ("/conditioning/positive", prompt.into()),
                ("/conditioning/style", (style + &rest).into()),
            ];
            taken(&world, &with(memory, "01_generate", &changes)).await
        }
        "side" => {
            taken(
                &world,
                &request("07_upscale_simple", "/images/extent/target", json!([n, 64])),
            )
            .await
        }
        "pass_side" => {
            let extent = json!([n.next_multiple_of(8), 64]);
            let changes =
                ["input", "initial", "desired", "target"].map(|it| (format!("/images/extent/{it}"), extent.clone()));
            let changes = changes.each_ref().map(|(at, value)| (at.as_str(), value.clone()));
            taken(&world, &with(memory, "01_generate", &changes)).await
        }
        "pass_pixels" => {
            // The next number of pixels that three pictures can have, where two squares were enough.
            let (count, side) = if n.is_multiple_of(2) { (2, 4096) } else { (3, 2736) };
            let extent = json!([4096, side]);
            let changes = [
                ("/images/extent/input", extent.clone()),
                ("/images/extent/initial", extent.clone()),
                ("/images/extent/desired", extent.clone()),
                ("/images/extent/target", extent),
                ("/batch_count", count.into()),
            ];
            taken(&world, &with(memory, "01_generate", &changes)).await
        }
        "result_pixels" => {
            let extent = json!([n.div_ceil(8192), 8192]);
            taken(&world, &request("07_upscale_simple", "/images/extent/target", extent)).await
        }
        "tiles" => {
            let [columns, lines] = if n.is_multiple_of(8) { [8, n / 8] } else { [n / 5, 5] };
            let extent = json!([columns * 512, lines * 512]);
            let changes = [
                ("/images/extent/initial", extent.clone()),
                ("/images/extent/target", extent),
                ("/images/extent/desired", json!([512, 512])),
                ("/upscale/tile_overlap", 0.into()),
            ];
            taken(&world, &with(memory, "06_upscale_tiled", &changes)).await
        }
        "tile_parts" => {
            let ([columns, lines], parts) = if n.is_multiple_of(64) {
                ([8, 8], n / 64)
            } else {
                ([n / 25, 1], 25)
            };
            let extent = json!([columns * 256, lines * 256]);
            let region =
                json!({ "mask": 0, "bounds": [0, 0, 64, 64], "positive": "a tree", "control": [], "loras": [] });
            let changes = [
                ("/images/extent/initial", extent.clone()),
                ("/images/extent/target", extent),
                ("/images/extent/desired", json!([256, 256])),
                ("/upscale/tile_overlap", 0.into()),
                // The captured request has a control layer.
                ("/conditioning/regions", vec![region; parts - 1].into()),
            ];
            taken(&world, &with(memory, "06_upscale_tiled", &changes)).await
        }
        "batch" => taken(&world, &request("01_generate", "/batch_count", n.into())).await,
        "variants" | "variant_axes" => {
            let parts = (0..n).map(|part| (format!("p{part}"), json!(["x"])));
            let variants = match name {
                "variants" => json!({ "seeds": n }),
                _ => json!({ "prompt_parts": parts.collect::<serde_json::Map<_, _>>() }),
            };
            let prompt = (0..n).map(|part| format!("{{p{part}}}")).collect::<Vec<_>>().concat();
            let mut body = with(memory, "01_generate", &[("/conditioning/positive", prompt.into())]);
            body["input"]["variants"] = variants;
            world.submit(MARA, &body, NOW).await.status == 200
        }
        "steps" => taken(&world, &request("01_generate", "/sampling/total_steps", n.into())).await,
        "regions" => {
            let region =
                json!({ "mask": 0, "bounds": [0, 0, 64, 64], "positive": "a tree", "control": [], "loras": [] });
            let regions = vec![region; n].into();
            taken(&world, &request("02_refine", "/conditioning/regions", regions)).await
        }
        "region_loras" => {
            upload(&world, 0).await;
            let of = |count: usize| json!({ "mask": 0, "bounds": [0, 0, 64, 64], "positive": "a tree", "control": [], "loras": vec![lora(0); count] });
            let regions = json!([of(n / 2), of(n - n / 2)]);
            taken(&world, &request("02_refine", "/conditioning/regions", regions)).await
        }
        "loras" => {
            upload(&world, 0).await;
            taken(
                &world,
                &request("01_generate", "/models/loras", vec![lora(0); n].into()),
            )
            .await
        }
        "named_loras" => {
            for number in 0..n {
                upload(&world, number).await;
            }
            // In both places, since each has a limit of its own.
            let named = |range: std::ops::Range<usize>| -> Value { range.map(lora).collect() };
            let region = json!({
                "mask": 0, "bounds": [0, 0, 64, 64], "positive": "a tree", "control": [], "loras": named(0..n / 2)
            });
            let changes = [
                ("/models/loras", named(n / 2..n)),
                ("/conditioning/regions", json!([region])),
            ];
            taken(&world, &with(memory, "02_refine", &changes)).await
        }
        "controls" | "references" => {
            let mode = if name == "controls" { "canny_edge" } else { "reference" };
            let controls = vec![json!({ "mode": mode, "image": 0 }); n].into();
            not_too_many(&world, &request("02_refine", "/conditioning/control", controls)).await
        }
        "plan" => {
            let bucket = &world.cloud.bucket;
            tasks::bodies::make(bucket, task_id(), " ".repeat(n), None, None, vec![], 0)
                .await
                .is_ok()
        }
        "tasks_page" => {
            let mut event = http("GET /v1/tasks", "", Some(&painter(MARA)), &json!(null));
            event["queryStringParameters"] = json!({ "limit": n.to_string() });
            world.http(event, NOW).await.status == 200
        }
        "sync" => {
            let mut ids = Vec::new();
            for _ in 0..n {
                ids.push(world.submitted(NOW).await);
            }
            let connection = world.painter_socket().await;
            let message = json!({ "action": "sync", "tasks": ids });
            let event = socket_event("sync", connection.as_str(), &painter(MARA), Some(&message));
            let before = world.sent().len();
            assert_eq!(world.push(event, NOW).await, 200);
            world.sent().len() - before == n
        }
        "preview" => {
            let (task, _) = world.running(NOW).await;
            let socket = world.painter_socket().await;
            let look = json!({ "action": "look", "task_id": task.task_id });
            let event = socket_event("sync", socket.as_str(), &painter(MARA), Some(&look));
            assert_eq!(world.push(event, NOW).await, 200);
            let mut jpeg = vec![0; n];
            jpeg[..3].copy_from_slice(&[0xff, 0xd8, 0xff]);
            let message = json!({
                "action": "preview", "task_id": task.task_id, "run_id": task.run.unwrap().run_id, "seq": 1,
                "jpeg": BASE64_STANDARD.encode(jpeg),
            });
            let event = socket_event("sync", "workers", &worker_context(WORKER, 1, NOW), Some(&message));
            world.push(event, NOW).await;
            !world.sent().is_empty()
        }
        "result" => {
            let (task, worker) = world.running(NOW).await;
            let body = json!({ "run_id": task.run.unwrap().run_id, "task_id": task.task_id, "size": n });
            world.work(&worker, "urls", &body, NOW).await.status == 200
        }
        "result_pictures" => ended(&world, (0..n).collect(), n).await,
        "result_bytes" => ended(&world, vec![0], n).await,
        "thumbnail" => {
            let (task, worker) = world.running(NOW).await;
            let run = task.run.unwrap().run_id;
            let body = json!({ "run_id": run, "task_id": task.task_id, "thumbnails": [n] });
            let urls = world.work(&worker, "urls", &body, NOW).await.status == 200;
            let times = json!({ "fetch_ms": 1, "execute_ms": 2, "upload_ms": 3 });
            let body = json!({
                "run_id": run, "task_id": task.task_id, "offsets": [0], "size": 9, "times": times, "thumbnails": [n],
            });
            let result = world.work(&worker, "result", &body, NOW).await.status == 200;
            assert_eq!(urls, result);
            result
        }
        "picture_alone" => {
            let (offsets, size) = (vec![0, 7], n as u64 + 7);
            let result = TaskResult {
                offsets,
                size,
                ..TaskResult::default()
            };
            let whole = result.alone().nth(1).unwrap();
            assert_eq!(result.alone().next(), Some(Some(0..7)));
            whole == Some(7..size)
        }
        "path" => {
            let mut event = http("GET /v1/tasks", "", Some(&painter(MARA)), &json!(null));
            let path = event["rawPath"].as_str().unwrap().len();
            event["queryStringParameters"] = json!({ "x": "x".repeat(n - path - 2) });
            world.http(event, NOW).await.status == 200
        }
        "id" => {
            let caller = worker_context(WORKER, world.ready(WORKER, INSTANCE, NOW).await.generation, NOW);
            let event = http("POST /v1/workers/{id}/claim", &"x".repeat(n), Some(&caller), &json!({}));
            world.http(event, NOW).await.status != 404
        }
        "cursor" => {
            for _ in 0..2 {
                world.submitted(NOW).await;
            }
            let (store, mara) = (&world.cloud.store, UserId::new(MARA));
            let next = store.page(TasksOf(&mara), None, 1).await.unwrap().next.unwrap();
            let next = BASE64_URL_SAFE_NO_PAD.decode(next.as_ref()).unwrap();
            let mut keys: Value = serde_json::from_slice(&next).unwrap();
            keys["task_id"] = "x".repeat(n).into();
            let next = Cursor::from(BASE64_URL_SAFE_NO_PAD.encode(keys.to_string()));
            store.page(TasksOf(&mara), Some(&next), 1).await.is_ok()
        }
        "device_name" => {
            let body = json!({ "client_id": "a-client", "client_info": "x".repeat(n) });
            world
                .http(http("POST /v1/auth/initiate", "", None, &body), NOW)
                .await
                .ok();
            world.written().contains(&"x".repeat(n))
        }
        "client_id" => {
            let body = json!({ "client_id": "x".repeat(n), "client_info": "Krita" });
            world
                .http(http("POST /v1/auth/initiate", "", None, &body), NOW)
                .await
                .status
                == 200
        }
        "worker_model" => models(&world, vec!["x".repeat(n)]).await.len() == 1,
        "worker_models" => {
            let said = (0..n).map(|number| format!("{number}.safetensors")).collect();
            models(&world, said).await.len() == n
        }
        "histories" | "history_steps" | "history_picture" | "history_pictures" | "applied" => {
            crate::recording::goes_through(&world, name, n).await
        }
        "failure_message" => Failure::new(FailureClass::User, "x".repeat(n)).message == "x".repeat(n),
        "logged_error" => cloud::chain(&std::io::Error::other("x".repeat(n))) == "x".repeat(n),
        other => panic!("no test for the limit {other}"),
    }
}

#[tokio::test]
async fn every_limit_of_the_table_holds_to_the_last_byte() {
    let rows = rows();
    let names: Vec<_> = rows.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, CASES, "rows of docs/limits.md, and their tests");
    let mut wrong = Vec::new();
    for (name, most) in &rows {
        let found = [
            Box::pin(goes_through(name, *most)).await,
            Box::pin(goes_through(name, *most + 1)).await,
        ];
        if found != [true, false] {
            wrong.push((name, found));
        }
    }
    assert!(
        wrong.is_empty(),
        "[as much as is allowed, one more] that goes through: {wrong:?}"
    );
}

//! The table of limits in `docs/limits.md`: as much as is allowed goes through whole, one more does not.

use base64::{Engine, prelude::BASE64_STANDARD};
use model::{Failure, FailureClass};
use serde_json::{Value, json};

use crate::{
    bad_input::{sent, taken, with, world},
    support::{INSTANCE, MARA, NOW, WORKER, World, http, painter, wire, worker_context, workspace},
};

/// The walked table: name and limit.
fn rows() -> Vec<(String, usize)> {
    let text = std::fs::read_to_string(workspace().join("docs/limits.md")).unwrap();
    let rows = text.lines().filter_map(|line| {
        let (name, rest) = line.strip_prefix("| `")?.split_once("` | ")?;
        let (most, _) = rest.split_once(" |")?;
        Some((name.to_owned(), most.parse().expect("a number")))
    });
    rows.collect()
}

const CASES: [&str; 15] = [
    "any_body",
    "submit_body",
    "inline_picture",
    "uploaded_picture",
    "open_uploads",
    "lora_file",
    "prompt",
    "batch",
    "steps",
    "regions",
    "client_id",
    "worker_model",
    "worker_models",
    "failure_message",
    "logged_error",
];

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
        "batch" => taken(&world, &request("01_generate", "/batch_count", n.into())).await,
        "steps" => taken(&world, &request("01_generate", "/sampling/total_steps", n.into())).await,
        "regions" => {
            let region =
                json!({ "mask": 0, "bounds": [0, 0, 64, 64], "positive": "a tree", "control": [], "loras": [] });
            let regions = vec![region; n].into();
            taken(&world, &request("02_refine", "/conditioning/regions", regions)).await
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
        let found = [goes_through(name, *most).await, goes_through(name, *most + 1).await];
        if found != [true, false] {
            wrong.push((name, found));
        }
    }
    assert!(
        wrong.is_empty(),
        "[as much as is allowed, one more] that goes through: {wrong:?}"
    );
}

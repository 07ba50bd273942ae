//! Faults strike when asked for, and end when cleared.

#![allow(clippy::unwrap_used, reason = "a test may fail loudly, its helpers too")]

mod common;

use std::time::Duration;

use comfyui_double::{Double, Faults, NodeFault, Stats};
use common::{Client, get, http, post, post_graph, random_id, recorded_text, run, submit, tiny};
use serde_json::{Value, json};

fn graph(seed: u64) -> String {
    let mut graph: Value = serde_json::from_str(&recorded_text("previews", "graph")).unwrap();
    graph["3"]["inputs"]["seed"] = json!(seed);
    graph.to_string()
}

async fn set(double: &Double, faults: Value) {
    let (status, reply) = post(format!("{}/double/faults", double.url()), &faults).await;
    assert_eq!(status, 200, "{reply}");
}

#[tokio::test]
async fn faults_over_http() {
    let double = tiny().start().await.unwrap();
    let url = format!("{}/double/faults", double.url());
    set(
        &double,
        json!({ "history_lag_ms": 5, "hang": { "class": "VAEDecode" } }),
    )
    .await;
    let wanted = Faults {
        history_lag_ms: 5,
        hang: Some(NodeFault::always("VAEDecode")),
        ..Faults::default()
    };
    assert_eq!(double.faults(), wanted);
    assert_eq!(get(url.clone()).await, json!(wanted));
    assert_eq!(post(url.clone(), &json!({ "typo": 1 })).await.0, 400);
    http().delete(url).send().await.unwrap();
    assert_eq!(double.faults(), Faults::default());
    let stats: Stats = serde_json::from_value(get(format!("{}/double/stats", double.url())).await).unwrap();
    assert_eq!(stats, double.stats());
}

#[tokio::test]
async fn errors_in_nodes() {
    let double = tiny().start().await.unwrap();
    for (fault, kind) in [
        ("execution_error", "RuntimeError"),
        ("out_of_memory", "torch.OutOfMemoryError"),
    ] {
        set(&double, json!({ fault: { "class": "KSampler", "times": 1 } })).await;
        let entry = run(&double.url(), &graph(1)).await;
        let messages = entry["status"]["messages"].as_array().unwrap();
        let error = &messages.last().unwrap()[1];
        assert_eq!(
            (&error["node_id"], &error["exception_type"]),
            (&json!("3"), &json!(kind))
        );
        let entry = run(&double.url(), &graph(1)).await;
        assert_eq!(entry["status"]["status_str"], "success");
        // Another graph must run, not come out of the cache.
        http()
            .post(format!("{}/free", double.url()))
            .json(&json!({ "free_memory": true }))
            .send()
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn a_hanging_node_heeds_no_interrupt() {
    let double = tiny().start().await.unwrap();
    let url = double.url();
    set(&double, json!({ "hang": { "class": "KSampler" } })).await;
    let mut client = Client::connect(&url, "c").await;
    let prompt = submit(&url, &graph(1), &json!({ "client_id": "c" })).await;
    client
        .until_frame(|frame| frame["type"] == "executing" && frame["data"]["node"] == "3")
        .await;
    post(format!("{url}/interrupt"), &json!({ "prompt_id": prompt })).await;
    client.drain().await;
    assert_eq!(get(format!("{url}/history/{prompt}")).await, json!({}));
    assert_eq!(get(format!("{url}/queue")).await["queue_running"][0][1], json!(prompt));
    // Once it lives again, the interrupt counts at the next check.
    double.set_faults(Faults::default());
    client.until("execution_interrupted").await;
}

#[tokio::test]
async fn interrupts_can_be_lost_or_slow() {
    let double = tiny().step_delay(Duration::from_millis(5)).start().await.unwrap();
    let url = double.url();
    let mut long: Value = serde_json::from_str(&graph(1)).unwrap();
    long["3"]["inputs"]["steps"] = json!(10_000);
    set(&double, json!({ "lost_interrupts": 1, "interrupt_delay_ms": 40 })).await;
    let mut client = Client::connect(&url, "c").await;
    let prompt = submit(&url, &long.to_string(), &json!({ "client_id": "c" })).await;
    client.until("progress").await;
    post(format!("{url}/interrupt"), &json!({ "prompt_id": prompt })).await;
    assert_eq!(double.faults().lost_interrupts, 0);
    client.drain().await;
    let before = client.frames.len();
    client.until("progress").await;
    assert!(
        client.frames[before..]
            .iter()
            .all(|frame| frame["type"] != "execution_interrupted")
    );
    let asked = std::time::Instant::now();
    post(format!("{url}/interrupt"), &json!({ "prompt_id": prompt })).await;
    client.until("execution_interrupted").await;
    assert!(asked.elapsed() >= Duration::from_millis(40));
}

#[tokio::test]
async fn node_errors_in_a_good_reply() {
    let double = tiny().start().await.unwrap();
    set(&double, json!({ "node_errors": 1 })).await;
    let (status, reply) = post_graph(&double.url(), &graph(1), &json!({})).await;
    assert_eq!(status, 200);
    assert_ne!(reply["node_errors"], json!({}));
    let (_, reply) = post_graph(&double.url(), &graph(1), &json!({})).await;
    assert_eq!(reply["node_errors"], json!({}));
}

#[tokio::test]
async fn silent_and_dropped_sockets() {
    let double = tiny().start().await.unwrap();
    let url = double.url();
    let mut client = Client::connect(&url, "c").await;
    set(&double, json!({ "silent_sockets": true })).await;
    let prompt = submit(&url, &graph(1), &json!({ "client_id": "c" })).await;
    while get(format!("{url}/history/{prompt}")).await == json!({}) {}
    client.drain().await;
    assert_eq!(client.frames.len(), 1, "only the greeting");
    set(&double, json!({})).await;
    assert_eq!(post(format!("{url}/double/drop-sockets"), &json!({})).await.0, 200);
    assert_eq!(client.next().await, None);
}

#[tokio::test]
async fn the_history_can_lag() {
    let double = tiny().start().await.unwrap();
    set(&double, json!({ "history_lag_ms": 60_000 })).await;
    let entry = run(&double.url(), &graph(1)).await;
    assert_eq!(entry, Value::Null);
    assert_eq!(get(format!("{}/queue", double.url())).await["queue_running"], json!([]));
}

#[tokio::test]
async fn connections_can_be_refused() {
    let double = tiny().start().await.unwrap();
    let url = double.url();
    let mut client = Client::connect(&url, "c").await;
    // Another client keeps its connection open.
    let pooled = reqwest::Client::builder().no_proxy().build().unwrap();
    pooled.get(format!("{url}/queue")).send().await.unwrap();
    double.refuse_connections(Duration::from_mins(1));
    assert_eq!(client.next().await, None);
    // Both a new connection and one that is still open; the port is given up in a moment.
    while http().get(format!("{url}/queue")).send().await.is_ok() {}
    assert!(pooled.get(format!("{url}/queue")).send().await.is_err());
    double.accept_connections();
    while http().get(format!("{url}/queue")).send().await.is_err() {}

    assert_eq!(post(format!("{url}/double/refuse"), &json!({ "ms": 50 })).await.0, 200);
    while http().get(format!("{url}/queue")).send().await.is_ok() {}
    while http().get(format!("{url}/queue")).send().await.is_err() {}
}

#[tokio::test]
async fn only_the_program_may_exit() {
    let double = tiny().start().await.unwrap();
    assert_eq!(post(format!("{}/double/exit", double.url()), &json!({})).await.0, 409);
}

#[tokio::test]
async fn stopping_ends_a_run_and_the_sockets() {
    let double = tiny().step_delay(Duration::from_hours(1)).start().await.unwrap();
    let url = double.url();
    let mut client = Client::connect(&url, "c").await;
    submit(&url, &graph(1), &json!({ "client_id": "c", "prompt_id": random_id() })).await;
    client.until_frame(|frame| frame["data"]["node"] == "3").await;
    double.stop().await;
    while client.next().await.is_some() {}
    assert!(http().get(format!("{url}/queue")).send().await.is_err());
}

#[tokio::test]
async fn models_come_and_go() {
    let double = tiny().start().await.unwrap();
    let url = double.url();
    let names = async || get(format!("{url}/models/checkpoints")).await;
    let change = json!({ "add": { "checkpoints": ["b.safetensors"] }, "remove": { "checkpoints": ["tiny.ckpt"] } });
    assert_eq!(post(format!("{url}/double/models"), &change).await.0, 200);
    assert_eq!(names().await, json!(["b.safetensors"]));
    assert_eq!(post_graph(&url, &graph(1), &json!({})).await.0, 400);
    let any = Double::builder().any_model().start().await.unwrap();
    assert_eq!(post_graph(&any.url(), &graph(1), &json!({})).await.0, 200);
}

//! The double sends what a real ComfyUI 0.3.75 was recorded to send, frame by frame.

#![allow(clippy::unwrap_used, reason = "a test may fail loudly, its helpers too")]

mod common;

use std::time::Duration;

use comfyui_double::{Double, Faults, NodeFault};
use common::{
    Client, assert_frames, get, normal, post, random_id, recorded, recorded_text, submit, tiny, without_later_steps,
};
use serde_json::{Value, json};

fn frames(recording: &Value, field: &str) -> Vec<Value> {
    recording[field].as_array().unwrap().clone()
}

/// Runs a recorded graph and compares all frames and the history.
async fn replay(double: &Double, name: &str, metadata: bool) {
    let recording = recorded(name);
    let id = recording["post"]["client_id"].as_str().unwrap();
    let mut client = Client::connect(&double.url(), id).await;
    if metadata {
        client.ask_metadata().await;
    }
    let prompt = submit(&double.url(), &recorded_text(name, "graph"), &recording["post"]).await;
    client.until_done().await;
    assert_frames(&client.normal(&prompt), &frames(&recording, "frames"));

    let history = get(format!("{}/history/{prompt}", double.url())).await;
    let mut entry = normal(&history[&prompt], &prompt);
    // Number and id are any; the graph is shown as it was posted.
    let graph: Value = serde_json::from_str(&recorded_text(name, "graph")).unwrap();
    assert_eq!(entry["prompt"][2], graph);
    entry["prompt"] = json!([entry["prompt"][3], entry["prompt"][4]]);
    assert_eq!(entry, normal(&recording["history"], ""), "history of {name}");
    client.close().await;
}

/// Runs something with the same loaders, so that they are cached.
async fn warm_up(double: &Double, name: &str) {
    let mut graph = recorded(name)["graph"].clone();
    graph["3"]["inputs"]["seed"] = json!(987);
    graph["3"]["inputs"]["steps"] = json!(1);
    let mut client = Client::connect(&double.url(), "warm-up").await;
    submit(&double.url(), &graph.to_string(), &json!({ "client_id": "warm-up" })).await;
    client.until_done().await;
    let closed = double.stats().sockets_closed;
    client.close().await;
    while double.stats().sockets_closed == closed {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn success_and_all_cached() {
    let double = tiny().start().await.unwrap();
    replay(&double, "success", false).await;
    replay(&double, "all_cached", false).await;
    let stats = double.stats();
    assert_eq!((stats.runs, stats.succeeded, stats.nodes_run), (2, 2, 5));
}

#[tokio::test]
async fn previews() {
    let double = tiny().previews(true).start().await.unwrap();
    replay(&double, "previews", false).await;
}

#[tokio::test]
async fn previews_with_metadata() {
    let double = tiny().previews(true).start().await.unwrap();
    warm_up(&double, "previews_with_metadata").await;
    replay(&double, "previews_with_metadata", true).await;
}

#[tokio::test]
async fn results_over_the_socket() {
    for (name, metadata) in [("websocket_output", false), ("websocket_output_with_metadata", true)] {
        let double = tiny().start().await.unwrap();
        replay(&double, name, metadata).await;
    }
}

#[tokio::test]
async fn execution_error() {
    let double = tiny().start().await.unwrap();
    double.set_faults(Faults {
        execution_error: Some(NodeFault::once("KSampler")),
        ..Faults::default()
    });
    replay(&double, "execution_error", false).await;
    assert_eq!(double.stats().failed, 1);
}

#[tokio::test]
async fn interrupted() {
    let delay = Duration::from_millis(100);
    let double = tiny().previews(true).step_delay(delay).start().await.unwrap();
    let url = double.url();
    let name = "interrupted";
    let recording = recorded(name);
    warm_up(&double, name).await;
    let mut watcher = Client::connect(&url, "cli-watch").await;
    let mut client = Client::connect(&url, "cli-g").await;
    let prompt = submit(&url, &recorded_text(name, "graph"), &recording["post"]).await;
    client.until("progress").await;
    // A wrong id is ignored without a word.
    let wrong = json!({ "prompt_id": random_id() });
    assert_eq!(post(format!("{url}/interrupt"), &wrong).await.0, 200);
    assert_eq!(
        post(format!("{url}/interrupt"), &json!({ "prompt_id": prompt }))
            .await
            .0,
        200
    );
    client.until_done().await;

    let got = without_later_steps(&client.normal(&prompt));
    assert_frames(&got, &without_later_steps(&frames(&recording, "frames")));
    let history = get(format!("{url}/history/{prompt}")).await;
    let mut entry = normal(&history[&prompt], &prompt);
    entry["prompt"] = json!([entry["prompt"][3], entry["prompt"][4]]);
    assert_eq!(entry, normal(&recording["history"], ""));
    watcher.until_remaining(0).await;
    assert!(watcher.frames.iter().all(|frame| frame["type"] == "status"));
    let stats = double.stats();
    assert_eq!((stats.interrupted, stats.interrupt_requests), (1, 2));
}

#[tokio::test]
async fn two_clients() {
    let double = tiny().previews(true).start().await.unwrap();
    let url = double.url();
    let recording = recorded("two_clients");
    // The first run must wait until the other prompts have come.
    double.set_faults(Faults {
        hang: Some(NodeFault::once("CheckpointLoaderSimple")),
        ..Faults::default()
    });
    let mut a = Client::connect(&url, "cli-A").await;
    let mut b = Client::connect(&url, "cli-B").await;
    let mut bystander = Client::connect(&url, "cli-C").await;
    let graph = |which: &str| recorded_text("two_clients", &format!("graph_{which}"));
    let mut ids = Vec::new();
    // Numbers of saved files go on from earlier runs in the recording.
    ids.push(submit(&url, &graph("A"), &json!({ "client_id": "cli-A" })).await);
    a.until("executing").await;
    ids.push(submit(&url, &graph("B"), &json!({ "client_id": "cli-B" })).await);
    ids.push(submit(&url, &graph("none"), &json!({})).await);
    double.set_faults(Faults::default());
    for client in [&mut a, &mut b, &mut bystander] {
        client.until_remaining(3).await;
        client.until_remaining(0).await;
    }
    for (client, field) in [(&a, "A"), (&b, "B"), (&bystander, "bystander")] {
        let mut text = json!(client.frames).to_string();
        for (id, name) in ids.iter().zip(["A", "B", "no_client_id"]) {
            text = text.replace(id.as_str(), &format!("PROMPT-{name}"));
        }
        let got = numbers_off(&normal(&serde_json::from_str(&text).unwrap(), ""));
        let wanted = numbers_off(&recording[field]);
        assert_frames(&without_timing(&got), &without_timing(&wanted));
    }
}

/// Hides the running number in the names of saved files.
fn numbers_off(frames: &Value) -> Vec<Value> {
    let mut frames = frames.as_array().unwrap().clone();
    for frame in &mut frames {
        if let Some(images) = frame["data"]["output"]["images"].as_array_mut() {
            for image in images {
                image["filename"] = json!("any");
            }
        }
    }
    frames
}

/// Status frames of other prompts fall between the others by chance: they go to the end here.
fn without_timing(frames: &[Value]) -> Vec<Value> {
    let (status, mut rest): (Vec<Value>, Vec<Value>) =
        frames.iter().cloned().partition(|frame| frame["type"] == "status");
    rest.extend(status);
    rest
}

/// Starts a recorded graph that stops before its end until the faults are cleared.
async fn start_and_hold(double: &Double, name: &str, client: &str) -> String {
    double.set_faults(Faults {
        hang: Some(NodeFault::once("VAEDecode")),
        ..Faults::default()
    });
    let graph = recorded_text(name, "graph");
    submit(&double.url(), &graph, &json!({ "client_id": client })).await
}

#[tokio::test]
async fn reconnect_after_the_old_socket_is_gone() {
    let double = tiny().previews(true).start().await.unwrap();
    let recording = recorded("reconnect");
    let mut old = Client::connect(&double.url(), "cli-R").await;
    start_and_hold(&double, "reconnect", "cli-R").await;
    old.until_frame(|frame| frame["data"]["node"] == "8").await;
    old.close().await;
    while double.stats().sockets_closed == 0 {
        tokio::task::yield_now().await;
    }
    let mut new = Client::connect(&double.url(), "cli-R").await;
    // Missed events are not repeated; the running node is named, without a prompt id.
    let wanted = frames(&recording, "new");
    let executing = new.next().await.unwrap();
    assert_eq!(new.frames[0], wanted[0]);
    assert_eq!(executing, json!({ "type": "executing", "data": { "node": "8" } }));
    assert_eq!(wanted[1], json!({ "type": "executing", "data": { "node": "3" } }));
    double.set_faults(Faults::default());
    new.until_done().await;
    let kinds = |frames: &[Value]| -> Vec<Value> { frames.iter().map(|frame| frame["type"].clone()).collect() };
    let tail = 8;
    let (got, wanted) = (kinds(&new.frames), kinds(&wanted));
    assert_eq!(got[got.len() - tail..], wanted[wanted.len() - tail..]);
}

#[tokio::test]
async fn a_socket_that_overlaps_an_older_one_falls_silent() {
    let double = tiny().start().await.unwrap();
    let recording = recorded("overlapping");
    let url = double.url();
    let mut watcher = Client::connect(&url, "watcher").await;
    let mut old = Client::connect(&url, "cli-S").await;
    let prompt = start_and_hold(&double, "overlapping", "cli-S").await;
    old.until_frame(|frame| frame["data"]["node"] == "8").await;
    let mut new = Client::connect(&url, "cli-S").await;
    new.drain().await;
    let wanted = frames(&recording, "new");
    assert_eq!(new.frames[0], wanted[0]);
    assert_eq!(new.frames[1]["type"], wanted[1]["type"]);

    // The old handler's end takes the new socket out of the list.
    old.close().await;
    while double.stats().sockets_closed == 0 {
        tokio::task::yield_now().await;
    }
    double.set_faults(Faults::default());
    watcher.until_remaining(1).await;
    watcher.until_remaining(0).await;
    let before = new.frames.len();
    new.drain().await;
    assert_eq!(new.frames.len(), before, "{:?}", &new.frames[before..]);
    let history = get(format!("{url}/history/{prompt}")).await;
    assert_eq!(history[&prompt]["status"]["status_str"], "success");
}

//! The queue, cancelling, the history, and what each version has.

#![allow(clippy::unwrap_used, reason = "a test may fail loudly, its helpers too")]

mod common;

use comfyui_double::{Double, Faults, NodeFault, Version};
use common::{Client, VERSIONS, get, http, post, recorded_text, run, submit, tiny};
use serde_json::{Value, json};

fn graph(color: u32) -> String {
    let mut graph: Value = serde_json::from_str(&recorded_text("success", "graph")).unwrap();
    graph["1"]["inputs"]["color"] = json!(color);
    graph.to_string()
}

/// A double on which a first prompt hangs in its first node, and the ids of it and of four more:
/// plain, plain, in front, and with a number.
async fn busy(version: Version) -> (Double, Client, Vec<String>) {
    let double = tiny().version(version).start().await.unwrap();
    double.set_faults(Faults {
        hang: Some(NodeFault::once("EmptyImage")),
        ..Faults::default()
    });
    let url = double.url();
    let mut client = Client::connect(&url, "cli-i").await;
    let mut ids = Vec::new();
    for (color, extra) in [
        json!({}),
        json!({ "extra_data": { "our_task": "b", "api_key_comfy_org": "secret" } }),
        json!({}),
        json!({ "front": true }),
        json!({ "number": -1000 }),
    ]
    .into_iter()
    .enumerate()
    {
        let mut rest = extra;
        rest["client_id"] = json!("cli-i");
        ids.push(submit(&url, &graph(color as u32), &rest).await);
        if color == 0 {
            client.until("executing").await;
        }
    }
    (double, client, ids)
}

#[tokio::test]
async fn order_and_deletion() {
    let (double, mut client, ids) = busy(Version::V0_3).await;
    let url = double.url();
    let queue = get(format!("{url}/queue")).await;
    let listed = |queue: &Value| -> Vec<Value> {
        let pending = queue["queue_pending"].as_array().unwrap();
        pending.iter().map(|item| item[1].clone()).collect()
    };
    assert_eq!(listed(&queue), [&ids[4], &ids[3], &ids[1], &ids[2]].map(|id| json!(id)));
    assert_eq!(queue["queue_running"][0][1], json!(ids[0]));
    assert_eq!(queue["queue_pending"][0][0].to_string(), "-1000.0");
    assert_eq!(queue["queue_pending"][1][0], json!(-3));
    let extra = &queue["queue_pending"][2][3];
    assert_eq!(
        (&extra["our_task"], &extra["client_id"]),
        (&json!("b"), &json!("cli-i"))
    );
    assert_eq!(extra["api_key_comfy_org"], Value::Null);
    assert_eq!(get(format!("{url}/prompt")).await["exec_info"]["queue_remaining"], 5);

    // Pending ones go, the running one stays; both without a word.
    let delete = json!({ "delete": [ids[1], ids[0]] });
    assert_eq!(post(format!("{url}/queue"), &delete).await, (200, json!("")));
    let queue = get(format!("{url}/api/queue")).await;
    assert_eq!(listed(&queue).len(), 3);
    assert_eq!(queue["queue_running"][0][1], json!(ids[0]));
    post(format!("{url}/queue"), &json!({ "clear": true })).await;
    double.set_faults(Faults::default());
    client.until_done().await;
    let history = get(format!("{url}/history")).await;
    assert_eq!(history.as_object().unwrap().keys().collect::<Vec<_>>(), [&ids[0]]);
    assert_eq!(double.stats().deleted, 4);

    post(format!("{url}/history"), &json!({ "delete": [ids[0]] })).await;
    assert_eq!(get(format!("{url}/history/{}", ids[0])).await, json!({}));
}

#[tokio::test]
async fn jobs_of_0_33() {
    let (double, mut client, ids) = busy(Version::V0_33).await;
    let url = double.url();
    let job = async |id: &str| get(format!("{url}/api/jobs/{id}")).await;
    let cancel = async |id: &str| post(format!("{url}/api/jobs/{id}/cancel"), &json!({})).await;
    let running = job(&ids[0]).await;
    let mut keys: Vec<_> = running.as_object().unwrap().keys().map(String::as_str).collect();
    keys.sort_unstable();
    let wanted = [
        "create_time",
        "id",
        "outputs_count",
        "previewable_outputs_count",
        "priority",
        "status",
    ];
    assert_eq!(
        (keys.as_slice(), &running["status"]),
        (wanted.as_slice(), &json!("in_progress"))
    );
    assert_eq!(job(&ids[1]).await["status"], "pending");

    assert_eq!(cancel(&ids[1]).await, (200, json!({ "cancelled": true })));
    assert_eq!(cancel(&ids[0]).await, (200, json!({ "cancelled": true })));
    assert_eq!(
        cancel("19f757d8-3ead-440c-afdb-b128f866cea4").await.1,
        json!({ "cancelled": false })
    );
    assert_eq!(job(&ids[1]).await, json!({ "error": "Job not found" }));
    double.set_faults(Faults::default());
    client.until_remaining(0).await;
    assert_eq!(job(&ids[0]).await["status"], "cancelled");
    let done = job(&ids[2]).await;
    assert_eq!(
        (&done["status"], &done["outputs_count"]),
        (&json!("completed"), &json!(2))
    );
    assert_eq!(done["preview_output"]["mediaType"], "images");
    assert_eq!(done["execution_status"]["status_str"], "success");
    assert_eq!(done["workflow"]["extra_data"]["client_id"], "cli-i");
    assert_eq!(cancel(&ids[2]).await.1, json!({ "cancelled": false }));

    let page = get(format!("{url}/api/jobs?limit=2&status=completed")).await;
    assert_eq!(page["jobs"].as_array().unwrap().len(), 2);
    assert_eq!(
        page["pagination"],
        json!({ "offset": 0, "limit": 2, "total": 3, "has_more": true })
    );
}

#[tokio::test]
async fn versions_differ() {
    for (version, _) in VERSIONS {
        let old = version == Version::V0_3;
        let double = tiny().version(version).start().await.unwrap();
        let url = double.url();
        let status = async |path: &str| {
            http()
                .get(format!("{url}{path}"))
                .send()
                .await
                .unwrap()
                .status()
                .as_u16()
        };
        assert_eq!(status("/api/jobs").await, if old { 404 } else { 200 });
        let cancelled = post(format!("{url}/api/jobs/x/cancel"), &json!({})).await.0;
        assert_eq!(cancelled, if old { 405 } else { 200 });
        let number = if old { "0.3.75" } else { "0.33.0" };
        assert_eq!(
            get(format!("{url}/system_stats")).await["system"]["comfyui_version"],
            number
        );
        assert_eq!(
            get(format!("{url}/features")).await["assets"],
            if old { Value::Null } else { json!(false) }
        );
        for path in ["/nope", "/api/nope", "/models/nope"] {
            assert_eq!(status(path).await, 404, "{path}");
        }
        assert_eq!(post(format!("{url}/nope"), &json!({})).await.0, 405);
        assert_eq!(get(format!("{url}/object_info/NoSuchNode")).await, json!({}));
        assert_eq!(
            get(format!("{url}/models/loras")).await,
            json!(["tiny-lora.safetensors"])
        );
        assert_eq!(get(format!("{url}/embeddings")).await, json!([]));
        for path in ["/free", "/queue", "/history"] {
            let empty = http().post(format!("{url}{path}")).send().await.unwrap();
            assert_eq!(empty.status(), 500, "{path}");
        }
        let cross_site = http()
            .get(format!("{url}/queue"))
            .header("sec-fetch-site", "cross-site")
            .send()
            .await
            .unwrap();
        assert_eq!(cross_site.status(), if old { 200 } else { 403 });
    }
}

#[tokio::test]
async fn a_prompt_id_may_come_twice() {
    let double = tiny().start().await.unwrap();
    let url = double.url();
    let mut client = Client::connect(&url, "c").await;
    for _ in 0..2 {
        let rest = json!({ "client_id": "c", "prompt_id": "any-text" });
        assert_eq!(submit(&url, &graph(3), &rest).await, "any-text");
        client.until_done().await;
    }
    assert_eq!(get(format!("{url}/history")).await.as_object().unwrap().len(), 1);
    assert_eq!(double.stats().runs, 2);
}

#[tokio::test]
async fn memory_is_remembered_by_version() {
    for (version, _) in VERSIONS {
        let double = tiny().version(version).start().await.unwrap();
        for color in [1, 2, 1] {
            run(&double.url(), &graph(color)).await;
        }
        // 0.3.75 has forgotten the first graph when it comes again.
        let nodes = if version == Version::V0_3 { 15 } else { 10 };
        assert_eq!(double.stats().nodes_run, nodes);
    }
}

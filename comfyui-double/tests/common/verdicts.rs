//! A table of good and bad graphs with the verdicts of a real ComfyUI 0.3.75.

use serde_json::{Value, json};

use super::{post, post_graph, random_id};

pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) graph: String,
    pub(crate) verdict: Value,
}

pub(crate) fn cases() -> Vec<Case> {
    let table = super::recorded("verdicts");
    table
        .as_object()
        .unwrap()
        .iter()
        .map(|(name, case)| Case {
            name: name.clone(),
            graph: case["graph"].to_string(),
            verdict: case["verdict"].clone(),
        })
        .collect()
}

/// Uploads the pictures that the graphs load.
pub(crate) async fn prepare(base: &str) {
    for (name, width, height) in [("source.png", 256, 256), ("mask.png", 256, 256)] {
        let picture = image::RgbImage::from_fn(width, height, |x, y| {
            let inside = (64..192).contains(&x) && (64..192).contains(&y);
            image::Rgb(if inside { [255; 3] } else { [0; 3] })
        });
        super::upload(
            base,
            name,
            &super::png(&picture.into()),
            &[("overwrite", "true"), ("subfolder", "double")],
        )
        .await;
    }
}

/// Posts a graph, takes it back at once, and returns what matters of the answer.
pub(crate) async fn ask(base: &str, case: &Case) -> Value {
    let id = random_id();
    let (status, reply) = post_graph(base, &case.graph, &json!({ "prompt_id": id })).await;
    if status == 200 {
        post(format!("{base}/queue"), &json!({ "delete": [id] })).await;
        post(format!("{base}/interrupt"), &json!({ "prompt_id": id })).await;
    }
    verdict(status, &reply)
}

/// Which control nets a real server has is its owner's affair.
fn details(error: &Value) -> Value {
    match error["details"].as_str().and_then(|text| text.split_once(" not in ")) {
        Some((what, _)) if what.starts_with("control_net_name") => format!("{what} not in []").into(),
        _ => error["details"].clone(),
    }
}

fn verdict(status: u16, reply: &Value) -> Value {
    let mut nodes = serde_json::Map::new();
    for (id, node) in reply["node_errors"].as_object().into_iter().flatten() {
        let mut errors: Vec<_> = node["errors"]
            .as_array()
            .unwrap()
            .iter()
            .map(|error| {
                json!([
                    error["type"],
                    error["message"],
                    details(error),
                    error["extra_info"]["received_value"]
                ])
            })
            .collect();
        // ComfyUI goes through the inputs of a node in no fixed order.
        errors.sort_by_key(ToString::to_string);
        // Nor through the output nodes: their order is another one each time a server starts.
        let mut outputs: Vec<_> = node["dependent_outputs"].as_array().cloned().unwrap_or_default();
        outputs.sort_by_key(ToString::to_string);
        nodes.insert(
            id.clone(),
            json!({ "errors": errors, "outputs": outputs, "class": node["class_type"] }),
        );
    }
    let error = &reply["error"];
    json!({
        "status": status,
        "error": if error.is_null() { Value::Null } else { json!([error["type"], error["message"], error["details"]]) },
        "nodes": nodes,
    })
}

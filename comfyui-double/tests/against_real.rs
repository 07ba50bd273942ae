//! The double against a real ComfyUI 0.3.75, if one is at hand.
//!
//! Set COMFYUI_URL to its base URL. It needs `tiny.ckpt`, `tiny-lora.safetensors` and
//! `--disable-metadata` or not, as it likes; nothing of it is deleted.

#![allow(clippy::unwrap_used, reason = "a test may fail loudly, its helpers too")]
#![allow(clippy::print_stdout, reason = "a skipped test must say so")]

mod common;

use common::{Client, assert_frames, get, normal, pictures, png, random_id, submit, tiny, upload, verdicts};
use serde_json::{Value, json};

#[expect(clippy::disallowed_methods, reason = "the tests' one switch; nothing is configured")]
fn real() -> Option<String> {
    let url = std::env::var("COMFYUI_URL").ok().filter(|url| !url.is_empty());
    if url.is_none() {
        println!("SKIPPED: COMFYUI_URL is not set, so there is no real ComfyUI to compare with");
    }
    url.map(|url| url.trim_end_matches('/').to_owned())
}

#[tokio::test]
async fn the_same_verdicts() {
    let Some(url) = real() else { return };
    verdicts::prepare(&url).await;
    let mut wrong = Vec::new();
    let cases = verdicts::cases();
    for case in &cases {
        let got = verdicts::ask(&url, case).await;
        if got != case.verdict {
            wrong.push(format!("{}\n real {got}\ntable {}", case.name, case.verdict));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    println!("{} verdicts agree", cases.len());
}

/// Graphs that need no model, so that they run in no time; `unique` keeps them out of caches.
fn graphs(unique: u32, picture: &str, prefix: &str) -> Vec<(&'static str, Value)> {
    let save = |from: &str, name: &str| json!({ "class_type": "SaveImage", "inputs": { "images": [from, 0], "filename_prefix": format!("{prefix}/{name}") } });
    let empty = |width: u32, height: u32, batch: u32| json!({ "class_type": "EmptyImage", "inputs": { "width": width, "height": height, "batch_size": batch, "color": unique } });
    let scale = |from: &str, width: u32, height: u32, crop: &str| {
        json!({ "class_type": "ImageScale", "inputs": {
            "image": [from, 0], "upscale_method": "bilinear", "width": width, "height": height, "crop": crop } })
    };
    let crop = |from: &str, [width, height, x, y]: [u32; 4]| json!({ "class_type": "ImageCrop", "inputs": { "image": [from, 0], "width": width, "height": height, "x": x, "y": y } });
    let invert = |from: &str| json!({ "class_type": "ImageInvert", "inputs": { "image": [from, 0] } });
    vec![
        (
            "batch and placeholders",
            json!({ "1": empty(40, 24, 3), "2": save("1", "%width%x%height%") }),
        ),
        (
            "branches and crops beyond the edge",
            json!({
                "1": empty(64, 64, 1),
                "2": crop("1", [100, 10, 50, 90]),
                "3": crop("1", [20, 30, 0, 0]),
                "4": { "class_type": "ImageInvert", "inputs": { "image": ["3", 0] } },
                "5": save("4", "a"),
                "6": save("2", "b"),
                "7": { "class_type": "PreviewImage", "inputs": { "images": ["1", 0] } },
            }),
        ),
        (
            "chains of many lengths",
            json!({
                "1": empty(16, 16, 1), "2": invert("1"), "3": invert("2"), "4": invert("3"), "5": save("4", "a"),
                "6": scale("1", 20, 20, "disabled"), "7": invert("6"), "8": save("7", "b"),
                "9": scale("1", 24, 24, "disabled"), "10": save("9", "c"),
                "11": empty(30, 30, 1), "12": invert("11"), "13": invert("12"), "14": save("13", "d"),
                "15": empty(31, 30, 1), "16": invert("15"), "17": save("16", "e"),
                "18": empty(32, 30, 1), "19": save("18", "f"),
            }),
        ),
        (
            "scales",
            json!({
                "1": empty(90, 60, 1),
                "2": scale("1", 45, 0, "disabled"),
                "3": scale("1", 0, 33, "disabled"),
                "4": scale("1", 64, 64, "center"),
                "5": { "class_type": "ImageScaleBy", "inputs": { "image": ["1", 0], "upscale_method": "lanczos", "scale_by": 1.55 } },
                "6": save("2", "a"), "7": save("3", "b"), "8": save("4", "c"), "9": save("5", "d"),
            }),
        ),
        (
            "masks and alpha",
            json!({
                "1": { "class_type": "LoadImage", "inputs": { "image": picture } },
                "2": { "class_type": "LoadImageMask", "inputs": { "image": picture, "channel": "red" } },
                "3": { "class_type": "ThresholdMask", "inputs": { "mask": ["2", 0], "value": 0.05 } },
                "4": { "class_type": "GrowMask", "inputs": { "mask": ["3", 0], "expand": 3, "tapered_corners": false } },
                "5": { "class_type": "CropMask", "inputs": { "mask": ["4", 0], "x": 8, "y": 8, "width": 40, "height": 32 } },
                "6": crop("1", [40, 32, 8, 8]),
                "7": { "class_type": "RepeatImageBatch", "inputs": { "image": ["6", 0], "amount": 4 } },
                "8": { "class_type": "InvertMask", "inputs": { "mask": ["5", 0] } },
                "9": { "class_type": "JoinImageWithAlpha", "inputs": { "image": ["7", 0], "alpha": ["8", 0] } },
                "10": save("9", "short"),
                "11": { "class_type": "MaskToImage", "inputs": { "mask": ["8", 0] } },
                "12": { "class_type": "RepeatImageBatch", "inputs": { "image": ["11", 0], "amount": 4 } },
                "13": { "class_type": "ImageToMask", "inputs": { "image": ["12", 0], "channel": "red" } },
                "14": { "class_type": "JoinImageWithAlpha", "inputs": { "image": ["7", 0], "alpha": ["13", 0] } },
                "15": save("14", "long"),
                "16": { "class_type": "MaskComposite", "inputs": {
                    "destination": ["4", 0], "source": ["3", 0], "x": 0, "y": 0, "operation": "subtract" } },
                "17": { "class_type": "MaskToImage", "inputs": { "mask": ["16", 0] } },
                "18": save("17", "rim"),
            }),
        ),
        (
            "a value where a picture should be",
            json!({ "1": empty(8, 8, 1), "2": save("1", "a"),
                "3": { "class_type": "ImageScale", "inputs": {
                    "image": "text", "upscale_method": "area", "width": 8, "height": 8, "crop": "disabled" } },
                "4": save("3", "b") }),
        ),
        (
            "outside the output folder",
            json!({ "1": empty(8, 8, 1), "2": { "class_type": "SaveImage", "inputs": {
                "images": ["1", 0], "filename_prefix": "../../x" } } }),
        ),
    ]
}

/// What a run shows.
struct Run {
    frames: Vec<Value>,
    /// How it ended, and size and channels of its pictures.
    result: Value,
    /// The output nodes in the order in which they were taken.
    outputs: Vec<String>,
}

async fn observe(base: &str, graph: &str, prefix: &str, picture: &str) -> Run {
    let id = random_id();
    let mut client = Client::connect(base, &id).await;
    let prompt = submit(base, graph, &json!({ "client_id": id })).await;
    client.until_done().await;
    let text = json!(client.frames)
        .to_string()
        .replace(prefix, "PREFIX")
        .replace(picture, "PICTURE");
    let mut frames: Vec<Value> = serde_json::from_str(&text).unwrap();
    // Others may use the real server at the same time; progress of prompts without a client goes to all.
    frames.retain(|frame| frame["data"]["prompt_id"] == json!(prompt));
    let mut frames: Vec<_> = frames.iter().map(|frame| normal(frame, &prompt)).collect();
    for frame in &mut frames {
        // Temporary names are numbered by process.
        for image in frame["data"]["output"]["images"].as_array_mut().into_iter().flatten() {
            if image["type"] == "temp" {
                image["filename"] = json!("any");
            }
        }
    }
    let entry = get(format!("{base}/history/{prompt}")).await[&prompt].clone();
    let mut results = serde_json::Map::new();
    let nodes: Vec<String> = entry["outputs"].as_object().unwrap().keys().cloned().collect();
    for node in nodes {
        let shapes: Vec<_> = pictures(base, &entry, &node)
            .await
            .iter()
            .map(|picture| {
                let bytes = picture.to_rgba8();
                let alpha: u64 = bytes.pixels().map(|pixel| u64::from(pixel[3])).sum();
                let light: u64 = bytes.pixels().map(|pixel| u64::from(pixel[0] > 127)).sum();
                json!([
                    picture.width(),
                    picture.height(),
                    picture.color().has_alpha(),
                    alpha,
                    light
                ])
            })
            .collect();
        results.insert(node, json!(shapes));
    }
    Run {
        frames,
        result: json!([entry["status"]["status_str"], results]),
        outputs: serde_json::from_value(entry["prompt"][4].clone()).unwrap(),
    }
}

/// The graph with its output nodes in this order. ComfyUI takes them in the order of a Python set,
/// which is any; the double takes them as they are written.
fn outputs_first(graph: &Value, outputs: &[String]) -> String {
    let nodes = graph.as_object().unwrap();
    let rest = nodes.keys().filter(|id| !outputs.contains(id));
    let texts: Vec<_> = outputs
        .iter()
        .chain(rest)
        .map(|id| format!("{id:?}: {}", nodes[id]))
        .collect();
    format!("{{{}}}", texts.join(", "))
}

#[tokio::test]
async fn the_same_runs() {
    let Some(url) = real() else { return };
    let double = tiny().start().await.unwrap();
    let unique = u32::from_be_bytes(random_id().as_bytes()[..4].try_into().unwrap()) & 0x00FF_FFFF;
    let prefix = format!("double/{}", random_id());
    let name = format!("{}.png", random_id());
    let picture = format!("double/{name}");
    let square = image::RgbaImage::from_fn(64, 64, |x, y| {
        let inside = (20..40).contains(&x) && (20..40).contains(&y);
        image::Rgba(if inside { [255, 200, 10, 255] } else { [0, 10, 200, 255] })
    });
    for base in [&url, &double.url()] {
        let reply = upload(base, &name, &png(&square.clone().into()), &[("subfolder", "double")]).await;
        assert_eq!(reply.0, 200);
    }
    for (name, graph) in graphs(unique, &picture, &prefix) {
        let wanted = observe(&url, &graph.to_string(), &prefix, &picture).await;
        let got = observe(
            &double.url(),
            &outputs_first(&graph, &wanted.outputs),
            &prefix,
            &picture,
        )
        .await;
        assert_eq!(got.result, wanted.result, "{name}");
        assert_frames(&got.frames, &wanted.frames);
        println!("agrees: {name}");
    }
}

#[tokio::test]
async fn the_same_catalogue() {
    let Some(url) = real() else { return };
    let double = tiny().start().await.unwrap();
    let (own, real) = (
        get(format!("{}/object_info", double.url())).await,
        get(format!("{url}/object_info")).await,
    );
    for (class, own) in own.as_object().unwrap() {
        let Some(real) = real.get(class) else {
            println!("not at hand in the real server: {class}");
            continue;
        };
        assert_eq!(own["output"], real["output"], "{class}");
        assert_eq!(own["input_order"], real["input_order"], "{class}");
        for group in ["required", "optional"] {
            for (input, own) in own["input"][group].as_object().into_iter().flatten() {
                let real = &real["input"][group][input];
                // The newer kind of choice has its list aside; lists of files differ anyway.
                let is_files = own[0].is_array() && (real[0] == "COMBO" || own[0] != real[0]);
                assert!(is_files || own[0] == real[0], "{class} {input}");
                for key in ["min", "max", "default"] {
                    assert_eq!(own[1][key], real[1][key], "{class} {input} {key}");
                }
            }
        }
    }
}

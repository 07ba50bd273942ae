//! Results have the right size and number, and follow from the seed and the words.

#![allow(clippy::unwrap_used, reason = "a test may fail loudly, its helpers too")]

mod common;

use comfyui_double::Double;
use common::{pictures, png, recorded_text, run, tiny, upload};
use image::DynamicImage;
use serde_json::{Value, json};

fn txt2img(seed: u64, words: &str, size: (u32, u32), batch: u32) -> Value {
    let mut graph: Value = serde_json::from_str(&recorded_text("previews", "graph")).unwrap();
    graph["3"]["inputs"]["seed"] = json!(seed);
    graph["6"]["inputs"]["text"] = json!(words);
    graph["5"]["inputs"] = json!({ "width": size.0, "height": size.1, "batch_size": batch });
    graph
}

async fn results(double: &Double, graph: &Value, node: &str) -> Vec<DynamicImage> {
    let entry = run(&double.url(), &graph.to_string()).await;
    assert_eq!(entry["status"]["status_str"], "success", "{}", entry["status"]);
    pictures(&double.url(), &entry, node).await
}

#[tokio::test]
async fn size_and_number() {
    let double = tiny().start().await.unwrap();
    for (size, batch) in [((512, 512), 8), ((64, 64), 1), ((320, 200), 2), ((100, 60), 1)] {
        let got = results(&double, &txt2img(1, "a fox", size, batch), "9").await;
        let whole = (size.0 / 8 * 8, size.1 / 8 * 8);
        assert_eq!(got.len(), batch as usize);
        assert!(got.iter().all(|picture| (picture.width(), picture.height()) == whole));
        assert!(
            got.windows(2).all(|pair| pair[0] != pair[1]),
            "pictures of a batch differ"
        );
    }
}

#[tokio::test]
async fn content_follows_from_seed_and_words() {
    let double = tiny().start().await.unwrap();
    let first = results(&double, &txt2img(1, "a fox", (128, 128), 1), "9").await;
    assert_ne!(first, results(&double, &txt2img(2, "a fox", (128, 128), 1), "9").await);
    assert_ne!(first, results(&double, &txt2img(1, "a cat", (128, 128), 1), "9").await);
    // Nothing of the first run is left in another process.
    let other = tiny().start().await.unwrap();
    assert_eq!(first, results(&other, &txt2img(1, "a fox", (128, 128), 1), "9").await);
}

/// The mean distance of two pictures' bytes.
fn distance(one: &DynamicImage, two: &DynamicImage) -> f64 {
    let (one, two) = (one.to_rgb8(), two.to_rgb8());
    assert_eq!(one.dimensions(), two.dimensions());
    let sum: u64 = one.iter().zip(two.iter()).map(|(a, b)| u64::from(a.abs_diff(*b))).sum();
    sum as f64 / one.len() as f64
}

fn refine(split: u32) -> Value {
    json!({
        "4": { "class_type": "CheckpointLoaderSimple", "inputs": { "ckpt_name": "tiny.ckpt" } },
        "20": { "class_type": "CLIPTextEncode", "inputs": { "text": "a", "clip": ["4", 1] } },
        "6": { "class_type": "LoadImage", "inputs": { "image": "source.png" } },
        "7": { "class_type": "VAEEncode", "inputs": { "pixels": ["6", 0], "vae": ["4", 2] } },
        "8": { "class_type": "RepeatLatentBatch", "inputs": { "samples": ["7", 0], "amount": 3 } },
        "30": { "class_type": "RandomNoise", "inputs": { "noise_seed": 5 } },
        "31": { "class_type": "BasicGuider", "inputs": { "model": ["4", 0], "conditioning": ["20", 0] } },
        "32": { "class_type": "KSamplerSelect", "inputs": { "sampler_name": "dpmpp_2m" } },
        "33": { "class_type": "BasicScheduler", "inputs": { "model": ["4", 0], "scheduler": "karras", "steps": 20, "denoise": 1.0 } },
        "34": { "class_type": "SplitSigmas", "inputs": { "sigmas": ["33", 0], "step": split } },
        "35": { "class_type": "SamplerCustomAdvanced", "inputs": {
            "noise": ["30", 0], "guider": ["31", 0], "sampler": ["32", 0], "sigmas": ["34", 1], "latent_image": ["8", 0] } },
        "36": { "class_type": "VAEDecode", "inputs": { "samples": ["35", 1], "vae": ["4", 2] } },
        "40": { "class_type": "SaveImage", "inputs": { "images": ["36", 0], "filename_prefix": "tasks/x" } },
    })
}

async fn upload_source(double: &Double) -> DynamicImage {
    // Narrow, so that no banner is drawn over it.
    let source = image::RgbImage::from_fn(88, 88, |x, y| image::Rgb([(x * 2) as u8, (y * 2) as u8, 90]));
    let source = DynamicImage::ImageRgb8(source);
    assert_eq!(upload(&double.url(), "source.png", &png(&source), &[]).await.0, 200);
    source
}

#[tokio::test]
async fn a_refined_picture_is_derived_from_its_source() {
    let double = tiny().start().await.unwrap();
    let source = upload_source(&double).await;
    let mut distances = Vec::new();
    for split in [18, 10, 2] {
        let got = results(&double, &refine(split), "40").await;
        assert_eq!(got.len(), 3);
        distances.push(distance(&source, &got[0]));
    }
    assert!(distances[0] > 0.0 && distances.is_sorted(), "{distances:?}");
    // The number of steps is what is left of the schedule.
    assert_eq!(double.stats().steps, 2 + 10 + 18);
}

#[tokio::test]
async fn a_mask_protects_the_rest_and_alpha_is_one_minus_the_mask() {
    let double = tiny().start().await.unwrap();
    let source = upload_source(&double).await;
    let mask = image::GrayImage::from_fn(88, 88, |x, _| image::Luma([if x < 44 { 255 } else { 0 }]));
    upload(&double.url(), "mask.png", &png(&mask.into()), &[]).await;
    let mut graph = refine(0);
    let more = json!({
        "9": { "class_type": "LoadImageMask", "inputs": { "image": "mask.png", "channel": "red" } },
        "10": { "class_type": "SetLatentNoiseMask", "inputs": { "samples": ["7", 0], "mask": ["9", 0] } },
        "8": { "class_type": "RepeatLatentBatch", "inputs": { "samples": ["10", 0], "amount": 3 } },
        "11": { "class_type": "InvertMask", "inputs": { "mask": ["9", 0] } },
        "12": { "class_type": "JoinImageWithAlpha", "inputs": { "image": ["36", 0], "alpha": ["11", 0] } },
        "40": { "class_type": "SaveImage", "inputs": { "images": ["12", 0], "filename_prefix": "tasks/y" } },
    });
    for (id, node) in more.as_object().unwrap() {
        graph[id] = node.clone();
    }
    let got = results(&double, &graph, "40").await;
    // 0.3.75 pairs pictures with masks and stops at the shorter list.
    assert_eq!(got.len(), 1);
    let (got, source) = (got[0].to_rgba8(), source.to_rgb8());
    for (x, y, pixel) in got.enumerate_pixels() {
        assert_eq!(pixel[3], if x < 44 { 255 } else { 0 });
        if x >= 44 {
            assert_eq!(pixel.0[..3], source.get_pixel(x, y).0);
        }
    }
    assert_ne!(got.get_pixel(3, 3).0[..3], source.get_pixel(3, 3).0);
}

#[tokio::test]
async fn scaling_and_cropping() {
    let double = tiny().model("upscale_models", "4x_any.pth").start().await.unwrap();
    upload_source(&double).await;
    let graph = json!({
        "1": { "class_type": "LoadImage", "inputs": { "image": "source.png" } },
        "2": { "class_type": "UpscaleModelLoader", "inputs": { "model_name": "4x_any.pth" } },
        "3": { "class_type": "ImageUpscaleWithModel", "inputs": { "upscale_model": ["2", 0], "image": ["1", 0] } },
        "4": { "class_type": "SaveImage", "inputs": { "images": ["3", 0], "filename_prefix": "a" } },
        "5": { "class_type": "ImageScale", "inputs": {
            "image": ["3", 0], "upscale_method": "lanczos", "width": 200, "height": 0, "crop": "disabled" } },
        "6": { "class_type": "SaveImage", "inputs": { "images": ["5", 0], "filename_prefix": "b" } },
        "7": { "class_type": "ImageCrop", "inputs": { "image": ["1", 0], "width": 50, "height": 20, "x": 60, "y": 10 } },
        "8": { "class_type": "SaveImage", "inputs": { "images": ["7", 0], "filename_prefix": "c" } },
    });
    let entry = run(&double.url(), &graph.to_string()).await;
    for (node, wanted) in [("4", (352, 352)), ("6", (200, 200)), ("8", (28, 20))] {
        let got = &pictures(&double.url(), &entry, node).await[0];
        assert_eq!((got.width(), got.height()), wanted, "node {node}");
    }
}

#[tokio::test]
async fn the_graph_is_in_the_file_only_if_asked_for() {
    for on in [false, true] {
        let double = tiny().metadata(on).start().await.unwrap();
        let entry = run(&double.url(), &txt2img(1, "secret words", (64, 64), 1).to_string()).await;
        let name = entry["outputs"]["9"]["images"][0]["filename"].as_str().unwrap();
        let url = format!("{}/view?filename={name}&subfolder=task", double.url());
        let bytes = common::http().get(url).send().await.unwrap().bytes().await.unwrap();
        let found = bytes.windows(12).any(|part| part == b"secret words");
        assert_eq!(found, on);
    }
}

//! What the workers of these tests are asked to paint.

use serde_json::{Value, json};
use workflow::{Inventory, Plan, WorkflowInput};

/// A seed that ComfyUI has not seen.
pub(crate) fn fresh_seed() -> u32 {
    uuid::Uuid::new_v4().as_fields().0 >> 1
}

/// A small request, as the plugin would send it, with changes to its top level.
pub(crate) fn plan(changes: &Value) -> Plan {
    let mut request = json!({
        "kind": "generate",
        "images": {"extent": {"input": [64, 64], "initial": [64, 64], "desired": [64, 64], "target": [64, 64]}},
        "models": {"checkpoint": "tiny.ckpt", "version": "sd15", "loras": []},
        "sampling": {"sampler": "euler", "scheduler": "normal", "cfg_scale": 7.0, "total_steps": 2, "seed": 1},
        "conditioning": {"positive": "a red fox, ink", "control": [], "regions": []},
        "batch_count": 1
    });
    for (key, value) in changes.as_object().unwrap() {
        request[key] = value.clone();
    }
    compiled(request, &inventory())
}

pub(crate) fn compiled(request: Value, inventory: &Inventory) -> Plan {
    let input = WorkflowInput::read(request).unwrap();
    workflow::compile(&input, inventory).unwrap_or_else(|refusal| panic!("{refusal}"))
}

/// With this many steps and this seed.
pub(crate) fn steps(steps: u32, seed: u32) -> Plan {
    plan(&json!({"sampling": {
        "sampler": "euler", "scheduler": "normal", "cfg_scale": 7.0, "total_steps": steps, "seed": seed
    }}))
}

/// A refinement of the first picture of the request.
pub(crate) fn refine(seed: u32) -> Plan {
    plan(&json!({
        "kind": "refine",
        "images": {
            "extent": {"input": [64, 64], "initial": [64, 64], "desired": [64, 64], "target": [64, 64]},
            "initial_image": 0
        },
        "sampling": {
            "sampler": "euler", "scheduler": "normal", "cfg_scale": 7.0, "total_steps": 4, "start_step": 2, "seed": seed
        },
        "image_data": {"base64": "AAAA", "offsets": [0]}
    }))
}

/// With a checkpoint that nobody has.
pub(crate) fn unknown_model() -> Plan {
    plan(&json!({"models": {"checkpoint": "nowhere.safetensors", "version": "sd15", "loras": []}}))
}

fn inventory() -> Inventory {
    let checkpoint = |file: &str| json!({"filename": file, "arch": "sd15"});
    serde_json::from_value(json!({"checkpoints": {
        "tiny.ckpt": checkpoint("tiny.ckpt"),
        "nowhere.safetensors": checkpoint("nowhere.safetensors")
    }}))
    .unwrap()
}

pub(crate) fn warm_up() -> Value {
    let inventory = inventory();
    serde_json::to_value(workflow::warm_up(inventory.checkpoint("tiny.ckpt").unwrap(), 1)).unwrap()
}

/// A picture as the plugin sends it.
pub(crate) fn webp(width: u32, height: u32, red: u8) -> Vec<u8> {
    let picture = image::RgbImage::from_fn(width, height, |x, y| image::Rgb([red, (x * 4) as u8, (y * 4) as u8]));
    let mut bytes = std::io::Cursor::new(vec![]);
    picture.write_to(&mut bytes, image::ImageFormat::WebP).unwrap();
    bytes.into_inner()
}

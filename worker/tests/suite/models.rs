//! What a worker says about the models it has loaded.

use comfyui_double::Double;
use model::{RunId, TeamId, worker_api::Heartbeat};
use serde_json::json;
use workflow::{Inventory, Plan};

use crate::{bench::Bench, plans::compiled};

/// A picture by this checkpoint, with a LoRA.
fn plan(checkpoint: &str) -> Plan {
    let inventory: Inventory = serde_json::from_value(json!({
        "checkpoints": {checkpoint: {"filename": checkpoint, "arch": "sd15"}},
        "loras": ["ink.safetensors"],
    }))
    .unwrap();
    let extent = [64, 64];
    let request = json!({
        "kind": "generate",
        "images": {"extent": {"input": extent, "initial": extent, "desired": extent, "target": extent}},
        "models": {
            "checkpoint": checkpoint, "version": "sd15", "loras": [{"name": "ink.safetensors", "strength": 1.0}]
        },
        "sampling": {"sampler": "euler", "scheduler": "normal", "cfg_scale": 7.0, "total_steps": 1, "seed": 1},
        "conditioning": {"positive": "a red fox", "control": [], "regions": []},
        "batch_count": 1
    });
    compiled(request, &inventory)
}

fn start(bench: &Bench, checkpoint: &str, team: &str) -> RunId {
    let mut run = bench.assignment(&plan(checkpoint), None);
    run.team = TeamId::new(team);
    let id = run.run_id;
    bench.cloud.enqueue(run);
    id
}

/// The scheduler goes by the main models: other files must not push them out.
#[tokio::test]
async fn the_main_ones_are_told_apart_latest_first() {
    let double = Double::builder().any_model().start().await.unwrap();
    let bench = Bench::with_double(double).await.ready().await;
    let told = async |checkpoint: &str, team: &str, main: &[&str], files: &[&str]| {
        bench.cloud.result(start(&bench, checkpoint, team)).await;
        let fits = |beat: &Heartbeat| beat.main_models == main && beat.models == files;
        bench.cloud.beat(&format!("{main:?}, {files:?}"), fits).await;
    };
    let ink = "ink.safetensors";
    told("a.ckpt", "red", &["a.ckpt"], &["a.ckpt", ink]).await;
    told("b.ckpt", "red", &["b.ckpt", "a.ckpt"], &["b.ckpt", ink, "a.ckpt"]).await;
    told("a.ckpt", "red", &["a.ckpt", "b.ckpt"], &["a.ckpt", ink, "b.ckpt"]).await;
    // ComfyUI has let go of what the last team had loaded.
    told("c.ckpt", "blue", &["c.ckpt"], &["c.ckpt", ink]).await;
}

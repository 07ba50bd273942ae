//! Nodes of custom packs: what the worker says of them, and what a ComfyUI without them does.

use base64::{Engine, prelude::BASE64_STANDARD};
use comfyui_double::Double;
use image::GenericImageView;
use model::{FailureClass, RunId, worker_api::InputBlob};
use serde_json::json;
use workflow::{Inventory, OPTIONAL_NODES, Plan};

use crate::{
    bench::{Bench, Setup},
    plans::{compiled, webp},
};

fn nodes() -> Vec<String> {
    OPTIONAL_NODES.iter().map(|node| node.class.to_owned()).collect()
}

async fn with_packs() -> Bench {
    let double = Double::builder().any_model().optional_nodes(true).start();
    Bench::with_double(double.await.unwrap()).await
}

/// A control layer of this kind, made from a picture of 64×64.
fn detect(mode: &str) -> Plan {
    let extent = [64, 64];
    let request = json!({
        "kind": "control_image", "control_mode": mode,
        "images": {
            "extent": {"input": extent, "initial": extent, "desired": extent, "target": extent}, "initial_image": 0
        },
        "image_data": {"base64": "AAAA", "offsets": [0]}
    });
    let inventory = Inventory {
        nodes: nodes().into_iter().collect(),
        ..Inventory::default()
    };
    compiled(request, &inventory)
}

fn start(bench: &Bench, plan: &Plan) -> RunId {
    let bytes = webp(64, 64, 200);
    let blob = InputBlob {
        base64: Some(BASE64_STANDARD.encode(&bytes)),
        key: None,
        etag: None,
        offsets: vec![0],
        size: bytes.len() as u64,
    };
    let run = bench.assignment(plan, Some(blob));
    let id = run.run_id;
    bench.cloud.enqueue(run);
    id
}

#[tokio::test]
async fn are_told_when_the_worker_is_ready() {
    let mut bench = with_packs().await;
    bench.start(Setup::default());
    bench
        .cloud
        .beat("all nodes", |beat| beat.ready && beat.nodes == nodes())
        .await;
    for mode in [
        "pose",
        "depth",
        "normal",
        "segmentation",
        "line_art",
        "scribble",
        "soft_edge",
    ] {
        let made = bench.images(start(&bench, &detect(mode))).await;
        assert_eq!((made.len(), made[0].dimensions()), (1, (64, 64)), "{mode}");
    }
}

/// The people come with the picture, also when ComfyUI has seen it before and need not look again.
#[tokio::test]
async fn a_pose_comes_as_a_picture_and_as_joints() {
    let bench = with_packs().await.ready().await;
    for time in 1..=2 {
        let result = bench.cloud.result(start(&bench, &detect("pose"))).await;
        let pose = result.pose.unwrap_or_else(|| panic!("no pose the {time}. time"));
        assert_eq!((pose.canvas, pose.people.len()), ([512, 512], 1));
        let openpose = pose.openpose();
        assert_eq!(openpose["canvas_width"], 512);
        let joints = openpose["people"][0]["pose_keypoints_2d"].as_array().unwrap();
        let first: Vec<_> = joints[..3].iter().map(|number| number.as_f64().unwrap()).collect();
        assert_eq!((joints.len(), first), (54, vec![256.0, 25.6, 1.0]));
        assert_eq!(joints[53], 0.0);
    }
    let other = bench.cloud.result(start(&bench, &detect("depth"))).await;
    assert_eq!(other.pose, None);
}

/// A machine of an older image than the one that the pool's list is from: another machine may have the node.
#[tokio::test]
async fn that_are_missing_are_the_machines_fault() {
    let mut bench = Bench::double().await;
    bench.start(Setup::default());
    bench
        .cloud
        .beat("no nodes", |beat| beat.ready && beat.nodes.is_empty())
        .await;
    let failure = bench.cloud.failure(start(&bench, &detect("pose"))).await;
    assert_eq!(failure.class, Some(FailureClass::Infrastructure));
    assert!(failure.message.contains("comfyui_controlnet_aux"), "{failure:?}");
}

//! What graphs do with nodes that only some render machines have, and what is offered for it.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod common;

use common::{able, changed, inventory, optional_nodes, plan_with, text, wire};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use workflow::{Graph, Inventory, OPTIONAL_NODES, WorkflowInput, compile};

macro_rules! golden {
    ($name:ident, $request:expr) => {
        #[test]
        fn $name() {
            let plan = text(&plan_with($request, &able()));
            insta::assert_snapshot!(plan);
        }
    };
}

golden!(wire_08_control_image_of_a_pose, wire("08_control_image"));
golden!(
    wire_09_without_the_filter,
    changed("09_control_layers_lora", &[("/nsfw_filter", Value::Null)])
);
golden!(
    control_image_of_soft_edges,
    changed("08_control_image", &[("/control_mode", json!("soft_edge"))])
);
golden!(references_of_the_picture_and_of_regions, many_references());
golden!(
    inpaint_shows_the_surroundings,
    changed(
        "03_inpaint",
        &[
            ("/inpaint/use_reference", json!(true)),
            ("/inpaint/target_bounds", json!([0, 0, 250, 512])),
        ]
    )
);
golden!(
    flux_shows_each_picture_in_its_range,
    changed(
        "02_refine",
        &[
            (
                "/models",
                json!({"checkpoint": "flux.safetensors", "version": "flux", "loras": []})
            ),
            (
                "/conditioning/control",
                json!([
                    {"mode": "reference", "image": 1, "strength": 0.5, "range": [0.0, 0.6]},
                    {"mode": "reference", "image": 2, "range": [0.2, 1.0]},
                ])
            ),
            ("/image_data", json!({"s3_object": "key", "offsets": [0, 1, 2]})),
        ]
    )
);

/// Six references for the picture, of which five can act together; one of them for its style alone; one for a region.
fn many_references() -> Value {
    let reference = |mode: &str, image: usize| json!({"mode": mode, "image": image, "strength": 0.1 * image as f64});
    let all: Vec<_> = (1..=7)
        .map(|image| reference(if image == 3 { "style" } else { "reference" }, image))
        .collect();
    let region = |mask: usize, control: Value| {
        let bounds = [0, 0, 512, 512];
        json!({"mask": mask, "bounds": bounds, "positive": format!("thing {mask}"), "control": control, "loras": []})
    };
    let regions = json!([region(8, json!([])), region(9, json!([reference("composition", 1)])),]);
    let offsets: Vec<_> = (0..10).collect();
    changed(
        "01_generate",
        &[
            ("/conditioning/control", json!(all)),
            ("/conditioning/regions", regions),
            ("/image_data", json!({"s3_object": "key", "offsets": offsets})),
            ("/batch_count", json!(1)),
        ],
    )
}

#[test]
fn the_list_of_nodes_is_what_the_packs_document() {
    let documented = optional_nodes();
    let listed: BTreeSet<_> = OPTIONAL_NODES.iter().map(|node| node.class).collect();
    assert_eq!(listed, documented.keys().map(String::as_str).collect());
    for node in &OPTIONAL_NODES {
        let inputs = |optional: bool| -> serde_json::Map<_, _> {
            let all = documented[node.class]["inputs"].as_object().unwrap().clone();
            all.into_iter().filter(|(_, it)| it["optional"] == optional).collect()
        };
        let reply = json!({ node.class: {"input": {"required": inputs(false), "optional": inputs(true)}} });
        assert!(node.fits(&reply), "{}", node.class);
    }
}

#[test]
fn a_feature_goes_with_any_of_its_nodes() {
    let requests = [
        (wire("08_control_image"), "DWPreprocessor"),
        (
            changed("09_control_layers_lora", &[("/nsfw_filter", Value::Null)]),
            "IPAdapterEncoder",
        ),
    ];
    for (request, class) in requests {
        let mut without = able();
        without.nodes.remove(class);
        let refused = compile(&WorkflowInput::read(request).unwrap(), &without)
            .unwrap_err()
            .to_string();
        common::check_refusal(&refused);
        assert!(refused.contains("node pack"), "{refused}");
    }
    // Lines can be found without any pack.
    let lines = changed("08_control_image", &[("/control_mode", json!("line_art"))]);
    assert!(
        plan_with(lines.clone(), &inventory())
            .graph
            .to_string()
            .contains(" Canny(")
    );
    assert!(
        plan_with(lines, &able())
            .graph
            .to_string()
            .contains(" LineArtPreprocessor(")
    );
}

#[test]
fn what_is_offered_has_its_form_and_its_parts() {
    let mut inventory: Inventory = serde_json::from_value(json!({
        "checkpoints": {
            "flux": {"filename": "f", "arch": "flux", "format": "diffusion"},
            "flux-whole": {"filename": "w", "arch": "flux"},
            "sd3": {"filename": "3", "arch": "sd3"},
            "other": {"filename": "o", "arch": "from-the-future"},
            "plain": {"filename": "p", "arch": "sd15"},
        },
        "loras": ["hyper"],
        "upscalers": ["2x.pth"],
        "resources": {
            "lora-hyper-sd15": "hyper",
            "lora-lcm-sd15": "not-among-the-loras",
            "lora-depth-flux": "hyper",
            "lora-face-sd15": "hyper",
            "controlnet-blur-sd15": "b",
            "controlnet-blur-sd3": "b",
            "controlnet-reference-sd15": "b",
            "controlnet-dance-sd15": "b",
            "controlnet-inpaint-sd15": "b",
            "controlnet-hands-sd15": "b",
            "controlnet-depth-sd15": "b",
            "controlnet-universal-sdxl": "b",
            "controlnet-blur": "malformed",
            "controlnet-blur-sd15-x": "malformed",
            "ip_adapter-reference-sd15": "i",
            "ip_adapter-face-sd15": "i",
            "clip_vision-ip_adapter-sd15": "v",
            "ip_adapter-reference-flux": "r",
            "inpaint-default-all": "lama",
            "vae-default-sdxl": "v",
        },
    }))
    .unwrap();
    let offered = |inventory: &Inventory| {
        let offered = inventory.offered();
        let checkpoints: Vec<_> = offered.checkpoints.keys().cloned().collect();
        let resources: Vec<_> = offered.resources.keys().cloned().collect();
        (checkpoints, resources, offered.upscalers)
    };
    let (checkpoints, resources, upscalers) = offered(&inventory);
    assert_eq!(checkpoints, ["flux-whole", "plain"]);
    let core = [
        "controlnet-blur-sd15",
        // Of what the universal one does, what can be made from the canvas: the plugin offers a button for each.
        "controlnet-blur-sdxl",
        "controlnet-canny_edge-sdxl",
        "controlnet-inpaint-sd15",
        "controlnet-line_art-sdxl",
        "controlnet-scribble-sdxl",
        "controlnet-soft_edge-sdxl",
        "lora-hyper-sd15",
        "upscaler-default-all",
        "vae-default-sdxl",
    ];
    assert_eq!(resources, core);
    assert_eq!(Vec::from(upscalers), ["2x.pth"]);

    inventory.nodes = able().nodes;
    let more: Vec<_> = offered(&inventory)
        .1
        .into_iter()
        .filter(|id| !core.contains(&id.as_str()))
        .collect();
    // Never hands: nothing here finds them.
    let detected = [
        "clip_vision-ip_adapter-sd15",
        "controlnet-depth-sd15",
        "controlnet-depth-sdxl",
        "controlnet-normal-sdxl",
        "controlnet-pose-sdxl",
        "controlnet-segmentation-sdxl",
        "ip_adapter-reference-sd15",
    ];
    assert_eq!(more, detected);
    // Redux needs no pack, only its files.
    inventory.nodes.clear();
    inventory.resources.insert("clip_vision-redux-flux".into(), "s".into());
    let more: Vec<_> = offered(&inventory)
        .1
        .into_iter()
        .filter(|id| !core.contains(&id.as_str()))
        .collect();
    assert_eq!(more, ["clip_vision-redux-flux", "ip_adapter-reference-flux"]);
    // The plugin is told files, not nodes.
    assert!(serde_json::to_value(able().offered()).unwrap().get("nodes").is_none());
}

/// The nodes that read model files, with their ids.
fn loaders(graph: &Graph) -> Vec<String> {
    let is_loader = |line: &&str| {
        let class = line.split([' ', '(']).nth(1).unwrap();
        class.contains("Loader") || class == "CreateHookLora"
    };
    let text = graph.to_string();
    text.lines().filter(is_loader).map(str::to_owned).collect()
}

/// ComfyUI keeps what a node has made for as long as the next graph has the same node with the same inputs.
#[test]
fn the_next_picture_finds_its_models_loaded() {
    let flux = json!({"checkpoint": "flux.safetensors", "version": "flux", "loras": []});
    for request in [
        wire("01_generate"),
        wire("02_refine"),
        wire("03_inpaint"),
        wire("05_inpaint"),
        wire("06_upscale_tiled"),
        changed("09_control_layers_lora", &[("/nsfw_filter", Value::Null)]),
        changed("03_inpaint", &[("/models", flux)]),
        many_references(),
    ] {
        let mut next = request.clone();
        next["sampling"]["seed"] = json!(7);
        next["conditioning"]["positive"] = json!("something else altogether");
        next["conditioning"]["negative"] = json!("");
        let first = loaders(&plan_with(request, &able()).graph);
        assert!(!first.is_empty());
        assert_eq!(first, loaders(&plan_with(next, &able()).graph));
    }
}

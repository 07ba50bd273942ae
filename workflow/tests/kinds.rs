//! Golden plans of every kind, reviewed against the protocol's description of what each request means.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]
#![allow(clippy::disallowed_types, reason = "one test sets a time limit")]

mod common;

use common::{changed, plan, sizes, text, wire};
use serde_json::{Value, json};
use workflow::{Inventory, Operation, WorkflowInput, compile};

macro_rules! golden {
    ($name:ident, $request:expr) => {
        #[test]
        fn $name() {
            let plan = text(&plan($request));
            insta::assert_snapshot!(plan);
        }
    };
}

golden!(wire_03_inpaint, wire("03_inpaint"));
golden!(wire_04_refine_region, wire("04_refine_region"));
golden!(wire_05_inpaint_with_two_regions, wire("05_inpaint"));
golden!(wire_06_upscale_tiled, wire("06_upscale_tiled"));
golden!(wire_07_upscale_simple, wire("07_upscale_simple"));
golden!(
    wire_08_control_image_of_edges,
    changed("08_control_image", &[("/control_mode", json!("canny_edge"))])
);
golden!(
    wire_09_without_reference_and_filter,
    changed(
        "09_control_layers_lora",
        &[
            ("/nsfw_filter", Value::Null),
            (
                "/conditioning/control",
                json!([{"mode": "scribble", "image": 0, "strength": 0.8, "range": [0.0, 0.7]}])
            ),
        ]
    )
);
golden!(inpaint_in_two_passes, two_passes());
golden!(
    inpaint_sdxl_with_the_union_net,
    changed(
        "03_inpaint",
        &[
            (
                "/models",
                json!({"checkpoint": "sdxl.safetensors", "version": "sdxl", "loras": []})
            ),
            ("/inpaint/fill", json!("inpaint")),
            ("/batch_count", json!(1)),
        ]
    )
);
golden!(
    inpaint_flux,
    changed("03_inpaint", &[("/models", flux("flux.safetensors"))])
);
golden!(
    generate_flux,
    changed(
        "01_generate",
        &[
            ("/models", flux("flux.safetensors")),
            ("/sampling/cfg_scale", json!(3.5))
        ]
    )
);
golden!(
    refine_region_in_two_passes_and_a_crop,
    changed(
        "04_refine_region",
        &[
            sizes([560, 720], [560, 720], [784, 1008], [777, 999]),
            ("/inpaint/target_bounds", json!([100, 200, 300, 400])),
            ("/inpaint/use_inpaint_model", json!(true)),
        ]
    )
);
golden!(
    generate_with_regions_and_their_loras,
    changed(
        "01_generate",
        &[
            (
                "/conditioning/regions",
                json!([
                    {"mask": 0, "bounds": [0, 0, 512, 512], "positive": "a field", "control": [], "loras": []},
                    {
                        "mask": 1, "bounds": [0, 0, 256, 512], "positive": "a tree", "control": [],
                        "loras": [{"name": "ink.safetensors", "strength": 0.5}, {"name": "paper.safetensors", "strength": 1.0}],
                    },
                    {
                        "mask": 2, "bounds": [256, 0, 256, 512], "positive": "a house", "loras": [],
                        "control": [{"mode": "canny_edge", "image": 3, "strength": 0.5}],
                    },
                ])
            ),
            ("/batch_count", json!(1)),
            ("/image_data", json!({"s3_object": "key", "offsets": [0, 1, 2, 3]})),
            sizes([512, 512], [512, 512], [768, 768], [768, 768]),
        ]
    )
);
golden!(
    upscale_tiled_with_four_tiles_and_regions,
    changed(
        "06_upscale_tiled",
        &[
            sizes([512, 512], [1280, 1280], [672, 672], [1275, 1275]),
            ("/conditioning/positive", json!("a <lora:ink:1>{field|wood} # late")),
            (
                "/conditioning/regions",
                json!([
                    {"mask": 1, "bounds": [0, 0, 512, 512], "positive": "a field", "control": [], "loras": []},
                    {"mask": 2, "bounds": [0, 0, 200, 512], "positive": "a tree", "control": [], "loras": []},
                ])
            ),
            (
                "/conditioning/control",
                json!([{"mode": "blur", "strength": 0.5}, {"mode": "scribble", "image": 3}])
            ),
            ("/image_data", json!({"s3_object": "key", "offsets": [0, 1, 2, 3]})),
        ]
    )
);

fn flux(checkpoint: &str) -> Value {
    json!({"checkpoint": checkpoint, "version": "flux", "loras": []})
}

/// The worked example: fill growth 2; the piece is 320² at 160, 160; the second pass 512² from step 12.
fn two_passes() -> Value {
    changed(
        "03_inpaint",
        &[
            sizes([640, 640], [640, 640], [800, 800], [800, 800]),
            ("/images/hires_image", json!(2)),
            ("/inpaint/target_bounds", json!([200, 200, 400, 400])),
            ("/inpaint/grow", json!(30)),
            ("/inpaint/feather", json!(56)),
            ("/crop_upscale_extent", json!([512, 512])),
            ("/image_data", json!({"s3_object": "key", "offsets": [0, 100, 200]})),
            ("/batch_count", json!(2)),
        ],
    )
}

#[test]
fn the_worked_example_of_two_passes() {
    let plan = plan(two_passes());
    let graph = plan.graph.to_string();
    assert!(graph.contains("ImageCrop(height: 320,"), "{graph}");
    assert!(
        graph.contains("SplitSigmas(sigmas: ") && graph.contains("step: 12"),
        "{graph}"
    );
    assert_eq!(
        (plan.output.width, plan.output.height, plan.output.count),
        (400, 400, 2)
    );
    let operations = || plan.inputs.iter().flat_map(|input| &input.operations);
    assert!(operations().any(|operation| *operation == Operation::Expand { grow: 2, feather: 0 }));
    assert!(operations().any(|operation| *operation == Operation::Composite { blend: 25 }));
    assert_eq!(graph.matches(" ControlNetApplyAdvanced(").count(), 2);
}

#[test]
fn many_tiles_share_noise_and_models() {
    let request = changed(
        "06_upscale_tiled",
        &[sizes([1024, 1024], [2048, 2048], [672, 672], [2048, 2048])],
    );
    let graph = plan(request).graph.to_string();
    for (node, count) in [
        ("SamplerCustomAdvanced", 9),
        ("RandomNoise", 1),
        ("UpscaleModelLoader", 1),
        ("ControlNetLoader", 1),
        ("ImageCompositeMasked", 9),
        ("CLIPTextEncode", 2),
    ] {
        assert_eq!(graph.matches(&format!(" {node}(")).count(), count, "{node}");
    }
}

#[test]
fn the_largest_requests_are_compiled_or_refused_at_once() {
    let region = |place: usize, loras: usize| {
        json!({
            "mask": place % 4, "bounds": [0, 0, 4096, 4096], "positive": format!("thing {place}"),
            "control": [{"mode": "scribble", "image": place % 4}],
            "loras": vec![json!({"name": "ink.safetensors", "strength": 0.5}); loras],
        })
    };
    let regions = |count: usize, loras: usize| {
        let regions: Vec<_> = (0..count).map(|place| region(place, loras)).collect();
        ("/conditioning/regions", json!(regions))
    };
    let data = ("/image_data", json!({"s3_object": "key", "offsets": [0, 1, 2, 3]}));
    let begun = std::time::Instant::now();
    plan(changed("03_inpaint", &[regions(64, 1), data.clone()]));
    assert!(common::refusal(changed("03_inpaint", &[regions(64, 2), data.clone()])).contains("128 LoRAs"));
    let large = sizes([1024, 1024], [4096, 4096], [672, 672], [4096, 4096]);
    plan(changed(
        "06_upscale_tiled",
        &[large.clone(), regions(4, 1), data.clone()],
    ));
    let refused = common::refusal(changed("06_upscale_tiled", &[large, regions(63, 1), data]));
    assert!(refused.contains("too many for so many tiles"), "{refused}");
    assert!(begun.elapsed().as_secs() < 10, "{:?}", begun.elapsed());
}

#[test]
fn a_selection_needs_no_inpaint_model() {
    let bare = Inventory {
        resources: std::collections::BTreeMap::default(),
        ..common::inventory()
    };
    for name in ["03_inpaint", "04_refine_region", "05_inpaint"] {
        let plan = compile(&WorkflowInput::read(wire(name)).unwrap(), &bare).unwrap();
        common::check_graph(&plan, &bare.nodes);
        assert!(!plan.graph.to_string().contains("ControlNet"), "{name}");
    }
}

#[test]
fn a_checkpoint_made_for_filling_needs_no_net() {
    let mut inventory = common::inventory();
    inventory.resources.remove("controlnet-inpaint-flux");
    let inpaint = |checkpoint: &str| {
        let request = changed("03_inpaint", &[("/models", flux(checkpoint))]);
        let plan = compile(&WorkflowInput::read(request).unwrap(), &inventory).unwrap();
        common::check_graph(&plan, &inventory.nodes);
        plan.graph.to_string()
    };
    let filling = inpaint("flux-fill.safetensors");
    assert!(
        filling.contains("InpaintModelConditioning") && filling.contains("guidance: 30.0"),
        "{filling}"
    );
    let plain = inpaint("flux.safetensors");
    assert!(
        !plain.contains("InpaintModelConditioning") && plain.contains("guidance: 7.0"),
        "{plain}"
    );
}

#[test]
fn a_union_net_is_told_what_it_sees() {
    let control = |arch: &str, file: &str, mode: &str| {
        let changes = [
            ("/models", json!({"checkpoint": file, "version": arch, "loras": []})),
            ("/conditioning/control", json!([{"mode": mode, "image": 0}])),
        ];
        plan(changed("02_refine", &changes)).graph.to_string()
    };
    for (mode, kind) in [
        ("scribble", "hed/pidi/scribble/ted"),
        ("soft_edge", "hed/pidi/scribble/ted"),
        ("line_art", "canny/lineart/anime_lineart/mlsd"),
        ("canny_edge", "canny/lineart/anime_lineart/mlsd"),
        ("depth", "depth"),
        ("hands", "depth"),
        ("normal", "normal"),
        ("pose", "openpose"),
        ("segmentation", "segment"),
        ("blur", "tile"),
    ] {
        let graph = control("sdxl", "sdxl.safetensors", mode);
        assert!(graph.contains(&format!("type: {kind:?}")), "{mode}: {graph}");
    }
    assert!(control("flux", "flux.safetensors", "depth").contains("type: \"depth\""));
    // A single net of Illustrious serves its v-predicting relatives.
    let graph = control("illu_v", "noob.safetensors", "scribble");
    assert!(
        graph.contains("scribble-illu.safetensors") && !graph.contains("SetUnion"),
        "{graph}"
    );
}

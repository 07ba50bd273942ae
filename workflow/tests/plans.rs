//! Golden plans, reviewed against the protocol's description of what each request means.

mod common;

use common::{changed, inventory, plan, refusal, sizes, text, wire};
use serde_json::{Value, json};
use workflow::{Arch, Checkpoint, Format, Inventory, Plan, WorkflowInput, compile, warm_up};

macro_rules! golden {
    ($name:ident, $request:expr) => {
        #[test]
        fn $name() {
            let plan = text(&plan($request));
            insta::assert_snapshot!(plan);
        }
    };
}

golden!(generate, wire("01_generate"));
golden!(refine, wire("02_refine"));
golden!(
    refine_scales_the_canvas_both_ways,
    changed(
        "02_refine",
        &[
            sizes([256, 250], [512, 512], [512, 512], [256, 250]),
            ("/batch_count", json!(1))
        ]
    )
);
golden!(
    generate_in_two_passes_with_the_small_upscaler,
    changed("01_generate", &[sizes([560, 720], [560, 720], [784, 1008], [777, 999])])
);
golden!(
    generate_in_two_passes_with_the_large_upscaler,
    changed(
        "01_generate",
        &[
            sizes([512, 768], [512, 768], [1024, 1536], [1024, 1536]),
            ("/sampling/cfg_scale", json!(1.0))
        ]
    )
);
golden!(
    generate_sdxl_without_prompts,
    changed(
        "09_control_layers_lora",
        &[
            ("/conditioning/positive", json!("")),
            ("/conditioning/style", json!("never used")),
            ("/conditioning/control", json!([])),
            ("/models/loras", json!([{"name": "INK.safetensors", "strength": 0.7}])),
            ("/nsfw_filter", Value::Null),
        ]
    )
);
golden!(
    generate_with_every_patch_of_the_model,
    changed(
        "01_generate",
        &[
            (
                "/models",
                json!({
                    "checkpoint": "NOOB.safetensors", "version": "illu_v", "vae": "soft.safetensors", "clip_skip": 2,
                    "loras": [{"name": "paper.safetensors", "strength": 1.0}, {"name": "ink.safetensors", "strength": -0.5}],
                    "v_prediction_zsnr": true, "rescale_cfg": 0.5,
                    "self_attention_guidance": true, "dynamic_caching": true, "tiled_vae": true,
                }),
            ),
            ("/sampling/scheduler", json!("ays")),
        ]
    )
);
golden!(
    generate_sdxl_from_parts,
    changed(
        "01_generate",
        &[(
            "/models",
            json!({"checkpoint": "xl-unet.safetensors", "version": "sdxl", "loras": []})
        )]
    )
);
golden!(
    generate_with_one_region_and_lcm,
    changed(
        "01_generate",
        &[
            (
                "/conditioning/regions",
                json!([{
                    "mask": 0, "bounds": [-5, 0, 512, 512], "positive": "lang:de blauer Himmel", "control": [],
                    "loras": [{"name": "lcm.safetensors", "strength": 1.0}],
                }]),
            ),
            ("/conditioning/language", json!("de")),
            ("/sampling/sampler", json!("euler_cfgpp")),
            ("/sampling/scheduler", json!("gits")),
            ("/image_data", json!({"base64": "AA==", "offsets": [0]})),
        ]
    )
);

#[test]
fn warm_up_loads_the_checkpoint() {
    let checkpoint = Checkpoint {
        file: "tiny.ckpt".into(),
        arch: Arch::Sd15,
        format: Format::Checkpoint,
    };
    let plan = warm_up(&checkpoint, u64::MAX);
    common::check_graph(&plan, &Inventory::default().nodes);
    insta::assert_snapshot!(text(&plan));

    let plan = warm_up(
        &Checkpoint {
            format: Format::Diffusion,
            ..checkpoint
        },
        1,
    );
    common::check_graph(&plan, &Inventory::default().nodes);
    insta::assert_snapshot!("warm_up_of_parts", text(&plan));
}

#[test]
fn without_upscale_models_pictures_are_only_scaled() {
    let request = changed(
        "01_generate",
        &[sizes([512, 512], [512, 512], [1024, 1024], [2048, 2048])],
    );
    let bare = Inventory {
        upscalers: workflow::Files::default(),
        resources: std::collections::BTreeMap::default(),
        ..inventory()
    };
    let plan = compile(&WorkflowInput::read(request).unwrap(), &bare).unwrap();
    common::check_graph(&plan, &Inventory::default().nodes);
    assert_eq!(plan.models, ["dreamshaper_8.safetensors"]);
    assert_eq!(plan.graph.to_string().matches(" ImageScale(").count(), 2);
}

#[test]
fn every_scheduler_and_sampler_makes_a_good_graph() {
    let nodes: Value = serde_json::from_str(include_str!("nodes.json")).unwrap();
    let listed = |class: &str, input: &str| nodes[class]["inputs"][input]["type"].as_array().unwrap().clone();
    let mut schedulers = listed("BasicScheduler", "scheduler");
    schedulers.extend(
        [
            "align_your_steps",
            "ays",
            "gits",
            "polyexponential",
            "poly_exponential",
            "laplace",
        ]
        .map(Value::from),
    );
    for scheduler in schedulers {
        plan(changed("02_refine", &[("/sampling/scheduler", scheduler)]));
    }
    let mut samplers = listed("KSamplerSelect", "sampler_name");
    samplers.push("euler_cfgpp".into());
    for sampler in samplers {
        plan(changed("01_generate", &[("/sampling/sampler", sampler)]));
    }
}

#[test]
fn seeds_have_64_bits_and_a_cut_number_of_steps_leaves_one() {
    let far = plan(changed("01_generate", &[("/sampling/seed", json!(4_294_967_303_u64))]));
    assert!(text(&far).contains("4294967303"));
    let steps = [
        ("/sampling/total_steps", json!(1000)),
        ("/sampling/start_step", json!(1188)),
    ];
    assert_eq!(plan(changed("01_generate", &steps)).work.steps, 1);
}

#[test]
fn regions_of_a_tiled_upscale_are_written_as_the_root_prompt_is() {
    let region = |mask: u32, text: &str| json!({"mask": mask, "bounds": [0, 0, 512, 512], "positive": text, "control": [], "loras": []});
    let regions = json!([
        region(1, "a field"),
        region(2, "castle <lora:ink:0.8>, {red|blue} roof # too dark")
    ]);
    let data = json!({"s3_object": "key", "offsets": [0, 1, 2]});
    let changes = [("/conditioning/regions", regions), ("/image_data", data)];
    let raw = text(&plan(changed("06_upscale_tiled", &changes)));
    assert!(raw.contains("castle , red roof") && !raw.contains("too dark"), "{raw}");
}

#[test]
fn a_low_guidance_needs_no_negative() {
    let below = plan(changed("01_generate", &[("/sampling/cfg_scale", json!(0.5))]))
        .graph
        .to_string();
    assert_eq!(below.matches(" CLIPTextEncode(").count(), 1, "{below}");
    assert!(
        below.contains("CFGGuider(cfg: 0.5, model: 1#0, negative: 3#0, positive: 3#0)"),
        "{below}"
    );
}

#[test]
fn plans_survive_storage() {
    let plan = plan(changed(
        "02_refine",
        &[sizes([256, 250], [520, 512], [520, 512], [256, 250])],
    ));
    let stored = serde_json::to_string(&plan).unwrap();
    assert_eq!(serde_json::from_str::<Plan>(&stored).unwrap(), plan);
}

#[test]
fn plans_stored_before_there_were_recipes_still_run() {
    let stored = json!({
        "inputs": [{"name": "input-0.png", "image": 0, "width": 64, "height": 64, "flatten": [255, 255, 255]}],
        "graph": {"1": {"class_type": "LoadImage", "inputs": {"image": "input:0"}}},
        "output": {"count": 1, "width": 64, "height": 64},
        "models": ["tiny.ckpt"],
        "work": {"steps": 2, "megapixels": 0.004},
    });
    let plan: Plan = serde_json::from_value(stored.clone()).unwrap();
    assert!(plan.finish.is_empty());
    let bound = plan.bind(&["a.png".into()], "x").unwrap();
    assert_eq!(bound.as_map()["1"]["inputs"]["image"], "a.png");
    let again = serde_json::to_value(&plan).unwrap();
    assert_eq!((&again["inputs"], &again["finish"]), (&stored["inputs"], &Value::Null));
}

#[test]
fn bind_never_touches_prompts() {
    for prompt in ["input:0", "output", "SaveImage"] {
        let changes = [
            ("/conditioning/positive", json!(prompt)),
            ("/conditioning/style", Value::Null),
        ];
        let plan = plan(changed("02_refine", &changes));
        let bound = plan.bind(&["tasks/1/input-0 (1).png".into()], "run-7/out").unwrap();
        let text = bound.to_string();
        assert!(
            text.contains(r#"LoadImage(image: "tasks/1/input-0 (1).png")"#),
            "{text}"
        );
        assert!(text.contains(r#"filename_prefix: "run-7/out""#), "{text}");
        assert!(text.contains(&format!("text: {prompt:?})")), "{text}");
        common::check_posted(&bound, &Inventory::default().nodes, 1);
    }
}

#[test]
fn bind_wants_one_name_for_each_input() {
    let plan = plan(wire("02_refine"));
    for uploads in [vec![], vec!["a".to_owned(), "b".to_owned()]] {
        let error = plan.bind(&uploads, "x").unwrap_err().to_string();
        assert_eq!(
            error,
            format!("the plan has 1 input pictures, but {} were uploaded", uploads.len())
        );
    }
    let strange = Plan { inputs: vec![], ..plan };
    assert!(strange.bind(&[], "x").is_err());
}

#[test]
fn refusals_are_plain() {
    let sampling = |key: &'static str, value: Value| changed("01_generate", &[(key, value)]);
    let lora = |lora: Value| changed("01_generate", &[("/models/loras", json!([lora]))]);
    let size = |width: i64, height: i64| {
        let side = [width, height];
        changed("01_generate", &[sizes(side, side, side, side)])
    };
    let images = |data: Value| changed("02_refine", &[("/image_data", data)]);
    let control = |control: Value| changed("02_refine", &[("/conditioning/control", json!([control]))]);
    let flux = json!({"checkpoint": "flux.safetensors", "version": "flux", "loras": []});
    let scribble = json!({"mode": "scribble", "image": 0});
    let region = wire("05_inpaint")["conditioning"]["regions"][1].clone();
    let requests = [
        wire("08_control_image"),
        wire("09_control_layers_lora"),
        changed("01_generate", &[("/kind", json!("custom"))]),
        changed("01_generate", &[("/kind", json!("dance"))]),
        changed("01_generate", &[("/nsfw_filter", json!(0.5))]),
        changed("01_generate", &[("/images/layer_count", json!(4))]),
        changed("03_inpaint", &[("/images/hires_mask", Value::Null)]),
        changed("03_inpaint", &[("/inpaint", Value::Null)]),
        changed("03_inpaint", &[("/inpaint/fill", json!("stripes"))]),
        changed("03_inpaint", &[("/inpaint/mode", json!("dance"))]),
        changed("03_inpaint", &[("/inpaint/grow", json!(500))]),
        changed("03_inpaint", &[("/inpaint/feather", json!(-1))]),
        changed("03_inpaint", &[("/inpaint/target_bounds", json!([300, 0, 304, 304]))]),
        changed("03_inpaint", &[("/inpaint/target_bounds", json!([0, -1, 304, 304]))]),
        changed(
            "03_inpaint",
            &[("/inpaint/target_bounds", json!([i64::MAX, 0, i64::MAX, 304]))],
        ),
        changed("03_inpaint", &[("/color_match", json!(1.5))]),
        changed(
            "03_inpaint",
            &[
                sizes([512, 512], [512, 512], [800, 800], [800, 800]),
                ("/crop_upscale_extent", Value::Null),
            ],
        ),
        changed("05_inpaint", &[("/conditioning/regions/1/mask", json!(4))]),
        changed(
            "05_inpaint",
            &[("/conditioning/regions", json!(vec![region.clone(); 65]))],
        ),
        changed("06_upscale_tiled", &[("/upscale/model", json!("9x.pth"))]),
        changed("06_upscale_tiled", &[("/upscale/tile_overlap", json!(-2))]),
        changed(
            "06_upscale_tiled",
            &[sizes([512, 512], [8192, 8192], [512, 512], [8192, 8192])],
        ),
        changed(
            "06_upscale_tiled",
            &[sizes([512, 512], [1000, 1000], [672, 672], [1000, 1000])],
        ),
        changed("06_upscale_tiled", &[("/nsfw_filter", json!(0.1))]),
        changed("07_upscale_simple", &[("/upscale/model", json!("9x.pth"))]),
        changed("07_upscale_simple", &[("/images/initial_image", Value::Null)]),
        changed("08_control_image", &[("/control_mode", json!("depth"))]),
        changed("08_control_image", &[("/control_mode", json!("hue"))]),
        control(json!({"mode": "reference", "image": 0})),
        control(json!({"mode": "inpaint", "image": 0})),
        control(json!({"mode": "hue", "image": 0})),
        control(json!({"mode": "depth", "image": 0})),
        control(json!({"mode": "scribble"})),
        control(json!({"mode": "scribble", "image": 1})),
        control(json!({"mode": "scribble", "image": 0, "strength": 11.0})),
        control(json!({"mode": "scribble", "image": 0, "range": [0.5, 1.5]})),
        changed("02_refine", &[("/conditioning/control", json!(vec![scribble; 65]))]),
        changed(
            "01_generate",
            &[(
                "/conditioning/regions",
                json!([{"mask": 0, "bounds": [0, 0, 1, 1], "positive": ""}]),
            )],
        ),
        changed("01_generate", &[("/models", Value::Null)]),
        changed("01_generate", &[("/images", Value::Null)]),
        changed("02_refine", &[("/images/initial_image", Value::Null)]),
        changed("02_refine", &[("/images/initial_image", json!(1))]),
        changed(
            "02_refine",
            &[sizes([512, 512], [512, 512], [1024, 1024], [1024, 1024])],
        ),
        images(Value::Null),
        images(json!({"s3_object": "x", "base64": "AA==", "offsets": [0]})),
        images(json!({"s3_object": "x", "offsets": [0, 9, 9]})),
        images(json!({"s3_object": "x", "offsets": [-1]})),
        sampling("/models/checkpoint", json!("../../etc/passwd\n<b>")),
        sampling("/models/checkpoint", json!("a".repeat(300))),
        sampling("/models/checkpoint", json!("")),
        sampling("/models/checkpoint", json!("sdxl.safetensors")),
        sampling("/models/checkpoint", json!("flux.safetensors")),
        sampling("/models/version", json!("flux")),
        sampling("/models/version", json!("sd3")),
        changed(
            "01_generate",
            &[("/models", flux.clone()), ("/sampling/scheduler", json!("ays"))],
        ),
        sampling("/models/version", json!("sd9")),
        sampling("/models/vae", json!("other.vae")),
        sampling("/models/clip_skip", json!(-2)),
        sampling("/models/rescale_cfg", json!(1.5)),
        changed("01_generate", &[("/models/checkpoint", json!("unet.safetensors"))]),
        lora(json!({"name": "mine.safetensors", "strength": 1.0, "storage_id": "aGFzaA=="})),
        lora(json!({"name": "mine.safetensors", "strength": 1.0})),
        lora(json!({"name": "ink.safetensors", "strength": 10.5})),
        changed(
            "01_generate",
            &[(
                "/models/loras",
                json!(vec![json!({"name": "ink.safetensors", "strength": 1}); 65]),
            )],
        ),
        sampling("/sampling/sampler", json!("custom")),
        sampling("/sampling/scheduler", json!("flux2")),
        sampling("/sampling/cfg_scale", json!(-1.0)),
        sampling("/sampling/cfg_scale", json!("NaN")),
        sampling("/sampling/total_steps", json!(0)),
        sampling("/sampling/total_steps", json!(1001)),
        sampling("/sampling/start_step", json!(-1)),
        sampling("/sampling/seed", json!(-1)),
        changed(
            "01_generate",
            &[
                ("/sampling/scheduler", json!("gits")),
                ("/sampling/total_steps", json!(1)),
            ],
        ),
        sampling("/batch_count", json!(17)),
        sampling("/conditioning/negative", json!("x".repeat(20_001))),
        size(4104, 512),
        size(8, 8),
        size(516, 512),
        size(4096, 2048),
        changed("01_generate", &[sizes([0, 1], [512, 512], [512, 512], [512, 512])]),
        changed("01_generate", &[sizes([1, 1], [512, 512], [512, 512], [16385, 512])]),
        json!({"kind": 7}),
        json!([]),
    ];
    let refusals: Vec<_> = requests.into_iter().map(refusal).collect();
    insta::assert_snapshot!(refusals.join("\n"));
}

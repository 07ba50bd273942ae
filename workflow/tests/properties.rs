//! Whatever comes over the wire: a good graph or a plain refusal, never a panic.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod common;

use common::{able, check_graph, check_posted, check_recipes, check_refusal, compiled, inventory, wire};
use fuzz::{Chance, Sample};
use proptest::{prelude::*, strategy::ValueTree, test_runner::TestRunner};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use workflow::{Inventory, Kind, Plan, Work, WorkflowInput, compile};

/// Mostly a value that is meant to work, now and then one that is not.
fn mostly<T: Clone + std::fmt::Debug + 'static>(
    good: impl Strategy<Value = T> + 'static,
    wild: impl Strategy<Value = T> + 'static,
) -> BoxedStrategy<T> {
    prop_oneof![100 => good, 1 => wild].boxed()
}

fn side() -> BoxedStrategy<i64> {
    mostly((2_i64..130).prop_map(|cells| cells * 8), any::<i64>())
}

fn canvas_side() -> BoxedStrategy<i64> {
    mostly(1_i64..3_000, any::<i64>())
}

fn float(good: std::ops::Range<f64>) -> BoxedStrategy<f64> {
    // JSON has no infinity; such a number never gets past the parser.
    mostly(good, any::<f64>().prop_filter("finite", |number| number.is_finite()))
}

fn text() -> BoxedStrategy<String> {
    prop_oneof![
        Just(String::new()),
        prop::collection::vec(
            prop::sample::select(vec![
                "cat", "{prompt}", " ", ", ", "lang:de ", "lang:", "ß", "\n", "input:0", "output"
            ]),
            0..12
        )
        .prop_map(|words| words.concat()),
        prop::collection::vec(any::<char>(), 0..30).prop_map(String::from_iter),
    ]
    .boxed()
}

fn name(good: &[&'static str]) -> BoxedStrategy<String> {
    mostly(prop::sample::select(good.to_vec()).prop_map(str::to_owned), text())
}

fn index(pictures: i64) -> BoxedStrategy<i64> {
    mostly(0..pictures, any::<i64>())
}

/// So many pictures come with every request.
const PICTURES: i64 = 5;

fn images() -> impl Strategy<Value = Value> {
    let pair = || [side(), side()];
    let picture = || prop_oneof![9 => index(PICTURES).prop_map(Some), 1 => Just(None)];
    (
        pair(),
        pair(),
        [canvas_side(), canvas_side()],
        any::<bool>(),
        [picture().boxed(), picture().boxed(), picture().boxed()],
        mostly(Just(1_i64), any::<i64>()),
    )
        .prop_map(|(initial, desired, target, two_passes, images, layer_count)| {
            let desired = if two_passes { desired } else { initial };
            let [initial_image, hires_image, hires_mask] = images;
            json!({
                "extent": {"input": target, "initial": initial, "desired": desired, "target": target},
                "initial_image": initial_image, "hires_image": hires_image, "hires_mask": hires_mask,
                "layer_count": layer_count,
            })
        })
}

fn lora() -> impl Strategy<Value = Value> {
    let uploaded = prop_oneof![3 => Just(String::new()), 1 => name(&["base64sha256="])];
    (
        name(&["ink.safetensors", "lcm.safetensors"]),
        float(-2.0..2.0),
        uploaded,
    )
        .prop_map(|(name, strength, storage)| json!({"name": name, "strength": strength, "storage_id": storage}))
}

fn control() -> impl Strategy<Value = Value> {
    let modes = [
        "blur",
        "scribble",
        "canny_edge",
        "stencil",
        "soft_edge",
        "reference",
        "style",
        "depth",
    ];
    let image = prop_oneof![9 => index(PICTURES).prop_map(Some), 1 => Just(None)];
    (name(&modes), image, float(0.0..2.0), [float(0.0..1.0), float(0.0..1.0)]).prop_map(
        |(mode, image, strength, range)| json!({"mode": mode, "image": image, "strength": strength, "range": range}),
    )
}

fn models() -> impl Strategy<Value = Value> {
    let checkpoint = prop::sample::select(vec![
        ("dreamshaper_8.safetensors", "sd15"),
        ("Sdxl.safetensors", "sdxl"),
        ("sdxl.safetensors", "illu"),
        ("noob.safetensors", "illu_v"),
        ("xl-unet.safetensors", "sdxl"),
        ("unet.safetensors", "sd15"),
        ("flux.safetensors", "flux"),
        ("flux-fill.safetensors", "flux"),
    ]);
    (
        mostly(
            checkpoint.prop_map(|(file, arch)| (file.to_owned(), arch.to_owned())),
            (text(), text()),
        ),
        prop::collection::vec(lora(), 0..4),
        name(&["", "Checkpoint Default", "soft.safetensors"]),
        mostly(0_i64..4, any::<i64>()),
        any::<[bool; 4]>(),
        float(0.0..1.0),
    )
        .prop_map(
            |((checkpoint, version), loras, vae, clip_skip, switches, rescale_cfg)| {
                json!({
                    "checkpoint": checkpoint, "version": version, "loras": loras, "vae": vae, "clip_skip": clip_skip,
                    "v_prediction_zsnr": switches[0], "self_attention_guidance": switches[1],
                    "dynamic_caching": switches[2], "tiled_vae": switches[3], "rescale_cfg": rescale_cfg,
                })
            },
        )
}

fn sampling() -> impl Strategy<Value = Value> {
    (
        name(&["euler", "dpmpp_2m_sde_gpu", "euler_cfgpp", "euler_cfg_pp"]),
        name(&["karras", "ays", "gits", "polyexponential", "laplace", "beta"]),
        prop_oneof![Just(1.0), float(0.0..30.0)],
        mostly(1_i64..40, any::<i64>()),
        mostly(prop_oneof![Just(0), 0_i64..40], any::<i64>()),
        mostly(0..=i64::from(u32::MAX), any::<i64>()),
    )
        .prop_map(|(sampler, scheduler, cfg_scale, total_steps, start_step, seed)| {
            json!({
                "sampler": sampler, "scheduler": scheduler, "cfg_scale": cfg_scale, "total_steps": total_steps,
                "start_step": start_step, "seed": seed,
            })
        })
}

fn conditioning() -> impl Strategy<Value = Value> {
    let bounds =
        prop_oneof![9 => [0_i64..900, 0..900, 1..900, 1..900].prop_map(<[i64; 4]>::from), 1 => any::<[i64; 4]>()];
    let controls = || prop_oneof![4 => Just(vec![]), 1 => prop::collection::vec(control(), 1..3)];
    let loras = prop_oneof![3 => Just(vec![]), 1 => prop::collection::vec(lora(), 1..3)];
    let region = (index(PICTURES), bounds, text(), controls(), loras).prop_map(
        |(mask, bounds, positive, control, loras)| {
            json!({"mask": mask, "bounds": bounds, "positive": positive, "control": control, "loras": loras})
        },
    );
    let control = controls();
    (
        text(),
        text(),
        text(),
        prop_oneof![Just(""), Just("de")],
        prop::collection::vec(region, 0..4),
        control,
    )
        .prop_map(|(positive, negative, style, language, regions, control)| {
            json!({
                "positive": positive, "negative": negative, "style": style, "language": language, "regions": regions,
                "control": control,
            })
        })
}

fn inpaint() -> impl Strategy<Value = Value> {
    let fills = ["none", "neutral", "blur", "border", "replace", "inpaint", "green"];
    let rim = || mostly(0_i64..500, any::<i64>());
    // As shares of the target, see `request`.
    let bounds = [0.0..0.9_f64, 0.0..0.9, 0.0..1.0, 0.0..1.0];
    (
        name(&fills),
        [rim(), rim(), rim()],
        any::<[bool; 3]>(),
        bounds,
        mostly(Just("fill".to_owned()), text()),
    )
        .prop_map(|(fill, [grow, feather, blend], switches, bounds, mode)| {
            json!({
                "mode": mode, "fill": fill, "grow": grow, "feather": feather, "blend": blend, "target_bounds": bounds,
                "use_inpaint_model": switches[0], "use_condition_mask": switches[1], "use_reference": switches[2],
            })
        })
}

const KINDS: [&str; 7] = [
    "generate",
    "refine",
    "refine_region",
    "inpaint",
    "upscale_simple",
    "upscale_tiled",
    "control_image",
];

fn request() -> impl Strategy<Value = Value> {
    let whole = vec![0_u64, 100, 200, 300, 400];
    let offsets = prop_oneof![20 => Just(whole), 1 => prop::collection::vec(any::<u64>(), 0..4)];
    let upscale = (
        name(&["", "4x.pth", "2x.pth"]),
        mostly(prop_oneof![Just(-1), 0_i64..200], any::<i64>()),
    )
        .prop_map(|(model, tile_overlap)| json!({"model": model, "tile_overlap": tile_overlap}));
    (
        mostly(prop::sample::select(KINDS.to_vec()).prop_map(str::to_owned), text()),
        (images(), models(), sampling(), conditioning(), inpaint(), upscale),
        (mostly(1_i64..4, any::<i64>()), float(0.0..1e-9), float(0.0..1.0)),
        [side(), side()],
        name(&[
            "canny_edge",
            "scribble",
            "line_art",
            "soft_edge",
            "pose",
            "depth",
            "normal",
            "segmentation",
        ]),
        offsets,
    )
        .prop_map(|(kind, parts, (batch, nsfw, colour_match), crop, mode, offsets)| {
            let (mut images, models, sampling, conditioning, mut inpaint, upscale) = parts;
            let side = |images: &Value, name: &str, axis: usize| images["extent"][name][axis].as_i64().unwrap();
            for axis in 0..2 {
                let target = side(&images, "target", axis);
                if (1..10_000).contains(&target) {
                    let share = |place: usize| inpaint["target_bounds"][place].as_f64().unwrap();
                    let start = (share(axis) * target as f64) as i64;
                    let length = 1 + (share(axis + 2) * (target - start - 1) as f64) as i64;
                    inpaint["target_bounds"][axis] = json!(start);
                    inpaint["target_bounds"][axis + 2] = json!(length);
                } else {
                    inpaint["target_bounds"][axis] = json!(0);
                    inpaint["target_bounds"][axis + 2] = json!(target);
                }
                if kind == "upscale_tiled" {
                    let initial = side(&images, "initial", axis);
                    images["extent"]["initial"][axis] = json!(initial.saturating_mul(2));
                    images["extent"]["desired"][axis] = json!([512, 672, 896][initial.rem_euclid(3) as usize]);
                }
                if kind == "refine" || (kind == "refine_region" && batch == 1) {
                    images["extent"]["desired"][axis] = images["extent"]["initial"][axis].clone();
                }
            }
            json!({
                "kind": kind, "images": images, "models": models, "sampling": sampling, "conditioning": conditioning,
                "inpaint": inpaint, "upscale": upscale, "crop_upscale_extent": crop, "control_mode": mode,
                "batch_count": batch, "color_match": colour_match,
                "nsfw_filter": if nsfw < 1e-9 { 0.0 } else { nsfw },
                "image_data": {"s3_object": "key", "offsets": offsets},
            })
        })
}

/// True if there was a plan. Machines that have more nodes never refuse more.
fn check(request: Value) -> bool {
    let plain = check_with(request.clone(), &inventory());
    let able = check_with(request, &able());
    assert!(able || !plain);
    able
}

fn check_with(request: Value, inventory: &Inventory) -> bool {
    let result = WorkflowInput::read(request).and_then(|input| {
        let again = WorkflowInput::read(serde_json::to_value(&input).unwrap()).unwrap();
        assert_eq!(again, input);
        compile(&input, inventory).map(|plan| (input, plan))
    });
    let (input, plan) = match result {
        Ok(both) => both,
        Err(refusal) => {
            check_refusal(&refusal.to_string());
            return false;
        }
    };
    check_graph(&plan, &inventory.nodes);
    assert_eq!(compile(&input, inventory).as_ref(), Ok(&plan));
    assert_eq!(
        serde_json::from_str::<Plan>(&serde_json::to_string(&plan).unwrap()).unwrap(),
        plan
    );
    let diffuses = !matches!(input.kind, Kind::UpscaleSimple | Kind::ControlImage);
    assert_eq!(plan.work.steps > 0, diffuses);
    assert!(plan.work.auxiliary > 0.0 && plan.work.units() >= Work::FLOOR);
    check_recipes(&plan);
    let uploads = plan.inputs.iter().filter(|input| input.upload);
    let uploads: Vec<_> = uploads.map(|input| format!("up/{}", input.name)).collect();
    let bound = plan.bind(&uploads, "run/out").unwrap();
    check_posted(&bound, &inventory.nodes, 1 + u32::from(plan.pose));
    true
}

#[test]
fn most_random_requests_compile_and_the_rest_is_refused() {
    let mut runner = TestRunner::deterministic();
    let strategy = request();
    let mut plans = BTreeMap::new();
    for _ in 0..1_500 {
        let request = strategy.new_tree(&mut runner).unwrap().current();
        let kind = request["kind"].as_str().unwrap().to_owned();
        let count: &mut u32 = plans.entry(kind).or_default();
        *count += u32::from(check(request));
    }
    for kind in KINDS {
        assert!((20..200).contains(&plans[kind]), "{plans:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_request_compiles_or_is_refused(request in request()) {
        check(request);
    }
}

/// The captured requests.
fn captured() -> Vec<Value> {
    let files = fuzz::corpus("workflow/tests/wire").into_iter();
    files.map(|(name, _)| wire(&name)).collect()
}

#[test]
fn fuzz_requests() {
    let requests = captured();
    let taken = |json: &Sample| serde_json::from_slice(json).is_ok_and(check);
    fuzz::run(200, |chance| chance.json(&requests), taken);
}

/// A prompt that must not be repeated.
const SECRET: &str = "a-very-secret-prompt";

#[test]
fn fuzz_prompts() {
    let requests: Vec<_> = captured()
        .into_iter()
        .filter(|it| it["conditioning"].is_object())
        .collect();
    let make = |chance: &mut Chance| {
        let mut request = chance.one(&requests).clone();
        for text in ["positive", "negative", "style", "language"] {
            if chance.seldom(2) {
                request["conditioning"][text] = format!("{}{SECRET}{}", chance.text(), chance.text()).into();
            }
        }
        for region in request["conditioning"]["regions"].as_array_mut().into_iter().flatten() {
            region["positive"] = chance.text().into();
        }
        request
    };
    let taken = |request: &Value| {
        let refusal = compiled(request.clone()).err();
        assert!(refusal.is_none_or(|it| !it.to_string().contains(SECRET)));
        check(request.clone())
    };
    fuzz::run(200, make, taken);
}

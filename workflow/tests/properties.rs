//! Whatever comes over the wire: a good graph or a plain refusal, never a panic.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod common;

use common::{catalog, check_graph, check_refusal, wire};
use proptest::{prelude::*, strategy::ValueTree, test_runner::TestRunner};
use serde_json::{Value, json};
use workflow::{Plan, WorkflowInput, compile};

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

fn images() -> impl Strategy<Value = Value> {
    let pair = || [side(), side()];
    let index = || mostly(prop::option::of(0_i64..2), any::<Option<i64>>());
    (
        pair(),
        pair(),
        [canvas_side(), canvas_side()],
        any::<bool>(),
        index(),
        mostly(Just(1_i64), any::<i64>()),
    )
        .prop_map(|(initial, desired, target, two_passes, initial_image, layer_count)| {
            let desired = if two_passes { desired } else { initial };
            json!({
                "extent": {"input": target, "initial": initial, "desired": desired, "target": target},
                "initial_image": initial_image,
                "layer_count": layer_count,
            })
        })
}

fn models() -> impl Strategy<Value = Value> {
    let checkpoint = prop::sample::select(vec![
        ("dreamshaper_8.safetensors", "sd15"),
        ("Sdxl.safetensors", "sdxl"),
        ("sdxl.safetensors", "illu"),
        ("noob.safetensors", "illu_v"),
        ("xl-unet.safetensors", "sdxl"),
        ("unet.safetensors", "sd15"),
    ]);
    let lora = (name(&["ink.safetensors", "lcm.safetensors"]), float(-2.0..2.0))
        .prop_map(|(name, strength)| json!({"name": name, "strength": strength}));
    (
        mostly(
            checkpoint.prop_map(|(file, arch)| (file.to_owned(), arch.to_owned())),
            (text(), text()),
        ),
        prop::collection::vec(lora, 0..4),
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
    let region = (mostly(0_i64..2, any::<i64>()), any::<[i64; 4]>(), text())
        .prop_map(|(mask, bounds, positive)| json!({"mask": mask, "bounds": bounds, "positive": positive}));
    let control = mostly(Just(vec![]), Just(vec![json!({"mode": "blur"})]));
    (
        text(),
        text(),
        text(),
        prop_oneof![Just(""), Just("de")],
        prop::collection::vec(region, 0..2),
        control,
    )
        .prop_map(|(positive, negative, style, language, regions, control)| {
            json!({
                "positive": positive, "negative": negative, "style": style, "language": language, "regions": regions,
                "control": control,
            })
        })
}

fn request() -> impl Strategy<Value = Value> {
    let offsets = prop_oneof![20 => Just(vec![0_u64, 100]), 1 => prop::collection::vec(any::<u64>(), 0..4)];
    (
        mostly(prop::sample::select(vec!["generate", "refine"]).prop_map(str::to_owned), text()),
        (images(), models(), sampling(), conditioning()),
        mostly(1_i64..4, any::<i64>()),
        float(0.0..1e-9),
        offsets,
    )
        .prop_map(|(kind, (images, models, sampling, conditioning), batch, nsfw, offsets)| {
            json!({
                "kind": kind, "images": images, "models": models, "sampling": sampling, "conditioning": conditioning,
                "batch_count": batch, "nsfw_filter": if nsfw < 1e-9 { 0.0 } else { nsfw },
                "image_data": {"s3_object": "key", "offsets": offsets},
            })
        })
}

/// A captured request with one value, anywhere, replaced by something else.
fn damaged() -> impl Strategy<Value = Value> {
    let junk = prop_oneof![
        Just(Value::Null),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<bool>().prop_map(Value::from),
        text().prop_map(Value::from),
        Just(json!([])),
        Just(json!({})),
        Just(json!([0, 0])),
    ];
    (
        prop::sample::select(vec!["01_generate", "02_refine"]),
        any::<prop::sample::Index>(),
        junk,
    )
        .prop_map(|(name, place, junk)| {
            let mut request = wire(name);
            let mut pointers = vec![];
            collect(&request, String::new(), &mut pointers);
            if let Some(value) = request.pointer_mut(place.get(&pointers).as_str()) {
                *value = junk;
            }
            request
        })
}

fn collect(value: &Value, pointer: String, all: &mut Vec<String>) {
    match value {
        Value::Object(map) => map
            .iter()
            .for_each(|(key, value)| collect(value, format!("{pointer}/{key}"), all)),
        Value::Array(list) => list
            .iter()
            .enumerate()
            .for_each(|(i, value)| collect(value, format!("{pointer}/{i}"), all)),
        _ => {}
    }
    all.push(pointer);
}

/// True if there was a plan.
fn check(request: Value) -> bool {
    let result = WorkflowInput::read(request).and_then(|input| {
        let again = WorkflowInput::read(serde_json::to_value(&input).unwrap()).unwrap();
        assert_eq!(again, input);
        compile(&input, &catalog()).map(|plan| (input, plan))
    });
    let (input, plan) = match result {
        Ok(both) => both,
        Err(refusal) => {
            check_refusal(&refusal.to_string());
            return false;
        }
    };
    check_graph(&plan.graph);
    assert_eq!(compile(&input, &catalog()).as_ref(), Ok(&plan));
    assert_eq!(
        serde_json::from_str::<Plan>(&serde_json::to_string(&plan).unwrap()).unwrap(),
        plan
    );
    assert!(plan.work.steps > 0 && plan.work.units() > 0.0);
    let uploads: Vec<_> = plan.inputs.iter().map(|input| format!("up/{}", input.name)).collect();
    check_graph(&plan.bind(&uploads, "run/out").unwrap());
    true
}

#[test]
fn most_random_requests_compile_and_the_rest_is_refused() {
    let mut runner = TestRunner::deterministic();
    let strategy = request();
    let plans = (0..600)
        .filter(|_| check(strategy.new_tree(&mut runner).unwrap().current()))
        .count();
    assert!((150..600).contains(&plans), "{plans} of 600");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_request_compiles_or_is_refused(request in request()) {
        check(request);
    }

    #[test]
    fn a_damaged_request_compiles_or_is_refused(request in damaged()) {
        check(request);
    }
}

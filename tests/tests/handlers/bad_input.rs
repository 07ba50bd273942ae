//! Hostile requests through the whole of `generate`: they are refused in a sentence, and then nothing is kept, queued or
//! reserved; what is not refused can be rendered. What compiles and what does not is tested at `workflow` itself.

use std::time::{Duration, Instant};

use cloud::{memory::Memory, tables::BodyOf};
use model::{Task, UserId};
use proptest::{
    prelude::*,
    sample::Index,
    test_runner::{Config, TestRunner},
};
use serde_json::{Value, json};

use crate::support::{MARA, NOW, OTHER, World, http, painter, thorough, wire};

const WIRES: [&str; 7] = [
    "01_generate",
    "02_refine",
    "03_inpaint",
    "04_refine_region",
    "05_inpaint",
    "06_upscale_tiled",
    "07_upscale_simple",
];

/// A refusal takes milliseconds; what takes longer than this was not refused for being too much.
const NORMAL: Duration = Duration::from_secs(10);

/// A captured request whose upload is there.
pub(crate) fn captured(memory: &Memory, name: &str) -> Value {
    const OBJECT: &str = "00000000000000000000000000000001";
    memory.put_object(&format!("uploads/{MARA}/{OBJECT}"), 100_000, "");
    let mut request = wire(name);
    let data = &mut request["input"]["workflow"]["image_data"];
    if data.is_object() {
        data["s3_object"] = OBJECT.into();
    } else {
        drop(
            request["input"]["workflow"]
                .as_object_mut()
                .unwrap()
                .remove("image_data"),
        );
    }
    request
}

pub(crate) async fn world() -> World {
    let world = World::new().await;
    let mut account = world.get(&UserId::new(MARA)).await;
    account.credits = u64::MAX;
    world.put(account).await;
    world
}

/// Whether the request was taken.
pub(crate) async fn sent(world: &World, event: Value, shown: &str) -> bool {
    world.take_queued();
    let (before, began) = (world.written(), Instant::now());
    let answer = world.http(event, NOW).await;
    assert!(began.elapsed() < NORMAL, "{:?} for {shown}", began.elapsed());
    if answer.status == 200 {
        let id = answer.body["id"].as_str().unwrap().parse().unwrap();
        let task: Task = world.task(&id).await;
        assert!(task.reserved.0 > 0 && task.owner.as_str() == MARA, "{task:?}");
        let body = world.get(&BodyOf(id)).await;
        assert!(body.plan.is_some() || body.plan_key.is_some());
        let inputs = body.inputs.and_then(|inputs| inputs.key);
        assert!(inputs.is_none_or(|key| key.starts_with("uploads/mara/")), "{shown}");
        return true;
    }
    assert!(
        (400..500).contains(&answer.status) && answer.status != 402,
        "{answer:?} to {shown}"
    );
    let error = answer.error();
    let sentence = error.ends_with('.') && !error.contains(['\n', '\0']) && error.chars().count() <= 180;
    assert!(sentence, "what the plugin shows: {error}");
    assert!(world.written() == before, "{answer:?} to {shown}");
    false
}

pub(crate) fn shown(text: &str) -> String {
    text.chars().take(300).collect()
}

pub(crate) async fn taken(world: &World, request: &Value) -> bool {
    let event = http("POST /v1/generate", "", Some(&painter(MARA)), request);
    sent(world, event, &shown(&request.to_string())).await
}

// ---------------------------------------------------------------- by name

/// The captured request with other values at these places.
pub(crate) fn with(memory: &Memory, name: &str, changes: &[(&str, Value)]) -> Value {
    let mut request = captured(memory, name);
    for (pointer, value) in changes {
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        let parent = request["input"]["workflow"].pointer_mut(parent).unwrap();
        match parent {
            Value::Array(list) => list[key.parse::<usize>().unwrap()] = value.clone(),
            parent => parent[key] = value.clone(),
        }
    }
    request
}

/// `lambda_http` puts it in front of the path, and panics if that makes no URI.
#[tokio::test]
async fn by_what_a_request_was_called_is_nobodys_business() {
    let world = World::new().await;
    for name in ["prod", "a b\n%", "", &"s".repeat(70_000)] {
        let mut event = http("GET /v1/user", "", Some(&painter(MARA)), &json!(""));
        for place in ["stage", "domainName", "domainPrefix"] {
            event["requestContext"][place] = name.into();
        }
        event["headers"]["host"] = name.into();
        let answer = world.http(event, NOW).await;
        assert_eq!(answer.status, 200, "{answer:?}");
    }
}

/// DynamoDB keeps no number below 1E-130.
#[tokio::test]
async fn a_number_next_to_nothing_is_nothing() {
    let world = world().await;
    for name in WIRES {
        let request = captured(&world.memory, name);
        let mut all = Vec::new();
        places(&request, "", &mut all);
        for place in all {
            for number in [2.487e-162, -f64::MIN_POSITIVE] {
                let mut request = request.clone();
                let value = request.pointer_mut(&place).unwrap();
                if value.is_number() {
                    *value = number.into();
                    taken(&world, &request).await;
                }
            }
        }
    }
    let request = with(&world.memory, "01_generate", &[("/models/rescale_cfg", 1e-300.into())]);
    assert!(taken(&world, &request).await);
}

#[tokio::test]
async fn what_is_too_much_too_far_or_somebody_elses_is_refused() {
    let world = world().await;
    let memory = &world.memory;
    for name in WIRES {
        assert!(taken(&world, &captured(memory, name)).await, "{name}");
    }
    let region = json!({ "mask": 0, "bounds": [0, 0, 64, 64], "positive": "a tree", "control": [], "loras": [] });
    let control = json!({ "mode": "canny_edge", "image": 0 });
    let lora = json!({ "name": "x.safetensors", "strength": 1.0 });
    let theirs = "00000000000000000000000000000002";
    memory.put_object(&format!("uploads/{OTHER}/{theirs}"), 100_000, "");
    let path = "../../../etc/passwd";
    let bad: &[(&str, &str, Value)] = &[
        ("01_generate", "/kind", "sculpt".into()),
        ("01_generate", "/models/version", "sd99".into()),
        ("01_generate", "/sampling/sampler", "magic".into()),
        ("01_generate", "/sampling/scheduler", "magic".into()),
        ("03_inpaint", "/inpaint/mode", "magic".into()),
        ("03_inpaint", "/inpaint/fill", "magic".into()),
        (
            "02_refine",
            "/conditioning/control",
            json!([{ "mode": "magic", "image": 0 }]),
        ),
        ("02_refine", "/image_data/offsets", json!([0, u64::MAX])),
        ("02_refine", "/image_data/offsets", json!([0, 100_000])),
        (
            "02_refine",
            "/image_data/offsets",
            (0..100_000).collect::<Vec<_>>().into(),
        ),
        ("02_refine", "/image_data/s3_object", theirs.into()),
        (
            "02_refine",
            "/image_data/s3_object",
            format!("../{OTHER}/{theirs}").into(),
        ),
        ("02_refine", "/images/initial_image", json!(1)),
        ("02_refine", "/images/initial_image", json!(-1)),
        ("01_generate", "/images/extent/initial", json!([16384, 16384])),
        ("01_generate", "/images/extent/desired", json!([16384, 8])),
        ("01_generate", "/images/extent/target", json!([16385, 1])),
        ("01_generate", "/images/extent/target", json!([-512, 512])),
        ("03_inpaint", "/inpaint/target_bounds", json!([-1, -1, -512, -512])),
        (
            "03_inpaint",
            "/inpaint/target_bounds",
            json!([i64::MAX, i64::MAX, i64::MAX, i64::MAX]),
        ),
        ("02_refine", "/conditioning/regions", vec![region; 10_000].into()),
        ("02_refine", "/conditioning/control", vec![control; 10_000].into()),
        ("01_generate", "/models/loras", vec![lora; 10_000].into()),
        ("01_generate", "/conditioning/positive", "x ".repeat(500_000).into()),
        ("01_generate", "/conditioning/negative", "(".repeat(1_000_000).into()),
        ("01_generate", "/conditioning/style", "{prompt}".repeat(120_000).into()),
        (
            "01_generate",
            "/conditioning/positive",
            "<lora:x:1>".repeat(100_000).into(),
        ),
        ("01_generate", "/models/checkpoint", path.into()),
        ("01_generate", "/models/vae", path.into()),
        (
            "01_generate",
            "/models/loras",
            json!([{ "name": path, "strength": 1.0 }]),
        ),
        ("07_upscale_simple", "/upscale/model", path.into()),
        ("01_generate", "/sampling/seed", json!(-1)),
        ("01_generate", "/sampling/cfg_scale", json!(1e308)),
        ("01_generate", "/batch_count", json!(i64::MAX)),
    ];
    for (name, pointer, value) in bad {
        let request = with(memory, name, &[(pointer, value.clone())]);
        assert!(
            !taken(&world, &request).await,
            "{name} {pointer} {}",
            shown(&value.to_string())
        );
    }
    // Only a second pass looks at its size.
    for side in [-8, 0, 16_384] {
        let larger = ("/images/extent/desired", json!([1024, 1024]));
        let request = with(
            memory,
            "03_inpaint",
            &[larger, ("/crop_upscale_extent", json!([side, side]))],
        );
        assert!(!taken(&world, &request).await, "{side}");
    }
}

// ---------------------------------------------------------------- by chance

/// What is done to one place of a request.
#[derive(Debug, Clone)]
enum Damage {
    Replace(Value),
    Remove,
    /// An element so many times over.
    Repeat(usize),
}

fn damage() -> impl Strategy<Value = Damage> {
    let number = prop_oneof![
        prop::sample::select(vec![
            -1,
            0,
            1,
            8,
            64,
            4096,
            16_384,
            16_385,
            i64::MIN,
            i64::MAX,
            1 << 31,
            1 << 53
        ]),
        any::<i64>(),
    ];
    let text = prop_oneof![
        prop::sample::select(vec![
            "",
            "\0",
            "../../etc/passwd",
            "..\\..\\x",
            "/x.safetensors",
            "{prompt}",
            "((((",
            "<lora:x:9e999>",
            "NaN",
            "\u{202e}x",
            "input:0",
            "generate",
            "sdxl",
            "reference",
            "euler",
        ])
        .prop_map(str::to_owned),
        ".{0,40}",
        (0_usize..1_000_000).prop_map(|length| "a, ".repeat(length / 3)),
    ];
    let value = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        number.prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        text.prop_map(Value::from),
        prop::sample::select(vec![
            json!([]),
            json!({}),
            json!([0, 0]),
            json!([-1, -1, -1, -1]),
            json!([[[[]]]])
        ]),
    ];
    prop_oneof![
        6 => value.prop_map(Damage::Replace),
        1 => Just(Damage::Remove),
        1 => (2_usize..20_000).prop_map(Damage::Repeat),
    ]
}

fn places(value: &Value, at: &str, all: &mut Vec<String>) {
    match value {
        Value::Object(map) => map
            .iter()
            .for_each(|(key, value)| places(value, &format!("{at}/{key}"), all)),
        Value::Array(list) => {
            let numbered = list.iter().enumerate();
            numbered.for_each(|(number, value)| places(value, &format!("{at}/{number}"), all));
        }
        _ => {}
    }
    all.push(at.to_owned());
}

fn apply(request: &mut Value, place: Index, damage: &Damage) {
    let mut all = Vec::new();
    places(request, "", &mut all);
    let place = place.get(&all);
    let (parent, key) = place.rsplit_once('/').unwrap_or_default();
    match (damage, request.pointer_mut(parent)) {
        (Damage::Replace(value), _) => *request.pointer_mut(place).unwrap() = value.clone(),
        (Damage::Remove, Some(Value::Object(map))) => drop(map.remove(key)),
        (Damage::Repeat(times), Some(Value::Array(list))) if !list.is_empty() => {
            let element = list[0].clone();
            list.resize(*times, element);
        }
        _ => {}
    }
}

/// Runs as many cases, each in a studio of its own, and says how many requests were taken.
fn in_any_case<S: Strategy>(cases: u32, strategy: S, case: &impl AsyncFn(&World, S::Value) -> bool) -> u32 {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    let config = Config {
        cases,
        failure_persistence: None,
        ..Config::default()
    };
    let taken = std::cell::Cell::new(0);
    let done = TestRunner::new(config).run(&strategy, |input| {
        let was_taken = runtime.block_on(async { case(&world().await, input).await });
        taken.set(taken.get() + u32::from(was_taken));
        Ok(())
    });
    done.unwrap_or_else(|error| panic!("{error}"));
    taken.get()
}

#[test]
fn a_damaged_request_is_refused_in_a_sentence_or_can_be_rendered() {
    let strategy = (
        prop::sample::select(WIRES.to_vec()),
        prop::collection::vec((any::<Index>(), damage()), 1..3),
    );
    let cases = if thorough() { 400 } else { 120 };
    let taken = in_any_case(cases, strategy, &async |world: &World, (name, damages): (_, Vec<_>)| {
        let mut request = captured(&world.memory, name);
        for (place, damage) in &damages {
            apply(&mut request, *place, damage);
        }
        let told = request.pointer("/input/workflow").cloned().unwrap_or_default();
        let cost = world.paint(MARA, "POST /v1/admin/cost", "", &told, NOW).await;
        let taken = taken(world, &request).await;
        // Whatever can be painted has a cost; what has one may still lack its pictures.
        assert!(cost.status == 200 || !taken, "{cost:?}");
        taken
    });
    assert!(
        (5..cases - 5).contains(&taken),
        "{taken} of {cases} were taken: most damage is to be noticed, and not all is any"
    );
}

#[test]
fn damaged_bytes_are_refused_in_a_sentence() {
    let strategy = (
        prop::sample::select(WIRES.to_vec()),
        prop::collection::vec((any::<Index>(), any::<u8>()), 0..4),
        prop::option::of(any::<Index>()),
        any::<bool>(),
    );
    let case = async |world: &World, (name, changes, cut, is_base64): (_, Vec<(Index, u8)>, Option<Index>, _)| {
        use base64::{Engine, prelude::BASE64_STANDARD};
        let mut bytes = captured(&world.memory, name).to_string().into_bytes();
        for (place, byte) in changes {
            let place = place.index(bytes.len());
            bytes[place] = byte;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        let text = if is_base64 {
            BASE64_STANDARD.encode(&bytes)
        } else {
            String::from_utf8_lossy(&bytes).into_owned()
        };
        let mut event = http("POST /v1/generate", "", Some(&painter(MARA)), &Value::String(text));
        event["isBase64Encoded"] = is_base64.into();
        sent(world, event, &shown(&String::from_utf8_lossy(&bytes))).await
    };
    in_any_case(if thorough() { 200 } else { 80 }, strategy, &case);
}

//! Requests as on the wire, an inventory that fits them, and a check of graphs against ComfyUI's own description of nodes.

#![allow(dead_code, reason = "each test file uses its share")]
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]
#![allow(clippy::disallowed_methods, reason = "captured requests are files")]

use serde_json::{Value, json};
use std::{collections::BTreeSet, path::PathBuf, sync::LazyLock};
use workflow::{Graph, Inventory, OPTIONAL_NODES, Operation, Plan, Refusal, Source, WorkflowInput, compile};

/// The `WorkflowInput` of one of the captured requests.
pub(crate) fn wire(name: &str) -> Value {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/wire")
        .join(format!("{name}.json"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let request: Value = serde_json::from_str(&text).unwrap();
    request.pointer("/input/workflow").unwrap_or(&request).clone()
}

/// A captured request with some values replaced: (JSON pointer, value). Missing keys are added; null removes.
pub(crate) fn changed(name: &str, changes: &[(&str, Value)]) -> Value {
    let mut request = wire(name);
    for (pointer, value) in changes {
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        let parent = request
            .pointer_mut(parent)
            .unwrap_or_else(|| panic!("no {parent}"))
            .as_object_mut()
            .unwrap();
        if value.is_null() {
            parent.remove(key);
        } else {
            parent.insert(key.to_owned(), value.clone());
        }
    }
    request
}

pub(crate) fn sizes(input: [i64; 2], initial: [i64; 2], desired: [i64; 2], target: [i64; 2]) -> (&'static str, Value) {
    (
        "/images/extent",
        json!({"input": input, "initial": initial, "desired": desired, "target": target}),
    )
}

pub(crate) fn inventory() -> Inventory {
    serde_json::from_value(json!({
        "checkpoints": {
            "dreamshaper_8.safetensors": {"filename": "dreamshaper_8.safetensors", "arch": "sd15"},
            "sdxl.safetensors": {"filename": "sdxl/sdxl.safetensors", "arch": "sdxl"},
            "noob.safetensors": {"filename": "noob.safetensors", "arch": "illu_v"},
            "xl-unet.safetensors": {"filename": "xl-unet.safetensors", "arch": "sdxl", "format": "diffusion"},
            "unet.safetensors": {"filename": "unet.safetensors", "arch": "sd15", "format": "diffusion"},
            "flux.safetensors": {"filename": "flux.safetensors", "arch": "flux", "format": "diffusion"},
            "flux-fill.safetensors": {"filename": "flux-fill.safetensors", "arch": "flux"},
            "sd3.safetensors": {"filename": "sd3.safetensors", "arch": "sd3"},
        },
        "vae": ["soft.safetensors"],
        "loras": ["ink.safetensors", "lcm.safetensors", "paper.safetensors"],
        "upscalers": ["4x.pth", "2x.pth", "4x_NMKD-Superscale-SP_178000_G.pth"],
        "uploads": {"base64sha256=": "uploads/mine.safetensors"},
        "resources": {
            "upscaler-default-all": "4x.pth",
            "upscaler-fast_2x-all": "2x.pth",
            "lora-lcm-sd15": "lcm.safetensors",
            "controlnet-inpaint-sd15": "inpaint15.safetensors",
            "controlnet-blur-sd15": "tile15.safetensors",
            "controlnet-scribble-sd15": "scribble15.safetensors",
            "controlnet-canny_edge-sd15": "canny15.safetensors",
            "controlnet-stencil-sd15": "stencil15.safetensors",
            "controlnet-universal-sdxl": "union-promax.safetensors",
            "controlnet-scribble-illu": "scribble-illu.safetensors",
            "controlnet-inpaint-flux": "inpaint-flux.safetensors",
            "controlnet-universal-flux": "union-flux.safetensors",
            "text_encoder-t5-all": "t5.safetensors",
            "vae-default-flux": "ae.safetensors",
            "text_encoder-clip_g-all": "clip_g.safetensors",
            "text_encoder-clip_l-all": "clip_l.safetensors",
            "vae-default-sdxl": "sdxl_vae.safetensors",
            "ip_adapter-reference-sd15": "ip-adapter15.safetensors",
            "clip_vision-ip_adapter-sd15": "vit-h.safetensors",
            "ip_adapter-reference-sdxl": "ip-adapter-xl.safetensors",
            "clip_vision-ip_adapter-sdxl": "vit-h.safetensors",
            "ip_adapter-reference-flux": "redux.safetensors",
            "clip_vision-redux-flux": "sigclip.safetensors",
        },
    }))
    .unwrap()
}

/// The same, with render machines that have all optional nodes.
pub(crate) fn able() -> Inventory {
    Inventory {
        nodes: OPTIONAL_NODES.iter().map(|node| node.class.to_owned()).collect(),
        ..inventory()
    }
}

pub(crate) fn compiled(request: Value) -> Result<Plan, Refusal> {
    compile(&WorkflowInput::read(request)?, &inventory())
}

pub(crate) fn plan(request: Value) -> Plan {
    plan_with(request, &inventory())
}

pub(crate) fn plan_with(request: Value, inventory: &Inventory) -> Plan {
    let plan = WorkflowInput::read(request).and_then(|input| compile(&input, inventory));
    let plan = plan.unwrap_or_else(|refusal| panic!("{refusal}"));
    check_graph(&plan, &inventory.nodes);
    check_recipes(&plan);
    plan
}

/// All of a plan, in a form that reads well in a review.
pub(crate) fn text(plan: &Plan) -> String {
    let line = |value: &Value| value.to_string();
    let inputs = plan.inputs.iter().enumerate().map(|(place, input)| {
        let mut input = serde_json::to_value(input).unwrap();
        let input = input.as_object_mut().unwrap();
        input.remove("name");
        format!("{place} {}", line(&json!(input)))
    });
    let inputs: Vec<_> = inputs.collect();
    let finish: Vec<_> = plan.finish.iter().map(|operation| line(&json!(operation))).collect();
    let output = plan.output;
    let output = format!(
        "Output {{ count: {}, width: {}, height: {} }}",
        output.count, output.width, output.height
    );
    let Plan {
        models, work, graph, ..
    } = plan;
    format!(
        "inputs:\n{}\nfinish: {}\noutput: {output}\nmodels: {models:?}\nwork: {work:?} = {:.3}\n{graph}",
        inputs.join("\n"),
        finish.join(" "),
        work.units()
    )
}

pub(crate) fn refusal(request: Value) -> String {
    let refusal = compiled(request).expect_err("refused").to_string();
    check_refusal(&refusal);
    refusal
}

/// The plugin cuts at 180 characters, and shows one line.
pub(crate) fn check_refusal(text: &str) {
    assert!(text.starts_with("Validation error: "), "{text}");
    assert!(
        text.chars().count() <= 180,
        "{} characters: {text}",
        text.chars().count()
    );
    assert!(text.ends_with('.') && !text.contains(char::is_control), "{text}");
}

/// The optional nodes as the stand-in describes them, in the form of `nodes.json`.
pub(crate) fn optional_nodes() -> serde_json::Map<String, Value> {
    let described: Value =
        serde_json::from_str(include_str!("../../../comfyui-double/data/optional_nodes.json")).unwrap();
    let describe = |(class, described): (&String, &Value)| {
        let kinds = ["required", "optional"].into_iter();
        let inputs = kinds.flat_map(|kind| {
            described["input"][kind]
                .as_object()
                .into_iter()
                .flatten()
                .map(move |it| (kind, it))
        });
        let inputs = inputs.map(|(kind, (name, spec))| {
            let mut input = json!({"type": spec[0], "min": spec[1]["min"], "max": spec[1]["max"]});
            if spec[0].as_str().is_some_and(|kind| kind.starts_with("FILES:")) {
                input["type"] = "FILE".into();
            }
            input["optional"] = (kind == "optional").into();
            (name.clone(), input)
        });
        let inputs: serde_json::Map<_, _> = inputs.collect();
        let class_info =
            json!({"inputs": inputs, "outputs": described["output"], "output_node": described["output_node"]});
        (class.clone(), class_info)
    };
    described.as_object().unwrap().iter().map(describe).collect()
}

static CLASSES: LazyLock<Value> = LazyLock::new(|| serde_json::from_str(include_str!("../nodes.json")).unwrap());
static OPTIONAL_CLASSES: LazyLock<serde_json::Map<String, Value>> = LazyLock::new(optional_nodes);

/// What ComfyUI 0.3.75 with these optional nodes checks when a graph is posted, and that links only point backwards.
pub(crate) fn check_graph(plan: &Plan, with: &BTreeSet<String>) {
    check_posted(&plan.graph, with, 1 + u32::from(plan.pose));
}

/// As [`check_graph`], with so many output nodes.
pub(crate) fn check_posted(graph: &Graph, with: &BTreeSet<String>, outputs: u32) {
    let known = |class: &Value| {
        let class = class.as_str().unwrap();
        let optional = || OPTIONAL_CLASSES.get(class).filter(|_| with.contains(class));
        let known = CLASSES.get(class).or_else(optional);
        known.unwrap_or_else(|| panic!("unknown node {class}"))
    };
    let nodes = graph.as_map();
    let mut output_nodes = 0;
    for id in 1..=nodes.len() {
        let node = &nodes[&id.to_string()];
        let class = known(&node["class_type"]);
        let wanted = class["inputs"].as_object().unwrap();
        let given = node["inputs"].as_object().unwrap();
        for (name, spec) in wanted {
            assert!(given.contains_key(name) || spec["optional"] == true, "{name} of {node}");
        }
        for (name, value) in given {
            let spec = wanted.get(name).unwrap_or_else(|| panic!("{name} of {node}"));
            check_input(id, value, spec, nodes, &known);
        }
        output_nodes += u32::from(class["output_node"] == true);
    }
    assert_eq!(output_nodes, outputs, "{graph}");
}

fn check_input<'a>(
    id: usize,
    value: &Value,
    spec: &Value,
    nodes: &serde_json::Map<String, Value>,
    known: &impl Fn(&Value) -> &'a Value,
) {
    let within = |number: f64| {
        spec["min"].as_f64().is_none_or(|min| min <= number) && spec["max"].as_f64().is_none_or(|max| number <= max)
    };
    match (&spec["type"], value) {
        (Value::Array(names), value) => assert!(names.contains(value), "{value} is not in {names:?}"),
        (Value::String(kind), Value::Array(link)) => {
            let from: usize = link[0].as_str().unwrap().parse().unwrap();
            assert!((1..id).contains(&from), "node {id} links to {from}");
            let class = &nodes[&from.to_string()]["class_type"];
            let output = &known(class)["outputs"][usize::try_from(link[1].as_u64().unwrap()).unwrap()];
            assert!(
                output == kind || (kind == "*" && output.is_string()),
                "{output} of {class} into {kind} of node {id}"
            );
        }
        (Value::String(kind), value) => match kind.as_str() {
            "FILE" | "STRING" => assert!(value.is_string(), "{value} in node {id}"),
            "INT" => assert!(value.is_i64() || value.is_u64(), "{value} in node {id}"),
            "FLOAT" => assert!(value.is_f64(), "{value} in node {id}"),
            "BOOLEAN" => assert!(value.is_boolean(), "{value} in node {id}"),
            kind => panic!("{value} instead of a link to {kind} in node {id}"),
        },
        (kind, _) => panic!("type {kind}"),
    }
    if let Some(number) = value.as_f64() {
        assert!(within(number), "{number} is out of {spec}");
    }
}

/// A picture while its size and kind are followed through operations.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Shown {
    size: [u32; 2],
    kind: &'static str,
}

/// That every operation gets pictures of the kind and size that it can work with, and that the output has its size.
pub(crate) fn check_recipes(plan: &Plan) {
    let mut shelf: Vec<Shown> = vec![];
    for input in &plan.inputs {
        let mut shown = match &input.source {
            Source::Segment { width, height, .. } => Shown {
                size: [*width, *height],
                kind: "colours",
            },
            Source::Prepared { prepared } => shelf[*prepared],
        };
        for operation in &input.operations {
            shown = after(operation, shown, &shelf);
        }
        assert!(!input.upload || shown.kind != "clear");
        shelf.push(shown);
    }
    let output = [plan.output.width, plan.output.height];
    // What the graph makes: the reference's size, or what the first operation needs.
    let made = plan.finish.iter().find_map(|operation| match operation {
        Operation::MatchColours { reference, .. } => Some(shelf[*reference].size),
        _ => None,
    });
    let start = Shown {
        size: made.unwrap_or(output),
        kind: "colours",
    };
    let end = plan
        .finish
        .iter()
        .fold(start, |shown, operation| after(operation, shown, &shelf));
    assert_eq!(end.size, output, "{}", text(plan));
}

fn after(operation: &Operation, from: Shown, shelf: &[Shown]) -> Shown {
    let expect = |shown: Shown, kind| {
        assert_eq!(shown.kind, kind, "{operation:?}");
        assert_eq!(shown.size, from.size, "{operation:?}");
    };
    let [width, height] = from.size;
    match operation {
        Operation::Mask => expect(from, "colours"),
        Operation::Invert => expect(from, "colours"),
        Operation::Scale { width, height, .. } => {
            assert!(*width > 0 && *height > 0);
            let size = [*width, *height];
            return Shown { size, ..from };
        }
        Operation::Crop {
            bounds: [x, y, w, h],
            only,
        } if only.is_none_or(|only| only == from.size) => {
            assert!(
                *w > 0 && *h > 0 && x + w <= width && y + h <= height,
                "{operation:?} of {from:?}"
            );
            return Shown { size: [*w, *h], ..from };
        }
        Operation::Crop { .. } => {}
        Operation::Expand { .. } | Operation::Stable | Operation::Composite { .. } => expect(from, "mask"),
        Operation::Remainder { others } => others.iter().for_each(|other| expect(shelf[*other], "mask")),
        Operation::Fill { mask, .. } | Operation::Hint { mask } | Operation::Alpha { mask } => {
            expect(from, "colours");
            expect(shelf[*mask], "mask");
        }
        Operation::MatchColours {
            reference,
            mask,
            strength,
        } => {
            expect(from, "colours");
            expect(shelf[*reference], "colours");
            expect(shelf[*mask], "mask");
            assert!((0.0..=1.0).contains(strength));
        }
    }
    let kind = match operation {
        Operation::Mask => "mask",
        Operation::Alpha { .. } => "clear",
        _ => from.kind,
    };
    Shown { kind, ..from }
}

//! The protocol's types against captured requests.

mod common;

use common::wire;
use serde_json::json;
use workflow::{Arch, Kind, WorkflowInput};

#[test]
fn captured_requests_survive_a_round_trip() {
    for name in [
        "01_generate",
        "02_refine",
        "03_inpaint",
        "04_refine_region",
        "05_inpaint",
        "06_upscale_tiled",
        "07_upscale_simple",
        "08_control_image",
        "09_control_layers_lora",
    ] {
        let sent = wire(name);
        let input = WorkflowInput::read(sent.clone()).unwrap();
        assert_eq!(serde_json::to_value(&input).unwrap(), sent, "{name}");
    }
}

#[test]
fn defaults_are_filled_in_and_left_out() {
    let minimal = json!({"kind": "upscale_tiled", "upscale": {}, "models": {"checkpoint": "x"}});
    let input = WorkflowInput::read(minimal.clone()).unwrap();
    let models = input.models.clone().unwrap();
    assert_eq!((models.version, models.rescale_cfg), (Arch::Sd15, 0.7));
    assert_eq!(input.upscale.clone().unwrap().tile_overlap, -1);
    assert_eq!(input.batch_count, 1);
    // Lists are always present on the wire.
    let mut sent = minimal;
    sent["models"]["loras"] = json!([]);
    assert_eq!(serde_json::to_value(&input).unwrap(), sent);
}

#[test]
fn names_and_keys_from_the_future_are_kept_or_ignored() {
    let input = WorkflowInput::read(json!({"kind": "dance", "control_mode": "hue", "brush": 1})).unwrap();
    assert_eq!(input.kind, Kind::Unknown("dance".into()));
    assert_eq!(
        serde_json::to_value(&input).unwrap(),
        json!({"kind": "dance", "control_mode": "hue"})
    );
}

#[test]
fn a_prompt_in_the_wrong_place_is_not_repeated() {
    let request = json!({"kind": "generate", "conditioning": {"positive": "x", "regions": ["a \"secret\" word"]}});
    let refusal = WorkflowInput::read(request).unwrap_err().to_string();
    assert!(refusal.contains("invalid type: string …, expected"), "{refusal}");
}

//! What a request may cost: the number on the plugin's button.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod common;

use common::wire;
use serde_json::{Value, json};
use workflow::{WorkflowInput, credits};

fn of(request: Value) -> u64 {
    credits(&WorkflowInput::read(request).unwrap())
}

#[test]
fn captured_requests_cost_what_the_button_says() {
    for (name, wanted) in [
        // 1 and 10 times 8 × 512³ × 20 of 2 × 1024³ × 24.
        ("01_generate", 5),
        // Twelve of its twenty steps run: two and a half, to the even side.
        ("02_refine", 3),
        ("03_inpaint", 5),
        ("04_refine_region", 3),
        // Two times two tiles of 672², counted twice, of at least eight steps.
        ("06_upscale_tiled", 5),
        ("07_upscale_simple", 2),
        ("08_control_image", 1),
        // SDXL: 2, and a little more than a half.
        ("09_control_layers_lora", 3),
    ] {
        assert_eq!(of(wire(name)), wanted, "{name}");
    }
    let mut flux = wire("01_generate");
    flux["models"]["version"] = "flux".into();
    flux["batch_count"] = 2.into();
    for extent in ["input", "initial", "desired", "target"] {
        flux["images"]["extent"][extent] = json!([1024, 1024]);
    }
    assert_eq!(of(flux.clone()), 12);
    flux["sampling"]["total_steps"] = 24.into();
    assert_eq!(of(flux), 14);
}

#[test]
fn a_client_that_lies_about_one_pass_pays_for_the_larger() {
    let mut request = wire("01_generate");
    request["images"]["extent"]["desired"] = json!([16, 16]);
    assert_eq!(of(request.clone()), 5);
    request["crop_upscale_extent"] = json!([16, 16]);
    assert_eq!(of(request), 5);
}

#[test]
fn whatever_was_not_checked_is_no_crash() {
    for wild in [i64::MIN, -1, 0, i64::MAX] {
        for name in ["01_generate", "03_inpaint", "06_upscale_tiled"] {
            let mut request = wire(name);
            request["batch_count"] = wild.into();
            request["sampling"]["total_steps"] = wild.into();
            request["sampling"]["start_step"] = wild.into();
            request["crop_upscale_extent"] = json!([wild, wild]);
            for extent in ["input", "initial", "desired", "target"] {
                request["images"]["extent"][extent] = json!([wild, wild]);
            }
            assert!(of(request) >= 1);
        }
    }
}

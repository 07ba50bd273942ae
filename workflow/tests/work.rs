//! Every kind of request has work: what has none would ride for nothing, ahead of everybody.

#![allow(clippy::disallowed_methods, reason = "captured requests are files")]

mod common;

use common::{able, changed, compiled, inventory, plan, plan_with, sizes, wire};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use workflow::{Inventory, Kind, Work, WorkflowInput};

/// A list with an example of each kind, and a match over all kinds, so that a new one does not compile before it is here.
macro_rules! every_kind {
    ($($kind:ident => $example:expr,)*) => {
        fn every_kind() -> Vec<(Kind, Value)> {
            let _ = |kind: Kind| match kind {
                $(Kind::$kind => (),)*
                Kind::Unknown(_) => (),
            };
            vec![$((Kind::$kind, $example)),*]
        }
    };
}

every_kind! {
    Generate => wire("01_generate"),
    Refine => wire("02_refine"),
    Inpaint => wire("03_inpaint"),
    RefineRegion => wire("04_refine_region"),
    UpscaleTiled => wire("06_upscale_tiled"),
    UpscaleSimple => wire("07_upscale_simple"),
    ControlImage => wire("08_control_image"),
    Custom => json!({"kind": "custom"}),
}

#[test]
fn every_kind_has_work_beyond_the_floor() {
    for (kind, example) in every_kind() {
        assert_eq!(example["kind"], json!(kind));
        if kind == Kind::Custom {
            assert!(compiled(example).is_err(), "give custom graphs work");
            continue;
        }
        let work = plan_with(example, &able()).work;
        assert!(work.units() > Work::FLOOR && work.auxiliary > 0.0, "{kind}: {work:?}");
        let diffuses = !matches!(kind, Kind::UpscaleSimple | Kind::ControlImage);
        assert_eq!(work.steps > 0, diffuses, "{kind}: {work:?}");
    }
}

#[test]
fn every_captured_request_has_work_beyond_the_floor() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/wire");
    let mut kinds = BTreeSet::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let mut request = wire(name.strip_suffix(".json").unwrap());
        // Refused as a whole.
        request.as_object_mut().unwrap().remove("nsfw_filter");
        kinds.insert(WorkflowInput::read(request.clone()).unwrap().kind.to_string());
        let work = plan_with(request, &able()).work;
        assert!(work.units() > Work::FLOOR, "{name}: {work:?}");
    }
    assert_eq!(kinds.len(), 7, "{kinds:?}");
}

fn units(request: Value) -> f64 {
    plan_with(request, &able()).work.units()
}

#[test]
fn heavier_is_more() {
    let detects = |mode: &str| units(changed("08_control_image", &[("/control_mode", json!(mode))]));
    let modes = ["canny_edge", "scribble", "soft_edge", "depth", "segmentation"].map(detects);
    assert!(modes.is_sorted_by(|a, b| a < b), "{modes:?}");

    let enlarges = |model: &str| units(changed("07_upscale_simple", &[("/upscale/model", json!(model))]));
    let models = ["", "2x.pth", "4x.pth"].map(enlarges);
    assert!(models.is_sorted_by(|a, b| a < b), "{models:?}");

    // Tiles are the same; the upscale model before them is not.
    let tiled = |model: &str| plan(changed("06_upscale_tiled", &[("/upscale/model", json!(model))])).work;
    let (plain, model) = (tiled(""), tiled("4x.pth"));
    assert_eq!((plain.steps, plain.megapixels), (model.steps, model.megapixels));
    assert!(plain.auxiliary + 4.0 < model.auxiliary, "{plain:?} {model:?}");
}

#[test]
fn a_batch_is_enlarged_picture_by_picture() {
    let bare = Inventory {
        upscalers: workflow::Files::default(),
        resources: std::collections::BTreeMap::default(),
        ..inventory()
    };
    let large = |count: i64, inventory: &Inventory| {
        let sizes = sizes([512, 512], [512, 512], [512, 512], [2048, 2048]);
        let request = changed("01_generate", &[sizes, ("/batch_count", json!(count))]);
        plan_with(request, inventory).work
    };
    let (one, four, scaled) = (large(1, &inventory()), large(4, &inventory()), large(1, &bare));
    assert!((four.units() - 4.0 * one.units()).abs() < 1e-3 * four.units());
    assert_eq!((one.steps, one.megapixels), (scaled.steps, scaled.megapixels));
    assert!(scaled.auxiliary < one.auxiliary, "{scaled:?} {one:?}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn more_result_pixels_are_more_work(
        input in [1_i64..2_000, 1_i64..2_000],
        small in [64_i64..4_000, 64_i64..4_000],
        more in [0_i64..4_000, 1_i64..4_000],
        model in prop::sample::select(vec!["", "2x.pth", "4x.pth"]),
    ) {
        let work = |target| {
            let sizes = sizes(input, input, target, target);
            units(changed("07_upscale_simple", &[sizes, ("/upscale/model", json!(model))]))
        };
        let (small, large) = (work(small), work([small[0] + more[0], small[1] + more[1]]));
        prop_assert!(small >= Work::FLOOR);
        prop_assert!(small < large || large == Work::FLOOR, "{small} {large}");
    }
}

//! Poses: what detectors say, what is kept of it, and what the plugin gets.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use model::Pose;
use proptest::prelude::*;
use serde_json::{Value, json};

fn person(joints: usize) -> Value {
    let numbers: Vec<f64> = (0..3 * joints).map(|place| place as f64 * 1.26).collect();
    json!({ "pose_keypoints_2d": numbers, "face_keypoints_2d": null, "hand_left_keypoints_2d": [0.0] })
}

fn found(people: &[Value]) -> Value {
    json!([{ "people": people, "canvas_width": 768, "canvas_height": 512 }])
}

#[test]
fn what_is_found_comes_out_in_the_plugins_form() {
    let pose = Pose::read(&found(&[
        person(18),
        person(17),
        json!({ "pose_keypoints_2d": null }),
        person(18),
    ]))
    .unwrap();
    // Whoever is not whole is left out.
    assert_eq!((pose.canvas, pose.people.len()), ([768, 512], 2));
    let shown = pose.openpose();
    assert_eq!(
        (shown["canvas_width"].clone(), shown["canvas_height"].clone()),
        (json!(768), json!(512))
    );
    let joints = &shown["people"][1]["pose_keypoints_2d"];
    assert_eq!(joints.as_array().unwrap().len(), 54);
    assert_eq!(
        (joints[0].clone(), joints[1].clone(), joints[53].clone()),
        (json!(0.0), json!(1.3), json!(66.8))
    );
    assert_eq!(Pose::read(&found(&[])[0]).unwrap().people.len(), 0);
    assert_eq!(serde_json::from_value::<Pose>(json!(pose)).unwrap(), pose);
}

#[test]
fn a_crowd_is_cut_and_nonsense_is_none() {
    let crowd = vec![person(18); 100];
    let pose = Pose::read(&found(&crowd)).unwrap();
    assert_eq!(pose.people.len(), Pose::PEOPLE);
    // As DynamoDB counts: three bytes or so for each number.
    assert!(json!(pose).to_string().len() < 6000);
    for nonsense in [
        json!(null),
        json!([]),
        json!({}),
        json!("people"),
        json!({ "people": [], "canvas_width": 0, "canvas_height": 512 }),
        json!({ "people": [], "canvas_width": 99_999_999_999_u64, "canvas_height": 512 }),
        json!({ "people": 7, "canvas_width": 512, "canvas_height": 512 }),
    ] {
        assert_eq!(Pose::read(&nonsense), None, "{nonsense}");
    }
    let unsound = Pose {
        people: vec![vec![1; 53]],
        ..pose
    };
    assert!(!unsound.is_sound());
}

proptest! {
    #[test]
    fn whatever_a_detector_says_is_sound_or_none(numbers in prop::collection::vec(any::<f64>(), 50..58), side in any::<u64>()) {
        let said = json!({ "people": [{ "pose_keypoints_2d": numbers }], "canvas_width": side, "canvas_height": 512 });
        prop_assert!(Pose::read(&said).is_none_or(|pose| pose.is_sound()));
    }
}

//! The detectors of comfyui_controlnet_aux: pictures of the right kind and size, and a pose that stands in the picture.

use std::sync::Arc;

use serde_json::json;

use super::call::Call;
use super::outcome::Outcome;
use super::pictures::edges;
use super::thing::Thing;
use crate::pixels::cut::Cut;
use crate::pixels::mask::Mask;
use crate::pixels::picture::Picture;

pub(crate) fn run(call: &Call<'_>) -> Option<Outcome> {
    Some(match call.class {
        "PiDiNetPreprocessor" | "LineArtPreprocessor" | "AnyLineArtPreprocessor_aux" => {
            each(call, |picture| edges(picture, 0.3))
        }
        "DepthAnythingV2Preprocessor" => each(call, |picture| Picture::gray(&picture.channel(1))),
        "BAE-NormalMapPreprocessor" => each(call, |picture| {
            Picture::plain(picture.width, picture.height, [128, 128, 255])
        }),
        "OneFormer-COCO-SemSegPreprocessor" => each(call, |picture| Picture {
            rgb: picture.rgb.iter().map(|value| value & 0b1100_0000).collect(),
            ..picture.clone()
        }),
        "DWPreprocessor" => pose(call),
        _ => return None,
    })
}

fn each(call: &Call<'_>, change: impl Fn(&Picture) -> Picture) -> Outcome {
    let pictures = call.pictures("image")?;
    let changed = pictures.iter().map(|picture| Arc::new(change(picture))).collect();
    Ok(vec![Thing::Pictures(changed)])
}

/// A person in the middle: eighteen joints on a line from the top to the bottom, of which the last is not seen.
fn pose(call: &Call<'_>) -> Outcome {
    let pictures = call.pictures("image")?;
    let (mut drawn, mut found) = (Vec::new(), Vec::new());
    for picture in &pictures {
        let (width, height) = (picture.width, picture.height);
        let joints: Vec<f64> = (0..18)
            .flat_map(|joint| {
                let seen = if joint < 17 { 1.0 } else { 0.0 };
                [f64::from(width) / 2.0, f64::from(height * (joint + 1)) / 20.0, seen]
            })
            .collect();
        let hand = vec![0.0; 63];
        found.push(json!({
            "people": [{
                "pose_keypoints_2d": joints, "face_keypoints_2d": null,
                "hand_left_keypoints_2d": hand, "hand_right_keypoints_2d": null,
            }],
            "canvas_height": height, "canvas_width": width,
        }));
        let mut stick = Picture::plain(width, height, [0; 3]);
        let bone = Cut {
            x: width * 2 / 5,
            y: height / 20,
            width: (width / 5).max(1),
            height: (height * 4 / 5).max(1),
        };
        let bone_picture = Picture::plain(bone.width, bone.height, [255, 85, 0]);
        let whole = Mask::plain(bone.width, bone.height, 255);
        stick.paste(&bone_picture, Some(&whole), i64::from(bone.x), i64::from(bone.y));
        drawn.push(Arc::new(stick));
    }
    Ok(vec![Thing::Pictures(drawn), Thing::Keypoints(json!(found).to_string())])
}

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;

/// The people that a detector has found in a picture. Kept with the finished task, which is not written again, so small
/// numbers are all there is to save.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Pose {
    /// Width and height of the picture that the places are in, pixels.
    pub canvas: [u32; 2],
    /// Of each person [`Self::NUMBERS`] tenths: x and y in pixels and the confidence of each joint, in OpenPose's order.
    pub people: Vec<Vec<u16>>,
}

impl Pose {
    /// Most people that are kept: more are a crowd that nobody poses one by one.
    pub const PEOPLE: usize = 16;
    /// Eighteen joints.
    pub const NUMBERS: usize = 54;
    /// The largest picture there is.
    const SIDE: u32 = 16_384;

    /// Reads what a detector of OpenPose's form says of one picture: an object, or a list of one. Whoever is not as the form
    /// wants is left out. None if it is no such form at all.
    pub fn read(found: &Value) -> Option<Self> {
        let found = match found {
            Value::Array(pictures) => pictures.first()?,
            found => found,
        };
        let side = |name: &str| u32::try_from(found[name].as_u64()?).ok();
        let pose = Self {
            canvas: [side("canvas_width")?, side("canvas_height")?],
            people: found["people"]
                .as_array()?
                .iter()
                .filter_map(|person| joints(&person["pose_keypoints_2d"]))
                .take(Self::PEOPLE)
                .collect(),
        };
        pose.is_sound().then_some(pose)
    }

    /// Whether it keeps to its form and limits; what comes from a machine may not.
    pub fn is_sound(&self) -> bool {
        self.canvas.iter().all(|side| (1..=Self::SIDE).contains(side))
            && self.people.len() <= Self::PEOPLE
            && self.people.iter().all(|person| person.len() == Self::NUMBERS)
    }

    /// In the form of the plugin's protocol, which is OpenPose's.
    pub fn openpose(&self) -> Value {
        let [width, height] = self.canvas;
        let person = |joints: &Vec<u16>| {
            let joints: Vec<_> = joints.iter().map(|tenths| f64::from(*tenths) / 10.0).collect();
            json!({ "pose_keypoints_2d": joints })
        };
        let people: Vec<_> = self.people.iter().map(person).collect();
        json!({ "canvas_width": width, "canvas_height": height, "people": people })
    }
}

fn joints(numbers: &Value) -> Option<Vec<u16>> {
    let numbers = numbers.as_array()?;
    let tenths = |number: &Value| Some((number.as_f64()? * 10.0).round().clamp(0.0, f64::from(u16::MAX)) as u16);
    let joints: Option<Vec<_>> = numbers.iter().map(tenths).collect();
    joints.filter(|joints| joints.len() == Pose::NUMBERS)
}

//! What is done to pictures before the graph reads them and after it has made them, as data for the worker.

use serde::{Deserialize, Serialize};

/// A picture to prepare. Later ones may be made from earlier ones.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Input {
    /// Its name, unique within the plan.
    pub name: String,
    /// Where it comes from.
    #[serde(flatten)]
    pub source: Source,
    /// What is done to it, in this order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub operations: Vec<Operation>,
    /// Whether the graph reads it; if not, it is only there for other operations.
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    pub upload: bool,
}

/// Where a picture comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Source {
    /// Out of the request's blob.
    Segment {
        /// Which picture of the blob it is: an index into `image_data.offsets`.
        image: usize,
        /// Width in pixels that the picture must have.
        width: u32,
        /// Height in pixels that the picture must have.
        height: u32,
        /// Other sizes that it may have: width and height.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        or: Vec<[u32; 2]>,
        /// Any size will do, within the worker's limits. In one that is not named above the shorter side is scaled down to so
        /// many pixels. Workers from before refuse other sizes.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        any: Option<u32>,
        /// What shows through where the picture is transparent; ComfyUI would show arbitrary colours there.
        flatten: Colour,
    },
    /// An earlier one of the plan's inputs.
    Prepared {
        /// Its place among them.
        prepared: usize,
    },
}

/// Red, green and blue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Colour(pub [u8; 3]);

impl Colour {
    /// Under a canvas.
    pub const WHITE: Self = Self([255; 3]);
    /// Under a control layer.
    pub const BLACK: Self = Self([0; 3]);
}

/// A picture operation. A number called `mask`, `reference` or in `others` is the place of a picture among the plan's
/// inputs, which must have the size of the picture that is operated on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Operation {
    /// Makes a mask of a picture, without the traces of lossy compression.
    Mask,
    /// Black for white.
    Invert,
    /// To this size. Masks are scaled in their own way.
    Scale {
        /// Pixels.
        width: u32,
        /// Pixels.
        height: u32,
        /// For colours.
        #[serde(default, skip_serializing_if = "Filter::is_lanczos")]
        filter: Filter,
    },
    /// To the rectangle x, y, width, height.
    Crop {
        /// In pixels.
        bounds: [u32; 4],
        /// Only if the picture has this size.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        only: Option<[u32; 2]>,
    },
    /// A mask with all that is selected grown, then with a soft rim.
    Expand {
        /// Pixels.
        grow: u32,
        /// Pixels.
        feather: u32,
    },
    /// A mask with what is nearly selected made selected.
    Stable,
    /// A mask made smaller by half of the blend, then soft: what a result is laid over the canvas with.
    Composite {
        /// Pixels.
        blend: u32,
    },
    /// What this mask and the others leave over.
    Remainder {
        /// More masks.
        others: Vec<usize>,
    },
    /// The selection filled.
    Fill {
        /// What is selected.
        mask: usize,
        /// With what.
        how: Filling,
    },
    /// The selection black.
    Hint {
        /// What is selected.
        mask: usize,
    },
    /// The colours of a reference.
    MatchColours {
        /// The reference.
        reference: usize,
        /// What is no evidence.
        mask: usize,
        /// 0 to 1.
        strength: f64,
    },
    /// With this mask as alpha.
    Alpha {
        /// The alpha.
        mask: usize,
    },
}

/// How colours are scaled.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Filter {
    /// For what people look at.
    #[default]
    Lanczos,
    /// For thin lines.
    Nearest,
}

impl Filter {
    #[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
    fn is_lanczos(&self) -> bool {
        *self == Self::Lanczos
    }
}

/// What a selection holds before the diffusion.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Filling {
    /// Middle gray with a soft rim.
    Neutral,
    /// Middle gray with a hard edge.
    Replace,
    /// The canvas, blurred.
    Blur,
    /// The colours around, continued inwards.
    Border,
    /// Pure green.
    Green,
}

fn yes() -> bool {
    true
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn is_yes(value: &bool) -> bool {
    *value
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn plans_from_before_there_were_operations_are_read() {
        let stored = json!({"name": "input-0.png", "image": 2, "width": 64, "height": 48, "flatten": [255, 255, 255]});
        let input: Input = serde_json::from_value(stored.clone()).unwrap();
        assert!(input.upload && input.operations.is_empty());
        assert_eq!(serde_json::to_value(&input).unwrap(), stored);
    }

    #[test]
    fn operations_are_named() {
        let input = Input {
            name: "input-3.png".into(),
            source: Source::Prepared { prepared: 1 },
            operations: vec![Operation::Stable, Operation::Alpha { mask: 2 }],
            upload: false,
        };
        let stored = json!({
            "name": "input-3.png", "prepared": 1, "operations": ["stable", {"alpha": {"mask": 2}}], "upload": false
        });
        assert_eq!(serde_json::to_value(&input).unwrap(), stored);
        assert_eq!(serde_json::from_value::<Input>(stored).unwrap(), input);
    }
}

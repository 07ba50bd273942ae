//! Node classes of custom packs. A graph has them only where the render machines say that their ComfyUI has them.

use serde_json::Value;

/// A node class that ComfyUI does not bring itself.
///
/// Names and inputs are those of the packs' documentation; whether an installed version still has them is looked at with
/// [`Self::fits`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OptionalNode {
    /// Its name in graphs.
    pub class: &'static str,
    /// The pack that brings it.
    pub pack: &'static str,
    /// Every input that graphs may give it.
    pub inputs: &'static [&'static str],
}

const IP_ADAPTER: &str = "ComfyUI_IPAdapter_plus";
const DETECTORS: &str = "comfyui_controlnet_aux";

/// All that graphs may use beyond ComfyUI's own.
pub const OPTIONAL_NODES: [OptionalNode; 11] = [
    node(IP_ADAPTER, "IPAdapterModelLoader", &["ipadapter_file"]),
    node(
        IP_ADAPTER,
        "IPAdapterEncoder",
        &["ipadapter", "image", "weight", "clip_vision"],
    ),
    node(
        IP_ADAPTER,
        "IPAdapterCombineEmbeds",
        &["embed1", "embed2", "embed3", "embed4", "embed5", "method"],
    ),
    node(
        IP_ADAPTER,
        "IPAdapterEmbeds",
        &[
            "model",
            "ipadapter",
            "pos_embed",
            "neg_embed",
            "weight",
            "weight_type",
            "start_at",
            "end_at",
            "embeds_scaling",
            "attn_mask",
            "clip_vision",
        ],
    ),
    node(DETECTORS, "PiDiNetPreprocessor", &["image", "safe", "resolution"]),
    node(DETECTORS, "LineArtPreprocessor", &["image", "coarse", "resolution"]),
    node(
        DETECTORS,
        "AnyLineArtPreprocessor_aux",
        &["image", "merge_with_lineart", "resolution"],
    ),
    node(
        DETECTORS,
        "DepthAnythingV2Preprocessor",
        &["image", "ckpt_name", "resolution"],
    ),
    node(DETECTORS, "BAE-NormalMapPreprocessor", &["image", "resolution"]),
    node(
        DETECTORS,
        "DWPreprocessor",
        &[
            "image",
            "detect_hand",
            "detect_body",
            "detect_face",
            "resolution",
            "bbox_detector",
            "pose_estimator",
            "scale_stick_for_xinsr_cn",
        ],
    ),
    node(DETECTORS, "OneFormer-COCO-SemSegPreprocessor", &["image", "resolution"]),
];

const fn node(pack: &'static str, class: &'static str, inputs: &'static [&'static str]) -> OptionalNode {
    OptionalNode { class, pack, inputs }
}

/// The optional node class of this name.
pub fn optional_node(class: &str) -> Option<&'static OptionalNode> {
    OPTIONAL_NODES.iter().find(|node| node.class == class)
}

impl OptionalNode {
    /// Whether the node that a ComfyUI describes so (its reply to `GET /object_info/{class}`) can be used as graphs use
    /// it: it has every input that they give, and wants none that they do not give.
    pub fn fits(&self, reply: &Value) -> bool {
        let inputs = &reply[self.class]["input"];
        let declared = |name: &str| {
            ["required", "optional"]
                .iter()
                .any(|kind| !inputs[kind][name].is_null())
        };
        let wanted = inputs["required"].as_object();
        inputs.is_object()
            && self.inputs.iter().all(|name| declared(name))
            && wanted
                .into_iter()
                .flatten()
                .all(|(name, _)| self.inputs.contains(&name.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_node_of_another_form_does_not_fit() {
        let node = optional_node("BAE-NormalMapPreprocessor").unwrap();
        let reply = |required: Value, optional: Value| {
            node.fits(&json!({ node.class: {"input": {"required": required, "optional": optional}} }))
        };
        let image = json!({"image": ["IMAGE"]});
        assert!(reply(image.clone(), json!({"resolution": ["INT"]})));
        assert!(reply(json!({"image": ["IMAGE"], "resolution": ["INT"]}), Value::Null));
        assert!(!reply(image.clone(), Value::Null));
        assert!(!reply(
            json!({"image": ["IMAGE"], "resolution": ["INT"], "eye": ["INT"]}),
            Value::Null
        ));
        assert!(!reply(Value::Null, json!("resolution image")));
        // What ComfyUI says of a class that it does not have, and what no ComfyUI says.
        for reply in [json!({}), json!([]), json!({ node.class: 3 }), Value::Null] {
            assert!(!node.fits(&reply), "{reply}");
        }
        assert_eq!(optional_node("LoadImage"), None);
    }
}

//! What it means that ComfyUI does not take a graph, in words for the painter.

use model::{Failure, FailureClass};
use serde_json::Value;
use workflow::optional_node;

/// Whether a reply to a graph, even a good one, names nodes that will not run.
pub(crate) fn has_node_errors(reply: &Value) -> bool {
    reply["node_errors"]
        .as_object()
        .is_some_and(|errors| !errors.is_empty())
}

/// The failure that a rejected graph is. The request is at fault, except where only we can have made the mistake.
pub(crate) fn failure(reply: &Value) -> Failure {
    let errors = reply["node_errors"].as_object().into_iter().flatten();
    let first = errors.flat_map(|(_, node)| node["errors"].as_array().into_iter().flatten().map(move |e| (node, e)));
    let said = first
        .min_by_key(|(_, error)| rank(error))
        .map(|(node, error)| node_error(node, error));
    said.unwrap_or_else(|| graph_error(&reply["error"]))
}

/// A missing file explains other errors, so it is named first.
fn rank(error: &Value) -> u8 {
    u8::from(error["type"] != "value_not_in_list")
}

fn node_error(node: &Value, error: &Value) -> Failure {
    let kind = error["type"].as_str().unwrap_or_default();
    let input = error["extra_info"]["input_name"].as_str().unwrap_or_default();
    let class = name(&node["class_type"]);
    match kind {
        "value_not_in_list" => {
            let wanted = file_name(&error["extra_info"]["received_value"]);
            user(match what_it_names(input) {
                Some(what) => format!("{what} \"{wanted}\" is not on the render machine."),
                None => format!(
                    "\"{wanted}\" is not a choice that the renderer knows for {}.",
                    words(input)
                ),
            })
        }
        "custom_validation_failed" => user("An input picture could not be read by the renderer.".into()),
        "value_smaller_than_min" | "value_bigger_than_max" => user(format!(
            "The value for {} is outside of what the renderer allows.",
            words(input)
        )),
        "invalid_input_type" => user(format!(
            "The value for {} is not what the renderer expects.",
            words(input)
        )),
        _ => user(format!(
            "The renderer cannot run this workflow: its step {class} does not fit the others."
        )),
    }
}

fn graph_error(error: &Value) -> Failure {
    let kind = error["type"].as_str().unwrap_or_default();
    let said = error["message"].as_str().unwrap_or_default();
    // Newer servers name the class in a field, older ones only within the message.
    let class = error["extra_info"]["class_type"].as_str().or_else(|| {
        let rest = said.strip_prefix("Cannot execute because node ")?;
        rest.strip_suffix(" does not exist.")
    });
    match (kind, class) {
        ("missing_node_type" | "invalid_prompt", Some(class)) if let Some(node) = optional_node(class) => Failure::new(
            FailureClass::Infrastructure,
            format!("This render machine lacks the node pack {}.", node.pack),
        ),
        ("missing_node_type" | "invalid_prompt", Some(class)) => user(format!(
            "The renderer does not have the node {}, which this workflow needs.",
            plain(class)
        )),
        ("invalid_prompt_id", _) => Failure::new(
            FailureClass::Infrastructure,
            "The renderer did not take the picture's number.",
        ),
        _ => user("The renderer cannot run this workflow.".into()),
    }
}

fn user(message: String) -> Failure {
    Failure::new(FailureClass::User, message)
}

/// What a loader's input names, for a painter.
fn what_it_names(input: &str) -> Option<&'static str> {
    Some(match input {
        "ckpt_name" => "The checkpoint",
        "unet_name" => "The diffusion model",
        "lora_name" => "The LoRA",
        "vae_name" => "The VAE",
        "control_net_name" => "The ControlNet model",
        "clip_name" | "clip_name1" | "clip_name2" | "clip_name3" => "The text encoder",
        "style_model_name" => "The style model",
        "image" => "The picture",
        _ if input.ends_with("model_name") || input.ends_with("_file") => "The model",
        _ => return None,
    })
}

fn words(input: &str) -> String {
    format!("\"{}\"", plain(&input.replace('_', " ")))
}

fn name(value: &Value) -> String {
    plain(value.as_str().unwrap_or("?"))
}

/// The last part of a path, whichever way its slashes lean.
fn file_name(value: &Value) -> String {
    match value {
        Value::String(path) => plain(path.rsplit(['/', '\\']).next().unwrap_or(path)),
        Value::Null => "?".to_owned(),
        other => plain(&other.to_string()),
    }
}

fn plain(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(100).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn rejected(class: &str, kind: &str, input: &str, value: &str) -> Failure {
        failure(&json!({
            "error": {"type": "prompt_outputs_failed_validation", "message": "Prompt outputs failed validation"},
            "node_errors": {"4": {"class_type": class, "errors": [
                {"type": kind, "extra_info": {"input_name": input, "received_value": value}}
            ]}}
        }))
    }

    #[test]
    fn missing_files_are_named_without_their_folder() {
        let failure = rejected(
            "CheckpointLoaderSimple",
            "value_not_in_list",
            "ckpt_name",
            "red/checkpoints/x.safetensors",
        );
        assert_eq!(failure.class, FailureClass::User);
        assert_eq!(
            failure.message,
            "The checkpoint \"x.safetensors\" is not on the render machine."
        );
        assert_eq!(
            rejected("KSampler", "value_not_in_list", "sampler_name", "warp").message,
            "\"warp\" is not a choice that the renderer knows for \"sampler name\"."
        );
    }

    #[test]
    fn unknown_nodes_are_named_whatever_the_version() {
        let old =
            json!({"error": {"type": "invalid_prompt", "message": "Cannot execute because node Warp does not exist."}});
        let new = json!({"error": {"type": "missing_node_type", "message": "…", "extra_info": {"class_type": "Warp"}}});
        for reply in [old, new] {
            let failure = failure(&reply);
            assert_eq!(
                failure.message,
                "The renderer does not have the node Warp, which this workflow needs."
            );
        }
    }

    #[test]
    fn an_answer_can_hide_a_failure() {
        assert!(!has_node_errors(&json!({"prompt_id": "x", "node_errors": {}})));
        assert!(has_node_errors(
            &json!({"prompt_id": "x", "node_errors": {"3": {"errors": []}}})
        ));
        assert_eq!(failure(&Value::Null).message, "The renderer cannot run this workflow.");
    }
}

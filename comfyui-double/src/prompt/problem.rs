//! What can be wrong with a prompt, in ComfyUI's words.

use serde_json::{Value, json};

use super::convert::Number;
use super::graph::{Node, place};
use super::object_info::{InputSpec, python_repr, python_str};
use crate::options::Version;

/// ComfyUI spells longer lists out no more.
const LONGEST_LISTED: usize = 20;

/// A Python exception that escaped from the validation of a node.
pub(crate) struct Exception {
    pub(crate) kind: &'static str,
    pub(crate) message: String,
}

/// The `error` object of a refusal.
pub(crate) fn error(kind: &str, message: &str, details: &str) -> Value {
    json!({ "type": kind, "message": message, "details": details, "extra_info": {} })
}

/// The error of a node whose class is missing or not known.
pub(crate) fn unknown_class(id: &str, node: &Node, version: Version) -> Value {
    let details = format!("Node ID '#{id}'");
    let class = node.class_type.as_ref().map(python_str);
    match version {
        Version::V0_3 => {
            let message = match class {
                Some(class) => format!("Cannot execute because node {class} does not exist."),
                None => "Cannot execute because a node is missing the class_type property.".to_owned(),
            };
            error("invalid_prompt", &message, &details)
        }
        Version::V0_33 => {
            let message = match &class {
                Some(class) => format!("Node '{class}' not found. The custom node may not be installed."),
                None => format!(
                    "Node 'ID #{id}' has no class_type. The workflow may be corrupted or a custom node is missing."
                ),
            };
            let mut error = error("missing_node_type", &message, &details);
            error["extra_info"] = json!({ "node_id": id, "class_type": class, "node_title": class });
            error
        }
    }
}

impl Exception {
    pub(crate) fn key_error(key: &Value) -> Self {
        Self {
            kind: "KeyError",
            message: python_repr(key),
        }
    }

    pub(crate) fn problem(&self, kind: &str, message: &str) -> Value {
        problem(kind, message, &self.message, &Value::Null)
    }

    /// A path on the server stands in it, as in ComfyUI: clients must not show it to users.
    pub(crate) fn traceback(&self) -> Value {
        json!([format!(
            "  File \"/opt/ComfyUI/execution.py\", line 802, in validate_inputs\n    {}\n",
            self.kind
        )])
    }
}

pub(crate) fn output_type<'a>(outputs: &'a [String], slot: &Value) -> Result<&'a String, Exception> {
    let Some(index) = slot.as_i64() else {
        let name = if slot.is_number() { "float" } else { "str" };
        return Err(Exception {
            kind: "TypeError",
            message: format!("tuple indices must be integers or slices, not {name}"),
        });
    };
    place(index, outputs.len())
        .map(|place| &outputs[place])
        .ok_or_else(|| Exception {
            kind: "IndexError",
            message: "tuple index out of range".to_owned(),
        })
}

pub(crate) fn problem(kind: &str, message: &str, details: &str, extra: &Value) -> Value {
    json!({ "type": kind, "message": message, "details": details, "extra_info": extra })
}

pub(crate) fn number(
    input: &InputSpec<'_>,
    raw: &Value,
    name: &str,
    converted: Result<Number, String>,
) -> Option<Value> {
    let number = match converted {
        Ok(number) => number,
        Err(exception) => {
            return Some(problem(
                "invalid_input_type",
                &format!("Failed to convert an input value to a {name} value"),
                &format!("{}, {}, {exception}", input.name, python_str(raw)),
                &json!({
                    "input_name": input.name,
                    "input_config": input.spec,
                    "received_value": raw,
                    "exception_message": exception,
                }),
            ));
        }
    };
    let (kind, text) = if number.is_below(input.limit("min")) {
        let limit = input.limit("min");
        (
            "value_smaller_than_min",
            format!("Value {} smaller than min of {limit}", number.json),
        )
    } else if number.is_above(input.limit("max")) {
        let limit = input.limit("max");
        (
            "value_bigger_than_max",
            format!("Value {} bigger than max of {limit}", number.json),
        )
    } else {
        return None;
    };
    Some(problem(
        kind,
        &text,
        input.name,
        &json!({ "input_name": input.name, "input_config": input.spec, "received_value": number.json }),
    ))
}

pub(crate) fn in_list(input: &InputSpec<'_>, value: &Value, choices: &[Value]) -> Option<Value> {
    if choices.contains(value) {
        return None;
    }
    let long = choices.len() > LONGEST_LISTED;
    let listed = if long {
        format!("(list of length {})", choices.len())
    } else {
        python_repr(&Value::Array(choices.to_vec()))
    };
    let config = if long {
        Value::Null
    } else {
        json!([choices, input.spec[1]])
    };
    Some(problem(
        "value_not_in_list",
        "Value not in list",
        &format!("{}: '{}' not in {listed}", input.name, python_str(value)),
        &json!({ "input_name": input.name, "input_config": config, "received_value": value }),
    ))
}

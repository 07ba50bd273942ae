//! The checks of `POST /prompt`, with ComfyUI's error names and texts.

use serde_json::{Value, json};

use super::check::{Check, Context};
use super::graph::Graph;
use super::object_info::{self, python_str};
use super::problem::{error, unknown_class};

/// What became of a graph.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// These outputs run. `node_errors` is not empty if others are invalid.
    Accepted { outputs: Vec<String>, node_errors: Value },
    /// Nothing runs.
    Refused { error: Value, node_errors: Value },
}

/// Checks a graph as ComfyUI does.
pub(crate) fn validate(graph: &Graph, context: &Context<'_>) -> Verdict {
    let mut outputs = Vec::new();
    for (id, node) in graph.iter() {
        let there = context.optional_nodes || !object_info::is_optional(node.class());
        match object_info::class(node.class()).filter(|_| there) {
            None => return refused(&unknown_class(id, node, context.version), json!({})),
            Some(class) if class.output_node => outputs.push(id),
            Some(_) => {}
        }
    }
    if outputs.is_empty() {
        return refused(&error("prompt_no_outputs", "Prompt has no outputs", ""), json!({}));
    }

    let mut check = Check::new(graph, context);
    let (good, bad): (Vec<_>, Vec<_>) = outputs.into_iter().partition(|id| check.output(id));
    let node_errors = check.node_errors(&bad);
    if good.is_empty() {
        // Only errors of the output nodes themselves are spelled out here, not those of nodes before them.
        let own = bad.iter().filter_map(|id| check.errors.get(*id)).flatten();
        let details: Vec<_> = own
            .map(|error| format!("{}: {}", python_str(&error["message"]), python_str(&error["details"])))
            .collect();
        let text = "Prompt outputs failed validation";
        return refused(
            &error("prompt_outputs_failed_validation", text, &details.join("\n")),
            node_errors,
        );
    }
    Verdict::Accepted {
        outputs: good.into_iter().map(ToOwned::to_owned).collect(),
        node_errors,
    }
}

fn refused(error: &Value, node_errors: Value) -> Verdict {
    Verdict::Refused {
        error: error.clone(),
        node_errors,
    }
}

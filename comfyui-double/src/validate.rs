//! The checks of `POST /prompt`, with ComfyUI's error names and texts.

use std::collections::{BTreeMap, HashMap};

use serde_json::{Value, json};

use crate::convert::{to_float, to_int};
use crate::files::Files;
use crate::graph::{Graph, Node};
use crate::models::Models;
use crate::object_info::{self, Input, Kind, python_str};
use crate::options::Version;
use crate::picture::Picture;
use crate::problem::{Exception, error, in_list, number, output_type, problem, unknown_class};

/// What validation looks things up in.
pub(crate) struct Context<'a> {
    pub(crate) version: Version,
    pub(crate) models: &'a Models,
    pub(crate) files: &'a Files,
    /// Whether the nodes of custom packs are there.
    pub(crate) optional_nodes: bool,
}

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

    let mut check = Check {
        graph,
        context,
        results: HashMap::new(),
        errors: BTreeMap::new(),
    };
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

struct Check<'a> {
    graph: &'a Graph,
    context: &'a Context<'a>,
    results: HashMap<&'a str, bool>,
    errors: BTreeMap<String, Vec<Value>>,
}

impl<'a> Check<'a> {
    fn output(&mut self, id: &'a str) -> bool {
        match self.node(id, &mut Vec::new()) {
            Ok(valid) => valid,
            Err(exception) => {
                let mut problem = exception.problem("exception_during_validation", "Exception when validating node");
                problem["extra_info"] = json!({
                    "exception_type": exception.kind,
                    "traceback": exception.traceback(),
                });
                self.fail(id, problem);
                false
            }
        }
    }

    fn fail(&mut self, id: &'a str, problem: Value) {
        self.errors.entry(id.to_owned()).or_default().push(problem);
        self.results.insert(id, false);
    }

    fn node(&mut self, id: &'a str, path: &mut Vec<&'a str>) -> Result<bool, Exception> {
        if let Some(result) = self.results.get(id) {
            return Ok(*result);
        }
        if let Some(start) = path.iter().position(|other| *other == id) {
            self.cycle(&path[start..]);
            return Ok(false);
        }
        let node = self.graph.get(id).ok_or_else(|| Exception::key_error(&json!(id)))?;
        let inputs = node
            .inputs
            .as_ref()
            .ok_or_else(|| Exception::key_error(&json!("inputs")))?;
        let Some(class) = object_info::class(node.class()) else {
            return Ok(false);
        };

        path.push(id);
        let mut valid = true;
        let mut problems = Vec::new();
        for input in class.inputs() {
            match inputs.get(input.name) {
                None if input.required => problems.push(problem(
                    "required_input_missing",
                    "Required input is missing",
                    input.name,
                    &json!({ "input_name": input.name }),
                )),
                None => {}
                Some(Value::Array(link)) => match self.link(&input, link, path) {
                    Ok(Ok(linked)) => valid &= linked,
                    Ok(Err(found)) => problems.push(found),
                    Err(exception) => {
                        path.pop();
                        return Err(exception);
                    }
                },
                Some(value) => problems.extend(self.value(node.class(), &input, value)),
            }
        }
        if problems.is_empty() && matches!(node.class(), "LoadImage" | "LoadImageMask") {
            match self.picture_input(node.input("image")) {
                Ok(found) => problems.extend(found),
                Err(exception) => {
                    path.pop();
                    return Err(exception);
                }
            }
        }
        path.pop();
        valid &= problems.is_empty();
        if !problems.is_empty() {
            self.errors.entry(id.to_owned()).or_default().extend(problems);
        }
        // A cycle has already marked its nodes.
        Ok(*self.results.entry(id).or_insert(valid))
    }

    /// Checks a link: whether its source is valid, or the problem of the link itself.
    fn link(
        &mut self,
        input: &Input<'_>,
        link: &'a [Value],
        path: &mut Vec<&'a str>,
    ) -> Result<Result<bool, Value>, Exception> {
        let [source, slot] = link else {
            return Ok(Err(problem(
                "bad_linked_input",
                "Bad linked input, must be a length-2 list of [node_id, slot_index]",
                input.name,
                &json!({ "input_name": input.name, "input_config": input.spec, "received_value": link }),
            )));
        };
        let Some((source_id, node)) = source.as_str().and_then(|id| Some((id, self.graph.get(id)?))) else {
            return Err(Exception::key_error(source));
        };
        let outputs = object_info::class(node.class()).map_or(&[][..], |class| &class.output);
        let received = output_type(outputs, slot)?;
        let wanted = input.type_name();
        if *received != wanted && wanted != "*" {
            return Ok(Err(problem(
                "return_type_mismatch",
                "Return type mismatch between linked nodes",
                &format!(
                    "{}, received_type({received}) mismatch input_type({wanted})",
                    input.name
                ),
                &json!({
                    "input_name": input.name,
                    "input_config": input.spec,
                    "received_type": received,
                    "linked_node": link,
                }),
            )));
        }
        match self.node(source_id, path) {
            Ok(valid) => Ok(Ok(valid)),
            Err(exception) => {
                let mut found = exception.problem(
                    "exception_during_inner_validation",
                    "Exception when validating inner node",
                );
                found["extra_info"] = json!({
                    "input_name": input.name,
                    "input_config": input.spec,
                    "exception_message": exception.message,
                    "exception_type": exception.kind,
                    "traceback": exception.traceback(),
                    "linked_node": link,
                });
                self.fail(source_id, found);
                Ok(Ok(false))
            }
        }
    }

    /// Checks a value that is no link.
    fn value(&self, class: &str, input: &Input<'_>, value: &Value) -> Option<Value> {
        match input.kind() {
            Kind::Int => number(input, value, "INT", to_int(value)),
            Kind::Float => number(input, value, "FLOAT", to_float(value)),
            Kind::Choice(choices) => in_list(input, value, choices),
            Kind::Combo(choices) if self.context.version == Version::V0_33 => in_list(input, value, choices),
            // LoadImage has a check of its own, which replaces that of the list.
            Kind::File(_) if matches!(class, "LoadImage" | "LoadImageMask") => None,
            Kind::File(folder) => {
                if value.as_str().is_some_and(|name| self.context.models.has(folder, name)) {
                    return None;
                }
                let names = self.context.models.list(folder);
                in_list(input, value, &names.into_iter().map(Value::String).collect::<Vec<_>>())
            }
            Kind::Combo(_) | Kind::Boolean | Kind::Text | Kind::Link(_) => None,
        }
    }

    fn picture_input(&self, value: Option<&Value>) -> Result<Option<Value>, Exception> {
        let name = match value {
            Some(Value::String(name)) => name,
            Some(Value::Array(_)) | None => return Ok(None),
            Some(_) => {
                return Err(Exception {
                    kind: "AttributeError",
                    message: "'int' object has no attribute 'endswith'".to_owned(),
                });
            }
        };
        // An empty name is the folder itself, which exists: it fails at run time.
        let good = name.is_empty()
            || match self.context.files.find_annotated(name) {
                None => false,
                // 0.3.75 opens the picture here; 0.33.0 only looks whether the file exists.
                Some(bytes) => self.context.version == Version::V0_33 || Picture::is_picture(&bytes),
            };
        Ok((!good).then(|| {
            problem(
                "custom_validation_failed",
                "Custom validation failed for node",
                &format!("image - Invalid image file: {name}"),
                &json!({ "input_name": "image" }),
            )
        }))
    }

    fn cycle(&mut self, path: &[&'a str]) {
        let first = path.iter().min().copied().unwrap_or_default();
        let start = path.iter().position(|id| *id == first).unwrap_or_default();
        // The path walks against the data, the text goes with it.
        let mut nodes: Vec<_> = path[..=start]
            .iter()
            .rev()
            .chain(path[start + 1..].iter().rev())
            .copied()
            .collect();
        let listed: Vec<_> = nodes.clone();
        nodes.push(first);
        let text: Vec<_> = nodes
            .iter()
            .map(|id| format!("{id} ({})", self.graph.get(id).map_or("", Node::class)))
            .collect();
        for id in path {
            if self.context.version == Version::V0_33 {
                let extra = json!({ "node_id": id, "cycle_nodes": listed });
                let found = problem(
                    "dependency_cycle",
                    "Dependency cycle detected",
                    &text.join(" -> "),
                    &extra,
                );
                self.errors.entry((*id).to_owned()).or_default().push(found);
            }
            self.results.insert(*id, false);
        }
    }

    fn node_errors(&self, bad: &[&'a str]) -> Value {
        let mut all = serde_json::Map::new();
        for (id, errors) in &self.errors {
            let dependent: Vec<_> = bad.iter().filter(|output| self.reaches(output, id)).collect();
            all.insert(
                id.clone(),
                json!({
                    "errors": errors,
                    "dependent_outputs": dependent,
                    "class_type": self.graph.get(id).map(Node::class),
                }),
            );
        }
        all.into()
    }

    fn reaches(&self, from: &str, to: &str) -> bool {
        let mut seen = vec![from];
        let mut next = 0;
        while next < seen.len() {
            if seen[next] == to {
                return true;
            }
            for (_, link) in self.graph.get(seen[next]).into_iter().flat_map(Node::links) {
                if !seen.contains(&link.node) {
                    seen.push(link.node);
                }
            }
            next += 1;
        }
        false
    }
}

//! The checks of the nodes of a graph.

use std::collections::{BTreeMap, HashMap};

use serde_json::{Value, json};

use super::convert::{to_float, to_int};
use super::graph::{Graph, Node};
use super::object_info::{self, InputSpec, Kind};
use super::problem::{Exception, in_list, number, output_type, problem};
use crate::disk::files::Files;
use crate::disk::models::Models;
use crate::options::Version;
use crate::pixels::picture::Picture;

/// What validation looks things up in.
pub(crate) struct Context<'a> {
    pub(crate) version: Version,
    pub(crate) models: &'a Models,
    pub(crate) files: &'a Files,
    /// Whether the nodes of custom packs are there.
    pub(crate) optional_nodes: bool,
}

/// The validation of one graph in progress.
pub(super) struct Check<'a> {
    graph: &'a Graph,
    context: &'a Context<'a>,
    results: HashMap<&'a str, bool>,
    pub(super) errors: BTreeMap<String, Vec<Value>>,
}

impl<'a> Check<'a> {
    pub(super) fn new(graph: &'a Graph, context: &'a Context<'a>) -> Self {
        Self {
            graph,
            context,
            results: HashMap::new(),
            errors: BTreeMap::new(),
        }
    }

    /// Whether an output and all that it is made of are valid.
    pub(super) fn output(&mut self, id: &'a str) -> bool {
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
        input: &InputSpec<'_>,
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
    fn value(&self, class: &str, input: &InputSpec<'_>, value: &Value) -> Option<Value> {
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

    /// The errors by node, as they are told.
    pub(super) fn node_errors(&self, bad: &[&'a str]) -> Value {
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

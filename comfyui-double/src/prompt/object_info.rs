//! What ComfyUI says about its nodes in `/object_info`: input types, limits, choices.
//!
//! The data of ComfyUI's own nodes (names, types, limits, choices; no texts) was read from a ComfyUI 0.3.75 and cut down
//! to the nodes that the double knows. A list of files is written `FILES:<folder>` there and is
//! filled in when it is served.

use std::sync::OnceLock;

use serde::Deserialize;
use serde_json::{Value, json};

use super::ordered::Ordered;

const DATA: &str = include_str!("../../data/object_info.json");
/// The same of nodes of custom packs, as their documentation describes them.
const OPTIONAL: &str = include_str!("../../data/optional_nodes.json");

/// One node class.
#[derive(Debug, Deserialize)]
pub(crate) struct Class {
    input: Inputs,
    pub(crate) output: Vec<String>,
    #[serde(default)]
    pub(crate) output_node: bool,
}

#[derive(Debug, Deserialize)]
struct Inputs {
    #[serde(default)]
    required: Ordered<Value>,
    #[serde(default)]
    optional: Ordered<Value>,
    #[serde(default)]
    hidden: Ordered<Value>,
}

/// The type of an input.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Kind<'a> {
    /// A choice from a fixed list.
    Choice(&'a [Value]),
    /// A choice declared in the newer way, `COMBO` with options. ComfyUI 0.3.75 does not validate these.
    Combo(&'a [Value]),
    /// The name of a file in this folder.
    File(&'a str),
    Int,
    Float,
    Boolean,
    Text,
    /// Something that only a link can give.
    Link(&'a str),
}

/// One declared input.
#[derive(Clone, Copy, Debug)]
pub(crate) struct InputSpec<'a> {
    pub(crate) name: &'a str,
    pub(crate) required: bool,
    pub(crate) spec: &'a Value,
}

impl<'a> InputSpec<'a> {
    pub(crate) fn kind(&self) -> Kind<'a> {
        match &self.spec[0] {
            Value::Array(choices) => Kind::Choice(choices),
            Value::String(name) => match name.as_str() {
                "INT" => Kind::Int,
                "FLOAT" => Kind::Float,
                "BOOLEAN" => Kind::Boolean,
                "STRING" => Kind::Text,
                "COMBO" => Kind::Combo(self.spec[1]["options"].as_array().map_or(&[], Vec::as_slice)),
                other => match other.strip_prefix("FILES:") {
                    Some(folder) => Kind::File(folder),
                    None => Kind::Link(other),
                },
            },
            _ => Kind::Link("*"),
        }
    }

    /// The type's name as it stands in an error text.
    pub(crate) fn type_name(&self) -> String {
        match self.kind() {
            Kind::Choice(choices) => python_repr(&Value::Array(choices.to_vec())),
            Kind::File(_) => "COMBO".to_owned(),
            _ => self.spec[0].as_str().unwrap_or("*").to_owned(),
        }
    }

    pub(crate) fn limit(&self, name: &str) -> &'a Value {
        &self.spec[1][name]
    }
}

impl Class {
    /// Inputs that the server fills in, such as the whole prompt.
    pub(crate) fn hidden(&self) -> impl Iterator<Item = &str> {
        self.input.hidden.keys()
    }

    /// The declared inputs, required ones first.
    pub(crate) fn inputs(&self) -> impl Iterator<Item = InputSpec<'_>> {
        let required = self.input.required.iter().map(|(name, spec)| (name, true, spec));
        let optional = self.input.optional.iter().map(|(name, spec)| (name, false, spec));
        required
            .chain(optional)
            .map(|(name, required, spec)| InputSpec { name, required, spec })
    }
}

struct Catalogue {
    classes: Ordered<Class>,
    raw: Ordered<Value>,
    optional_classes: Ordered<Class>,
    optional: Ordered<Value>,
}

fn catalogue() -> &'static Catalogue {
    static CATALOGUE: OnceLock<Catalogue> = OnceLock::new();
    const PARSES: &str = "the built-in object_info parses; a test reads it";
    CATALOGUE.get_or_init(|| Catalogue {
        classes: serde_json::from_str(DATA).expect(PARSES),
        raw: serde_json::from_str(DATA).expect(PARSES),
        optional_classes: serde_json::from_str(OPTIONAL).expect(PARSES),
        optional: serde_json::from_str(OPTIONAL).expect(PARSES),
    })
}

/// The class of that name, if the double knows it, be it ComfyUI's own or of a custom pack.
pub(crate) fn class(name: &str) -> Option<&'static Class> {
    let own = catalogue().classes.get(name);
    own.or_else(|| catalogue().optional_classes.get(name))
}

/// Whether a class belongs to a custom pack.
pub(crate) fn is_optional(name: &str) -> bool {
    catalogue().optional.get(name).is_some()
}

/// The reply of `/object_info/{class}`: `{}` for an unknown one, as ComfyUI does.
pub(crate) fn describe(name: &str, files: &dyn Fn(&str) -> Vec<String>) -> Value {
    let raw = catalogue().raw.get(name);
    match raw.or_else(|| catalogue().optional.get(name)) {
        Some(raw) => json!({ name: filled(raw, files) }),
        None => json!({}),
    }
}

/// The reply of `/object_info`, with or without the nodes of custom packs.
pub(crate) fn describe_all(optional: bool, files: &dyn Fn(&str) -> Vec<String>) -> Value {
    let raw = catalogue().raw.iter();
    raw.chain(catalogue().optional.iter().filter(|_| optional))
        .map(|(name, raw)| (name.to_owned(), filled(raw, files)))
        .collect::<serde_json::Map<_, _>>()
        .into()
}

fn filled(raw: &Value, files: &dyn Fn(&str) -> Vec<String>) -> Value {
    let mut class = raw.clone();
    for group in ["required", "optional"] {
        let Some(inputs) = class["input"][group].as_object_mut() else {
            continue;
        };
        for spec in inputs.values_mut() {
            let folder = spec[0].as_str().and_then(|kind| kind.strip_prefix("FILES:"));
            if let Some(list) = folder.map(files) {
                spec[0] = json!(list);
            }
        }
    }
    class
}

/// A value as Python's `repr` writes it, for error texts.
pub(crate) fn python_repr(value: &Value) -> String {
    match value {
        Value::Null => "None".to_owned(),
        Value::Bool(true) => "True".to_owned(),
        Value::Bool(false) => "False".to_owned(),
        Value::String(text) => format!("'{text}'"),
        Value::Array(list) => format!("[{}]", list.iter().map(python_repr).collect::<Vec<_>>().join(", ")),
        Value::Object(map) => {
            let entries: Vec<_> = map
                .iter()
                .map(|(key, value)| format!("'{key}': {}", python_repr(value)))
                .collect();
            format!("{{{}}}", entries.join(", "))
        }
        Value::Number(number) => number.to_string(),
    }
}

/// A value as Python's `str` writes it.
pub(crate) fn python_str(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => python_repr(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_data_parses() {
        let ksampler = class("KSampler").unwrap();
        assert_eq!(ksampler.output, ["LATENT"]);
        let names: Vec<_> = ksampler.inputs().map(|input| input.name).collect();
        assert_eq!(names[..3], ["model", "seed", "steps"]);
        assert!(class("SaveImage").unwrap().output_node);
        assert!(class("Nope").is_none());
    }

    #[test]
    fn lists_of_files_are_filled_in() {
        let reply = describe("LoraLoader", &|folder| vec![format!("{folder}.x")]);
        assert_eq!(
            reply["LoraLoader"]["input"]["required"]["lora_name"][0],
            json!(["loras.x"])
        );
        assert_eq!(describe("Nope", &|_| Vec::new()), json!({}));
    }
}

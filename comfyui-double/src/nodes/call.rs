//! A node and its inputs, as it runs.

use std::sync::Arc;

use serde_json::Value;

use super::outcome::Trouble;
use super::thing::{Latent, Thing};
use crate::pixels::mask::Mask;
use crate::pixels::picture::Picture;
use crate::prompt::convert;
use crate::prompt::ordered::Ordered;

/// A node about to run: its class and its inputs with the links followed.
pub(crate) struct Call<'a> {
    pub(crate) class: &'a str,
    pub(crate) inputs: Ordered<Input>,
}

/// An input with its link followed.
#[derive(Clone, Debug)]
pub(crate) enum Input {
    Value(Value),
    Thing(Thing),
}

impl Call<'_> {
    fn get(&self, name: &str) -> Option<&Input> {
        self.inputs.get(name)
    }

    fn value(&self, name: &str) -> Value {
        match self.get(name) {
            Some(Input::Value(value)) => value.clone(),
            _ => Value::Null,
        }
    }

    pub(crate) fn text(&self, name: &str) -> String {
        convert::to_text(&self.value(name))
    }

    pub(crate) fn flag(&self, name: &str) -> bool {
        convert::to_bool(&self.value(name))
    }

    pub(crate) fn int(&self, name: &str) -> i64 {
        convert::to_int(&self.value(name))
            .ok()
            .and_then(|number| number.json.as_i64())
            .unwrap_or_default()
    }

    pub(crate) fn size(&self, name: &str) -> u32 {
        u32::try_from(self.int(name)).unwrap_or_default()
    }

    pub(crate) fn seed(&self, name: &str) -> u64 {
        convert::to_int(&self.value(name))
            .ok()
            .and_then(|number| number.json.as_u64())
            .unwrap_or_default()
    }

    pub(crate) fn float(&self, name: &str) -> f32 {
        convert::to_float(&self.value(name))
            .ok()
            .and_then(|number| number.json.as_f64())
            .unwrap_or_default() as f32
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// Everything that is no link, as text: for what only has to differ when inputs differ.
    pub(crate) fn settings(&self) -> String {
        let mut text = self.class.to_owned();
        for (name, input) in self.inputs.iter() {
            if let Input::Value(value) = input {
                text = format!("{text} {name}={value}");
            }
        }
        text
    }

    pub(crate) fn pictures(&self, name: &str) -> Result<Vec<Arc<Picture>>, Trouble> {
        match self.get(name) {
            Some(Input::Thing(Thing::Pictures(pictures))) => Ok(pictures.clone()),
            other => Err(wrong(other, "shape")),
        }
    }

    pub(crate) fn masks(&self, name: &str) -> Result<Vec<Arc<Mask>>, Trouble> {
        match self.get(name) {
            Some(Input::Thing(Thing::Masks(masks))) => Ok(masks.clone()),
            other => Err(wrong(other, "reshape")),
        }
    }

    pub(crate) fn latent(&self, name: &str) -> Result<Latent, Trouble> {
        match self.get(name) {
            Some(Input::Thing(Thing::Latent(latent))) => Ok(latent.clone()),
            other => Err(wrong(other, "copy")),
        }
    }

    pub(crate) fn words(&self, name: &str) -> Result<String, Trouble> {
        match self.get(name) {
            Some(Input::Thing(Thing::Words(words))) => Ok(words.clone()),
            other => Err(wrong(other, "copy")),
        }
    }

    pub(crate) fn model(&self, name: &str) -> Result<String, Trouble> {
        match self.get(name) {
            Some(Input::Thing(Thing::Model(model))) => Ok(model.clone()),
            other => Err(wrong(other, "clone")),
        }
    }

    pub(crate) fn named(&self, name: &str) -> Result<String, Trouble> {
        match self.get(name) {
            Some(Input::Thing(Thing::Named(named))) => Ok(named.clone()),
            other => Err(wrong(other, "clone")),
        }
    }

    pub(crate) fn thing(&self, name: &str) -> Option<&Thing> {
        match self.get(name) {
            Some(Input::Thing(thing)) => Some(thing),
            _ => None,
        }
    }
}

/// What Python says when a value stands where a tensor or a model should.
fn wrong(input: Option<&Input>, attribute: &str) -> Trouble {
    let kind = match input {
        Some(Input::Value(Value::String(_))) => "str",
        Some(Input::Value(Value::Number(_))) => "int",
        Some(Input::Value(Value::Bool(_))) => "bool",
        Some(Input::Value(Value::Object(_))) | Some(Input::Thing(_)) => "dict",
        Some(Input::Value(Value::Array(_))) => "list",
        Some(Input::Value(Value::Null)) | None => "NoneType",
    };
    Trouble::exception(
        "AttributeError",
        format!("'{kind}' object has no attribute '{attribute}'"),
    )
}

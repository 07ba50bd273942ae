//! What the nodes do: a light evaluation that gets sizes, numbers and dependencies right.

pub(crate) mod detectors;
pub(crate) mod hooks;
pub(crate) mod latents;
pub(crate) mod loaders;
pub(crate) mod masks;
pub(crate) mod output;
pub(crate) mod pictures;
pub(crate) mod references;
pub(crate) mod sampling;

use std::sync::Arc;

use bytes::Bytes;
use serde_json::Value;

use crate::convert;
use crate::files::Area;
use crate::mask::Mask;
use crate::options::Version;
use crate::ordered::Ordered;
use crate::picture::Picture;

/// What flows along a link.
#[derive(Clone, Debug)]
pub(crate) enum Thing {
    Pictures(Vec<Arc<Picture>>),
    Masks(Vec<Arc<Mask>>),
    Latent(Latent),
    /// The words, and all else that conditions, as text.
    Words(String),
    /// What the model is made of: files, LoRAs, patches.
    Model(String),
    Noise(u64),
    Guider {
        model: String,
        positive: String,
        negative: String,
    },
    Sigmas {
        steps: u32,
        /// The share of the noise schedule that they cover.
        strength: f32,
    },
    UpscaleModel(u32),
    /// Joints of people, as JSON.
    Keypoints(String),
    /// CLIP, VAE, control net, sampler, embeddings: by name.
    Named(String),
}

/// Latents know their size in pixels and the pictures that they decode to.
#[derive(Clone, Debug)]
pub(crate) struct Latent {
    pub(crate) width: u32,
    pub(crate) height: u32,
    pub(crate) batch: u32,
    /// Empty for an empty latent.
    pub(crate) pictures: Vec<Arc<Picture>>,
    pub(crate) mask: Option<Arc<Mask>>,
}

/// Why a node did not end well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    Exception {
        kind: String,
        message: String,
    },
    Interrupted,
    /// The double is being stopped.
    Stopped,
}

impl Trouble {
    pub(crate) fn exception(kind: &str, message: impl Into<String>) -> Self {
        Self::Exception {
            kind: kind.to_owned(),
            message: message.into(),
        }
    }
}

pub(crate) type Outcome = Result<Vec<Thing>, Trouble>;

/// What nodes need from the run that they are part of.
pub(crate) trait Stage {
    fn version(&self) -> Version;
    fn load(&self, name: &str) -> Option<Bytes>;
    /// Takes a sampling step: waits, reports it, sends a preview, notices interrupts.
    fn step(&mut self, value: u32, max: u32, preview: &mut dyn FnMut() -> Vec<u8>) -> Result<(), Trouble>;
    /// Saves pictures under numbered names; they become the node's `images` list.
    fn save(&mut self, area: Area, prefix: &str, pictures: &[Arc<Picture>]);
    /// Shows text; it becomes the node's `text` list.
    fn say(&mut self, text: String);
    /// Sends pictures over the socket as they are.
    fn show(&mut self, pictures: &[Arc<Picture>]);
}

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

/// A list so many times over.
fn repeated<T: Clone>(list: &[T], times: u32) -> Vec<T> {
    let length = list.len() * times as usize;
    list.iter().cycle().take(length).cloned().collect()
}

/// Runs a node.
pub(crate) fn run(call: &Call<'_>, stage: &mut dyn Stage) -> Outcome {
    loaders::run(call, stage)
        .or_else(|| hooks::run(call))
        .or_else(|| references::run(call))
        .or_else(|| detectors::run(call))
        .or_else(|| latents::run(call))
        .or_else(|| pictures::run(call, stage.version()))
        .or_else(|| masks::run(call))
        .or_else(|| sampling::run(call, stage))
        .or_else(|| output::run(call, stage))
        .unwrap_or_else(|| {
            let text = format!("the double has no {}", call.class);
            Err(Trouble::exception("NotImplementedError", text))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Nowhere;

    impl Stage for Nowhere {
        fn version(&self) -> Version {
            Version::V0_3
        }
        fn load(&self, _: &str) -> Option<Bytes> {
            None
        }
        fn step(&mut self, _: u32, _: u32, _: &mut dyn FnMut() -> Vec<u8>) -> Result<(), Trouble> {
            Ok(())
        }
        fn save(&mut self, _: Area, _: &str, _: &[Arc<Picture>]) {}
        fn say(&mut self, _: String) {}
        fn show(&mut self, _: &[Arc<Picture>]) {}
    }

    #[test]
    fn every_class_of_the_catalogue_runs() {
        // A class without a run would be accepted and then fail: compare the two lists.
        let all = crate::object_info::describe_all(true, &|_| Vec::new());
        for class in all.as_object().unwrap().keys() {
            let call = Call {
                class,
                inputs: Ordered::default(),
            };
            if let Err(Trouble::Exception { kind, .. }) = run(&call, &mut Nowhere) {
                assert_ne!(kind, "NotImplementedError", "{class}");
            }
        }
    }
}

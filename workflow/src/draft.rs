//! A plan in the making.

use crate::{
    check::ImageIndex,
    graph::{Graph, Link, Node, NodeId, flow},
    plan::{Colour, Input, Output, Plan, SAVE_PLACEHOLDER, Work, input_placeholder},
    scale::Extent,
};
use serde_json::{Map, Value};

/// Collects nodes, and beside them what else a plan says about its graph.
#[derive(Debug, Default)]
pub(crate) struct Draft {
    nodes: Vec<Node>,
    inputs: Vec<Input>,
    models: Vec<String>,
    passes: Vec<Pass>,
}

#[derive(Debug)]
struct Pass {
    steps: u32,
    extent: Extent,
}

impl Draft {
    /// The node with these inputs. Nodes are functions, so an identical one that is already there serves as well: a
    /// second one would load or compute the same thing twice.
    pub(crate) fn node<const N: usize>(&mut self, class: &'static str, inputs: [(&'static str, Value); N]) -> NodeId {
        self.node_with(class, inputs)
    }

    /// As [`Self::node`], for inputs that are put together.
    pub(crate) fn node_with(
        &mut self,
        class: &'static str,
        inputs: impl IntoIterator<Item = (&'static str, Value)>,
    ) -> NodeId {
        let inputs: Map<_, _> = inputs
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect();
        let node = Node { class, inputs };
        let index = self.nodes.iter().position(|other| *other == node).unwrap_or_else(|| {
            self.nodes.push(node);
            self.nodes.len() - 1
        });
        NodeId::at(index)
    }

    /// A model's file name as node input, noted for the plan. The first one noted is the main one.
    pub(crate) fn model_file(&mut self, file: &str) -> Value {
        if !self.models.iter().any(|known| known == file) {
            self.models.push(file.to_owned());
        }
        file.into()
    }

    /// A picture of the request, which must have this size.
    pub(crate) fn load_image(&mut self, image: ImageIndex, extent: Extent, flatten: Colour) -> Link<flow::Image> {
        let place = self.inputs.len();
        self.inputs.push(Input {
            name: format!("input-{place}.png"),
            image: image.get(),
            width: extent.width(),
            height: extent.height(),
            flatten,
        });
        self.node("LoadImage", [("image", input_placeholder(place).into())])
            .output(0)
    }

    /// Notes a diffusion pass, for the estimate of time.
    pub(crate) fn pass(&mut self, steps: u32, extent: Extent) {
        self.passes.push(Pass { steps, extent });
    }

    /// Saves `count` images of size `extent`, and is done.
    pub(crate) fn finish(mut self, images: Link<flow::Image>, count: u32, extent: Extent) -> Plan {
        self.node(
            "SaveImage",
            [("images", images.into()), ("filename_prefix", SAVE_PLACEHOLDER.into())],
        );
        self.into_plan(Output {
            count,
            width: extent.width(),
            height: extent.height(),
        })
    }

    /// Only loads this model, and is done.
    pub(crate) fn finish_loading(mut self, model: Link<flow::Model>) -> Plan {
        // ComfyUI runs nothing without an output node; this one takes anything and writes no file.
        self.node("PreviewAny", [("source", model.into())]);
        self.into_plan(Output {
            count: 0,
            width: 0,
            height: 0,
        })
    }

    fn into_plan(mut self, output: Output) -> Plan {
        if let [_, rest @ ..] = self.models.as_mut_slice() {
            rest.sort();
        }
        Plan {
            inputs: self.inputs,
            graph: Graph::from_iter(self.nodes),
            output,
            models: self.models,
            work: Work::of(
                self.passes.iter().map(|pass| (pass.steps, pass.extent.pixels())),
                output.count,
            ),
        }
    }
}

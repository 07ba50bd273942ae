//! A plan in the making.

pub(crate) mod cost;
mod link;

pub(crate) use link::{Link, NodeId, flow};

use crate::{
    check::{Extent, ImageIndex},
    plan::{Colour, Graph, Input, Operation, Output, Plan, SAVE_PLACEHOLDER, Source, Work, input_placeholder},
};
use cost::Cost;
use link::Node;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// Collects nodes, and beside them what else a plan says about its graph.
#[derive(Debug, Default)]
pub(crate) struct Draft {
    nodes: Vec<Node>,
    inputs: Vec<Input>,
    finish: Vec<Operation>,
    models: Vec<String>,
    passes: Vec<Pass>,
    /// Of one picture, by the node that does it.
    auxiliary: BTreeMap<NodeId, f64>,
    pose: bool,
}

/// A picture among the plan's inputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Picture(usize);

impl Picture {
    /// Its place among them, as operations name it.
    pub(crate) fn place(self) -> usize {
        self.0
    }
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

    /// A picture of the request, which must have the first of these sizes or one of the others, made ready.
    pub(crate) fn picture(
        &mut self,
        image: ImageIndex,
        (extent, others): (Extent, &[Extent]),
        flatten: Colour,
        operations: impl Into<Vec<Operation>>,
    ) -> Picture {
        let source = Self::segment(image, (extent, others), flatten, None);
        self.prepare(source, operations.into())
    }

    /// A picture of the request that a model only looks at: it may have any size, and what is larger than these and than so
    /// many pixels on its shorter side is scaled down.
    pub(crate) fn picture_to_look_at(&mut self, image: ImageIndex, sizes: (Extent, &[Extent]), most: u32) -> Picture {
        let source = Self::segment(image, sizes, Colour::BLACK, Some(most));
        self.prepare(source, vec![])
    }

    fn segment(image: ImageIndex, (extent, others): (Extent, &[Extent]), flatten: Colour, any: Option<u32>) -> Source {
        let mut or: Vec<_> = others.iter().map(|other| other.sides()).collect();
        or.sort_unstable();
        or.dedup();
        or.retain(|other| *other != extent.sides());
        Source::Segment {
            image: image.get(),
            width: extent.width(),
            height: extent.height(),
            or,
            any,
            flatten,
        }
    }

    /// What becomes of a picture by these operations.
    pub(crate) fn derive(&mut self, from: Picture, operations: impl Into<Vec<Operation>>) -> Picture {
        let operations = operations.into();
        if operations.is_empty() {
            return from;
        }
        self.prepare(Source::Prepared { prepared: from.0 }, operations)
    }

    fn prepare(&mut self, source: Source, operations: Vec<Operation>) -> Picture {
        let same = |input: &Input| input.source == source && input.operations == operations;
        if let Some(place) = self.inputs.iter().position(same) {
            return Picture(place);
        }
        let place = self.inputs.len();
        self.inputs.push(Input {
            name: format!("input-{place}.png"),
            source,
            operations,
            upload: false,
        });
        Picture(place)
    }

    /// The picture as colours in the graph.
    pub(crate) fn load_image(&mut self, picture: Picture) -> Link<flow::Image> {
        let name = self.upload(picture);
        self.node("LoadImage", [("image", name)]).output(0)
    }

    /// The picture as mask in the graph.
    pub(crate) fn load_mask(&mut self, picture: Picture) -> Link<flow::Mask> {
        let name = self.upload(picture);
        self.node("LoadImageMask", [("image", name), ("channel", "red".into())])
            .output(0)
    }

    fn upload(&mut self, picture: Picture) -> Value {
        self.inputs[picture.0].upload = true;
        input_placeholder(picture.0).into()
    }

    /// Notes what is to be done to the pictures that the graph makes.
    pub(crate) fn finish_with(&mut self, operations: impl IntoIterator<Item = Operation>) {
        self.finish.extend(operations);
    }

    /// Notes a diffusion pass, for the estimate of time.
    pub(crate) fn pass(&mut self, steps: u32, extent: Extent) {
        self.passes.push(Pass { steps, extent });
    }

    /// Notes what a node takes that is no diffusion, for a picture of this size. A node that serves twice runs once.
    pub(crate) fn takes(&mut self, node: NodeId, cost: Cost, extent: Extent) {
        self.auxiliary.insert(node, cost.of(extent));
    }

    /// Shows keypoints as text, for the worker to read. A node that shows is not spared by ComfyUI's cache, as the detector is
    /// when it sees the same picture again.
    pub(crate) fn show_pose(&mut self, keypoints: Link<flow::Keypoints>) {
        self.node("PreviewAny", [("source", keypoints.into())]);
        self.pose = true;
    }

    /// Saves images, of which so many results of this size come, and is done.
    pub(crate) fn finish(mut self, images: Link<flow::Image>, count: u32, extent: Extent) -> Plan {
        let node = self.node(
            "SaveImage",
            [("images", images.into()), ("filename_prefix", SAVE_PLACEHOLDER.into())],
        );
        self.takes(node, cost::SAVING, extent);
        self.into_plan(Output {
            count,
            width: extent.width(),
            height: extent.height(),
            webp: false,
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
            webp: false,
        })
    }

    fn into_plan(mut self, output: Output) -> Plan {
        if let [_, rest @ ..] = self.models.as_mut_slice() {
            rest.sort();
        }
        Plan {
            inputs: self.inputs,
            finish: self.finish,
            graph: Graph::of(self.nodes.into_iter().map(|node| (node.class, node.inputs))),
            output,
            pose: self.pose,
            models: self.models,
            work: Work::of(
                self.passes.iter().map(|pass| (pass.steps, pass.extent.pixels())),
                self.auxiliary.values().fold(0.0, |all, one| all + one), // a sum of nothing is -0
                output.count,
            ),
        }
    }
}

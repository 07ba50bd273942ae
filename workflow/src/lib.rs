//! From the plugin's request to a plan: pictures to prepare, a ComfyUI graph, pictures to finish. Pure.
//!
//! [`compile`] is the whole of it: a [`WorkflowInput`] as it came over the wire and the [`Catalog`] of the painter's
//! team give a [`Plan`], or a [`Refusal`] in words for the painter. There is no I/O, no clock and no chance in here:
//! the same request and catalogue always give the same plan.
//!
//! ```text
//! input (wire)  ─parse─▶  check::Request (only known-good values)  ─kinds::*─▶  draft::Draft  ─finish─▶  Plan
//! ```
//!
//! Each building block of a picture (`prompt`, `region`, `control`, `reference`, `selection`, `models`, `sampling`, `scale`,
//! `second_pass`, `tiles`) is one module with both halves: the parse from wire values to checked ones, and the nodes these
//! become. A graph is built from checked values alone. A new kind of request is a new module in `kinds`.
//!
//! Diffusion runs in the graph. What is done to pictures before and after is exact and comes as data ([`Input`],
//! [`Operation`]), which the worker carries out: masks, fills and hints before, matched colours, crops and alpha after
//! (`deliver`). A `frame` says how the request's pictures lie on one pass.

mod catalog;
mod check;
mod control;
mod deliver;
mod draft;
mod extent;
mod frame;
mod graph;
mod input;
mod kinds;
mod lora;
mod models;
mod nodes;
mod offer;
mod plan;
mod prompt;
mod recipe;
mod reference;
mod refusal;
mod region;
mod sampling;
mod scale;
mod second_pass;
mod selection;
mod tiles;
mod warm_up;

pub use catalog::{Catalog, Checkpoint, Format};
pub use graph::Graph;
pub use input::{
    Arch, Conditioning, Control, ControlMode, Extents, Fill, ImageData, Images, Inpaint, InpaintMode, Kind, Lora,
    Models, Region, Sampling, Upscale, WorkflowInput,
};
pub use lora::{LoraFit, lora_fit};
pub use nodes::{OPTIONAL_NODES, OptionalNode, optional_node};
pub use plan::{BindError, Output, Plan, Work};
pub use recipe::{Colour, Filling, Filter, Input, Operation, Source};
pub use refusal::Refusal;
pub use warm_up::warm_up;

/// What a request means: the plan to paint it with this catalogue, or why it cannot be painted here.
pub fn compile(input: &WorkflowInput, catalog: &Catalog) -> Result<Plan, Refusal> {
    match &input.kind {
        Kind::Generate => kinds::generate::plan(input, catalog),
        Kind::Refine => kinds::refine::plan(input, catalog),
        Kind::RefineRegion => kinds::refine_region::plan(input, catalog),
        Kind::Inpaint => kinds::inpaint::plan(input, catalog),
        Kind::UpscaleSimple => kinds::upscale_simple::plan(input, catalog),
        Kind::UpscaleTiled => kinds::upscale_tiled::plan(input, catalog),
        Kind::ControlImage => kinds::control_image::plan(input, catalog),
        Kind::Custom => Err(refusal::not_yet("a graph of your own")),
        Kind::Unknown(name) => Err(refusal::unknown("request kind", name)),
    }
}

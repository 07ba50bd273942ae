//! From the plugin's request to a plan: pictures to prepare, a ComfyUI graph, pictures to finish. Pure.
//!
//! [`compile`] is the whole of it: a [`WorkflowInput`] as it came over the wire and the [`Inventory`] of the painter's
//! team give a [`Plan`], or a [`Refusal`] in words for the painter. There is no I/O, no clock and no chance in here:
//! the same request and inventory always give the same plan.
//!
//! ```text
//! wire::WorkflowInput  ─parse─▶  kinds::request (only known-good values)  ─kinds::*─▶  draft::Draft  ─finish─▶  plan::Plan
//! ```
//!
//! What is in which room, the lower ones first; each uses only those above it:
//!
//! - `refusal`: saying no. `wire`: the request as it is sent. `plan`: what a worker gets.
//! - `check`: sizes, rectangles, pictures and numbers within their limits. `inventory`: what there is to paint with.
//! - `draft`: a plan in the making, with its nodes and typed links. `models`: from model files to what a sampler takes.
//! - `sizing`: how pictures lie on a pass, and get from one size to the next.
//! - `conditioning`: prompts, regions, control layers, reference pictures. `passes`: the sampler, and the selection.
//! - `kinds`: a module for each kind of request. A new kind is a new module there.
//! - `variants`: many requests from one.
//! - `offer`, `warm_up`, `lora`, `credits`: what the plugin is told, loading a model, which models a LoRA is made for, and what
//!   a request may cost.
//!
//! A building block of a picture has both halves in one module: the parse from wire values to checked ones, and the nodes
//! these become. A graph is built from checked values alone.
//!
//! Diffusion runs in the graph. What is done to pictures before and after is exact and comes as data ([`Input`],
//! [`Operation`]), which the worker carries out: masks, fills and hints before, matched colours, crops and alpha after
//! (`sizing::deliver`). A `sizing::Frame` says how the request's pictures lie on one pass.

mod check;
mod conditioning;
mod credits;
mod draft;
mod inventory;
mod kinds;
mod lora;
mod models;
mod offer;
mod passes;
mod plan;
mod refusal;
mod sizing;
pub mod variants;
mod warm_up;
mod wire;

pub use credits::credits;
pub use inventory::{Checkpoint, Files, Format, Inventory, OPTIONAL_NODES, OptionalNode, STORED, optional_node};
pub use lora::{LoraFit, LoraReading, Renamed, read_lora};
pub use plan::{BindError, Colour, Filling, Filter, Graph, Input, Operation, Output, Plan, Source, Work};
pub use refusal::Refusal;
pub use warm_up::warm_up;
pub use wire::{
    Arch, Conditioning, Control, ControlMode, Extents, Fill, ImageData, Images, Inpaint, InpaintMode, Kind, Lora,
    Models, Region, Sampling, Upscale, WorkflowInput,
};

/// What a request means: the plan to paint it with this inventory, or why it cannot be painted here.
pub fn compile(input: &WorkflowInput, inventory: &Inventory) -> Result<Plan, Refusal> {
    match &input.kind {
        Kind::Generate => kinds::generate::plan(input, inventory),
        Kind::Refine => kinds::refine::plan(input, inventory),
        Kind::RefineRegion => kinds::refine_region::plan(input, inventory),
        Kind::Inpaint => kinds::inpaint::plan(input, inventory),
        Kind::UpscaleSimple => kinds::upscale_simple::plan(input, inventory),
        Kind::UpscaleTiled => kinds::upscale_tiled::plan(input, inventory),
        Kind::ControlImage => kinds::control_image::plan(input, inventory),
        Kind::Custom => Err(refusal::not_yet("a graph of your own")),
        Kind::Unknown(name) => Err(refusal::unknown("request kind", name)),
    }
}

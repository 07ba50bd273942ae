//! Renders runs on the ComfyUI of this host, one at a time.

mod brake;
mod comfy_host;
mod error;
mod files;
mod prefetch;
mod renderer;
mod report;
mod run;
mod steps;
mod stop;
mod warm_up;

pub(crate) use comfy_host::ComfyHost;
pub(crate) use prefetch::Prefetch;
pub(crate) use renderer::Renderer;
#[cfg(test)]
pub(crate) use steps::MAX_PICTURES;
pub(crate) use stop::Stop;

//! ComfyUI's folders: of models, and of the files that go in and come out.

pub(crate) mod files;
pub(crate) mod models;

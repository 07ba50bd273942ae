//! Prompts: graphs, the declarations of their nodes, and their validation.

pub(crate) mod check;
pub(crate) mod convert;
pub(crate) mod execution_order;
pub(crate) mod graph;
pub(crate) mod object_info;
pub(crate) mod ordered;
pub(crate) mod problem;
pub(crate) mod validate;

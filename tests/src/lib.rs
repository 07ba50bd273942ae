//! Whole-system tests and the benchmark, and what more than one of them needs.

pub mod features;
pub mod oidc;
pub mod safetensors;

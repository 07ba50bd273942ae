//! Whole-system tests and the benchmark.

pub mod features;

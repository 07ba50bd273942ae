//! Whole-system tests and the benchmark.

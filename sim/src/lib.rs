//! Trace-driven simulation of the scheduling policies.
//!
//! A discrete-event simulation over `policy`: painters ask, clients show presence, machines boot, fail and stop, and
//! at each event the very function decides that a Lambda would call. No I/O; the same seed gives the same numbers.

pub mod bounds;
pub mod cases;
pub mod chance;
mod changed;
pub mod clairvoyant;
pub mod demand;
pub mod draw;
pub mod engine;
pub mod foreseen;
pub mod goals;
pub mod hindsight;
pub mod minutes;
pub mod models;
pub mod sensitivity;
pub mod signals;
pub mod stats;
pub mod svg;
pub mod variants;
pub mod world;

//! The whole stack on one machine: emulator, deploy, instance pump, demo. Tests use it too.

pub mod demo;
pub mod metrics;
pub mod painter;
pub mod pump;

mod bare;
mod build;
mod emulator;
mod golden;
mod process;
mod python;
mod services;
mod stack;
mod watch;

pub use bare::Bare;
pub use services::{Connection, Services};
pub use stack::{Options, Renderer, Seeded, Stack};

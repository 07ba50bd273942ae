//! The HTTP server: its routes, by subject.

mod control;
mod files;
mod info;
mod jobs;
mod prompt;
mod queue;
mod reply;
pub(crate) mod router;
mod socket;

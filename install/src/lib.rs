//! How Atelier comes into an AWS account, changes there and goes.
//!
//! What to do is decided by pure functions of what was found; the rest asks AWS, and does it.

pub mod aws;
pub mod backup;
mod bucket;
pub mod cost;
pub mod deploy;
pub mod doctor;
pub mod image;
pub mod models;
pub mod network;
mod partition;
mod pauses;
pub mod prices;
pub mod program;
pub mod release;
pub mod resources;
pub mod review;
mod signed;
pub mod stack;
pub mod state;
pub mod storage;
pub mod teardown;
pub mod timeline;
pub mod upgrade;

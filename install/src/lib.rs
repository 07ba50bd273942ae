//! How Atelier comes into an AWS account, changes there and goes.
//!
//! What to do is decided by pure functions of what was found; the rest asks AWS, and does it.

pub mod aws;
pub mod cost;
pub mod deploy;
pub mod image;
pub mod prices;
pub mod program;
pub mod release;
pub mod review;
pub mod stack;
pub mod state;
pub mod upgrade;

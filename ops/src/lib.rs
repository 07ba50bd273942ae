//! What the operator's command line does, for programs too.

pub mod audit;
pub mod class;
pub mod connect;
pub mod invite;
pub mod keys;
pub mod lora;
pub mod outputs;
pub mod pool;
pub mod seed;
pub mod task;
pub mod usage;
pub mod user;

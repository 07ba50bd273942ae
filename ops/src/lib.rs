//! What the operator's command line does, for programs too.

pub mod audit;
pub mod class;
pub mod connect;
pub mod erase;
pub mod export;
pub mod forecast;
pub mod invite;
pub mod keys;
pub mod lora;
pub mod outputs;
pub mod pool;
pub mod seed;
pub mod task;
pub mod team;
pub mod usage;
pub mod user;

//! What models and nodes there are, and for whom: the studio's catalogue, and the LoRAs that painters upload themselves.

mod assemble;
mod cache;
pub mod inspect;
pub mod models;
pub mod uploads;

pub use assemble::{assemble, current};
pub use cache::{Cache, Models};

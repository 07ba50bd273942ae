//! The life of a task, from the request to the finished picture: one code path for each step, whoever takes it.
//!
//! ```text
//! intake ─▶ line ─▶ runs (claim, end, cancel) ─▶ view ─▶ archive
//!              hints: notify, presence, learn
//! ```
//!
//! A front (the plugin's calls, or another API) turns its own words into [`intake::Wanted`] and [`model::socket::TaskView`] into
//! its own words; it admits, ends and shows nothing by itself.

pub mod archive;
pub mod bodies;
pub mod demand;
pub mod erase;
pub mod groups;
pub mod held;
pub mod intake;
pub mod keep;
pub mod learn;
pub mod line;
pub mod list;
pub mod notify;
pub mod past;
pub mod presence;
pub mod recording;
pub mod runs;
pub mod view;

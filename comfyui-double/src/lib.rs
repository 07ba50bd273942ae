//! ComfyUI's protocol without a GPU, for tests and the local stack.
//!
//! A [`Double`] answers as a real ComfyUI does: it checks graphs, queues and runs them, sends the
//! same messages in the same order, and saves pictures of the right size and number. The pictures
//! are painted by a formula and say so in a banner. Tests can switch on [`Faults`] and read
//! [`Stats`].
//!
//! Tests in other processes use the double's own routes, which ComfyUI does not have:
//!
//! | route | does |
//! | --- | --- |
//! | `GET`, `POST`, `DELETE /double/faults` | shows, replaces, clears the [`Faults`] |
//! | `GET /double/stats` | shows the [`Stats`] |
//! | `POST /double/drop-sockets` | cuts all sockets off |
//! | `POST /double/refuse` `{"ms": 500}` | refuses connections for that long |
//! | `POST /double/models` `{"add": {"loras": ["a"]}, "remove": {}}` | changes the model files |
//! | `POST /double/exit` | ends the program like `kill -9` |
//!
//! ```no_run
//! # async fn example() -> std::io::Result<()> {
//! let double = comfyui_double::Double::builder()
//!     .model("checkpoints", "tiny.ckpt")
//!     .start()
//!     .await?;
//! assert!(double.url().starts_with("http://127.0.0.1:"));
//! double.stop().await;
//! # Ok(())
//! # }
//! ```

mod cache;
mod convert;
mod double;
mod faults;
mod files;
mod font;
mod gate;
mod graph;
mod history;
mod mask;
mod metadata;
mod models;
mod nodes;
mod object_info;
mod options;
mod ordered;
mod paint;
mod picture;
mod plan;
mod problem;
mod routes;
mod run;
mod server;
mod sockets;
mod state;
mod validate;
mod worker;

pub use double::Double;
pub use faults::{Faults, NodeFault, Stats};
pub use options::{Builder, Version};

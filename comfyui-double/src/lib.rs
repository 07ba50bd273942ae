//! ComfyUI's protocol without a GPU, for tests and the local stack.
//!
//! A [`Double`] answers as a real ComfyUI does: it checks graphs, queues and runs them, sends the
//! same messages in the same order, and saves pictures of the right size and number. The pictures
//! are painted by a formula and say so in a banner. Tests can switch on [`Faults`] and read
//! [`Stats`].
//!
//! | room | holds |
//! | --- | --- |
//! | `server` | the routes |
//! | `run` | running prompts, and what is remembered of them |
//! | `nodes` | what each node class does |
//! | `state` | queue, history, sockets: what the server and the runs share |
//! | `prompt` | graphs, node declarations, validation, the order of execution |
//! | `disk` | the files and models that ComfyUI would have |
//! | `pixels` | pictures and masks |
//!
//! Uses point downwards in this list.
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

mod disk;
mod double;
mod faults;
mod nodes;
mod options;
mod pixels;
mod prompt;
mod run;
mod server;
mod state;

pub use double::Double;
pub use faults::{Faults, NodeFault, Stats};
pub use options::{Builder, Version};

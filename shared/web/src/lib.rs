//! Web pages: their frame, a browser's visit, and its session. Every function that shows pages to people has them from here.

mod frame;
mod patience;
mod sessions;
mod tongue;
mod visit;
mod words;

use cloud::Store;

pub use frame::{Frame, PROBLEM, alert, origin, page};
pub use patience::{PATIENCE, in_time};
pub use sessions::{Visitor, begin};
pub use tongue::{Phrase, Tongue, translated};
pub use visit::{Cookie, Page, Problem, Redirect, Visit, way_back};
pub use words::{DATE, written};

/// What a function has that shows pages.
pub trait Site: Send + Sync {
    /// The tables.
    fn store(&self) -> &Store;
    /// Whether pages travel by plain HTTP, as only on the local stack.
    fn plain_http(&self) -> bool;
}

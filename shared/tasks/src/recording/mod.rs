//! How documents came to be: what is recorded where painters have agreed, shown to them and their team's lead, and deleted
//! when they say so. Nothing is recorded beside a change of mind, since each step is written together with its document.

mod consent;
mod delete;
mod read;
mod record;

pub use consent::{HistoryError, class, documents, set_class, switch};
pub use delete::{delete, delete_all, erase, forget};
pub use read::{History, of_team, readable, steps};
pub(crate) use record::open;
pub use record::{applied, finished};

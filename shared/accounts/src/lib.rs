//! Who somebody is and what they may do: accounts, roles, sign-in state, the verdict who is out.

pub mod access;
pub mod address;
mod caller;
pub mod edge;
mod fingerprint;
mod identities;
mod sockets;
mod usage;
mod verdict;

pub use caller::{Caller, router};
pub use edge::Edge;
pub use fingerprint::fingerprint;
pub use identities::write;
pub use sockets::{close, hang_up, hang_up_missed};
pub use usage::usage;
pub use verdict::{AccountError, Bearer, Out, admit, of, user, verdict};

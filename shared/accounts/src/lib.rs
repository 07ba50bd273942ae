//! Who somebody is and what they may do: accounts, roles, sign-in state, the verdict who is out.

pub mod access;
pub mod address;
pub mod audit;
mod caller;
pub mod edge;
mod fingerprint;
mod identities;
mod invite;
mod sockets;
mod usage;
mod verdict;

pub use caller::{Caller, router};
pub use edge::Edge;
pub use fingerprint::fingerprint;
pub use identities::{write, write_and};
pub use invite::invite;
pub use sockets::{close, hang_up, hang_up_leaving, hang_up_missed, leaving};
pub use usage::usage;
pub use verdict::{AccountError, Bearer, Out, admit, of, user, verdict};

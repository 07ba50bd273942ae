//! The control plane, as a worker speaks with it: HTTP calls, and a WebSocket that makes things faster.

mod api;
mod heartbeat;
mod identity;
mod registrar;
mod socket;

pub(crate) use api::{CloudApi, CloudError};
pub(crate) use heartbeat::{Rhythm, beat};
pub use identity::{InstanceIdentity, ProofError};
pub(crate) use registrar::keep_registered;
pub(crate) use socket::keep_open;

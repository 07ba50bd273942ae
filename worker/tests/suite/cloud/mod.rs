//! A small control plane in memory: the workers' API, a bucket with URLs that expire, and a WebSocket.

mod behaviour;
mod control_plane;
mod routes;
mod state;

pub(crate) use behaviour::Behaviour;
pub(crate) use control_plane::Cloud;
pub(crate) use routes::{BROKEN, EXPIRED, SLOW, SLOWLY, STALLED};
pub(crate) use state::Seen;

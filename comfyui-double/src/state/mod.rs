//! What the server's tasks and the worker share, and the sockets that it goes out by.

pub(crate) mod gate;
pub(crate) mod history;
pub(crate) mod item;
pub(crate) mod shared;
pub(crate) mod sockets;

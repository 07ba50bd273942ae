//! Why a run is stopped.

/// Why a run must end before its pictures are done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stop {
    /// Nobody wants it any more.
    Canceled,
    /// It is somebody else's: nothing is to be said about it.
    Lost,
    /// This worker is told to stop.
    Leaving,
}

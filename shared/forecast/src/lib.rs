//! What the next hour will ask for, and which forecaster has earned to be believed.
//!
//! A forecaster ([`Member`]) learns from counts of five minutes ([`Series`]). All of them are tried on the last days
//! ([`Trial`]); a less simple one acts only while it has done better than every simpler one. No clock, no I/O, and
//! chance only from a seed: the same counts give the same forecast.

mod baseline;
mod clean;
mod linear;
mod lstm;
mod members;
mod said;
mod saved;
mod series;
mod steps;
mod trial;

pub use clean::{Cleaned, Count, clean};
pub use linear::Linear;
pub use lstm::{Lstm, Net};
pub use members::{Member, Quantiles, members};
pub use said::{Said, began, next_hour, nothing, say, slot};
pub use saved::{Saved, SavedError, VERSION, checksum, open, seal};
pub use series::{DAY, HOUR, SLOT_SECONDS, Series};
pub use steps::steps;
pub use trial::{Record, Score, Standing, Trial};

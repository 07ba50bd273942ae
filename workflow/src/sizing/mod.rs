//! How pictures lie on a pass, and how they get from one size to the next.

mod deliver;
mod enlarge;
mod frame;
mod scale;
mod tiles;

pub(crate) use deliver::{ColourReference, Step, deliver, resized};
pub(crate) use enlarge::{ToDesired, enlarge, to_desired, to_target, upscale};
pub(crate) use frame::{Frame, Part};
pub(crate) use scale::{crop_image, resize, scale, scaled};
pub(crate) use tiles::Layout;

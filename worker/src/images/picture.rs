//! A picture in memory, and a plan's operations on it. They take their time: not for an async thread.

use std::sync::Arc;

use bytes::Bytes;
use image::{ExtendedColorType, GrayImage, RgbImage, RgbaImage};
use workflow::{Filling, Filter, Operation};

/// A picture in memory.
#[derive(Debug, Clone)]
pub(crate) enum Picture {
    Colours(RgbImage),
    Mask(GrayImage),
    /// With transparency.
    Clear(RgbaImage),
}

/// The pictures of a plan's inputs in their order, as far as they are still needed.
pub(crate) type Shelf = Vec<Option<Arc<Picture>>>;

/// An operation cannot be carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Misfit {
    #[error("sizes do not fit: {0}")]
    Size(#[from] pictures::Mismatch),
    #[error("an operation is of another kind than its pictures")]
    Kind,
    #[error("an operation names a picture that is not there")]
    Absent,
    #[error("a picture cannot be read or written")]
    Unreadable,
}

impl Picture {
    /// After this operation.
    pub(crate) fn apply(self, operation: &Operation, shelf: &Shelf) -> Result<Self, Misfit> {
        Ok(match operation {
            Operation::Mask => Self::Mask(pictures::clean(&self.colours()?)),
            Operation::Invert => Self::Colours(pictures::invert(&self.colours()?)),
            Operation::Scale { width, height, filter } => self.scale(*width, *height, *filter)?,
            Operation::Crop { bounds, only } => {
                if only.is_some_and(|[width, height]| self.dimensions() != (width, height)) {
                    return Ok(self);
                }
                match self {
                    Self::Colours(picture) => Self::Colours(pictures::crop(&picture, *bounds)?),
                    Self::Mask(mask) => Self::Mask(pictures::crop(&mask, *bounds)?),
                    Self::Clear(picture) => Self::Clear(pictures::crop(&picture, *bounds)?),
                }
            }
            Operation::Expand { grow, feather } => Self::Mask(pictures::expand(&self.mask()?, *grow, *feather)),
            Operation::Stable => Self::Mask(pictures::stable(&self.mask()?)),
            Operation::Composite { blend } => Self::Mask(pictures::composite(&self.mask()?, *blend)),
            Operation::Remainder { others } => {
                let others: Vec<_> = others
                    .iter()
                    .map(|place| mask(shelf, *place))
                    .collect::<Result<_, _>>()?;
                Self::Mask(pictures::remainder(&self.mask()?, &others)?)
            }
            Operation::Fill { mask: place, how } => {
                let how = match how {
                    Filling::Neutral => pictures::Fill::Neutral,
                    Filling::Replace => pictures::Fill::Replace,
                    Filling::Blur => pictures::Fill::Blur,
                    Filling::Border => pictures::Fill::Border,
                    Filling::Green => pictures::Fill::Green,
                };
                Self::Colours(pictures::fill(&self.colours()?, mask(shelf, *place)?, how)?)
            }
            Operation::Hint { mask: place } => Self::Colours(pictures::hint(&self.colours()?, mask(shelf, *place)?)?),
            Operation::MatchColours {
                reference,
                mask: place,
                strength,
            } => {
                let Self::Colours(reference) = on(shelf, *reference)? else {
                    return Err(Misfit::Kind);
                };
                let mask = mask(shelf, *place)?;
                Self::Colours(pictures::match_colours(
                    &self.colours()?,
                    reference,
                    mask,
                    *strength as f32,
                )?)
            }
            Operation::Alpha { mask: place } => {
                Self::Clear(pictures::with_alpha(&self.colours()?, mask(shelf, *place)?)?)
            }
        })
    }

    fn scale(self, width: u32, height: u32, filter: Filter) -> Result<Self, Misfit> {
        let filter = match filter {
            Filter::Lanczos => pictures::Filter::Lanczos,
            Filter::Nearest => pictures::Filter::Nearest,
        };
        match self {
            // Nothing is copied for nothing.
            same if same.dimensions() == (width, height) => Ok(same),
            _ if width == 0 || height == 0 => Err(Misfit::Kind),
            Self::Colours(picture) => Ok(Self::Colours(pictures::scale(&picture, width, height, filter))),
            Self::Mask(mask) => Ok(Self::Mask(pictures::scale_mask(&mask, width, height))),
            Self::Clear(_) => Err(Misfit::Kind),
        }
    }

    fn colours(self) -> Result<RgbImage, Misfit> {
        match self {
            Self::Colours(picture) => Ok(picture),
            _ => Err(Misfit::Kind),
        }
    }

    fn mask(self) -> Result<GrayImage, Misfit> {
        match self {
            Self::Mask(mask) => Ok(mask),
            _ => Err(Misfit::Kind),
        }
    }

    pub(crate) fn dimensions(&self) -> (u32, u32) {
        match self {
            Self::Colours(picture) => picture.dimensions(),
            Self::Mask(mask) => mask.dimensions(),
            Self::Clear(picture) => picture.dimensions(),
        }
    }

    /// As a lossy WebP; as a PNG if it is too large for one.
    pub(super) fn webp(&self) -> Result<Bytes, Misfit> {
        let (width, height) = self.dimensions();
        let coded = match self {
            Self::Colours(picture) => pictures::webp(picture, width, height, false),
            Self::Clear(picture) => pictures::webp(picture, width, height, true),
            Self::Mask(_) => None,
        };
        coded.map_or_else(|| self.png(), |coded| Ok(coded.into()))
    }

    /// As a PNG that is made fast rather than small: it lives for seconds.
    pub(crate) fn png(&self) -> Result<Bytes, Misfit> {
        let (width, height) = self.dimensions();
        let (pixels, colour) = match self {
            Self::Colours(picture) => (picture.as_raw(), ExtendedColorType::Rgb8),
            Self::Mask(mask) => (mask.as_raw(), ExtendedColorType::L8),
            Self::Clear(picture) => (picture.as_raw(), ExtendedColorType::Rgba8),
        };
        let png = pictures::fast_png(pixels, width, height, colour).map_err(|_| Misfit::Unreadable)?;
        Ok(png.into())
    }
}

fn on(shelf: &Shelf, place: usize) -> Result<&Picture, Misfit> {
    shelf.get(place).and_then(Option::as_deref).ok_or(Misfit::Absent)
}

fn mask(shelf: &Shelf, place: usize) -> Result<&GrayImage, Misfit> {
    match on(shelf, place)? {
        Picture::Mask(mask) => Ok(mask),
        _ => Err(Misfit::Kind),
    }
}

/// The pictures, among the plan's inputs, that an operation looks at.
pub(crate) fn looks_at(operation: &Operation) -> Vec<usize> {
    match operation {
        Operation::Fill { mask, .. } | Operation::Hint { mask } | Operation::Alpha { mask } => vec![*mask],
        Operation::MatchColours { reference, mask, .. } => vec![*reference, *mask],
        Operation::Remainder { others } => others.clone(),
        _ => vec![],
    }
}

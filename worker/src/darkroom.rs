//! Carries out a plan's picture operations. Takes its time: not for an async thread.

use std::{io::Cursor, sync::Arc, thread};

use bytes::Bytes;
use image::{
    DynamicImage, ExtendedColorType, GrayImage, ImageEncoder, ImageReader, Limits, RgbImage, RgbaImage,
    codecs::png::{CompressionType, FilterType, PngEncoder},
};
use workflow::{Filling, Filter, Operation};

/// Of a single picture while it is decoded: 8192² with four channels of 16 bits.
const MAX_DECODED: u64 = 8 * 8_192 * 8_192;

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
    fn webp(&self) -> Result<Bytes, Misfit> {
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
        let mut png = Vec::new();
        PngEncoder::new_with_quality(&mut png, CompressionType::Fast, FilterType::Sub)
            .write_image(pixels, width, height, colour)
            .map_err(|_| Misfit::Unreadable)?;
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

/// What the renderer made, finished; each picture by itself.
pub(crate) fn finish(
    made: &[Bytes],
    operations: &[Operation],
    shelf: &Shelf,
    webp: bool,
) -> Result<Vec<Bytes>, Misfit> {
    let one = |png: &Bytes| {
        let mut picture = Picture::Colours(decode(png)?);
        for operation in operations {
            picture = picture.apply(operation, shelf)?;
        }
        if webp { picture.webp() } else { picture.png() }
    };
    thread::scope(|scope| {
        let running: Vec<_> = made.iter().map(|png| scope.spawn(move || one(png))).collect();
        let done = running
            .into_iter()
            .map(|one| one.join().unwrap_or(Err(Misfit::Unreadable)));
        done.collect()
    })
}

fn decode(png: &[u8]) -> Result<RgbImage, Misfit> {
    let mut reader = ImageReader::with_format(Cursor::new(png), image::ImageFormat::Png);
    let mut limits = Limits::default();
    limits.max_alloc = Some(MAX_DECODED);
    reader.limits(limits);
    let picture = reader.decode().map_err(|_| Misfit::Unreadable)?;
    Ok(DynamicImage::into_rgb8(picture))
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::{Luma, Rgb};

    fn shelf() -> Shelf {
        let mask = GrayImage::from_fn(8, 8, |x, _| Luma([if x < 4 { 255 } else { 0 }]));
        let reference = RgbImage::from_pixel(8, 8, Rgb([90, 120, 60]));
        vec![
            Some(Arc::new(Picture::Mask(mask))),
            Some(Arc::new(Picture::Colours(reference))),
            None,
        ]
    }

    fn made() -> Bytes {
        Picture::Colours(RgbImage::from_pixel(8, 8, Rgb([200, 100, 50])))
            .png()
            .unwrap()
    }

    #[test]
    fn results_are_finished_in_order() {
        let operations = [
            Operation::MatchColours {
                reference: 1,
                mask: 0,
                strength: 0.0,
            },
            Operation::Alpha { mask: 0 },
            Operation::Crop {
                bounds: [2, 0, 4, 8],
                only: None,
            },
        ];
        let done = finish(&[made(), made()], &operations, &shelf(), false).unwrap();
        assert_eq!(done.len(), 2);
        let picture = image::load_from_memory(&done[1]).unwrap();
        let picture = picture.as_rgba8().unwrap();
        assert_eq!(picture.dimensions(), (4, 8));
        assert_eq!(picture.get_pixel(1, 3).0, [200, 100, 50, 255]);
        assert_eq!(picture.get_pixel(2, 3).0[3], 0);
    }

    #[test]
    fn what_cannot_be_done_is_an_error() {
        let refused = |operation: Operation| finish(&[made()], &[operation], &shelf(), false).unwrap_err();
        assert_eq!(refused(Operation::Alpha { mask: 1 }), Misfit::Kind);
        assert_eq!(refused(Operation::Alpha { mask: 2 }), Misfit::Absent);
        assert_eq!(refused(Operation::Alpha { mask: 9 }), Misfit::Absent);
        assert_eq!(refused(Operation::Stable), Misfit::Kind);
        let outside = Operation::Crop {
            bounds: [u32::MAX, 1, 8, 8],
            only: None,
        };
        assert!(matches!(refused(outside), Misfit::Size(_)));
        assert_eq!(
            finish(&[Bytes::from_static(b"no PNG")], &[], &shelf(), false).unwrap_err(),
            Misfit::Unreadable
        );
    }
}

//! A request's pictures: got, checked before anything decodes them, and made into plain PNGs for ComfyUI.

use std::sync::Arc;

use base64::{Engine, prelude::BASE64_STANDARD};
use bytes::Bytes;
use model::worker_api::InputBlob;
use workflow::{Input, Operation, Source};

use super::{
    bad_input::BadInput,
    picture::{Misfit, Picture, Shelf, looks_at},
    segment,
};

/// The most pixels of all pictures together, those in between included.
const MAX_ALL_PIXELS: u64 = 1024 * 1024 * 1024;
/// The largest blob, whatever the request says.
const MAX_BLOB: u64 = 512 * 1024 * 1024;

/// How many bytes there may be.
pub(crate) fn limit(blob: &InputBlob) -> Result<u64, BadInput> {
    if blob.size > MAX_BLOB {
        Err(BadInput::TooLarge)
    } else {
        Ok(blob.size)
    }
}

/// The blob's bytes, if they came with the request.
pub(crate) fn inline(blob: &InputBlob) -> Result<Option<Bytes>, BadInput> {
    let Some(text) = &blob.base64 else { return Ok(None) };
    // Four letters stand for three bytes.
    if text.len() as u64 / 4 * 3 > limit(blob)? + 3 {
        return Err(BadInput::Incomplete);
    }
    BASE64_STANDARD
        .decode(text)
        .map(|bytes| Some(bytes.into()))
        .map_err(|_| BadInput::Incomplete)
}

/// Whether an object is the one that was there when the request was sent.
pub(crate) fn check_etag(blob: &InputBlob, found: Option<&str>) -> Result<(), BadInput> {
    let bare = |etag: &str| etag.trim().trim_start_matches("W/").trim_matches('"').to_owned();
    match &blob.etag {
        Some(wanted) if found.map(bare) != Some(bare(wanted)) => Err(BadInput::Changed),
        _ => Ok(()),
    }
}

/// A plan's inputs, ready.
#[derive(Debug, Default)]
pub(crate) struct Ready {
    /// The PNGs to be uploaded, in the plan's order.
    pub(crate) uploads: Vec<Bytes>,
    /// What the finishing operations look at.
    pub(crate) shelf: Shelf,
    /// The first one as it was sent, where the run is recorded.
    pub(crate) first: Option<Bytes>,
}

/// Prepares the inputs of a plan. Takes its time: not for an async thread.
pub(crate) fn prepare(
    blob: &InputBlob,
    bytes: &Bytes,
    inputs: &[Input],
    finish: &[Operation],
) -> Result<Ready, BadInput> {
    if bytes.len() as u64 != blob.size {
        return Err(BadInput::Incomplete);
    }
    // Where each picture is looked at for the last time; the finish comes after all of them.
    let mut last_use = vec![0; inputs.len()];
    for (place, input) in inputs.iter().enumerate() {
        let used = input.operations.iter().flat_map(looks_at).chain(match input.source {
            Source::Prepared { prepared } => Some(prepared),
            Source::Segment { .. } => None,
        });
        used.for_each(|used| last_use.get_mut(used).into_iter().for_each(|last| *last = place));
    }
    let finish = finish.iter().flat_map(looks_at);
    finish.for_each(|used| last_use.get_mut(used).into_iter().for_each(|last| *last = usize::MAX));

    let mut ready = Ready::default();
    let mut pixels = 0;
    for (place, input) in inputs.iter().enumerate() {
        let mut picture = start(blob, bytes, &input.source, &ready.shelf)?;
        for operation in &input.operations {
            picture = picture.apply(operation, &ready.shelf)?;
        }
        pixels = count(pixels, picture.dimensions())?;
        if input.upload {
            ready.uploads.push(picture.png()?);
        }
        ready.shelf.push(Some(Arc::new(picture)));
        for (kept, last) in ready.shelf.iter_mut().zip(&last_use) {
            if *last <= place {
                *kept = None;
            }
        }
    }
    Ok(ready)
}

/// The pixels of all pictures so far, with those of one more.
pub(crate) fn count(pixels: u64, (width, height): (u32, u32)) -> Result<u64, BadInput> {
    let pixels = pixels + u64::from(width) * u64::from(height);
    if pixels > MAX_ALL_PIXELS {
        return Err(BadInput::TooLarge);
    }
    Ok(pixels)
}

fn start(blob: &InputBlob, bytes: &Bytes, source: &Source, shelf: &Shelf) -> Result<Picture, BadInput> {
    match source {
        Source::Segment {
            image,
            width,
            height,
            or,
            any,
            flatten,
        } => {
            let segment = cut(blob, bytes, *image)?;
            let sizes: Vec<_> = std::iter::once([*width, *height]).chain(or.iter().copied()).collect();
            let wanted = any.is_none().then_some(sizes.as_slice());
            let colours = segment::picture(&segment, *image, wanted, *flatten)?;
            let (width, height) = colours.dimensions();
            let picture = Picture::Colours(colours);
            match any {
                Some(most) if width.min(height) > *most && !sizes.contains(&[width, height]) => {
                    let side = |side: u32| (f64::from(side) * f64::from(*most) / f64::from(width.min(height))).round();
                    let smaller = Operation::Scale {
                        width: side(width) as u32,
                        height: side(height) as u32,
                        filter: workflow::Filter::Lanczos,
                    };
                    Ok(picture.apply(&smaller, shelf)?)
                }
                _ => Ok(picture),
            }
        }
        Source::Prepared { prepared } => {
            let earlier = shelf.get(*prepared).and_then(Option::as_deref);
            Ok(earlier.ok_or(Misfit::Absent)?.clone())
        }
    }
}

fn cut(blob: &InputBlob, bytes: &Bytes, image: usize) -> Result<Bytes, BadInput> {
    let missing = BadInput::NoSuchPicture(image + 1);
    let start = *blob.offsets.get(image).ok_or_else(|| missing.clone())?;
    let end = *blob.offsets.get(image + 1).unwrap_or(&blob.size);
    let range = usize::try_from(start).ok().zip(usize::try_from(end).ok());
    match range {
        Some((start, end)) if start < end && end <= bytes.len() => Ok(bytes.slice(start..end)),
        _ => Err(missing),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::{ImageFormat, Rgba, RgbaImage};
    use std::io::Cursor;
    use workflow::Colour;

    fn png(width: u32, height: u32, pixel: [u8; 4]) -> Vec<u8> {
        let mut bytes = Vec::new();
        RgbaImage::from_pixel(width, height, Rgba(pixel))
            .write_to(&mut Cursor::new(&mut bytes), ImageFormat::Png)
            .unwrap();
        bytes
    }

    fn input(image: usize, width: u32, height: u32) -> Input {
        Input {
            name: "in.png".into(),
            source: Source::Segment {
                image,
                width,
                height,
                or: vec![],
                any: None,
                flatten: Colour([0, 0, 255]),
            },
            operations: vec![],
            upload: true,
        }
    }

    fn blob(pictures: &[Vec<u8>]) -> (InputBlob, Bytes) {
        let mut offsets = vec![];
        let mut bytes = vec![];
        for picture in pictures {
            offsets.push(bytes.len() as u64);
            bytes.extend_from_slice(picture);
        }
        (
            InputBlob {
                base64: None,
                key: None,
                etag: None,
                offsets,
                size: bytes.len() as u64,
            },
            bytes.into(),
        )
    }

    #[test]
    fn transparency_shows_the_colour_below() {
        let (blob, bytes) = blob(&[png(4, 4, [255, 255, 255, 255]), png(8, 4, [255, 0, 0, 128])]);
        let made = prepare(&blob, &bytes, &[input(1, 8, 4), input(0, 4, 4)], &[])
            .unwrap()
            .uploads;
        let pixel = |png: &[u8]| image::load_from_memory(png).unwrap().into_rgb8().get_pixel(0, 0).0;
        assert_eq!(pixel(&made[0]), [128, 0, 127]);
        assert_eq!(pixel(&made[1]), [255, 255, 255]);
    }

    #[test]
    fn what_is_only_looked_at_may_have_any_size() {
        let sizes = [(4, 4), (6, 6), (5, 50), (40, 20), (800, 400)];
        let pictures: Vec<_> = sizes.map(|(width, height)| png(width, height, [9; 4])).into();
        let (blob, bytes) = blob(&pictures);
        let inputs: Vec<_> = (0..sizes.len())
            .map(|place| {
                let mut input = input(place, 4, 4);
                let Source::Segment { or, any, .. } = &mut input.source else {
                    panic!()
                };
                (*or, *any) = (vec![[40, 20]], Some(5));
                input
            })
            .collect();
        let made = prepare(&blob, &bytes, &inputs, &[]).unwrap().uploads;
        let sizes = made.iter().map(|png| {
            let picture = image::load_from_memory(png).unwrap();
            (picture.width(), picture.height())
        });
        // In proportion, never larger than it was, and as it is in a size that was named.
        assert_eq!(sizes.collect::<Vec<_>>(), [(4, 4), (5, 5), (5, 50), (40, 20), (10, 5)]);
    }

    #[test]
    fn pictures_are_made_from_pictures() {
        let (blob, bytes) = blob(&[png(4, 4, [9, 9, 9, 255]), png(8, 8, [255, 0, 0, 255])]);
        let derived = |prepared, operations, upload| Input {
            source: Source::Prepared { prepared },
            operations,
            upload,
            ..input(0, 0, 0)
        };
        let mut mask = input(1, 4, 4);
        mask.operations.push(Operation::Mask);
        mask.upload = false;
        // It may come in another size, too.
        let Source::Segment { or, .. } = &mut mask.source else {
            panic!()
        };
        or.push([8, 8]);
        let small = Operation::Scale {
            width: 4,
            height: 4,
            filter: workflow::Filter::Lanczos,
        };
        let inputs = [
            input(0, 4, 4),
            mask,
            derived(1, vec![small], false),
            derived(0, vec![Operation::Hint { mask: 2 }], true),
        ];
        let ready = prepare(&blob, &bytes, &inputs, &[Operation::Alpha { mask: 2 }]).unwrap();
        assert_eq!(ready.uploads.len(), 2);
        let hint = image::load_from_memory(&ready.uploads[1]).unwrap().into_rgb8();
        assert!(hint.pixels().all(|pixel| pixel.0 == [0; 3]));
        // What nothing looks at any more is not kept.
        let kept: Vec<_> = ready.shelf.iter().map(Option::is_some).collect();
        assert_eq!(kept, [false, false, true, false]);
        let absent = prepare(&blob, &bytes, &[derived(0, vec![], true)], &[]).unwrap_err();
        assert_eq!(absent, BadInput::Misfit(Misfit::Absent));
    }

    #[test]
    fn what_does_not_fit_is_said_plainly() {
        let (blob, bytes) = blob(&[png(4, 4, [0; 4]), b"no picture at all".to_vec()]);
        let refused = |input: Input| prepare(&blob, &bytes, &[input], &[]).unwrap_err();
        assert_eq!(
            refused(input(0, 8, 8)).to_string(),
            "Input picture 1 has 4x4 pixels, but 8x8 were announced."
        );
        assert_eq!(refused(input(1, 4, 4)), BadInput::Unreadable(2));
        assert_eq!(refused(input(2, 4, 4)), BadInput::NoSuchPicture(3));
        let short = bytes.slice(..bytes.len() - 1);
        assert_eq!(prepare(&blob, &short, &[], &[]).unwrap_err(), BadInput::Incomplete);
    }

    #[test]
    fn a_bomb_is_refused_by_its_header() {
        let mut bomb = png(4, 4, [0; 4]);
        bomb[16..24].copy_from_slice(&[0, 1, 0, 0, 0, 1, 0, 0]);
        // The header's checksum is part of what makes it readable.
        let refused = segment::picture(&bomb, 0, None, Colour::BLACK).unwrap_err();
        assert!(
            matches!(refused, BadInput::Unreadable(1) | BadInput::TooManyPixels { .. }),
            "{refused}"
        );
    }

    #[test]
    fn etags_are_compared_without_their_quotes() {
        let (mut blob, _) = blob(&[]);
        assert_eq!(check_etag(&blob, None), Ok(()));
        blob.etag = Some("abc".into());
        assert_eq!(check_etag(&blob, Some("\"abc\"")), Ok(()));
        assert_eq!(check_etag(&blob, Some("\"abd\"")), Err(BadInput::Changed));
        assert_eq!(check_etag(&blob, None), Err(BadInput::Changed));
    }
}

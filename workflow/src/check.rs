//! From the wire to values that may be used: whatever is in here is within its limits.

use crate::{
    catalog::Catalog,
    control::Control,
    frame::Frame,
    input::{ImageData, Kind, WorkflowInput},
    models::Models,
    prompt::Prompts,
    reference::{References, is_reference},
    refusal::{Refusal, missing, not_yet},
    sampling::Sampling,
    scale::{Extent, Extents},
    selection::Selection,
};
use std::{fmt::Display, ops::RangeInclusive};

const MAX_BATCH: i64 = 16;
const MAX_REGIONS: usize = 64;
const MAX_CONTROLS: usize = 64;
/// A canvas, a selection, and a mask and some control layers for each region are far below.
const MAX_IMAGES: usize = 1_024;

/// A request with diffusion, checked.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) extents: Extents,
    pub(crate) initial_image: Option<ImageIndex>,
    pub(crate) hires_image: Option<ImageIndex>,
    pub(crate) hires_mask: Option<ImageIndex>,
    pub(crate) models: Models,
    pub(crate) prompts: Prompts,
    /// Of the whole picture; those of regions included, since control nets act on all of it.
    pub(crate) controls: Vec<Control>,
    pub(crate) references: References,
    pub(crate) sampling: Sampling,
    pub(crate) selection: Option<Selection>,
    /// 0 to 1.
    pub(crate) colour_match: f64,
    /// Pictures wanted, at least 1.
    pub(crate) batch: u32,
}

impl Request {
    pub(crate) fn parse(input: &WorkflowInput, catalog: &Catalog) -> Result<Self, Refusal> {
        let images = input.images.as_ref().ok_or_else(|| missing("image sizes"))?;
        let models = input.models.as_ref().ok_or_else(|| missing("model"))?;
        let sampling = input.sampling.as_ref().ok_or_else(|| missing("sampler"))?;
        let conditioning = input.conditioning.as_ref().ok_or_else(|| missing("prompt"))?;
        let regions = conditioning.regions.as_slice();
        let tiled = input.kind == Kind::UpscaleTiled;

        if regions.len() > MAX_REGIONS {
            return Err(Refusal::new(format!(
                "{} regions are too many, the limit is {MAX_REGIONS}. Merge or remove some.",
                regions.len()
            )));
        }
        if input.nsfw_filter.is_nan() || input.nsfw_filter > 0.0 {
            return Err(Refusal::new(
                "the content filter is not available on this server. Switch it off in the plugin's settings.",
            ));
        }
        if images.layer_count != 1 {
            return Err(not_yet("a picture in layers"));
        }

        let stored = StoredImages::parse(input.image_data.as_ref())?;
        let batch = number("number of images", input.batch_count, 1..=MAX_BATCH)?;
        let batch = if tiled { 1 } else { batch };
        let extents = if tiled {
            Extents::parse_tiled(&images.extent)?
        } else {
            Extents::parse(&images.extent, batch)?
        };
        let controls = conditioning.control.iter().map(|control| (None, control));
        let of_regions = regions.iter().enumerate().flat_map(|(place, region)| {
            let place = (regions.len() > 1).then_some(place);
            region.control.iter().map(move |control| (place, control))
        });
        let controls: Vec<_> = controls.chain(of_regions).collect();
        if controls.len() > MAX_CONTROLS {
            return Err(Refusal::new(format!(
                "{} control layers are too many, the limit is {MAX_CONTROLS}. Remove some.",
                controls.len()
            )));
        }
        // One region covers everything: its prompt is the prompt, and its LoRAs are LoRAs.
        let only = regions.first().filter(|_| regions.len() == 1);
        let loras = models
            .loras
            .iter()
            .chain(only.into_iter().flat_map(|region| &region.loras));
        let sampling = Sampling::parse(sampling, &models.version)?;
        let parsed = Models::parse(models, loras, catalog)?;
        let (references, controls): (Vec<_>, Vec<_>) = controls
            .into_iter()
            .partition(|(_, control)| is_reference(&control.mode));
        let references = References::parse(references.into_iter(), &models.version, catalog, stored)?;
        let controls = controls
            .into_iter()
            .map(|(_, control)| Control::parse(control, &models.version, catalog, stored, tiled))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            initial_image: stored.optional("initial image", images.initial_image)?,
            hires_image: stored.optional("detail image", images.hires_image)?,
            hires_mask: stored.optional("selection", images.hires_mask)?,
            prompts: Prompts::parse(conditioning, &sampling, stored, catalog, tiled)?,
            selection: (input.inpaint.as_ref())
                .map(|inpaint| Selection::parse(inpaint, &extents, catalog, &parsed))
                .transpose()?,
            colour_match: real("colour match", input.color_match, 0.0..=1.0)?,
            extents,
            models: parsed,
            controls,
            references,
            sampling,
            batch,
        })
    }

    /// The whole picture in a pass of this size.
    pub(crate) fn frame(&self, extent: Extent) -> Frame<'_> {
        Frame::whole(&self.extents, extent)
    }
}

/// An index of a picture that is in the request's blob.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ImageIndex(usize);

impl ImageIndex {
    pub(crate) fn get(self) -> usize {
        self.0
    }
}

/// How many pictures came with the request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct StoredImages {
    count: usize,
}

impl StoredImages {
    pub(crate) fn parse(data: Option<&ImageData>) -> Result<Self, Refusal> {
        let Some(data) = data else { return Ok(Self { count: 0 }) };
        let filled = |text: &Option<String>| text.as_ref().is_some_and(|text| !text.is_empty());
        if filled(&data.base64) == filled(&data.s3_object) {
            return Err(Refusal::new(
                "the images must be either in the request or uploaded. Try again.",
            ));
        }
        let ascending = data.offsets.first() == Some(&0) && data.offsets.is_sorted_by(|a, b| a < b);
        if !ascending || data.offsets.len() > MAX_IMAGES {
            return Err(Refusal::new(
                "the list of images is damaged: their offsets do not ascend from 0. Try again.",
            ));
        }
        Ok(Self {
            count: data.offsets.len(),
        })
    }

    pub(crate) fn optional(self, what: &str, index: Option<i64>) -> Result<Option<ImageIndex>, Refusal> {
        index.map(|index| self.index(what, index)).transpose()
    }

    pub(crate) fn index(self, what: &str, index: i64) -> Result<ImageIndex, Refusal> {
        usize::try_from(index)
            .ok()
            .filter(|index| *index < self.count)
            .map(ImageIndex)
            .ok_or_else(|| {
                Refusal::new(format!(
                    "the {what} (number {index}) was not sent with the request. Try again."
                ))
            })
    }
}

/// A whole number within its limits.
pub(crate) fn number(what: &str, value: i64, limits: RangeInclusive<i64>) -> Result<u32, Refusal> {
    match u32::try_from(value) {
        Ok(number) if limits.contains(&value) => Ok(number),
        _ => Err(outside(what, value, &limits)),
    }
}

/// A number within its limits; infinity and NaN never are.
pub(crate) fn real(what: &str, value: f64, limits: RangeInclusive<f64>) -> Result<f64, Refusal> {
    if limits.contains(&value) {
        return Ok(value);
    }
    let exact = value.to_string();
    let shown = if exact.len() <= 12 {
        exact
    } else {
        format!("{value:.3e}")
    };
    Err(outside(what, shown, &limits))
}

fn outside<T: Display>(what: &str, value: impl Display, limits: &RangeInclusive<T>) -> Refusal {
    Refusal::new(format!(
        "the {what} is {value}, but must be from {} to {}.",
        limits.start(),
        limits.end()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_to_their_limits() {
        assert_eq!(number("x", 16, 1..=16), Ok(16));
        assert_eq!(number("x", i64::from(u32::MAX), 0..=i64::from(u32::MAX)), Ok(u32::MAX));
        assert_eq!(
            number("batch", i64::MIN, 1..=16).unwrap_err().to_string(),
            "Validation error: the batch is -9223372036854775808, but must be from 1 to 16."
        );
        assert_eq!(real("x", 1.5, 0.0..=2.0), Ok(1.5));
        for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -0.1, f64::MAX] {
            assert!(real("x", bad, 0.0..=2.0).unwrap_err().to_string().len() < 100);
        }
    }

    fn data(base64: &str, s3_object: &str, offsets: &[u64]) -> ImageData {
        let text = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        ImageData {
            base64: text(base64),
            s3_object: text(s3_object),
            offsets: offsets.to_vec(),
        }
    }

    #[test]
    fn images_are_in_one_place_and_in_order() {
        for (data, good) in [
            (data("AA==", "", &[0]), true),
            (data("", "key", &[0, 7, 9]), true),
            (data("AA==", "key", &[0]), false),
            (data("", "", &[0]), false),
            (data("", "key", &[]), false),
            (data("", "key", &[1]), false),
            (data("", "key", &[0, 7, 7]), false),
            (data("", "key", &[0, 7, 3]), false),
        ] {
            assert_eq!(StoredImages::parse(Some(&data)).is_ok(), good, "{data:?}");
        }
        let stored = StoredImages { count: 2 };
        assert_eq!(stored.index("x", 1), Ok(ImageIndex(1)));
        assert!(stored.index("x", 2).is_err());
        assert!(stored.index("x", -1).is_err());
    }
}

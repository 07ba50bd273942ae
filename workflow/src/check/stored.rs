//! The pictures that came with a request.

use crate::{refusal::Refusal, wire::ImageData};

/// A canvas, a selection, and a mask and some control layers for each region are far below.
const MAX_IMAGES: usize = 1_024;

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

#[cfg(test)]
mod tests {
    use super::*;

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

//! What the text encoder makes of prompts.

use crate::{
    draft::{Draft, Link, flow},
    models::Loaded,
};

/// Encoded prompts.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Encoded {
    pub(crate) positive: Link<flow::Conditioning>,
    /// The positive one where guidance has no use for a negative one, since nodes want something.
    pub(crate) negative: Link<flow::Conditioning>,
}

/// With the text encoder as loaded or as a region patches it.
pub(crate) fn encode_text(
    draft: &mut Draft,
    loaded: &Loaded,
    clip: Link<flow::Clip>,
    text: &str,
) -> Link<flow::Conditioning> {
    let encoded = draft
        .node("CLIPTextEncode", [("text", text.into()), ("clip", clip.into())])
        .output(0);
    // SDXL was trained with zeros for a missing prompt, not with the encoding of "".
    if text.is_empty() && loaded.zeroes_empty_text {
        draft
            .node("ConditioningZeroOut", [("conditioning", Link::into(encoded))])
            .output(0)
    } else {
        encoded
    }
}

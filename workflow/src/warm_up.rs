//! Loading a model before the first request needs it.

use crate::{
    check::Extent,
    conditioning::{Encoded, encode_text},
    draft::Draft,
    inventory::{Checkpoint, Format},
    models::{Loaded, load_checkpoint, load_diffusion_model},
    passes::{Sampling, empty_latent, sample},
    plan::Plan,
};

/// One step on 64x64 pixels with the very loader node of later graphs, so that ComfyUI has the model in memory and has it
/// cached. The seed must be a fresh one: a graph that ComfyUI has seen is not run again.
///
/// A diffusion-only file ([`Format::Diffusion`]) says nothing of its text encoders, so for it the plan only loads the file:
/// it brings no picture (`output.count` is 0).
pub fn warm_up(checkpoint: &Checkpoint, seed: u64) -> Plan {
    let mut draft = Draft::default();
    let tiny = Extent::TINY;
    if checkpoint.format == Format::Diffusion {
        let model = load_diffusion_model(&mut draft, &checkpoint.file);
        return draft.finish_loading(model);
    }
    let loaded = Loaded::plain(load_checkpoint(&mut draft, &checkpoint.file), &checkpoint.arch);
    let noise = empty_latent(&mut draft, &loaded, tiny, 1);
    let positive = encode_text(&mut draft, &loaded, loaded.clip, "");
    let prompts = Encoded {
        positive,
        negative: positive,
    };
    let latent = sample(
        &mut draft,
        &loaded,
        prompts,
        &Sampling::single_step(seed),
        0,
        noise,
        tiny,
    );
    let image = loaded.decode(&mut draft, latent);
    draft.finish(image, 1, tiny)
}

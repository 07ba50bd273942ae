//! A run's uploaded LoRAs.

use std::{path::PathBuf, sync::Arc};

use model::worker_api::{Assignment, ModelFile};
use tokio::task::spawn_blocking;

use super::{error::RenderError, renderer::Renderer};
use crate::{
    loras::{self, Checked, LoraCache, LoraError},
    transfer::Transfers,
};

/// The share of a run's progress that fetching its LoRAs makes, if any are not there.
const FETCHING: f32 = 0.2;

impl Renderer {
    /// Fetches the LoRAs that this host does not have, and checks them all, before ComfyUI is asked for anything.
    pub(super) async fn loras(&self, run: &Assignment, transfers: &Transfers<'_>) -> Result<Checked, RenderError> {
        if run.loras.is_empty() {
            return Ok(Checked::default());
        }
        let cache = self.loras.clone().ok_or(LoraError::NoFolder)?;
        let files: Option<Vec<_>> = run
            .loras
            .iter()
            .map(|lora| Some((lora.clone(), cache.path(&lora.file)?)))
            .collect();
        let files = Arc::new(files.ok_or(LoraError::Path)?);
        let known = (Arc::clone(&cache), Arc::clone(&files));
        let missing = spawn_blocking(move || make_ready(&known.0, &known.1)).await??;

        let wanted: u64 = missing.iter().map(|place| files[*place].0.size).sum();
        let mut done = 0;
        for place in missing {
            let (lora, path) = &files[place];
            tracing::info!(run.id = %run.run_id, file = lora.file, bytes = lora.size, "fetching a LoRA");
            let told = |bytes: u64| {
                let share = (done + bytes) as f32 / wanted as f32;
                self.status.progress(FETCHING * share);
            };
            transfers
                .lora(place, lora, path, told)
                .await
                .map_err(RenderError::FetchLora)?;
            done += lora.size;
        }
        let run = run.run_id;
        Ok(spawn_blocking(move || loras::check(&cache, &files, run)).await??)
    }
}

/// Makes room for those that are not there; gives their places.
fn make_ready(cache: &LoraCache, files: &[(ModelFile, PathBuf)]) -> Result<Vec<usize>, LoraError> {
    let mut missing = vec![];
    for (place, (lora, path)) in files.iter().enumerate() {
        if !LoraCache::has(path, lora.size)? {
            missing.push(place);
        }
    }
    if !missing.is_empty() {
        let wanted = missing.iter().map(|place| files[*place].0.size).sum();
        let keep: Vec<_> = files.iter().map(|(_, path)| path.clone()).collect();
        cache.make_room(wanted, &keep)?;
    }
    Ok(missing)
}

//! The catalogue's entries as what `workflow` compiles with.

use std::collections::BTreeMap;

use model::CatalogEntry;
use workflow::{Arch, Checkpoint, Format, Inventory};

/// Of each model the version that a request gets: one that is pinned, or else the newest; one that is deprecated only where
/// no other is left. Later entries of another team win over earlier ones.
pub fn current(entries: &[CatalogEntry]) -> impl Iterator<Item = &CatalogEntry> {
    // What painters have for themselves goes before their team's of the same name, as the team's goes before everybody's.
    let private = |entry: &CatalogEntry| entry.master.as_ref().is_some_and(|it| it.private);
    let rank = |entry: &CatalogEntry| (!entry.deprecated, private(entry), entry.pinned, entry.number);
    let mut models: BTreeMap<(&str, &str), &CatalogEntry> = BTreeMap::new();
    for entry in entries.iter().filter(|it| it.deleted.is_none()) {
        let model = models.entry((&entry.kind, &entry.name)).or_insert(entry);
        if model.team != entry.team || rank(entry) > rank(model) {
            *model = entry;
        }
    }
    models.into_values()
}

/// Entries that make no sense are left out.
pub fn assemble(entries: &[CatalogEntry]) -> Inventory {
    let mut inventory = Inventory::default();
    let mut resources = Vec::new();
    let mut others = BTreeMap::new();
    for entry in current(entries) {
        let (name, file) = (entry.name.clone(), entry.file.clone());
        if entry.deprecated {
            inventory.deprecated.insert(file.clone());
        }
        match entry.kind.as_str() {
            "checkpoint" | "diffusion_model" => {
                let arch = entry.arch.as_ref().and_then(|arch| parse::<Arch>(arch));
                let Some(arch) = arch else { continue };
                let format = entry.format.as_ref().and_then(|format| parse(format));
                let format = format.unwrap_or(if entry.kind == "checkpoint" {
                    Format::Checkpoint
                } else {
                    Format::Diffusion
                });
                inventory.checkpoints.insert(name, Checkpoint { file, arch, format });
            }
            "vae" => inventory.vae.insert(name, file),
            "lora" => inventory.loras.insert(name, file),
            "upscaler" => inventory.upscalers.insert(name, file),
            "resource" => resources.push((name, file)),
            _ => drop(others.insert(name, file)),
        }
    }
    // A resource is said to be a file: one of the studio's store, if there is one of this name.
    for (id, file) in resources {
        let lists = [&inventory.vae, &inventory.loras, &inventory.upscalers];
        let stored = others.get(&file).map(String::as_str);
        let stored = stored.or_else(|| lists.iter().find_map(|it| it.find(&file)));
        let file = stored.map_or(file.clone(), str::to_owned);
        inventory.resources.insert(id, file);
    }
    // Or the file is called as the resource.
    for (name, file) in others {
        inventory.resources.entry(name).or_insert(file);
    }
    inventory
}

fn parse<T: serde::de::DeserializeOwned>(text: &str) -> Option<T> {
    serde_json::from_value(text.into()).ok()
}

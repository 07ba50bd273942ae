//! The catalogue's entries as what `workflow` compiles with.

use model::CatalogEntry;
use workflow::{Arch, Checkpoint, Format, Inventory};

/// Later entries win over earlier ones of the same name. Entries that make no sense are left out.
pub fn assemble(entries: &[CatalogEntry]) -> Inventory {
    let mut inventory = Inventory::default();
    for entry in entries {
        match entry.kind.as_str() {
            "checkpoint" => {
                let arch = entry.arch.as_ref().and_then(|arch| parse::<Arch>(arch));
                let Some(arch) = arch else { continue };
                let format = entry
                    .format
                    .as_ref()
                    .and_then(|format| parse(format))
                    .unwrap_or(Format::Checkpoint);
                inventory.checkpoints.insert(
                    entry.name.clone(),
                    Checkpoint {
                        file: entry.file.clone(),
                        arch,
                        format,
                    },
                );
            }
            "vae" => inventory.vae.push(entry.file.clone()),
            "lora" => inventory.loras.push(entry.file.clone()),
            "upscaler" => inventory.upscalers.push(entry.file.clone()),
            "resource" => drop(inventory.resources.insert(entry.name.clone(), entry.file.clone())),
            _ => {}
        }
    }
    inventory
}

fn parse<T: serde::de::DeserializeOwned>(text: &str) -> Option<T> {
    serde_json::from_value(text.into()).ok()
}

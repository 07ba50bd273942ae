//! The catalogue's entries as what `workflow` compiles with.

use model::CatalogEntry;
use workflow::{Arch, Catalog, Checkpoint, Format};

/// Later entries win over earlier ones of the same name. Entries that make no sense are left out.
pub fn assemble(entries: &[CatalogEntry]) -> Catalog {
    let mut catalog = Catalog::default();
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
                catalog.checkpoints.insert(
                    entry.name.clone(),
                    Checkpoint {
                        file: entry.file.clone(),
                        arch,
                        format,
                    },
                );
            }
            "vae" => catalog.vae.push(entry.file.clone()),
            "lora" => catalog.loras.push(entry.file.clone()),
            "upscaler" => catalog.upscalers.push(entry.file.clone()),
            "resource" => drop(catalog.resources.insert(entry.name.clone(), entry.file.clone())),
            _ => {}
        }
    }
    catalog
}

fn parse<T: serde::de::DeserializeOwned>(text: &str) -> Option<T> {
    serde_json::from_value(text.into()).ok()
}

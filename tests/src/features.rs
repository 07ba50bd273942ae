//! Everything that a reply to `plugin/resources` offers, as requests that ask for it: what a test of "what is offered works"
//! goes through. Nothing here knows which models there are; it reads the reply as the plugin does.

use std::collections::BTreeSet;

use model::{CatalogEntry, TeamId};
use serde_json::{Value, json};

/// Every picture in these requests is a square of so many pixels.
pub const SIDE: u32 = 64;

/// Control layers that the plugin can have, apart from those that only the server uses.
pub const MODES: [&str; 16] = [
    "reference",
    "style",
    "composition",
    "face",
    "scribble",
    "line_art",
    "soft_edge",
    "canny_edge",
    "depth",
    "normal",
    "pose",
    "segmentation",
    "blur",
    "stencil",
    "hands",
    "dance",
];
/// Layers that the plugin offers to make from the canvas.
pub const DETECTED: [&str; 9] = [
    "scribble",
    "line_art",
    "soft_edge",
    "canny_edge",
    "depth",
    "normal",
    "pose",
    "segmentation",
    "hands",
];
const UNION_SDXL: [&str; 10] = [
    "scribble",
    "line_art",
    "soft_edge",
    "canny_edge",
    "depth",
    "normal",
    "pose",
    "segmentation",
    "blur",
    "hands",
];
const UNION_FLUX: [&str; 6] = ["line_art", "soft_edge", "canny_edge", "depth", "pose", "blur"];
const FILLS: [&str; 7] = ["none", "neutral", "blur", "border", "replace", "inpaint", "green"];

/// A catalogue with something of every kind, some of which nothing here can use: a team's own, beside the shared one.
pub fn rich_catalog(team: &TeamId) -> Vec<CatalogEntry> {
    let files: Vec<Value> = serde_json::from_str(include_str!("rich_catalog.json")).unwrap_or_default();
    let entry = |mut file: Value| {
        file["team"] = json!(team);
        file["version"] = 0.into();
        if file["file"].is_null() {
            file["file"] = file["name"].clone();
        }
        serde_json::from_value(file).ok()
    };
    files.into_iter().filter_map(entry).collect()
}

/// One thing that is offered.
#[derive(Debug, Clone)]
pub struct Feature {
    /// For people.
    pub name: String,
    /// The request's `workflow`, without `image_data`.
    pub workflow: Value,
    /// Pictures that it needs; of each, whether it is a mask.
    pub pictures: Vec<bool>,
    /// Side of the picture that comes back.
    pub side: u32,
    /// Whether it has an alpha.
    pub alpha: bool,
    /// Whether a pose comes with it.
    pub pose: bool,
}

/// What the plugin reads out of the reply.
#[derive(Debug, Clone, Copy)]
pub struct Offer<'a>(pub &'a Value);

impl<'a> Offer<'a> {
    fn names(self, list: &str) -> impl Iterator<Item = &'a str> {
        self.0[list].as_array().into_iter().flatten().filter_map(Value::as_str)
    }

    fn has(self, kind: &str, identifier: &str, arch: &str) -> bool {
        let fallback = if arch == "illu_v" { "illu" } else { arch };
        let of = |arch: &str| self.0["resources"].get(format!("{kind}-{identifier}-{arch}")).is_some();
        of(arch) || of(fallback) || of("all")
    }

    /// Checkpoints, with what they are.
    pub fn checkpoints(self) -> Vec<(&'a str, &'a str)> {
        let all = self.0["checkpoints"].as_object().into_iter().flatten();
        all.filter_map(|(name, it)| Some((name.as_str(), it["arch"].as_str()?)))
            .collect()
    }

    /// The control layers that the plugin lets a painter use with models of this kind.
    pub fn layers(self, arch: &str) -> BTreeSet<&'static str> {
        let mut layers: BTreeSet<_> = MODES
            .into_iter()
            .filter(|mode| self.has("controlnet", mode, arch))
            .collect();
        if self.has("controlnet", "universal", arch) {
            layers.extend(match arch {
                "flux" => UNION_FLUX.as_slice(),
                "sdxl" | "illu" | "illu_v" => UNION_SDXL.as_slice(),
                _ => &[],
            });
        }
        if self.has("ip_adapter", "reference", arch) {
            layers.insert("reference");
            if arch != "flux" {
                layers.extend(["style", "composition"]);
            }
        }
        layers
    }

    /// A request for each thing that is offered.
    pub fn features(self) -> Vec<Feature> {
        let mut all = vec![];
        let checkpoints = self.checkpoints();
        let (mut archs, mut loras) = (BTreeSet::new(), BTreeSet::new());
        for (checkpoint, arch) in &checkpoints {
            all.push(generate(checkpoint, checkpoint, arch));
            // What else there is goes by what the checkpoint is.
            if !archs.insert(arch) {
                continue;
            }
            all.extend(kinds(checkpoint, arch));
            for mode in self.layers(arch) {
                all.push(control(checkpoint, arch, mode));
            }
            for lora in self.loras(arch).into_iter().filter(|lora| loras.insert(*lora)) {
                let mut feature = generate(&format!("{lora} on {checkpoint}"), checkpoint, arch);
                feature.workflow["models"]["loras"] = json!([{"name": lora, "strength": 0.7}]);
                all.push(feature);
            }
        }
        if let Some((checkpoint, arch)) = checkpoints.first() {
            for vae in self.names("vae") {
                let mut feature = generate(&format!("the VAE {vae}"), checkpoint, arch);
                feature.workflow["models"]["vae"] = vae.into();
                all.push(feature);
            }
        }
        all.extend(self.names("upscalers").map(upscale));
        let layers: BTreeSet<_> = checkpoints.iter().flat_map(|(_, arch)| self.layers(arch)).collect();
        let detected = DETECTED.iter().filter(|mode| layers.contains(*mode));
        all.extend(detected.map(|mode| detect(mode)));
        all
    }

    /// LoRAs of a resource of this kind of model, and those that no resource names.
    fn loras(self, arch: &str) -> Vec<&'a str> {
        let resources = self.0["resources"].as_object().into_iter().flatten();
        let named: Vec<_> = resources.filter(|(id, _)| id.starts_with("lora-")).collect();
        let fits = |lora: &&str| {
            let mut of: Vec<_> = named.iter().filter(|(_, file)| file.as_str() == Some(*lora)).collect();
            let free = of.is_empty();
            of.retain(|(id, _)| id.ends_with(&format!("-{arch}")));
            free || !of.is_empty()
        };
        self.names("loras").filter(fits).collect()
    }
}

fn extents(initial: u32, target: u32) -> Value {
    json!({"extent": {
        "input": [SIDE, SIDE], "initial": [initial, initial], "desired": [initial, initial], "target": [target, target]
    }})
}

/// A picture from nothing.
pub fn generate(name: &str, checkpoint: &str, arch: &str) -> Feature {
    Feature {
        name: name.to_owned(),
        workflow: json!({
            "kind": "generate", "images": extents(SIDE, SIDE),
            "models": {"checkpoint": checkpoint, "version": arch, "loras": []},
            "sampling": {"sampler": "euler", "scheduler": "normal", "cfg_scale": 5.0, "total_steps": 2, "seed": 1},
            "conditioning": {"positive": name, "control": [], "regions": []},
        }),
        pictures: vec![],
        side: SIDE,
        alpha: false,
        pose: false,
    }
}

/// A picture led by a control layer.
pub fn control(checkpoint: &str, arch: &str, mode: &str) -> Feature {
    let mut feature = generate(&format!("{mode} with {checkpoint}"), checkpoint, arch);
    feature.workflow["conditioning"]["control"] = json!([{"mode": mode, "image": 0, "strength": 0.5}]);
    feature.pictures = vec![false];
    feature
}

/// A control layer made from the canvas.
pub fn detect(mode: &str) -> Feature {
    Feature {
        workflow: json!({
            "kind": "control_image", "control_mode": mode,
            "images": {"extent": extents(SIDE, SIDE)["extent"], "initial_image": 0},
        }),
        pictures: vec![false],
        pose: mode == "pose",
        ..generate(&format!("{mode} from the canvas"), "", "")
    }
}

fn upscale(model: &str) -> Feature {
    let side = 2 * SIDE;
    Feature {
        workflow: json!({
            "kind": "upscale_simple", "upscale": {"model": model},
            "images": {"extent": extents(SIDE, side)["extent"], "initial_image": 0},
        }),
        pictures: vec![false],
        side,
        ..generate(&format!("enlarged by {model}"), "", "")
    }
}

/// Every other kind of request with this checkpoint.
fn kinds(checkpoint: &str, arch: &str) -> Vec<Feature> {
    let plain = |kind: &str| {
        let mut feature = generate(&format!("{kind} with {checkpoint}"), checkpoint, arch);
        feature.workflow["kind"] = kind.split(' ').next().into();
        feature
    };
    let mut all = vec![];
    let mut refine = plain("refine");
    refine.workflow["images"]["initial_image"] = 0.into();
    refine.workflow["sampling"]["start_step"] = 1.into();
    refine.pictures = vec![false];
    all.push(refine.clone());

    let mut tiled = plain("upscale_tiled");
    tiled.side = 2 * SIDE;
    tiled.workflow["images"] = extents(tiled.side, tiled.side);
    tiled.workflow["images"]["initial_image"] = 0.into();
    tiled.workflow["images"]["extent"]["desired"] = json!([SIDE, SIDE]);
    tiled.workflow["upscale"] = json!({"tile_overlap": 0});
    tiled.pictures = vec![false];
    all.push(tiled);

    let selected = |kind: &str, inpaint: &Value| {
        let mut feature = plain(kind);
        feature.workflow["images"]["initial_image"] = 0.into();
        feature.workflow["images"]["hires_mask"] = 1.into();
        feature.workflow["inpaint"] = json!({
            "mode": "fill", "target_bounds": [0, 0, SIDE, SIDE], "grow": 2, "feather": 2, "blend": 2,
        });
        for (key, value) in inpaint.as_object().into_iter().flatten() {
            feature.workflow["inpaint"][key] = value.clone();
        }
        feature.pictures = vec![false, true];
        feature.alpha = true;
        feature
    };
    all.push(selected("refine_region", &json!({})));
    for fill in FILLS {
        let name = format!("inpaint filled with {fill},");
        all.push(selected(&name, &json!({"fill": fill, "use_inpaint_model": true})));
    }
    all.push(selected("inpaint of the surroundings", &json!({"use_reference": true})));
    all
}

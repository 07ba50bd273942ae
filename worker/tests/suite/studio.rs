//! A team with LoRAs of its own.

use std::{fs, path::PathBuf};

use model::{
    RunId, TeamId,
    worker_api::{Assignment, ModelFile},
};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use workflow::{Inventory, Plan};

use crate::{bench::Bench, cloud::Seen, plans::compiled};

/// A worker, and a team whose folder is cleared away at the end.
pub(crate) struct Studio {
    pub(crate) bench: Bench,
    pub(crate) team: TeamId,
    pub(crate) folder: PathBuf,
}

impl Studio {
    pub(crate) fn new(bench: Bench) -> Self {
        let team = TeamId::new(format!("test-{}", uuid::Uuid::new_v4().simple()));
        let folder = bench.models.as_ref().unwrap().join("loras/atelier").join(team.as_str());
        Self { bench, team, folder }
    }

    /// What `upload/lora` and a PUT leave.
    pub(crate) fn upload(&self, bytes: &[u8]) -> ModelFile {
        let lora = stored(ModelFile::LORAS, self.team.as_str(), bytes);
        self.bench.cloud.store(&lora.key, bytes.to_vec());
        ModelFile {
            arch: "sd15".into(),
            ..lora
        }
    }

    pub(crate) fn assignment(&self, lora: &ModelFile, plan: &Plan, key: &str) -> Assignment {
        let mut run = self.bench.assignment(plan, None);
        run.team = self.team.clone();
        run.loras = vec![lora.clone()];
        run.urls.loras = vec![self.bench.cloud.bucket(key)];
        run
    }

    pub(crate) fn run_from(&self, lora: &ModelFile, plan: &Plan, key: &str) -> RunId {
        let run = self.assignment(lora, plan, key);
        let id = run.run_id;
        self.bench.cloud.enqueue(run);
        id
    }

    pub(crate) fn run(&self, lora: &ModelFile, plan: &Plan) -> RunId {
        self.run_from(lora, plan, &lora.key)
    }

    pub(crate) async fn picture(&self, run: RunId) -> image::RgbImage {
        self.bench.pictures(run).await.remove(0)
    }

    pub(crate) fn gets(&self) -> usize {
        self.bench.cloud.count(|seen| matches!(seen, Seen::Get { .. }))
    }

    /// What lies in the team's folder.
    pub(crate) fn files(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.folder).into_iter().flatten();
        entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect()
    }
}

impl Drop for Studio {
    fn drop(&mut self) {
        // A worker that refused everything has made none.
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// What a file in the store is called.
pub(crate) fn stored(folder: &str, team: &str, bytes: &[u8]) -> ModelFile {
    let sha256 = format!("{:x}", Sha256::digest(bytes));
    ModelFile {
        name: "mine.safetensors".into(),
        folder: folder.into(),
        file: format!("atelier/{team}/{sha256}.safetensors"),
        key: format!("models/{team}/{sha256}"),
        sha256,
        size: bytes.len() as u64,
        arch: String::new(),
    }
}

pub(crate) fn plan(lora: &ModelFile, strength: f64) -> Plan {
    let lora_of_the_request = json!([{"name": "mine", "strength": strength, "storage_id": "hash"}]);
    plan_of(lora, &json!({"/models/loras": lora_of_the_request}))
}

pub(crate) fn plan_of(lora: &ModelFile, changes: &Value) -> Plan {
    let inventory: Inventory = serde_json::from_value(json!({
        "checkpoints": {"tiny.ckpt": {"filename": "tiny.ckpt", "arch": "sd15"}},
        "uploads": {"hash": lora.file},
    }))
    .unwrap();
    let mut request = json!({
        "kind": "generate",
        "images": {"extent": {"input": [64, 64], "initial": [64, 64], "desired": [64, 64], "target": [64, 64]}},
        "models": {"checkpoint": "tiny.ckpt", "version": "sd15", "loras": []},
        "sampling": {"sampler": "euler", "scheduler": "normal", "cfg_scale": 7.0, "total_steps": 2, "seed": 5},
        "conditioning": {"positive": "a red fox, ink", "control": [], "regions": []},
    });
    for (pointer, value) in changes.as_object().unwrap() {
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        request.pointer_mut(parent).unwrap()[key] = value.clone();
    }
    compiled(request, &inventory)
}

/// A safetensors file with tensors of these names and shapes; what they hold goes by their place.
pub(crate) fn safetensors(tensors: &[(&str, &[u64])]) -> Vec<u8> {
    let (mut header, mut data) = (Map::new(), vec![]);
    for (place, (name, shape)) in tensors.iter().enumerate() {
        let begin = data.len();
        for element in 0..shape.iter().product::<u64>() {
            let value = (element as f32 * 0.7 + place as f32).sin() * 0.2;
            data.extend_from_slice(&value.to_le_bytes());
        }
        let entry = json!({"dtype": "F32", "shape": shape, "data_offsets": [begin, data.len()]});
        header.insert((*name).to_owned(), entry);
    }
    let header = Value::from(header).to_string();
    [&(header.len() as u64).to_le_bytes(), header.as_bytes(), &data].concat()
}

/// For the tiny checkpoint that the real server has.
pub(crate) fn fitting() -> Vec<u8> {
    const BLOCK: &str = "lora_unet_input_blocks_1_1_transformer_blocks_0";
    let [query, key] = ["attn1_to_q", "attn2_to_k"].map(|layer| format!("{BLOCK}_{layer}"));
    of_two_layers(
        [&query, &key],
        [".lora_down.weight", ".lora_up.weight"],
        ".dora_scale",
        &[320, 1],
    )
}

/// The same, as the library PEFT writes it: ComfyUI knows neither the layers' names nor that of the magnitudes.
pub(crate) fn fitting_of_peft() -> Vec<u8> {
    const BLOCK: &str = "base_model.model.unet.down_blocks.0.attentions.0.transformer_blocks.0";
    let [query, key] = ["attn1.to_q", "attn2.to_k"].map(|layer| format!("{BLOCK}.{layer}"));
    of_two_layers(
        [&query, &key],
        [".lora_A.weight", ".lora_B.weight"],
        ".lora_magnitude_vector",
        &[320],
    )
}

fn of_two_layers([query, key]: [&str; 2], [down, up]: [&str; 2], magnitudes: &str, sides: &[u64]) -> Vec<u8> {
    safetensors(&[
        (&format!("{query}{down}"), &[4, 320]),
        (&format!("{query}{up}"), &[320, 4]),
        (&format!("{query}{magnitudes}"), sides),
        (&format!("{key}{down}"), &[4, 768]),
        (&format!("{key}{up}"), &[320, 4]),
    ])
}

/// Of SDXL: of its layers, the tiny checkpoint has the first under the same name, too.
pub(crate) fn of_sdxl() -> Vec<u8> {
    const KEY: &str = "lora_unet_input_blocks_1_1_transformer_blocks_0_attn2_to_k";
    const DEEP: &str = "lora_unet_middle_block_1_transformer_blocks_9_attn1_to_q";
    safetensors(&[
        (&format!("{KEY}.lora_down.weight"), &[4, 2048]),
        (&format!("{KEY}.lora_up.weight"), &[640, 4]),
        (&format!("{DEEP}.lora_down.weight"), &[4, 1280]),
        (&format!("{DEEP}.lora_up.weight"), &[1280, 4]),
    ])
}

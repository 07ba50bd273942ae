//! Files of the studio's store, on a machine of ours whose ComfyUI sees what the worker shows it.

use std::{fs, os::unix::fs::symlink, path::PathBuf, time::SystemTime};

use comfyui_double::Double;
use model::{
    Blame, FailureClass, RunId, TeamId,
    worker_api::{Assignment, ModelFile, RunFailure},
};
use serde_json::json;
use workflow::{Inventory, Plan};

use crate::{
    bench::{Bench, Setup},
    cloud::{BROKEN, EXPIRED, Seen},
    owned::Owned,
    plans::compiled,
    studio::{fitting, safetensors, stored},
};

/// One that is ready.
struct Machine {
    owned: Owned,
    bench: Bench,
}

impl Machine {
    async fn new() -> Self {
        let machine = Self::off().await;
        let setup = machine.owned.setup();
        machine.on(setup).await
    }

    /// Before its worker starts.
    async fn off() -> Self {
        let owned = Owned::new();
        let view = owned.at("models/view");
        let double = Double::builder().models_in(view).start().await.unwrap();
        let bench = Bench::with_double(double).await;
        Self { owned, bench }
    }

    async fn on(mut self, setup: Setup) -> Self {
        self.bench.start(setup);
        self.bench.cloud.beat("ready", |beat| beat.ready).await;
        self
    }

    /// What the catalogue has registered.
    fn bring(&self, folder: &str, team: &str, bytes: &[u8]) -> ModelFile {
        let file = stored(folder, team, bytes);
        self.bench.cloud.store(&file.key, bytes.to_vec());
        file
    }

    fn checkpoint(&self, team: &str, side: u64) -> ModelFile {
        self.bring("checkpoints", team, &checkpoint(side))
    }

    fn run(&self, team: &str, files: &[&ModelFile]) -> RunId {
        self.enqueue(self.assignment(team, files))
    }

    fn enqueue(&self, run: Assignment) -> RunId {
        let id = run.run_id;
        self.bench.cloud.enqueue(run);
        id
    }

    /// Of a picture by these files: a checkpoint, perhaps a LoRA.
    fn assignment(&self, team: &str, files: &[&ModelFile]) -> Assignment {
        let mut run = self.bench.assignment(&plan(files), None);
        run.team = TeamId::new(team);
        for file in files {
            let url = self.bench.cloud.bucket(&file.key);
            let (to, urls) = if file.folder == ModelFile::LORAS {
                (&mut run.loras, &mut run.urls.loras)
            } else {
                (&mut run.models, &mut run.urls.models)
            };
            to.push((*file).clone());
            urls.push(url);
        }
        run
    }

    async fn failure(&self, run: RunId) -> (FailureClass, Blame, String) {
        let RunFailure {
            class, blame, message, ..
        } = self.bench.cloud.failure(run).await;
        (class.unwrap(), blame, message)
    }

    fn path(&self, file: &ModelFile) -> PathBuf {
        self.owned.at("models/cache").join(&file.folder).join(&file.file)
    }

    /// From which byte on each GET of this file was.
    fn gets(&self, file: &ModelFile) -> Vec<Option<u64>> {
        let seen = self.bench.cloud.seen().into_iter();
        seen.filter_map(|seen| match seen {
            Seen::Get { key, from } if key.ends_with(&file.key) => Some(from),
            _ => None,
        })
        .collect()
    }

    /// Waits until heartbeats tell these files, latest used first.
    async fn tells(&self, files: &[&ModelFile]) {
        let hashes: Vec<_> = files.iter().map(|file| file.sha256[..8].to_owned()).collect();
        self.bench
            .cloud
            .beat(&format!("{hashes:?}"), |beat| beat.on_disk == hashes)
            .await;
    }

    /// Whether nothing of a file is there.
    fn has_nothing_of(&self, file: &ModelFile) -> bool {
        let folder = self.path(file);
        let entries = fs::read_dir(folder.parent().unwrap()).into_iter().flatten();
        !entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .any(|name| name.starts_with(&file.sha256))
    }
}

fn checkpoint(side: u64) -> Vec<u8> {
    safetensors(&[("model.diffusion_model.input_blocks.0.0.weight", &[side, 4])])
}

fn plan(files: &[&ModelFile]) -> Plan {
    let [checkpoint, loras @ ..] = files else {
        panic!("no checkpoint")
    };
    let inventory: Inventory = serde_json::from_value(json!({
        "checkpoints": {"own": {"filename": checkpoint.file, "arch": "sd15"}},
        "uploads": loras.iter().map(|lora| (lora.sha256.clone(), json!(lora.file))).collect::<serde_json::Map<_, _>>(),
    }))
    .unwrap();
    let extent = [64, 64];
    let request = json!({
        "kind": "generate",
        "images": {"extent": {"input": extent, "initial": extent, "desired": extent, "target": extent}},
        "models": {
            "checkpoint": "own", "version": "sd15",
            "loras": loras.iter().map(|lora| json!({"name": "x", "strength": 1.0, "storage_id": lora.sha256})).collect::<Vec<_>>(),
        },
        "sampling": {"sampler": "euler", "scheduler": "normal", "cfg_scale": 7.0, "total_steps": 1, "seed": 1},
        "conditioning": {"positive": "a red fox", "control": [], "regions": []},
        "batch_count": 1
    });
    compiled(request, &inventory)
}

#[tokio::test]
async fn a_checkpoint_that_the_machine_never_had_renders_and_is_kept() {
    let mut machine = Machine::new().await;
    let (own, shared) = (machine.checkpoint("red", 9), machine.checkpoint("shared", 8));
    let lora = ModelFile {
        arch: "sd15".into(),
        ..machine.bring(ModelFile::LORAS, "red", &fitting())
    };
    machine.bench.cloud.result(machine.run("red", &[&own, &lora])).await;
    assert_eq!(fs::read(machine.path(&own)).unwrap(), checkpoint(9));
    machine.bench.cloud.result(machine.run("red", &[&shared])).await;
    machine.bench.cloud.result(machine.run("red", &[&own, &lora])).await;
    machine.tells(&[&own, &lora, &shared]).await;
    for file in [&own, &shared, &lora] {
        assert_eq!(machine.gets(file), [None], "each is fetched once");
    }
    // After a restart they are found again.
    machine.bench.terminate().await;
    let setup = machine.owned.setup();
    let machine = machine.on(setup).await;
    machine.tells(&[&own, &lora, &shared]).await;
    machine.bench.cloud.result(machine.run("red", &[&own, &lora])).await;
    assert_eq!(machine.gets(&own).len(), 1);
}

#[tokio::test]
async fn another_teams_files_are_not_seen() {
    let machine = Machine::new().await;
    let (red, blue, shared) = (
        machine.checkpoint("red", 1),
        machine.checkpoint("blue", 2),
        machine.checkpoint("shared", 3),
    );
    machine.bench.cloud.result(machine.run("red", &[&red])).await;
    machine.bench.cloud.result(machine.run("blue", &[&shared])).await;
    machine.bench.cloud.result(machine.run("blue", &[&blue])).await;
    let listed = machine.bench.comfy_says("/models/checkpoints").await;
    let mut files = [&blue.file, &shared.file];
    files.sort();
    assert_eq!(listed, json!(files));
    // A graph that names it finds nothing, although it lies on the disk.
    let mut run = machine.assignment("blue", &[&red]);
    run.models.clear();
    let (class, ..) = machine.failure(machine.enqueue(run)).await;
    assert_eq!(class, FailureClass::User);
    // Nor is it made ready if the control plane should be mistaken.
    let (class, ..) = machine.failure(machine.run("blue", &[&red])).await;
    assert_eq!(class, FailureClass::Infrastructure);
}

#[tokio::test]
async fn a_broken_line_is_gone_on_with() {
    let machine = Machine::new().await;
    let file = machine.checkpoint("red", 1000);
    let mut run = machine.assignment("red", &[&file]);
    run.urls.models = vec![machine.bench.cloud.bucket(&format!("{BROKEN}{}", file.key))];
    machine.bench.cloud.result(machine.enqueue(run)).await;
    let gets = machine.gets(&file);
    assert_eq!(gets.len(), 2, "{gets:?}");
    assert!(gets[0].is_none() && gets[1].is_some_and(|from| from > 0), "{gets:?}");
    assert_eq!(fs::read(machine.path(&file)).unwrap(), checkpoint(1000));
}

#[tokio::test]
async fn a_bucket_in_trouble_is_waited_for_and_an_old_address_renewed() {
    let machine = Machine::new().await;
    let file = machine.checkpoint("red", 1);
    machine.bench.cloud.behave(|behaviour| {
        behaviour.bucket_troubled = 11;
        behaviour.models = vec![file.key.clone()];
    });
    let mut run = machine.assignment("red", &[&file]);
    run.urls.models = vec![machine.bench.cloud.bucket(&format!("{EXPIRED}{}", file.key))];
    machine.bench.cloud.result(machine.enqueue(run)).await;
    assert_eq!(machine.gets(&file).len(), 13);
}

#[tokio::test]
async fn wrong_bytes_are_the_machines_fault_and_never_get_the_name() {
    let machine = Machine::new().await;
    let file = machine.checkpoint("red", 100);
    let whole = checkpoint(100);
    let mut other = whole.clone();
    *other.last_mut().unwrap() ^= 1;
    for bytes in [other, whole[1..].to_vec(), [whole.as_slice(), b"more"].concat()] {
        machine.bench.cloud.store(&file.key, bytes);
        let (class, blame, message) = machine.failure(machine.run("red", &[&file])).await;
        assert_eq!((class, blame), (FailureClass::Infrastructure, Blame::Machine));
        assert_eq!(message, "A model came to the render machine damaged.");
        assert!(machine.has_nothing_of(&file));
    }
    // What another fetch has left is not to blame for it.
    machine.bench.cloud.store(&file.key, whole.clone());
    fs::write(machine.path(&file).with_extension("part"), [7; 50]).unwrap();
    machine.bench.cloud.result(machine.run("red", &[&file])).await;
    assert_eq!(fs::read(machine.path(&file)).unwrap(), whole);
}

#[tokio::test]
async fn what_is_gone_or_no_model_is_told_in_words() {
    let machine = Machine::new().await;
    let gone = stored("checkpoints", "red", b"gone");
    let zip = machine.bring("vae", "red", b"a zip file, perhaps");
    for (file, words) in [(&gone, "no longer on the server"), (&zip, "is damaged")] {
        let (class, _, message) = machine.failure(machine.run("red", &[file])).await;
        assert_eq!(class, FailureClass::User);
        assert!(
            message.contains(words) && message.contains("mine.safetensors"),
            "{message}"
        );
        assert!(machine.has_nothing_of(file));
    }
    assert_eq!(machine.bench.double.as_ref().unwrap().stats().prompts_accepted, 0);
}

#[tokio::test]
async fn a_name_that_leads_elsewhere_is_nowhere() {
    let machine = Machine::new().await;
    let good = machine.checkpoint("red", 1);
    let with_file = |file: String| ModelFile { file, ..good.clone() };
    let with_folder = |folder: &str| ModelFile {
        folder: folder.into(),
        ..good.clone()
    };
    let hash = &good.sha256;
    for bad in [
        with_file(format!("atelier/red/../../../{hash}.safetensors")),
        with_file(format!("/tmp/{hash}.safetensors")),
        with_file(format!("atelier/red/%2e%2e/{hash}.safetensors")),
        with_file(format!("atelier/../{hash}.safetensors")),
        with_folder(".."),
        with_folder("../../comfyui/input"),
        with_folder("custom_nodes"),
        with_folder("ｃheckpoints"),
        with_folder(&"x".repeat(5000)),
    ] {
        let mut run = machine.assignment("red", &[&good]);
        run.models = vec![bad];
        let (class, ..) = machine.failure(machine.enqueue(run)).await;
        assert_eq!(class, FailureClass::Infrastructure);
    }
    assert_eq!(machine.gets(&good).len(), 0);
}

#[tokio::test]
async fn a_full_disk_is_the_machines_fault_in_words() {
    let none = Machine::off().await;
    let setup = Setup {
        model_cache: Some(0),
        ..none.owned.setup()
    };
    let none = none.on(setup).await;
    let full = Machine::new().await;
    let devices = |machine: &Machine, file: &ModelFile| {
        let part = machine.path(file).with_extension("part");
        fs::create_dir_all(part.parent().unwrap()).unwrap();
        // What is written there meets a full disk.
        symlink("/dev/full", part).unwrap();
    };
    for machine in [&none, &full] {
        let file = machine.checkpoint("red", 1000);
        devices(machine, &file);
        let (class, blame, message) = machine.failure(machine.run("red", &[&file])).await;
        assert_eq!((class, blame), (FailureClass::Infrastructure, Blame::Machine));
        assert_eq!(
            message,
            "The render machine's disk has no room for the picture's models."
        );
    }
    // When there is room again it works.
    let file = full.checkpoint("red", 1000);
    full.bench.cloud.result(full.run("red", &[&file])).await;
}

#[tokio::test]
async fn the_longest_unused_make_room_but_not_what_is_needed() {
    let machine = Machine::new().await;
    let (first, second) = (machine.checkpoint("red", 1), machine.checkpoint("red", 2));
    machine.bench.cloud.result(machine.run("red", &[&first])).await;
    // As large as all that may be there.
    let left = stored("vae", "blue", b"left by another run");
    let path = machine.path(&left);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::File::create(&path).unwrap().set_len(1 << 30).unwrap();
    machine.bench.cloud.result(machine.run("red", &[&second])).await;
    assert!(
        !path.exists() && machine.path(&first).exists(),
        "ComfyUI has the first one loaded"
    );
    // Now there is no room but by what is loaded: ComfyUI lets go of it.
    let frees = || machine.bench.double.as_ref().unwrap().stats().frees;
    assert_eq!(frees(), 0);
    let grown = fs::File::options().write(true).open(machine.path(&first)).unwrap();
    grown.set_len(1 << 30).unwrap();
    grown.set_modified(SystemTime::UNIX_EPOCH).unwrap();
    let third = machine.checkpoint("red", 3);
    machine.bench.cloud.result(machine.run("red", &[&third])).await;
    assert!(!machine.path(&first).exists() && machine.path(&second).exists());
    assert_eq!(frees(), 1);
    machine.tells(&[&third, &second]).await;
}

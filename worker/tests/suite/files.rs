//! Files of the studio's store, on a machine of ours whose ComfyUI sees what the worker shows it.

use std::{
    fs,
    io::Write,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, SystemTime},
};

use comfyui_double::{Double, Faults, NodeFault};
use model::{
    Blame, FailureClass, RunId, TeamId,
    worker_api::{Assignment, Damaged, FileOffer, ModelFile, RunFailure, Source},
};
use serde_json::json;
use workflow::{Inventory, Plan};

use crate::{
    bench::{Bench, Setup, logged},
    cloud::{BROKEN, EXPIRED, SLOW, SLOWLY, STALLED, Seen},
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
        Self::loading(Duration::ZERO).await
    }

    /// The same, with a ComfyUI that takes so long to load a model.
    async fn loading(delay: Duration) -> Self {
        let owned = Owned::new();
        let view = owned.at("models/view");
        let double = Double::builder().models_in(view).step_delay(Duration::from_millis(20));
        let double = double.load_delay(delay).start().await.unwrap();
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
        let mut run = self.bench.assignment(&plan(files, 1), None);
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

    fn offer(&self, file: &ModelFile, prefix: &str) -> FileOffer {
        FileOffer {
            file: file.clone(),
            url: self.bench.cloud.bucket(&format!("{prefix}{}", file.key)),
        }
    }

    /// Heartbeats offer these from now on.
    fn offers(&self, files: &[FileOffer]) {
        self.bench
            .cloud
            .behave(|behaviour| behaviour.reply.files = files.to_vec());
    }

    async fn failure(&self, run: RunId) -> (FailureClass, Blame, String) {
        let RunFailure {
            class, blame, message, ..
        } = self.bench.cloud.failure(run).await;
        (class.unwrap(), blame, message)
    }

    /// What heartbeats have told of damaged files, once it is so many.
    async fn damaged(&self, least: usize) -> Vec<Damaged> {
        let told = || {
            let seen = self.bench.cloud.seen().into_iter();
            let beats = seen.filter_map(|seen| match seen {
                Seen::Beat(beat) => Some(beat.damaged),
                _ => None,
            });
            beats.flatten().collect::<Vec<_>>()
        };
        until(|| told().len() >= least).await;
        told()
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

fn plan(files: &[&ModelFile], steps: u32) -> Plan {
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
        "sampling": {"sampler": "euler", "scheduler": "normal", "cfg_scale": 7.0, "total_steps": steps, "seed": 1},
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

/// What fetching takes is not taken from the rendering, but has a limit of its own.
#[tokio::test]
async fn a_slow_line_costs_no_rendering_time_but_not_for_ever() {
    let machine = Machine::new().await;
    let file = machine.checkpoint("red", 1000);
    let mut run = machine.assignment("red", &[&file]);
    run.urls.models = vec![machine.bench.cloud.bucket(&format!("{SLOW}{}", file.key))];
    (run.limit_ms, run.fetch_limit_ms) = (SLOWLY.as_millis() as u64 - 500, 60_000);
    let result = machine.bench.cloud.result(machine.enqueue(run)).await;
    assert!(result.times.fetch >= SLOWLY.as_millis() as u64);
    let [fetched, loaded] = result.reads.as_slice() else {
        panic!("{:?}", result.reads)
    };
    assert_eq!((fetched.from, fetched.bytes), (Source::Bucket, file.size));
    assert!(fetched.ms >= SLOWLY.as_millis() as u64);
    assert_eq!((loaded.from, loaded.bytes), (Source::Disk, file.size));
    // ComfyUI has it by now: nothing is read.
    let again = machine.bench.cloud.result(machine.run("red", &[&file])).await;
    assert_eq!(again.reads, []);

    let other = machine.checkpoint("red", 900);
    let mut run = machine.assignment("red", &[&other]);
    run.urls.models = vec![machine.bench.cloud.bucket(&format!("{STALLED}{}", other.key))];
    (run.limit_ms, run.fetch_limit_ms) = (60_000, 700);
    let (class, blame, words) = machine.failure(machine.enqueue(run)).await;
    assert_eq!(
        (class, blame),
        (FailureClass::Infrastructure, Blame::Machine),
        "{words}"
    );
    assert!(words.contains("too slowly"), "{words}");
}

#[tokio::test]
async fn a_large_file_comes_in_pieces_beside_each_other() {
    const PIECE: u64 = 16 << 20;
    let machine = Machine::new().await;
    let size = (2 * PIECE + 5) as usize;
    let header = json!({"x": {"dtype": "U8", "shape": [size], "data_offsets": [0, size]}}).to_string();
    let mut bytes = [&(header.len() as u64).to_le_bytes(), header.as_bytes()].concat();
    bytes.resize(bytes.len() + size, 7);
    let file = machine.bring("checkpoints", "red", &bytes);
    // One of the pieces is refused once: what came before it stays.
    machine.bench.cloud.behave(|behaviour| behaviour.bucket_troubled = 1);
    machine.bench.cloud.result(machine.run("red", &[&file])).await;
    assert!(fs::read(machine.path(&file)).unwrap() == bytes);
    let mut gets: Vec<_> = machine.gets(&file).into_iter().map(Option::unwrap).collect();
    gets.sort_unstable();
    gets.dedup();
    assert_eq!(gets, [0, PIECE, 2 * PIECE]);
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
    let told = machine.damaged(3).await;
    assert!(
        told.iter().all(|it| it.from == Source::Bucket && it.file == file.file),
        "{told:?}"
    );
    // What another fetch has left is not to blame for it.
    machine.bench.cloud.store(&file.key, whole.clone());
    fs::write(machine.path(&file).with_extension("part"), [7; 50]).unwrap();
    machine.bench.cloud.result(machine.run("red", &[&file])).await;
    assert_eq!(fs::read(machine.path(&file)).unwrap(), whole);
}

#[tokio::test]
async fn a_file_that_is_damaged_on_the_disk_is_told_and_fetched_anew() {
    let machine = Machine::new().await;
    let (file, good) = (machine.checkpoint("red", 100), machine.checkpoint("red", 101));
    let mut wrong = checkpoint(100);
    *wrong.last_mut().unwrap() ^= 1;
    let path = machine.path(&file);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, &wrong).unwrap();
    let unreadable = Faults {
        damaged_model: Some(NodeFault::once("CheckpointLoaderSimple")),
        ..Faults::default()
    };
    machine.bench.double.as_ref().unwrap().set_faults(unreadable.clone());
    let (class, blame, message) = machine.failure(machine.run("red", &[&file])).await;
    assert_eq!((class, blame), (FailureClass::Infrastructure, Blame::Machine));
    assert_eq!(
        message,
        "A model on the render machine was damaged; it is fetched anew."
    );
    let told = [Damaged {
        file: file.file.clone(),
        from: Source::Disk,
    }];
    machine.bench.cloud.result(machine.run("red", &[&file])).await;
    assert_eq!(machine.gets(&file), [None]);
    assert_eq!(fs::read(&path).unwrap(), checkpoint(100));
    assert_eq!(machine.damaged(1).await, told, "it is told once");
    // What is as its hash says was brought so: nobody fetches it anew, and its painter is told.
    machine.bench.double.as_ref().unwrap().set_faults(unreadable);
    let (class, _, message) = machine.failure(machine.run("red", &[&good])).await;
    assert_eq!(class, FailureClass::User);
    assert!(message.contains("is damaged"), "{message}");
    assert_eq!(fs::read(machine.path(&good)).unwrap(), checkpoint(101));
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
        with_folder("../../comfyui/input"),
        with_folder("custom_nodes"),
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

/// One that shares a folder.
async fn sharing(folder: &Path) -> Machine {
    let machine = Machine::off().await;
    let setup = Setup {
        shared_models: Some(folder.to_owned()),
        ..machine.owned.setup()
    };
    machine.on(setup).await
}

/// Where a file lies in the shared folder.
fn place(folder: &Path, team: &str, file: &ModelFile) -> PathBuf {
    let name = format!("{}.safetensors", file.sha256);
    folder.join(team).join(&file.folder).join(name)
}

async fn until(is_so: impl Fn() -> bool) {
    let waiting = async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(45), waiting).await.unwrap();
}

#[tokio::test]
async fn what_one_machine_has_fetched_the_next_one_copies() {
    let folder = tempfile::tempdir().unwrap();
    let (one, two) = (sharing(folder.path()).await, sharing(folder.path()).await);
    let [own, shared] = ["red", "shared"].map(|team| one.checkpoint(team, 500));
    for file in [&own, &shared] {
        one.bench.cloud.result(one.run("red", &[file])).await;
        assert_eq!(one.gets(file), [None]);
    }
    let places = [
        place(folder.path(), "red", &own),
        place(folder.path(), "shared", &shared),
    ];
    until(|| places.iter().all(|path| path.exists())).await;
    // The same bytes twice.
    let told = [own.sha256[..8].to_owned()];
    one.bench
        .cloud
        .beat("both are shared", |beat| beat.on_shared == told)
        .await;
    for (file, path) in [&own, &shared].into_iter().zip(&places) {
        assert_eq!(fs::read(path).unwrap(), checkpoint(500));
        let result = two.bench.cloud.result(two.run("red", &[file])).await;
        assert_eq!(result.reads[0].from, Source::Shared);
        assert_eq!(fs::read(two.path(file)).unwrap(), checkpoint(500));
        assert_eq!(two.gets(file), [], "the bucket is not asked");
    }
    // What is damaged there is fetched from the bucket, and mended there.
    let three = sharing(folder.path()).await;
    three.bench.cloud.store(&own.key, checkpoint(500));
    let mut wrong = checkpoint(500);
    wrong[400] ^= 1;
    fs::write(&places[0], &wrong).unwrap();
    three.bench.cloud.result(three.run("red", &[&own])).await;
    assert_eq!(three.gets(&own), [None]);
    let told = Damaged {
        file: own.file.clone(),
        from: Source::Shared,
    };
    assert_eq!(three.damaged(1).await, [told]);
    until(|| fs::read(&places[0]).is_ok_and(|there| there == checkpoint(500))).await;
}

#[tokio::test]
async fn a_shared_folder_that_goes_in_the_middle_of_a_copy_is_passed_over() {
    let folder = tempfile::tempdir().unwrap();
    let machine = sharing(folder.path()).await;
    let (file, next) = (machine.checkpoint("red", 500), machine.checkpoint("red", 501));
    let half = checkpoint(500).len() / 2;
    // Who reads it waits for as long as nobody closes it, as on a network that is gone.
    let path = place(folder.path(), "red", &file);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
    let writing = std::thread::spawn(move || {
        let mut pipe = fs::File::options().write(true).open(path).unwrap();
        pipe.write_all(&checkpoint(500)[..half]).unwrap();
        pipe
    });
    for file in [&file, &next] {
        machine.bench.cloud.result(machine.run("red", &[file])).await;
    }
    assert_eq!(machine.gets(&file), [Some(half as u64)], "the bucket has the rest");
    assert_eq!(machine.gets(&next), [None]);
    assert_eq!(fs::read(machine.path(&file)).unwrap(), checkpoint(500));
    assert!(logged().contains("the shared folder of models is passed over"));
    assert!(!place(folder.path(), "red", &next).exists());
    drop(writing.join().unwrap());
}

#[tokio::test]
async fn a_shared_folder_that_is_not_there_or_takes_nothing_fails_no_picture() {
    let folder = tempfile::tempdir().unwrap();
    let (missing, full) = (folder.path().join("not mounted"), folder.path().join("full"));
    fs::create_dir(&full).unwrap();
    fs::write(full.join("red"), "where a folder should be").unwrap();
    for shared in [&missing, &full] {
        let machine = sharing(shared).await;
        for side in [1, 2] {
            let file = machine.checkpoint("red", side);
            machine.bench.cloud.result(machine.run("red", &[&file])).await;
            assert_eq!(machine.gets(&file), [None]);
        }
    }
    assert!(!missing.exists());
}

#[tokio::test]
async fn the_next_tasks_files_come_while_the_gpu_is_busy() {
    let machine = Machine::new().await;
    let (now, next) = (machine.checkpoint("red", 1), machine.checkpoint("blue", 2));
    let mut run = machine.assignment("red", &[&now]);
    run.plan = serde_json::to_value(plan(&[&now], 1000)).unwrap();
    let id = machine.enqueue(run);
    until(|| machine.bench.double.as_ref().unwrap().stats().steps > 0).await;
    machine.offers(&[machine.offer(&next, "")]);
    machine.tells(&[&next, &now]).await;
    machine
        .bench
        .cloud
        .behave(|behaviour| behaviour.about.entry(id).or_default().cancel = true);
    assert_eq!(
        machine.bench.cloud.failure(id).await.class,
        None,
        "it was still at work"
    );
    machine.bench.cloud.result(machine.run("blue", &[&next])).await;
    assert_eq!(machine.gets(&next), [None]);
}

#[tokio::test]
async fn what_nobody_needs_any_more_is_let_go_and_a_run_goes_before_and_goes_on() {
    let machine = Machine::new().await;
    let [first, second, third] = [1000, 2, 3].map(|side| machine.checkpoint("red", side));
    let half = |file: &ModelFile| {
        let part = machine.path(file).with_extension("part");
        fs::metadata(part).is_ok_and(|part| part.len() >= file.size / 2)
    };
    let stalled = machine.offer(&first, STALLED);
    let gone = machine.offer(&stored("vae", "red", b"gone"), "");
    let elsewhere = ModelFile {
        folder: "../../comfyui/input".into(),
        ..second.clone()
    };
    let elsewhere = machine.offer(&elsewhere, "");
    machine.offers(&[elsewhere, gone.clone(), stalled.clone(), machine.offer(&second, "")]);
    until(|| half(&first)).await;
    assert_eq!(machine.gets(&second), []);
    // Its task is gone: the next one's turn.
    machine.offers(&[gone, machine.offer(&second, "")]);
    machine.tells(&[&second]).await;
    // It comes again, and hangs again, when a run needs another file, and then this one.
    machine.offers(&[stalled]);
    until(|| machine.gets(&first).len() == 2).await;
    machine.bench.cloud.result(machine.run("red", &[&third])).await;
    machine.bench.cloud.result(machine.run("red", &[&first])).await;
    let gets = machine.gets(&first);
    assert!(
        gets.last().unwrap().is_some(),
        "what has come is not fetched again: {gets:?}"
    );
    assert_eq!(fs::read(machine.path(&first)).unwrap(), checkpoint(1000));
}

#[tokio::test]
async fn what_the_warm_up_needs_comes_before_it_and_what_is_usual_after_it() {
    let delay = Duration::from_millis(700);
    let machine = Machine::loading(delay).await;
    let (needed, usual) = (machine.checkpoint("red", 1), machine.checkpoint("shared", 2));
    let mut setup = machine.owned.setup();
    setup.behaviour.files = [&needed, &usual].map(|file| machine.offer(file, "")).to_vec();
    setup.behaviour.warm_up = Some(serde_json::to_value(plan(&[&needed], 1)).unwrap());
    let machine = machine.on(setup).await;
    assert_eq!(machine.bench.double.as_ref().unwrap().stats().succeeded, 1);
    machine.tells(&[&usual, &needed]).await;
    let seen = machine.bench.cloud.seen();
    let at = |fits: &dyn Fn(&Seen) -> bool| seen.iter().position(fits).unwrap();
    let get = |file: &ModelFile| at(&|seen| matches!(seen, Seen::Get { key, .. } if *key == file.key));
    let ready = at(&|seen| matches!(seen, Seen::Beat(beat) if beat.ready));
    assert!(get(&needed) < ready && at(&|seen| matches!(seen, Seen::Get { .. })) == get(&needed));
    // What it has loaded is there for the first picture; another one is not.
    let warm = machine.bench.cloud.result(machine.run("red", &[&needed])).await;
    let cold = machine.bench.cloud.result(machine.run("blue", &[&usual])).await;
    let delay = delay.as_millis() as u64;
    assert!(
        warm.times.execute < cold.times.execute && delay <= cold.times.execute,
        "{warm:?} {cold:?}"
    );
    assert_eq!((machine.gets(&needed).len(), machine.gets(&usual).len()), (1, 1));
}

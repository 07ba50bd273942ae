//! The studio's own models: from a file to a picture on a machine that never had it.

use std::{
    fs,
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use base64::{Engine, prelude::BASE64_STANDARD};
use clap::Parser;
use install::models::{self, Show, Site};
use local::{painter::Painter, pump::models_of};
use model::{CatalogEntry, Settings};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use system_tests::safetensors::checkpoint;

use crate::studio::{LOOK, Studio, small};

#[derive(Debug, Parser)]
struct Ops {
    #[command(subcommand)]
    command: models::Command,
}

struct Silent;

impl Show for Silent {
    fn bar(&self, _: &str, _: u64) -> Box<dyn Fn(u64) + Send + Sync> {
        Box::new(|_| ())
    }
    fn say(&self, _: &str) {}
}

/// `ops model …`.
async fn ops(studio: &Studio, arguments: &[&str]) -> Result<String> {
    let site = Site {
        store: studio.stack.store().clone(),
        models: studio.stack.models().clone(),
        masters: studio.stack.masters().clone(),
        settings: Settings::default(),
    };
    let line = ["model"].into_iter().chain(arguments.iter().copied());
    models::run(&site, Ops::try_parse_from(line)?.command, &Silent).await
}

/// A checkpoint: one that the stand-in takes for one, or a tiny one that the real ComfyUI can load and does not see.
fn bytes(studio: &Studio) -> Result<Vec<u8>> {
    if !studio.real {
        return Ok(checkpoint(1));
    }
    let models = crate::real_models().context("COMFYUI_MODELS is not set")?;
    let file = PathBuf::from(models).join("../brought/checkpoints/tiny.safetensors");
    fs::read(&file).with_context(|| format!("{}: .ci/run makes it", file.display()))
}

async fn ok(painter: &Painter, method: &str, path: &str, body: Option<&Value>) -> Result<Value> {
    let answer = painter.call(method, path, body.map(Value::to_string)).await?;
    ensure!(answer.status == 200, "{method} {path}: {answer:?}");
    Ok(answer.body)
}

/// Brings a file through the API, as a client without AWS's keys does.
async fn bring(painter: &Painter, name: &str, bytes: &[u8]) -> Result<()> {
    let sha256 = format!("{:x}", Sha256::digest(bytes));
    let wish = json!({ "name": name, "sha256": sha256, "size": bytes.len() });
    let upload = ok(painter, "POST", "models/uploads", Some(&wish)).await?;
    let upload = &upload["upload"];
    let (id, size) = (
        upload["id"].as_str().context("no id")?,
        upload["part_size"].as_u64().context("no size")? as usize,
    );
    for (number, part) in (1..).zip(bytes.chunks(size)) {
        let hash = BASE64_STANDARD.encode(Sha256::digest(part));
        let wanted = json!({ "parts": [{ "number": number, "sha256": hash }] });
        let places = ok(painter, "POST", &format!("models/uploads/{id}/parts"), Some(&wanted)).await?;
        let url = places["parts"][0]["url"].as_str().context("no url")?;
        // The bucket itself takes that part and no other.
        let mut other = part[..part.len().min(1 << 20)].to_vec();
        *other.last_mut().context("empty")? ^= 1;
        for (bytes, good) in [(other, false), (part.to_vec(), true)] {
            let put = reqwest::Client::new().put(url).header("x-amz-checksum-sha256", &hash);
            let status = put.body(bytes).send().await?.status();
            ensure!(status.is_success() == good, "the bucket answers {status}");
        }
    }
    ok(painter, "POST", &format!("models/uploads/{id}/complete"), None).await?;
    let end = Instant::now() + Duration::from_mins(1);
    loop {
        let now = ok(painter, "GET", &format!("models/uploads/{id}"), None).await?;
        match now["state"].as_str() {
            Some("registered") => return Ok(()),
            Some("checking") if Instant::now() < end => tokio::time::sleep(LOOK).await,
            _ => bail!("{now}"),
        }
    }
}

fn with(studio: &Studio, checkpoint: &str) -> Result<Value> {
    let mut request = if studio.real {
        studio.captured(local::painter::WIRE_01)?
    } else {
        small(2, 7)?
    };
    request["input"]["workflow"]["models"]["checkpoint"] = checkpoint.into();
    Ok(request)
}

/// Through the API: it is registered when it has been looked at, and renders on a machine that never had it.
pub(crate) async fn brought_and_painted_with(studio: Studio) -> Result<()> {
    let bytes = bytes(&studio)?;
    bring(&studio.painter, "brought.safetensors", &bytes).await?;
    let task = studio.painter.submit(&with(&studio, "brought.safetensors")?).await?;
    studio.finish(task).await?;
    if studio.real {
        return Ok(());
    }
    let machine = studio.until_machines(|machines| machines.len() == 1).await?.remove(0);
    let models = models_of(&studio.stack.folder, &machine.worker_id);
    let file = models.join(format!(
        "checkpoints/atelier/team-of-{}/{:x}.safetensors",
        studio.pool,
        Sha256::digest(&bytes)
    ));
    ensure!(fs::read(&file)? == bytes, "the machine has another file");
    let log = fs::read_to_string(studio.stack.folder.join(format!("{}.log", machine.worker_id)))?;
    ensure!(!log.contains("X-Amz-"), "an address is in the log");
    // Its GPU has the model by now.
    let mut again = with(&studio, "brought.safetensors")?;
    again["input"]["workflow"]["sampling"]["seed"] = 8.into();
    studio.finish(studio.painter.submit(&again).await?).await?;
    // A pickle is refused with what to do, and nothing is left of it.
    let refused = bring(&studio.painter, "old.ckpt", b"PK\x03\x04 no model").await;
    let words = format!("{:#}", refused.err().context("a pickle was taken")?);
    ensure!(words.contains("Convert it"), "{words}");
    let all = ok(&studio.painter, "GET", "models?kind=checkpoint&limit=200", None).await?;
    let own = all["models"].as_array().context("no list")?.iter();
    let own: Vec<_> = own
        .filter(|it| it["access"] == "private")
        .map(|it| &it["name"])
        .collect();
    ensure!(own == ["brought.safetensors"], "{own:?}");
    Ok(())
}

/// By an operator, from a folder and from an address: one team's, then everybody's; versions; deletion. Two teams paint on two
/// machines, and neither sees the other's.
pub(crate) async fn looked_after_by_an_operator(studio: Studio) -> Result<()> {
    let rival = studio.stack.seed("rival-of-models", "rivals-of-models").await?.painter;
    let team = format!("team-of-{}", studio.pool);
    let folder = tempfile::tempdir()?;
    fs::write(folder.path().join("dream.safetensors"), checkpoint(11))?;
    fs::write(folder.path().join("old.ckpt"), b"PK\x03\x04")?;
    let here = folder.path().to_str().context("no name")?;
    let said = ops(&studio, &["add", here, "--team", &team]).await?;
    ensure!(said.contains("next picture"), "{said}");
    let again = ops(&studio, &["add", here, "--team", &team]).await?;
    ensure!(again == said, "{again}");

    let paints = async |painter: &Painter| -> Result<u8> {
        let task = painter.submit(&with(&studio, "dream.safetensors")?).await?;
        loop {
            let status = painter.status(task).await?;
            match status["status"].as_str() {
                Some("IN_QUEUE" | "IN_PROGRESS") => tokio::time::sleep(LOOK).await,
                Some("COMPLETED") => break,
                _ => bail!("no picture: {status}"),
            }
        }
        let model = studio.task(task).await?.model.context("no model")?;
        let is = |seed: &u8| model.contains(&format!("{:x}", Sha256::digest(checkpoint(*seed))));
        (1..20).find(is).with_context(|| format!("painted with {model}"))
    };
    ensure!(paints(&studio.painter).await? == 11);
    let refused = |answer: &local::painter::Answer| answer.body["error"].as_str().unwrap_or_default().to_owned();
    let request = with(&studio, "dream.safetensors")?.to_string();
    let theirs = rival.call("POST", "generate", Some(request.clone())).await?;
    let nobodys = rival
        .call("POST", "generate", Some(request.replace("dream.", "none.")))
        .await?;
    ensure!(
        theirs.status == 400 && refused(&theirs).replace("dream.", "none.") == refused(&nobodys),
        "{theirs:?}"
    );

    // Another version, from an address that breaks off at first; then back to the old one, and shared.
    let server = Server::start(checkpoint(12)).await?;
    let downloads = folder.path().join("downloads");
    let downloads = downloads.to_str().context("no name")?;
    let url = format!("{}/dream.safetensors?token=secret", server.url);
    ops(&studio, &["add", &url, "--team", &team, "--downloads", downloads]).await?;
    ensure!(server.ranges() > 0, "it was not gone on with");
    ensure!(fs::read_dir(downloads)?.count() == 0, "what was brought is still here");
    let list = ops(&studio, &["list", "--team", &team]).await?;
    ensure!(list.contains("checkpoint/dream.safetensors@2"), "{list}");
    // `generate` keeps a catalogue for a minute.
    let entry: Vec<CatalogEntry> = studio.stack.store().list(cloud::tables::CatalogOf(&team)).await?;
    ensure!(
        entry
            .iter()
            .all(|it| it.source.as_deref().is_none_or(|it| !it.contains("secret"))),
        "{entry:?}"
    );
    ops(&studio, &["pin", "dream.safetensors@1", "--team", &team]).await?;
    ops(&studio, &["share", "dream.safetensors", "--team", &team]).await?;
    ensure!(paints(&rival).await? == 11, "what is pinned is what everybody gets");
    ops(&studio, &["unshare", "dream.safetensors", "--team", &team]).await?;
    ops(&studio, &["delete", "dream.safetensors@1", "--team", &team]).await?;
    let gone = ops(&studio, &["pin", "dream.safetensors@1", "--team", &team]).await;
    ensure!(gone.is_err_and(|error| error.to_string().contains("ops model list")));
    ops(&studio, &["restore", "dream.safetensors@1", "--team", &team]).await?;
    Ok(())
}

/// Serves a file, and breaks off in the middle the first time.
struct Server {
    url: String,
    ranges: std::sync::Arc<std::sync::atomic::AtomicUsize>,
}

impl Server {
    async fn start(bytes: Vec<u8>) -> Result<Self> {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", listener.local_addr()?);
        let ranges = std::sync::Arc::<std::sync::atomic::AtomicUsize>::default();
        let seen = std::sync::Arc::clone(&ranges);
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut request = vec![0; 4096];
                let read = stream.read(&mut request).await.unwrap_or(0);
                let request = String::from_utf8_lossy(&request[..read]).to_lowercase();
                let from = request
                    .split("range: bytes=")
                    .nth(1)
                    .and_then(|it| it.split('-').next()?.parse::<usize>().ok());
                let (status, from, most) = match from {
                    Some(from) => {
                        seen.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                        ("206 Partial Content", from, bytes.len())
                    }
                    None => ("200 OK", 0, bytes.len() / 2),
                };
                let rest = bytes.get(from..).unwrap_or_default();
                let head = format!(
                    "HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
                    rest.len()
                );
                let _ = stream.write_all(head.as_bytes()).await;
                let _ = stream.write_all(&rest[..rest.len().min(most)]).await;
                let _ = stream.shutdown().await;
            }
        });
        Ok(Self { url, ranges })
    }

    fn ranges(&self) -> usize {
        self.ranges.load(std::sync::atomic::Ordering::Relaxed)
    }
}

//! Bringing models.

use std::{path::PathBuf, time::Duration};

use anyhow::{Context, Result, bail, ensure};
use catalog::models::{Begun, Wish, begin, complete, progress, urls};
use futures_util::{StreamExt, TryStreamExt, stream};
use model::{Account, CatalogEntry, ModelUpload, TeamId, UploadState};
use reqwest::{Client, StatusCode, Url};
use tokio::task::spawn_blocking;

use super::{
    For, Site,
    fetch::{fetch, headers},
    file::{Local, Sums, below, look, part, sums},
    named, operator,
};

/// `ops model add`.
#[derive(Debug, clap::Args)]
pub struct Add {
    /// Safetensors files, folders of them, or addresses (https://…).
    #[arg(required = true)]
    from: Vec<String>,
    /// The name that painters see, of a single file. A name that is there becomes another version of that model. Without it,
    /// the file's name.
    #[arg(long)]
    name: Option<String>,
    /// Who is to use them.
    #[arg(long, value_enum, default_value_t = For::Team)]
    access: For,
    /// The team, with `--access team`.
    #[arg(long, default_value = "studio")]
    team: TeamId,
    /// Architecture, where more is known than the file's tensors show: illu, say, of an SDXL model.
    #[arg(long)]
    arch: Option<String>,
    /// What the author allows. Without it, what the file says.
    #[arg(long)]
    licence: Option<String>,
    /// Where it is from. Without it, the address that it was fetched from.
    #[arg(long)]
    source: Option<String>,
    /// Sent when an address is fetched, as in 'Authorization: Bearer …'.
    #[arg(long = "header")]
    headers: Vec<String>,
    /// Where fetched files lie until they have been brought.
    #[arg(long, default_value = ".atelier/models")]
    downloads: PathBuf,
    /// How many parts are on their way at once.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u8).range(1..=16))]
    parallel: u8,
    /// Minutes to wait for the check of a file that is there.
    #[arg(long, default_value_t = 20)]
    wait: u64,
}

/// Draws how far long work is.
pub trait Show: Sync {
    /// Begins a bar over so many bytes (0: not known); what it gives moves it.
    fn bar(&self, what: &str, bytes: u64) -> Box<dyn Fn(u64) + Send + Sync>;
    /// A line that stays.
    fn say(&self, line: &str);
}

/// How often a part is tried.
const TRIES: u32 = 6;
/// Between two tries, and between two looks at a check.
const PAUSE: Duration = Duration::from_secs(2);
/// For a part of 64 MB on a slow line.
const PART: Duration = Duration::from_mins(10);

/// Brings them one after the other. One that fails does not keep the others.
pub(super) async fn run(site: &Site, add: &Add, show: &dyn Show) -> Result<String> {
    let http = Client::builder().connect_timeout(Duration::from_secs(20)).build()?;
    let (mut files, mut failed) = (Vec::new(), Vec::new());
    for from in &add.from {
        match gather(&http, from, add, show).await {
            Ok(found) => files.extend(found),
            Err(error) => failed.push(format!("{error:#}")),
        }
    }
    ensure!(
        add.name.is_none() || files.len() <= 1,
        "--name is for a single file, and there are {}",
        files.len()
    );
    let mut done = Vec::new();
    for Found {
        path,
        name,
        origin,
        fetched,
    } in files
    {
        let brought = bring(site, add, &http, &path, &name, origin, show).await;
        match brought.with_context(|| name.clone()) {
            Ok(line) => {
                show.say(&line);
                done.push(line);
                if fetched {
                    // What was brought is of no use here any more.
                    for path in [&path, &path.with_extension("etag")] {
                        let _ = std::fs::remove_file(path);
                    }
                }
            }
            Err(error) => failed.push(format!("{error:#}")),
        }
    }
    match (failed.as_slice(), done.len()) {
        ([], 0) => bail!("there are no safetensors files there"),
        ([], 1) => Ok("It is with the machines at the next picture that names it.".to_owned()),
        ([], n) => Ok(format!(
            "{n} models. They are with the machines at the next picture that names them."
        )),
        (failed, n) => bail!("{n} brought, {} not:\n{}", failed.len(), failed.join("\n")),
    }
}

/// A file to be brought.
struct Found {
    path: PathBuf,
    name: String,
    /// Where it is from.
    origin: Option<String>,
    fetched: bool,
}

async fn gather(http: &Client, from: &str, add: &Add, show: &dyn Show) -> Result<Vec<Found>> {
    if from.starts_with("https://") || from.starts_with("http://") {
        let url: Url = from.parse().with_context(|| format!("{from} is no address"))?;
        let (path, name) = fetch(http, &url, &headers(&add.headers)?, &add.downloads, show).await?;
        return Ok(vec![Found {
            path,
            name: add.name.clone().unwrap_or(name),
            origin: add.source.clone().or_else(|| Some(without_query(&url))),
            fetched: true,
        }]);
    }
    let (files, left) = below(from.as_ref())?;
    for line in left {
        show.say(&format!("left out: {line}"));
    }
    files
        .into_iter()
        .map(|path| {
            let name = path.file_name().and_then(|it| it.to_str()).map(str::to_owned);
            Ok(Found {
                name: add
                    .name
                    .clone()
                    .or(name)
                    .with_context(|| format!("{} has no name", path.display()))?,
                path,
                origin: add.source.clone(),
                fetched: false,
            })
        })
        .collect()
}

/// A query may hold a token, and so may what stands before the host.
pub(super) fn without_query(url: &Url) -> String {
    let mut url = url.clone();
    url.set_query(None);
    // Neither can fail of an address with a host.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.to_string()
}

async fn bring(
    site: &Site,
    add: &Add,
    http: &Client,
    path: &std::path::Path,
    name: &str,
    source: Option<String>,
    show: &dyn Show,
) -> Result<String> {
    let local = look(path)?;
    let bar = show.bar(&format!("reading {name} ({})", local.kind), local.size);
    let of = local.clone();
    let sums = spawn_blocking(move || sums(&of, bar)).await??;
    let account = operator(&add.team);
    let wish = Wish {
        name: name.to_owned(),
        sha256: sums.whole.clone(),
        size: local.size,
        access: add.access.into(),
        arch: add.arch.clone(),
        licence: add.licence.clone(),
        source,
    };
    let upload = match begin(&site.place(), &account, wish, cloud::now()).await? {
        Begun::There(entry) => return Ok(format!("{} is there already", named(&entry))),
        Begun::Upload(upload) => upload,
    };
    if upload.state == UploadState::Receiving {
        send(site, add, http, &account, &upload, &local, &sums, show).await?;
        complete(&site.place(), &account, &upload.id, cloud::now()).await?;
    }
    let entry = checked(site, add, &account, &upload, show).await?;
    Ok(format!("{entry} is registered"))
}

#[expect(clippy::too_many_arguments, reason = "what is sent, whence, whither and how")]
async fn send(
    site: &Site,
    add: &Add,
    http: &Client,
    account: &Account,
    upload: &ModelUpload,
    local: &Local,
    sums: &Sums,
    show: &dyn Show,
) -> Result<()> {
    let there = progress(&site.place(), &account.user_id, &upload.id).await?.parts;
    let is_there = |number: u32, sum: &str| there.iter().any(|it| it.number == number && it.sha256 == sum);
    let missing: Vec<_> = (1..)
        .zip(&sums.parts)
        .filter(|(number, sum)| !is_there(*number, sum))
        .collect();
    let size = catalog::models::part_size(upload.size);
    let bar = show.bar(&format!("sending {}", upload.name), upload.size);
    let sent = std::sync::atomic::AtomicU64::new(upload.size - (missing.len() as u64 * size).min(upload.size));
    let (bar, sent) = (&bar, &sent);
    stream::iter(missing)
        .map(|(number, sum)| async move {
            send_part(site, http, account, upload, local, (number, sum)).await?;
            let sent = sent.fetch_add(size, std::sync::atomic::Ordering::Relaxed) + size;
            bar(sent.min(upload.size));
            anyhow::Ok(())
        })
        .buffer_unordered(add.parallel.into())
        .try_collect::<()>()
        .await
        .context("run this again to go on; what has been sent is not sent again")
}

async fn send_part(
    site: &Site,
    http: &Client,
    account: &Account,
    upload: &ModelUpload,
    local: &Local,
    (number, sum): (u32, &String),
) -> Result<()> {
    let of = local.clone();
    let bytes = bytes::Bytes::from(spawn_blocking(move || part(&of, number)).await??);
    let mut tries = 0;
    loop {
        let place = urls(&site.place(), &account.user_id, &upload.id, &[(number, sum.clone())]).await?;
        let (_, url) = place.into_iter().next().context("no address for a part")?;
        let put = http.put(url).header("x-amz-checksum-sha256", sum).timeout(PART);
        let error = match put.body(bytes.clone()).send().await {
            Ok(reply) if reply.status().is_success() => return Ok(()),
            Ok(reply) if reply.status() == StatusCode::BAD_REQUEST => {
                bail!(
                    "part {number} was refused: did {} change while it was sent?",
                    local.path.display()
                )
            }
            Ok(reply) => anyhow::anyhow!("the bucket answers {}", reply.status()),
            Err(error) => error.without_url().into(),
        };
        tries += 1;
        if tries >= TRIES {
            return Err(error).with_context(|| format!("part {number} was not taken"));
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Waits until the file was looked at.
async fn checked(site: &Site, add: &Add, account: &Account, upload: &ModelUpload, show: &dyn Show) -> Result<String> {
    let bar = show.bar(&format!("{} is being checked", upload.name), 0);
    let end = tokio::time::Instant::now() + Duration::from_secs(add.wait * 60);
    loop {
        bar(0);
        let now = progress(&site.place(), &account.user_id, &upload.id).await?.upload;
        match now.state {
            UploadState::Registered { kind, number } => {
                let entry = CatalogEntry {
                    number,
                    ..CatalogEntry::on_images(now.owner_team, &kind, &now.name, "")
                };
                return Ok(named(&entry));
            }
            UploadState::Refused { why } => bail!("{why}"),
            UploadState::Receiving | UploadState::Checking => {}
        }
        ensure!(
            tokio::time::Instant::now() < end,
            "it is all there, but nobody has checked it yet. Run this again later; if it stays so, look at the log of the function `catalog`."
        );
        tokio::time::sleep(PAUSE).await;
    }
}

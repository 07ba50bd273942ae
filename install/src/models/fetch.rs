//! A model from an address: fetched here, never by a function, into a file that goes on where it broke off.

use std::{
    io::Write,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use reqwest::{
    Client, StatusCode, Url,
    header::{CONTENT_DISPOSITION, CONTENT_RANGE, CONTENT_TYPE, ETAG, HeaderMap, IF_RANGE, RANGE},
};
use tokio::time::timeout;

use super::add::{Show, without_query};

/// Between two pieces of a file.
const SILENCE: Duration = Duration::from_mins(1);
/// How often it is gone on with.
const TRIES: u32 = 8;
/// Between two tries.
const PAUSE: Duration = Duration::from_secs(3);

/// The name of the file that an address names, by its answer or its path.
fn name_of(url: &Url, headers: &HeaderMap) -> Result<String> {
    let said = headers.get(CONTENT_DISPOSITION).and_then(|it| it.to_str().ok());
    let said = said.and_then(|it| it.split(';').find_map(|part| part.trim().strip_prefix("filename=")));
    let said = said.map(|it| it.trim_matches('"').to_owned());
    let path = url
        .path_segments()
        .and_then(|mut it| it.next_back())
        .unwrap_or_default();
    let name = said.unwrap_or_else(|| path.to_owned());
    let plain = |c: char| !c.is_control() && !matches!(c, '/' | '\\' | '#');
    ensure!(
        !name.is_empty() && name.chars().all(plain) && !name.starts_with('.'),
        "{} names no file; say how the model is to be called with --name",
        without_query(url)
    );
    Ok(name)
}

/// Fetches it below this folder, and gives the file and its name. `headers`: what is to be sent, as for a gated model.
pub(super) async fn fetch(
    http: &Client,
    url: &Url,
    headers: &HeaderMap,
    folder: &Path,
    show: &dyn Show,
) -> Result<(PathBuf, String)> {
    std::fs::create_dir_all(folder).with_context(|| format!("{} cannot be made", folder.display()))?;
    let part = folder.join(format!("{}.part", accounts::fingerprint(url.as_str())));
    let mut tries = 0;
    loop {
        match go_on(http, url, headers, &part, show).await {
            Ok(name) => return Ok((part, name)),
            Err(Broken::For(error)) => return Err(error),
            Err(Broken::Now(error)) => {
                tries += 1;
                if tries >= TRIES {
                    return Err(error)
                        .with_context(|| format!("{} cannot be fetched; run this again to go on", without_query(url)));
                }
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

/// Why it broke off.
enum Broken {
    /// The line: trying again may help.
    Now(anyhow::Error),
    /// It does not.
    For(anyhow::Error),
}

async fn go_on(http: &Client, url: &Url, headers: &HeaderMap, part: &Path, show: &dyn Show) -> Result<String, Broken> {
    let passing = |error: reqwest::Error| Broken::Now(error.without_url().into());
    let here = |error: std::io::Error| Broken::For(anyhow::Error::from(error).context(part.display().to_string()));
    let there = std::fs::metadata(part).map_or(0, |it| it.len());
    let tag = part.with_extension("etag");
    let mut get = http.get(url.clone()).headers(headers.clone());
    if there > 0 {
        get = get.header(RANGE, format!("bytes={there}-"));
        // Another file by now begins anew.
        if let Ok(tag) = std::fs::read_to_string(&tag) {
            get = get.header(IF_RANGE, tag);
        }
    }
    let mut reply = timeout(SILENCE, get.send())
        .await
        .map_err(|_| Broken::Now(anyhow::anyhow!("no answer")))?
        .map_err(passing)?;
    let status = reply.status();
    if status == StatusCode::RANGE_NOT_SATISFIABLE {
        let all = reply.headers().get(CONTENT_RANGE).and_then(|it| it.to_str().ok());
        if all.and_then(|it| it.rsplit('/').next()?.parse().ok()) == Some(there) {
            return name_of(url, reply.headers()).map_err(Broken::For);
        }
        std::fs::remove_file(part).map_err(here)?;
        return Err(Broken::Now(anyhow::anyhow!("what is there is not this file")));
    }
    if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS {
        return Err(Broken::Now(anyhow::anyhow!("{} answers {status}", without_query(url))));
    }
    if !status.is_success() {
        let hint = match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                " Does it want you to sign in? Say who you are with --header 'Authorization: Bearer …'."
            }
            _ => "",
        };
        return Err(Broken::For(anyhow::anyhow!(
            "{} answers {status}.{hint}",
            without_query(url)
        )));
    }
    let is_page = reply.headers().get(CONTENT_TYPE).and_then(|it| it.to_str().ok());
    if is_page.is_some_and(|it| it.starts_with("text/html")) {
        return Err(Broken::For(anyhow::anyhow!(
            "{} is a page, not a file. Use the address of the download itself.",
            without_query(url)
        )));
    }
    let name = name_of(url, reply.headers()).map_err(Broken::For)?;
    let goes_on = status == StatusCode::PARTIAL_CONTENT;
    match reply.headers().get(ETAG).and_then(|it| it.to_str().ok()) {
        // A weak tag is good for nothing here.
        Some(now) if !now.starts_with("W/") => std::fs::write(&tag, now).map_err(here)?,
        _ => drop(std::fs::remove_file(&tag)),
    }
    let mut file = std::fs::OpenOptions::new()
        .create(true)
        .write(true)
        .append(goes_on)
        .truncate(!goes_on)
        .open(part)
        .map_err(here)?;
    let mut done = if goes_on { there } else { 0 };
    let all = reply.content_length().map(|it| it + done);
    let bar = show.bar(&format!("fetching {name}"), all.unwrap_or(0));
    loop {
        let bytes = timeout(SILENCE, reply.chunk())
            .await
            .map_err(|_| Broken::Now(anyhow::anyhow!("the line is silent")))?
            .map_err(passing)?;
        let Some(bytes) = bytes else { break };
        file.write_all(&bytes).map_err(here)?;
        done += bytes.len() as u64;
        bar(done);
    }
    if all.is_some_and(|all| done < all) {
        return Err(Broken::Now(anyhow::anyhow!("the line broke off")));
    }
    Ok(name)
}

/// What is to be sent with a request, from `Name: value`.
pub(super) fn headers(said: &[String]) -> Result<HeaderMap> {
    let mut headers = HeaderMap::new();
    for line in said {
        let Some((name, value)) = line.split_once(':') else {
            bail!("a header is `Name: value`");
        };
        let name: reqwest::header::HeaderName = name.trim().parse().context("a header is `Name: value`")?;
        let mut value: reqwest::header::HeaderValue =
            value.trim().parse().context("a header's value has odd characters")?;
        value.set_sensitive(true);
        headers.insert(name, value);
    }
    Ok(headers)
}

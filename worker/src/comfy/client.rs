//! ComfyUI's HTTP API, as far as a worker needs it.

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use bytes::Bytes;
use model::RunId;
use reqwest::{
    Response, StatusCode,
    multipart::{Form, Part},
};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use tokio::sync::Mutex;
use workflow::OptionalNode;

use super::{
    error::ComfyError,
    refusal,
    replies::{History, OutputFile, Queue},
};
use crate::fetch;

/// One ComfyUI.
#[derive(Debug)]
pub(crate) struct Comfy {
    http: reqwest::Client,
    base: String,
    /// Whether this server can cancel jobs in one call; unknown until asked. It may be another server after a restart.
    jobs: Mutex<Option<bool>>,
    /// Input pictures that it was given, by their path, with the names that it gave them.
    inputs: Mutex<HashMap<String, String>>,
}

/// Answers come from memory, but ComfyUI's interpreter can be held by a node for a while.
const CALL: Duration = Duration::from_secs(15);
/// Posting validates the whole graph.
const POST: Duration = Duration::from_mins(1);
/// Input pictures that are remembered.
const MAX_INPUTS: usize = 4096;
/// Of one node class; a description holds the names of the files that the node may be given.
const MAX_DESCRIPTION: u64 = 4 << 20;
/// Of any other answer: a queue and a history hold whole graphs.
const MAX_ANSWER: u64 = 32 << 20;
/// For moving pictures on one host.
const MOVE: Duration = Duration::from_mins(1);

impl Comfy {
    pub(crate) fn new(http: reqwest::Client, base: &str) -> Self {
        Self {
            http,
            base: base.trim_end_matches('/').to_owned(),
            jobs: Mutex::new(None),
            inputs: Mutex::default(),
        }
    }

    pub(crate) fn base(&self) -> &str {
        &self.base
    }

    pub(crate) async fn queue(&self) -> Result<Queue, ComfyError> {
        read(self.get("/queue").await?).await
    }

    pub(crate) async fn history(&self, id: RunId) -> Result<Option<History>, ComfyError> {
        let mut entries: BTreeMap<String, History> = read(self.get(&format!("/history/{id}")).await?).await?;
        Ok(entries.remove(&id.to_string()))
    }

    /// Puts a graph into the queue. A graph of which ComfyUI would only run a part is taken back and counts as rejected.
    pub(crate) async fn prompt(&self, id: RunId, client: &str, graph: &Map<String, Value>) -> Result<(), ComfyError> {
        let body = json!({"prompt": graph, "client_id": client, "prompt_id": id});
        let reply = self
            .http
            .post(self.url("/prompt"))
            .timeout(POST)
            .json(&body)
            .send()
            .await?;
        match reply.status() {
            StatusCode::OK => {
                let reply: Value = read(reply).await?;
                if refusal::has_node_errors(&reply) {
                    self.halt_once(id).await?;
                    return Err(ComfyError::Rejected(refusal::failure(&reply)));
                }
                Ok(())
            }
            StatusCode::BAD_REQUEST => {
                // A picture may be what it misses, if somebody has emptied its folder.
                self.forget_inputs().await;
                let reply = read(reply).await.unwrap_or_default();
                Err(ComfyError::Rejected(refusal::failure(&reply)))
            }
            status => Err(ComfyError::Status {
                what: "a graph",
                status,
            }),
        }
    }

    /// Asks once for the end of a prompt, in every way this server knows. Neither a wrong id nor a second time does harm.
    pub(crate) async fn halt_once(&self, id: RunId) -> Result<(), ComfyError> {
        if self.has_jobs().await? {
            self.post(&format!("/api/jobs/{id}/cancel"), &json!({})).await?;
            return Ok(());
        }
        self.post("/queue", &json!({"delete": [id]})).await?;
        self.post("/interrupt", &json!({"prompt_id": id})).await
    }

    /// Asks once for the end of everything that waits and runs, whoever has asked for it.
    pub(crate) async fn halt_all_once(&self) -> Result<(), ComfyError> {
        self.post("/queue", &json!({"clear": true})).await?;
        self.post("/interrupt", &json!({})).await
    }

    async fn has_jobs(&self) -> Result<bool, ComfyError> {
        let mut jobs = self.jobs.lock().await;
        if let Some(known) = *jobs {
            return Ok(known);
        }
        let reply = self.http.get(self.url("/api/jobs")).timeout(CALL).send().await?;
        // Servers without it may answer any path with their web page.
        let is_json = |reply: &Response| {
            let kind = reply.headers().get(reqwest::header::CONTENT_TYPE);
            kind.and_then(|kind| kind.to_str().ok())
                .is_some_and(|kind| kind.starts_with("application/json"))
        };
        let known = reply.status().is_success() && is_json(&reply);
        *jobs = Some(known);
        Ok(known)
    }

    /// Forgets what was learned about this server: another one may come in its place.
    pub(crate) async fn forget_server(&self) {
        *self.jobs.lock().await = None;
        self.forget_inputs().await;
    }

    pub(crate) async fn forget(&self, id: RunId) -> Result<(), ComfyError> {
        self.post("/history", &json!({"delete": [id]})).await
    }

    /// Forgets every finished prompt, and lets go of models and cached results.
    pub(crate) async fn clear(&self) -> Result<(), ComfyError> {
        self.forget_inputs().await;
        self.post("/history", &json!({"clear": true})).await?;
        self.post("/free", &json!({"unload_models": true, "free_memory": true}))
            .await
    }

    /// Whether it has this node class, in the form that graphs use. Asked one by one: the list of all nodes is megabytes, and
    /// names every model file.
    pub(crate) async fn has_node(&self, node: &OptionalNode) -> Result<bool, ComfyError> {
        let url = self.url(&format!("/object_info/{}", node.class));
        let reply = self.http.get(url).timeout(CALL).send().await?;
        if !reply.status().is_success() {
            return Ok(false);
        }
        let text = fetch::read(reply, MAX_DESCRIPTION).await?;
        Ok(serde_json::from_slice(&text).is_ok_and(|described| node.fits(&described)))
    }

    /// Gives it an input picture, unless it has it; the reply is the name under which the graph finds it. The name goes by what
    /// is in the picture: whatever ComfyUI has made of it is still good in the next run.
    pub(crate) async fn input(&self, folder: &str, picture: Bytes) -> Result<String, ComfyError> {
        let name = format!("{:x}.png", Sha256::digest(&picture));
        let path = format!("{folder}/{name}");
        if let Some(known) = self.inputs.lock().await.get(&path) {
            return Ok(known.clone());
        }
        let uploaded = self.upload(folder, &name, picture).await?;
        let mut inputs = self.inputs.lock().await;
        if inputs.len() >= MAX_INPUTS {
            inputs.clear();
        }
        inputs.insert(path, uploaded.clone());
        Ok(uploaded)
    }

    async fn forget_inputs(&self) {
        self.inputs.lock().await.clear();
    }

    /// Uploads an input picture; the reply is the name under which the graph finds it.
    async fn upload(&self, folder: &str, name: &str, picture: Bytes) -> Result<String, ComfyError> {
        #[derive(Deserialize)]
        struct Uploaded {
            name: String,
            #[serde(default)]
            subfolder: String,
        }
        let part = Part::stream(picture).file_name(name.to_owned()).mime_str("image/png")?;
        let form = Form::new()
            .part("image", part)
            .text("subfolder", folder.to_owned())
            .text("type", "input")
            .text("overwrite", "true");
        let reply = self
            .http
            .post(self.url("/upload/image"))
            .timeout(MOVE)
            .multipart(form)
            .send()
            .await?;
        let Uploaded { name, subfolder } = read(good("an upload", reply)?).await?;
        Ok(if subfolder.is_empty() {
            name
        } else {
            format!("{subfolder}/{name}")
        })
    }

    /// Reads a file that ComfyUI has written.
    pub(crate) async fn view(&self, file: &OutputFile, limit: u64) -> Result<Bytes, ComfyError> {
        let query = [
            ("filename", &file.filename),
            ("subfolder", &file.subfolder),
            ("type", &file.folder),
        ];
        let reply = self
            .http
            .get(self.url("/view"))
            .query(&query)
            .timeout(MOVE)
            .send()
            .await?;
        Ok(fetch::read(good("a file", reply)?, limit).await?)
    }

    async fn get(&self, path: &str) -> Result<Response, ComfyError> {
        good("a question", self.http.get(self.url(path)).timeout(CALL).send().await?)
    }

    async fn post(&self, path: &str, body: &Value) -> Result<(), ComfyError> {
        good(
            "an order",
            self.http.post(self.url(path)).timeout(CALL).json(body).send().await?,
        )
        .map(drop)
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }
}

/// An answer's JSON.
async fn read<T: DeserializeOwned>(reply: Response) -> Result<T, ComfyError> {
    let bytes = fetch::read(reply, MAX_ANSWER).await?;
    from_json(&bytes).map_err(|error| ComfyError::Garbled(error.classify()))
}

pub(super) fn from_json<T: DeserializeOwned>(bytes: &[u8]) -> serde_json::Result<T> {
    serde_json::from_slice(bytes).or_else(|_| serde_json::from_slice(&numbers_only(bytes)))
}

/// The same with `null` for what Python writes and JSON does not have: NaN and the infinities, outside of texts.
fn numbers_only(json: &[u8]) -> Vec<u8> {
    let mut clean = Vec::with_capacity(json.len());
    let (mut rest, mut in_text) = (json, false);
    while let Some((&byte, after)) = rest.split_first() {
        let not_a_number = [&b"-Infinity"[..], b"Infinity", b"NaN"];
        if let Some(found) = not_a_number.iter().find(|it| !in_text && rest.starts_with(it)) {
            clean.extend_from_slice(b"null");
            rest = &rest[found.len()..];
            continue;
        }
        clean.push(byte);
        rest = after;
        match byte {
            b'"' => in_text = !in_text,
            b'\\' if in_text => {
                if let Some((&escaped, after)) = rest.split_first() {
                    clean.push(escaped);
                    rest = after;
                }
            }
            _ => {}
        }
    }
    clean
}

fn good(what: &'static str, reply: Response) -> Result<Response, ComfyError> {
    let status = reply.status();
    if status.is_success() {
        Ok(reply)
    } else {
        Err(ComfyError::Status { what, status })
    }
}

#[cfg(test)]
mod tests {
    use super::numbers_only;

    #[test]
    fn what_is_no_number_is_null_outside_of_texts() {
        for (said, read) in [
            (
                r#"{"a": NaN, "b": [-Infinity, Infinity]}"#,
                r#"{"a": null, "b": [null, null]}"#,
            ),
            (r#"{"NaN": "a NaN \" NaN \\"}"#, r#"{"NaN": "a NaN \" NaN \\"}"#),
            ("\"\\", "\"\\"),
            ("", ""),
        ] {
            assert_eq!(String::from_utf8(numbers_only(said.as_bytes())).unwrap(), read);
        }
    }
}

//! What the tests share: a client that records frames, and the recorded runs.

#![allow(dead_code, reason = "each test file uses its own part")]

use std::path::Path;

use comfyui_double::{Builder, Double, Version};
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

/// Reads `tests/recorded/<name>.json`.
pub(crate) fn recorded(name: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/recorded/{name}.json"));
    serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap()
}

/// The text of a top-level field of a recording, with its keys in the recorded order.
pub(crate) fn recorded_text(name: &str, field: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/recorded/{name}.json"));
    let text = std::fs::read_to_string(path).unwrap();
    let fields: std::collections::BTreeMap<String, Box<serde_json::value::RawValue>> =
        serde_json::from_str(&text).unwrap();
    fields[field].get().to_owned()
}

/// A double with the files of the recordings.
pub(crate) fn tiny() -> Builder {
    Double::builder()
        .model("checkpoints", "tiny.ckpt")
        .model("loras", "tiny-lora.safetensors")
}

pub(crate) const VERSIONS: [(Version, &str); 2] = [(Version::V0_3, "v0_3"), (Version::V0_33, "v0_33")];

/// The client of this test: each runs on a thread of its own, and building one reads all root certificates.
pub(crate) fn http() -> reqwest::Client {
    thread_local! {
        // No proxy: the environment may name one, which cannot reach this machine's own ports.
        static CLIENT: reqwest::Client = reqwest::Client::builder().no_proxy().build().unwrap();
    }
    CLIENT.with(Clone::clone)
}

pub(crate) async fn get(url: String) -> Value {
    http().get(url).send().await.unwrap().json().await.unwrap()
}

pub(crate) async fn post(url: String, body: &Value) -> (u16, Value) {
    let reply = http().post(url).json(body).send().await.unwrap();
    let status = reply.status().as_u16();
    let text = reply.text().await.unwrap();
    (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
}

/// Posts a graph given as text: its order of keys decides the order of the run.
pub(crate) async fn post_graph(base: &str, graph: &str, rest: &Value) -> (u16, Value) {
    let rest = rest.as_object().unwrap().iter();
    let fields: Vec<_> = rest.map(|(key, value)| format!(", {key:?}: {value}")).collect();
    let body = format!("{{\"prompt\": {graph}{}}}", fields.concat());
    let reply = http().post(format!("{base}/prompt")).body(body).send().await.unwrap();
    let status = reply.status().as_u16();
    let text = reply.text().await.unwrap();
    (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
}

/// Posts a good graph and returns the prompt's id.
pub(crate) async fn submit(base: &str, graph: &str, rest: &Value) -> String {
    let (status, reply) = post_graph(base, graph, rest).await;
    assert_eq!((status, &reply["node_errors"]), (200, &json!({})), "{reply}");
    reply["prompt_id"].as_str().unwrap().to_owned()
}

pub(crate) fn random_id() -> String {
    uuid::Uuid::new_v4().to_string()
}

/// A client's socket, with all frames that it got in the form of the recordings.
pub(crate) struct Client {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    pub(crate) frames: Vec<Value>,
}

impl Client {
    /// Connects and waits for the greeting, so that later events cannot be missed.
    pub(crate) async fn connect(base: &str, id: &str) -> Self {
        let url = format!("{}/ws?clientId={id}", base.replace("http", "ws"));
        let (socket, _) = connect_async(url).await.unwrap();
        let mut client = Self {
            socket,
            frames: Vec::new(),
        };
        assert_eq!(client.next().await.unwrap()["type"], "status");
        client
    }

    /// Asks for previews with metadata.
    pub(crate) async fn ask_metadata(&mut self) {
        let flags = json!({ "type": "feature_flags", "data": { "supports_preview_metadata": true } });
        self.socket.send(Message::text(flags.to_string())).await.unwrap();
        assert_eq!(self.next().await.unwrap()["type"], "feature_flags");
    }

    /// The next frame; `None` when the socket has closed.
    pub(crate) async fn next(&mut self) -> Option<Value> {
        loop {
            let frame = match self.socket.next().await? {
                Ok(Message::Text(text)) => serde_json::from_str(&text).unwrap(),
                Ok(Message::Binary(bytes)) => json!({ "binary": describe(&bytes) }),
                Ok(Message::Close(_)) | Err(_) => return None,
                Ok(_) => continue,
            };
            self.frames.push(frame.clone());
            return Some(frame);
        }
    }

    /// Reads until a frame of this type.
    pub(crate) async fn until(&mut self, kind: &str) -> Value {
        self.until_frame(|frame| frame["type"] == kind).await
    }

    pub(crate) async fn until_frame(&mut self, wanted: impl Fn(&Value) -> bool) -> Value {
        loop {
            let frame = self.next().await.expect("the socket closed");
            if wanted(&frame) {
                return frame;
            }
        }
    }

    /// Reads until the run has ended, which is the last frame about it.
    pub(crate) async fn until_done(&mut self) {
        self.until_frame(|frame| frame["type"] == "executing" && frame["data"]["node"].is_null())
            .await;
    }

    pub(crate) async fn until_remaining(&mut self, count: u64) {
        self.until_frame(|frame| frame["data"]["status"]["exec_info"]["queue_remaining"] == count)
            .await;
    }

    /// What has been sent up to now: whatever comes before the answer to a ping.
    pub(crate) async fn drain(&mut self) {
        self.socket.send(Message::Ping("x".into())).await.unwrap();
        loop {
            match self.socket.next().await.unwrap().unwrap() {
                Message::Text(text) => self.frames.push(serde_json::from_str(&text).unwrap()),
                Message::Binary(bytes) => self.frames.push(json!({ "binary": describe(&bytes) })),
                Message::Pong(_) => return,
                _ => {}
            }
        }
    }

    pub(crate) async fn close(mut self) -> Vec<Value> {
        self.socket.close(None).await.unwrap();
        self.frames
    }

    /// The frames with what differs between any two runs made equal.
    pub(crate) fn normal(&self, prompt_id: &str) -> Vec<Value> {
        self.frames.iter().map(|frame| normal(frame, prompt_id)).collect()
    }
}

/// A binary frame in the form of the recordings.
fn describe(bytes: &[u8]) -> Value {
    let number = |at: usize| u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap());
    let (kind, metadata, picture) = if number(0) == 4 {
        let end = 8 + number(4) as usize;
        let metadata: Value = serde_json::from_slice(&bytes[8..end]).unwrap();
        (4, metadata, &bytes[end..])
    } else {
        let format = if bytes[8..].starts_with(b"\x89PNG") { 2 } else { 1 };
        assert_eq!(number(4), format);
        (number(0), Value::Null, &bytes[8..])
    };
    let reader = image::ImageReader::new(std::io::Cursor::new(picture));
    let size = reader.with_guessed_format().unwrap().into_dimensions().unwrap();
    json!({
        "type": kind,
        "metadata": metadata,
        "image": if picture.starts_with(b"\x89PNG") { "png" } else { "jpeg" },
        "size": size,
    })
}

/// Makes equal what differs between any two runs: ids, times, random names, texts of exceptions.
pub(crate) fn normal(value: &Value, prompt_id: &str) -> Value {
    match value {
        Value::Object(map) => map
            .iter()
            .map(|(key, value)| {
                let sorted = || {
                    let mut keys: Vec<String> = match value {
                        Value::Object(map) => map.keys().cloned().collect(),
                        other => serde_json::from_value(other.clone()).unwrap(),
                    };
                    keys.sort();
                    json!(keys)
                };
                let value = match key.as_str() {
                    "timestamp" | "create_time" => json!(0),
                    "traceback" => json!(["traceback"]),
                    "exception_message" => json!("..."),
                    "executed" | "current_inputs" | "current_outputs" => sorted(),
                    _ => normal(value, prompt_id),
                };
                (key.clone(), value)
            })
            .collect(),
        Value::Array(list) => list.iter().map(|value| normal(value, prompt_id)).collect(),
        Value::String(text) => {
            let text = if prompt_id.is_empty() {
                text.clone()
            } else {
                text.replace(prompt_id, "PROMPT")
            };
            match text.strip_prefix("ComfyUI_temp_") {
                Some(rest) => json!(format!("ComfyUI_temp_{}", &rest[5..])),
                None => json!(text),
            }
        }
        // 1 and 1.0 are told apart: the recordings show which one ComfyUI sends.
        other => other.clone(),
    }
}

/// Compares frame by frame, so that a difference is shown alone.
pub(crate) fn assert_frames(got: &[Value], wanted: &[Value]) {
    for (index, (got, wanted)) in got.iter().zip(wanted).enumerate() {
        let wanted = normal(wanted, "");
        assert_eq!(got, &wanted, "frame {index}\n got {got}\nwant {wanted}");
    }
    assert_eq!(got.len(), wanted.len(), "number of frames");
}

/// Without the steps of samplers after the first one: their number depends on the moment of an interrupt.
pub(crate) fn without_later_steps(frames: &[Value]) -> Vec<Value> {
    let is_later = |frame: &Value| {
        let later_progress = frame["type"] == "progress" && frame["data"]["value"] != 1;
        let later_state = frame["data"]["nodes"].as_object().is_some_and(|nodes| {
            nodes
                .values()
                .any(|node| node["value"].is_u64() && node["value"] != 1 && node["state"] == "running")
        });
        later_progress || later_state
    };
    let mut kept: Vec<Value> = frames.iter().filter(|frame| !is_later(frame)).cloned().collect();
    let mut seen = false;
    kept.retain(|frame| frame["binary"].is_null() || !std::mem::replace(&mut seen, true));
    kept
}

pub(crate) mod verdicts;

/// Codes a picture as PNG.
pub(crate) fn png(picture: &image::DynamicImage) -> Vec<u8> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    picture.write_to(&mut bytes, image::ImageFormat::Png).unwrap();
    bytes.into_inner()
}

/// Uploads a file; the status and the reply.
pub(crate) async fn upload(base: &str, name: &str, bytes: &[u8], fields: &[(&str, &str)]) -> (u16, Value) {
    let part = reqwest::multipart::Part::bytes(bytes.to_vec()).file_name(name.to_owned());
    let mut form = reqwest::multipart::Form::new().part("image", part);
    for (key, value) in fields {
        form = form.text((*key).to_owned(), (*value).to_owned());
    }
    let reply = http()
        .post(format!("{base}/upload/image"))
        .multipart(form)
        .send()
        .await
        .unwrap();
    let status = reply.status().as_u16();
    let text = reply.text().await.unwrap();
    (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
}

/// Runs a graph to its end and returns its history entry.
pub(crate) async fn run(base: &str, graph: &str) -> Value {
    let id = random_id();
    let mut client = Client::connect(base, &id).await;
    let prompt = submit(base, graph, &json!({ "client_id": id })).await;
    client.until_done().await;
    let history = get(format!("{base}/history/{prompt}")).await;
    history[&prompt].clone()
}

/// Fetches the pictures of an entry's output node.
pub(crate) async fn pictures(base: &str, entry: &Value, node: &str) -> Vec<image::DynamicImage> {
    let mut pictures = Vec::new();
    for image in entry["outputs"][node]["images"].as_array().into_iter().flatten() {
        let text = |key: &str| image[key].as_str().unwrap().to_owned();
        let query = [
            ("filename", text("filename")),
            ("subfolder", text("subfolder")),
            ("type", text("type")),
        ];
        let reply = http().get(format!("{base}/view")).query(&query).send().await.unwrap();
        assert_eq!(reply.status(), 200);
        pictures.push(image::load_from_memory(&reply.bytes().await.unwrap()).unwrap());
    }
    pictures
}

//! A painter's client, as the plugin behaves.

use anyhow::{Context, Result, bail};
use futures_util::StreamExt;
use model::{
    TaskId,
    socket::{ClientMessage, ServerMessage, TaskView},
};
use reqwest::header::{self, HeaderValue};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async,
    tungstenite::{Message, client::IntoClientRequest},
};

/// A captured request of the real plugin: eight pictures of a red square, 512×512.
pub const WIRE_01: &str = include_str!("../../workflow/tests/wire/01_generate.json");

/// A client.
#[derive(Debug, Clone)]
pub struct Painter {
    /// The API's address, with `/v1`.
    pub api: String,
    /// The WebSocket API's address.
    pub socket: String,
    token: String,
    client: reqwest::Client,
}

/// A reply as it came.
#[derive(Debug)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// Content type.
    pub content_type: String,
    /// Body.
    pub body: Value,
}

/// An open WebSocket of a painter.
#[derive(Debug)]
pub struct Events(WebSocketStream<MaybeTlsStream<TcpStream>>);

impl Painter {
    pub(crate) fn new(api: &str, socket: &str, token: String) -> Result<Self> {
        // What Qt's client, which the plugin uses, says of itself.
        let headers = [
            (header::ACCEPT_ENCODING, "gzip, deflate"),
            (header::ACCEPT_LANGUAGE, "en-US,*"),
            (header::USER_AGENT, "Mozilla/5.0"),
        ];
        let client = reqwest::Client::builder()
            .default_headers(
                headers
                    .map(|(name, value)| (name, HeaderValue::from_static(value)))
                    .into_iter()
                    .collect(),
            )
            .timeout(std::time::Duration::from_mins(1))
            .build()?;
        Ok(Self {
            api: format!("{api}/v1"),
            socket: socket.to_owned(),
            token,
            client,
        })
    }

    /// The token.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// The same client with another token.
    #[must_use]
    pub fn with_token(&self, token: impl Into<String>) -> Self {
        Self {
            token: token.into(),
            ..self.clone()
        }
    }

    /// Calls the API; whatever comes is an answer.
    pub async fn call(&self, method: &str, path: &str, body: Option<String>) -> Result<Answer> {
        let mut request = self.client.request(method.parse()?, format!("{}/{path}", self.api));
        if !self.token.is_empty() {
            request = request.bearer_auth(&self.token);
        }
        if let Some(body) = body {
            request = request.header("content-type", "application/json").body(body);
        }
        Self::answer(request.send().await.context("the API does not answer")?).await
    }

    /// Sends a form, as a browser does.
    pub async fn form(&self, path: &str, fields: &[(&str, &str)]) -> Result<Answer> {
        let body = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(fields)
            .finish();
        let post = self.client.post(format!("{}/{path}", self.api));
        let post = post
            .header("content-type", "application/x-www-form-urlencoded")
            .body(body);
        Self::answer(post.send().await.context("the API does not answer")?).await
    }

    async fn answer(reply: reqwest::Response) -> Result<Answer> {
        let content_type = reply
            .headers()
            .get("content-type")
            .and_then(|it| it.to_str().ok())
            .unwrap_or_default();
        let content_type = content_type.to_owned();
        let status = reply.status().as_u16();
        let text = reply.text().await?;
        let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
        Ok(Answer {
            status,
            content_type,
            body,
        })
    }

    /// Calls the API; what is not a 200 is an error.
    pub async fn ok(&self, method: &str, path: &str, body: Option<String>) -> Result<Value> {
        let answer = self.call(method, path, body).await?;
        if answer.status != 200 {
            bail!(
                "{path}: {} {}",
                answer.status,
                answer.body["error"].as_str().unwrap_or("no reason was given")
            );
        }
        Ok(answer.body)
    }

    /// Submits a request.
    pub async fn submit(&self, request: &Value) -> Result<TaskId> {
        let reply = self.ok("POST", "generate", Some(request.to_string())).await?;
        Ok(reply["id"].as_str().context("the reply has no id")?.parse()?)
    }

    /// Submits a request under a key: asking again with the same key gives the same task.
    pub async fn submit_once(&self, request: &Value, key: &str) -> Result<TaskId> {
        let post = self
            .client
            .post(format!("{}/generate", self.api))
            .bearer_auth(&self.token);
        let reply = post
            .header("idempotency-key", key)
            .body(request.to_string())
            .send()
            .await?
            .error_for_status()?;
        let reply: Value = serde_json::from_str(&reply.text().await?)?;
        Ok(reply["id"].as_str().context("the reply has no id")?.parse()?)
    }

    /// Where a task stands, in the plugin's words.
    pub async fn status(&self, task: TaskId) -> Result<Value> {
        self.ok("POST", &format!("status/{task}"), Some("{}".to_owned())).await
    }

    /// Where a task stands, in ours.
    pub async fn view(&self, task: TaskId) -> Result<TaskView> {
        Ok(serde_json::from_value(
            self.ok("GET", &format!("tasks/{task}"), None).await?,
        )?)
    }

    /// Cancels a task.
    pub async fn cancel(&self, pool: &str, task: TaskId) -> Result<Value> {
        self.ok("POST", &format!("cancel/{pool}/{task}"), Some("{}".to_owned()))
            .await
    }

    /// Uploads a blob of pictures; returns the object's name.
    pub async fn upload(&self, bytes: Vec<u8>) -> Result<String> {
        let reply = self.ok("POST", "upload/image", Some("{}".to_owned())).await?;
        let url = reply["url"].as_str().context("the reply has no url")?;
        let put = self
            .client
            .put(url)
            .header("content-type", "application/octet-stream")
            .body(bytes);
        put.send().await?.error_for_status()?;
        Ok(reply["object"].as_str().context("the reply has no object")?.to_owned())
    }

    /// The pictures of a completed status, as files.
    pub async fn pictures(&self, completed: &Value) -> Result<Vec<Vec<u8>>> {
        let images = &completed["output"]["images"];
        let url = images["url"].as_str().context("there are no pictures")?;
        let blob = self.client.get(url).send().await?.error_for_status()?.bytes().await?;
        let mut offsets: Vec<usize> = serde_json::from_value(images["offsets"].clone())?;
        offsets.push(blob.len());
        let parts = offsets
            .windows(2)
            .map(|pair| blob.get(pair[0]..pair[1]).map(<[u8]>::to_vec));
        parts.collect::<Option<_>>().context("the offsets do not fit the blob")
    }

    /// Opens the WebSocket.
    pub async fn events(&self) -> Result<Events> {
        let mut request = self.socket.as_str().into_client_request()?;
        request
            .headers_mut()
            .insert("authorization", format!("Bearer {}", self.token).parse()?);
        Ok(Events(
            connect_async(request).await.context("the WebSocket does not open")?.0,
        ))
    }
}

impl Events {
    /// The next message.
    pub async fn next(&mut self) -> Result<ServerMessage> {
        loop {
            match self.0.next().await.context("the WebSocket was closed")?? {
                Message::Text(text) => return Ok(serde_json::from_str(&text)?),
                Message::Close(_) => bail!("the WebSocket was closed"),
                _ => {}
            }
        }
    }

    /// Says something.
    pub async fn say(&mut self, message: &ClientMessage) -> Result<()> {
        self.say_raw(&json!(message).to_string()).await
    }

    /// Says anything.
    pub async fn say_raw(&mut self, text: &str) -> Result<()> {
        use futures_util::SinkExt;
        Ok(self.0.send(Message::text(text)).await?)
    }
}

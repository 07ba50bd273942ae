//! A real Chromium without a window, by the DevTools protocol.

use std::{path::Path, process::Stdio, time::Duration};

use anyhow::{Context, Result, bail, ensure};
use base64::{Engine, prelude::BASE64_STANDARD};
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{
    net::TcpStream,
    process::{Child, Command},
    time::timeout,
};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async, tungstenite::Message};

/// Nothing that a browser is asked for takes longer.
const LIMIT: Duration = Duration::from_secs(30);

/// One page of a browser of its own.
pub(crate) struct Page {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    session: Option<String>,
    calls: u64,
    events: Vec<Value>,
    _browser: Child,
    _profile: TempDir,
}

impl Page {
    /// An empty page of this many CSS pixels.
    pub(crate) async fn open(width: u32, height: u32) -> Result<Self> {
        let profile = tempfile::Builder::new().prefix("atelier-chromium-").tempdir()?;
        let mut command = Command::new("chromium");
        command
            .args([
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-quic",
                "--no-first-run",
            ])
            .args([
                "--disable-background-networking",
                "--disable-component-update",
                "--disable-sync",
            ])
            .arg("--remote-debugging-port=0")
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true);
        let mut browser = command.spawn().context("chromium cannot be started; install it")?;
        let port = profile.path().join("DevToolsActivePort");
        let address = async {
            loop {
                let text = tokio::fs::read_to_string(&port).await.unwrap_or_default();
                if let Some((port, path)) = text.split_once('\n').filter(|(_, path)| !path.is_empty()) {
                    return format!("ws://127.0.0.1:{port}{}", path.trim());
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        let address = tokio::select! {
            address = timeout(LIMIT, address) => address.context("chromium opened no port")?,
            ended = browser.wait() => bail!("chromium ended: {ended:?}"),
        };
        let mut page = Self {
            socket: connect_async(address).await?.0,
            session: None,
            calls: 0,
            events: Vec::new(),
            _browser: browser,
            _profile: profile,
        };
        let target = page
            .call("Target.createTarget", json!({ "url": "about:blank" }))
            .await?;
        let attach = json!({ "targetId": target["targetId"], "flatten": true });
        let attached = page.call("Target.attachToTarget", attach).await?;
        page.session = attached["sessionId"].as_str().map(str::to_owned);
        page.call("Page.enable", json!({})).await?;
        let mobile = width < 600;
        let metrics = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": mobile });
        page.call("Emulation.setDeviceMetricsOverride", metrics).await?;
        Ok(page)
    }

    /// One command; its result.
    pub(crate) async fn call(&mut self, method: &str, parameters: Value) -> Result<Value> {
        self.calls += 1;
        let mut message = json!({ "id": self.calls, "method": method, "params": parameters });
        if let Some(session) = &self.session {
            message["sessionId"] = session.as_str().into();
        }
        self.socket.send(Message::text(message.to_string())).await?;
        loop {
            let reply = self.read().await.with_context(|| method.to_owned())?;
            if reply["id"] == self.calls {
                ensure!(reply["error"].is_null(), "{method}: {}", reply["error"]);
                return Ok(reply["result"].clone());
            }
        }
    }

    async fn read(&mut self) -> Result<Value> {
        loop {
            let message = timeout(LIMIT, self.socket.next())
                .await
                .context("chromium says nothing")?;
            let Message::Text(text) = message.context("chromium hung up")?? else {
                continue;
            };
            let message: Value = serde_json::from_str(&text)?;
            if message["method"].is_string() {
                self.events.push(message.clone());
            }
            return Ok(message);
        }
    }

    /// Waits until such an event has come since the page was last left; what it says.
    pub(crate) async fn event(&mut self, method: &str) -> Result<Value> {
        let come = async {
            loop {
                if let Some(event) = self.events.iter().find(|event| event["method"] == method) {
                    return Ok(event["params"].clone());
                }
                self.read().await?;
            }
        };
        let come = timeout(LIMIT, come).await.context("it does not come");
        come.flatten().with_context(|| method.to_owned())
    }

    /// Waits until a page has loaded since `events` was last emptied.
    async fn loaded(&mut self) -> Result<()> {
        self.event("Page.loadEventFired").await.map(drop)
    }

    /// Opens an address.
    pub(crate) async fn goto(&mut self, url: &str) -> Result<()> {
        self.events.clear();
        let opened = self.call("Page.navigate", json!({ "url": url })).await?;
        ensure!(opened["errorText"].is_null(), "{url}: {opened}");
        self.loaded().await
    }

    /// Switches the page's own scripts off or on. `evaluate` works all the same.
    pub(crate) async fn scripts(&mut self, on: bool) -> Result<()> {
        self.call("Emulation.setScriptExecutionDisabled", json!({ "value": !on }))
            .await
            .map(drop)
    }

    /// What an expression (or the promise that it is) comes to.
    pub(crate) async fn evaluate(&mut self, expression: &str) -> Result<Value> {
        let parameters = json!({ "expression": expression, "awaitPromise": true, "returnByValue": true });
        let result = self.call("Runtime.evaluate", parameters).await?;
        ensure!(result["exceptionDetails"].is_null(), "{}", result["exceptionDetails"]);
        Ok(result["result"]["value"].clone())
    }

    /// All that can be read on the page.
    pub(crate) async fn text(&mut self) -> Result<String> {
        let text = self.evaluate("document.body.innerText").await?;
        Ok(text.as_str().unwrap_or_default().to_owned())
    }

    /// Presses a key.
    pub(crate) async fn press(&mut self, key: &str) -> Result<()> {
        let (code, text) = match key {
            "Tab" => (9, ""),
            "Enter" => (13, "\r"),
            " " => (32, " "),
            other => bail!("no such key: {other}"),
        };
        let down = json!({ "type": "keyDown", "key": key, "code": key, "windowsVirtualKeyCode": code, "text": text });
        self.call("Input.dispatchKeyEvent", down).await?;
        let up = json!({ "type": "keyUp", "key": key, "code": key, "windowsVirtualKeyCode": code });
        self.call("Input.dispatchKeyEvent", up).await.map(drop)
    }

    /// Presses Enter and waits for the page that this leads to.
    pub(crate) async fn enter(&mut self) -> Result<()> {
        self.events.clear();
        self.press("Enter").await?;
        self.loaded().await
    }

    /// Types into what has the focus.
    pub(crate) async fn type_text(&mut self, text: &str) -> Result<()> {
        self.call("Input.insertText", json!({ "text": text })).await.map(drop)
    }

    /// Name of the element that has the focus: its label, or its text.
    pub(crate) async fn focused(&mut self) -> Result<String> {
        let focused = "(e => e.labels?.[0]?.innerText || e.innerText)(document.activeElement)";
        Ok(self.evaluate(focused).await?.as_str().unwrap_or_default().to_owned())
    }

    /// Writes what is to be seen.
    pub(crate) async fn screenshot(&mut self, path: &Path) -> Result<()> {
        let shot = self.call("Page.captureScreenshot", json!({ "format": "png" })).await?;
        let png = BASE64_STANDARD.decode(shot["data"].as_str().context("no picture")?)?;
        tokio::fs::write(path, png)
            .await
            .with_context(|| path.display().to_string())
    }
}

//! The calls to the workers' HTTP API. They carry a token that is got by registering and replaced by heartbeats.

use std::{sync::Arc, time::Duration};

use model::{
    TaskId, WorkerId,
    worker_api::{
        Assignment, Claim, Claimed, FreshUrls, Heartbeat, HeartbeatReply, Register, Registered, RunEnded, RunFailure,
        RunResult, RunUrls,
    },
};
use reqwest::{Response, StatusCode};
use serde::{Serialize, de::DeserializeOwned};
use tokio::sync::watch;

/// A call did not get the answer it needs.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CloudError {
    /// The token is not good any more; a new one is being asked for.
    #[error("the API does not take the token any more")]
    Unauthorized,
    /// The API says no. Status 410, at registering: it speaks another protocol and will never take this worker.
    #[error("the API refuses with status {status}: {reason}")]
    Refused {
        /// HTTP status.
        status: u16,
        /// What the API says.
        reason: String,
    },
    /// The API is in trouble, or asks to slow down.
    #[error("the API answers with status {0}")]
    Trouble(u16),
    /// No answer.
    #[error("the API does not answer")]
    Transport(#[source] reqwest::Error),
}

impl CloudError {
    /// Whether the same call may go well later.
    pub(crate) fn is_retryable(&self) -> bool {
        matches!(self, Self::Unauthorized | Self::Trouble(_) | Self::Transport(_))
    }
}

impl From<reqwest::Error> for CloudError {
    fn from(error: reqwest::Error) -> Self {
        Self::Transport(error.without_url())
    }
}

/// The workers' API, as one worker sees it.
#[derive(Debug)]
pub(crate) struct CloudApi {
    http: reqwest::Client,
    base: String,
    token: watch::Sender<Option<Token>>,
}

/// A bearer token, which must not be logged.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Token(Arc<str>);

impl Token {
    pub(crate) fn secret(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token")
    }
}

/// API Gateway answers within 30 s.
const CALL: Duration = Duration::from_secs(30);
/// A heartbeat must leave time for another one within the lease.
const BEAT: Duration = Duration::from_secs(10);

impl CloudApi {
    /// Calls go to `{api}/v1/workers/…`.
    pub(crate) fn new(http: reqwest::Client, api: &str, worker: &WorkerId) -> Self {
        let root = format!("{}/v1/workers", api.trim_end_matches('/'));
        Self {
            http,
            base: format!("{root}/{worker}"),
            token: watch::Sender::new(None),
        }
    }

    /// Asks for a token.
    pub(crate) async fn register(&self, register: &Register) -> Result<Registered, CloudError> {
        let (root, _) = self.base.rsplit_once('/').unwrap_or((&self.base, ""));
        let call = self.http.post(format!("{root}/register")).timeout(CALL).json(register);
        let reply: Registered = answer(call.send().await?).await?;
        self.set_token(&reply.token);
        Ok(reply)
    }

    /// Uses this token from now on.
    pub(crate) fn set_token(&self, token: &str) {
        self.token.send_replace(Some(Token(token.into())));
    }

    /// Resolves once there is a token.
    pub(crate) async fn token(&self) -> Token {
        let mut tokens = self.token.subscribe();
        loop {
            if let Some(token) = tokens.borrow_and_update().clone() {
                return token;
            }
            if tokens.changed().await.is_err() {
                // `self` holds the sender.
                std::future::pending::<()>().await;
            }
        }
    }

    /// Resolves when a token must be asked for.
    pub(crate) async fn token_lost(&self) {
        // Cannot fail: `self` holds the sender.
        let _ = self.token.subscribe().wait_for(Option::is_none).await;
    }

    /// Gives a token up, unless there is a newer one already.
    pub(crate) fn give_up(&self, token: &Token) {
        self.token.send_if_modified(|current| {
            let stale = current.as_ref() == Some(token);
            if stale {
                *current = None;
            }
            stale
        });
    }

    pub(crate) async fn claim(&self, task_id: Option<TaskId>) -> Result<Option<Assignment>, CloudError> {
        let claimed: Claimed = self.call("claim", &Claim { task_id }, CALL).await?;
        Ok(claimed.assignment)
    }

    pub(crate) async fn heartbeat(&self, heartbeat: &Heartbeat) -> Result<HeartbeatReply, CloudError> {
        self.call("heartbeat", heartbeat, BEAT).await
    }

    pub(crate) async fn result(&self, result: &RunResult) -> Result<RunEnded, CloudError> {
        self.call("result", result, CALL).await
    }

    pub(crate) async fn failure(&self, failure: &RunFailure) -> Result<RunEnded, CloudError> {
        self.call("failure", failure, CALL).await
    }

    /// Fresh addresses of a run; with a size, the one for the result may be good for so many bytes only. An API that knows no
    /// thumbnails gives none for them.
    pub(crate) async fn urls(&self, wanted: &FreshUrls) -> Result<RunUrls, CloudError> {
        self.call("urls", wanted, CALL).await
    }

    async fn call<Q: Serialize, A: DeserializeOwned>(
        &self,
        verb: &str,
        body: &Q,
        limit: Duration,
    ) -> Result<A, CloudError> {
        let token = self.token().await;
        let call = self.http.post(format!("{}/{verb}", self.base)).timeout(limit);
        let result = answer(call.bearer_auth(token.secret()).json(body).send().await?).await;
        if matches!(result, Err(CloudError::Unauthorized)) {
            self.give_up(&token);
        }
        result
    }
}

async fn answer<A: DeserializeOwned>(response: Response) -> Result<A, CloudError> {
    let status = response.status();
    if status.is_success() {
        return Ok(response.json().await?);
    }
    Err(match status {
        StatusCode::UNAUTHORIZED => CloudError::Unauthorized,
        StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT => CloudError::Trouble(status.as_u16()),
        _ if status.is_client_error() => CloudError::Refused {
            status: status.as_u16(),
            reason: reason(response).await,
        },
        _ => CloudError::Trouble(status.as_u16()),
    })
}

/// The API's own words for a log line, cut to a length.
async fn reason(response: Response) -> String {
    #[derive(serde::Deserialize)]
    struct Said {
        #[serde(alias = "message")]
        error: String,
    }
    let said = response.json::<Said>().await.map(|said| said.error).unwrap_or_default();
    said.chars().filter(|c| !c.is_control()).take(200).collect()
}

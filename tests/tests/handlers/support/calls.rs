//! Calling the handlers.

use cloud::{
    http::Router,
    queue::{SqsBatchResponse, SqsEvent},
};
use model::{InstanceId, Millis, TaskId, Worker};
use serde_json::{Value, json};

use super::{Answer, MARA, POOL, World, golden, http, painter, sqs, wire, worker_context};

impl World {
    /// Answers an HTTP event as the function that its route belongs to.
    pub(crate) async fn http(&self, mut event: Value, now: Millis) -> Answer {
        if event["routeKey"] == "GET /v1/user" {
            self.bear(&mut event);
        } else {
            self.admit(&mut event, "/requestContext/authorizer/lambda").await;
        }
        self.handled(event, now).await
    }

    /// The same without asking the authorizer: whatever the event says of the caller is what it has said.
    pub(crate) async fn handled(&self, event: Value, now: Millis) -> Answer {
        let event = serde_json::value::to_raw_value(&event).unwrap();
        let mut event = cloud::http::event(&event).unwrap();
        // API Gateway hands the query over in both forms; a test changes one.
        let mut pairs: Vec<_> = event.query_string_parameters.iter().collect();
        pairs.sort_unstable();
        let query = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(pairs)
            .finish();
        event.raw_query_string = Some(query);
        let route = event.route_key.clone().unwrap();
        let response = cloud::http::answer(self.router(&route), event, now).await;
        let page = is_page(&route) || response.status_code == 303;
        let script = is_script(&route) && response.status_code == 200;
        let kind = response.headers["content-type"].to_str().unwrap();
        let content_type = if response.is_base64_encoded {
            ["image/apng", "image/png", "image/webp"]
                .into_iter()
                .find(|it| *it == kind)
                .unwrap()
        } else if script {
            "text/javascript; charset=utf-8"
        } else if page {
            "text/html; charset=utf-8"
        } else if route == "POST /v1/admin/cost" && response.status_code == 200 {
            "text/plain; charset=utf-8"
        } else {
            "application/json"
        };
        assert_eq!(kind, content_type);
        let Some(aws_lambda_events::encodings::Body::Text(text)) = response.body else {
            panic!("no text");
        };
        let location = response.headers.get("location");
        Answer {
            location: location.map(|it| it.to_str().unwrap().to_owned()),
            cookies: response.cookies,
            status: response.status_code,
            body: if page || script || response.is_base64_encoded {
                Value::String(text)
            } else {
                serde_json::from_str(&text).unwrap()
            },
        }
    }

    /// The function that a route belongs to.
    pub(crate) fn router(&self, route: &str) -> &Router {
        let of_account = ["GET /v1/user", "GET /v1/plugin/latest", "GET /v1/openapi.json"].contains(&route);
        if route.contains("/v1/studio") || route.ends_with("/page") {
            &self.studio
        } else if route.contains("/v1/workers/") {
            &self.claim
        } else if of_account || route.contains("/auth/") || is_page(route) {
            &self.account
        } else if route.contains("/v1/models") {
            &self.catalog
        } else {
            &self.generate
        }
    }

    /// A painter's call.
    pub(crate) async fn paint(&self, user: &str, route: &str, id: &str, body: &Value, now: Millis) -> Answer {
        self.http(http(route, id, Some(&painter(user)), body), now).await
    }

    /// The captured request 01, or another one.
    pub(crate) async fn submit(&self, user: &str, body: &Value, now: Millis) -> Answer {
        self.paint(user, "POST /v1/generate", "", body, now).await
    }

    /// A submitted task, as Mara submits it.
    pub(crate) async fn submitted(&self, now: Millis) -> TaskId {
        let body = self.submit(MARA, &wire("01_generate"), now).await.ok();
        body["id"].as_str().unwrap().parse().unwrap()
    }

    /// A worker's call.
    pub(crate) async fn work(&self, worker: &Worker, operation: &str, body: &Value, now: Millis) -> Answer {
        let route = format!("POST /v1/workers/{{id}}/{operation}");
        let caller = worker_context(worker.worker_id.as_str(), worker.generation, now);
        self.http(http(&route, worker.worker_id.as_str(), Some(&caller), body), now)
            .await
    }

    /// A claim; the assignment, if there is one.
    pub(crate) async fn claimed(&self, worker: &Worker, now: Millis) -> Option<model::worker_api::Assignment> {
        let claimed: model::worker_api::Claimed = self.work(worker, "claim", &json!({}), now).await.parsed();
        claimed.assignment
    }

    pub(crate) async fn dispatch(&self, event: Value, now: Millis) -> SqsBatchResponse {
        let event: SqsEvent = serde_json::from_value(event).unwrap();
        Box::pin(self.dispatch.handle(&event, now)).await
    }

    /// Dispatches messages about these tasks.
    pub(crate) async fn dispatch_tasks(&self, tasks: &[TaskId], now: Millis) -> SqsBatchResponse {
        let messages: Vec<_> = tasks
            .iter()
            .map(|task| json!({ "task_id": task, "pool": POOL }).to_string())
            .collect();
        self.dispatch(sqs(&messages), now).await
    }

    /// No authorizer stands before this route: what the event says of the caller comes as a token.
    fn bear(&self, event: &mut Value) {
        let said = event
            .pointer("/requestContext/authorizer/lambda")
            .cloned()
            .unwrap_or_default();
        let Ok(role) = serde_json::from_value(said["role"].clone()) else {
            return;
        };
        let team = model::TeamId::new(said["team"].as_str().unwrap_or_default());
        let (sub, issued) = (said["sub"].as_str().unwrap(), said["iat"].as_u64().unwrap());
        let century = std::time::Duration::from_hours(24 * 36525);
        let token = self
            .signer
            .user(sub, &team, role, Millis(issued * 1000), century)
            .unwrap();
        event["headers"]["authorization"] = format!("Bearer {token}").into();
        event["requestContext"].as_object_mut().unwrap().remove("authorizer");
    }

    /// What API Gateway does first: it asks the authorizer, here about who bears a token that says this.
    async fn admit(&self, event: &mut Value, at: &str) {
        let Some(context) = event.pointer_mut(at) else { return };
        let mut said = context.clone();
        for (name, value) in [
            ("iss", "atelier".into()),
            ("aud", "atelier".into()),
            ("exp", json!(u32::MAX)),
        ] {
            said[name] = value;
        }
        // A WebSocket's numbers are text.
        for name in ["iat", "generation"] {
            if let Some(number) = said[name].as_str().and_then(|text| text.parse::<u64>().ok()) {
                said[name] = number.into();
            }
        }
        if let Ok(claims) = serde_json::from_value(said) {
            *context = self.authorize.context(&claims).await.unwrap().into();
        }
    }

    pub(crate) async fn push(&self, mut event: Value, now: Millis) -> i64 {
        if event["requestContext"]["routeKey"] == "$connect" {
            self.admit(&mut event, "/requestContext/authorizer").await;
            if event["requestContext"]["authorizer"]["refused"].is_string() {
                return 401;
            }
        }
        let event: cloud::websocket::Event = serde_json::from_value(event).unwrap();
        let answer = self.push.handle(&event, now).await;
        answer["statusCode"].as_i64().unwrap()
    }

    pub(crate) async fn ec2(&self, instance: &InstanceId, state: &str, now: Millis) {
        let mut event = golden("lifecycle", "ec2-running");
        event["detail"] = json!({ "instance-id": instance, "state": state });
        self.lifecycle.handle(&event, now).await.unwrap();
    }

    pub(crate) async fn lifecycle(&self, event: Value, now: Millis) -> Result<(), lifecycle::LifecycleError> {
        Box::pin(self.lifecycle.handle(&event, now)).await
    }

    /// What the next hour will ask for, or a training, of which something may go wrong.
    pub(crate) async fn try_forecast(&self, trains: bool, now: Millis) -> Result<(), forecast_function::ForecastError> {
        self.forecast_within(trains, now, u64::MAX).await
    }

    /// The same, with time for so many pools.
    pub(crate) async fn forecast_within(
        &self,
        trains: bool,
        now: Millis,
        pools: u64,
    ) -> Result<(), forecast_function::ForecastError> {
        let event = if trains { "train" } else { "look" };
        let begun = std::sync::atomic::AtomicU64::new(0);
        let in_time = || begun.fetch_add(1, std::sync::atomic::Ordering::Relaxed) < pools;
        self.forecast.handle(&golden("forecast", event), now, in_time).await
    }

    pub(crate) async fn forecast(&self, trains: bool, now: Millis) {
        self.try_forecast(trains, now).await.unwrap();
    }

    /// A tick of the reaper, of which something may go wrong.
    pub(crate) async fn try_reap(&self, now: Millis) -> Result<(), idle_reaper::ReapError> {
        self.reaper.handle(now).await
    }

    /// A batch of the stream of tasks.
    pub(crate) async fn stream(&self, event: Value, now: Millis) -> cloud::stream::StreamResponse {
        self.archive.handle(event, now).await.unwrap()
    }

    /// The call of the archive's day, of which something may go wrong.
    pub(crate) async fn put_together(&self, now: Millis) -> Result<(), archive::ArchiveError> {
        self.archive.handle(golden("archive", "day"), now).await.map(drop)
    }

    pub(crate) async fn tick(&self, now: Millis) {
        self.lifecycle(golden("lifecycle", "tick"), now).await.unwrap();
    }

    pub(crate) async fn reap(&self, now: Millis) {
        self.reaper.handle(now).await.unwrap();
    }
}

/// Whether a route is the script of a page.
fn is_script(route: &str) -> bool {
    route == "GET /v1/studio/script.js"
}

/// Whether a route is one of the pages for browsers.
pub(crate) fn is_page(route: &str) -> bool {
    let folders = ["/v1/sign-in", "/v1/sign-out", "/v1/account", "/v1/checkout"];
    let studio = route.contains("/v1/studio") && !route.contains("/ticket") && !is_script(route);
    folders.iter().any(|it| route.contains(it)) || route == "GET /v1" || studio || route.ends_with("/page")
}

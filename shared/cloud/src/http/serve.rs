use axum::{
    body::to_bytes,
    http::{HeaderValue, Request, header},
    response::{IntoResponse, Response},
};
use base64::{Engine, prelude::BASE64_STANDARD};
use lambda_http::{Body, request::LambdaRequest};
use lambda_runtime::{Error, LambdaEvent, service_fn};
use model::Millis;
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use serde_json::{Value, value::RawValue};
use tower::ServiceExt;

use super::{HttpError, Now, error::Refusal};
use crate::metrics;

pub use axum::Router;
pub use lambda_http::aws_lambda_events::apigw::{ApiGatewayV2httpRequest as Event, ApiGatewayV2httpResponse as Reply};

/// Answers API Gateway's events with this router for as long as the process lives.
pub async fn serve(router: Router) -> Result<(), Error> {
    let router = &router;
    lambda_runtime::run(service_fn(async |payload: LambdaEvent<Box<RawValue>>| {
        let event = event(&payload.payload)?;
        Ok::<_, Error>(metrics::measured(answer(router, event, crate::now())).await)
    }))
    .await
}

/// The same of a function that other events come to as well.
pub async fn serve_beside(router: Router, handle: impl AsyncFn(Value) -> Result<(), Error>) -> Result<(), Error> {
    let (router, handle) = (&router, &handle);
    lambda_runtime::run(service_fn(async |payload: LambdaEvent<Box<RawValue>>| {
        let text = payload.payload.get();
        let other: Value = serde_json::from_str(text)?;
        if other.get("routeKey").is_some() {
            let event = event(&payload.payload)?;
            return Ok::<_, Error>(Some(metrics::measured(answer(router, event, crate::now())).await));
        }
        metrics::measured(handle(other)).await?;
        Ok(None)
    }))
    .await
}

/// Reads an event. A header's value is text in any letters for API Gateway, and visible ASCII for us: what is not is
/// percent-encoded, so that it stays told apart.
pub fn event(payload: &RawValue) -> Result<Event, serde_json::Error> {
    if let Ok(event) = serde_json::from_str::<Event>(payload.get())
        && event.headers.values().all(|value| value.to_str().is_ok())
    {
        return Ok(event);
    }
    let mut event: Value = serde_json::from_str(payload.get())?;
    let headers = event.get_mut("headers").and_then(Value::as_object_mut);
    for value in headers.into_iter().flat_map(|it| it.values_mut()) {
        if let Some(text) = value.as_str()
            && !text.bytes().all(|byte| byte == b'\t' || (b' '..=b'~').contains(&byte))
        {
            *value = utf8_percent_encode(text, CONTROLS).to_string().into();
        }
    }
    serde_json::from_value(event)
}

/// Answers one event, and logs it: one line a call.
pub async fn answer(router: &Router, event: Event, now: Millis) -> Reply {
    let route = event.route_key.clone().unwrap_or_default();
    let response = match request(event) {
        Ok(mut request) => {
            request.extensions_mut().insert(Now(now));
            match router.clone().oneshot(request).await {
                Ok(response) => response,
                Err(never) => match never {},
            }
        }
        Err(error) => error.into_response(),
    };
    log(&route, &response);
    reply(response).await
}

/// What the router says where it has no such route.
pub async fn nothing_here() -> HttpError {
    HttpError::new(404, "There is nothing here.")
}

/// What may stand in a URI as it is; the rest is encoded.
const QUERY: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b'<').add(b'>').add(b'`').add(b'#');

/// Longest path and query taken, bytes. API Gateway takes 10,240 for the request line and all headers; a URI's parser 65,534.
const LONGEST: usize = 20_000;

/// The event as a request. `lambda_http` panics where an event holds what no URI can, so such a one ends here.
fn request(mut event: Event) -> Result<Request<Body>, HttpError> {
    let unreadable = || HttpError::new(400, "The request could not be read.");
    // What it was called by and how is nobody's business here, and would be parsed.
    event.headers.remove(header::HOST);
    (event.request_context.domain_name, event.request_context.stage) = (None, None);
    let path = event.raw_path.as_deref().unwrap_or_default();
    let query = event.raw_query_string.as_deref().unwrap_or_default();
    if !path.starts_with('/') || path.len() + query.len() > LONGEST {
        return Err(unreadable());
    }
    event.raw_query_string = Some(utf8_percent_encode(query, QUERY).to_string());
    if event.is_base64_encoded
        && BASE64_STANDARD
            .decode(event.body.as_deref().unwrap_or_default())
            .is_err()
    {
        return Err(unreadable());
    }
    Ok(LambdaRequest::ApiGatewayV2(event).into())
}

fn log(route: &str, response: &Response) {
    let status = response.status().as_u16();
    match response.extensions().get::<Refusal>() {
        None => tracing::info!(http.route = route, http.status = status, "done"),
        Some(Refusal { message, source }) if status >= 500 => {
            tracing::error!(http.route = route, http.status = status, source, "{message}");
        }
        Some(Refusal { message, source }) => {
            tracing::info!(http.route = route, http.status = status, source, "{message}");
        }
    }
}

/// Every answer is text but a picture, which travels as base64. Said by hand, since `lambda_http`'s own way brings the tables of every encoding there is.
async fn reply(mut response: Response) -> Reply {
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    let cookies = headers.get_all(header::SET_COOKIE).iter();
    let cookies = cookies.filter_map(|it| it.to_str().ok().map(str::to_owned)).collect();
    headers.remove(header::SET_COOKIE);
    headers.remove(header::CONTENT_LENGTH);
    let (parts, body) = response.into_parts();
    let mut reply = Reply::default();
    reply.status_code = i64::from(parts.status.as_u16());
    reply.headers = parts.headers;
    reply.cookies = cookies;
    // Cannot fail: the body is in memory.
    let bytes = to_bytes(body, usize::MAX).await.unwrap_or_default();
    let kind = reply.headers.get(header::CONTENT_TYPE);
    reply.is_base64_encoded = kind.is_some_and(|it| it.as_bytes().starts_with(b"image/"));
    reply.body = Some(Body::Text(if reply.is_base64_encoded {
        BASE64_STANDARD.encode(&bytes)
    } else {
        String::from_utf8_lossy(&bytes).into_owned()
    }));
    reply
}

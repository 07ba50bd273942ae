//! How fast one address may sign in. Each route of the sign-in takes [`Counted`], which comes before anything is read.

use std::{sync::Arc, time::Duration};

use accounts::address::{self, Address};
use axum::{
    extract::{FromRequestParts, MatchedPath},
    http::{Method, request::Parts},
    response::{IntoResponse, Response},
};
use cloud::http::{HttpError, Now};
use policy::rate::Rate;
use web::{Problem, Tongue};

use crate::{App, words};

/// A studio behind one address may begin a morning at once; after that, one each two seconds.
const BEGUN: Rate = Rate {
    interval: Duration::from_secs(2),
    burst: 60,
};

/// Each device asks every two seconds whether somebody has let it in: a morning's, and no more than half of what the gateway lets
/// in from everybody.
const ASKED: Rate = Rate {
    interval: Duration::from_millis(100),
    burst: 60,
};

/// A call of the sign-in, whose address has been counted. A handler that takes one is called for no address that is too fast.
#[derive(Debug)]
pub(crate) struct Counted;

impl FromRequestParts<Arc<App>> for Counted {
    type Rejection = Response;
    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Response> {
        let path = parts.extensions.get::<MatchedPath>();
        let path = path.map_or("", MatchedPath::as_str).to_owned();
        count(parts, app, &path).await.map_err(|refused| {
            if path.contains("/auth/") {
                refused.into_response()
            } else {
                Problem::from(refused).into_response()
            }
        })
    }
}

async fn count(parts: &mut Parts, app: &Arc<App>, path: &str) -> Result<Counted, HttpError> {
    let Now(now) = Now::from_request_parts(parts, app).await?;
    let Address(address) = Address::from_request_parts(parts, app).await?;
    let (what, rate) = match path {
        // What begins a sign-in and what guesses an invitation is counted together.
        "/v1/auth/initiate" => ("", BEGUN),
        "/v1/sign-in" if parts.method == Method::POST => ("", BEGUN),
        "/v1/auth/confirm" => (path, ASKED),
        _ => (path, BEGUN),
    };
    match address::take(&app.cloud.store, what, &address, rate, now).await {
        None => Ok(Counted),
        Some(wait) => {
            let seconds = wait.as_secs() + 1;
            Err(HttpError::too_many(
                words::TOO_MANY.fill(Tongue::English, &[&seconds.to_string()]),
                Duration::from_secs(seconds),
            ))
        }
    }
}

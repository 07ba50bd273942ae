//! How fast one address may call a route that anybody can reach. The gateway's limits are for all addresses together, so they
//! are wide enough for a studio's morning, and one stranger alone must not use them up.

use std::time::Duration;

use axum::{extract::FromRequestParts, http::request::Parts};
use cloud::{Store, StoreError, Write, chain, http::HttpError, on_conflict, tables::AddressRateOf};
use lambda_http::request::RequestContext;
use model::{AddressRate, Millis};
use policy::rate::{self, Rate};
use tracing::warn;

use crate::fingerprint;

/// The caller's address, as API Gateway (or the firewall before it) saw it; empty where nobody says.
#[derive(Debug, Clone, Default)]
pub struct Address(pub String);

impl<S: Sync> FromRequestParts<S> for Address {
    type Rejection = HttpError;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, HttpError> {
        let address = match parts.extensions.get::<RequestContext>() {
            Some(RequestContext::ApiGatewayV2(context)) => context.http.source_ip.clone(),
            _ => None,
        };
        Ok(Self(address.unwrap_or_default()))
    }
}

/// Counts a call of this address; none if it may pass, else how long it is to wait. A counter that cannot be read or written
/// stops nobody. `what` is called: each has a counter of its own.
pub async fn take(store: &Store, what: &str, address: &str, rate: Rate, now: Millis) -> Option<Duration> {
    let id = AddressRateOf(fingerprint(&format!("{what}{address}")));
    let taken = on_conflict!({
        let known = store.get(&id).await?;
        let mut counter = known.unwrap_or_else(|| AddressRate {
            address: id.0.clone(),
            version: 0,
            bucket: Millis(0),
            ttl: 0,
        });
        match rate::take(counter.bucket, rate, now) {
            Ok(bucket) => {
                counter.bucket = bucket;
                counter.ttl = (bucket + Duration::from_mins(1)).seconds();
                store.commit([Write::put(&mut counter)?]).await?;
                Ok::<_, StoreError>(None)
            }
            Err(wait) => Ok(Some(wait)),
        }
    });
    taken.unwrap_or_else(|error| {
        warn!(error = chain(&error), "an address was not counted");
        None
    })
}

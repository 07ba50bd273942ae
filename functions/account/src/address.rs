//! How fast one address may sign in. The gateway's limits are for all addresses together, so they are wide enough for a
//! studio's morning, and one stranger alone must not use them up.

use std::time::Duration;

use accounts::fingerprint;
use cloud::{Write, chain, http::HttpError, on_conflict, tables::AddressRateOf};
use model::{AddressRate, Millis};
use policy::rate::{self, Rate};
use tracing::warn;

use crate::App;

/// A studio behind one address may begin a morning at once; after that, one each two seconds.
const RATE: Rate = Rate {
    interval: Duration::from_secs(2),
    burst: 60,
};

/// Lets a call of this address pass, or says when to come again. A counter that cannot be read or written stops nobody.
pub(crate) async fn admit(app: &App, address: &str, now: Millis) -> Result<(), HttpError> {
    let id = AddressRateOf(fingerprint(address));
    let store = &app.cloud.store;
    let taken = on_conflict!({
        let known = store.get(&id).await?;
        let mut counter = known.unwrap_or_else(|| AddressRate {
            address: id.0.clone(),
            version: 0,
            bucket: Millis(0),
            ttl: 0,
        });
        match rate::take(counter.bucket, RATE, now) {
            Ok(bucket) => {
                counter.bucket = bucket;
                counter.ttl = (bucket + Duration::from_mins(1)).seconds();
                store.commit([Write::put(&mut counter)?]).await?;
                Ok::<_, cloud::StoreError>(None)
            }
            Err(wait) => Ok(Some(wait)),
        }
    });
    match taken {
        Ok(None) => Ok(()),
        Ok(Some(wait)) => {
            let seconds = wait.as_secs() + 1;
            Err(HttpError::too_many(
                format!("Too many sign-ins came from your network at once. Try again in {seconds} s."),
                Duration::from_secs(seconds),
            ))
        }
        Err(error) => {
            warn!(error = chain(&error), "an address was not counted");
            Ok(())
        }
    }
}

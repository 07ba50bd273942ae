//! How fast one address may sign in.

use std::time::Duration;

use accounts::address;
use cloud::http::HttpError;
use model::Millis;
use policy::rate::Rate;
use web::Tongue;

use crate::{App, words};

/// A studio behind one address may begin a morning at once; after that, one each two seconds.
const RATE: Rate = Rate {
    interval: Duration::from_secs(2),
    burst: 60,
};

/// Lets a call of this address pass, or says when to come again.
pub(crate) async fn admit(app: &App, address: &str, now: Millis) -> Result<(), HttpError> {
    let Some(wait) = address::take(&app.cloud.store, "", address, RATE, now).await else {
        return Ok(());
    };
    let seconds = wait.as_secs() + 1;
    Err(HttpError::too_many(
        words::TOO_MANY.fill(Tongue::English, &[&seconds.to_string()]),
        Duration::from_secs(seconds),
    ))
}

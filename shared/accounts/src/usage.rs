use cloud::{Store, StoreError, tables::UsageOf};
use model::{Millis, Usage, UserId};

/// The month of a moment, `yyyy-mm`, UTC.
fn month(now: Millis) -> String {
    let seconds = i64::try_from(now.seconds()).unwrap_or(i64::MAX);
    jiff::Timestamp::from_second(seconds).map_or_else(|_| "1970-01".to_owned(), |at| at.strftime("%Y-%m").to_string())
}

/// What this user used in the month of that moment.
pub async fn usage(store: &Store, user: &UserId, at: Millis) -> Result<Usage, StoreError> {
    let id = UsageOf(user.clone(), month(at));
    let usage = store.get(&id).await?;
    Ok(usage.unwrap_or_else(|| Usage::new(id.0, id.1)))
}

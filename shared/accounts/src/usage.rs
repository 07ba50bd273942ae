use cloud::{Store, StoreError, tables::UsageOf};
use model::{Millis, Usage, UserId};

/// What this user used in the month of that moment.
pub async fn usage(store: &Store, user: &UserId, at: Millis) -> Result<Usage, StoreError> {
    let id = UsageOf(user.clone(), at.month());
    let usage = store.get(&id).await?;
    Ok(usage.unwrap_or_else(|| Usage::new(id.0, id.1)))
}

//! STS, as far as workers prove themselves to it.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use claim::identity::{IdentityError, IdentityPort};
use cloud::BoxFuture;

/// STS, which believes what a fake session token says, unless it is told what to answer.
#[derive(Debug, Clone, Default)]
pub(crate) struct FakeSts(Arc<Mutex<Option<Result<String, u16>>>>);

impl FakeSts {
    pub(crate) fn says(&self, answer: Result<&str, u16>) {
        let mut slot = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *slot = Some(answer.map(str::to_owned));
    }
}

impl IdentityPort for FakeSts {
    fn ask<'a>(&'a self, headers: &'a BTreeMap<String, String>) -> BoxFuture<'a, Result<String, IdentityError>> {
        Box::pin(async move {
            let told = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
            let token = headers.get("x-amz-security-token").map_or("", String::as_str);
            let session = token.replace("not-a-session-token-of-", "");
            match told {
                Some(Ok(arn)) => Ok(arn),
                Some(Err(status)) if status < 500 => Err(IdentityError::Refused(status)),
                Some(Err(_)) => Err(IdentityError::Unavailable("no way to sts".into())),
                None => Ok(format!(
                    "arn:aws:sts::123456789012:assumed-role/atelier-worker/{session}"
                )),
            }
        })
    }
}

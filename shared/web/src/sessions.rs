//! Browsers that are signed in. A session is a secret in a cookie, of which only the hash is kept; it begins with the
//! sign-in, ends after [`BrowserSession::LIFE`], is given another secret each hour, and is out when its user is, by the same
//! verdict as a token.

use std::sync::Arc;

use accounts::{access::PAINTERS, fingerprint, verdict};
use axum::{
    extract::FromRequestParts,
    http::request::Parts,
    response::{IntoResponse, Response},
};
use cloud::{
    Store, StoreError, Write,
    http::{Form, HttpError, Now},
    on_conflict,
    tables::BrowserOf,
};
use model::{Account, BrowserSession, Millis, UserId};

use crate::{Cookie, Problem, Site, Visit, visit};

/// The session's cookie.
const COOKIE: Cookie = Cookie("session");

/// Whoever's browser is signed in. A handler that takes one is called for nobody else.
#[derive(Debug)]
pub struct Visitor {
    /// Their account, as it is now.
    pub account: Account,
    session: BrowserSession,
}

impl Visitor {
    /// Who sent this visit, if their browser is signed in.
    pub async fn of(site: &impl Site, visit: &Visit, now: Millis) -> Result<Option<Self>, HttpError> {
        let store = site.store();
        let Some(session) = known(store, site, visit, now).await? else {
            return Ok(None);
        };
        let account = store.get(&session.user_id).await?;
        match verdict(account, session.started_at.seconds(), None) {
            Ok(account) if PAINTERS.contains(&account.role) => Ok(Some(Self { account, session })),
            Ok(_) | Err(_) => Ok(None),
        }
    }

    /// When their browser signed in.
    pub const fn since(&self) -> Millis {
        self.session.started_at
    }

    /// What a form of theirs must carry.
    pub fn form(&self) -> &str {
        &self.session.form
    }

    /// Refuses a form that no page of this session's has sent.
    pub fn wrote(&self, form: &Form) -> Result<(), HttpError> {
        if form.field("form") == self.session.form {
            Ok(())
        } else {
            Err(HttpError::new(
                403,
                "This page is old. Open your account again, then repeat what you did.",
            ))
        }
    }

    /// Gives the session another secret, if this one is old: the cookie that carries it.
    pub async fn renewed(&self, site: &impl Site, now: Millis) -> Result<Option<String>, StoreError> {
        let store = site.store();
        on_conflict!({
            let session = store.get(&BrowserOf(self.session.secret.clone())).await?;
            let Some(mut session) = session.filter(|it| now.since(it.renewed_at) >= BrowserSession::RENEWED) else {
                return Ok(None);
            };
            let secret = random();
            let mut next = session.renew(fingerprint(&secret), now);
            store
                .commit([Write::put(&mut session)?, Write::put(&mut next)?])
                .await?;
            Ok::<_, StoreError>(Some(COOKIE.set(site, &secret, next.ends_at.since(now))))
        })
    }

    /// Ends the session: the cookie that takes the secret away.
    pub async fn end(mut self, site: &impl Site) -> Result<String, StoreError> {
        match site.store().commit([Write::delete(&mut self.session)]).await {
            // Somebody else has ended or renewed it; what it was renewed to is not this browser's any more.
            Ok(()) | Err(StoreError::Conflict) => Ok(COOKIE.set(site, "", std::time::Duration::ZERO)),
            Err(error) => Err(error),
        }
    }
}

impl<S: Site> FromRequestParts<Arc<S>> for Visitor {
    type Rejection = Response;
    async fn from_request_parts(parts: &mut Parts, site: &Arc<S>) -> Result<Self, Response> {
        let refused = |error: HttpError| Problem::from(error).into_response();
        let Now(now) = Now::from_request_parts(parts, site).await.map_err(refused)?;
        let visit = Visit::from_request_parts(parts, site).await.map_err(refused)?;
        let visitor = Self::of(&**site, &visit, now).await.map_err(refused)?;
        visitor.ok_or_else(|| visit::to_sign_in(&parts.uri).into_response())
    }
}

/// Signs a browser in: the cookie that it keeps. A session that it had before ends.
pub async fn begin(site: &impl Site, visit: &Visit, user: UserId, now: Millis) -> Result<String, StoreError> {
    let store = site.store();
    if let Some(mut before) = known(store, site, visit, now).await? {
        match store.commit([Write::delete(&mut before)]).await {
            Ok(()) | Err(StoreError::Conflict) => {}
            Err(error) => return Err(error),
        }
    }
    let (secret, form) = (random(), random());
    let mut session = BrowserSession::new(fingerprint(&secret), form, user, now);
    store.commit([Write::put(&mut session)?]).await?;
    Ok(COOKIE.set(site, &secret, BrowserSession::LIFE))
}

async fn known(
    store: &Store,
    site: &impl Site,
    visit: &Visit,
    now: Millis,
) -> Result<Option<BrowserSession>, StoreError> {
    let Some(secret) = COOKIE.of(site, visit) else {
        return Ok(None);
    };
    let session = store.get(&BrowserOf(fingerprint(secret))).await?;
    Ok(session.filter(|it| now < it.ends_at))
}

/// 122 bits that nobody guesses.
fn random() -> String {
    uuid::Uuid::new_v4().simple().to_string()
}

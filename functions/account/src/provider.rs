//! Signing in at the studio's provider: there, back, and whose account that is.
//!
//! All of one browser's way hangs on a secret in its cookie. State, nonce and PKCE verifier are made from it and from
//! the sign-in's code, so they are kept nowhere, and an answer that belongs to another browser or another sign-in fits
//! nothing. The provider says who somebody is; that the device may paint is confirmed on our page, afterwards.

use std::sync::Arc;

use axum::extract::State;
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use cloud::{
    StoreError,
    http::{HttpError, Now, Query},
    on_conflict,
    tables::IdentityOf,
};
use model::{Account, Identified, Identity, Millis, PoolId, SignIn, UserId};
use web::{Cookie, Phrase, Problem, Redirect, Tongue, Visit, way_back};

use crate::{
    App,
    address::Counted,
    oidc::{Claims, OidcError, Provider},
    sign_in::open,
    words,
};

/// Its secret.
const COOKIE: Cookie = Cookie("sign-in");

/// A browser on its way.
pub(crate) struct Browser {
    code: String,
    /// The page to go on to if no device is to be let in; "" for the account.
    next: String,
    /// The language that the sign-in's page was asked for.
    asked: Option<Tongue>,
    /// `<code>.<random>.<next, as base64>.<language>`, the last if one was asked for.
    cookie: String,
}

impl Browser {
    /// One that is about to leave.
    fn leaving(code: &str, next: &str, asked: Option<Tongue>) -> Self {
        let random = uuid::Uuid::new_v4().simple();
        let language = asked.map(|it| format!(".{}", it.tag())).unwrap_or_default();
        let cookie = format!("{code}.{random}.{}{language}", BASE64_URL_SAFE_NO_PAD.encode(next));
        Self {
            code: code.to_owned(),
            next: next.to_owned(),
            asked,
            cookie,
        }
    }

    /// The one that sent this request, if it has left before.
    pub(crate) fn of(app: &App, visit: &Visit) -> Option<Self> {
        let cookie = COOKIE.of(app, visit)?;
        let (code, rest) = cookie.split_once('.')?;
        let mut rest = rest.split('.').skip(1);
        let (next, language) = (rest.next().unwrap_or_default(), rest.next());
        let next = BASE64_URL_SAFE_NO_PAD.decode(next).unwrap_or_default();
        let next = String::from_utf8(next).unwrap_or_default();
        Some(Self {
            code: code.to_owned(),
            next: way_back(&next).unwrap_or_default().to_owned(),
            asked: language.and_then(Tongue::named),
            cookie: cookie.to_owned(),
        })
    }

    fn derived(&self, what: &str) -> String {
        accounts::fingerprint(&format!("{what} {}", self.cookie))
    }

    /// Whether it is the one that came back from the provider as this user.
    pub(crate) fn was(&self, identified: &Identified) -> bool {
        self.derived("browser") == identified.browser
    }
}

/// Sends the browser to the studio's provider.
#[utoipa::path(
    get, path = "/v1/sign-in/provider", tag = "signing in",
    params(
        ("code" = Option<String>, Query),
        ("next" = Option<String>, Query, description = "Without a code: the page to go on to, below `studio`"),
        ("lang" = Option<String>, Query, description = "The language of the sign-in's page when the browser is back"),
    ),
    responses(
        (status = 303, description = "To the provider, with a cookie for the way"),
        (status = 404, body = String, content_type = "text/html; charset=utf-8"),
    )
)]
pub(crate) async fn leave(
    State(app): State<Arc<App>>,
    _: Counted,
    Now(now): Now,
    visit: Visit,
    query: Query,
) -> Result<Redirect, Problem> {
    let provider = configured(&app)?;
    // Without a code the browser itself is to be signed in, and no device.
    let code = query.first("code").unwrap_or_default();
    if !code.is_empty() {
        open(&app, &code, now).await?;
    }
    let next = query.first("next").unwrap_or_default();
    let browser = Browser::leaving(&code, way_back(&next).unwrap_or_default(), visit.asked);
    let (state, nonce, verifier) = (
        browser.derived("state"),
        browser.derived("nonce"),
        browser.derived("verifier"),
    );
    let location = provider.address(&state, &nonce, &verifier, now).await.map_err(said)?;
    Ok(Redirect {
        location,
        cookie: Some(COOKIE.set(&*app, &browser.cookie, SignIn::LIFE)),
    })
}

/// The browser is back from the provider. Finds out whose account it is and shows the sign-in's page again, where it is to
/// confirm.
#[utoipa::path(
    get, path = "/v1/sign-in/callback", tag = "signing in",
    params(
        ("code" = Option<String>, Query), ("state" = Option<String>, Query),
        ("iss" = Option<String>, Query), ("error" = Option<String>, Query),
    ),
    responses(
        (status = 303, description = "To the sign-in's page, or to the account if no device is to be let in"),
        (status = 400, body = String, content_type = "text/html; charset=utf-8"),
        (status = 403, body = String, content_type = "text/html; charset=utf-8"),
        (status = 404, body = String, content_type = "text/html; charset=utf-8"),
    )
)]
pub(crate) async fn come_back(
    State(app): State<Arc<App>>,
    _: Counted,
    Now(now): Now,
    visit: Visit,
    query: Query,
) -> Result<Redirect, Problem> {
    let provider = configured(&app)?;
    let query = |name: &str| query.first(name);
    let browser = Browser::of(&app, &visit).filter(|it| query("state").as_ref() == Some(&it.derived("state")));
    let browser = browser.ok_or_else(|| HttpError::new(400, words::OTHER_BROWSER.en))?;
    let device = !browser.code.is_empty();
    if device {
        open(&app, &browser.code, now).await?;
    }
    if query("iss").is_some_and(|issuer| issuer != provider.config.issuer) {
        return Err(said(OidcError::Wrong("answer is another's")).into());
    }
    let Some(code) = query("code") else {
        let error = query("error").unwrap_or_else(|| "no code".to_owned());
        let error: String = error.chars().take(60).collect();
        return Err(HttpError::new(403, words::NOT_LET_IN.fill(Tongue::English, &[&error])).into());
    };
    let claims = provider
        .claims(&code, &browser.derived("verifier"), &browser.derived("nonce"), now)
        .await
        .map_err(said)?;
    let user_id = on_conflict!({ account_of(&app, provider, &claims, now).await })?;
    if !device {
        return Ok(Redirect {
            location: match browser.next.as_str() {
                "" => "../account".to_owned(),
                next => format!("../{next}"),
            },
            cookie: Some(web::begin(&*app, &visit, user_id, now).await?),
        });
    }
    on_conflict!({
        let mut sign_in = open(&app, &browser.code, now).await?;
        sign_in.identified = Some(Identified {
            user_id: user_id.clone(),
            browser: browser.derived("browser"),
        });
        Ok::<_, HttpError>(app.cloud.store.commit([cloud::Write::put(&mut sign_in)?]).await?)
    })?;
    let language = browser.asked.map(|it| format!("&lang={}", it.tag()));
    let language = language.unwrap_or_default();
    Ok(Redirect::to(format!("../sign-in?code={}{language}", browser.code)))
}

/// Whose account these claims open: that of their subject; else that of their verified e-mail address, which is theirs
/// from then on; else a new one, where the studio wants that.
async fn account_of(app: &App, provider: &Provider, claims: &Claims, now: Millis) -> Result<UserId, HttpError> {
    let store = &app.cloud.store;
    let subject = Identity::subject(&provider.config.issuer, &claims.sub);
    if let Some(identity) = store.get(&IdentityOf(subject.clone())).await? {
        return Ok(identity.user_id);
    }
    let named = match claims.email() {
        Some(email) => store.get(&IdentityOf(Identity::email(email))).await?,
        None => None,
    };
    let before = match named {
        Some(identity) => store.get(&identity.user_id).await?,
        None => None,
    };
    let account = match (&before, &provider.config.team) {
        (Some(account), _) if account.subject.is_some() => {
            return Err(unknown(
                words::SAME_ADDRESS,
                &[account.user_id.as_str(), claims.email().unwrap_or_default()],
            ));
        }
        (Some(account), _) => account.clone(),
        (None, Some(team)) => {
            let id = UserId::new(format!("u-{}", &accounts::fingerprint(&subject)[..16]));
            let mut account = Account::new(id, team.clone(), PoolId::new("default"), now);
            account.email = claims.email().map(str::to_lowercase);
            let name = claims.name.as_ref().or(account.email.as_ref());
            account.name = name.unwrap_or(&account.name).chars().take(100).collect();
            account
        }
        (None, None) => {
            let flag = match claims.email() {
                Some(email) => format!("--email {email}"),
                None => format!("--subject '{subject}'"),
            };
            return Err(unknown(words::NO_ACCOUNT, &[&flag]));
        }
    };
    let after = Account {
        subject: Some(subject),
        ..account
    };
    let user_id = after.user_id.clone();
    match accounts::write(store, before, Some(after)).await? {
        None => Ok(user_id),
        // Written in between: look again.
        Some(_) => Err(StoreError::Conflict.into()),
    }
}

fn unknown(phrase: Phrase, values: &[&str]) -> HttpError {
    HttpError::new(403, phrase.fill(Tongue::English, values))
}

fn configured(app: &App) -> Result<&Provider, HttpError> {
    let provider = app.provider.as_ref();
    provider.ok_or_else(|| HttpError::new(404, words::BY_INVITATION.en))
}

fn said(error: OidcError) -> HttpError {
    let (status, phrase) = match &error {
        OidcError::Unreachable(_) | OidcError::Wrong(_) => (503, words::SILENT),
        OidcError::Refused(_) => (400, words::LATE),
        OidcError::Token(_) => (403, words::NOT_TRUSTED),
    };
    HttpError {
        source: Some(error.into()),
        ..HttpError::new(status, phrase.en)
    }
}

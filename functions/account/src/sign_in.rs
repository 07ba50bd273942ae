//! Signing in from a device: the plugin starts it, a person approves it in a browser with an invitation or as whom the
//! studio's provider names, and the plugin picks its token up, once.

use std::sync::Arc;

use accounts::fingerprint;
use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use cloud::{
    StoreError, Write,
    http::{Form, HttpError, Json, Now, Query},
    on_conflict,
    tables::{DeviceOf, InvitationOf, SignInOf},
};
use model::{Account, Device, Invitation, Millis, SignIn, SignedIn, UserId};
use serde::{Deserialize, Serialize};
use tasks::recording;
use utoipa::ToSchema;
use web::{Page, Problem, Redirect, Visit, Visitor};

use crate::{
    App,
    address::Counted,
    page::{self, Ask, Who},
    provider::Browser,
    refused, words,
};

/// Longest client id and device name taken, bytes.
const MAX_TEXT: usize = 200;
/// How long the same device is given the same token again: longer than a call may take, shorter than a theft.
const GIVEN_AGAIN: std::time::Duration = std::time::Duration::from_secs(30);

/// A device that wants in.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct Initiate {
    /// A secret of the device's own, 8 to 200 bytes.
    client_id: String,
    /// What the device calls itself.
    #[serde(default)]
    client_info: String,
}

/// Where a person lets the device in.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Started {
    /// A page, below the sign-in's address.
    url: String,
}

/// The device again.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct Confirm {
    /// As in `initiate`.
    client_id: String,
}

/// Whether somebody has let the device in.
#[derive(Debug, Serialize, ToSchema)]
#[serde(tag = "status", rename_all = "kebab-case")]
pub(crate) enum Confirmed {
    /// Nobody has, yet or any more.
    NotFound,
    /// Somebody has: the token, once.
    Authorized {
        /// Good for 30 days.
        token: String,
    },
}

/// Begins a sign-in. The page's address carries a code of its own, never the client id, since whoever knows the client id
/// gets the token.
#[utoipa::path(
    post, path = "/v1/auth/initiate", tag = "signing in", request_body = Initiate,
    responses((status = 200, body = Started))
)]
pub(crate) async fn initiate(
    State(app): State<Arc<App>>,
    _: Counted,
    Now(now): Now,
    visit: Visit,
    Json(Initiate { client_id, client_info }): Json<Initiate>,
) -> Result<Json<Started>, HttpError> {
    if !(8..=MAX_TEXT).contains(&client_id.len()) {
        return Err(HttpError::new(400, "The client id is not what the plugin sends."));
    }
    let code = uuid::Uuid::new_v4().simple().to_string();
    let ttl = (now + SignIn::LIFE).seconds();
    let sign_in = SignIn {
        code: code.clone(),
        version: 0,
        device: client_info.chars().filter(|c| !c.is_control()).take(MAX_TEXT).collect(),
        address: visit.address,
        started_at: now,
        identified: None,
        approved_by: None,
        given_at: None,
        ttl,
    };
    let client = fingerprint(&client_id);
    on_conflict!({
        let version = app
            .cloud
            .store
            .get(&DeviceOf(client.clone()))
            .await?
            .map_or(0, |device| device.version);
        let mut device = Device {
            client: client.clone(),
            version,
            code: code.clone(),
            ttl,
        };
        app.cloud
            .store
            .commit([Write::put(&mut sign_in.clone())?, Write::put(&mut device)?])
            .await
    })?;
    Ok(Json(Started {
        url: format!("/sign-in?code={code}"),
    }))
}

/// The token, if somebody has approved: once, and for half a minute again, since the answer may have been lost.
#[utoipa::path(
    post, path = "/v1/auth/confirm", tag = "signing in", request_body = Confirm,
    responses((status = 200, body = Confirmed))
)]
pub(crate) async fn confirm(
    State(app): State<Arc<App>>,
    _: Counted,
    Now(now): Now,
    Json(Confirm { client_id }): Json<Confirm>,
) -> Result<Json<Confirmed>, HttpError> {
    let client = DeviceOf(fingerprint(&client_id));
    let given = on_conflict!({ give(&app, &client, now).await })?;
    let Some((account, device)) = given else {
        return Ok(Json(Confirmed::NotFound));
    };
    let token = app.signer.device(&account, device.id, device.at, Account::TOKEN_LIFE);
    let token = token.map_err(HttpError::unavailable)?;
    Ok(Json(Confirmed::Authorized { token }))
}

/// Whose token this device is to have, and which device that makes it.
async fn give(app: &App, client: &DeviceOf, now: Millis) -> Result<Option<(Account, SignedIn)>, StoreError> {
    let store = &app.cloud.store;
    let Some(device) = store.get(client).await? else {
        return Ok(None);
    };
    let sign_in = store.get(&SignInOf(device.code)).await?;
    let Some(mut sign_in) = sign_in.filter(|it| it.is_open(now)) else {
        return Ok(None);
    };
    let Some(user) = sign_in.approved_by.clone() else {
        return Ok(None);
    };
    let account = store.get(&user).await?;
    let Some(mut account) = account.filter(|it| !it.is_revoked(sign_in.started_at)) else {
        return Ok(None);
    };
    let given_at = sign_in.given_at.unwrap_or(now);
    let device = SignedIn {
        id: fingerprint(&format!("device {}", sign_in.code))[..16].to_owned(),
        name: sign_in.device.clone(),
        at: given_at,
    };
    if sign_in.given_at.is_some() {
        let again = now.since(given_at) < GIVEN_AGAIN && account.has(Some(&device.id));
        return Ok(again.then_some((account, device)));
    }
    sign_in.given_at = Some(now);
    account.sign_in(device.clone());
    store
        .commit([Write::put(&mut sign_in)?, Write::put(&mut account)?])
        .await?;
    Ok(Some((account, device)))
}

/// The page that asks for the invitation, or for the confirmation of whom the provider or the browser's session has named;
/// it says which device from which address is being let in. Without a code it asks who the browser's own painter is.
#[utoipa::path(
    get, path = "/v1/sign-in", tag = "signing in",
    params(
        ("code" = Option<String>, Query),
        ("next" = Option<String>, Query, description = "Without a code: the page to go on to, below `studio`"),
        ("invitation" = Option<String>, Query, description = "Without a code: what the field is filled with"),
        ("lang" = Option<String>, Query, description = "The page's language, `en` or `zh-CN`; else the browser's"),
    ),
    responses(
        (status = 200, body = String, content_type = "text/html; charset=utf-8"),
        (status = 303, description = "To the account, or on: the browser is signed in, and no device is to be let in"),
        (status = 404, body = String, content_type = "text/html; charset=utf-8"),
    )
)]
pub(crate) async fn show(
    State(app): State<Arc<App>>,
    _: Counted,
    Now(now): Now,
    visit: Visit,
    query: Query,
) -> Result<Response, Problem> {
    let code = query.first("code").unwrap_or_default();
    let visitor = Visitor::of(&*app, &visit, now).await?;
    if code.is_empty() {
        let (next, invitation) = (query.first("next"), query.first("invitation"));
        let who = Who::new(&visit, next.as_deref(), invitation.as_deref());
        return Ok(match visitor {
            Some(_) => Redirect::to(who.next.unwrap_or(ACCOUNT)).into_response(),
            None => Page(page::ask_who(&app, &who), None).into_response(),
        });
    }
    let sign_in = open(&app, &code, now).await?;
    let named = match identified(&app, &sign_in, &visit) {
        Some(user) => app.cloud.store.get(user).await?.map(|account| account.name),
        None => None,
    };
    let ask = Ask {
        name: named.as_deref(),
        ..Ask::of(&app, &sign_in, &visit, visitor.as_ref())
    };
    Ok(Page(page::ask(&ask), None).into_response())
}

/// The user whom the provider has named to the very browser that asks.
fn identified<'a>(app: &App, sign_in: &'a SignIn, visit: &Visit) -> Option<&'a UserId> {
    let identified = sign_in.identified.as_ref()?;
    let browser = Browser::of(app, visit)?;
    browser.was(identified).then_some(&identified.user_id)
}

/// Whether the user's team records a class.
async fn is_recorded(app: &App, user: &UserId) -> Result<bool, StoreError> {
    let store = &app.cloud.store;
    match store.get(user).await? {
        Some(account) => recording::class(store, &account.team).await,
        None => Ok(false),
    }
}

/// Where a browser goes that was sent nowhere else.
const ACCOUNT: &str = "account";

/// Approves, if the invitation is good, which is used up with it, or if this browser is the one whose user the provider
/// has named, or is signed in. Without a code an invitation signs the browser itself in.
#[utoipa::path(
    post, path = "/v1/sign-in", tag = "signing in",
    params(("lang" = Option<String>, Query, description = "The page's language, `en` or `zh-CN`; else the browser's")),
    request_body(
        content = SignInForm, content_type = "application/x-www-form-urlencoded",
        description = "`code`, and `invitation` unless the provider has named somebody to this browser or it is signed in"
    ),
    responses(
        (status = 200, body = String, content_type = "text/html; charset=utf-8"),
        (status = 303, description = "To the account: the browser is signed in, and no device is to be let in"),
        (status = 400, body = String, content_type = "text/html; charset=utf-8"),
        (status = 403, body = String, content_type = "text/html; charset=utf-8"),
        (status = 404, body = String, content_type = "text/html; charset=utf-8"),
    )
)]
pub(crate) async fn approve(
    State(app): State<Arc<App>>,
    _: Counted,
    Now(now): Now,
    visit: Visit,
    form: Form,
) -> Result<Response, Problem> {
    visit.must_be_ours()?;
    let (code, invitation) = (form.field("code"), form.field("invitation").to_lowercase());
    if code.is_empty() {
        return sign_browser_in(&app, &visit, &invitation, &form.field("next"), now).await;
    }
    let visitor = Visitor::of(&*app, &visit, now).await?;
    let signed_in = visitor.as_ref().filter(|it| it.wrote(&form).is_ok());
    let approved = on_conflict!({
        let mut sign_in = open(&app, &code, now).await?;
        let (user, mut invited) = if invitation.is_empty() {
            let named = identified(&app, &sign_in, &visit);
            let named = named.or(signed_in.map(|it| &it.account.user_id));
            (named.cloned(), None)
        } else {
            let invited = invited(&app, &invitation, now).await?;
            (invited.as_ref().map(|it| it.user_id.clone()), invited)
        };
        let Some(user) = user else {
            return Ok(Err(sign_in));
        };
        sign_in.approved_by = Some(user.clone());
        let mut writes = vec![Write::put(&mut sign_in)?];
        writes.extend(invited.as_mut().map(Write::delete));
        app.cloud.store.commit_all(&writes).await?;
        Ok::<_, HttpError>(Ok((sign_in, user)))
    })?;
    Ok(match approved {
        Ok((sign_in, user)) => {
            let stays = form.field("stay") == "yes";
            // It is done: where this cannot be read, the plugin's first call says it.
            let recorded = is_recorded(&app, &user).await.unwrap_or_default();
            let cookie = if stays {
                Some(web::begin(&*app, &visit, user, now).await?)
            } else {
                None
            };
            let page = page::approved((&visit).into(), &sign_in, stays || signed_in.is_some(), recorded);
            Page(page, cookie).into_response()
        }
        Err(sign_in) => {
            refused::note(words::BAD_INVITATION.en);
            let ask = Ask {
                problem: Some(words::BAD_INVITATION),
                ..Ask::of(&app, &sign_in, &visit, visitor.as_ref())
            };
            Page(page::ask(&ask), None).into_response()
        }
    })
}

/// Uses an invitation up for this browser.
async fn sign_browser_in(
    app: &App,
    visit: &Visit,
    invitation: &str,
    next: &str,
    now: Millis,
) -> Result<Response, Problem> {
    let who = Who::new(visit, Some(next), None);
    let user = on_conflict!({
        let Some(mut invited) = invited(app, invitation, now).await? else {
            return Ok(None);
        };
        app.cloud.store.commit([Write::delete(&mut invited)]).await?;
        Ok::<_, HttpError>(Some(invited.user_id))
    })?;
    let Some(user) = user else {
        refused::note(words::BAD_INVITATION.en);
        let who = Who {
            problem: Some(words::BAD_INVITATION),
            ..who
        };
        return Ok(Page(page::ask_who(app, &who), None).into_response());
    };
    let redirect = Redirect {
        location: who.next.unwrap_or(ACCOUNT).to_owned(),
        cookie: Some(web::begin(app, visit, user, now).await?),
    };
    Ok(redirect.into_response())
}

/// The page's form.
#[derive(ToSchema)]
#[expect(dead_code, reason = "only the document's: a form's fields are read by name")]
pub(crate) struct SignInForm {
    /// The sign-in's code; none to sign the browser itself in.
    code: Option<String>,
    /// The invitation's words.
    invitation: Option<String>,
    /// `yes`: the browser is to stay signed in.
    stay: Option<String>,
    /// Without a code: the page to go on to.
    next: Option<String>,
    /// What the pages of a browser that is signed in carry.
    form: Option<String>,
}

/// The invitation with these words, if it is good.
async fn invited(app: &App, words: &str, now: Millis) -> Result<Option<Invitation>, HttpError> {
    let invited = app.cloud.store.get(&InvitationOf(fingerprint(words))).await?;
    let Some(invited) = invited.filter(|it| it.expires_at > now) else {
        return Ok(None);
    };
    let account = app.cloud.store.get(&invited.user_id).await?;
    Ok(account.filter(|it| !it.is_revoked(invited.made_at)).map(|_| invited))
}

/// The sign-in with this code, if it still waits.
pub(crate) async fn open(app: &App, code: &str, now: Millis) -> Result<SignIn, HttpError> {
    let sign_in = app.cloud.store.get(&SignInOf(code.to_owned())).await?;
    sign_in
        .filter(|it| it.approved_by.is_none() && it.is_open(now))
        .ok_or_else(|| HttpError::new(404, words::ENDED.en))
}

//! Signing in from a device: the plugin starts it, a person approves it in a browser with an invitation or as whom the
//! studio's provider names, and the plugin picks its token up, once.

use std::sync::Arc;

use accounts::fingerprint;
use axum::extract::State;
use cloud::{
    StoreError, Write,
    http::{Form, HttpError, Json, Now, Query},
    on_conflict,
    tables::{DeviceOf, InvitationOf, SignInOf},
};
use model::{Account, Device, Invitation, Millis, SignIn, UserId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    App, address,
    page::{self, Ask},
    provider::Browser,
    visit::{Page, Problem, Visit},
};

/// Longest client id and device name taken, bytes.
const MAX_TEXT: usize = 200;
/// How long a painter's token is good for.
const TOKEN_LIFE: std::time::Duration = std::time::Duration::from_hours(30 * 24);
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
    Now(now): Now,
    visit: Visit,
    Json(Initiate { client_id, client_info }): Json<Initiate>,
) -> Result<Json<Started>, HttpError> {
    if !(8..=MAX_TEXT).contains(&client_id.len()) {
        return Err(HttpError::new(400, "The client id is not what the plugin sends."));
    }
    address::admit(&app, &visit.address, now).await?;
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
    Now(now): Now,
    Json(Confirm { client_id }): Json<Confirm>,
) -> Result<Json<Confirmed>, HttpError> {
    let client = DeviceOf(fingerprint(&client_id));
    let given = on_conflict!({ give(&app, &client, now).await })?;
    let Some((account, given_at)) = given else {
        return Ok(Json(Confirmed::NotFound));
    };
    let token = app
        .signer
        .user(
            account.user_id.as_str(),
            &account.team,
            account.role,
            given_at,
            TOKEN_LIFE,
        )
        .map_err(HttpError::unavailable)?;
    Ok(Json(Confirmed::Authorized { token }))
}

/// Whose token this device is to have, and from when it dates.
async fn give(app: &App, client: &DeviceOf, now: Millis) -> Result<Option<(Account, Millis)>, StoreError> {
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
    let Some(account) = account.filter(|it| !it.is_revoked(sign_in.started_at)) else {
        return Ok(None);
    };
    if let Some(given_at) = sign_in.given_at {
        return Ok((now.since(given_at) < GIVEN_AGAIN).then_some((account, given_at)));
    }
    sign_in.given_at = Some(now);
    store.commit([Write::put(&mut sign_in)?]).await?;
    Ok(Some((account, now)))
}

/// The page that asks for the invitation, or for the confirmation of whom the provider has named; it says which device
/// from which address is being let in.
#[utoipa::path(
    get, path = "/v1/sign-in", tag = "signing in", params(("code" = String, Query)),
    responses(
        (status = 200, body = String, content_type = "text/html; charset=utf-8"),
        (status = 404, body = String, content_type = "text/html; charset=utf-8"),
    )
)]
pub(crate) async fn show(
    State(app): State<Arc<App>>,
    Now(now): Now,
    visit: Visit,
    query: Query,
) -> Result<Page, Problem> {
    let code = query.first("code").unwrap_or_default();
    let sign_in = open(&app, &code, now).await?;
    let named = match identified(&sign_in, &visit) {
        Some(user) => app.cloud.store.get(user).await?.map(|account| account.name),
        None => None,
    };
    Ok(Page(page::ask(&Ask {
        name: named.as_deref(),
        ..Ask::of(&app, &sign_in, &visit)
    })))
}

/// The user whom the provider has named to the very browser that asks.
fn identified<'a>(sign_in: &'a SignIn, visit: &Visit) -> Option<&'a UserId> {
    let identified = sign_in.identified.as_ref()?;
    let browser = Browser::of(visit)?;
    browser.was(identified).then_some(&identified.user_id)
}

/// Approves, if the invitation is good, which is used up with it, or if this browser is the one whose user the provider
/// has named.
#[utoipa::path(
    post, path = "/v1/sign-in", tag = "signing in",
    request_body(
        content = SignInForm, content_type = "application/x-www-form-urlencoded",
        description = "`code`, and `invitation` unless the provider has named somebody to this browser"
    ),
    responses(
        (status = 200, body = String, content_type = "text/html; charset=utf-8"),
        (status = 400, body = String, content_type = "text/html; charset=utf-8"),
        (status = 404, body = String, content_type = "text/html; charset=utf-8"),
    )
)]
pub(crate) async fn approve(
    State(app): State<Arc<App>>,
    Now(now): Now,
    visit: Visit,
    form: Form,
) -> Result<Page, Problem> {
    address::admit(&app, &visit.address, now).await?;
    let (code, invitation) = (form.field("code"), form.field("invitation").to_lowercase());
    let approved = on_conflict!({
        let mut sign_in = open(&app, &code, now).await?;
        let (user, mut invited) = if invitation.is_empty() {
            (identified(&sign_in, &visit).cloned(), None)
        } else {
            let invited = invited(&app, &invitation, now).await?;
            (invited.as_ref().map(|it| it.user_id.clone()), invited)
        };
        if user.is_none() {
            return Ok(Err(sign_in));
        }
        sign_in.approved_by = user;
        let mut writes = vec![Write::put(&mut sign_in)?];
        writes.extend(invited.as_mut().map(Write::delete));
        app.cloud.store.commit_all(&writes).await?;
        Ok::<_, HttpError>(Ok(sign_in))
    })?;
    Ok(Page(match approved {
        Ok(sign_in) => page::approved(&sign_in),
        Err(sign_in) => page::ask(&Ask {
            problem: Some("This invitation is not good: it was used, has ended, or was mistyped. Ask for a new one."),
            ..Ask::of(&app, &sign_in, &visit)
        }),
    }))
}

/// The page's form.
#[derive(ToSchema)]
#[expect(dead_code, reason = "only the document's: a form's fields are read by name")]
pub(crate) struct SignInForm {
    /// The sign-in's code.
    code: String,
    /// The invitation's words.
    invitation: Option<String>,
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
        .ok_or_else(|| HttpError::new(404, "This sign-in has ended. Start it again in Krita."))
}

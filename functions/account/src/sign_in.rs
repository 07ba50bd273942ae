//! Signing in from a device: the plugin starts it, a person approves it in a browser with an invitation or as whom the
//! studio's provider names, and the plugin picks its token up, once.

use cloud::{
    StoreError, Write,
    accounts::fingerprint,
    http::{Event, HttpError, Reply, json, reply},
    retry::on_conflict,
    tables::{DeviceOf, InvitationOf, SignInOf},
};
use model::{Device, Invitation, Millis, SignIn, UserId};
use serde::Deserialize;
use serde_json::json;

use crate::{
    App,
    page::{self, Ask},
    provider::Browser,
};

/// Longest client id and device name taken, bytes.
const MAX_TEXT: usize = 200;
/// How long a painter's token is good for.
const TOKEN_LIFE: std::time::Duration = std::time::Duration::from_hours(30 * 24);

#[derive(Debug, Deserialize)]
struct Initiate {
    client_id: String,
    #[serde(default)]
    client_info: String,
}

#[derive(Debug, Deserialize)]
struct Confirm {
    client_id: String,
}

/// `POST /v1/auth/initiate`: begins a sign-in. The page's address carries a code of its own, never the client id, since
/// whoever knows the client id gets the token.
pub(crate) async fn initiate(app: &App, event: &Event, now: Millis) -> Reply {
    let Initiate { client_id, client_info } = json(event)?;
    if !(8..=MAX_TEXT).contains(&client_id.len()) {
        return Err(HttpError::new(400, "The client id is not what the plugin sends."));
    }
    let code = uuid::Uuid::new_v4().simple().to_string();
    let ttl = (now + SignIn::LIFE).seconds();
    let sign_in = SignIn {
        code: code.clone(),
        version: 0,
        device: client_info.chars().filter(|c| !c.is_control()).take(MAX_TEXT).collect(),
        address: address(event),
        started_at: now,
        identified: None,
        approved_by: None,
        ttl,
    };
    let client = fingerprint(&client_id);
    on_conflict(async || {
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
    })
    .await?;
    reply(200, &json!({ "url": format!("/sign-in?code={code}") }))
}

/// `POST /v1/auth/confirm`: the token, once, if somebody has approved.
pub(crate) async fn confirm(app: &App, event: &Event, now: Millis) -> Reply {
    let Confirm { client_id } = json(event)?;
    let waiting = || reply(200, &json!({ "status": "not-found" }));
    let Some(mut device) = app.cloud.store.get(&DeviceOf(fingerprint(&client_id))).await? else {
        return waiting();
    };
    let Some(mut sign_in) = app.cloud.store.get(&SignInOf(device.code.clone())).await? else {
        return waiting();
    };
    let Some(user) = sign_in.approved_by.clone().filter(|_| sign_in.is_open(now)) else {
        return waiting();
    };
    let account = app.cloud.store.get(&user).await?;
    let Some(account) = account.filter(|it| !it.is_revoked(sign_in.started_at)) else {
        return waiting();
    };
    let token = app
        .signer
        .user(user.as_str(), &account.team, account.role, now, TOKEN_LIFE)
        .map_err(HttpError::unavailable)?;
    match app
        .cloud
        .store
        .commit([Write::delete(&mut sign_in), Write::delete(&mut device)])
        .await
    {
        Ok(()) => reply(200, &json!({ "status": "authorized", "token": token })),
        // Somebody else was given it.
        Err(StoreError::Conflict) => waiting(),
        Err(error) => Err(error.into()),
    }
}

/// `GET /v1/sign-in`: asks for the invitation, or for the confirmation of whom the provider has named; says which device
/// from which address is being let in.
pub(crate) async fn show(app: &App, event: &Event, now: Millis) -> Result<String, HttpError> {
    let code = event.query_string_parameters.first("code").unwrap_or_default();
    let sign_in = open(app, code, now).await?;
    let named = match identified(&sign_in, event) {
        Some(user) => app.cloud.store.get(user).await?.map(|account| account.name),
        None => None,
    };
    Ok(page::ask(&Ask {
        name: named.as_deref(),
        ..Ask::of(app, &sign_in, event)
    }))
}

/// The user whom the provider has named to the very browser that asks.
fn identified<'a>(sign_in: &'a SignIn, event: &Event) -> Option<&'a UserId> {
    let identified = sign_in.identified.as_ref()?;
    let browser = Browser::of(event)?;
    browser.was(identified).then_some(&identified.user_id)
}

/// `POST /v1/sign-in`: approves, if the invitation is good, which is used up with it, or if this browser is the one whose
/// user the provider has named.
pub(crate) async fn approve(app: &App, event: &Event, now: Millis) -> Result<String, HttpError> {
    let body = cloud::http::bytes(event)?;
    let field = |name: &str| {
        let mut pairs = form_urlencoded::parse(&body);
        pairs
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.trim().to_owned())
            .unwrap_or_default()
    };
    let (code, invitation) = (field("code"), field("invitation").to_lowercase());
    let approved = on_conflict(async || {
        let mut sign_in = open(app, &code, now).await?;
        let (user, mut invited) = if invitation.is_empty() {
            (identified(&sign_in, event).cloned(), None)
        } else {
            let invited = invited(app, &invitation, now).await?;
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
    })
    .await?;
    Ok(match approved {
        Ok(sign_in) => page::approved(&sign_in),
        Err(sign_in) => page::ask(&Ask {
            problem: Some("This invitation is not good: it was used, has ended, or was mistyped. Ask for a new one."),
            ..Ask::of(app, &sign_in, event)
        }),
    })
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

/// The caller's address, as API Gateway saw it.
pub(crate) fn address(event: &Event) -> String {
    event.request_context.http.source_ip.clone().unwrap_or_default()
}

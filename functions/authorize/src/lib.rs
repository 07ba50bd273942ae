//! JWT authorizer of the HTTP and the WebSocket API: says who calls, and whether they are in; what they may do is decided
//! by the table of routes. Nobody else decides it, so no handler can forget it. API Gateway keeps an answer for a minute.
//!
//! An HTTP API's own refusal is a 403 that the plugin shows as "Network error", so a bad token is let through with
//! `{refused: reason}`, which every handler turns into a 401 in plain words. On `$connect` there is no handler's word
//! to be heard, so the answer is an allow or deny policy.

use accounts::{AccountError, Bearer, Edge, admit, edge, fingerprint};
use cloud::{
    Store, StoreError, Write, chain, metrics,
    tables::TicketOf,
    token::{self, Claims, Verifier},
};
use model::{Millis, Role, TeamId, metrics::REFUSED_LOGINS};
use serde_json::{Map, Value, json};

/// What the authorizer needs.
#[derive(Debug)]
pub struct App {
    /// Accounts and workers.
    pub store: Store,
    /// Checks tokens.
    pub verifier: Verifier,
    /// How a WebSocket is known that came through the firewall. On the HTTP API the functions look at each call, since an
    /// answer from here is kept.
    pub edge: Edge,
}

/// What the handlers will know: who it is, or why not.
type Context = Map<String, Value>;

impl App {
    /// Answers an authorizer event of either API. The error is for a WebSocket, which is to be opened again: on the HTTP
    /// API a handler says it.
    pub async fn handle(&self, event: &Value) -> Result<Value, StoreError> {
        // Only the WebSocket API's payload (version 1.0) has a method ARN.
        let arn = event.get("methodArn").and_then(Value::as_str);
        let past_edge = arn.is_none() || self.edge.admits(header(event, edge::HEADER));
        let claims = match ticket(event).filter(|_| arn.is_some() && past_edge) {
            Some(secret) => self.ticket(secret, event).await?,
            None => self.claims(event),
        };
        let context = match claims {
            _ if !past_edge => Ok(refused("the call did not come by the studio's own address")),
            Ok(claims) => self.context(&claims).await,
            Err(reason) => Ok(refused(reason)),
        };
        let context = match context {
            Ok(context) => context,
            Err(error) if arn.is_some() => return Err(error),
            Err(error) => {
                tracing::error!(error = chain(&error), "a verdict could not be had");
                Map::from_iter([("unavailable".to_owned(), Value::from(true))])
            }
        };
        let (sub, reason) = (text(&context, "sub"), text(&context, "refused"));
        tracing::info!(sub, refused = reason, "authorized");
        if let Some(reason) = reason {
            metrics::note([REFUSED_LOGINS.of(1.0)], &[("refused", &reason)]);
        }
        Ok(match arn {
            None => json!({ "isAuthorized": true, "context": context }),
            Some(arn) => json!({
                "principalId": sub.unwrap_or("nobody"),
                "policyDocument": {
                    "Version": "2012-10-17",
                    "Statement": [{
                        "Action": "execute-api:Invoke",
                        "Effect": if reason.is_some() { "Deny" } else { "Allow" },
                        "Resource": arn,
                    }],
                },
                "context": context,
            }),
        })
    }

    /// What the token says, if it is one of ours.
    fn claims(&self, event: &Value) -> Result<Claims, &'static str> {
        let token = of_header(event).ok_or("there is no token")?;
        self.verifier.verify(token).map_err(|error| error.reason())
    }

    /// What a browser's ticket says, which is used up by it: it opens one WebSocket, at once. The error is a deny, and the
    /// browser asks for another one.
    async fn ticket(&self, secret: &str, event: &Value) -> Result<Result<Claims, &'static str>, StoreError> {
        const BAD: &str = "the ticket is not good, or was used";
        let now = event
            .pointer("/requestContext/requestTimeEpoch")
            .and_then(Value::as_u64);
        let now = Millis(now.unwrap_or(u64::MAX));
        let Some(mut ticket) = self.store.get(&TicketOf(fingerprint(secret))).await? else {
            return Ok(Err(BAD));
        };
        match self.store.commit([Write::delete(&mut ticket)]).await {
            Ok(()) if now < ticket.expires_at => {}
            Ok(()) | Err(StoreError::Conflict) => return Ok(Err(BAD)),
            Err(error) => return Err(error),
        }
        Ok(Ok(Claims {
            iss: String::new(),
            aud: String::new(),
            sub: ticket.user_id.to_string(),
            // Role and team are the account's.
            team: TeamId::new(""),
            role: Role::Painter,
            iat: ticket.since.seconds(),
            exp: 0,
            device: None,
            generation: None,
            pool: None,
        }))
    }

    /// Who bears this token now, or why they are out.
    pub async fn context(&self, claims: &Claims) -> Result<Context, StoreError> {
        let Bearer { role, team } = match admit(&self.store, claims).await {
            Ok(bearer) => bearer,
            Err(AccountError::Out(out)) => return Ok(refused(&out.to_string())),
            Err(AccountError::Store(error)) => return Err(error),
        };
        let mut context = Map::new();
        context.insert("sub".to_owned(), claims.sub.as_str().into());
        context.insert("team".to_owned(), team.as_str().into());
        context.insert("role".to_owned(), json!(role));
        context.insert("iat".to_owned(), claims.iat.into());
        if let Some(device) = &claims.device {
            context.insert("device".to_owned(), device.as_str().into());
        }
        if let Some(generation) = claims.generation {
            context.insert("generation".to_owned(), generation.into());
        }
        if let Some(pool) = &claims.pool {
            context.insert("pool".to_owned(), pool.as_str().into());
        }
        Ok(context)
    }
}

fn refused(reason: &str) -> Context {
    Map::from_iter([("refused".to_owned(), Value::from(reason))])
}

fn text<'a>(context: &'a Context, name: &str) -> Option<&'a str> {
    context.get(name).and_then(Value::as_str)
}

/// A header, whose name comes in any case on the WebSocket API.
fn header<'a>(event: &'a Value, wanted: &str) -> Option<&'a str> {
    let mut headers = event.get("headers")?.as_object()?.iter();
    headers.find(|(name, _)| name.eq_ignore_ascii_case(wanted))?.1.as_str()
}

/// The ticket in the address, which only a browser has. It stands in no log: neither the access log nor we write addresses.
fn ticket(event: &Value) -> Option<&str> {
    let ticket = event.pointer("/queryStringParameters/ticket")?.as_str()?;
    (of_header(event).is_none() && ticket.len() <= 100).then_some(ticket)
}

/// The token of the Authorization header.
fn of_header(event: &Value) -> Option<&str> {
    token::bearer(header(event, "authorization")?)
}

//! JWT authorizer of the HTTP and the WebSocket API: authenticates, and authorises nothing.
//!
//! An HTTP API's own refusal is a 403 that the plugin shows as "Network error", so a bad token is let through with
//! `{refused: reason}`, which every handler turns into a 401 in plain words. On `$connect` there is no handler's word
//! to be heard, so the answer is an allow or deny policy.

use cloud::token::{TokenError, Verifier};
use serde_json::{Map, Value, json};

/// Answers an authorizer event of either API.
pub fn authorize(verifier: &Verifier, event: &Value) -> Value {
    let context = context(verifier, event);
    let refused = context.contains_key("refused");
    let (sub, reason) = (text(&context, "sub"), text(&context, "refused"));
    tracing::info!(sub, refused = reason, "authorized");
    // Only the WebSocket API's payload (version 1.0) has a method ARN.
    match event.get("methodArn").and_then(Value::as_str) {
        None => json!({ "isAuthorized": true, "context": context }),
        Some(arn) => json!({
            "principalId": text(&context, "sub").unwrap_or("nobody"),
            "policyDocument": {
                "Version": "2012-10-17",
                "Statement": [{
                    "Action": "execute-api:Invoke",
                    "Effect": if refused { "Deny" } else { "Allow" },
                    "Resource": arn,
                }],
            },
            "context": context,
        }),
    }
}

fn text<'a>(context: &'a Map<String, Value>, name: &str) -> Option<&'a str> {
    context.get(name).and_then(Value::as_str)
}

/// What the handlers will know: who it is, or why not.
fn context(verifier: &Verifier, event: &Value) -> Map<String, Value> {
    let refused = |reason: &str| Map::from_iter([("refused".to_owned(), Value::from(reason))]);
    let Some(token) = bearer(event) else {
        return refused("there is no token");
    };
    let claims = match verifier.verify(token) {
        Ok(claims) => claims,
        Err(TokenError::Expired) => return refused("the token has expired"),
        Err(TokenError::Audience) => return refused("the token is for another installation"),
        Err(_) => return refused("the token is not valid"),
    };
    let mut context = Map::new();
    context.insert("sub".to_owned(), claims.sub.into());
    context.insert("team".to_owned(), claims.team.as_str().into());
    context.insert("role".to_owned(), json!(claims.role));
    context.insert("iat".to_owned(), claims.iat.into());
    if let Some(generation) = claims.generation {
        context.insert("generation".to_owned(), generation.into());
    }
    if let Some(pool) = claims.pool {
        context.insert("pool".to_owned(), pool.as_str().into());
    }
    context
}

/// The token of the Authorization header, whose name comes in any case on the WebSocket API.
fn bearer(event: &Value) -> Option<&str> {
    let headers = event.get("headers")?.as_object()?;
    let (_, value) = headers
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case("authorization"))?;
    let (scheme, token) = value.as_str()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

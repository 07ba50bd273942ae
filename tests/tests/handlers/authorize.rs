//! `authorize`: who somebody is, or why not.

use std::time::Duration;

use cloud::token::Signer;
use model::{Millis, Role, TeamId, WorkerId};
use ops::keys;
use serde_json::{Value, json};

use crate::{
    golden::{unknown, walk},
    support::{TEAM, WORKER, World, golden, minutes, seconds},
};

fn with_header(name: &str, header: &str, value: &str) -> Value {
    let mut event = golden("authorize", name);
    let headers = event["headers"].as_object_mut().unwrap();
    headers.retain(|name, _| !name.eq_ignore_ascii_case("authorization"));
    headers.insert(header.to_owned(), value.into());
    event
}

fn with_token(name: &str, token: &str) -> Value {
    let header = if name == "http" {
        "authorization"
    } else {
        "Authorization"
    };
    with_header(name, header, &format!("Bearer {token}"))
}

fn token(signer: &Signer, issued: Millis, life: Duration) -> String {
    let team = TeamId::new(TEAM);
    signer.user("mara", &team, Role::Painter, issued, life).unwrap()
}

async fn refusal(world: &World, event: &Value) -> String {
    let answer = world.authorize.handle(event).await.unwrap();
    assert_eq!(answer["isAuthorized"], true, "a refusal must reach the handlers");
    let context = answer["context"].as_object().unwrap();
    assert_eq!(context.len(), 1, "a refusal says nothing else: {answer}");
    context["refused"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn golden_events() {
    let world = World::new().await;
    walk("authorize", async |name, event| match name {
        "http" | "websocket-connect" => {
            // The golden token is a fake one; a real one of this test's key comes after it.
            let fake = world.authorize.handle(&event).await.unwrap();
            let mine = with_token(name, &token(&world.signer, cloud::now(), minutes(5)));
            let mut real = world.authorize.handle(&mine).await.unwrap();
            assert!(real["context"]["iat"].as_u64().is_some(), "{real}");
            real["context"]["iat"] = "[now]".into();
            json!({ "fake token": fake, "real token": real })
        }
        other => unknown(other),
    })
    .await;
}

#[tokio::test]
async fn tokens_that_are_not_good_are_refused_with_a_reason() {
    let world = World::new().await;
    let now = cloud::now();
    let refused = async |token: &str| refusal(&world, &with_token("http", token)).await;
    assert_eq!(
        refused(&token(&world.signer, now - minutes(60), minutes(59))).await,
        "the token has expired"
    );
    // Clocks may differ a little.
    let late = with_token("http", &token(&world.signer, now - minutes(60), seconds(60 * 60 - 10)));
    let answer = world.authorize.handle(&late).await.unwrap();
    assert_eq!(answer["context"]["sub"], "mara");

    let keys = keys::generate().unwrap();
    let signer = |issuer: &str, audience: &str, key: &str| Signer::new(key, issuer, audience).unwrap();
    let good = token(&world.signer, now, minutes(5));
    let theirs = token(&signer("atelier", "atelier", &keys.private_pem), now, minutes(5));
    assert_eq!(refused(&theirs).await, "the token is not valid");
    assert_eq!(refused("not.a.token").await, "the token is not valid");
    assert_eq!(refused("").await, "the token is not valid");

    let (head, signature) = good.rsplit_once('.').unwrap();
    assert_eq!(refused(&format!("{head}.")).await, "the token is not valid");
    // Another's claims with this signature; an algorithm that needs no key.
    let (_, payload) = theirs.split_once('.').unwrap();
    let (payload, _) = payload.rsplit_once('.').unwrap();
    assert_eq!(
        refused(&format!("{payload}.{payload}.{signature}")).await,
        "the token is not valid"
    );
    let none = "eyJhbGciOiJub25lIn0"; // {"alg":"none"}
    assert_eq!(refused(&format!("{none}.{payload}.")).await, "the token is not valid");
}

#[tokio::test]
async fn a_token_for_what_is_no_id_is_refused_before_a_table_is_asked() {
    let world = World::new().await;
    let now = cloud::now();
    let team = TeamId::new(TEAM);
    let mut worker = world.ready(WORKER, "i-0", crate::support::NOW).await;
    for id in ["", "m a r a", &"m".repeat(3_000)] {
        let token = world.signer.user(id, &team, Role::Painter, now, minutes(5)).unwrap();
        let reason = refusal(&world, &with_token("http", &token)).await;
        assert_eq!(reason, "the account does not exist", "{id}");
        worker.worker_id = WorkerId::new(id);
        let token = world.signer.worker(&worker, now, minutes(5)).unwrap();
        let reason = refusal(&world, &with_token("http", &token)).await;
        assert_eq!(reason, "the token is an earlier process's", "{id}");
    }
}

#[tokio::test]
async fn tokens_of_another_installation_are_refused() {
    let mut world = World::new().await;
    let keys = keys::generate().unwrap();
    world.public_key.clone_from(&keys.public);
    world.authorize.verifier = world.verifier();
    let refused = async |issuer: &str, audience: &str| {
        let signer = Signer::new(&keys.private_pem, issuer, audience).unwrap();
        refusal(&world, &with_token("http", &token(&signer, cloud::now(), minutes(5)))).await
    };
    assert_eq!(
        refused("atelier", "another").await,
        "the token is for another installation"
    );
    assert_eq!(refused("another", "atelier").await, "the token is not valid");
}

#[tokio::test]
async fn the_header_is_read_as_clients_send_it() {
    let world = World::new().await;
    let token = token(&world.signer, cloud::now(), minutes(5));
    for (header, value) in [
        ("authorization", format!("bearer {token}")),
        ("Authorization", format!("BEARER  {token} ")),
        ("AUTHORIZATION", format!("Bearer {token}")),
    ] {
        let event = with_header("http", header, &value);
        let answer = world.authorize.handle(&event).await.unwrap();
        assert_eq!(answer["context"]["sub"], "mara", "{header}: {value}");
    }
    for value in [token.clone(), format!("Basic {token}"), String::new()] {
        let refused = refusal(&world, &with_header("http", "authorization", &value)).await;
        assert_eq!(refused, "there is no token", "{value}");
    }
    assert_eq!(
        refusal(&world, &with_header("http", "x-other", "x")).await,
        "there is no token"
    );
    assert_eq!(refusal(&world, &json!({})).await, "there is no token");
}

#[tokio::test]
async fn a_workers_token_carries_generation_and_pool() {
    let world = World::new().await;
    let worker = world.ready(WORKER, "i-0", crate::support::NOW).await;
    let token = world.signer.worker(&worker, cloud::now(), minutes(60)).unwrap();
    let event = with_token("http", &token);
    let answer = world.authorize.handle(&event).await.unwrap();
    let context = &answer["context"];
    assert_eq!(
        (
            &context["sub"],
            &context["role"],
            &context["generation"],
            &context["pool"]
        ),
        (&json!(WORKER), &json!("worker"), &json!(1), &json!("default"))
    );
    // API Gateway takes strings, numbers and booleans, nothing nested.
    assert!(
        context
            .as_object()
            .unwrap()
            .values()
            .all(|it| !it.is_object() && !it.is_array())
    );
}

#[tokio::test]
async fn a_refused_websocket_is_denied() {
    let world = World::new().await;
    let event = with_token("websocket-connect", "not.a.token");
    let answer = world.authorize.handle(&event).await.unwrap();
    let statement = &answer["policyDocument"]["Statement"][0];
    assert_eq!(statement["Effect"], "Deny");
    assert_eq!(statement["Resource"], event["methodArn"]);
    assert!(answer["principalId"].is_string());
}

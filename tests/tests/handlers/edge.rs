//! A firewall in front: nobody comes past it.

use accounts::{Edge, edge::HEADER, fingerprint};
use cloud::tables::Table;
use model::Role;
use serde_json::{Value, json};

use crate::{
    routes::http_routes,
    support::{NOW, TASK, WORKER, World, golden, http, is_page, minutes, painter, worker_context},
};

const SECRET: &str = "a secret of the firewall's";

async fn behind_one() -> World {
    let mut world = World::new().await;
    world.running(NOW).await;
    world.put_behind(&Edge::known_by(fingerprint(SECRET)));
    world
}

#[tokio::test]
async fn no_route_is_reached_past_the_firewall() {
    let world = behind_one().await;
    let before = world.written();
    for route in http_routes() {
        // A page's refusal is no page: whoever comes here uses no browser.
        if is_page(&route.key) {
            continue;
        }
        let (id, caller) = match route.function.as_str() {
            "claim" => (WORKER, worker_context(WORKER, 1, NOW)),
            _ => (TASK, painter("mara")),
        };
        for secret in [None, Some("another one"), Some("")] {
            let mut event = http(&route.key, id, Some(&caller), &json!({}));
            event["headers"][HEADER] = secret.into();
            if secret.is_none() {
                event["headers"].as_object_mut().unwrap().remove(HEADER);
            }
            let answer = world.http(event, NOW).await;
            assert_eq!(answer.status, 403, "{route:?} {secret:?}");
            assert_eq!(answer.error(), "Please use the studio's own address.");
        }
    }
    assert_eq!(world.written(), before);
}

#[tokio::test]
async fn whoever_comes_through_it_is_seen_as_it_sees_them() {
    let world = behind_one().await;
    let mut event = golden("account", "user");
    event["headers"][HEADER] = SECRET.into();
    world.http(event, NOW).await.ok();
    let mut event = golden("account", "auth-initiate");
    event["headers"][HEADER] = SECRET.into();
    event["headers"]["x-atelier-viewer"] = "198.51.100.23".into();
    world.http(event, NOW).await.ok();
    let sign_ins = world.all::<Value>(Table::Accounts);
    assert!(
        sign_ins.iter().any(|it| it["address"] == "198.51.100.23"),
        "{sign_ins:#?}"
    );
}

#[tokio::test]
async fn no_websocket_opens_past_it() {
    let world = behind_one().await;
    let team = model::TeamId::new("studio");
    let token = world
        .signer
        .user("mara", &team, Role::Painter, cloud::now(), minutes(5))
        .unwrap();
    for (secret, effect) in [(None, "Deny"), (Some("another one"), "Deny"), (Some(SECRET), "Allow")] {
        let mut event = golden("authorize", "websocket-connect");
        event["headers"]["Authorization"] = format!("Bearer {token}").into();
        if let Some(secret) = secret {
            event["headers"]["X-Atelier-Edge"] = secret.into();
        }
        let answer = world.authorize.handle(&event).await.unwrap();
        assert_eq!(answer["policyDocument"]["Statement"][0]["Effect"], effect, "{answer}");
    }
}

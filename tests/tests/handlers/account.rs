//! `account`: what the plugin needs to connect.

use model::{Account, Millis, Usage, UserId};
use serde_json::{Value, json};

use crate::{
    golden::{unknown, walk},
    support::{Answer, MARA, NOW, World, scrubbed},
};

async fn user(world: &World, user: &str) -> Answer {
    world.paint(user, "GET /v1/user", "", &Value::from(""), NOW).await
}

async fn change(world: &World, change: impl FnOnce(&mut Account)) {
    let mut account = world.get(&UserId::new(MARA)).await;
    change(&mut account);
    world.put(account).await;
}

#[tokio::test]
async fn golden_events() {
    walk("account", async |name, event| {
        let world = World::new().await;
        match name {
            "user" | "auth-initiate" | "plugin-latest" | "openapi"
            // Pages of a browser that is not signed in; the rest is in `pages`.
            | "website" | "checkout" | "account" | "picture" | "sign-out"
            // The page and the confirmation before anybody has started a sign-in; the rest is in `sign_in`.
            | "auth-confirm" | "sign-in-page" | "sign-in-approve"
            // Without a provider; the rest is in `oidc`.
            | "sign-in-provider" | "sign-in-callback" => {}
            other => unknown(other),
        }
        let mut answer = world.http(event, NOW).await;
        if name == "openapi" {
            // It is long, and a file of its own.
            answer.body = answer.body["openapi"].take();
        }
        scrubbed(json!({ "status": answer.status, "location": answer.location, "body": answer.body }))
    })
    .await;
}

#[tokio::test]
async fn usage_is_this_months_and_ones_own() {
    let world = World::new().await;
    for (user, month, images) in [(MARA, "2026-09", 7), (MARA, "2026-08", 100), ("noor", "2026-09", 1000)] {
        world
            .put(Usage {
                images,
                ..Usage::new(UserId::new(user), month.to_owned())
            })
            .await;
    }
    assert_eq!(user(&world, MARA).await.ok()["images_generated"], 7);
}

#[tokio::test]
async fn an_account_that_is_gone_has_to_sign_in_again() {
    let world = World::new().await;
    let answer = user(&world, "nobody").await;
    assert_eq!(answer.status, 401);
    assert!(answer.error().contains("sign in again"), "{answer:?}");
}

#[tokio::test]
async fn a_revoked_token_has_to_sign_in_again() {
    let world = World::new().await;
    // A token of the same second, to which a token's time is cut, is taken.
    change(&world, |account| account.tokens_valid_from = Millis(NOW.0 + 999)).await;
    user(&world, MARA).await.ok();
    change(&world, |account| account.tokens_valid_from = Millis(NOW.0 + 1000)).await;
    let answer = user(&world, MARA).await;
    assert_eq!(answer.status, 401);
    assert!(answer.error().contains("sign in again"), "{answer:?}");
}

#[tokio::test]
async fn who_asks_in_another_language_is_told_that_nothing_is_translated() {
    let world = World::new().await;
    let mut request = crate::support::wire("01_generate");
    assert_eq!(user(&world, MARA).await.ok().get("news"), None);
    for (language, told) in [
        ("de", Some("\"de\"")),
        ("", None),
        (&"x\u{7}".repeat(1000), Some("\"xxxx")),
    ] {
        request["input"]["workflow"]["conditioning"]["language"] = language.into();
        world.submit(MARA, &request, NOW).await.ok();
        let user = user(&world, MARA).await.ok();
        let news = user.get("news").map(|it| it.as_str().unwrap());
        assert_eq!(news.is_some(), told.is_some(), "{user}");
        assert!(
            news.is_none_or(|it| it.contains(told.unwrap()) && it.len() < 300),
            "{user}"
        );
    }
}

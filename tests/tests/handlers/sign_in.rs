//! `account`: signing in from a device, step by step and out of step.

use cloud::fault::{Fault, How};
use model::{Millis, Settings, UserId};
use serde_json::{Value, json};

use crate::support::{Answer, MARA, NOW, World, http, minutes, seconds};

const CLIENT: &str = "0b9c9e6c-6a0e-4b6e-9d0e-2f4d9a4f5b11";

async fn post(world: &World, route: &str, body: Value, now: Millis) -> Answer {
    world.http(http(route, "", None, &body), now).await
}

/// Starts a sign-in; returns the code of its page.
async fn initiate(world: &World, client: &str, info: &str, now: Millis) -> String {
    let body = json!({ "client_id": client, "client_info": info });
    let answer = post(world, "POST /v1/auth/initiate", body, now).await.ok();
    answer["url"]
        .as_str()
        .unwrap()
        .strip_prefix("/sign-in?code=")
        .unwrap()
        .to_owned()
}

async fn confirm(world: &World, client: &str, now: Millis) -> Value {
    post(world, "POST /v1/auth/confirm", json!({ "client_id": client }), now)
        .await
        .ok()
}

async fn page(world: &World, code: &str, address: &str, now: Millis) -> Answer {
    let mut event = http("GET /v1/sign-in", "", None, &json!(""));
    event["queryStringParameters"] = json!({ "code": code });
    event["requestContext"]["http"]["sourceIp"] = address.into();
    world.http(event, now).await
}

async fn approve(world: &World, code: &str, invitation: &str, now: Millis) -> Answer {
    let body = format!("code={code}&invitation={invitation}");
    post(world, "POST /v1/sign-in", body.into(), now).await
}

async fn invited(world: &World, now: Millis) -> String {
    let life = std::time::Duration::from_hours(1);
    ops::invite::invite(&world.cloud.store, &UserId::new(MARA), life, now)
        .await
        .unwrap()
}

fn text(answer: &Answer) -> &str {
    answer.body.as_str().unwrap()
}

#[tokio::test]
async fn a_token_is_handed_out_once_to_the_device_that_asked() {
    let world = World::new().await;
    // The token is checked against the real clock.
    let now = cloud::now();
    let code = initiate(&world, CLIENT, "Krita", now).await;
    assert_ne!(code, CLIENT);
    assert_eq!(confirm(&world, CLIENT, now).await, json!({ "status": "not-found" }));
    let invitation = invited(&world, now).await;
    assert!(text(&approve(&world, &code, &invitation, now + seconds(30)).await).contains("signed in"));
    assert_eq!(
        confirm(&world, "somebody-else", now + seconds(31)).await["status"],
        "not-found"
    );
    let given = confirm(&world, CLIENT, now + seconds(32)).await;
    assert_eq!(given["status"], "authorized");
    let claims = world.verifier().verify(given["token"].as_str().unwrap()).unwrap();
    assert_eq!((claims.sub.as_str(), claims.role), (MARA, model::Role::Painter));
    // Its answer may have been lost, so it is the same token for a moment, to this device alone, and then none.
    let again = confirm(&world, CLIENT, now + seconds(34)).await;
    let same = world.verifier().verify(again["token"].as_str().unwrap()).unwrap();
    assert_eq!((same.iat, same.exp), (claims.iat, claims.exp));
    for client in ["somebody-else", &code] {
        assert_eq!(confirm(&world, client, now + seconds(35)).await["status"], "not-found");
    }
    assert_eq!(confirm(&world, CLIENT, now + seconds(62)).await["status"], "not-found");
    // Neither the invitation nor the page is good for a second device.
    let other = initiate(&world, "another-device", "Krita", now + seconds(40)).await;
    assert!(text(&approve(&world, &other, &invitation, now + seconds(41)).await).contains("not good"));
    assert_eq!(
        approve(&world, &code, &invited(&world, now).await, now + seconds(42))
            .await
            .status,
        404
    );
}

#[tokio::test]
async fn what_is_too_late_is_too_late() {
    let world = World::new().await;
    let code = initiate(&world, CLIENT, "Krita", NOW).await;
    let invitation = invited(&world, NOW).await;
    assert_eq!(approve(&world, &code, &invitation, NOW + minutes(6)).await.status, 404);
    let code = initiate(&world, CLIENT, "Krita", NOW + minutes(7)).await;
    assert_eq!(approve(&world, &code, &invitation, NOW + minutes(8)).await.status, 200);
    assert_eq!(confirm(&world, CLIENT, NOW + minutes(13)).await["status"], "not-found");
    // An invitation that has ended.
    let code = initiate(&world, CLIENT, "Krita", NOW + minutes(90)).await;
    let old = invited(&world, NOW).await;
    assert!(text(&approve(&world, &code, &old, NOW + minutes(91)).await).contains("not good"));
}

#[tokio::test]
async fn the_page_trusts_nothing_and_warns_of_other_networks() {
    let world = World::new().await;
    let code = initiate(&world, CLIENT, "<img src=x onerror=alert(1)>\u{7}", NOW).await;
    let same = page(&world, &code, "203.0.113.7", NOW).await;
    let other = page(&world, &code, "198.51.100.9", NOW).await;
    let (same, other) = (text(&same), text(&other));
    assert!(same.contains("&lt;img src=x") && !same.contains("<img"), "{same}");
    let warned = |page: &str| page.contains("another network");
    assert_ne!(
        warned(same),
        warned(other),
        "exactly one of two addresses is the device's"
    );
    assert!(
        !same.contains(CLIENT) && !other.contains(CLIENT),
        "the page gives the client id away"
    );
    for none in ["no-such-code", &"x".repeat(5000)] {
        assert_eq!(page(&world, none, "203.0.113.7", NOW).await.status, 404);
    }
}

#[tokio::test]
async fn nothing_is_kept_that_would_let_a_reader_of_the_table_in() {
    let world = World::new().await;
    initiate(&world, CLIENT, "Krita", NOW).await;
    let invitation = invited(&world, NOW).await;
    let all = format!("{:?}", world.memory.items());
    assert!(!all.contains(CLIENT) && !all.contains(&invitation));
}

#[tokio::test]
async fn bad_starts_are_refused_in_words() {
    let world = World::new().await;
    for body in [
        json!({}),
        json!({ "client_id": "short" }),
        json!({ "client_id": "x".repeat(10_000) }),
        json!([]),
    ] {
        let answer = post(&world, "POST /v1/auth/initiate", body, NOW).await;
        assert_eq!(answer.status, 400);
        answer.error();
    }
    let (nobody, hour) = (UserId::new("nobody"), std::time::Duration::from_hours(1));
    let unknown = ops::invite::invite(&world.cloud.store, &nobody, hour, NOW).await;
    assert!(unknown.unwrap_err().to_string().contains("ops user add"));
}

#[tokio::test]
async fn one_address_cannot_take_the_sign_in_from_the_others() {
    let world = World::watched(Settings::default()).await;
    let initiate = async |address: &str, now: Millis| {
        let body = json!({ "client_id": CLIENT, "client_info": "Krita" });
        let mut event = http("POST /v1/auth/initiate", "", None, &body);
        event["requestContext"]["http"]["sourceIp"] = address.into();
        world.http(event, now).await
    };
    let mut passed = 0;
    let refused = loop {
        match initiate("192.0.2.1", NOW).await {
            answer if answer.status == 200 => passed += 1,
            answer => break answer,
        }
    };
    assert_eq!((passed, refused.status), (60, 429));
    assert_eq!(
        refused.error(),
        "Too many sign-ins came from your network at once. Try again in 3 s."
    );
    assert_eq!(initiate("192.0.2.2", NOW).await.status, 200);
    assert_eq!(initiate("192.0.2.1", NOW + seconds(3)).await.status, 200);
    // Whoever guesses invitations is counted as well.
    let mut guess = http("POST /v1/sign-in", "", None, &"code=0&invitation=apple".into());
    guess["requestContext"]["http"]["sourceIp"] = "192.0.2.1".into();
    assert_eq!(world.http(guess, NOW + seconds(3)).await.status, 429);
    // A counter that cannot be read stops nobody.
    let (of, at, how) = (None, 1, How::Fail);
    world.faults.plan(Fault { of, at, how });
    assert_eq!(initiate("192.0.2.1", NOW + seconds(3)).await.status, 200);
}

/// A visit of a browser that takes these languages to an address that asks for this one; "" for none.
async fn visit(world: &World, route: &str, query: Value, body: &str, accepts: &str, from: &str) -> Answer {
    let mut event = http(route, "", None, &json!(body));
    event["queryStringParameters"] = query;
    let headers = event["headers"].as_object_mut().unwrap();
    headers.remove("authorization");
    headers.insert("accept-language".to_owned(), accepts.into());
    headers.insert("sec-fetch-site".to_owned(), from.into());
    world.http(event, NOW).await
}

/// Words of a page in Latin letters, without the tags and the style.
fn latin(page: &str) -> Vec<String> {
    let (_, body) = page.split_once("<body>").unwrap();
    let shown: String = body
        .split('<')
        .filter_map(|it| it.split_once('>'))
        .map(|(_, it)| it)
        .collect::<Vec<_>>()
        .join(" ");
    let words = shown.split(|c: char| !c.is_ascii_alphabetic());
    words.filter(|it| it.len() > 1).map(str::to_owned).collect()
}

#[tokio::test]
async fn the_pages_speak_chinese_to_whoever_asks_for_it() {
    const SHOW: &str = "GET /v1/sign-in";
    const SEND: &str = "POST /v1/sign-in";
    // Names, and whom this studio says to ask: Ada <ada@studio.example>.
    const KNOWN: [&str; 8] = ["Krita", "Atelier", "Ada", "lt", "ada", "studio", "example", "gt"];
    let world = World::watched(Settings::default()).await;
    let code = initiate(&world, CLIENT, "Krita", NOW).await;
    let with = |lang: &str| match lang {
        "" => json!({ "code": code }),
        lang => json!({ "code": code, "lang": lang }),
    };
    let form = format!("code={code}&invitation=mistyped");
    let (chinese, english) = ("zh-CN,zh;q=0.9,en;q=0.8", "en-GB,en;q=0.9");
    // As the address asks, or else as the browser does; the form asks for what its address has asked for.
    for (lang, accepts, says, sends) in [
        ("zh-CN", english, "zh-CN", "sign-in?lang=zh-CN"),
        ("", chinese, "zh-CN", "sign-in"),
        ("en", chinese, "en", "sign-in?lang=en"),
        ("", english, "en", "sign-in"),
        ("", "", "en", "sign-in"),
        ("\"><script>", "zh-TW", "en", "sign-in"),
    ] {
        let answer = visit(&world, SHOW, with(lang), "", accepts, "none").await;
        let page = text(&answer);
        assert!(
            page.contains(&format!("<html lang=\"{says}\">")),
            "{lang} {accepts}: {page}"
        );
        assert!(
            page.contains(&format!("action=\"{sends}\"")),
            "{lang} {accepts}: {page}"
        );
        assert_eq!(page.contains("允许 Krita 登录吗？"), says == "zh-CN");
        assert_eq!(page.contains("Let Krita in?"), says == "en");
    }
    // Nothing is left of the other language, in whatever goes well or wrong.
    let asked = || json!({ "lang": "zh-CN" });
    let invitation = invited(&world, NOW).await;
    let good = format!("code={code}&invitation={invitation}&stay=yes");
    for (route, query, body, from, status, says) in [
        (SHOW, with("zh-CN"), "", "none", 200, "您的邀请码"),
        (SEND, asked(), form.as_str(), "same-origin", 200, "此邀请码无效"),
        (SHOW, asked(), "", "none", 200, "您的账户"),
        (
            SHOW,
            json!({ "lang": "zh-CN", "next": "studio" }),
            "",
            "none",
            200,
            "您的工作室",
        ),
        (SEND, asked(), "invitation=mistyped", "same-origin", 200, "此邀请码无效"),
        (SEND, asked(), good.as_str(), "cross-site", 403, "另一个网页"),
        (SEND, asked(), good.as_str(), "same-origin", 200, "您已登录"),
        (SHOW, with("zh-CN"), "", "none", 404, "此次登录已结束"),
        ("GET /v1/sign-in/provider", asked(), "", "none", 404, "邀请码登录"),
    ] {
        let answer = visit(&world, route, query, body, english, from).await;
        let page = text(&answer);
        assert_eq!(answer.status, status, "{says}: {page}");
        assert!(
            page.contains("<html lang=\"zh-CN\">") && page.contains(says),
            "{says}: {page}"
        );
        let left: Vec<_> = latin(page)
            .into_iter()
            .filter(|it| !KNOWN.contains(&it.as_str()))
            .collect();
        assert!(left.is_empty(), "{left:?} in {page}");
    }
}

#[tokio::test]
async fn each_route_of_the_sign_in_counts_each_address() {
    let routes = accounts::access::ROUTES.iter().map(|(route, _)| *route);
    let routes: Vec<_> = routes
        .filter(|it| it.contains("/auth/") || it.contains("/sign-in"))
        .collect();
    assert!(routes.len() >= 6, "{routes:?}");
    for route in routes {
        let world = World::new().await;
        let call = async |address: &str| {
            let mut event = http(route, "", None, &json!({ "client_id": CLIENT }));
            event["requestContext"]["http"]["sourceIp"] = address.into();
            world.http(event, NOW).await
        };
        let mut passed = 0;
        let refused = loop {
            let answer = call("192.0.2.1").await;
            if answer.status == 429 {
                break answer;
            }
            passed += 1;
            assert!(passed <= 100, "{route} counts nobody");
        };
        assert!(
            refused.body.to_string().contains("Try again in"),
            "{route}: {refused:?}"
        );
        assert_ne!(call("192.0.2.2").await.status, 429, "{route}");
    }
}

//! `account`: a browser that is signed in, and the pages that it sees.

use base64::{Engine, prelude::BASE64_STANDARD};
use cloud::{bucket::Expect, tables::BrowserOf};
use model::{BrowserSession, Millis, Outcome, RunTimes, TaskResult, UserId};
use serde_json::{Value, json};

use crate::support::{Answer, MARA, NOW, OTHER, World, http, minutes, run_id, seconds, task_id};

const ACCOUNT: &str = "GET /v1/account";
const PICTURE: &str = "GET /v1/account/picture";
const SIGN_IN: &str = "POST /v1/sign-in";
const SIGN_OUT: &str = "POST /v1/sign-out";

/// A browser that keeps its cookies.
#[derive(Default, Clone)]
pub(crate) struct Browser {
    pub(crate) cookies: Vec<(String, String)>,
}

impl Browser {
    async fn send(&mut self, world: &World, route: &str, body: &str, now: Millis) -> Answer {
        self.send_from(world, route, body, "same-origin", now).await
    }

    async fn send_from(&mut self, world: &World, route: &str, body: &str, from: &str, now: Millis) -> Answer {
        self.visit(world, route, &[], body, from, now).await
    }

    /// The same with these parameters in the address.
    pub(crate) async fn visit(
        &mut self,
        world: &World,
        route: &str,
        query: &[(&str, &str)],
        body: &str,
        from: &str,
        now: Millis,
    ) -> Answer {
        let mut event = http(route, "tokens500", None, &json!(body));
        event["queryStringParameters"] = query.iter().map(|(name, value)| (*name, json!(value))).collect();
        self.sent(world, event, from, now).await
    }

    /// Goes to the page of a thing with this id.
    pub(crate) async fn look(&mut self, world: &World, route: &str, id: &str, now: Millis) -> Answer {
        self.sent(world, http(route, id, None, &json!("")), "same-origin", now)
            .await
    }

    /// Sends the event from a page of this site.
    pub(crate) async fn sent(&mut self, world: &World, mut event: Value, from: &str, now: Millis) -> Answer {
        event["headers"].as_object_mut().unwrap().remove("authorization");
        event["headers"]["sec-fetch-site"] = from.into();
        event["headers"]["accept"] = "text/html,*/*".into();
        let cookies: Vec<_> = self
            .cookies
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        event["cookies"] = json!(cookies);
        let answer = world.http(event, now).await;
        for cookie in &answer.cookies {
            let (pair, attributes) = cookie.split_once("; ").unwrap();
            for attribute in ["Path=/", "Secure", "HttpOnly", "SameSite=Lax", "Max-Age="] {
                assert!(attributes.contains(attribute), "{cookie}");
            }
            let (name, value) = pair.split_once('=').unwrap();
            assert!(name.starts_with("__Host-"), "{cookie}");
            self.cookies.retain(|(it, _)| it != name);
            if !value.is_empty() {
                self.cookies.push((name.to_owned(), value.to_owned()));
            }
        }
        answer
    }

    /// The account's page.
    async fn account(&mut self, world: &World, now: Millis) -> String {
        let answer = self.send(world, ACCOUNT, "", now).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.body.as_str().unwrap().to_owned()
    }

    /// Signed in by an invitation.
    pub(crate) async fn signed_in(world: &World, user: &str, now: Millis) -> Self {
        let mut browser = Self::default();
        let answer = browser
            .send(world, SIGN_IN, &invited(world, user, now).await, now)
            .await;
        assert_eq!((answer.status, answer.location.as_deref()), (303, Some("account")));
        browser
    }
}

pub(crate) async fn invited(world: &World, user: &str, now: Millis) -> String {
    let life = std::time::Duration::from_hours(1);
    let words = ops::invite::invite(&world.cloud.store, &UserId::new(user), life, now).await;
    format!("invitation={}", words.unwrap())
}

/// What stands in the page's forms.
pub(crate) fn field(page: &str, name: &str) -> String {
    let marker = format!("name=\"{name}\" value=\"");
    let (_, rest) = page
        .split_once(&marker)
        .unwrap_or_else(|| panic!("no {name} in {page}"));
    rest.split('"').next().unwrap().to_owned()
}

/// A device of Mara's signs in, and her browser with it if she wishes so: its token.
async fn device(world: &World, browser: &mut Browser, name: &str, stay: bool, now: Millis) -> String {
    let start = json!({ "client_id": format!("secret of {name}"), "client_info": name });
    let started = world
        .http(http("POST /v1/auth/initiate", "", None, &start), now)
        .await
        .ok();
    let code = started["url"]
        .as_str()
        .unwrap()
        .split_once("code=")
        .unwrap()
        .1
        .to_owned();
    let stay = if stay { "&stay=yes" } else { "" };
    let body = format!("code={code}&{}{stay}", invited(world, MARA, now).await);
    let answer = browser.send(world, SIGN_IN, &body, now).await;
    assert!(
        answer.body.as_str().unwrap().contains("You are signed in"),
        "{answer:?}"
    );
    let confirm = json!({ "client_id": format!("secret of {name}") });
    let given = world
        .http(http("POST /v1/auth/confirm", "", None, &confirm), now)
        .await
        .ok();
    given["token"].as_str().unwrap().to_owned()
}

/// What `GET /v1/user` says to this token.
async fn user(world: &World, token: &str, now: Millis) -> Answer {
    let mut event = http("GET /v1/user", "", None, &json!(""));
    event["headers"]["authorization"] = format!("Bearer {token}").into();
    world.http(event, now).await
}

/// What the authorizer says of this token on every other route.
async fn authorized(world: &World, token: &str) -> Value {
    let event = json!({ "headers": { "authorization": format!("Bearer {token}") } });
    world.authorize.handle(&event).await.unwrap()["context"].clone()
}

#[tokio::test]
async fn a_browser_signs_in_sees_the_account_and_signs_out() {
    let world = World::new().await;
    let mut browser = Browser::signed_in(&world, MARA, NOW).await;
    let page = browser.account(&world, NOW).await;
    for part in [
        "MARA",
        "studio",
        "1000 of 1000 credits",
        "September 2026",
        "Ada &lt;ada@studio.example&gt;",
    ] {
        assert!(page.contains(part), "no {part} in {page}");
    }
    assert!(!page.contains("<script"), "{page}");
    let secret = browser.cookies[0].1.clone();
    assert!(
        !format!("{:?}", world.memory.items()).contains(&secret),
        "the secret itself is kept"
    );
    // Whoever is signed in needs no sign-in page, and nothing of a sign-in without a device.
    let answer = browser.send(&world, "GET /v1/sign-in", "", NOW).await;
    assert_eq!((answer.status, answer.location.as_deref()), (303, Some("account")));
    let mut copy = browser.clone();
    let body = format!("form={}", field(&page, "form"));
    let answer = browser.send(&world, SIGN_OUT, &body, NOW + seconds(1)).await;
    assert_eq!((answer.status, answer.location.as_deref()), (303, Some("sign-in")));
    assert!(browser.cookies.is_empty(), "{:?}", browser.cookies);
    // The secret is of no use any more, to nobody.
    let answer = copy.send(&world, ACCOUNT, "", NOW + seconds(2)).await;
    assert_eq!((answer.status, answer.location.as_deref()), (303, Some("sign-in")));
}

#[tokio::test]
async fn the_plugins_links_lead_to_pages() {
    let world = World::new().await;
    let mut browser = Browser::default();
    let answer = browser.send(&world, "GET /v1/user", "", NOW).await;
    assert_eq!((answer.status, answer.location.as_deref()), (303, Some("account")));
    let answer = browser.send(&world, ACCOUNT, "", NOW).await;
    assert_eq!((answer.status, answer.location.as_deref()), (303, Some("sign-in")));
    for route in ["GET /v1/sign-in", "GET /v1", "GET /v1/checkout/{item}"] {
        let answer = browser.send(&world, route, "", NOW).await;
        assert!(
            answer.status == 200 && answer.body.as_str().unwrap().contains("<h1>"),
            "{answer:?}"
        );
    }
    // A program without a token is told so in words, not sent to a page.
    let mut event = http("GET /v1/user", "", None, &json!(""));
    event["headers"].as_object_mut().unwrap().remove("authorization");
    assert_eq!(world.http(event, NOW).await.status, 401);
}

#[tokio::test]
async fn a_session_ends_with_its_user_and_after_twelve_hours() {
    let world = World::new().await;
    let is_out = async |browser: &mut Browser, now| browser.send(&world, ACCOUNT, "", now).await.status == 303;
    let mut browser = Browser::signed_in(&world, MARA, NOW).await;
    assert!(!is_out(&mut browser.clone(), NOW + BrowserSession::LIFE - seconds(1)).await);
    assert!(is_out(&mut browser, NOW + BrowserSession::LIFE).await);
    // Revoked: whoever signs in afterwards is in.
    let mut browser = Browser::signed_in(&world, MARA, NOW).await;
    let mut account = world.get(&UserId::new(MARA)).await;
    account.revoke(NOW + minutes(1));
    world.put(account).await;
    assert!(is_out(&mut browser, NOW + minutes(1)).await);
    assert!(
        !is_out(
            &mut Browser::signed_in(&world, MARA, NOW + minutes(2)).await,
            NOW + minutes(2)
        )
        .await
    );
    // Removed, and another user of the same id.
    let now = NOW + minutes(3);
    let mut browser = Browser::signed_in(&world, OTHER, now).await;
    let other = UserId::new(OTHER);
    let before = world.get(&other).await;
    accounts::write(&world.cloud.store, Some(before.clone()), None)
        .await
        .unwrap();
    assert!(is_out(&mut browser, now + seconds(1)).await);
    let again = model::Account::new(other, before.team, before.pool, now + seconds(2));
    accounts::write(&world.cloud.store, None, Some(again)).await.unwrap();
    assert!(is_out(&mut browser, now + seconds(3)).await);
}

#[tokio::test]
async fn a_sessions_secret_is_renewed_each_hour() {
    let world = World::new().await;
    let mut browser = Browser::signed_in(&world, MARA, NOW).await;
    let early = browser.clone();
    let later = NOW + minutes(61);
    let page = browser.account(&world, later).await;
    assert_ne!(browser.cookies, early.cookies);
    // A page that was asked for at the same time still comes, with no third secret; a minute later the old one is of no use.
    let mut beside = early.clone();
    beside.account(&world, later + seconds(2)).await;
    assert_eq!(beside.cookies, early.cookies);
    assert_eq!(beside.send(&world, ACCOUNT, "", later + minutes(2)).await.status, 303);
    // A form of a page from before is still good, and twelve hours are counted from the sign-in.
    assert_eq!(
        field(&page, "form"),
        field(&browser.account(&world, later + minutes(2)).await, "form")
    );
    assert_eq!(
        browser
            .send(&world, ACCOUNT, "", NOW + BrowserSession::LIFE)
            .await
            .status,
        303
    );
}

#[tokio::test]
async fn no_other_site_and_no_other_session_can_send_a_form() {
    let world = World::new().await;
    let mut browser = Browser::signed_in(&world, MARA, NOW).await;
    let mut other = Browser::signed_in(&world, OTHER, NOW).await;
    let form = field(&browser.account(&world, NOW).await, "form");
    let of_other = field(&other.account(&world, NOW).await, "form");
    let before = world.written();
    for route in [SIGN_IN, SIGN_OUT] {
        for from in ["cross-site", "same-site"] {
            let body = format!("form={form}&everywhere=yes&invitation=x");
            let answer = browser.send_from(&world, route, &body, from, NOW).await;
            assert_eq!(answer.status, 403, "{route} {from}");
        }
    }
    for body in [
        "",
        "everywhere=yes",
        "form=&everywhere=yes",
        &format!("form={of_other}&everywhere=yes"),
    ] {
        let answer = browser.send(&world, SIGN_OUT, body, NOW).await;
        assert_eq!(answer.status, 403, "{body}");
    }
    assert_eq!(world.written(), before);
}

#[tokio::test]
async fn a_device_is_signed_out_alone() {
    let world = World::new().await;
    // Tokens are checked against the real clock.
    let now = cloud::now();
    let mut browser = Browser::default();
    let lost = device(&world, &mut browser, "Lost <b>tablet</b>", false, now).await;
    assert!(browser.cookies.is_empty(), "nobody asked to stay signed in");
    let kept = device(&world, &mut browser, "Desk", true, now).await;
    let page = browser.account(&world, now).await;
    assert!(
        page.contains("Lost &lt;b&gt;tablet&lt;/b&gt;") && page.contains("Desk"),
        "{page}"
    );
    world.painter_socket().await;
    for token in [&lost, &kept] {
        assert_eq!(user(&world, token, now).await.status, 200);
        assert_eq!(authorized(&world, token).await["sub"], MARA);
    }
    // The newest is first; the form of the other one comes after it.
    let (_, rest) = page.split_once("Lost &lt;b&gt;").unwrap();
    let body = format!("form={}&device={}", field(rest, "form"), field(rest, "device"));
    let answer = browser.send(&world, SIGN_OUT, &body, now).await;
    assert_eq!((answer.status, answer.location.as_deref()), (303, Some("account")));
    let answer = user(&world, &lost, now).await;
    assert_eq!(
        (answer.status, answer.error()),
        (401, "Please sign in again: this device was signed out.")
    );
    assert_eq!(authorized(&world, &lost).await["refused"], "this device was signed out");
    assert_eq!(user(&world, &kept, now).await.status, 200);
    assert!(
        world.all::<model::Session>(cloud::tables::Table::Sessions).is_empty(),
        "a socket is still open"
    );
    let page = browser.account(&world, now).await;
    assert!(!page.contains("tablet") && page.contains("Desk"), "{page}");
    // Twice is once, and everything is everything.
    assert_eq!(browser.send(&world, SIGN_OUT, &body, now).await.status, 303);
    let body = format!("form={}&everywhere=yes", field(&page, "form"));
    browser.send(&world, SIGN_OUT, &body, now).await;
    assert_eq!(user(&world, &kept, now).await.status, 401);
    assert_eq!(browser.send(&world, ACCOUNT, "", now).await.status, 303);
}

#[tokio::test]
async fn who_is_signed_in_lets_a_device_in_without_an_invitation() {
    let world = World::new().await;
    let now = cloud::now();
    let mut browser = Browser::signed_in(&world, MARA, now).await;
    let start = json!({ "client_id": "secret of a laptop", "client_info": "Laptop" });
    let started = world
        .http(http("POST /v1/auth/initiate", "", None, &start), now)
        .await
        .ok();
    let code = started["url"]
        .as_str()
        .unwrap()
        .split_once("code=")
        .unwrap()
        .1
        .to_owned();
    let form = field(&browser.account(&world, now).await, "form");
    // Not by the cookie alone.
    let answer = browser.send(&world, SIGN_IN, &format!("code={code}"), now).await;
    assert!(
        !answer.body.as_str().unwrap().contains("You are signed in"),
        "{answer:?}"
    );
    let body = format!("code={code}&form={form}");
    let answer = browser.send(&world, SIGN_IN, &body, now).await;
    assert!(
        answer.body.as_str().unwrap().contains("You are signed in"),
        "{answer:?}"
    );
    let confirm = json!({ "client_id": "secret of a laptop" });
    let given = world
        .http(http("POST /v1/auth/confirm", "", None, &confirm), now)
        .await
        .ok();
    assert_eq!(
        user(&world, given["token"].as_str().unwrap(), now).await.ok()["id"],
        MARA
    );
}

#[tokio::test]
async fn pictures_of_the_last_days_are_found_there() {
    let world = World::new().await;
    let old = NOW - minutes(60 * 24 * 8);
    world.queued("01a05cd7-2a00-7000-8000-0000000000c1", MARA, old).await;
    world
        .queued("01a05cd7-2a00-7000-8000-0000000000c2", OTHER, NOW - seconds(5))
        .await;
    world.running(NOW - seconds(9)).await;
    let done = TaskResult {
        key: "results/t/r".to_owned(),
        offsets: vec![0, 10],
        size: 20,
        thumbnails: true,
        ..TaskResult::default()
    };
    world
        .alter_task(&task_id(), |it| {
            it.end_run(run_id(), Outcome::Succeeded(done, RunTimes::default()), NOW)
                .unwrap();
        })
        .await;
    let mut browser = Browser::signed_in(&world, MARA, NOW).await;
    let page = browser.account(&world, NOW).await;
    assert!(page.contains("2 pictures") && page.contains("results/t/r"), "{page}");
    for small in ["thumbs/t/r/0.webp", "thumbs/t/r/1.webp"] {
        assert!(page.contains(small), "{page}");
    }
    assert_eq!(
        page.matches("<li>").count(),
        1,
        "an old one, or another painter's: {page}"
    );
    assert!(
        Browser::signed_in(&world, OTHER, NOW)
            .await
            .account(&world, NOW)
            .await
            .contains("waits")
    );
    let session: BrowserSession = world
        .get(&BrowserOf(accounts::fingerprint(&browser.cookies[0].1)))
        .await;
    assert_eq!(session.user_id.as_str(), MARA);
}

#[tokio::test]
async fn each_picture_of_a_task_is_fetched_alone_by_whom_it_belongs_to() {
    let world = World::new().await;
    let (png, webp) = (b"\x89PNG one".as_slice(), b"RIFF\x04\0\0\0WEBP".as_slice());
    let huge = vec![0; (4 << 20) + 1];
    let parts = [png, webp, b"<script>", &huge];
    let offsets = [0, 1, 2, 3].map(|number| parts[..number].iter().map(|it| it.len() as u64).sum());
    let key = "results/t/r".to_owned();
    let blob = parts.concat();
    let result = TaskResult {
        key: key.clone(),
        offsets: offsets.to_vec(),
        size: blob.len() as u64,
        ..TaskResult::default()
    };
    world.running(NOW - seconds(9)).await;
    world
        .alter_task(&task_id(), |it| {
            it.end_run(run_id(), Outcome::Succeeded(result, RunTimes::default()), NOW)
                .unwrap();
        })
        .await;
    let put = world.cloud.bucket.put_if(&key, blob.into(), Expect::Anything).await;
    assert!(put.unwrap());
    let id = task_id().to_string();
    let mut mara = Browser::signed_in(&world, MARA, NOW).await;
    let page = mara.account(&world, NOW).await;
    let links: Vec<_> = (1..=4)
        .map(|number| page.contains(&format!("account/picture?task={id}&amp;number={number}\"")))
        .collect();
    assert_eq!(links, [true, true, true, false], "{page}");

    let picture = async |browser: &mut Browser, task: &str, number: &str| {
        let query = [("task", task), ("number", number)];
        browser.visit(&world, PICTURE, &query, "", "same-origin", NOW).await
    };
    for (number, bytes) in [("1", png), ("2", webp)] {
        let answer = picture(&mut mara, &id, number).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(BASE64_STANDARD.decode(answer.body.as_str().unwrap()).unwrap(), bytes);
    }
    let other = "01a05cd7-2a00-7000-8000-0000000000ff";
    for (task, number) in [
        (id.as_str(), "3"), // a worker's page in place of a picture
        (&id, "4"),         // too large to come alone
        (&id, "5"),
        (&id, "0"),
        (&id, "-1"),
        (&id, "99999999999999999999"),
        (&id, ""),
        (other, "1"),
        ("../../x", "1"),
        ("", ""),
    ] {
        assert_eq!(picture(&mut mara, task, number).await.status, 404, "{task} {number}");
    }
    assert_eq!(
        picture(&mut Browser::signed_in(&world, OTHER, NOW).await, &id, "1")
            .await
            .status,
        404
    );
    assert_eq!(picture(&mut Browser::default(), &id, "1").await.status, 303);
    world.cloud.bucket.delete(&key).await.unwrap();
    assert_eq!(picture(&mut mara, &id, "1").await.status, 404, "it is kept no more");
}

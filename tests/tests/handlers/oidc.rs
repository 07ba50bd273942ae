//! Signing in with the studio's own OpenID Connect provider, honest and not.

use account::oidc::Config;
use cloud::tables::IdentityOf;
use model::{Account, Identity, Millis, TeamId, UserId};
use ops::user::{self, Change, Command};
use serde_json::{Value, json};
use system_tests::oidc::{CLIENT, Provider};

use crate::support::{Answer, MARA, World, http, minutes, seconds};

const REDIRECT: &str = "https://api.example/v1/sign-in/callback";
const EMAIL: &str = "mara@studio.example";
const DEVICE: &str = "0b9c9e6c-6a0e-4b6e-9d0e-2f4d9a4f5b11";

/// A browser of somebody who is signed in at the provider.
struct Browser {
    client: reqwest::Client,
    cookie: Option<String>,
    address: &'static str,
}

impl Browser {
    fn new() -> Self {
        let policy = reqwest::redirect::Policy::none();
        Self {
            client: reqwest::Client::builder().redirect(policy).build().unwrap(),
            cookie: None,
            address: "203.0.113.7",
        }
    }

    async fn send(&mut self, world: &World, mut event: Value, now: Millis) -> Answer {
        event["requestContext"]["http"]["sourceIp"] = self.address.into();
        event["cookies"] = json!(self.cookie.iter().collect::<Vec<_>>());
        let answer = world.http(event, now).await;
        if let Some(cookie) = answer.cookies.first() {
            let (pair, attributes) = cookie.split_once(';').unwrap();
            for attribute in ["Path=/", "Secure", "HttpOnly", "SameSite=Lax"] {
                assert!(attributes.contains(attribute), "{cookie}");
            }
            self.cookie = Some(pair.to_owned());
        }
        answer
    }

    async fn get(&mut self, world: &World, path: &str, query: &str, now: Millis) -> Answer {
        let mut event = http(&format!("GET {path}"), "", None, &json!(""));
        let pairs: std::collections::BTreeMap<_, _> = form_urlencoded::parse(query.as_bytes()).collect();
        event["queryStringParameters"] = json!(pairs);
        self.send(world, event, now).await
    }

    async fn page(&mut self, world: &World, code: &str, now: Millis) -> String {
        text(&self.get(world, "/v1/sign-in", &format!("code={code}"), now).await).to_owned()
    }

    /// To the provider; the query of the way back.
    async fn leave(&mut self, world: &World, code: &str, now: Millis) -> String {
        let answer = self
            .get(world, "/v1/sign-in/provider", &format!("code={code}"), now)
            .await;
        assert_eq!(answer.status, 303, "{answer:?}");
        let at_provider = self.client.get(answer.location.unwrap()).send().await.unwrap();
        let back = at_provider.headers()["location"].to_str().unwrap();
        back.strip_prefix(&format!("{REDIRECT}?")).unwrap().to_owned()
    }

    async fn come_back(&mut self, world: &World, query: &str, now: Millis) -> Answer {
        self.get(world, "/v1/sign-in/callback", query, now).await
    }

    /// To the provider and back.
    async fn identify(&mut self, world: &World, code: &str, now: Millis) -> Answer {
        let query = self.leave(world, code, now).await;
        self.come_back(world, &query, now).await
    }

    async fn approve(&mut self, world: &World, code: &str, now: Millis) -> String {
        let event = http("POST /v1/sign-in", "", None, &format!("code={code}").into());
        text(&self.send(world, event, now).await).to_owned()
    }
}

fn text(answer: &Answer) -> &str {
    answer.body.as_str().unwrap()
}

/// A studio whose provider knows Mara, and who has an account with her e-mail address.
async fn studio(team: Option<&str>) -> (World, Provider) {
    let provider = Provider::start(json!({ "sub": "m-1", "name": "Mara M.", "email": EMAIL, "email_verified": true }))
        .await
        .unwrap();
    provider.register(REDIRECT);
    let mut world = World::new().await;
    world.provided(Config {
        issuer: provider.issuer.clone(),
        client_id: CLIENT.to_owned(),
        client_secret: None,
        redirect_url: REDIRECT.to_owned(),
        team: team.map(TeamId::new),
    });
    (world, provider)
}

async fn known(team: Option<&str>) -> (World, Provider) {
    let (world, provider) = studio(team).await;
    set(&world, MARA, EMAIL).await.unwrap();
    (world, provider)
}

async fn set(world: &World, user: &str, email: &str) -> anyhow::Result<String> {
    let change = Change {
        email: Some(email.to_owned()),
        ..Change::default()
    };
    let user = UserId::new(user);
    user::run(
        &world.cloud.store,
        &world.cloud.sockets,
        Command::Set { user, change },
        cloud::now(),
    )
    .await
}

async fn start(world: &World, device: &str, now: Millis) -> String {
    let body = json!({ "client_id": device, "client_info": "Krita" });
    let answer = world
        .http(http("POST /v1/auth/initiate", "", None, &body), now)
        .await
        .ok();
    answer["url"]
        .as_str()
        .unwrap()
        .strip_prefix("/sign-in?code=")
        .unwrap()
        .to_owned()
}

/// Whom the device's token names, if it gets one.
async fn confirmed(world: &World, now: Millis) -> Option<String> {
    let body = json!({ "client_id": DEVICE });
    let given = world
        .http(http("POST /v1/auth/confirm", "", None, &body), now)
        .await
        .ok();
    let token = given["token"].as_str()?;
    Some(world.verifier().verify(token).unwrap().sub)
}

#[tokio::test]
async fn whom_the_provider_names_confirms_here_and_the_device_gets_the_token() {
    let (world, _provider) = known(None).await;
    let (now, mut browser) = (cloud::now(), Browser::new());
    let code = start(&world, DEVICE, now).await;
    let page = browser.page(&world, &code, now).await;
    assert!(
        page.contains("href=\"sign-in/provider?code=") && page.contains("Your invitation"),
        "{page}"
    );

    let back = browser.identify(&world, &code, now).await;
    assert_eq!(
        (back.status, back.location),
        (303, Some(format!("../sign-in?code={code}")))
    );
    // Being signed in at the provider lets nothing in yet.
    assert_eq!(confirmed(&world, now).await, None);
    let page = browser.page(&world, &code, now).await;
    assert!(
        page.contains("<dt>You</dt><dd>MARA</dd>") && page.contains("Krita"),
        "{page}"
    );
    assert!(!page.contains("invitation"), "{page}");
    assert!(browser.approve(&world, &code, now).await.contains("signed in"));
    assert_eq!(confirmed(&world, now).await.as_deref(), Some(MARA));
    assert_eq!(confirmed(&world, now + seconds(30)).await, None);
}

#[tokio::test]
async fn the_way_to_the_provider_and_back_keeps_the_language_that_krita_asked_for() {
    let (world, _provider) = known(None).await;
    let now = cloud::now();
    let code = start(&world, DEVICE, now).await;
    for (asked, kept) in [
        ("&lang=zh_CN", "&lang=zh-CN"),
        ("&lang=en", "&lang=en"),
        ("&lang=xx", ""),
        ("", ""),
    ] {
        let mut browser = Browser::new();
        let page = browser.page(&world, &format!("{code}{asked}"), now).await;
        let link = format!("href=\"sign-in/provider?code={code}{}\"", kept.replace('&', "&amp;"));
        assert!(page.contains(&link), "{page}");
        let query = browser.leave(&world, &format!("{code}{kept}"), now).await;
        let back = browser.come_back(&world, &query, now).await;
        assert_eq!(back.location, Some(format!("../sign-in?code={code}{kept}")), "{asked}");
        assert!(browser.page(&world, &code, now).await.contains("MARA"));
    }
}

#[tokio::test]
async fn only_the_browser_that_came_back_may_confirm() {
    let (world, _provider) = known(None).await;
    let (now, mut browser, mut other) = (cloud::now(), Browser::new(), Browser::new());
    let code = start(&world, DEVICE, now).await;
    browser.identify(&world, &code, now).await;
    // Somebody who only knows the link; then the same with a cookie of their own.
    assert!(!other.page(&world, &code, now).await.contains("MARA"));
    assert!(other.approve(&world, &code, now).await.contains("not good"));
    other.leave(&world, &code, now).await;
    assert!(other.approve(&world, &code, now).await.contains("not good"));
    assert_eq!(confirmed(&world, now).await, None);
    // The warning of another network is on this page too.
    browser.address = "198.51.100.9";
    assert!(browser.page(&world, &code, now).await.contains("another network"));
}

#[tokio::test]
async fn an_answer_for_another_sign_in_or_browser_is_refused() {
    let (world, _provider) = known(None).await;
    let (now, mut browser) = (cloud::now(), Browser::new());
    let (code, other) = (
        start(&world, DEVICE, now).await,
        start(&world, "another-device", now).await,
    );
    let first = browser.leave(&world, &code, now).await;
    let second = browser.leave(&world, &other, now).await;
    // The browser is on its way for the second one; no browser at all; a state that somebody made up.
    for (query, cookie) in [
        (first.as_str(), browser.cookie.clone()),
        (&second, None),
        ("state=0000&code=1111", browser.cookie.clone()),
        ("code=1111", browser.cookie.clone()),
        ("", browser.cookie.clone()),
    ] {
        let mut sender = Browser::new();
        sender.cookie = cookie;
        let answer = sender.come_back(&world, query, now).await;
        assert_eq!(answer.status, 400, "{query}: {answer:?}");
        assert!(
            text(&answer).contains("not for a sign-in of this browser"),
            "{answer:?}"
        );
    }
    assert_eq!(browser.come_back(&world, &second, now).await.status, 303);
}

#[tokio::test]
async fn a_code_is_good_once_and_a_sign_in_for_five_minutes() {
    let (world, _provider) = known(None).await;
    let (now, mut browser) = (cloud::now(), Browser::new());
    let code = start(&world, DEVICE, now).await;
    let query = browser.leave(&world, &code, now).await;
    assert_eq!(browser.come_back(&world, &query, now).await.status, 303);
    let again = browser.come_back(&world, &query, now).await;
    assert_eq!(again.status, 400);
    assert!(text(&again).contains("used before"), "{again:?}");
    let query = browser.leave(&world, &code, now).await;
    assert_eq!(browser.come_back(&world, &query, now + minutes(6)).await.status, 404);
    let late = browser
        .get(
            &world,
            "/v1/sign-in/provider",
            &format!("code={code}"),
            now + minutes(6),
        )
        .await;
    assert_eq!((late.status, late.cookies.len()), (404, 0));
}

#[tokio::test]
async fn a_token_that_lies_lets_nobody_in() {
    type Lie = fn(&Provider);
    let now = cloud::now();
    let lies: [(&str, Lie); 9] = [
        ("nonce", |it| it.claim("nonce", json!("another"))),
        ("no nonce", |it| it.claim("nonce", Value::Null)),
        ("aud", |it| it.claim("aud", json!("another-client"))),
        ("azp", |it| it.claim("azp", json!("another-client"))),
        ("iss", |it| it.claim("iss", json!("https://other.example"))),
        ("exp", |it| it.claim("exp", json!(cloud::now().seconds() - 120))),
        ("sub", |it| it.claim("sub", json!(""))),
        ("alg none", Provider::unsigned),
        ("a key that is published nowhere", |it| {
            it.sign_with_an_unpublished_key("first").unwrap();
        }),
    ];
    for (what, lie) in lies {
        let (world, provider) = known(Some("studio")).await;
        lie(&provider);
        let mut browser = Browser::new();
        let code = start(&world, DEVICE, now).await;
        let before = world.written();
        let answer = browser.identify(&world, &code, now).await;
        assert_eq!(answer.status, 403, "{what}: {answer:?}");
        assert!(text(&answer).contains("cannot be trusted"), "{what}: {answer:?}");
        assert_eq!(world.written(), before, "{what}");
        assert!(browser.approve(&world, &code, now).await.contains("not good"), "{what}");
    }
}

#[tokio::test]
async fn a_clock_that_is_a_little_off_and_several_audiences_are_no_lies() {
    let (world, provider) = known(None).await;
    let now = cloud::now();
    provider.claim("exp", json!(now.seconds() - 20));
    provider.claim("aud", json!([CLIENT, "another-client"]));
    provider.claim("azp", json!(CLIENT));
    let code = start(&world, DEVICE, now).await;
    assert_eq!(Browser::new().identify(&world, &code, now).await.status, 303);
}

#[tokio::test]
async fn keys_rotate_and_strangers_keys_do_not_make_us_ask_all_the_time() {
    let (world, provider) = known(None).await;
    let now = cloud::now();
    let identify = async |now: Millis| {
        let code = start(&world, DEVICE, now).await;
        Browser::new().identify(&world, &code, now).await.status
    };
    assert_eq!((identify(now).await, identify(now).await), (303, 303));
    assert_eq!(provider.keys_read(), 1);
    // A new key, of another kind, is looked for as soon as it may be.
    provider.rotate("second").unwrap();
    assert_eq!((identify(now + seconds(59)).await, provider.keys_read()), (403, 1));
    assert_eq!((identify(now + seconds(61)).await, provider.keys_read()), (303, 2));
    provider.sign_with_an_unpublished_key("nowhere").unwrap();
    assert_eq!(
        (identify(now + seconds(62)).await, identify(now + seconds(63)).await),
        (403, 403)
    );
    assert_eq!(provider.keys_read(), 2);
}

#[tokio::test]
async fn a_provider_that_is_down_or_refuses_is_said_in_words() {
    let (world, provider) = known(None).await;
    let (now, mut browser) = (cloud::now(), Browser::new());
    let code = start(&world, DEVICE, now).await;
    provider.down(true);
    let answer = browser
        .get(&world, "/v1/sign-in/provider", &format!("code={code}"), now)
        .await;
    assert_eq!(answer.status, 503);
    assert!(text(&answer).contains("use an invitation"), "{answer:?}");
    provider.down(false);
    let query = browser.leave(&world, &code, now).await;
    provider.down(true);
    assert_eq!(browser.come_back(&world, &query, now).await.status, 503);
    provider.down(false);
    provider.deny(true);
    let answer = browser.identify(&world, &code, now).await;
    assert_eq!(answer.status, 403);
    assert!(
        text(&answer).contains("did not let you in (access_denied)"),
        "{answer:?}"
    );
    // What comes back is shown as text, and taken from this provider alone.
    let query = browser.leave(&world, &code, now).await;
    let state = query.split('&').find(|it| it.starts_with("state=")).unwrap();
    let back = format!("{state}&error=<script>alert(1)</script>");
    let answer = browser.come_back(&world, &back, now).await;
    assert!(!text(&answer).contains("<script"), "{answer:?}");
    let back = format!("{state}&code=1&iss=https://other.example");
    assert_eq!(browser.come_back(&world, &back, now).await.status, 503);
}

#[tokio::test]
async fn a_confidential_client_shows_its_secret() {
    let (mut world, provider) = known(None).await;
    provider.with_secret("a secret");
    let config = |secret: &str| Config {
        issuer: provider.issuer.clone(),
        client_id: CLIENT.to_owned(),
        client_secret: Some(secret.to_owned()),
        redirect_url: REDIRECT.to_owned(),
        team: None,
    };
    let now = cloud::now();
    for (secret, status) in [("another", 400), ("a secret", 303)] {
        world.provided(config(secret));
        let code = start(&world, DEVICE, now).await;
        assert_eq!(Browser::new().identify(&world, &code, now).await.status, status);
    }
}

#[tokio::test]
async fn an_identity_without_an_account_is_told_what_the_operator_has_to_do() {
    let (world, provider) = studio(None).await;
    let now = cloud::now();
    let said = async || {
        let code = start(&world, DEVICE, now).await;
        let answer = Browser::new().identify(&world, &code, now).await;
        assert_eq!(answer.status, 403, "{answer:?}");
        text(&answer).to_owned()
    };
    assert!(
        said()
            .await
            .contains("ops user add YOUR-NAME --email mara@studio.example")
    );
    set(&world, MARA, EMAIL).await.unwrap();
    // An address that nobody has verified is anybody's.
    for unverified in [json!(false), json!("false"), Value::Null] {
        provider.claim("email_verified", unverified);
        let said = said().await;
        assert!(said.contains(&format!("--subject '{} m-1'", provider.issuer)), "{said}");
    }
    provider.claim("email_verified", json!("true"));
    let code = start(&world, DEVICE, now).await;
    assert_eq!(Browser::new().identify(&world, &code, now).await.status, 303);
}

#[tokio::test]
async fn who_comes_first_with_an_address_keeps_the_account() {
    let (world, provider) = known(None).await;
    let now = cloud::now();
    let identify = async || {
        let code = start(&world, DEVICE, now).await;
        Browser::new().identify(&world, &code, now).await
    };
    assert_eq!(identify().await.status, 303);
    // The address goes to somebody else at the provider.
    provider.claim("sub", json!("m-2"));
    let answer = identify().await;
    assert_eq!(answer.status, 403);
    assert!(
        text(&answer).contains("ops user set mara --email mara@studio.example"),
        "{answer:?}"
    );
    // Mara has another one now, and is still Mara.
    provider.claim("sub", json!("m-1"));
    provider.claim("email", json!("new@studio.example"));
    assert_eq!(identify().await.status, 303);
    // The operator hands the address on.
    set(&world, MARA, "").await.unwrap();
    set(&world, "noor", EMAIL).await.unwrap();
    provider.claim("sub", json!("m-2"));
    provider.claim("email", json!("Mara@Studio.Example"));
    assert_eq!(identify().await.status, 303);
    let noor: Account = world.get(&UserId::new("noor")).await;
    assert_eq!(noor.subject, Some(Identity::subject(&provider.issuer, "m-2")));
    let taken = set(&world, MARA, EMAIL).await.unwrap_err().to_string();
    assert!(taken.contains("noor"), "{taken}");
    // Whoever is removed leaves nothing that opens an account.
    let user = UserId::new("noor");
    user::run(&world.cloud.store, &world.cloud.sockets, Command::Remove { user }, now)
        .await
        .unwrap();
    for name in [Identity::email(EMAIL), Identity::subject(&provider.issuer, "m-2")] {
        assert!(world.cloud.store.get(&IdentityOf(name)).await.unwrap().is_none());
    }
}

#[tokio::test]
async fn a_studio_that_wants_it_gets_accounts_by_signing_in() {
    let (world, provider) = studio(Some("studio")).await;
    let (now, mut browser) = (cloud::now(), Browser::new());
    let code = start(&world, DEVICE, now).await;
    assert_eq!(browser.identify(&world, &code, now).await.status, 303);
    assert!(browser.page(&world, &code, now).await.contains("<dd>Mara M.</dd>"));
    browser.approve(&world, &code, now).await;
    // The token's time is cut to seconds, and so is the account's.
    let user = UserId::new(confirmed(&world, now).await.unwrap());
    let account: Account = world.get(&user).await;
    assert_eq!(
        (account.team.as_str(), account.email.as_deref()),
        ("studio", Some(EMAIL))
    );
    assert_eq!(
        (account.role, account.credits),
        (model::Role::Painter, Account::CREDITS)
    );
    // The second time it is the same one.
    let code = start(&world, DEVICE, now).await;
    browser.identify(&world, &code, now).await;
    browser.approve(&world, &code, now).await;
    assert_eq!(confirmed(&world, now).await.as_deref(), Some(user.as_str()));
    // Somebody without a name or an address.
    for (claim, value) in [("sub", json!("x/../#")), ("name", Value::Null), ("email", Value::Null)] {
        provider.claim(claim, value);
    }
    let code = start(&world, DEVICE, now).await;
    browser.identify(&world, &code, now).await;
    browser.approve(&world, &code, now).await;
    let other = confirmed(&world, now).await.unwrap();
    assert!(other != user.as_str() && other.parse::<UserId>().is_ok(), "{other}");
}

#[tokio::test]
async fn revoking_ends_a_sign_in_that_the_provider_has_named() {
    let (world, _provider) = known(None).await;
    let (now, mut browser) = (cloud::now(), Browser::new());
    let code = start(&world, DEVICE, now).await;
    browser.identify(&world, &code, now).await;
    browser.approve(&world, &code, now).await;
    let user = UserId::new(MARA);
    user::run(&world.cloud.store, &world.cloud.sockets, Command::Revoke { user }, now)
        .await
        .unwrap();
    assert_eq!(confirmed(&world, now + seconds(1)).await, None);
}

#[tokio::test]
async fn a_browser_signs_in_to_its_account_without_any_device() {
    let (world, _provider) = known(None).await;
    let (mut browser, now) = (Browser::new(), cloud::now());
    let answer = browser.identify(&world, "", now).await;
    assert_eq!((answer.status, answer.location.as_deref()), (303, Some("../account")));
    let page = browser.get(&world, "/v1/account", "", now).await;
    assert!(page.status == 200 && text(&page).contains("MARA"), "{page:?}");
    // Another browser's answer is nobody's.
    let query = browser.leave(&world, "", now).await;
    assert_eq!(Browser::new().come_back(&world, &query, now).await.status, 400);
}

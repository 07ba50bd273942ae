//! How documents came to be: recorded where painters have agreed and nowhere else, shown to whom it may be, deleted for good.

use base64::{Engine, prelude::BASE64_STANDARD};
use cloud::{
    fault::{Fault, How},
    tables::{ClassOf, DocumentOf, Table},
};
use model::{Account, Document, DocumentId, Millis, Role, Settings, Step, StepPictures, TaskId, TeamId, UserId};
use proptest::prelude::*;
use serde_json::{Value, json};
use tasks::recording;

use crate::{
    pages::{Browser, field},
    support::{Answer, INSTANCE, MARA, NOW, OTHER, TEAM, WORKER, World, http, painter, seconds, thorough, wire},
};

const ALL: &str = "/v1/history";
const ONE: &str = "/v1/history/{document}";
const PAGE: &str = "GET /v1/studio/history";
const ACT: &str = "POST /v1/studio/history";
const STEPS: &str = "GET /v1/studio/history/steps";
const EXPORT: &str = "GET /v1/studio/history/export";

/// A small picture, as a worker makes them.
fn small(shade: u8) -> String {
    let pixels: Vec<u8> = (0..64 * 48 * 3).map(|at| (at as u8).wrapping_mul(shade)).collect();
    BASE64_STANDARD.encode(pictures::webp(&pixels, 64, 48, false).unwrap())
}

async fn call(
    world: &World,
    user: &str,
    method: &str,
    path: &str,
    document: &str,
    body: &Value,
    now: Millis,
) -> Answer {
    world
        .paint(user, &format!("{method} {path}"), document, body, now)
        .await
}

async fn switch(world: &World, user: &str, document: &str, recording: bool, now: Millis) {
    let body = json!({ "recording": recording });
    call(world, user, "PUT", ONE, document, &body, now).await.ok();
}

/// A request of this painter's, for this document if it is named.
async fn ask(world: &World, user: &str, document: Option<&str>, now: Millis) -> TaskId {
    let mut body = wire("01_generate");
    if let Some(document) = document {
        body["input"]["options"]["document"] = document.into();
    }
    let body = world.submit(user, &body, now).await.ok();
    body["id"].as_str().unwrap().parse().unwrap()
}

/// A machine claims the next picture; whether it was told that it is recorded, and the result's words.
async fn claim(world: &World, now: Millis) -> (bool, Value) {
    let worker = world.ready(WORKER, INSTANCE, now).await;
    let run = world.claimed(&worker, now).await.expect("something waits");
    let result = json!({
        "task_id": run.task_id, "run_id": run.run_id, "offsets": [0, 10], "size": 20,
        "times": { "fetch_ms": 1, "execute_ms": 2, "upload_ms": 3 },
        // An honest machine sends them only where it was told so; this one always does.
        "pictures": { "input": small(3), "results": [small(5), small(7)] },
    });
    (run.recorded, result)
}

async fn finish(world: &World, result: &Value, now: Millis) {
    let worker = world.worker(WORKER).await;
    let ended = world.work(&worker, "result", result, now).await.ok();
    assert_eq!(ended["accepted"], true);
}

/// Asked, rendered and brought.
async fn painted(world: &World, user: &str, document: Option<&str>, now: Millis) -> TaskId {
    let task = ask(world, user, document, now).await;
    let (_, result) = claim(world, now + seconds(1)).await;
    assert_eq!(result["task_id"], task.to_string());
    finish(world, &result, now + seconds(5)).await;
    task
}

/// Mara has agreed to a history of what names no document, and it has a step.
pub(crate) async fn recorded(world: &World, now: Millis) -> TaskId {
    switch(world, MARA, DocumentId::UNNAMED, true, now).await;
    let mut body = wire("01_generate");
    body["input"]["options"]["document"] = Value::Null;
    let submitted = world.submit(MARA, &body, now).await.ok();
    submitted["id"].as_str().unwrap().parse().unwrap()
}

/// What would be WebP files of so many bytes, if somebody looked at no more than their beginning.
fn files(mut bytes: usize) -> Vec<String> {
    let mut files = Vec::new();
    while bytes > 0 {
        let one = bytes <= StepPictures::MOST + 1 && files.is_empty();
        let size = if one {
            bytes
        } else {
            bytes.min(StepPictures::MOST - 100)
        };
        let mut file = vec![0; size];
        file[..12].copy_from_slice(b"RIFF\0\0\0\0WEBP");
        files.push(BASE64_STANDARD.encode(file));
        bytes -= size;
    }
    files
}

/// Whether so much of what [`crate::limits`] names goes through whole.
pub(crate) async fn goes_through(world: &World, name: &str, n: usize) -> bool {
    let user = UserId::new(MARA);
    let document = |name: String| Document::new(user.clone(), DocumentId::new(name), TeamId::new(TEAM), NOW);
    if name == "histories" {
        for number in 1..n {
            world.put(document(format!("d{number}"))).await;
        }
        let body = json!({ "recording": true });
        return call(world, MARA, "PUT", ONE, "one-more", &body, NOW).await.status == 200;
    }
    switch(world, MARA, "doc-1", true, NOW).await;
    if name == "history_steps" {
        let mut many = document("doc-1".to_owned());
        (many.recording, many.steps) = (Some(true), n as u64 - 1);
        world.put(many).await;
        ask(world, MARA, Some("doc-1"), NOW).await;
        return steps(world).len() == 1;
    }
    let task = ask(world, MARA, Some("doc-1"), NOW).await;
    let (_, mut result) = claim(world, NOW + seconds(1)).await;
    if name != "applied" {
        let sent = files(n);
        result["pictures"] = json!({ "results": sent });
        finish(world, &result, NOW + seconds(5)).await;
        return steps(world)[0].pictures.results == sent;
    }
    finish(world, &result, NOW + seconds(5)).await;
    for number in 0..n {
        let body = json!({ "picture": number % 2 });
        world
            .paint(
                MARA,
                "POST /v1/tasks/{id}/applied",
                &task.to_string(),
                &body,
                NOW + seconds(9),
            )
            .await
            .ok();
    }
    steps(world)[0].applied.len() == n
}

fn steps(world: &World) -> Vec<Step> {
    let items = world.memory.items().into_iter();
    let steps = items.filter(|(key, _)| {
        key.table == Table::History && key.sort.as_deref().is_some_and(|it| it.starts_with("step#"))
    });
    steps
        .map(|(_, item)| serde_json::from_value(Value::Object(item)).unwrap())
        .collect()
}

fn kept(world: &World) -> usize {
    let items = world.memory.items();
    items.iter().filter(|(key, _)| key.table == Table::History).count()
}

async fn lead(world: &World, user: &str, team: &str) -> Browser {
    let mut account: Account = world.get(&UserId::new(user)).await;
    (account.role, account.team) = (Role::Lead, TeamId::new(team));
    world.put(account).await;
    Browser::signed_in(world, user, NOW).await
}

async fn visit(browser: &mut Browser, world: &World, route: &str, query: &[(&str, &str)]) -> Answer {
    browser
        .visit(world, route, query, "", "same-origin", NOW + seconds(60))
        .await
}

fn html(answer: &Answer) -> &str {
    answer.body.as_str().unwrap()
}

#[tokio::test]
async fn with_consent_each_step_is_recorded_in_order_and_a_lead_pages_through_it() {
    let world = World::new().await;
    let body = json!({ "recording": true, "name": "A\u{202e}harbour" });
    let switched = call(&world, MARA, "PUT", ONE, "doc-1", &body, NOW).await.ok();
    assert_eq!((&switched["recording"], &switched["steps"]), (&json!(true), &json!(0)));
    let first = ask(&world, MARA, Some("doc-1"), NOW + seconds(1)).await;
    let (told, result) = claim(&world, NOW + seconds(2)).await;
    assert!(told, "the machine is told that it is recorded");
    finish(&world, &result, NOW + seconds(9)).await;
    // Saying it again changes nothing.
    let before = world.memory.items();
    finish(&world, &result, NOW + seconds(10)).await;
    assert_eq!(steps(&world), {
        let again: Vec<Step> = before
            .iter()
            .filter(|(key, _)| key.table == Table::History && key.sort.as_deref().unwrap().starts_with("step#"))
            .map(|(_, item)| serde_json::from_value(Value::Object(item.clone())).unwrap())
            .collect();
        again
    });
    let id = first.to_string();
    let took = async |picture: u64, at| {
        let body = json!({ "picture": picture });
        world.paint(MARA, "POST /v1/tasks/{id}/applied", &id, &body, at).await
    };
    assert_eq!(took(1, NOW + seconds(20)).await.ok()["recorded"], true);
    assert_eq!(took(1, NOW + seconds(21)).await.ok()["recorded"], false, "said twice");
    assert_eq!(took(2, NOW + seconds(22)).await.status, 409, "there are two pictures");
    for second in 1..13 {
        painted(&world, MARA, Some("doc-1"), NOW + seconds(100 * second)).await;
    }
    let whole = call(&world, MARA, "GET", ONE, "doc-1", &json!({}), NOW).await.ok();
    let shown = &whole["history"][0];
    assert_eq!(
        (&whole["steps"], whole["history"].as_array().unwrap().len()),
        (&json!(13), 5)
    );
    assert_eq!(shown["task"], id);
    assert!(
        shown["parameters"]["prompt"].as_str().is_some_and(|it| !it.is_empty()),
        "{shown}"
    );
    assert_eq!(
        (&shown["input"], &shown["results"]),
        (&json!(small(3)), &json!([small(5), small(7)]))
    );
    assert_eq!(shown["applied"], json!([{ "picture": 1, "at": (NOW + seconds(20)).0 }]));
    let order: Vec<_> = whole["history"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["asked"].as_u64())
        .collect();
    assert!(order.is_sorted(), "{order:?}");
    // The team's lead sees it, ten steps a page, and takes it along.
    let mut noor = lead(&world, OTHER, TEAM).await;
    let page = visit(&mut noor, &world, PAGE, &[]).await;
    assert!(
        html(&page).contains("of=mara&amp;document=doc-1") && html(&page).contains("13 steps"),
        "{page:?}"
    );
    let of = [("of", MARA), ("document", "doc-1")];
    let page = visit(&mut noor, &world, STEPS, &of).await;
    assert_eq!((page.status, html(&page).matches("What was sent").count()), (200, 10));
    assert!(html(&page).contains(&format!("data:image/webp;base64,{}", small(5))));
    let (_, next) = html(&page).rsplit_once("after=").unwrap_or_else(|| panic!("{page:?}"));
    let next = next.split(['"', '&']).next().unwrap();
    let page = visit(&mut noor, &world, STEPS, &[of[0], of[1], ("after", next)]).await;
    assert_eq!((page.status, html(&page).matches("What was sent").count()), (200, 3));
    let file = visit(&mut noor, &world, EXPORT, &[of[0], of[1], ("form", "html")]).await;
    assert_eq!((file.status, html(&file).matches("What was sent").count()), (200, 13));
    assert!(!html(&file).contains("<script") && !html(&file).contains("http://") && !html(&file).contains("src=\"/"));
    let lapse = visit(&mut noor, &world, EXPORT, &[of[0], of[1], ("form", "apng")]).await;
    let lapse = BASE64_STANDARD.decode(html(&lapse)).unwrap();
    assert!(lapse.starts_with(b"\x89PNG") && lapse.windows(4).any(|it| it == b"acTL"));
    assert_eq!(
        lapse.windows(4).filter(|it| *it == b"fcTL").count(),
        13,
        "a frame for each step"
    );
}

#[tokio::test]
async fn without_consent_there_is_nothing_in_any_table_or_bucket() {
    let world = World::new().await;
    let task = painted(&world, MARA, None, NOW).await;
    painted(&world, MARA, Some("doc-1"), NOW + seconds(100)).await;
    let applied = json!({ "picture": 0 });
    let answer = world
        .paint(MARA, "POST /v1/tasks/{id}/applied", &task.to_string(), &applied, NOW)
        .await
        .ok();
    assert_eq!(answer["recorded"], false);
    assert_eq!(kept(&world), 0);
    // Not the document's name, nor a small picture, whatever the machine sent.
    for (key, item) in world.memory.items() {
        let text = Value::Object(item).to_string();
        for trace in ["doc-1", &small(3), &small(5)] {
            assert!(!text.contains(trace), "{key:?} holds {trace}");
        }
    }
    let objects = world.memory.objects();
    assert!(objects.iter().all(|key| !key.contains("doc-1")), "{objects:?}");
    // Whoever agreed for what names no document has said nothing of one with a name.
    switch(&world, MARA, DocumentId::UNNAMED, true, NOW).await;
    let (named, unnamed) = (
        painted(&world, MARA, Some("doc-1"), NOW + seconds(200)).await,
        painted(&world, MARA, None, NOW + seconds(300)).await,
    );
    let [step] = steps(&world).try_into().unwrap();
    assert!(step.task_id == unnamed && step.task_id != named);
    // The machine is told nothing where nothing is recorded.
    ask(&world, MARA, Some("doc-1"), NOW + seconds(400)).await;
    assert!(!claim(&world, NOW + seconds(401)).await.0);
}

#[tokio::test]
async fn nothing_is_recorded_after_a_change_of_mind() {
    let world = World::new().await;
    switch(&world, MARA, "doc-1", true, NOW).await;
    let task = ask(&world, MARA, Some("doc-1"), NOW + seconds(1)).await;
    let (told, result) = claim(&world, NOW + seconds(2)).await;
    assert!(told);
    switch(&world, MARA, "doc-1", false, NOW + seconds(3)).await;
    let before = steps(&world);
    finish(&world, &result, NOW + seconds(9)).await;
    let applied = json!({ "picture": 0 });
    let answer = world
        .paint(
            MARA,
            "POST /v1/tasks/{id}/applied",
            &task.to_string(),
            &applied,
            NOW + seconds(10),
        )
        .await
        .ok();
    assert_eq!(answer["recorded"], false);
    assert_eq!(steps(&world), before, "what was there stays as it was");
    assert!(before.len() == 1 && before[0].ended.is_none());
    painted(&world, MARA, Some("doc-1"), NOW + seconds(100)).await;
    assert_eq!(steps(&world).len(), 1);
    // Deleted while a picture is rendered: it does not come back.
    switch(&world, MARA, "doc-1", true, NOW + seconds(200)).await;
    ask(&world, MARA, Some("doc-1"), NOW + seconds(201)).await;
    let (_, result) = claim(&world, NOW + seconds(202)).await;
    call(&world, MARA, "DELETE", ONE, "doc-1", &json!({}), NOW + seconds(203))
        .await
        .ok();
    finish(&world, &result, NOW + seconds(209)).await;
    assert_eq!(kept(&world), 0);
}

/// Nobody is kept from painting by what was said of histories, and what cannot be read is no consent.
#[tokio::test]
async fn consent_that_cannot_be_read_is_none_and_stops_no_picture() {
    let world = World::new().await;
    let document: DocumentId = "doc-1".parse().unwrap();
    switch(&world, MARA, "doc-1", true, NOW).await;
    world.damage(&ClassOf(TeamId::new(TEAM))).await;
    painted(&world, MARA, Some("doc-1"), NOW + seconds(1)).await;
    painted(&world, MARA, None, NOW + seconds(100)).await;
    world.damage(&DocumentOf(UserId::new(MARA), document)).await;
    painted(&world, MARA, Some("doc-1"), NOW + seconds(200)).await;
    assert!(steps(&world).is_empty());
}

async fn set_class(world: &World, recording: bool) {
    recording::set_class(&world.cloud.store, &TeamId::new(TEAM), recording, NOW, |_| Ok(None))
        .await
        .unwrap();
}

#[tokio::test]
async fn a_class_is_recorded_its_painters_are_told_and_may_refuse() {
    let world = World::new().await;
    set_class(&world, true).await;
    let user = world.paint(MARA, "GET /v1/user", "", &json!(""), NOW).await.ok();
    assert_eq!(user["recording"], true);
    assert!(user["news"].as_str().unwrap().contains("records"), "{user}");
    let mut browser = Browser::signed_in(&world, MARA, NOW).await;
    let page = visit(&mut browser, &world, PAGE, &[]).await;
    assert!(html(&page).contains("Your team records"), "{page:?}");
    let account = visit(&mut browser, &world, "GET /v1/account", &[]).await;
    assert!(html(&account).contains("Your team records"), "{account:?}");
    painted(&world, MARA, None, NOW).await;
    painted(&world, MARA, Some("doc-1"), NOW + seconds(100)).await;
    assert_eq!(steps(&world).len(), 2);
    // She refuses one document, then everything; the other painter goes on.
    switch(&world, MARA, "doc-1", false, NOW).await;
    painted(&world, MARA, Some("doc-1"), NOW + seconds(200)).await;
    painted(&world, MARA, Some("doc-2"), NOW + seconds(300)).await;
    assert_eq!(steps(&world).len(), 3);
    call(&world, MARA, "DELETE", ALL, "", &json!({}), NOW + seconds(400))
        .await
        .ok();
    assert_eq!((steps(&world).len(), kept(&world)), (0, 1), "her refusal stays");
    for document in [None, Some("doc-1"), Some("doc-3")] {
        painted(&world, MARA, document, NOW + seconds(500)).await;
    }
    assert_eq!(steps(&world).len(), 0);
    painted(&world, OTHER, Some("doc-1"), NOW + seconds(600)).await;
    assert_eq!(steps(&world).len(), 1);
    set_class(&world, false).await;
    painted(&world, OTHER, Some("doc-1"), NOW + seconds(700)).await;
    assert_eq!(steps(&world).len(), 1, "switched off");
    let user = world.paint(MARA, "GET /v1/user", "", &json!(""), NOW).await.ok();
    assert!(user.get("recording").is_none() && user.get("news").is_none(), "{user}");
}

#[tokio::test]
async fn anybody_elses_history_does_not_exist() {
    let world = World::new().await;
    switch(&world, MARA, "doc-1", true, NOW).await;
    let task = painted(&world, MARA, Some("doc-1"), NOW).await;
    let of = [("of", MARA), ("document", "doc-1")];
    // A painter of the same team, then one who leads another.
    let mut noor = Browser::signed_in(&world, OTHER, NOW).await;
    let seen = async |browser: &mut Browser| {
        let page = visit(browser, &world, PAGE, &[]).await;
        assert!(!html(&page).contains("doc-1"), "{page:?}");
        let mut found = Vec::new();
        for (route, form) in [(STEPS, "html"), (EXPORT, "html"), (EXPORT, "apng")] {
            found.push(
                visit(browser, &world, route, &[of[0], of[1], ("form", form)])
                    .await
                    .status,
            );
        }
        found
    };
    assert_eq!(seen(&mut noor).await, [404; 3]);
    let mut stranger = lead(&world, OTHER, "another-team").await;
    assert_eq!(seen(&mut stranger).await, [404; 3]);
    // A lead of hers looks, and changes nothing.
    let mut noor = lead(&world, OTHER, TEAM).await;
    assert_eq!(visit(&mut noor, &world, STEPS, &of).await.status, 200);
    assert_eq!(
        call(&world, OTHER, "GET", ONE, "doc-1", &json!({}), NOW).await.status,
        404
    );
    assert_eq!(
        call(&world, OTHER, "DELETE", ONE, "doc-1", &json!({}), NOW)
            .await
            .status,
        404
    );
    let answer = world
        .paint(OTHER, "POST /v1/tasks/{id}/applied", &task.to_string(), &json!({}), NOW)
        .await;
    assert_eq!(answer.status, 404);
    call(&world, OTHER, "DELETE", ALL, "", &json!({}), NOW).await.ok();
    assert_eq!(steps(&world).len(), 1);
    // She goes to another team: her old one's lead sees nothing any more.
    let mut account: Account = world.get(&UserId::new(MARA)).await;
    account.team = TeamId::new("another-team");
    world.put(account).await;
    assert_eq!(visit(&mut noor, &world, STEPS, &of).await.status, 404);
    let page = visit(&mut noor, &world, PAGE, &[]).await;
    assert!(!html(&page).contains("doc-1"), "{page:?}");
}

#[tokio::test]
async fn the_page_switches_and_deletes_once_asked_by_itself() {
    let world = World::new().await;
    let mut browser = Browser::signed_in(&world, MARA, NOW).await;
    let page = visit(&mut browser, &world, PAGE, &[]).await;
    let form = field(html(&page), "form");
    let press = async |browser: &mut Browser, deed: &str, document: &str, from: &str| {
        let body = form_urlencoded::Serializer::new(String::new())
            .extend_pairs([("form", form.as_str()), ("do", deed), ("document", document)])
            .finish();
        browser.visit(&world, ACT, &[], &body, from, NOW + seconds(1)).await
    };
    assert_eq!(press(&mut browser, "start", "unnamed", "cross-site").await.status, 403);
    assert_eq!(press(&mut browser, "burn", "unnamed", "same-origin").await.status, 400);
    for bad in ["", "a#b", "a/b", &"x".repeat(200)] {
        assert_eq!(
            press(&mut browser, "start", bad, "same-origin").await.status,
            404,
            "{bad}"
        );
    }
    assert_eq!(kept(&world), 0);
    let answer = press(&mut browser, "start", "unnamed", "same-origin").await;
    assert_eq!(
        (answer.status, answer.location.as_deref()),
        (303, Some("history?done=start"))
    );
    painted(&world, MARA, None, NOW + seconds(2)).await;
    assert_eq!(steps(&world).len(), 1);
    for _ in 0..2 {
        let answer = press(&mut browser, "delete", "unnamed", "same-origin").await;
        assert_eq!(answer.status, 303, "pressed twice");
    }
    assert_eq!(kept(&world), 0);
}

#[tokio::test]
async fn what_is_no_document_is_refused_in_words() {
    let world = World::new().await;
    for bad in [
        json!(7),
        json!(""),
        json!("a b"),
        json!("a#b"),
        json!("x".repeat(129)),
        json!({ "id": "a" }),
    ] {
        let mut body = wire("01_generate");
        body["input"]["options"]["document"] = bad.clone();
        let answer = world.submit(MARA, &body, NOW).await;
        assert_eq!(answer.status, 400, "{bad}");
        assert!(answer.error().contains("`document`"), "{}", answer.error());
    }
    let mut body = wire("01_generate");
    body["input"]["options"]["document"] = "x".repeat(10_000_000).into();
    assert_eq!(world.submit(MARA, &body, NOW).await.status, 413);
    let long = "x".repeat(15_000);
    for bad in ["a b", "a%23b", &long] {
        for method in ["GET", "PUT", "DELETE"] {
            let answer = call(&world, MARA, method, ONE, bad, &json!({ "recording": true }), NOW).await;
            assert_eq!(answer.status, 404, "{method}");
            answer.error();
        }
    }
    for body in [
        json!({}),
        json!({ "recording": "yes" }),
        json!({ "recording": true, "name": 7 }),
    ] {
        assert_eq!(
            call(&world, MARA, "PUT", ONE, "a", &body, NOW).await.status,
            400,
            "{body}"
        );
    }
    let body = json!({ "recording": true, "name": "n\u{0}".repeat(1000) });
    let named = call(&world, MARA, "PUT", ONE, "a", &body, NOW).await.ok();
    assert_eq!(named["name"], "n".repeat(100));
    let event = |query: Value| {
        let mut event = http(&format!("GET {ALL}"), "", Some(&painter(MARA)), &json!({}));
        event["queryStringParameters"] = query;
        event
    };
    for query in [
        json!({ "limit": "0" }),
        json!({ "limit": "51" }),
        json!({ "cursor": "forged" }),
    ] {
        assert_eq!(world.http(event(query.clone()), NOW).await.status, 400, "{query}");
    }
    // As many documents as there may be.
    for number in 1..Document::MOST {
        let document = Document::new(
            UserId::new(MARA),
            DocumentId::new(format!("d{number}")),
            TeamId::new(TEAM),
            NOW,
        );
        world.put(document).await;
    }
    let answer = call(&world, MARA, "PUT", ONE, "one-more", &json!({ "recording": true }), NOW).await;
    assert!(
        answer.status == 409 && answer.error().contains("500 documents"),
        "{answer:?}"
    );
}

#[tokio::test]
async fn what_a_machine_sends_is_kept_only_where_it_is_a_small_picture() {
    let world = World::new().await;
    switch(&world, MARA, DocumentId::UNNAMED, true, NOW).await;
    let large = BASE64_STANDARD.encode([b"RIFF\0\0\0\0WEBP".as_slice(), &vec![0; 20 * 1024]].concat());
    let script = BASE64_STANDARD.encode("<svg onload=alert(1)>");
    ask(&world, MARA, None, NOW).await;
    let (_, mut result) = claim(&world, NOW + seconds(1)).await;
    let quote = "\"><script>alert(1)</script>";
    result["pictures"] = json!({ "input": quote, "results": [large, small(5), script, "", "*"] });
    finish(&world, &result, NOW + seconds(5)).await;
    let [step] = steps(&world).try_into().unwrap();
    assert_eq!(step.pictures.input, None);
    let good = String::new;
    assert_eq!(step.pictures.results, [good(), small(5), good(), good(), good()]);
    let mut browser = Browser::signed_in(&world, MARA, NOW).await;
    let page = visit(&mut browser, &world, STEPS, &[("document", "unnamed")]).await;
    assert!(
        html(&page).contains("Too large to be kept") && !html(&page).contains("<script"),
        "{page:?}"
    );
    let lapse = visit(
        &mut browser,
        &world,
        EXPORT,
        &[("document", "unnamed"), ("form", "apng")],
    )
    .await;
    assert_eq!(lapse.status, 200);
    assert_eq!(
        visit(
            &mut browser,
            &world,
            EXPORT,
            &[("document", "unnamed"), ("form", "gif")]
        )
        .await
        .status,
        400
    );
}

#[tokio::test]
async fn a_deleted_task_takes_its_step_along() {
    let world = World::new().await;
    switch(&world, MARA, "doc-1", true, NOW).await;
    let first = painted(&world, MARA, Some("doc-1"), NOW + seconds(1)).await;
    let second = painted(&world, MARA, Some("doc-1"), NOW + seconds(100)).await;
    for _ in 0..2 {
        world
            .paint(
                MARA,
                "DELETE /v1/tasks/{id}",
                &first.to_string(),
                &json!({}),
                NOW + seconds(200),
            )
            .await;
    }
    let [step] = steps(&world).try_into().unwrap();
    assert_eq!(step.task_id, second);
    let left = call(&world, MARA, "GET", ONE, "doc-1", &json!({}), NOW).await.ok();
    assert_eq!(left["steps"], 1);
}

/// Deleting may be cut off at any call, be done twice or lose its answer: done again, everything is gone, and nothing else.
#[tokio::test]
async fn a_deletion_that_is_cut_off_goes_on_when_it_is_asked_for_again() {
    let prepared = async || {
        let world = World::watched(Settings::default()).await;
        for document in ["doc-1", "doc-2"] {
            switch(&world, MARA, document, true, NOW).await;
            for number in 0..3 {
                ask(&world, MARA, Some(document), NOW + seconds(number)).await;
            }
        }
        switch(&world, OTHER, "doc-1", true, NOW).await;
        ask(&world, OTHER, Some("doc-1"), NOW).await;
        world.faults.take();
        world
    };
    let delete = async |world: &World| {
        let event = http(&format!("DELETE {ALL}"), "", Some(&painter(MARA)), &json!({}));
        world.faults.run(world.http(event, NOW + seconds(60))).await
    };
    let world = prepared().await;
    delete(&world).await.unwrap().ok();
    let calls = world.faults.take().len();
    assert!(calls > 10, "{calls}");
    for how in How::ALL {
        for at in (1..=calls).step_by(if thorough() { 1 } else { 2 }) {
            let world = prepared().await;
            world.faults.plan(Fault { of: None, at, how });
            delete(&world).await;
            let again = delete(&world).await.unwrap();
            assert_eq!(again.status, 200, "{how:?} at {at}: {again:?}");
            let left = steps(&world);
            assert!(
                left.len() == 1 && left[0].owner == UserId::new(OTHER),
                "{how:?} at {at}: {left:?}"
            );
            assert_eq!(kept(&world), 2, "{how:?} at {at}");
        }
    }
}

#[derive(Debug, Clone)]
enum Deed {
    Switch(usize, bool),
    Class(bool),
    Paint(usize),
    Delete(usize),
    DeleteAll,
}

fn deed() -> impl Strategy<Value = Deed> {
    prop_oneof![
        (0..3_usize, any::<bool>()).prop_map(|(document, on)| Deed::Switch(document, on)),
        any::<bool>().prop_map(Deed::Class),
        (0..3_usize).prop_map(Deed::Paint),
        (0..3_usize).prop_map(Deed::Delete),
        Just(Deed::DeleteAll),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if thorough() { 300 } else { 24 }))]

    /// Whatever was said in whatever order: there is a step for each picture of a document that was recorded when it was
    /// asked for and was not deleted since, in that order, and no other.
    #[test]
    fn there_are_the_steps_that_were_agreed_to_and_no_others(deeds in proptest::collection::vec(deed(), 1..24)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let world = World::set(Settings { rate_interval: std::time::Duration::ZERO, ..Settings::default() }).await;
            let names = [DocumentId::UNNAMED, "doc-1", "doc-2"];
            let (mut said, mut class) = ([None::<bool>; 3], false);
            let mut wanted: [Vec<TaskId>; 3] = Default::default();
            for (deed, number) in deeds.into_iter().zip(1..) {
                let now = NOW + seconds(number);
                match deed {
                    Deed::Switch(place, on) => {
                        switch(&world, MARA, names[place], on, now).await;
                        said[place] = Some(on);
                    }
                    Deed::Class(on) => {
                        set_class(&world, on).await;
                        class = on;
                    }
                    Deed::Paint(place) => {
                        let task = ask(&world, MARA, Some(names[place]).filter(|_| place > 0), now).await;
                        let refused = if said[0] == Some(false) { Some(false) } else { None };
                        if said[place].or(refused).unwrap_or(class) {
                            wanted[place].push(task);
                        }
                    }
                    Deed::Delete(place) => {
                        let known = said[place].is_some() || !wanted[place].is_empty();
                        let answer = call(&world, MARA, "DELETE", ONE, names[place], &json!({}), now).await;
                        assert_eq!(answer.status, if known { 200 } else { 404 });
                        if known {
                            wanted[place].clear();
                            said[place] = class.then_some(false);
                        }
                    }
                    Deed::DeleteAll => {
                        call(&world, MARA, "DELETE", ALL, "", &json!({}), now).await.ok();
                        wanted = Default::default();
                        said = [class.then_some(false), None, None];
                    }
                }
            }
            let mut found: [Vec<TaskId>; 3] = Default::default();
            for step in steps(&world) {
                let place = names.iter().position(|it| *it == step.document.as_str()).unwrap();
                found[place].push(step.task_id);
            }
            assert_eq!(found, wanted);
        });
    }
}

//! Every route of the template, with every kind of caller that must not get in.

use std::{collections::BTreeSet, fs};

use accounts::access::{self, Access};
use model::Role;
use serde_json::{Value, json};

use crate::support::{NOW, TASK, WORKER, World, http, painter, worker_context, workspace};

/// A route as the template has it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Route {
    pub(crate) key: String,
    pub(crate) function: String,
    pub(crate) open: bool,
}

/// Every route of both APIs. Reads the template as lines: a route's key, target and authorization lie close together.
pub(crate) fn all() -> BTreeSet<Route> {
    let text = fs::read_to_string(workspace().join("template.yaml")).unwrap();
    let mut routes = BTreeSet::new();
    for part in text.split("AWS::ApiGatewayV2::Route\n").skip(1) {
        let value = |name: &str| {
            let (_, rest) = part.split_once(&format!("{name}: "))?;
            Some(rest.split(['\n', ',']).next()?.trim().to_owned())
        };
        let (key, target) = (value("RouteKey").unwrap(), value("Target").unwrap());
        let target = target.split("${").nth(1).unwrap().split("Integration}").next().unwrap();
        let mut function = String::new();
        for c in target.chars() {
            if c.is_uppercase() && !function.is_empty() {
                function.push('-');
            }
            function.extend(c.to_lowercase());
        }
        // Only the first route after the split is this part's; the other values must be its own.
        let own = part.split("\n\n").next().unwrap();
        routes.insert(Route {
            key,
            function,
            open: !own.contains("AuthorizationType: CUSTOM"),
        });
    }
    routes
}

/// The HTTP routes alone.
pub(crate) fn http_routes() -> Vec<Route> {
    let routes: Vec<_> = all().into_iter().filter(|route| route.key.contains(" /")).collect();
    assert!(routes.len() >= 12, "the template was not understood: {routes:?}");
    routes
}

fn event(route: &Route, caller: Option<&Value>) -> Value {
    let id = if route.function == "claim" { WORKER } else { TASK };
    http(&route.key, id, caller, &json!({}))
}

/// Every route that API Gateway asks no authorizer about, and why.
const WITHOUT_AUTHORIZER: &[(&str, &str)] = &[
    ("GET /v1", "a page that says what this is, the same for everybody"),
    (
        "GET /v1/account",
        "a browser brings a cookie; the function calls the verdict",
    ),
    (
        "GET /v1/account/picture",
        "a browser brings a cookie; the function calls the verdict",
    ),
    (
        "GET /v1/checkout/{item}",
        "a page that says whom to ask, the same for everybody",
    ),
    (
        "GET /v1/groups/{id}/page",
        "a browser brings a cookie; the function calls the verdict",
    ),
    ("GET /v1/openapi.json", "the same for everybody"),
    ("GET /v1/plugin/latest", "the plugin asks before anybody has signed in"),
    ("GET /v1/sign-in", "signing in: nobody has a token yet"),
    (
        "GET /v1/sign-in/callback",
        "signing in: the provider sends the browser back",
    ),
    (
        "GET /v1/sign-in/provider",
        "signing in: the browser is sent to the provider",
    ),
    (
        "GET /v1/studio",
        "a browser brings a cookie; the function calls the verdict",
    ),
    (
        "GET /v1/studio/act",
        "a browser brings a cookie; the function calls the verdict",
    ),
    (
        "GET /v1/studio/audit",
        "a browser brings a cookie; the function calls the verdict",
    ),
    (
        "GET /v1/studio/history",
        "a browser brings a cookie; the function calls the verdict",
    ),
    (
        "GET /v1/studio/history/export",
        "a browser brings a cookie; the function calls the verdict",
    ),
    (
        "GET /v1/studio/history/steps",
        "a browser brings a cookie; the function calls the verdict",
    ),
    ("GET /v1/studio/script.js", "the page's script, the same for everybody"),
    (
        "GET /v1/user",
        "a browser without a token is sent to its page; the function calls the verdict on the token",
    ),
    ("POST /v1/auth/confirm", "signing in: the device brings its own secret"),
    ("POST /v1/auth/initiate", "signing in: nobody has a token yet"),
    (
        "POST /v1/groups/{id}/page",
        "a browser brings a cookie; the function calls the verdict",
    ),
    (
        "POST /v1/sign-in",
        "signing in: an invitation, the provider's word or a session",
    ),
    (
        "POST /v1/sign-out",
        "a browser brings a cookie; the function calls the verdict",
    ),
    (
        "POST /v1/studio/act",
        "a browser brings a cookie; the function calls the verdict",
    ),
    (
        "POST /v1/studio/history",
        "a browser brings a cookie; the function calls the verdict",
    ),
    (
        "POST /v1/studio/ticket",
        "a browser brings a cookie; the function calls the verdict",
    ),
    ("POST /v1/workers/register", "a worker proves itself and gets its token"),
];

#[test]
fn no_route_is_without_an_authorizer_unless_there_is_a_reason() {
    let open: Vec<_> = http_routes().into_iter().filter(|route| route.open).collect();
    let open: Vec<_> = open.iter().map(|route| route.key.as_str()).collect();
    let known: Vec<_> = WITHOUT_AUTHORIZER.iter().map(|(route, _)| *route).collect();
    assert_eq!(open, known);
}

/// The stage of the HTTP API.
fn stage(template: &str) -> &str {
    let (_, stage) = template.split_once("  HttpStage:\n").unwrap();
    stage.split("\n\n").next().unwrap()
}

/// How many requests a second the stage lets through to a route, where it has a limit of its own.
fn rate(stage: &str, route: &Route) -> Option<u32> {
    let own = stage
        .lines()
        .find(|line| line.trim().starts_with(&format!("{}:", route.key)))?;
    own.split("ThrottlingRateLimit: ")
        .nth(1)?
        .split(',')
        .next()?
        .parse()
        .ok()
}

#[test]
fn machines_and_polls_meet_the_accounts_own_limits() {
    let text = fs::read_to_string(workspace().join("template.yaml")).unwrap();
    let routes = http_routes();
    let busy = routes
        .iter()
        .filter(|route| !route.open && (route.function == "claim" || route.key.contains("/status/")));
    for route in busy {
        assert_eq!(rate(stage(&text), route), Some(10_000), "{route:?}");
    }
}

#[test]
fn whoever_is_not_signed_in_meets_a_throttle_of_its_own() {
    let text = fs::read_to_string(workspace().join("template.yaml")).unwrap();
    let stage = stage(&text);
    // Painters come by `GET /v1/user`, too, and a forged token reaches no table there: they share what their routes have.
    let strangers = http_routes()
        .into_iter()
        .filter(|route| route.open && route.key != "GET /v1/user");
    for route in strangers {
        let rate = rate(stage, &route);
        assert!(rate.is_some_and(|rate| rate <= 20), "{route:?}: {rate:?}");
    }
    // The stage is refused if it names a route that is not there yet.
    let waited: BTreeSet<_> = stage
        .lines()
        .filter_map(|line| line.trim().strip_prefix("- "))
        .collect();
    for key in stage
        .lines()
        .filter_map(|line| line.trim().split_once(": {").or(line.trim().split_once(":\n")))
    {
        let named = text
            .split("\n\n")
            .find(|part| part.contains(&format!("RouteKey: {}\n", key.0)));
        let name = named
            .unwrap()
            .trim_start()
            .lines()
            .find(|line| line.trim_end().ends_with("Route:"))
            .unwrap();
        assert!(waited.contains(name.trim().trim_end_matches(':')), "{name} {waited:?}");
    }
}

#[tokio::test]
async fn a_refused_token_is_a_401_in_words_on_every_route() {
    let world = World::new().await;
    world.running(NOW).await;
    let before = world.written();
    for route in http_routes().iter().filter(|route| !route.open) {
        let caller = json!({ "refused": "the token has expired" });
        let answer = world.handled(event(route, Some(&caller)), NOW).await;
        assert_eq!(answer.status, 401, "{route:?}");
        assert_eq!(
            answer.error(),
            "Please sign in again: the token has expired.",
            "{route:?}"
        );
        // Whatever else the context says.
        let mut both = painter("mara");
        both["refused"] = "the token is not valid".into();
        assert_eq!(
            world.handled(event(route, Some(&both)), NOW).await.status,
            401,
            "{route:?}"
        );
    }
    assert_eq!(world.written(), before);
}

#[tokio::test]
async fn no_context_is_a_401_in_words_on_every_route() {
    let world = World::new().await;
    world.running(NOW).await;
    let before = world.written();
    for route in http_routes().iter().filter(|route| !route.open) {
        let incomplete = [
            None,
            Some(json!({})),
            Some(json!({ "sub": "mara", "team": "studio", "role": "painter" })),
            Some(json!({ "sub": "mara", "team": "studio", "role": "emperor", "iat": 1 })),
            Some(json!({ "sub": 7, "team": "studio", "role": "painter", "iat": 1 })),
        ];
        for caller in incomplete {
            let answer = world.handled(event(route, caller.as_ref()), NOW).await;
            assert_eq!(answer.status, 401, "{route:?} {caller:?}");
            assert_eq!(answer.error(), "Please sign in.", "{route:?}");
        }
    }
    assert_eq!(world.written(), before);
}

#[tokio::test]
async fn a_wrong_role_is_a_403_in_words_on_every_route() {
    let world = World::new().await;
    world.running(NOW).await;
    let before = world.written();
    for route in http_routes().iter().filter(|route| !route.open) {
        let mut operator = painter("mara");
        operator["role"] = "operator".into();
        let wrong = if route.function == "claim" {
            // A painter whose name is a worker's is still a painter.
            vec![painter("mara"), painter(WORKER), operator]
        } else {
            vec![worker_context(WORKER, 1, NOW), worker_context("mara", 1, NOW)]
        };
        for caller in wrong {
            let answer = world.handled(event(route, Some(&caller)), NOW).await;
            assert_eq!(answer.status, 403, "{route:?} {caller}");
            assert_eq!(answer.error(), "This token may not be used for that.");
        }
    }
    assert_eq!(world.written(), before);
}

#[tokio::test]
async fn each_role_may_call_what_the_table_says_and_nothing_else() {
    let world = World::new().await;
    world.running(NOW).await;
    for route in http_routes() {
        let (method, path) = route.key.split_once(' ').unwrap();
        let access = access::of(method, path).unwrap();
        for role in [Role::Painter, Role::Lead, Role::Operator, Role::Worker] {
            let mut caller = if role == Role::Worker {
                worker_context(WORKER, 1, NOW)
            } else {
                painter("mara")
            };
            caller["role"] = json!(role);
            let status = world.http(event(&route, Some(&caller)), NOW).await.status;
            if let Access::Session(_) = access {
                // Whatever token it brings: it is the cookie that counts.
                assert_eq!(status, 303, "{route:?} {role:?}");
                continue;
            }
            assert_eq!(status == 403, !access.admits(role), "{route:?} {role:?}: {status}");
            assert!(status != 401 || route.open, "{route:?} {role:?}");
        }
    }
    // An operator does what a painter does, and so does a lead; nobody but a machine renders.
    for (route, access) in access::ROUTES {
        let workers = route.contains("/v1/workers/{id}/");
        let painters = [Role::Painter, Role::Lead, Role::Operator].map(|role| access.admits(role));
        assert_eq!(painters, [!workers; 3], "{route}");
    }
}

#[tokio::test]
async fn a_route_that_does_not_exist_is_a_404_in_words() {
    let world = World::new().await;
    for route in [
        "POST /v1/nothing",
        "POST /v1/workers/{id}/nothing",
        "DELETE /v1/generate",
    ] {
        let answer = world
            .http(http(route, "x", Some(&painter("mara")), &json!({})), NOW)
            .await;
        assert_eq!(answer.status, 404, "{route}");
        answer.error();
    }
}

/// IAM refuses a policy in which two statements have one name, and the emulator does not look.
#[test]
fn no_statement_of_a_policy_has_the_name_of_another() {
    let text = fs::read_to_string(workspace().join("template.yaml")).unwrap();
    let mut policies = 0;
    for block in text.split("\n\n") {
        let named = block
            .split("Sid: ")
            .skip(1)
            .filter_map(|it| it.split([',', '\n', ' ']).next());
        let named: Vec<_> = named.collect();
        let distinct: BTreeSet<_> = named.iter().collect();
        assert_eq!(named.len(), distinct.len(), "{named:?}");
        policies += usize::from(!named.is_empty());
    }
    assert!(policies > 8, "the template was not understood");
}

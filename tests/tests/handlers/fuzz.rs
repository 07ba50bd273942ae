//! What comes through API Gateway, as nobody meant it: tokens, whole events, and what a worker says with a good token.

use std::{cell::RefCell, time::Duration};

use base64::{
    Engine,
    prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD},
};
use cloud::token::{Signer, Verifier};
use fuzz::{Chance, Sample};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use model::{PoolId, Role, Settings, TeamId, Worker};
use ops::keys;
use serde_json::{Value, json, value::RawValue};
use tokio::runtime::{Builder, Runtime};

use crate::support::{
    INSTANCE, MARA, NOW, TEAM, WORKER, World, claims, http, minutes, seconds, worker_context, worker_id,
};

/// Stands for what must not be repeated.
const SECRET: &str = "a-very-secret-word";

/// A studio which is built anew now and then, since what is taken leaves traces.
struct Studio {
    runtime: Runtime,
    standing: RefCell<Standing>,
}

/// A world, and how it was left.
struct Standing {
    world: World,
    /// How often it was made to be as it is to be.
    made: u32,
    /// How often its tables had been written by then; most of what comes is refused and changes nothing.
    commits: u64,
}

impl Studio {
    fn new() -> Self {
        let runtime = Builder::new_current_thread().enable_time().build().unwrap();
        let standing = RefCell::new(Standing {
            world: runtime.block_on(studio()),
            made: 0,
            commits: 0,
        });
        Self { runtime, standing }
    }

    /// What comes of it while the golden worker has the golden task.
    fn when_busy<T>(&self, case: impl AsyncFnOnce(&World) -> T) -> T {
        let mut standing = self.standing.borrow_mut();
        let standing = &mut *standing;
        self.runtime.block_on(async {
            if standing.made == 0 || standing.world.memory.commits() != standing.commits {
                standing.made += 1;
                if standing.made.is_multiple_of(500) {
                    standing.world = studio().await;
                }
                standing.world.running(NOW - seconds(10)).await;
                standing.commits = standing.world.memory.commits();
            }
            let world = &standing.world;
            let result = case(world).await;
            world.take_queued();
            world.sent();
            result
        })
    }
}

async fn studio() -> World {
    let settings = Settings {
        hold: Duration::ZERO,
        ..Settings::default()
    };
    let world = World::set(settings).await;
    let arn = format!("arn:aws:sts::123456789012:assumed-role/atelier-worker/{INSTANCE}");
    world.sts.says(Ok(&arn));
    world
}

#[test]
fn fuzz_tokens() {
    let keys = keys::generate().unwrap();
    let signer = Signer::new(&keys.private_pem, "atelier", "atelier").unwrap();
    let verifier = Verifier::new(&keys.public, "atelier", "atelier").unwrap();
    let key = EncodingKey::from_ec_pem(keys.private_pem.as_bytes()).unwrap();
    let (now, day) = (cloud::now(), minutes(24 * 60));
    let worker = Worker::launching(worker_id(), PoolId::new("default"), now);
    let tokens = [
        signer.user(MARA, &TeamId::new(TEAM), Role::Painter, now, day).unwrap(),
        signer.worker(&worker, now, day).unwrap(),
    ];
    let said = tokens.each_ref().map(|token| claims(token));
    let headers = [
        json!({"typ": "JWT", "alg": "ES256"}),
        json!({"typ": "JWT", "alg": "none"}),
    ];
    // A token, and what it says if it was signed with the right key.
    let make = |chance: &mut Chance| {
        let other = chance.value(&said);
        if chance.seldom(2) {
            let token = jsonwebtoken::encode(&Header::new(Algorithm::ES256), &other, &key).unwrap();
            return (token, Some(other));
        }
        let token = chance.bytes(&tokens);
        let mut token = String::from_utf8_lossy(&token).into_owned();
        if chance.seldom(2) {
            let parts = [chance.value(&headers), other].map(|it| BASE64_URL_SAFE_NO_PAD.encode(it.to_string()));
            let signature = token.rsplit('.').next().unwrap_or_default();
            token = format!("{}.{signature}", parts.join("."));
        }
        (token, None)
    };
    let taken = |(token, signed): &(String, Option<Value>)| match verifier.verify(token) {
        Ok(read) => {
            let read = serde_json::to_value(read).unwrap();
            let same = |said: &Value| read.as_object().unwrap().iter().all(|(name, it)| said[name] == *it);
            assert!(signed.iter().chain(&said).any(same), "{read}");
            assert!(signed.is_some() || tokens.contains(token), "nobody signed it");
            true
        }
        Err(error) => {
            let words = cloud::chain(&error);
            assert!(token.len() < 20 || !words.contains(token.as_str()), "{words}");
            false
        }
    };
    fuzz::run(300, make, taken);
}

#[test]
fn fuzz_workers() {
    let studio = Studio::new();
    let events = fuzz::corpus("events/claim").into_iter().map(|(_, event)| {
        let body: Value = serde_json::from_str(event["body"].as_str().unwrap()).unwrap();
        (event["routeKey"].as_str().unwrap().to_owned(), body)
    });
    let (routes, bodies): (Vec<_>, Vec<_>) = events.unzip();
    let make = |chance: &mut Chance| {
        let place = chance.below(routes.len());
        let mut body = chance.value(&bodies[place..=place]);
        if chance.seldom(4) {
            chance.damage(&mut body, SECRET.into());
        }
        let body = match chance.below(4) {
            0 => chance.json(&[body]),
            _ => Sample(body.to_string().into_bytes()),
        };
        (routes[place].clone(), body)
    };
    let taken = |(route, body): &(String, Sample)| {
        let caller = worker_context(WORKER, 1, NOW);
        let mut event = http(route, WORKER, Some(&caller), &Value::Null);
        let text = str::from_utf8(body);
        event["isBase64Encoded"] = text.is_err().into();
        event["body"] = text
            .map_or_else(|_| BASE64_STANDARD.encode(&**body), str::to_owned)
            .into();
        let answer = studio.when_busy(async |world| world.http(event, NOW).await);
        if answer.status == 200 {
            return true;
        }
        let words = answer.error();
        assert!((400..500).contains(&answer.status), "{answer:?}");
        assert!(
            words.ends_with('.') && words.len() <= 300 && !words.contains(SECRET),
            "{words}"
        );
        false
    };
    fuzz::run(300, make, taken);
}

#[test]
fn fuzz_events() {
    let studio = Studio::new();
    let functions = ["account", "authorize", "catalog", "claim", "generate", "progress-push"];
    let files = functions.into_iter().flat_map(|function| {
        let files = fuzz::corpus(&format!("events/{function}")).into_iter();
        files.map(move |(_, event)| (function, event))
    });
    let (functions, events): (Vec<_>, Vec<_>) = files.unzip();
    let make = |chance: &mut Chance| {
        let place = chance.below(events.len());
        let route = events[place]["routeKey"].as_str().unwrap_or_default().to_owned();
        (functions[place], route, chance.json(&events[place..=place]))
    };
    let taken = |(function, route, event): &(&str, String, Sample)| {
        studio.when_busy(async |world| match *function {
            "authorize" => {
                let Ok(event) = serde_json::from_slice(event) else {
                    return false;
                };
                let answer = world.authorize.handle(&event).await.unwrap();
                assert!(
                    answer["context"]["refused"].is_string(),
                    "no event has a good token: {answer}"
                );
                true
            }
            "progress-push" => {
                let Ok(event) = serde_json::from_slice::<Value>(event) else {
                    return false;
                };
                let is_event = serde_json::from_value::<cloud::websocket::Event>(event.clone()).is_ok();
                is_event && world.push(event, NOW).await < 400
            }
            _ => {
                let Ok(event) = serde_json::from_slice::<Box<RawValue>>(event) else {
                    return false;
                };
                let Ok(event) = cloud::http::event(&event) else {
                    return false;
                };
                let reply = cloud::http::answer(world.router(route), event, NOW).await;
                assert!(reply.status_code < 500, "{reply:?}");
                reply.status_code < 400
            }
        })
    };
    fuzz::run(300, make, taken);
}

//! `ops user`, and what it does to those who paint.

use cloud::tables::InvitationOf;
use model::{Account, Millis, UserId};
use ops::user::{self, Change, Command};
use serde_json::{Value, json};

use crate::support::{MARA, NOW, World, http, minutes, painter, seconds, wire};

const EVA: &str = "eva";

fn eva() -> UserId {
    UserId::new(EVA)
}

async fn run(world: &World, command: Command, now: Millis) -> anyhow::Result<String> {
    user::run(&world.cloud.store, &world.cloud.sockets, command, now).await
}

async fn add(world: &World, change: Change, now: Millis) -> anyhow::Result<String> {
    run(
        world,
        Command::Add {
            user: eva(),
            again: false,
            change,
        },
        now,
    )
    .await
}

async fn said(world: &World, command: Command) -> String {
    let result = run(world, command, NOW).await;
    result.unwrap_or_else(|error| format!("{error:#}"))
}

#[tokio::test]
async fn a_user_is_made_changed_shown_listed_and_removed() {
    let world = World::new().await;
    let made = add(&world, Change::default(), NOW).await.unwrap();
    assert!(made.contains("ops invite --user eva"), "{made}");
    let account: Account = world.get(&eva()).await;
    assert_eq!((account.name.as_str(), account.team.as_str()), (EVA, "studio"));
    assert_eq!((account.pool.as_str(), account.credits), ("default", Account::CREDITS));

    let change = Change {
        name: Some("Eva".to_owned()),
        credits: Some(50),
        ..Change::default()
    };
    run(&world, Command::Set { user: eva(), change }, NOW).await.unwrap();
    insta::assert_snapshot!("user-show", said(&world, Command::Show { user: eva() }).await);
    let team = account.team.clone();
    // Mara, Noor and Eva, whatever else of the team is in the table.
    insta::assert_snapshot!("user-list", said(&world, Command::List { team }).await);

    run(&world, Command::Remove { user: eva() }, NOW).await.unwrap();
    assert!(world.cloud.store.get(&eva()).await.unwrap().is_none());
}

#[tokio::test]
async fn what_cannot_be_done_is_said_with_what_to_do() {
    let world = World::new().await;
    let nobody = || UserId::new("nobody");
    let nowhere = || Change {
        pool: Some(model::PoolId::new("nowhere")),
        ..Change::default()
    };
    for (command, expected) in [
        (Command::Show { user: nobody() }, "`ops user add nobody`"),
        (
            Command::Set {
                user: nobody(),
                change: Change::default(),
            },
            "`ops user add nobody`",
        ),
        (Command::Revoke { user: nobody() }, "`ops user add nobody`"),
        (Command::Remove { user: nobody() }, "`ops user add nobody`"),
        (
            Command::Add {
                user: UserId::new(MARA),
                again: false,
                change: Change::default(),
            },
            "`ops user set mara`",
        ),
        (
            Command::Add {
                user: UserId::new("worker:w-1"),
                again: false,
                change: Change::default(),
            },
            "may not begin with",
        ),
        (
            Command::Add {
                user: nobody(),
                again: false,
                change: nowhere(),
            },
            "there is no pool nowhere; there is default",
        ),
        (
            Command::Set {
                user: UserId::new(MARA),
                change: nowhere(),
            },
            "`ops pool set nowhere`",
        ),
        (
            Command::List {
                team: model::TeamId::new("empty"),
            },
            "`ops user add USER --team empty`",
        ),
    ] {
        let before = format!("{:?}", world.memory.items());
        let error = run(&world, command, NOW).await.unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
        assert_eq!(format!("{:?}", world.memory.items()), before);
    }
}

/// Status of each painters' call that reads the account.
async fn tried(world: &World, issued: Millis, now: Millis) -> Vec<i64> {
    let mut caller = painter(EVA);
    caller["iat"] = issued.seconds().into();
    let mut statuses = Vec::new();
    for (route, body) in [
        ("GET /v1/user", Value::from("")),
        ("POST /v1/generate", wire("01_generate")),
    ] {
        let answer = world.http(http(route, "", Some(&caller), &body), now).await;
        if answer.status != 200 {
            assert_eq!(answer.error(), "Please sign in again: the token was revoked.");
        }
        statuses.push(answer.status);
    }
    statuses
}

#[tokio::test]
async fn revoking_ends_tokens_sign_ins_and_invitations_made_before() {
    let world = World::new().await;
    add(&world, Change::default(), NOW).await.unwrap();
    let invited = async |now| {
        ops::invite::invite(&world.cloud.store, &eva(), minutes(60), now)
            .await
            .unwrap()
    };
    let started = async |device: &str, now| {
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
    };
    let approve = async |code: &str, invitation: &str, now| {
        let body = format!("code={code}&invitation={invitation}");
        let page = world.http(http("POST /v1/sign-in", "", None, &body.into()), now).await;
        page.body.as_str().unwrap().contains("You are signed in")
    };
    let confirmed = async |device: &str, now| {
        let body = json!({ "client_id": device });
        world
            .http(http("POST /v1/auth/confirm", "", None, &body), now)
            .await
            .ok()["status"]
            == "authorized"
    };

    let (unused, pending) = (invited(NOW).await, started("the-device-of-before", NOW).await);
    assert!(approve(&pending, &invited(NOW).await, NOW).await);
    assert_eq!(tried(&world, NOW, NOW).await, [200, 200]);

    run(&world, Command::Revoke { user: eva() }, NOW + seconds(1))
        .await
        .unwrap();
    // A token of the very second of the revocation ends as well.
    for issued in [NOW, NOW + seconds(1)] {
        assert_eq!(tried(&world, issued, NOW + seconds(3)).await, [401, 401]);
    }
    assert!(!confirmed("the-device-of-before", NOW + seconds(3)).await);
    let later = NOW + seconds(4);
    let code = started("the-device-of-after", later).await;
    assert!(!approve(&code, &unused, later).await);
    assert!(approve(&code, &invited(later).await, later).await);
    assert!(confirmed("the-device-of-after", later).await);
    assert_eq!(tried(&world, later, later).await, [200, 200]);
}

/// What a removed user painted is kept by the id: nobody else comes by it.
#[tokio::test]
async fn an_id_under_which_somebody_painted_is_only_for_the_same_person() {
    let world = World::new().await;
    world.submit(MARA, &wire("01_generate"), NOW).await.ok();
    let user = UserId::new(MARA);
    run(&world, Command::Remove { user: user.clone() }, NOW).await.unwrap();
    let add = |again| Command::Add {
        user: user.clone(),
        again,
        change: Change::default(),
    };
    let refused = run(&world, add(false), NOW + minutes(1)).await.unwrap_err().to_string();
    assert!(refused.contains("--again"), "{refused}");
    assert!(world.cloud.store.get(&user).await.unwrap().is_none());
    run(&world, add(true), NOW + minutes(1)).await.unwrap();
    assert!(world.cloud.store.get(&user).await.unwrap().is_some());
}

#[tokio::test]
async fn who_gets_the_name_of_a_removed_user_does_not_get_their_tokens() {
    let world = World::new().await;
    add(&world, Change::default(), NOW).await.unwrap();
    let invitation = ops::invite::invite(&world.cloud.store, &eva(), minutes(60), NOW)
        .await
        .unwrap();
    run(&world, Command::Remove { user: eva() }, NOW).await.unwrap();
    add(&world, Change::default(), NOW + minutes(1)).await.unwrap();
    assert_eq!(tried(&world, NOW, NOW + minutes(1)).await, [401, 401]);
    let kept = world
        .cloud
        .store
        .get(&InvitationOf(accounts::fingerprint(&invitation)))
        .await
        .unwrap()
        .unwrap();
    assert!(world.get(&eva()).await.is_revoked(kept.made_at));
}

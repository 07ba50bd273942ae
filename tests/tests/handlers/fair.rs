//! Who is let in, and who comes first.

use model::{Account, Millis, Pace, PoolId, Settings, TaskId, TeamId, UserId};
use serde_json::{Value, json};

use crate::support::{MARA, NOW, OTHER, POOL, TEAM, WORKER, World, http, painter, seconds, wire};

async fn world(settings: &str) -> World {
    World::set(Settings::parse(settings).unwrap()).await
}

fn millis(ms: u64) -> std::time::Duration {
    std::time::Duration::from_millis(ms)
}

async fn submitted(world: &World, user: &str, body: &Value) -> TaskId {
    let answer = world.submit(user, body, NOW).await.ok();
    answer["id"].as_str().unwrap().parse().unwrap()
}

/// The tasks in the order in which one worker gets them.
async fn order(world: &World, count: usize) -> Vec<TaskId> {
    let worker = world.ready(WORKER, "i-1", NOW).await;
    let mut order = Vec::new();
    for _ in 0..count {
        let run = world.claimed(&worker, NOW).await.unwrap();
        let result = json!({
            "task_id": run.task_id, "run_id": run.run_id, "offsets": [0], "size": 9,
            "times": { "fetch_ms": 1, "execute_ms": 2, "upload_ms": 3 },
        });
        order.push(run.task_id);
        world.work(&worker, "result", &result, NOW).await.ok();
    }
    order
}

async fn pace(world: &World) -> Pace {
    world.get(&cloud::tables::PaceOf(PoolId::new(POOL))).await
}

#[tokio::test]
async fn too_many_requests_wait_and_leave_nothing_behind() {
    let world = world("rate_interval=2s,rate_burst=3").await;
    let wire = wire("01_generate");
    for _ in 0..3 {
        submitted(&world, MARA, &wire).await;
    }
    world.take_queued();
    let written = world.written();
    let refused = world.submit(MARA, &wire, NOW + millis(500)).await;
    assert_eq!(refused.status, 429);
    assert_eq!(
        refused.error(),
        "You have sent too many requests at once. Try again in 2 s."
    );
    assert!(world.written() == written, "a refused request was kept");
    // Neither does it touch anybody else, and it passes.
    submitted(&world, OTHER, &wire).await;
    world.submit(MARA, &wire, NOW + seconds(2)).await.ok();
    assert_eq!(world.submit(MARA, &wire, NOW + seconds(2)).await.status, 429);
}

#[tokio::test]
async fn a_repeated_request_takes_no_second_token() {
    let world = world("rate_interval=1h,rate_burst=1").await;
    let repeat = async || {
        let mut event = http("POST /v1/generate", "", Some(&painter(MARA)), &wire("01_generate"));
        event["headers"]["idempotency-key"] = "again".into();
        world.http(event, NOW).await.ok()["id"].clone()
    };
    assert_eq!(repeat().await, repeat().await);
    assert_eq!(world.submit(MARA, &wire("01_generate"), NOW).await.status, 429);
}

#[tokio::test]
async fn a_team_has_a_limit_of_its_own_where_one_is_set() {
    let world = world("team_rate_interval=2s,team_rate_burst=2").await;
    let wire = wire("01_generate");
    submitted(&world, MARA, &wire).await;
    submitted(&world, OTHER, &wire).await;
    let refused = world.submit(MARA, &wire, NOW).await;
    assert_eq!(
        (refused.status, refused.error()),
        (429, "Your team has sent too many requests at once. Try again in 3 s.")
    );
    let mut account: Account = world.get(&UserId::new(OTHER)).await;
    assert_eq!(account.team, TeamId::new(TEAM));
    account.team = TeamId::new("another");
    world.put(account).await;
    submitted(&world, OTHER, &wire).await;
}

#[tokio::test]
async fn painters_take_turns_however_many_pictures_one_of_them_asks_for() {
    let world = world("").await;
    let wire = wire("01_generate");
    let mut marta = Vec::new();
    for _ in 0..3 {
        marta.push(submitted(&world, MARA, &wire).await);
    }
    let other = [
        submitted(&world, OTHER, &wire).await,
        submitted(&world, OTHER, &wire).await,
    ];
    let expected = [marta[0], other[0], marta[1], other[1], marta[2]];
    assert_eq!(order(&world, 5).await, expected);
}

#[tokio::test]
async fn who_was_away_has_saved_nothing_up() {
    let world = world("").await;
    let wire = wire("01_generate");
    for _ in 0..4 {
        submitted(&world, MARA, &wire).await;
    }
    order(&world, 4).await;
    let present = pace(&world).await.virtual_time;
    assert!(present > 0);
    let (first, second) = (
        submitted(&world, OTHER, &wire).await,
        submitted(&world, OTHER, &wire).await,
    );
    let tag = async |id| world.task(&id).await.start_tag;
    assert_eq!(tag(first).await, present);
    assert!(tag(second).await > present);
}

#[tokio::test]
async fn brush_strokes_come_before_pictures_that_take_longer() {
    let world = world("").await;
    let mut stroke = wire("01_generate");
    stroke["input"]["workflow"]["batch_count"] = 1.into();
    stroke["input"]["workflow"]["sampling"]["total_steps"] = 4.into();
    let first = submitted(&world, MARA, &wire("01_generate")).await;
    let second = submitted(&world, MARA, &wire("01_generate")).await;
    let strokes = [
        submitted(&world, OTHER, &stroke).await,
        submitted(&world, OTHER, &stroke).await,
    ];
    assert_eq!(order(&world, 4).await, [first, strokes[0], strokes[1], second]);
}

#[tokio::test]
async fn a_submit_tells_the_place_in_line_and_what_is_told_is_compared_with_what_comes() {
    let world = world("").await;
    let wire = wire("01_generate");
    let answer = async |user| world.submit(user, &wire, NOW).await.ok();
    let (first, second) = (answer(MARA).await, answer(MARA).await);
    assert_eq!((&first["position"], &second["position"]), (&json!(1), &json!(2)));
    let eta = |answer: &Value| answer["eta_s"].as_u64().unwrap();
    assert!(eta(&first) > 0 && eta(&second) > eta(&first));
    let [task, _] = world.tasks().try_into().unwrap();
    assert!(task.eta.is_some_and(|at: Millis| at > NOW));
    order(&world, 1).await;
    let error = pace(&world).await.estimates.eta_error;
    assert_eq!(error.samples, 1);
    assert!(error.mean > 0.0);
}

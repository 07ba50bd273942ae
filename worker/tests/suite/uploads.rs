//! Where results are uploaded to; on the double and on a real ComfyUI.

use axum::http::StatusCode;
use model::{FailureClass, RunId};

use crate::{
    bench::{Bench, result_key},
    cloud::{Cloud, Seen},
    plans::{fresh_seed, steps},
};

crate::scenarios! {
    the_size_of_a_result_is_signed
    asks_again_when_an_address_has_expired
    an_api_that_signs_no_size_is_served
    the_address_that_came_with_the_run_will_do
    trouble_of_the_api_is_waited_for
    without_an_address_the_run_fails
    each_picture_has_a_thumbnail
    a_picture_does_without
    thumbnails_that_are_refused_take_no_picture_along
}

/// Each question for addresses and each upload, in order.
fn told(cloud: &Cloud) -> Vec<String> {
    let told = cloud.seen().into_iter().filter_map(|seen| match seen {
        Seen::FreshUrls { size } => Some(format!("ask {size:?}")),
        Seen::Put { status, size } => Some(format!("put {size} {}", status.as_u16())),
        _ => None,
    });
    told.collect()
}

/// How large the run's blob is.
async fn size_of(bench: &Bench, run: RunId) -> u64 {
    assert_eq!(bench.pictures(run).await.len(), 1);
    bench.cloud.result(run).await.size
}

async fn the_size_of_a_result_is_signed(bench: Bench) {
    let bench = bench.ready().await;
    let size = size_of(&bench, bench.run(&steps(2, fresh_seed()))).await;
    assert_eq!(
        told(&bench.cloud),
        [format!("ask Some({size})"), format!("put {size} 200")]
    );
}

async fn asks_again_when_an_address_has_expired(bench: Bench) {
    let bench = bench.ready().await;
    bench.cloud.behave(|behaviour| behaviour.expired = 1);
    let size = size_of(&bench, bench.run(&steps(2, fresh_seed()))).await;
    let asked = format!("ask Some({size})");
    assert_eq!(
        told(&bench.cloud),
        [
            asked.clone(),
            format!("put {size} 403"),
            asked,
            format!("put {size} 200")
        ]
    );
}

/// The API of one release before gives an address with the run, and another one without a size when asked.
async fn an_api_that_signs_no_size_is_served(bench: Bench) {
    let bench = bench.ready().await;
    bench.cloud.behave(|behaviour| behaviour.signs_size = false);
    let mut run = bench.assignment(&steps(2, fresh_seed()), None);
    run.urls.upload = bench.cloud.bucket("results/with-the-run");
    let id = run.run_id;
    bench.cloud.enqueue(run);
    let size = size_of(&bench, id).await;
    assert_eq!(
        told(&bench.cloud),
        [format!("ask Some({size})"), format!("put {size} 200")]
    );
    assert_eq!(bench.cloud.object("results/with-the-run"), None);
}

async fn the_address_that_came_with_the_run_will_do(bench: Bench) {
    let bench = bench.ready().await;
    bench.cloud.behave(|behaviour| {
        behaviour.signs_size = false;
        behaviour.fresh_refused.push_back(StatusCode::NOT_FOUND);
    });
    let mut run = bench.assignment(&steps(2, fresh_seed()), None);
    run.urls.upload = bench.cloud.bucket(&result_key(run.run_id));
    let id = run.run_id;
    bench.cloud.enqueue(run);
    let size = size_of(&bench, id).await;
    assert_eq!(
        told(&bench.cloud),
        [format!("ask Some({size})"), format!("put {size} 200")]
    );
}

async fn trouble_of_the_api_is_waited_for(bench: Bench) {
    let bench = bench.ready().await;
    bench
        .cloud
        .behave(|behaviour| behaviour.fresh_refused.push_back(StatusCode::SERVICE_UNAVAILABLE));
    let size = size_of(&bench, bench.run(&steps(2, fresh_seed()))).await;
    let asked = format!("ask Some({size})");
    assert_eq!(told(&bench.cloud), [asked.clone(), asked, format!("put {size} 200")]);
}

async fn without_an_address_the_run_fails(bench: Bench) {
    let bench = bench.ready().await;
    bench
        .cloud
        .behave(|behaviour| behaviour.uploads_go_to = Some(String::new()));
    let failure = bench.cloud.failure(bench.run(&steps(2, fresh_seed()))).await;
    assert_eq!(failure.class, Some(FailureClass::Infrastructure));
    assert_eq!(failure.message, "The finished picture could not be uploaded.");
}

async fn each_picture_has_a_thumbnail(bench: Bench) {
    let bench = bench.ready().await;
    let run = bench.run(&steps(2, fresh_seed()));
    let pictures = bench.pictures(run).await;
    let result = bench.cloud.result(run).await;
    assert_eq!(result.thumbnails.len(), pictures.len());
    for (place, (size, picture)) in result.thumbnails.iter().zip(&pictures).enumerate() {
        let found = bench.cloud.object(&format!("thumbs/{run}/{place}")).unwrap();
        assert_eq!(found.len() as u64, *size);
        assert!(*size <= model::MAX_THUMBNAIL, "{size}");
        let small = image::load_from_memory(&found).unwrap();
        let longest = picture.width().max(picture.height()).min(256);
        assert_eq!(small.width().max(small.height()), longest);
    }
}

/// What is only for lists must not take a picture along.
async fn a_picture_does_without(bench: Bench) {
    let bench = bench.ready().await;
    bench.cloud.behave(|behaviour| behaviour.thumbnails_refused = true);
    let run = bench.run(&steps(2, fresh_seed()));
    assert_eq!(bench.pictures(run).await.len(), 1);
    assert!(bench.cloud.result(run).await.thumbnails.is_empty());
    bench.cloud.behave(|behaviour| behaviour.signs_size = false);
    let run = bench.run(&steps(2, fresh_seed()));
    assert_eq!(bench.pictures(run).await.len(), 1);
    assert!(bench.cloud.result(run).await.thumbnails.is_empty());
}

/// One call asks for all addresses; what is refused in it may be the thumbnails alone.
async fn thumbnails_that_are_refused_take_no_picture_along(bench: Bench) {
    let bench = bench.ready().await;
    bench
        .cloud
        .behave(|behaviour| behaviour.fresh_refused.push_back(StatusCode::BAD_REQUEST));
    let run = bench.run(&steps(2, fresh_seed()));
    let size = size_of(&bench, run).await;
    let asked = format!("ask Some({size})");
    assert_eq!(told(&bench.cloud), [asked.clone(), asked, format!("put {size} 200")]);
    assert!(bench.cloud.result(run).await.thumbnails.is_empty());
}

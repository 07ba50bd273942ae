//! Pictures that are painted, and requests that cannot be; on the double and on a real ComfyUI.

use base64::{Engine, prelude::BASE64_STANDARD};
use model::{FailureClass, RunId, worker_api::InputBlob};
use serde_json::{Value, json};
use workflow::Source;

use crate::{
    bench::{Bench, Setup},
    cloud::Behaviour,
    plans::{fresh_seed, plan, refine, unknown_model, warm_up, webp},
};

crate::scenarios! {
    generates_as_many_pictures_as_asked
    warms_up_before_it_is_ready
    refines_a_picture_however_it_comes
    names_the_model_that_is_missing
    shows_the_steps_of_a_recorded_run_alone
    refuses_a_damaged_picture_by_itself
    refuses_a_picture_of_another_size
    refuses_a_picture_that_was_changed
}

async fn generates_as_many_pictures_as_asked(bench: Bench) {
    let bench = bench.ready().await;
    let two = |seed: u32| {
        plan(&json!({"batch_count": 2, "sampling": {
            "sampler": "euler", "scheduler": "normal", "cfg_scale": 7.0, "total_steps": 2, "seed": seed
        }}))
    };
    let seed = fresh_seed();
    // The last one is wholly cached.
    let runs = [two(seed), two(seed + 1), two(seed)].map(|plan| bench.run(&plan));
    let mut made = vec![];
    for run in runs {
        made.push(bench.pictures(run).await);
    }
    for pictures in &made {
        assert_eq!(pictures.len(), 2);
        assert!(pictures.iter().all(|picture| picture.dimensions() == (64, 64)));
    }
    assert!(made[0] != made[1], "the seed must matter");
    assert!(made[0] == made[2], "the same seed must give the same pictures");
    let result = bench.cloud.result(runs[0]).await;
    assert!(
        result.times.execute > 0 && result.times.execute < 60_000,
        "{:?}",
        result.times
    );
    assert_eq!(
        history(&bench, runs[0]).await,
        json!({}),
        "ComfyUI must not pile up history"
    );
}

async fn warms_up_before_it_is_ready(mut bench: Bench) {
    let behaviour = Behaviour {
        warm_up: Some(warm_up()),
        ..Behaviour::default()
    };
    bench.start(Setup {
        behaviour,
        ..Setup::default()
    });
    bench
        .cloud
        .beat("warm", |beat| {
            beat.ready && beat.models == ["tiny.ckpt"] && beat.main_models == ["tiny.ckpt"]
        })
        .await;
    if let Some(double) = &bench.double {
        assert_eq!(double.stats().succeeded, 1);
    }
}

async fn shows_the_steps_of_a_recorded_run_alone(bench: Bench) {
    let bench = bench.ready().await;
    let sent = webp(64, 64, 200);
    let blob = InputBlob {
        base64: Some(BASE64_STANDARD.encode(&sent)),
        key: None,
        etag: None,
        offsets: vec![0],
        size: sent.len() as u64,
    };
    for recorded in [true, false] {
        let mut run = bench.assignment(&refine(fresh_seed()), Some(blob.clone()));
        run.recorded = recorded;
        let id = run.run_id;
        bench.cloud.enqueue(run);
        let made = bench.pictures(id).await;
        let pictures = bench.cloud.result(id).await.pictures;
        let Some(pictures) = pictures else {
            assert!(!recorded, "a recorded run without its small pictures");
            continue;
        };
        assert!(recorded, "small pictures of a run that is not recorded");
        let read = |text: &String| {
            let file = BASE64_STANDARD.decode(text).unwrap();
            image::load_from_memory_with_format(&file, image::ImageFormat::WebP)
                .unwrap()
                .into_rgb8()
        };
        let input = read(pictures.input.as_ref().unwrap());
        assert_eq!(input.dimensions(), (64, 64));
        assert!(
            input.get_pixel(32, 32).0[0].abs_diff(200) < 30,
            "{:?}",
            input.get_pixel(32, 32)
        );
        assert_eq!(pictures.results.len(), made.len());
        for (small, whole) in pictures.results.iter().map(read).zip(&made) {
            assert_eq!(small.dimensions(), whole.dimensions());
        }
    }
}

async fn refines_a_picture_however_it_comes(bench: Bench) {
    let bench = bench.ready().await;
    let plan = refine(fresh_seed());
    let picture = webp(64, 64, 200);
    let size = picture.len() as u64;
    // The first picture of the blob is not used.
    let both = [webp(32, 32, 9), picture.clone()].concat();
    let (offset, whole) = (both.len() as u64 - size, both.len() as u64);
    let mut second = plan.clone();
    let Source::Segment { image, .. } = &mut second.inputs[0].source else {
        panic!()
    };
    *image = 1;

    let inline = InputBlob {
        base64: Some(BASE64_STANDARD.encode(&picture)),
        key: None,
        etag: None,
        offsets: vec![0],
        size,
    };
    let etag = bench.cloud.store("uploads/u/1", both);
    let stored = InputBlob {
        base64: None,
        key: Some("uploads/u/1".into()),
        etag: Some(etag),
        offsets: vec![0, offset],
        size: whole,
    };
    let other = webp(64, 64, 10);
    let other = InputBlob {
        base64: Some(BASE64_STANDARD.encode(&other)),
        size: other.len() as u64,
        ..inline.clone()
    };
    let runs = [
        bench.assignment(&plan, Some(inline)),
        bench.assignment(&second, Some(stored)),
        bench.assignment(&plan, Some(other)),
    ];
    let mut made = vec![];
    for run in runs {
        let id = run.run_id;
        bench.cloud.enqueue(run);
        made.push(bench.pictures(id).await);
    }
    assert_eq!(made[0].len(), 1);
    assert!(made[0] == made[1], "the same picture must give the same result");
    assert!(made[0] != made[2], "another picture must give another result");
}

async fn names_the_model_that_is_missing(bench: Bench) {
    let bench = bench.ready().await;
    let run = bench.run(&unknown_model());
    let failure = bench.cloud.failure(run).await;
    assert_eq!(failure.class, Some(FailureClass::User));
    assert_eq!(
        failure.message,
        "The checkpoint \"nowhere.safetensors\" is not on the render machine."
    );
}

async fn refuses_a_damaged_picture_by_itself(bench: Bench) {
    let mut picture = webp(64, 64, 1);
    picture.truncate(picture.len() / 2);
    let size = picture.len() as u64;
    let blob = InputBlob {
        base64: Some(BASE64_STANDARD.encode(&picture)),
        key: None,
        etag: None,
        offsets: vec![0],
        size,
    };
    refuses(
        bench,
        blob,
        "Input picture 1 is neither PNG nor JPEG nor WebP, or it is damaged.",
    )
    .await;
}

async fn refuses_a_picture_of_another_size(bench: Bench) {
    let picture = webp(64, 32, 1);
    let size = picture.len() as u64;
    let blob = InputBlob {
        base64: Some(BASE64_STANDARD.encode(&picture)),
        key: None,
        etag: None,
        offsets: vec![0],
        size,
    };
    refuses(
        bench,
        blob,
        "Input picture 1 has 64x32 pixels, but 64x64 were announced.",
    )
    .await;
}

async fn refuses_a_picture_that_was_changed(bench: Bench) {
    let picture = webp(64, 64, 1);
    let size = picture.len() as u64;
    bench.cloud.store("uploads/u/2", picture);
    let etag = Some("another".to_owned());
    let blob = InputBlob {
        base64: None,
        key: Some("uploads/u/2".into()),
        etag,
        offsets: vec![0],
        size,
    };
    refuses(
        bench,
        blob,
        "The uploaded pictures were changed after the request was sent.",
    )
    .await;
}

async fn refuses(bench: Bench, blob: InputBlob, message: &str) {
    let bench = bench.ready().await;
    let run = bench.assignment(&refine(1), Some(blob));
    let id = run.run_id;
    bench.cloud.enqueue(run);
    let failure = bench.cloud.failure(id).await;
    assert_eq!(
        (failure.class, failure.message.as_str()),
        (Some(FailureClass::User), message)
    );
    if let Some(double) = &bench.double {
        let stats = double.stats();
        assert_eq!(
            (stats.uploads, stats.prompts_accepted, stats.prompts_refused),
            (0, 0, 0)
        );
    }
}

async fn history(bench: &Bench, run: RunId) -> Value {
    bench.comfy_says(&format!("/history/{run}")).await
}

//! LoRAs that painters upload; on the double, and on a real ComfyUI whose folder of models `COMFYUI_MODELS` names.

use std::fs;

use model::{
    FailureClass,
    worker_api::{HeartbeatReply, ModelFile},
};
use serde_json::{Value, json};

use crate::{
    bench::{Bench, Setup},
    canvases::{blob, canvas, mask},
    cloud::{EXPIRED, STALLED, Seen},
    studio::{Studio, fitting, fitting_of_peft, of_sdxl, plan, plan_of, safetensors},
};

macro_rules! scenarios {
    ($($name:ident)*) => {
        mod double {
            $(#[tokio::test]
            async fn $name() {
                let bench = crate::bench::Bench::double().await.ready().await;
                super::$name(&crate::studio::Studio::new(bench)).await;
            })*
        }
        mod real {
            $(#[tokio::test]
            async fn $name() {
                let Some(bench) = crate::bench::Bench::real_with_models().await else { return };
                super::$name(&crate::studio::Studio::new(bench.ready().await)).await;
            })*
        }
    };
}

scenarios! {
    is_fetched_once_and_matters
    acts_on_a_region
    of_another_dialect_is_renamed
    does_nothing_on_another_kind_of_model
    that_nobody_knows_is_left_to_comfyui
    that_is_damaged_is_the_painters
    is_asked_for_again_with_fresh_addresses
    is_dropped_when_the_picture_is_canceled
}

async fn is_fetched_once_and_matters(studio: &Studio) {
    let lora = studio.upload(&fitting());
    let ask = async |strength| {
        let run = studio.run(&lora, &plan(&lora, strength));
        let picture = studio.picture(run).await;
        assert!(!studio.bench.cloud.result(run).await.lora_warning);
        picture
    };
    // The second one is wanted a moment after ComfyUI has listed its files.
    let (weak, strong) = (ask(0.0).await, ask(1.0).await);
    assert!(weak != strong, "an uploaded LoRA must matter");
    assert!(ask(1.0).await == strong);
    assert_eq!(studio.gets(), 1, "it must be kept");
    assert_eq!(studio.files(), [format!("{}.safetensors", lora.sha256)]);
    assert_eq!(fs::read(studio.folder.join(&studio.files()[0])).unwrap(), fitting());

    // Another one, while ComfyUI runs: it must be seen without a restart.
    let other = studio.upload(&safetensors(&[
        ("lora_unet_input_blocks_1_1_proj_in.lora_down.weight", &[4, 320, 1, 1]),
        ("lora_unet_input_blocks_1_1_proj_in.lora_up.weight", &[320, 4, 1, 1]),
    ]));
    let run = studio.run(&other, &plan(&other, 1.0));
    assert!(studio.picture(run).await != strong);
}

async fn acts_on_a_region(studio: &Studio) {
    let pictures = blob(&[canvas(64), mask(64, [0, 0, 64, 64]), mask(64, [0, 0, 32, 64])]);
    let ask = async |lora: &ModelFile, strength: f64| {
        let own = json!([{"name": "mine", "strength": strength, "storage_id": "hash"}]);
        let region = |mask: u32, loras: Value| json!({"mask": mask, "bounds": [0, 0, 64, 64], "positive": "a tree", "control": [], "loras": loras});
        let regions = json!([region(1, json!([])), region(2, own)]);
        let data = json!({"base64": "AAAA", "offsets": [0, 1, 2]});
        let plan = plan_of(lora, &json!({"/conditioning/regions": regions, "/image_data": data}));
        let mut run = studio.assignment(lora, &plan, &lora.key);
        run.inputs = Some(pictures.clone());
        let id = run.run_id;
        studio.bench.cloud.enqueue(run);
        (
            studio.picture(id).await,
            studio.bench.cloud.result(id).await.lora_warning,
        )
    };
    let lora = studio.upload(&fitting());
    let (weak, strong) = (ask(&lora, 0.0).await, ask(&lora, 1.0).await);
    assert!(weak.0 != strong.0 && !strong.1);
    let other = ask(&studio.upload(&of_sdxl()), 1.0).await;
    assert!(other.1 && (studio.bench.double.is_some() || other.0 == weak.0));
}

async fn of_another_dialect_is_renamed(studio: &Studio) {
    let known = studio.upload(&fitting());
    let (without, with) = (
        studio.picture(studio.run(&known, &plan(&known, 0.0))).await,
        studio.picture(studio.run(&known, &plan(&known, 1.0))).await,
    );
    let foreign = studio.upload(&fitting_of_peft());
    for _ in 0..2 {
        let run = studio.run(&foreign, &plan(&foreign, 1.0));
        let picture = studio.picture(run).await;
        assert!(!studio.bench.cloud.result(run).await.lora_warning);
        assert!(picture != without, "it must matter");
        if studio.bench.double.is_none() {
            assert!(picture == with, "it must mean the same");
        }
    }
    // It lies beside what came, which stays as it was.
    let mut files = studio.files();
    files.retain(|file| file.starts_with(&foreign.sha256));
    files.sort_by_key(String::len);
    let [came, renamed] = files.as_slice() else {
        panic!("{files:?}")
    };
    let came = fs::read(studio.folder.join(came)).unwrap();
    assert_eq!(came, fitting_of_peft());
    let renamed = fs::read(studio.folder.join(renamed)).unwrap();
    assert!(renamed.ends_with(&came[came.len() - 5_000..]) && renamed != came);

    // What ComfyUI does with it as it came: nothing, and no word.
    if studio.bench.double.is_none() {
        let run = studio.bench.assignment(&plan(&foreign, 1.0), None);
        let id = run.run_id;
        studio.bench.cloud.enqueue(run);
        assert!(studio.picture(id).await == without, "nothing would have to be renamed");
    }
}

async fn does_nothing_on_another_kind_of_model(studio: &Studio) {
    let plain = studio.upload(&fitting());
    let without = studio.picture(studio.run(&plain, &plan(&plain, 0.0))).await;
    let flux = safetensors(&[
        ("lora_unet_double_blocks_0_img_attn_qkv.lora_down.weight", &[4, 3072]),
        ("lora_unet_double_blocks_0_img_attn_qkv.lora_up.weight", &[9216, 4]),
    ]);
    for bytes in [of_sdxl(), flux] {
        let lora = studio.upload(&bytes);
        let run = studio.run(&lora, &plan(&lora, 1.0));
        let picture = studio.picture(run).await;
        assert!(
            studio.bench.cloud.result(run).await.lora_warning,
            "the painter must be told"
        );
        if studio.bench.double.is_none() {
            assert!(picture == without, "it must do nothing");
        }
    }
}

async fn that_nobody_knows_is_left_to_comfyui(studio: &Studio) {
    let lora = studio.upload(&safetensors(&[
        ("lora_unet_blocks_0_cross_attn_k.lora_down.weight", &[4, 64]),
        ("lora_unet_blocks_0_cross_attn_k.lora_up.weight", &[64, 4]),
    ]));
    let run = studio.run(&lora, &plan(&lora, 1.0));
    studio.picture(run).await;
    assert!(studio.bench.cloud.result(run).await.lora_warning);
}

async fn that_is_damaged_is_the_painters(studio: &Studio) {
    let whole = fitting();
    let checkpoint = safetensors(&[("model.diffusion_model.out.0.weight", &[320])]);
    let mut outside = whole.clone();
    let place = outside.windows(4).position(|bytes| bytes == b"[0,5").unwrap();
    outside[place + 1] = b'9';
    for (bytes, words) in [
        (b"a zip file, perhaps".to_vec(), "no safetensors file"),
        (whole[..whole.len() / 2].to_vec(), "damaged"),
        (outside, "damaged"),
        (checkpoint, "no LoRA"),
    ] {
        let lora = studio.upload(&bytes);
        let failure = studio.bench.cloud.failure(studio.run(&lora, &plan(&lora, 1.0))).await;
        assert_eq!(failure.class, Some(FailureClass::User), "{failure:?}");
        assert!(
            failure.message.contains(words) && failure.message.contains("mine.safetensors"),
            "{failure:?}"
        );
    }
    let lora = studio.upload(&whole);
    let failure = studio.run_from(&lora, &plan(&lora, 1.0), "loras/nobody/nothing");
    let failure = studio.bench.cloud.failure(failure).await;
    assert_eq!(failure.class, Some(FailureClass::User));
    assert!(failure.message.contains("no longer on the server"), "{failure:?}");
    if let Some(double) = &studio.bench.double {
        assert_eq!(double.stats().prompts_accepted, 0, "ComfyUI must not be asked");
    }
}

async fn is_asked_for_again_with_fresh_addresses(studio: &Studio) {
    let lora = studio.upload(&fitting());
    studio
        .bench
        .cloud
        .behave(|behaviour| behaviour.loras = vec![lora.key.clone()]);
    let run = studio.run_from(&lora, &plan(&lora, 1.0), &format!("{EXPIRED}{}", lora.key));
    studio.picture(run).await;
    // Once for the LoRA, once for the upload.
    let asked = studio.bench.cloud.seen().into_iter().filter_map(|seen| match seen {
        Seen::FreshUrls { size } => Some(size.is_some()),
        _ => None,
    });
    assert_eq!(asked.collect::<Vec<_>>(), [false, true]);
}

async fn is_dropped_when_the_picture_is_canceled(studio: &Studio) {
    let lora = studio.upload(&fitting());
    let run = studio.run_from(&lora, &plan(&lora, 1.0), &format!("{STALLED}{}", lora.key));
    // Half of it is there, and the painter sees that something happens.
    let share = |beat: &model::worker_api::Heartbeat| beat.run.is_some_and(|run| run.value > 0.05);
    studio.bench.cloud.beat("progress", share).await;
    assert_eq!(studio.files().len(), 1);
    let cancel = HeartbeatReply {
        cancel: true,
        ..HeartbeatReply::default()
    };
    studio
        .bench
        .cloud
        .behave(|behaviour| drop(behaviour.about.insert(run, cancel)));
    let failure = studio.bench.cloud.failure(run).await;
    assert_eq!(failure.class, None);
    // Who asks again gets the rest.
    let run = studio.run(&lora, &plan(&lora, 1.0));
    studio.picture(run).await;
    assert_eq!(studio.files(), [format!("{}.safetensors", lora.sha256)]);
}

/// The machine's fault, so that another one may try.
#[tokio::test]
async fn without_a_folder_for_it_nothing_is_painted() {
    let mut bench = Bench::double().await;
    bench.start(Setup {
        has_models: false,
        ..Setup::default()
    });
    bench.cloud.beat("ready", |beat| beat.ready).await;
    let studio = Studio::new(bench);
    let lora = studio.upload(&fitting());
    let failure = studio.bench.cloud.failure(studio.run(&lora, &plan(&lora, 1.0))).await;
    assert_eq!(failure.class, Some(FailureClass::Infrastructure));
    assert!(failure.message.contains("not set up"), "{failure:?}");
}

//! A representative request of each kind, with its pixels looked at; on the double and on a real ComfyUI.

use image::{DynamicImage, GenericImageView, Rgb, RgbImage};
use model::RunId;
use serde_json::{Value, json};
use workflow::{Inventory, Plan};

use crate::{
    bench::{Bench, result_key},
    canvases::{blob, canvas, clear, distance, mask},
    plans::compiled,
};

macro_rules! scenarios {
    ($($name:ident)*) => {
        mod double {
            $(#[tokio::test]
            async fn $name() {
                super::$name(crate::bench::Bench::double().await.ready().await).await;
            })*
        }
        mod real {
            $(#[tokio::test]
            async fn $name() {
                if let Some(bench) = crate::bench::Bench::real().await {
                    super::$name(bench.ready().await).await;
                }
            })*
        }
    };
}

scenarios! {
    inpaints_only_what_is_selected
    inpaints_in_two_passes
    inpaints_with_a_checkpoint_made_for_it
    fills_in_every_way
    refines_a_region
    generates_in_two_passes
    enlarges
    enlarges_in_tiles
    finds_edges
    paints_regions
    applies_loras
}

/// What both servers have; the double has some more.
fn inventory(bench: &Bench) -> Inventory {
    let mut inventory = json!({
        "checkpoints": {
            "tiny.ckpt": {"filename": "tiny.ckpt", "arch": "sd15"},
        },
        "loras": ["tiny-lora.safetensors"],
        "uploads": {"hash": "tiny-lora.safetensors"},
    });
    if bench.double.is_some() {
        inventory["checkpoints"]["xl"] = json!({"filename": "tiny.ckpt", "arch": "sdxl"});
        inventory["checkpoints"]["flux"] =
            json!({"filename": "unet.safetensors", "arch": "flux", "format": "diffusion"});
        inventory["upscalers"] = json!(["4x.pth"]);
        inventory["resources"] = json!({
            "upscaler-default-all": "4x.pth",
            "controlnet-inpaint-sd15": "net.safetensors",
            "controlnet-scribble-sd15": "net.safetensors",
            "controlnet-inpaint-flux": "net.safetensors",
            "controlnet-universal-sdxl": "net.safetensors",
            "text_encoder-clip_l-all": "clip.safetensors",
            "text_encoder-t5-all": "clip.safetensors",
            "vae-default-all": "vae.safetensors",
        });
    }
    serde_json::from_value(inventory).unwrap()
}

/// A small request of this kind; sizes are input, passes and target.
fn request(kind: &str, [input, initial, desired, target]: [u32; 4], changes: &Value) -> Value {
    let square = |side: u32| [side, side];
    let mut request = json!({
        "kind": kind,
        "images": {
            "extent": {
                "input": square(input), "initial": square(initial), "desired": square(desired), "target": square(target)
            },
            "initial_image": 0,
        },
        "models": {"checkpoint": "tiny.ckpt", "version": "sd15", "loras": []},
        "sampling": {"sampler": "euler", "scheduler": "normal", "cfg_scale": 5.0, "total_steps": 3, "seed": 7},
        "conditioning": {"positive": "a red fox, ink", "negative": "blue", "control": [], "regions": []},
        "color_match": 1.0,
        "image_data": {"base64": "AAAA", "offsets": [0, 1, 2, 3]}
    });
    for (pointer, value) in changes.as_object().unwrap() {
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        request.pointer_mut(parent).unwrap()[key] = value.clone();
    }
    request
}

fn start(bench: &Bench, plan: &Plan, pictures: &[RgbImage]) -> RunId {
    let run = bench.assignment(plan, Some(blob(pictures)));
    let id = run.run_id;
    bench.cloud.enqueue(run);
    id
}

async fn paint(bench: &Bench, request: Value, pictures: &[RgbImage]) -> Vec<DynamicImage> {
    let plan = compiled(request, &inventory(bench));
    let made = bench.images(start(bench, &plan, pictures)).await;
    assert_eq!(made.len(), plan.output.count as usize);
    for picture in &made {
        assert_eq!(picture.dimensions(), (plan.output.width, plan.output.height));
    }
    made
}

fn inpaint(bounds: [u32; 4]) -> Value {
    json!({
        "mode": "fill", "target_bounds": bounds, "fill": "neutral", "grow": 4, "feather": 6, "blend": 5,
        "use_inpaint_model": true
    })
}

const SELECTED: [u32; 4] = [24, 24, 16, 16];

async fn inpaints_only_what_is_selected(bench: Bench) {
    let changes = |seed: u32| json!({"/inpaint": inpaint([8, 8, 48, 48]), "/images/hires_mask": 1, "/batch_count": 2, "/sampling/seed": seed});
    let pictures = [canvas(64), mask(64, SELECTED)];
    let ask = |seed| paint(&bench, request("inpaint", [64; 4], &changes(seed)), &pictures);
    let made = ask(7).await;
    assert_eq!(made.len(), 2);
    for picture in &made {
        let picture = clear(picture);
        for (x, y) in [(0, 0), (47, 0), (0, 47), (47, 47), (24, 1), (1, 24)] {
            assert_eq!(picture.get_pixel(x, y).0[3], 0, "alpha at {x}, {y}");
        }
        // The middle of the selection, in the result's own coordinates.
        assert_eq!(picture.get_pixel(24, 24).0[3], 255);
        assert!(distance(picture, &pictures[0], [8, 8]) > 8.0);
    }
    assert!(made[0] != made[1], "each picture of a batch is another one");
    assert!(ask(7).await == made, "the same seed must give the same pictures");
    assert!(ask(8).await != made, "the seed must matter");
}

async fn inpaints_in_two_passes(bench: Bench) {
    let changes = json!({
        "/inpaint": inpaint([16, 16, 64, 64]), "/images/hires_mask": 1, "/images/hires_image": 2,
        "/crop_upscale_extent": [64, 64],
    });
    let detail = RgbImage::from_fn(64, 64, |x, y| *canvas(96).get_pixel(x + 16, y + 16));
    let pictures = [canvas(64), mask(96, [36, 36, 24, 24]), detail];
    let made = paint(&bench, request("inpaint", [64, 64, 96, 96], &changes), &pictures).await;
    let picture = clear(&made[0]);
    assert_eq!((picture.get_pixel(0, 0).0[3], picture.get_pixel(32, 32).0[3]), (0, 255));
    assert!(distance(picture, &canvas(96), [16, 16]) > 8.0);
}

async fn inpaints_with_a_checkpoint_made_for_it(bench: Bench) {
    let inventory = json!({"checkpoints": {"tiny.ckpt": {"filename": "inpainting.ckpt", "arch": "sd15"}}});
    let inventory = serde_json::from_value(inventory).unwrap();
    let changes = json!({
        "/inpaint": inpaint([16, 16, 64, 64]), "/images/hires_mask": 1, "/crop_upscale_extent": [64, 64],
    });
    let plan = compiled(request("inpaint", [64, 64, 96, 96], &changes), &inventory);
    assert_eq!(plan.graph.to_string().matches(" InpaintModelConditioning(").count(), 2);
    // Known by its name, which no test server has.
    let plan = serde_json::to_string(&plan)
        .unwrap()
        .replace("inpainting.ckpt", "tiny.ckpt");
    let plan = serde_json::from_str(&plan).unwrap();
    let made = bench
        .images(start(&bench, &plan, &[canvas(64), mask(96, [36, 36, 24, 24])]))
        .await;
    let picture = clear(&made[0]);
    assert_eq!((picture.get_pixel(0, 0).0[3], picture.get_pixel(32, 32).0[3]), (0, 255));
    assert!(distance(picture, &canvas(96), [16, 16]) > 8.0);
}

async fn fills_in_every_way(bench: Bench) {
    let pictures = [canvas(64), mask(64, SELECTED)];
    let mut seen: Vec<Vec<DynamicImage>> = vec![];
    for fill in ["none", "replace", "blur", "border"] {
        let changes = json!({"/inpaint": inpaint([0, 0, 64, 64]), "/images/hires_mask": 1});
        let mut request = request("inpaint", [64; 4], &changes);
        request["inpaint"]["fill"] = json!(fill);
        // At full strength little of a fill is left.
        request["sampling"]["start_step"] = json!(1);
        let made = paint(&bench, request, &pictures).await;
        assert!(!seen.contains(&made), "{fill} must matter");
        seen.push(made);
    }
}

async fn refines_a_region(bench: Bench) {
    let changes = json!({
        "/inpaint": inpaint([0, 0, 48, 48]), "/images/hires_mask": 1, "/batch_count": 2, "/sampling/start_step": 1,
        "/inpaint/use_inpaint_model": false,
    });
    let pictures = [canvas(48), mask(48, [16, 16, 16, 16])];
    let made = paint(&bench, request("refine_region", [48, 64, 64, 48], &changes), &pictures).await;
    let picture = clear(&made[1]);
    assert_eq!((picture.get_pixel(0, 0).0[3], picture.get_pixel(24, 24).0[3]), (0, 255));
    assert!(distance(picture, &pictures[0], [0, 0]) > 3.0);
}

async fn generates_in_two_passes(bench: Bench) {
    let made = paint(&bench, request("generate", [64, 64, 96, 90], &json!({})), &[canvas(64)]).await;
    assert!(made[0].as_rgb8().is_some(), "no alpha");
}

async fn enlarges(bench: Bench) {
    let plain = json!({"/models": null, "/sampling": null, "/conditioning": null});
    let made = paint(
        &bench,
        request("upscale_simple", [48, 48, 100, 100], &plain),
        &[canvas(48)],
    )
    .await;
    let picture = made[0].as_rgb8().unwrap();
    // Still the same picture: dark to the left, blue to the right.
    assert!(picture.get_pixel(10, 50).0[2] < 90 && picture.get_pixel(90, 50).0[2] > 120);
}

async fn enlarges_in_tiles(bench: Bench) {
    let changes =
        |seed: u32| json!({"/upscale": {"tile_overlap": 16}, "/sampling/start_step": 2, "/sampling/seed": seed});
    let ask = |seed| {
        let plan = compiled(
            request("upscale_tiled", [64, 128, 80, 120], &changes(seed)),
            &inventory(&bench),
        );
        assert_eq!(plan.graph.to_string().matches(" SamplerCustomAdvanced(").count(), 4);
        bench.images(start(&bench, &plan, &[canvas(64)]))
    };
    let made = ask(7).await;
    assert_eq!((made.len(), made[0].dimensions()), (1, (120, 120)));
    assert!(ask(7).await == made && ask(8).await != made);
}

async fn finds_edges(bench: Bench) {
    for mode in ["canny_edge", "soft_edge"] {
        let changes = json!({"/control_mode": mode, "/models": null, "/sampling": null, "/conditioning": null});
        let edge = RgbImage::from_fn(512, 500, |x, _| Rgb([if x < 256 { 0 } else { 255 }; 3]));
        let mut request = request("control_image", [512; 4], &changes);
        request["images"]["extent"]["input"] = json!([512, 500]);
        let made = paint(&bench, request, &[edge]).await;
        let lines = made[0].as_rgb8().unwrap();
        assert!(lines.get_pixel(64, 256).0[0] > 200, "{mode}: white where nothing is");
        if bench.double.is_none() {
            let darkest = (248..264).map(|x| lines.get_pixel(x, 256).0[0]).min().unwrap();
            assert!(darkest < 200, "{mode}: a dark line on the edge, not {darkest}");
        }
    }
}

async fn paints_regions(bench: Bench) {
    let pictures = |left: u32| [canvas(64), mask(64, [0, 0, 64, 64]), mask(64, [0, 0, left, 64])];
    let changes = |loras: Value| {
        let region = |mask: u32, positive: &str, loras: Value| json!({"mask": mask, "bounds": [0, 0, 64, 64], "positive": positive, "control": [], "loras": loras});
        json!({"/conditioning/regions": [region(1, "a field", json!([])), region(2, "a tree", loras)]})
    };
    let ask = |loras: Value, left| {
        let plan = compiled(request("generate", [64; 4], &changes(loras)), &inventory(&bench));
        bench.images(start(&bench, &plan, &pictures(left)))
    };
    let made = ask(json!([]), 32).await;
    assert!(ask(json!([]), 16).await != made, "a region's place must matter");
    let lora = json!([{"name": "tiny-lora.safetensors", "strength": 1.0}]);
    assert!(ask(lora, 32).await != made, "a region's LoRA must matter");
}

async fn applies_loras(bench: Bench) {
    let pictures = [canvas(64)];
    let ask = |lora: Value| {
        let changes = json!({"/models/loras": [lora]});
        paint(&bench, request("generate", [64; 4], &changes), &pictures)
    };
    let weak = ask(json!({"name": "tiny-lora.safetensors", "strength": 0.0})).await;
    let strong = ask(json!({"name": "tiny-lora.safetensors", "strength": 1.0})).await;
    assert!(weak != strong, "a LoRA must matter");
    let uploaded = ask(json!({"name": "mine", "strength": 1.0, "storage_id": "hash"})).await;
    assert!(uploaded == strong, "an uploaded LoRA is found by its hash");
}

/// The painter asks again with another seed: the picture is not given to ComfyUI again, and all that it has made of it by then
/// is still good.
#[tokio::test]
async fn the_same_canvas_is_uploaded_and_encoded_once() {
    let bench = Bench::double().await.ready().await;
    let double = bench.double.as_ref().unwrap();
    let refine = async |seed: u32, side: u32| {
        let before = double.stats();
        let changes = json!({"/sampling/seed": seed, "/sampling/start_step": 1});
        let plan = compiled(request("refine", [64; 4], &changes), &inventory(&bench));
        bench
            .images(start(&bench, &plan, &[mask(64, [0, 0, side, side])]))
            .await;
        let after = double.stats();
        (after.uploads - before.uploads, after.nodes_run - before.nodes_run)
    };
    let (first, whole) = refine(1, 20).await;
    let (second, rest) = refine(2, 20).await;
    assert_eq!((first, second), (1, 0));
    // Noise, sampler, decoder, saver: neither loaders, nor prompts, nor the encoder.
    assert!(rest == 4 && whole > 8, "{rest} of {whole} nodes");
    let (other, again) = refine(2, 30).await;
    assert_eq!(other, 1);
    assert!(again > rest && again < whole, "{again} of {whole} nodes");
}

/// Smaller files for a slow line: colours nearly the same, the alpha exactly.
#[tokio::test]
async fn results_are_webp_where_that_is_wanted() {
    let bench = Bench::double().await.ready().await;
    let pictures = [canvas(64), mask(64, SELECTED)];
    let changes = json!({"/inpaint": inpaint([0, 0, 64, 64]), "/images/hires_mask": 1});
    let mut plan = compiled(request("inpaint", [64; 4], &changes), &inventory(&bench));
    let plain = bench.images(start(&bench, &plan, &pictures)).await;
    plan.output.webp = true;
    let run = start(&bench, &plan, &pictures);
    let small = bench.images(run).await;
    assert!(bench.cloud.object(&result_key(run)).unwrap().starts_with(b"RIFF"));
    for (plain, small) in clear(&plain[0]).pixels().zip(clear(&small[0]).pixels()) {
        assert_eq!(plain.0[3], small.0[3]);
    }
    let plain = compiled(request("generate", [64; 4], &json!({})), &inventory(&bench));
    let mut small = plain.clone();
    small.output.webp = true;
    let [plain, small] = [plain, small].map(|plan| start(&bench, &plan, &[canvas(64)]));
    let (plain, small) = (bench.pictures(plain).await, bench.pictures(small).await);
    let apart = plain[0]
        .as_raw()
        .iter()
        .zip(small[0].as_raw())
        .map(|(a, b)| u64::from(a.abs_diff(*b)));
    assert!(apart.sum::<u64>() < 64 * 64 * 3 * 12);
}

/// What no small real server has: control nets, SDXL, Flux.
#[tokio::test]
async fn control_nets_and_other_models_run() {
    let bench = Bench::double().await.ready().await;
    let pictures = [canvas(64), mask(64, SELECTED)];
    for (checkpoint, arch) in [("tiny.ckpt", "sd15"), ("xl", "sdxl"), ("flux", "flux")] {
        let changes = json!({
            "/models/checkpoint": checkpoint, "/models/version": arch, "/inpaint": inpaint([0, 0, 64, 64]),
            "/images/hires_mask": 1,
        });
        let made = paint(&bench, request("inpaint", [64; 4], &changes), &pictures).await;
        assert_eq!(clear(&made[0]).get_pixel(0, 0).0[3], 0);
    }
    let control = |other: RgbImage| {
        let changes = json!({"/conditioning/control": [{"mode": "scribble", "image": 1}]});
        let plan = compiled(request("refine", [64; 4], &changes), &inventory(&bench));
        bench.images(start(&bench, &plan, &[canvas(64), other]))
    };
    let made = control(mask(64, SELECTED)).await;
    assert!(
        control(mask(64, [0, 0, 20, 20])).await != made,
        "a control layer must matter"
    );
}

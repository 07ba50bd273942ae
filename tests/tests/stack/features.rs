//! What `plugin/resources` offers, asked for: each thing through the whole stack, to its picture.

use anyhow::{Context, Result, ensure};
use cloud::Write;
use image::{Rgb, RgbImage};
use model::{TaskId, TeamId};
use serde_json::{Value, json};
use system_tests::features::{Feature, Offer, SIDE, rich_catalog};

use crate::studio::{Studio, small};

/// Requests that wait at a time.
const AT_ONCE: usize = 8;

pub(crate) async fn each_one_offered_is_painted(studio: Studio) -> Result<()> {
    let store = studio.stack.store();
    for mut entry in rich_catalog(&TeamId::new(format!("team-of-{}", studio.pool))) {
        store.commit([Write::put(&mut entry)?]).await?;
    }
    // Nobody knows yet what the machines of this pool can do: what ComfyUI can do by itself is offered.
    let cold = resources(&studio).await?;
    ensure!(
        !has_references(&cold, "sd15") && has_references(&cold, "flux"),
        "{cold}"
    );
    let first = studio.painter.submit(&small(1, 1)?).await?;
    studio.finish(first).await?;
    let warm = resources(&studio).await?;
    ensure!(has_references(&warm, "sd15") && has_references(&warm, "flux"), "{warm}");

    let features = Offer(&warm).features();
    ensure!(features.len() > Offer(&cold).features().len());
    for batch in features.chunks(AT_ONCE) {
        let mut tasks = vec![];
        for feature in batch {
            tasks.push(submit(&studio, feature).await.with_context(|| feature.name.clone())?);
        }
        for (feature, task) in batch.iter().zip(tasks) {
            painted(&studio, feature, task)
                .await
                .with_context(|| feature.name.clone())?;
        }
    }
    Ok(())
}

async fn resources(studio: &Studio) -> Result<Value> {
    let answer = studio.painter.call("GET", "plugin/resources", None).await?;
    ensure!(answer.status == 200, "{answer:?}");
    Ok(answer.body)
}

fn has_references(resources: &Value, arch: &str) -> bool {
    !resources["resources"][format!("ip_adapter-reference-{arch}")].is_null()
}

async fn submit(studio: &Studio, feature: &Feature) -> Result<TaskId> {
    let mut workflow = feature.workflow.clone();
    let (mut blob, mut offsets) = (Vec::new(), Vec::new());
    for is_mask in &feature.pictures {
        offsets.push(blob.len());
        blob.extend(picture(*is_mask)?);
    }
    if !offsets.is_empty() {
        let object = studio.painter.upload(blob).await?;
        workflow["image_data"] = json!({ "s3_object": object, "offsets": offsets });
    }
    studio
        .painter
        .submit(&json!({ "input": { "workflow": workflow } }))
        .await
}

async fn painted(studio: &Studio, feature: &Feature, task: TaskId) -> Result<()> {
    let status = studio.finish(task).await?;
    let joints = status.pointer("/output/pose/people/0/pose_keypoints_2d");
    let joints = joints.and_then(Value::as_array).map_or(0, Vec::len);
    ensure!(
        joints == if feature.pose { 54 } else { 0 },
        "{joints} numbers of joints"
    );
    let pictures = studio.painter.pictures(&status).await?;
    ensure!(pictures.len() == 1, "{} pictures", pictures.len());
    let picture = image::load_from_memory_with_format(&pictures[0], image::ImageFormat::Png)?;
    let got = (picture.width(), picture.height(), picture.color().has_alpha());
    ensure!(got == (feature.side, feature.side, feature.alpha), "{got:?}");
    Ok(())
}

/// A canvas in two colours, or a mask of its left half.
fn picture(is_mask: bool) -> Result<Vec<u8>> {
    let picture = RgbImage::from_fn(SIDE, SIDE, |x, y| match (is_mask, x < SIDE / 2) {
        (true, left) => Rgb(if left { [255; 3] } else { [0; 3] }),
        (false, true) => Rgb([200, (y * 3) as u8, 40]),
        (false, false) => Rgb([20, 60, (y * 3) as u8]),
    });
    let mut bytes = std::io::Cursor::new(Vec::new());
    picture.write_to(&mut bytes, image::ImageFormat::Png)?;
    Ok(bytes.into_inner())
}

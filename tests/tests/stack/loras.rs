//! A painter's own LoRA, from the upload to the picture.

use anyhow::{Context, Result, ensure};
use base64::{Engine, prelude::BASE64_STANDARD};
use local::pump::models_of;
use model::TeamId;
use reqwest::StatusCode;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::studio::{Studio, small};

/// Uploaded past the API, kept by hash, painted with; of no use to another team.
pub(crate) async fn uploaded_and_painted_with(studio: Studio) -> Result<()> {
    let rival = studio.stack.seed("rival", "rivals-of-loras").await?.painter;
    let lora = safetensors("lora_unet_down_blocks_0_attentions_0_proj_in", 320);
    let hash = BASE64_STANDARD.encode(Sha256::digest(&lora));
    let wanted = json!({ "hash": hash, "size": lora.len() }).to_string();
    let ask = async |painter: &local::painter::Painter| {
        let answer = painter.call("POST", "upload/lora", Some(wanted.clone())).await?;
        ensure!(answer.status == 200, "{answer:?}");
        Ok(answer.body)
    };
    let answer = ask(&studio.painter).await?;
    ensure!(answer["status"] == "upload", "{}", answer["status"]);
    let url = answer["url"].as_str().context("there is no url")?;

    // The bucket itself takes that file and no other.
    let put = async |bytes: &[u8], header: Option<&str>| {
        let mut put = reqwest::Client::new().put(url).body(bytes.to_vec());
        if let Some(hash) = header {
            put = put.header("x-amz-checksum-sha256", hash);
        }
        anyhow::Ok(put.send().await?.status())
    };
    let (mut other, longer) = (lora.clone(), [lora.as_slice(), b"more"].concat());
    *other.last_mut().context("empty")? ^= 1;
    let theirs = BASE64_STANDARD.encode(Sha256::digest(&other));
    for (bytes, header) in [
        (&lora, None),
        (&other, Some(hash.as_str())),
        (&other, Some(theirs.as_str())),
        (&longer, Some(hash.as_str())),
    ] {
        let status = put(bytes, header).await?;
        ensure!(status.is_client_error(), "the bucket took something else: {status}");
    }
    ensure!(
        ask(&studio.painter).await?["status"] == "upload",
        "nothing is there yet"
    );
    ensure!(
        put(&lora, Some(&hash)).await? == StatusCode::OK,
        "the bucket did not take the file"
    );
    ensure!(ask(&studio.painter).await?["status"] == "cached", "the file is there");
    ensure!(ask(&rival).await?["status"] == "upload", "another team's file");

    // A fresh machine fetches it, and the picture is painted without a word of warning.
    let request = painted_with(&hash)?;
    let refused = rival.call("POST", "generate", Some(request.to_string())).await?;
    ensure!(refused.status == 400, "another team painted with it: {refused:?}");
    let task = studio.painter.submit(&request).await?;
    let status = studio.finish(task).await?;
    ensure!(status["output"].get("lora_warning").is_none(), "{status}");
    let machine = studio.until_machines(|machines| machines.len() == 1).await?.remove(0);
    let folder = models_of(&studio.stack.folder, &machine.worker_id).join("loras/atelier");
    let file = folder.join(format!(
        "team-of-{}/{:x}.safetensors",
        studio.pool,
        Sha256::digest(&lora)
    ));
    ensure!(std::fs::read(&file)? == lora, "the machine has another file");

    // One for another kind of model is left out, and the painter is told.
    let flux = safetensors("lora_unet_double_blocks_0_img_attn_qkv", 3072);
    let hash = BASE64_STANDARD.encode(Sha256::digest(&flux));
    let wanted = json!({ "hash": hash, "size": flux.len() }).to_string();
    let answer = studio.painter.call("POST", "upload/lora", Some(wanted)).await?.body;
    let url = answer["url"].as_str().context("there is no url")?;
    let put = reqwest::Client::new().put(url).header("x-amz-checksum-sha256", &hash);
    put.body(flux)
        .send()
        .await?
        .error_for_status()
        .map_err(reqwest::Error::without_url)?;
    let task = studio.painter.submit(&painted_with(&hash)?).await?;
    let status = studio.finish(task).await?;
    ensure!(
        status["output"]["lora_warning"] == true,
        "nobody said that it does not fit"
    );

    // An operator takes it away: it is not there any more, until it is uploaded again.
    let remove = ops::lora::Command::Remove {
        team: TeamId::new(format!("team-of-{}", studio.pool)),
        sha256: vec![format!("{:x}", Sha256::digest(&lora))],
    };
    ops::lora::run(studio.stack.store(), studio.stack.models(), remove, cloud::now()).await?;
    let refused = studio
        .painter
        .call("POST", "generate", Some(request.to_string()))
        .await?;
    ensure!(refused.status == 400, "it was painted with after all: {refused:?}");
    ensure!(ask(&studio.painter).await?["status"] == "upload", "it is still there");

    let log = std::fs::read_to_string(studio.stack.folder.join(format!("{}.log", machine.worker_id)))?;
    ensure!(
        log.contains("fetching a model") && !log.contains("X-Amz-"),
        "an address is in the log"
    );
    Ok(())
}

fn painted_with(hash: &str) -> Result<Value> {
    let mut request = small(2, 1)?;
    request["input"]["workflow"]["models"]["loras"] =
        json!([{ "name": "mine.safetensors", "strength": 0.8, "storage_id": hash }]);
    Ok(request)
}

/// A LoRA of rank 4 for one layer.
fn safetensors(layer: &str, width: usize) -> Vec<u8> {
    let bytes = 4 * width * 4;
    let header = json!({
        format!("{layer}.lora_down.weight"): { "dtype": "F32", "shape": [4, width], "data_offsets": [0, bytes] },
        format!("{layer}.lora_up.weight"): { "dtype": "F32", "shape": [width, 4], "data_offsets": [bytes, 2 * bytes] },
    })
    .to_string();
    [
        &(header.len() as u64).to_le_bytes(),
        header.as_bytes(),
        &vec![7; 2 * bytes],
    ]
    .concat()
}

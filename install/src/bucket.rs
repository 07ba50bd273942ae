//! Whole buckets, which a [`cloud::Bucket`] does not list.

use std::collections::BTreeMap;

use anyhow::{Result, bail};
use aws_config::SdkConfig;
use aws_sdk_s3::{
    Client,
    config::Builder,
    error::ProvideErrorMetadata,
    types::{Delete, ObjectIdentifier},
};

use crate::aws::failed;

/// The client; an emulator knows buckets by path only.
pub(crate) fn client(sdk: &SdkConfig) -> Client {
    Client::from_conf(
        Builder::from(sdk)
            .force_path_style(sdk.endpoint_url().is_some())
            .build(),
    )
}

/// All objects with their sizes in bytes.
pub(crate) async fn objects(client: &Client, bucket: &str) -> Result<BTreeMap<String, u64>> {
    let mut pages = client.list_objects_v2().bucket(bucket).into_paginator().send();
    let mut found = BTreeMap::new();
    while let Some(page) = pages.next().await {
        let page = page.map_err(|error| failed("list a bucket", error))?;
        found.extend(page.contents().iter().filter_map(|it| {
            Some((
                it.key()?.to_owned(),
                it.size().and_then(|it| u64::try_from(it).ok()).unwrap_or(0),
            ))
        }));
    }
    Ok(found)
}

/// Deletes everything in a bucket, all versions and unfinished uploads too. A bucket that is gone is empty.
pub(crate) async fn empty(client: &Client, bucket: &str) -> Result<()> {
    loop {
        let page = match client.list_object_versions().bucket(bucket).max_keys(1000).send().await {
            Ok(page) => page,
            Err(error) if is_gone(error.code()) => return Ok(()),
            Err(error) => return Err(failed("list a bucket", error)),
        };
        let versions = page.versions().iter().map(|it| (it.key(), it.version_id()));
        let markers = page.delete_markers().iter().map(|it| (it.key(), it.version_id()));
        let mut all = Vec::new();
        for (key, version) in versions.chain(markers) {
            let it = ObjectIdentifier::builder()
                .key(key.unwrap_or_default())
                .set_version_id(version.map(str::to_owned));
            all.push(it.build()?);
        }
        if all.is_empty() {
            break;
        }
        let what = Delete::builder().set_objects(Some(all)).quiet(true).build()?;
        let reply = client.delete_objects().bucket(bucket).delete(what).send().await;
        let reply = reply.map_err(|error| failed("delete objects", error))?;
        if let Some(error) = reply.errors().first() {
            let (key, why) = (error.key().unwrap_or_default(), error.message().unwrap_or_default());
            bail!("S3 does not delete {key}: {why}");
        }
    }
    loop {
        let page = client.list_multipart_uploads().bucket(bucket).send().await;
        let page = page.map_err(|error| failed("list unfinished uploads", error))?;
        for it in page.uploads() {
            let abort = client.abort_multipart_upload().bucket(bucket);
            let abort = abort
                .set_key(it.key.clone())
                .set_upload_id(it.upload_id.clone())
                .send()
                .await;
            abort.map_err(|error| failed("end an unfinished upload", error))?;
        }
        if page.is_truncated() != Some(true) {
            return Ok(());
        }
    }
}

/// Deletes an empty bucket, if it is there.
pub(crate) async fn remove(client: &Client, bucket: &str) -> Result<()> {
    match client.delete_bucket().bucket(bucket).send().await {
        Ok(_) => Ok(()),
        Err(error) if is_gone(error.code()) => Ok(()),
        Err(error) => Err(failed("delete a bucket", error)),
    }
}

fn is_gone(code: Option<&str>) -> bool {
    code == Some("NoSuchBucket")
}

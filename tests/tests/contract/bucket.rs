//! The buckets.

use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::aws::{Aws, refused};

const MINUTE: Duration = Duration::from_mins(1);
/// SHA-256 of nothing.
const HASH: &str = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";

pub(crate) async fn reads_back_what_was_put(aws: Aws) -> Result<()> {
    for bucket in [&aws.cloud.bucket, &aws.cloud.models] {
        let key = format!("plans/{}", aws.own);
        bucket.put(&key, "Größe".to_owned()).await?;
        ensure!(bucket.get(&key).await? == "Größe");
        let head = bucket.head(&key).await?.context("it is not there")?;
        ensure!(
            head.size == 7 && !head.etag.is_empty() && !head.etag.contains('"'),
            "{head:?}"
        );
        bucket.put(&key, String::new()).await?;
        ensure!(bucket.get(&key).await?.is_empty());
        bucket.delete(&key).await?;
        ensure!(bucket.head(&key).await?.is_none());
        bucket.delete(&key).await?;
    }
    Ok(())
}

pub(crate) async fn keys_of_all_kinds(aws: Aws) -> Result<()> {
    let bucket = &aws.cloud.bucket;
    for name in ["a b", "größe", "a+b&c=d", "%2F", "#?", "a//b", "🖌", "'\"<>"] {
        let key = format!("uploads/{}/{name}", aws.own);
        bucket.put(&key, name.to_owned()).await?;
        ensure!(bucket.get(&key).await? == name, "{name}");
        ensure!(bucket.presign_get(&key, MINUTE).await?.contains("uploads/"), "{name}");
    }
    Ok(())
}

async fn no_key(aws: &Aws, key: &str) -> Result<()> {
    let bucket = &aws.cloud.bucket;
    let what = |call: &str| format!("{call}, {} bytes", key.len());
    refused(&what("presign_put"), bucket.presign_put(key, None, MINUTE).await)?;
    refused(&what("presign_get"), bucket.presign_get(key, MINUTE).await)?;
    let exactly = bucket.presign_put_exactly(key, HASH, 0, MINUTE).await;
    refused(&what("presign_put_exactly"), exactly)?;
    refused(&what("put"), bucket.put(key, String::new()).await)?;
    refused(&what("get"), bucket.get(key).await)?;
    refused(&what("head"), bucket.head(key).await)?;
    refused(&what("copy from"), bucket.copy(key, "a").await)?;
    refused(&what("copy to"), bucket.copy("a", key).await)?;
    refused(&what("delete"), bucket.delete(key).await)
}

pub(crate) async fn keys_are_not_empty(aws: Aws) -> Result<()> {
    no_key(&aws, "").await
}

pub(crate) async fn keys_are_not_too_long(aws: Aws) -> Result<()> {
    no_key(&aws, &"x".repeat(1025)).await?;
    no_key(&aws, &"ä".repeat(600)).await
}

pub(crate) async fn keys_of_1024_bytes(aws: Aws) -> Result<()> {
    let (bucket, longest) = (&aws.cloud.bucket, format!("{:x<1024}", aws.own));
    bucket.put(&longest, "a".to_owned()).await?;
    ensure!(bucket.get(&longest).await? == "a");
    bucket.presign_get(&longest, MINUTE).await?;
    Ok(())
}

pub(crate) async fn a_copy_stays_when_the_first_goes(aws: Aws) -> Result<()> {
    let bucket = &aws.cloud.bucket;
    let (from, to) = (format!("results/{}/a b+ö", aws.own), format!("kept/always/{}", aws.own));
    ensure!(!bucket.copy(&from, &to).await?, "copied nothing");
    ensure!(bucket.head(&to).await?.is_none());
    bucket.put(&from, "picture".to_owned()).await?;
    for _ in 0..2 {
        ensure!(bucket.copy(&from, &to).await?);
    }
    bucket.delete(&from).await?;
    ensure!(bucket.get(&to).await? == "picture");
    Ok(())
}

pub(crate) async fn lists_what_begins_so(aws: Aws) -> Result<()> {
    let bucket = &aws.cloud.bucket;
    let below = format!("thumbs/{}/", aws.own);
    ensure!(bucket.list(&below, None).await?.is_empty());
    for name in ["b", "a/c", "ö +"] {
        bucket.put(&format!("{below}{name}"), name.to_owned()).await?;
    }
    bucket.put(&format!("thumbs/{}-other", aws.own), String::new()).await?;
    let wanted = ["a/c", "b", "ö +"].map(|name| format!("{below}{name}"));
    ensure!(bucket.list(&below, None).await? == wanted);
    ensure!(bucket.list(&below, Some(&wanted[0])).await? == wanted[1..]);
    Ok(())
}

pub(crate) async fn nothing_there(aws: Aws) -> Result<()> {
    let key = format!("plans/{}", aws.own);
    ensure!(aws.cloud.bucket.head(&key).await?.is_none());
    refused("get", aws.cloud.bucket.get(&key).await)
}

pub(crate) async fn urls_for_a_second_to_a_week(aws: Aws) -> Result<()> {
    let (bucket, week) = (&aws.cloud.bucket, Duration::from_hours(7 * 24));
    for life in [
        Duration::ZERO,
        Duration::from_millis(999),
        week + Duration::from_secs(1),
    ] {
        refused(&format!("put for {life:?}"), bucket.presign_put("a", None, life).await)?;
        refused(&format!("get for {life:?}"), bucket.presign_get("a", life).await)?;
        let exactly = bucket.presign_put_exactly("a", HASH, 0, life).await;
        refused(&format!("put exactly for {life:?}"), exactly)?;
    }
    for life in [Duration::from_secs(1), week] {
        bucket.presign_put("a", None, life).await?;
        bucket.presign_get("a", life).await?;
        bucket.presign_put_exactly("a", HASH, 0, life).await?;
    }
    Ok(())
}

pub(crate) async fn urls_for_files_that_can_be(aws: Aws) -> Result<()> {
    let (bucket, most) = (&aws.cloud.bucket, 5 << 30);
    for (hash, size) in [
        (HASH, most + 1),
        (HASH, u64::MAX),
        ("", 1),
        ("not a hash", 1),
        ("AAAA", 1),
    ] {
        let url = bucket.presign_put_exactly("a", hash, size, MINUTE).await;
        refused(&format!("{hash:?}, {size} bytes"), url)?;
    }
    bucket.presign_put_exactly("a", HASH, most, MINUTE).await?;
    Ok(())
}

pub(crate) async fn a_part_of_an_object(aws: Aws) -> Result<()> {
    let (bucket, key) = (&aws.cloud.bucket, format!("results/{}", aws.own));
    ensure!(bucket.part(&key, 0..4).await?.is_none(), "there is nothing");
    bucket.put(&key, "0123456789".to_owned()).await?;
    for (range, wanted) in [(0..10, "0123456789"), (0..1, "0"), (3..5, "34"), (8..20, "89")] {
        let part = bucket.part(&key, range.clone()).await?.context("it is there")?;
        ensure!(part == wanted.as_bytes(), "{range:?}: {part:?}");
    }
    ensure!(bucket.part(&key, 10..12).await?.is_none(), "it ends before");
    Ok(())
}

//! Files too large to be put at once: they come in parts, by presigned URLs, and are one object only when all are there.
//!
//! Each part is signed with its SHA-256, so that S3 takes no other bytes. S3 has no SHA-256 of the whole of such an object
//! (<https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity.html>): whoever needs that reads it.

use std::{sync::Arc, time::Duration};

use aws_sdk_s3::{
    Client,
    error::ProvideErrorMetadata,
    operation::head_object::HeadObjectError,
    presigning::PresigningConfig,
    types::{ChecksumAlgorithm, ChecksumMode, CompletedMultipartUpload, CompletedPart},
};
use base64::{Engine, prelude::BASE64_STANDARD};
use bytes::Bytes;
use sha2::{Digest, Sha256};

use crate::{
    BoxFuture,
    aws::CallError,
    bucket::{BucketError, check_file, check_key, check_presign},
};

/// Smallest part but for the last, bytes.
pub const SMALLEST_PART: u64 = 5 << 20;
/// Most parts of an object.
pub const MOST_PARTS: u32 = 10_000;

/// A part that S3 has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// From 1 on.
    pub number: u32,
    /// Size, bytes.
    pub size: u64,
    /// SHA-256, base64.
    pub sha256: String,
    /// What S3 calls it.
    pub etag: String,
}

/// What became of an upload that was to be completed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Completed {
    /// It is an object now.
    Done,
    /// There is an object by that key already; the parts are still there.
    Exists,
    /// There is no such upload: completed or ended before.
    Gone,
}

/// What S3 must be able to do with large files.
pub trait MultipartPort: std::fmt::Debug + Send + Sync {
    /// Begins an upload; gives its id.
    fn begin<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<String, BucketError>>;
    /// A URL that puts a part of this SHA-256 (base64) and size, and no other. The sender must send the hash as
    /// `x-amz-checksum-sha256`.
    fn presign_part<'a>(
        &'a self,
        key: &'a str,
        upload: &'a str,
        part: &'a NewPart,
        life: Duration,
    ) -> BoxFuture<'a, Result<String, BucketError>>;
    /// The parts that are there, in order; none if there is no such upload.
    fn parts<'a>(&'a self, key: &'a str, upload: &'a str) -> BoxFuture<'a, Result<Option<Vec<Part>>, BucketError>>;
    /// Makes the object of these parts, where there is none yet.
    fn complete<'a>(
        &'a self,
        key: &'a str,
        upload: &'a str,
        parts: &'a [Part],
    ) -> BoxFuture<'a, Result<Completed, BucketError>>;
    /// Ends the upload and deletes its parts, if it is there.
    fn abort<'a>(&'a self, key: &'a str, upload: &'a str) -> BoxFuture<'a, Result<(), BucketError>>;
    /// The object as it is now; none if there is none.
    fn object<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<Object>, BucketError>>;
    /// At most so many bytes of this very object from this one on; fewer at its end.
    fn read<'a>(
        &'a self,
        key: &'a str,
        object: &'a Object,
        from: u64,
        most: u64,
    ) -> BoxFuture<'a, Result<Bytes, BucketError>>;
    /// Deletes this very object, so that nothing of it stays in the bucket. One that has taken its place stays.
    fn discard<'a>(&'a self, key: &'a str, object: &'a Object) -> BoxFuture<'a, Result<(), BucketError>>;
}

/// A file in the bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    /// Size, bytes.
    pub size: u64,
    /// S3's own sum over an object that came in parts, as [`sum_of`] says.
    pub sum: Option<String>,
    /// By what it is told from others that this key has had.
    pub etag: Option<String>,
    /// What S3 calls it among those; none in a bucket that keeps no versions.
    pub version: Option<String>,
}

/// A part that is to be put.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewPart {
    /// From 1 on.
    pub number: u32,
    /// Size, bytes.
    pub size: u64,
    /// SHA-256, base64.
    pub sha256: String,
}

/// S3's sum over an object of these parts: base64 of the SHA-256 over theirs, and their count.
pub fn sum_of(parts: &[Part]) -> String {
    let mut sum = Sha256::new();
    for part in parts {
        sum.update(BASE64_STANDARD.decode(&part.sha256).unwrap_or_default());
    }
    format!("{}-{}", BASE64_STANDARD.encode(sum.finalize()), parts.len())
}

/// A bucket of large files.
#[derive(Debug, Clone)]
pub struct Multipart(Arc<dyn MultipartPort>);

impl Multipart {
    /// A bucket over this port.
    pub fn new(port: impl MultipartPort + 'static) -> Self {
        Self(Arc::new(port))
    }

    /// The bucket of this name on S3, or on an emulator if the configuration names an endpoint.
    pub fn of(sdk: &aws_config::SdkConfig, bucket: String) -> Self {
        Self::s3(crate::bucket::client(sdk, sdk.endpoint_url().is_some()), bucket)
    }

    /// The bucket of this name on S3.
    pub fn s3(client: Client, bucket: String) -> Self {
        Self::new(S3 { client, bucket })
    }
}

impl Multipart {
    /// What is below, for whoever wraps or tests it.
    pub fn port(&self) -> &Arc<dyn MultipartPort> {
        &self.0
    }
}

impl std::ops::Deref for Multipart {
    type Target = dyn MultipartPort;
    fn deref(&self) -> &Self::Target {
        self.0.as_ref()
    }
}

#[derive(Debug)]
struct S3 {
    client: Client,
    bucket: String,
}

const PRESIGN: &str = "s3 presign UploadPart";
const NO_SUCH_UPLOAD: &str = "NoSuchUpload";

/// Refuses a part that S3 refuses.
pub(crate) fn check_part(key: &str, part: &NewPart, life: Duration) -> Result<(), CallError> {
    check_presign(key, life)?;
    check_file(&part.sha256, part.size)?;
    if (1..=MOST_PARTS).contains(&part.number) {
        Ok(())
    } else {
        Err(CallError::refused(PRESIGN, format!("part {}", part.number)))
    }
}

impl MultipartPort for S3 {
    fn begin<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<String, BucketError>> {
        const CALL: &str = "s3 CreateMultipartUpload";
        Box::pin(async move {
            check_key(CALL, key)?;
            let begun = self.client.create_multipart_upload().bucket(&self.bucket).key(key);
            let begun = begun.checksum_algorithm(ChecksumAlgorithm::Sha256).send().await;
            let begun = begun.map_err(|error| CallError::of(CALL, error))?;
            begun
                .upload_id
                .ok_or_else(|| CallError::passing(CALL, "an answer without an id").into())
        })
    }

    fn presign_part<'a>(
        &'a self,
        key: &'a str,
        upload: &'a str,
        part: &'a NewPart,
        life: Duration,
    ) -> BoxFuture<'a, Result<String, BucketError>> {
        Box::pin(async move {
            check_part(key, part, life)?;
            let presigning = PresigningConfig::expires_in(life).map_err(|error| CallError::refused(PRESIGN, error))?;
            let put = self
                .client
                .upload_part()
                .bucket(&self.bucket)
                .key(key)
                .upload_id(upload);
            let put = put.part_number(part.number.cast_signed());
            let put = put
                .checksum_sha256(&part.sha256)
                .content_length(part.size.cast_signed());
            let request = put.presigned(presigning).await;
            let request = request.map_err(|error| CallError::of(PRESIGN, error))?;
            Ok(request.uri().to_owned())
        })
    }

    fn parts<'a>(&'a self, key: &'a str, upload: &'a str) -> BoxFuture<'a, Result<Option<Vec<Part>>, BucketError>> {
        const CALL: &str = "s3 ListParts";
        Box::pin(async move {
            let list = self.client.list_parts().bucket(&self.bucket).key(key).upload_id(upload);
            let mut pages = list.into_paginator().send();
            let mut parts = Vec::new();
            while let Some(page) = pages.next().await {
                let page = match page {
                    Ok(page) => page,
                    Err(error) if error.code() == Some(NO_SUCH_UPLOAD) => return Ok(None),
                    Err(error) => return Err(CallError::of(CALL, error).into()),
                };
                parts.extend(page.parts.unwrap_or_default().into_iter().filter_map(|part| {
                    Some(Part {
                        number: part.part_number?.try_into().ok()?,
                        size: part.size?.try_into().ok()?,
                        sha256: part.checksum_sha256?,
                        etag: part.e_tag?,
                    })
                }));
            }
            Ok(Some(parts))
        })
    }

    fn complete<'a>(
        &'a self,
        key: &'a str,
        upload: &'a str,
        parts: &'a [Part],
    ) -> BoxFuture<'a, Result<Completed, BucketError>> {
        const CALL: &str = "s3 CompleteMultipartUpload";
        Box::pin(async move {
            let parts = parts.iter().map(|part| {
                let number = part.number.cast_signed();
                let made = CompletedPart::builder().part_number(number).e_tag(&part.etag);
                made.checksum_sha256(&part.sha256).build()
            });
            let parts = CompletedMultipartUpload::builder()
                .set_parts(Some(parts.collect()))
                .build();
            let complete = self.client.complete_multipart_upload().bucket(&self.bucket).key(key);
            let complete = complete.upload_id(upload).multipart_upload(parts).if_none_match("*");
            match complete.send().await {
                Ok(_) => Ok(Completed::Done),
                Err(error) => match error.code() {
                    Some(NO_SUCH_UPLOAD) => Ok(Completed::Gone),
                    Some("PreconditionFailed") => Ok(Completed::Exists),
                    // Another one with the same key is being completed.
                    Some("ConditionalRequestConflict") => Err(CallError::passing(CALL, error).into()),
                    _ => Err(CallError::of(CALL, error).into()),
                },
            }
        })
    }

    fn abort<'a>(&'a self, key: &'a str, upload: &'a str) -> BoxFuture<'a, Result<(), BucketError>> {
        Box::pin(async move {
            let abort = self.client.abort_multipart_upload().bucket(&self.bucket).key(key);
            match abort.upload_id(upload).send().await {
                Ok(_) => Ok(()),
                Err(error) if error.code() == Some(NO_SUCH_UPLOAD) => Ok(()),
                Err(error) => Err(CallError::of("s3 AbortMultipartUpload", error).into()),
            }
        })
    }

    fn object<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<Object>, BucketError>> {
        Box::pin(async move {
            let head = self.client.head_object().bucket(&self.bucket).key(key);
            match head.checksum_mode(ChecksumMode::Enabled).send().await {
                Ok(object) => Ok(Some(Object {
                    size: object.content_length.and_then(|it| it.try_into().ok()).unwrap_or(0),
                    sum: object.checksum_sha256,
                    etag: object.e_tag,
                    // What was put before the bucket kept versions has this for one.
                    version: object.version_id.filter(|it| it != "null"),
                })),
                // A HEAD has no body, and so no code.
                Err(error) if error.as_service_error().is_some_and(HeadObjectError::is_not_found) => Ok(None),
                Err(error) => Err(CallError::of("s3 HeadObject", error).into()),
            }
        })
    }

    fn read<'a>(
        &'a self,
        key: &'a str,
        object: &'a Object,
        from: u64,
        most: u64,
    ) -> BoxFuture<'a, Result<Bytes, BucketError>> {
        const CALL: &str = "s3 GetObject";
        Box::pin(async move {
            check_key(CALL, key)?;
            let last = from.saturating_add(most).saturating_sub(1);
            let get = self.client.get_object().bucket(&self.bucket).key(key);
            let get = get.set_if_match(object.etag.clone());
            let object = match get.range(format!("bytes={from}-{last}")).send().await {
                Ok(object) => object,
                // Behind its end.
                Err(error) if error.code() == Some("InvalidRange") => return Ok(Bytes::new()),
                // Another one has come in its place: whoever looks again sees that.
                Err(error) if error.code() == Some("PreconditionFailed") => {
                    return Err(CallError::passing(CALL, error).into());
                }
                Err(error) => return Err(CallError::of(CALL, error).into()),
            };
            let body = object
                .body
                .collect()
                .await
                .map_err(|error| CallError::passing(CALL, error))?;
            Ok(body.into_bytes())
        })
    }

    fn discard<'a>(&'a self, key: &'a str, object: &'a Object) -> BoxFuture<'a, Result<(), BucketError>> {
        Box::pin(async move {
            let delete = self.client.delete_object().bucket(&self.bucket).key(key);
            let deleted = delete.set_version_id(object.version.clone()).send().await;
            deleted
                .map(drop)
                .map_err(|error| CallError::of("s3 DeleteObject", error).into())
        })
    }
}

//! The buckets of pictures and of model files. Bytes travel by presigned URLs; only plans too large for a table, and records of
//! tasks that are over, pass through here.

use std::{ops::Range, sync::Arc, time::Duration};

use aws_sdk_s3::{
    Client,
    config::Builder,
    error::ProvideErrorMetadata,
    operation::{get_object::GetObjectError, head_object::HeadObjectError},
    presigning::PresigningConfig,
    primitives::ByteStream,
};
use base64::{Engine, prelude::BASE64_STANDARD};
use bytes::Bytes;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::{
    BoxFuture,
    aws::{CallError, time_outs},
};

/// Something went wrong with the bucket.
#[derive(Debug, thiserror::Error)]
#[error("the bucket cannot be used")]
pub struct BucketError(#[from] CallError);

impl BucketError {
    /// Whether the same call may succeed later.
    pub const fn is_retryable(&self) -> bool {
        self.0.retryable
    }
}

/// What is known of a stored object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// Size, bytes.
    pub size: u64,
    /// ETag without quotes.
    pub etag: String,
}

/// An object with its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Whole {
    /// What is in it.
    pub bytes: Bytes,
    /// ETag without quotes: another one with other bytes.
    pub etag: String,
}

/// What must be there for a put to be carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expect<'a> {
    /// Whatever it is.
    Anything,
    /// Nothing.
    Nothing,
    /// The object with this ETag.
    Etag(&'a str),
}

/// What a bucket must be able to do.
pub trait BucketPort: std::fmt::Debug + Send + Sync {
    /// A URL that puts the object. A size in bytes is signed with it, so that S3 takes no other.
    fn presign_put<'a>(
        &'a self,
        key: &'a str,
        size: Option<u64>,
        life: Duration,
    ) -> BoxFuture<'a, Result<String, BucketError>>;
    /// A URL that puts a file of this SHA-256 (base64) and size, and no other: both are signed, so that S3 refuses other
    /// bytes. The sender must send the hash as `x-amz-checksum-sha256`.
    fn presign_put_exactly<'a>(
        &'a self,
        key: &'a str,
        sha256: &'a str,
        size: u64,
        life: Duration,
    ) -> BoxFuture<'a, Result<String, BucketError>>;
    /// A URL that gets the object.
    fn presign_get<'a>(&'a self, key: &'a str, life: Duration) -> BoxFuture<'a, Result<String, BucketError>>;
    /// Whether the object is there.
    fn head<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<Stored>, BucketError>>;
    /// Deletes the object, if it is there.
    fn delete<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<(), BucketError>>;
    /// Puts a text.
    fn put<'a>(&'a self, key: &'a str, text: String) -> BoxFuture<'a, Result<(), BucketError>>;
    /// Gets a text.
    fn get<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<String, BucketError>>;
    /// Puts bytes, if what is expected is there. False if it is not: somebody else was first.
    fn put_if<'a>(&'a self, key: &'a str, bytes: Bytes, expect: Expect<'a>)
    -> BoxFuture<'a, Result<bool, BucketError>>;
    /// Copies an object within the bucket, whose bytes stay there; false if there is none at `from`.
    fn copy<'a>(&'a self, from: &'a str, to: &'a str) -> BoxFuture<'a, Result<bool, BucketError>>;
    /// Gets the object as a whole; none if it is not there.
    fn read<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<Whole>, BucketError>>;
    /// Gets the bytes in this range, which is not empty: fewer where the object ends before; none if nothing is there.
    fn part<'a>(&'a self, key: &'a str, range: Range<u64>) -> BoxFuture<'a, Result<Option<Bytes>, BucketError>>;
    /// Keys that begin so, in order of their bytes, from behind `after` on: at most [`LISTED`], and fewer only at the end.
    fn list<'a>(&'a self, prefix: &'a str, after: Option<&'a str>) -> BoxFuture<'a, Result<Vec<String>, BucketError>>;
    /// Makes the client ready.
    fn prime(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {})
    }
}

/// A bucket.
#[derive(Debug, Clone)]
pub struct Bucket(Arc<dyn BucketPort>);

impl Bucket {
    /// A bucket over this port.
    pub fn new(port: impl BucketPort + 'static) -> Self {
        Self(Arc::new(port))
    }

    /// The bucket of this name on S3, or on an emulator if the configuration names an endpoint.
    pub fn s3(sdk: &aws_config::SdkConfig, name: String) -> Self {
        Self::new(S3::new(client(sdk, sdk.endpoint_url().is_some()), name))
    }

    /// What is below, for whoever wraps or tests it.
    pub fn port(&self) -> &Arc<dyn BucketPort> {
        &self.0
    }
}

impl std::ops::Deref for Bucket {
    type Target = dyn BucketPort;
    fn deref(&self) -> &Self::Target {
        self.0.as_ref()
    }
}

#[derive(Debug)]
pub(crate) struct S3 {
    client: Client,
    bucket: String,
}

impl S3 {
    pub(crate) fn new(client: Client, bucket: String) -> Self {
        Self { client, bucket }
    }
}

pub(crate) fn client(sdk: &aws_config::SdkConfig, path_style: bool) -> Client {
    Client::from_conf(Builder::from(sdk).force_path_style(path_style).build())
}

/// Most keys of one [`BucketPort::list`].
pub const LISTED: usize = 1000;

const PRESIGN: &str = "s3 presign";
const PUT: &str = "s3 PutObject";
const LIST: &str = "s3 ListObjectsV2";
pub(crate) const GET: &str = "s3 GetObject";
pub(crate) const COPY: &str = "s3 CopyObject";

/// What stands in the name of a copy's source as it is.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'/')
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// Longest time for a copy: S3 answers when it has copied all bytes.
const COPYING: Duration = Duration::from_secs(8);

/// Longest key, bytes.
const LONGEST_KEY: usize = 1024;
/// Longest life of a presigned URL.
const LONGEST_LIFE: Duration = Duration::from_hours(7 * 24);
/// Largest object that can be put at once, bytes.
const LARGEST_PUT: u64 = 5 << 30;

/// Refuses a key that S3 refuses.
pub(crate) fn check_key(call: &'static str, key: &str) -> Result<(), CallError> {
    if (1..=LONGEST_KEY).contains(&key.len()) {
        Ok(())
    } else {
        Err(CallError::refused(call, format!("a key of {} bytes", key.len())))
    }
}

/// Refuses a URL that S3 would refuse when somebody uses it.
pub(crate) fn check_presign(key: &str, life: Duration) -> Result<(), CallError> {
    check_key(PRESIGN, key)?;
    if (Duration::from_secs(1)..=LONGEST_LIFE).contains(&life) {
        Ok(())
    } else {
        Err(CallError::refused(PRESIGN, format!("a URL for {life:?}")))
    }
}

/// Refuses what no file can be, or what is too large for S3.
pub(crate) fn check_file(sha256: &str, size: u64) -> Result<(), CallError> {
    let hash = BASE64_STANDARD.decode(sha256);
    if hash.is_ok_and(|hash| hash.len() == 32) && size <= LARGEST_PUT {
        Ok(())
    } else {
        Err(CallError::refused(
            PRESIGN,
            format!("a file of {size} bytes with the SHA-256 {sha256:?}"),
        ))
    }
}

fn presigning(key: &str, life: Duration) -> Result<PresigningConfig, CallError> {
    check_presign(key, life)?;
    PresigningConfig::expires_in(life).map_err(|error| CallError::refused(PRESIGN, error))
}

impl BucketPort for S3 {
    fn presign_put<'a>(
        &'a self,
        key: &'a str,
        size: Option<u64>,
        life: Duration,
    ) -> BoxFuture<'a, Result<String, BucketError>> {
        Box::pin(async move {
            let put = self.client.put_object().bucket(&self.bucket).key(key);
            let put = put.set_content_length(size.map(u64::cast_signed));
            let request = put.presigned(presigning(key, life)?).await;
            let request = request.map_err(|error| CallError::of(PRESIGN, error))?;
            Ok(request.uri().to_owned())
        })
    }

    fn presign_put_exactly<'a>(
        &'a self,
        key: &'a str,
        sha256: &'a str,
        size: u64,
        life: Duration,
    ) -> BoxFuture<'a, Result<String, BucketError>> {
        Box::pin(async move {
            check_file(sha256, size)?;
            let put = self.client.put_object().bucket(&self.bucket).key(key);
            let put = put.checksum_sha256(sha256).content_length(size.cast_signed());
            let request = put.presigned(presigning(key, life)?).await;
            let request = request.map_err(|error| CallError::of(PRESIGN, error))?;
            Ok(request.uri().to_owned())
        })
    }

    fn presign_get<'a>(&'a self, key: &'a str, life: Duration) -> BoxFuture<'a, Result<String, BucketError>> {
        Box::pin(async move {
            let get = self.client.get_object().bucket(&self.bucket).key(key);
            let request = get.presigned(presigning(key, life)?).await;
            let request = request.map_err(|error| CallError::of(PRESIGN, error))?;
            Ok(request.uri().to_owned())
        })
    }

    fn head<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<Stored>, BucketError>> {
        Box::pin(async move {
            match self.client.head_object().bucket(&self.bucket).key(key).send().await {
                Ok(head) => Ok(Some(Stored {
                    size: head
                        .content_length()
                        .and_then(|size| u64::try_from(size).ok())
                        .unwrap_or(0),
                    etag: head.e_tag().unwrap_or_default().trim_matches('"').to_owned(),
                })),
                Err(error) if error.as_service_error().is_some_and(HeadObjectError::is_not_found) => Ok(None),
                Err(error) => Err(CallError::of("s3 HeadObject", error).into()),
            }
        })
    }

    fn delete<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<(), BucketError>> {
        Box::pin(async move {
            let delete = self.client.delete_object().bucket(&self.bucket).key(key).send().await;
            delete
                .map(drop)
                .map_err(|error| CallError::of("s3 DeleteObject", error).into())
        })
    }

    fn put<'a>(&'a self, key: &'a str, text: String) -> BoxFuture<'a, Result<(), BucketError>> {
        Box::pin(async move {
            let body = ByteStream::from(text.into_bytes());
            let put = self.client.put_object().bucket(&self.bucket).key(key).body(body);
            let put = put.send().await;
            put.map(drop)
                .map_err(|error| CallError::of("s3 PutObject", error).into())
        })
    }

    fn get<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<String, BucketError>> {
        Box::pin(async move {
            let object = self.client.get_object().bucket(&self.bucket).key(key).send().await;
            let object = object.map_err(|error| CallError::of(GET, error))?;
            // Cut off on the way.
            let body = object
                .body
                .collect()
                .await
                .map_err(|error| CallError::passing(GET, error))?;
            String::from_utf8(body.into_bytes().into()).map_err(|error| CallError::refused(GET, error).into())
        })
    }

    fn put_if<'a>(
        &'a self,
        key: &'a str,
        bytes: Bytes,
        expect: Expect<'a>,
    ) -> BoxFuture<'a, Result<bool, BucketError>> {
        Box::pin(async move {
            let put = self
                .client
                .put_object()
                .bucket(&self.bucket)
                .key(key)
                .body(bytes.into());
            let put = match expect {
                Expect::Anything => put,
                Expect::Nothing => put.if_none_match("*"),
                Expect::Etag(etag) => put.if_match(format!("\"{etag}\"")),
            };
            match put.send().await {
                Ok(_) => Ok(true),
                // Something else is there, or is being put; 404: what was expected is gone.
                Err(error) => match error.raw_response().map(|it| it.status().as_u16()) {
                    Some(409 | 412) if expect != Expect::Anything => Ok(false),
                    Some(404) if matches!(expect, Expect::Etag(_)) => Ok(false),
                    _ => Err(CallError::of(PUT, error).into()),
                },
            }
        })
    }

    fn copy<'a>(&'a self, from: &'a str, to: &'a str) -> BoxFuture<'a, Result<bool, BucketError>> {
        Box::pin(async move {
            check_key(COPY, from)?;
            check_key(COPY, to)?;
            let source = utf8_percent_encode(from, PLAIN);
            let copy = self.client.copy_object().bucket(&self.bucket).key(to);
            let copy = copy.copy_source(format!("{}/{source}", self.bucket)).customize();
            let patient = Builder::new().timeout_config(time_outs(COPYING, COPYING));
            match copy.config_override(patient).send().await {
                Ok(_) => Ok(true),
                Err(error) if error.code() == Some("NoSuchKey") => Ok(false),
                Err(error) => Err(CallError::of(COPY, error).into()),
            }
        })
    }

    fn read<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<Whole>, BucketError>> {
        Box::pin(async move {
            let object = match self.client.get_object().bucket(&self.bucket).key(key).send().await {
                Ok(object) => object,
                Err(error) if error.as_service_error().is_some_and(GetObjectError::is_no_such_key) => return Ok(None),
                Err(error) => return Err(CallError::of(GET, error).into()),
            };
            let etag = object.e_tag.unwrap_or_default().trim_matches('"').to_owned();
            // Cut off on the way.
            let body = object.body.collect().await;
            let body = body.map_err(|error| CallError::passing(GET, error))?;
            Ok(Some(Whole {
                bytes: body.into_bytes(),
                etag,
            }))
        })
    }

    fn part<'a>(&'a self, key: &'a str, range: Range<u64>) -> BoxFuture<'a, Result<Option<Bytes>, BucketError>> {
        Box::pin(async move {
            let get = self.client.get_object().bucket(&self.bucket).key(key);
            // With its last byte.
            let get = get.range(format!("bytes={}-{}", range.start, range.end.saturating_sub(1)));
            let object = match get.send().await {
                Ok(object) => object,
                Err(error) if matches!(error.code(), Some("NoSuchKey" | "InvalidRange")) => return Ok(None),
                Err(error) => return Err(CallError::of(GET, error).into()),
            };
            // Cut off on the way.
            let body = object.body.collect().await;
            Ok(Some(body.map_err(|error| CallError::passing(GET, error))?.into_bytes()))
        })
    }

    fn list<'a>(&'a self, prefix: &'a str, after: Option<&'a str>) -> BoxFuture<'a, Result<Vec<String>, BucketError>> {
        Box::pin(async move {
            let list = self.client.list_objects_v2().bucket(&self.bucket).prefix(prefix);
            let list = list.set_start_after(after.map(str::to_owned)).send().await;
            let list = list.map_err(|error| CallError::of(LIST, error))?;
            Ok(list
                .contents
                .unwrap_or_default()
                .into_iter()
                .filter_map(|it| it.key)
                .collect())
        })
    }

    fn prime(&self) -> BoxFuture<'_, ()> {
        // Not there, or refused, which is as good: the connection is open afterwards.
        let head = self.client.head_object().bucket(&self.bucket).key("results/prime");
        Box::pin(async move { drop(head.send().await) })
    }
}

//! The buckets of pictures and of model files. Bytes travel by presigned URLs; only plans too large for a table pass
//! through here.

use std::{sync::Arc, time::Duration};

use aws_sdk_s3::{Client, config::Builder, operation::head_object::HeadObjectError, presigning::PresigningConfig};

use crate::{BoxError, BoxFuture};

/// Something went wrong with the bucket.
#[derive(Debug, thiserror::Error)]
#[error("s3 {operation} failed")]
pub struct BucketError {
    /// Which call.
    pub operation: &'static str,
    /// Why.
    #[source]
    pub source: BoxError,
}

/// What is known of a stored object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// Size, bytes.
    pub size: u64,
    /// ETag without quotes.
    pub etag: String,
}

/// What a bucket must be able to do.
pub trait BucketPort: std::fmt::Debug + Send + Sync {
    /// A URL that puts the object.
    fn presign_put<'a>(&'a self, key: &'a str, life: Duration) -> BoxFuture<'a, Result<String, BucketError>>;
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

    pub(crate) async fn prime(&self) {
        let _ = self.head("results/prime").await;
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

fn presigning(life: Duration) -> Result<PresigningConfig, BucketError> {
    PresigningConfig::expires_in(life).map_err(|source| fail("presign", source))
}

fn fail(operation: &'static str, source: impl Into<BoxError>) -> BucketError {
    BucketError {
        operation,
        source: source.into(),
    }
}

impl BucketPort for S3 {
    fn presign_put<'a>(&'a self, key: &'a str, life: Duration) -> BoxFuture<'a, Result<String, BucketError>> {
        Box::pin(async move {
            let request = self
                .client
                .put_object()
                .bucket(&self.bucket)
                .key(key)
                .presigned(presigning(life)?)
                .await;
            request
                .map(|request| request.uri().to_owned())
                .map_err(|error| fail("presign", error))
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
            let put = self.client.put_object().bucket(&self.bucket).key(key);
            let put = put.checksum_sha256(sha256).content_length(size.cast_signed());
            let request = put.presigned(presigning(life)?).await;
            request
                .map(|request| request.uri().to_owned())
                .map_err(|error| fail("presign", error))
        })
    }

    fn presign_get<'a>(&'a self, key: &'a str, life: Duration) -> BoxFuture<'a, Result<String, BucketError>> {
        Box::pin(async move {
            let request = self
                .client
                .get_object()
                .bucket(&self.bucket)
                .key(key)
                .presigned(presigning(life)?)
                .await;
            request
                .map(|request| request.uri().to_owned())
                .map_err(|error| fail("presign", error))
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
                Err(error) => Err(fail("HeadObject", error)),
            }
        })
    }

    fn delete<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<(), BucketError>> {
        Box::pin(async move {
            let delete = self.client.delete_object().bucket(&self.bucket).key(key).send().await;
            delete.map(drop).map_err(|error| fail("DeleteObject", error))
        })
    }

    fn put<'a>(&'a self, key: &'a str, text: String) -> BoxFuture<'a, Result<(), BucketError>> {
        Box::pin(async move {
            let put = self
                .client
                .put_object()
                .bucket(&self.bucket)
                .key(key)
                .body(text.into_bytes().into());
            put.send().await.map(drop).map_err(|error| fail("PutObject", error))
        })
    }

    fn get<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<String, BucketError>> {
        Box::pin(async move {
            let object = self.client.get_object().bucket(&self.bucket).key(key).send().await;
            let body = object.map_err(|error| fail("GetObject", error))?.body.collect().await;
            let bytes = body.map_err(|error| fail("GetObject", error))?.into_bytes();
            String::from_utf8(bytes.into()).map_err(|error| fail("GetObject", error))
        })
    }
}

//! Files in parts, in memory.

use std::{collections::BTreeMap, time::Duration};

use base64::{Engine, prelude::BASE64_STANDARD};
use bytes::Bytes;
use sha2::{Digest, Sha256};

use super::Memory;
use crate::{
    BoxFuture,
    aws::CallError,
    bucket::{BucketError, check_key},
    multipart::{Completed, MultipartPort, NewPart, Object, Part, SMALLEST_PART, check_part, sum_of},
};

/// Parts that wait for the others.
#[derive(Debug)]
pub(super) struct Upload {
    key: String,
    parts: BTreeMap<u32, Bytes>,
}

const PUT: &str = "s3 UploadPart";

impl Memory {
    /// What a client does with a URL of [`MultipartPort::presign_part`]: S3 refuses other bytes than those that were signed.
    pub fn put_part(&self, url: &str, bytes: Bytes) -> Result<(), BucketError> {
        let refused = |why: &str| Err(CallError::refused(PUT, why.to_owned()).into());
        let signed: Option<(&str, &str)> = url.strip_prefix("memory:part/").and_then(|it| it.split_once('?'));
        let Some((place, signature)) = signed else {
            return refused("no URL of a part");
        };
        let Some((upload, number)) = place.rsplit_once('/') else {
            return refused("no URL of a part");
        };
        if signature != signature_of(&bytes) {
            return refused("BadDigest");
        }
        let mut state = self.state();
        match (state.uploads.get_mut(upload), number.parse()) {
            (Some(upload), Ok(number)) => {
                upload.parts.insert(number, bytes);
                Ok(())
            }
            _ => refused("NoSuchUpload"),
        }
    }

    /// Puts a file as if it had come in parts.
    pub fn put_file(&self, key: &str, bytes: Bytes) {
        let mut state = self.state();
        state
            .objects
            .insert(key.to_owned(), (bytes.len() as u64, String::new()));
        state.files.insert(key.to_owned(), bytes);
    }

    /// Keys of the files that came in parts.
    pub fn files(&self) -> Vec<String> {
        self.state().files.keys().cloned().collect()
    }

    /// Uploads that nobody has completed or ended.
    pub fn unfinished_uploads(&self) -> usize {
        self.state().uploads.len()
    }
}

fn sha256(bytes: &[u8]) -> String {
    BASE64_STANDARD.encode(Sha256::digest(bytes))
}

fn signature_of(bytes: &[u8]) -> String {
    format!("sha256={}&size={}", sha256(bytes), bytes.len())
}

impl MultipartPort for Memory {
    fn begin<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<String, BucketError>> {
        Box::pin(async move {
            check_key("s3 CreateMultipartUpload", key)?;
            let mut state = self.state();
            let id = format!("upload-{}", state.chance.u64(..));
            let upload = Upload {
                key: key.to_owned(),
                parts: BTreeMap::new(),
            };
            state.uploads.insert(id.clone(), upload);
            Ok(id)
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
            let NewPart { number, size, sha256 } = part;
            Ok(format!("memory:part/{upload}/{number}?sha256={sha256}&size={size}"))
        })
    }

    fn parts<'a>(&'a self, _key: &'a str, upload: &'a str) -> BoxFuture<'a, Result<Option<Vec<Part>>, BucketError>> {
        Box::pin(async move {
            let state = self.state();
            let parts = state.uploads.get(upload).map(|upload| {
                let part = |(number, bytes): (&u32, &Bytes)| Part {
                    number: *number,
                    size: bytes.len() as u64,
                    sha256: sha256(bytes),
                    etag: format!("etag-{number}"),
                };
                upload.parts.iter().map(part).collect()
            });
            Ok(parts)
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
            let mut state = self.state();
            let Some(found) = state.uploads.get(upload) else {
                return Ok(Completed::Gone);
            };
            if state.objects.contains_key(key) {
                return Ok(Completed::Exists);
            }
            if found.key != key || parts.is_empty() || !parts.iter().is_sorted_by_key(|part| part.number) {
                return Err(CallError::refused(CALL, "InvalidPartOrder").into());
            }
            let mut whole = Vec::new();
            for (place, part) in parts.iter().enumerate() {
                let bytes = found.parts.get(&part.number).filter(|it| sha256(it) == part.sha256);
                let Some(bytes) = bytes else {
                    return Err(CallError::refused(CALL, "InvalidPart").into());
                };
                if place + 1 < parts.len() && (bytes.len() as u64) < SMALLEST_PART {
                    return Err(CallError::refused(CALL, "EntityTooSmall").into());
                }
                whole.extend_from_slice(bytes);
            }
            state.uploads.remove(upload);
            state
                .objects
                .insert(key.to_owned(), (whole.len() as u64, String::new()));
            state.sums.insert(key.to_owned(), sum_of(parts));
            state.files.insert(key.to_owned(), whole.into());
            Ok(Completed::Done)
        })
    }

    fn abort<'a>(&'a self, _key: &'a str, upload: &'a str) -> BoxFuture<'a, Result<(), BucketError>> {
        Box::pin(async move {
            self.state().uploads.remove(upload);
            Ok(())
        })
    }

    fn object<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<Object>, BucketError>> {
        Box::pin(async move {
            let state = self.state();
            Ok(state.files.get(key).map(|file| Object {
                size: file.len() as u64,
                sum: state.sums.get(key).cloned(),
                etag: None,
                version: Some(version_of(file)),
            }))
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
            let state = self.state();
            let file = state.files.get(key).filter(|it| Some(version_of(it)) == object.version);
            let Some(file) = file else {
                return Err(CallError::refused(CALL, "NoSuchKey").into());
            };
            let size = file.len() as u64;
            let (from, end) = (from.min(size), from.saturating_add(most).min(size));
            Ok(file.slice(from as usize..end as usize))
        })
    }

    fn discard<'a>(&'a self, key: &'a str, object: &'a Object) -> BoxFuture<'a, Result<(), BucketError>> {
        Box::pin(async move {
            let mut state = self.state();
            let same = state
                .files
                .get(key)
                .is_some_and(|it| Some(version_of(it)) == object.version);
            if same {
                state.objects.remove(key);
                state.files.remove(key);
                state.sums.remove(key);
            }
            Ok(())
        })
    }
}

/// Other bytes are another version; the same ones may as well be the same.
fn version_of(bytes: &[u8]) -> String {
    sha256(bytes)
}

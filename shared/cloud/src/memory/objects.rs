//! S3 in memory.

use std::{ops::Range, time::Duration};

use bytes::Bytes;
use sha2::{Digest, Sha256};

use super::{Memory, State};
use crate::{
    BoxFuture,
    aws::CallError,
    bucket::{self, BucketError, BucketPort, Expect, LISTED, Stored, Whole, check_file, check_key, check_presign},
};

impl State {
    fn whole(&self, key: &str) -> Option<Whole> {
        let (_, text) = self.objects.get(key)?;
        let bytes = self.files.get(key).cloned();
        let bytes = bytes.unwrap_or_else(|| Bytes::copy_from_slice(text.as_bytes()));
        let etag = u64::from_be_bytes(std::array::from_fn(|at| Sha256::digest(&bytes)[at]));
        Some(Whole {
            bytes,
            etag: format!("{etag:016x}"),
        })
    }
}

impl BucketPort for Memory {
    fn presign_put<'a>(
        &'a self,
        key: &'a str,
        size: Option<u64>,
        life: Duration,
    ) -> BoxFuture<'a, Result<String, BucketError>> {
        Box::pin(async move {
            check_presign(key, life)?;
            let size = size.map_or_else(String::new, |size| format!("?size={size}"));
            Ok(format!("memory:put/{key}{size}"))
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
            check_presign(key, life)?;
            Ok(format!("memory:put/{key}?sha256={sha256}&size={size}"))
        })
    }
    fn presign_get<'a>(&'a self, key: &'a str, life: Duration) -> BoxFuture<'a, Result<String, BucketError>> {
        Box::pin(async move {
            check_presign(key, life)?;
            Ok(format!("memory:get/{key}"))
        })
    }
    fn head<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<Stored>, BucketError>> {
        Box::pin(async move {
            check_key("s3 HeadObject", key)?;
            let state = self.state();
            Ok(state.objects.get(key).map(|(size, _)| Stored {
                size: *size,
                etag: format!("etag-of-{key}"),
            }))
        })
    }
    fn delete<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<(), BucketError>> {
        Box::pin(async move {
            check_key("s3 DeleteObject", key)?;
            let mut state = self.state();
            state.objects.remove(key);
            state.files.remove(key);
            state.sums.remove(key);
            Ok(())
        })
    }
    fn put<'a>(&'a self, key: &'a str, text: String) -> BoxFuture<'a, Result<(), BucketError>> {
        Box::pin(async move {
            check_key("s3 PutObject", key)?;
            self.put_object(key, text.len() as u64, &text);
            Ok(())
        })
    }
    fn get<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<String, BucketError>> {
        Box::pin(async move {
            check_key(bucket::GET, key)?;
            let text = self.state().objects.get(key).map(|(_, text)| text.clone());
            text.ok_or_else(|| CallError::refused(bucket::GET, "there is no such object").into())
        })
    }
    fn put_if<'a>(
        &'a self,
        key: &'a str,
        bytes: Bytes,
        expect: Expect<'a>,
    ) -> BoxFuture<'a, Result<bool, BucketError>> {
        Box::pin(async move {
            check_key("s3 PutObject", key)?;
            let mut state = self.state();
            let found = state.whole(key);
            let holds = match expect {
                Expect::Anything => true,
                Expect::Nothing => found.is_none(),
                Expect::Etag(etag) => found.is_some_and(|it| it.etag == etag),
            };
            if holds {
                let size = bytes.len() as u64;
                state.objects.insert(key.to_owned(), (size, String::new()));
                state.files.insert(key.to_owned(), bytes);
            }
            Ok(holds)
        })
    }
    fn copy<'a>(&'a self, from: &'a str, to: &'a str) -> BoxFuture<'a, Result<bool, BucketError>> {
        Box::pin(async move {
            check_key(bucket::COPY, from)?;
            check_key(bucket::COPY, to)?;
            let mut state = self.state();
            let Some(object) = state.objects.get(from).cloned() else {
                return Ok(false);
            };
            state.objects.insert(to.to_owned(), object);
            if let Some(bytes) = state.files.get(from).cloned() {
                state.files.insert(to.to_owned(), bytes);
            }
            Ok(true)
        })
    }
    fn read<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<Whole>, BucketError>> {
        Box::pin(async move {
            check_key(bucket::GET, key)?;
            Ok(self.state().whole(key))
        })
    }
    fn part<'a>(&'a self, key: &'a str, range: Range<u64>) -> BoxFuture<'a, Result<Option<Bytes>, BucketError>> {
        Box::pin(async move {
            check_key(bucket::GET, key)?;
            let whole = self.state().whole(key).map(|it| it.bytes);
            let there = whole.filter(|bytes| range.start < bytes.len() as u64);
            Ok(there.map(|bytes| {
                let at = |place: u64| usize::try_from(place).unwrap_or(usize::MAX).min(bytes.len());
                bytes.slice(at(range.start)..at(range.end))
            }))
        })
    }
    fn list<'a>(&'a self, prefix: &'a str, after: Option<&'a str>) -> BoxFuture<'a, Result<Vec<String>, BucketError>> {
        Box::pin(async move {
            let state = self.state();
            let keys = state.objects.keys();
            let keys = keys.filter(|key| key.starts_with(prefix) && after.is_none_or(|after| key.as_str() > after));
            Ok(keys.take(LISTED).cloned().collect())
        })
    }
}

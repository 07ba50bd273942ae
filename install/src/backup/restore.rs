//! A table's items, put back.

use std::{fmt, path::Path};

use anyhow::{Context, Result, bail};
use aws_sdk_dynamodb::{Client, operation::put_item::PutItemError, types::AttributeValue};
use cloud::tables::Table;
use futures_util::{StreamExt, TryStreamExt, stream};
use model::Millis;

use super::{
    files,
    items::{self, Act, Item},
};

/// How many items are on their way at once.
const AT_ONCE: usize = 8;
/// How often an item that others write meanwhile is looked at again.
const TRIES: u32 = 5;

/// What to do with a table.
#[derive(Debug, Clone, Copy)]
pub(crate) struct How<'a> {
    pub(crate) table: Table,
    /// Its name on AWS.
    pub(crate) name: &'a str,
    pub(crate) dry_run: bool,
    pub(crate) overwrite: bool,
    pub(crate) now: Millis,
}

/// An item: its key.
pub type Key = String;

/// What became of a table's items.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Put, or with `--dry-run` to be put. An item that takes another's place says so.
    pub put: Vec<Key>,
    /// There already.
    pub same: u64,
    /// Over by now, such as a code of a sign-in.
    pub expired: u64,
    /// There with other content: they stay.
    pub kept: Vec<Key>,
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (put, same, kept, expired) = (self.put.len(), self.same, self.kept.len(), self.expired);
        write!(f, "{put} put, {same} there already, {kept} kept, {expired} expired")
    }
}

enum Done {
    Put(Key),
    Same,
    Expired,
    Kept(Key),
}

/// Puts a table's items back.
pub(crate) async fn table(client: &Client, folder: &Path, how: &How<'_>) -> Result<Counts> {
    let lines = stream::iter(files::lines(folder, how.table)?);
    let done = lines.map(|line| async move {
        let item = items::from_json(&serde_json::from_str(&line?)?)?;
        one(client, &item, how).await
    });
    let counts = done
        .buffer_unordered(AT_ONCE)
        .try_fold(Counts::default(), |mut counts, done| async move {
            match done {
                Done::Put(key) => counts.put.push(key),
                Done::Same => counts.same += 1,
                Done::Expired => counts.expired += 1,
                Done::Kept(key) => counts.kept.push(key),
            }
            Ok(counts)
        });
    let mut counts = counts
        .await
        .with_context(|| format!("{} was restored in part; do it again to go on", files::name(how.table)))?;
    counts.put.sort();
    counts.kept.sort();
    Ok(counts)
}

async fn one(client: &Client, item: &Item, how: &How<'_>) -> Result<Done> {
    if items::is_expired(item, how.now) {
        return Ok(Done::Expired);
    }
    let (partition, sort) = how.table.key();
    let mut key = Item::new();
    for name in [Some(partition), sort].into_iter().flatten() {
        let value = item.get(name).with_context(|| format!("an item has no {name}"))?;
        key.insert(name.to_owned(), value.clone());
    }
    for _ in 0..TRIES {
        let get = client
            .get_item()
            .table_name(how.name)
            .consistent_read(true)
            .set_key(Some(key.clone()));
        let there = get
            .send()
            .await
            .with_context(|| format!("the table {} cannot be read", how.name))?
            .item;
        let (item, expect) = match items::act(there.as_ref(), item, how.overwrite) {
            Act::Same => return Ok(Done::Same),
            Act::Kept => return Ok(Done::Kept(words(&key))),
            Act::Put { expect, .. } if how.dry_run => return Ok(put_in_words(&key, expect)),
            Act::Put { item, expect } => (item, expect),
        };
        let put = client.put_item().table_name(how.name).set_item(Some(item));
        let put = match expect {
            None => put
                .condition_expression("attribute_not_exists(#it)")
                .expression_attribute_names("#it", partition),
            Some(version) => put
                .condition_expression("#it = :version")
                .expression_attribute_names("#it", "version")
                .expression_attribute_values(":version", AttributeValue::N(version.to_string())),
        };
        match put.send().await {
            Ok(_) => return Ok(put_in_words(&key, expect)),
            Err(error)
                if error
                    .as_service_error()
                    .is_some_and(PutItemError::is_conditional_check_failed_exception) => {}
            Err(error) => return Err(error).with_context(|| format!("the table {} cannot be written", how.name)),
        }
    }
    bail!(
        "{} is written by others all the time; close the API, or try again",
        words(&key)
    )
}

fn put_in_words(key: &Item, expect: Option<u64>) -> Done {
    let over = if expect.is_some() { ", over what is there" } else { "" };
    Done::Put(words(key) + over)
}

fn words(key: &Item) -> String {
    let mut parts: Vec<_> = key.iter().collect();
    parts.sort_by_key(|(name, _)| *name);
    let parts = parts
        .into_iter()
        .filter_map(|(_, it)| it.as_s().ok().map(String::as_str));
    parts.collect::<Vec<_>>().join(" / ")
}

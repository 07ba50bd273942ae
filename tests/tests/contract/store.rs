//! Items of the tables: what is written is there, what AWS refuses is not.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use cloud::{
    StoreError, Write,
    store::Item,
    tables::{Key, Table},
};
use serde_json::{Value, json};

use crate::aws::{Aws, refused};

/// An item of Pools, which has both keys and no index.
pub(crate) fn at(partition: &str, sort: &str) -> Key {
    Key {
        table: Table::Pools,
        partition: partition.to_owned(),
        sort: Some(sort.to_owned()),
    }
}

/// A key of a table without sort keys.
pub(crate) fn simple(table: Table, partition: &str) -> Key {
    Key {
        table,
        partition: partition.to_owned(),
        sort: None,
    }
}

/// A new item with these attributes.
pub(crate) fn put(key: Key, attributes: &Value) -> Write {
    put_over(key, 0, attributes)
}

/// The next version of an item.
fn put_over(key: Key, expect: u64, attributes: &Value) -> Write {
    let mut item: Item = attributes.as_object().cloned().unwrap_or_default();
    let (partition, sort) = key.table.key();
    item.insert(partition.to_owned(), key.partition.clone().into());
    if let (Some(sort), Some(value)) = (sort, &key.sort) {
        item.insert(sort.to_owned(), value.clone().into());
    }
    item.entry("version").or_insert((expect + 1).into());
    Write {
        key,
        expect,
        item: Some(item),
    }
}

fn delete(key: Key, expect: u64) -> Write {
    Write {
        key,
        expect,
        item: None,
    }
}

impl Aws {
    pub(crate) async fn commit(&self, writes: &[Write]) -> Result<(), StoreError> {
        self.cloud.store.port().commit(writes).await
    }

    async fn item(&self, key: &Key) -> Result<Option<Item>, StoreError> {
        self.cloud.store.port().get(key).await
    }

    async fn is_there(&self, key: &Key) -> Result<bool> {
        Ok(self.item(key).await?.is_some())
    }

    fn at(&self, sort: &str) -> Key {
        at(&self.own, sort)
    }

    /// Fails unless this write alone, and with another one, is refused for good and nothing is written.
    async fn refuses(&self, what: &str, write: Write) -> Result<()> {
        let other = self.at("another");
        refused(what, self.commit(std::slice::from_ref(&write)).await)?;
        let both = [put(other.clone(), &json!({})), write];
        refused(&format!("{what}, in a transaction"), self.commit(&both).await)?;
        ensure!(!self.is_there(&other).await?, "{what}: half of it was written");
        Ok(())
    }
}

pub(crate) async fn nothing_is_none(aws: Aws) -> Result<()> {
    ensure!(!aws.is_there(&aws.at("a")).await?);
    Ok(())
}

pub(crate) async fn reads_back_what_was_written(aws: Aws) -> Result<()> {
    let written = json!({
        "text": "Größe 🖌", "empty": "", "yes": true, "no": false, "nothing": null,
        "whole": [0, -1, u64::MAX, i64::MIN], "parts": [0.1, -2.5e-7, 1.5e100],
        "list": [], "map": { "in it": { "deep": [1, "two", null] } }, "blank": {},
    });
    let key = aws.at("a");
    aws.commit(&[put(key.clone(), &written)]).await?;
    let found = aws.item(&key).await?.context("it is not there")?;
    for (name, value) in written.as_object().context("an object")? {
        ensure!(
            found.get(name) == Some(value),
            "{name}: {value} became {:?}",
            found.get(name)
        );
    }
    // A number has a value, and nothing that says whether it was written as a fraction.
    let fractions = json!({ "version": 2, "numbers": [1.0, -0.0, 1e3] });
    aws.commit(&[put_over(key.clone(), 1, &fractions)]).await?;
    let found = aws.item(&key).await?.context("it is not there")?;
    ensure!(found["numbers"] == json!([1, 0, 1000]), "{found:?}");
    ensure!(!found.contains_key("text"), "a put keeps what was there: {found:?}");
    Ok(())
}

pub(crate) async fn a_write_expects_its_version(aws: Aws) -> Result<()> {
    let conflict = |what: &'static str, answer: Result<(), StoreError>| {
        ensure!(matches!(answer, Err(StoreError::Conflict)), "{what}: {answer:?}");
        Ok(())
    };
    let (key, absent, bare) = (aws.at("a"), aws.at("absent"), aws.at("bare"));
    let nothing = json!({});
    aws.commit(&[put(key.clone(), &nothing)]).await?;
    conflict("new, but there", aws.commit(&[put(key.clone(), &nothing)]).await)?;
    conflict(
        "another version",
        aws.commit(&[put_over(key.clone(), 2, &nothing)]).await,
    )?;
    conflict("gone", aws.commit(&[put_over(absent.clone(), 1, &nothing)]).await)?;
    conflict("end of another version", aws.commit(&[delete(key.clone(), 2)]).await)?;
    conflict("end of what is gone", aws.commit(&[delete(absent.clone(), 1)]).await)?;
    // What has no version, or a strange one, is there all the same.
    for version in [json!(0), json!("1"), json!(null)] {
        let strange = json!({ "version": version });
        let key = aws.at(&format!("{version}"));
        aws.commit(&[put(key.clone(), &strange)]).await?;
        conflict(
            "new, but there without a version",
            aws.commit(&[put(key, &nothing)]).await,
        )?;
    }
    let mut write = put(bare.clone(), &nothing);
    write.item.as_mut().context("an item")?.remove("version");
    aws.commit(&[write]).await?;
    conflict("new, but there, bare", aws.commit(&[put(bare, &nothing)]).await)?;

    aws.commit(&[put_over(key.clone(), 1, &nothing)]).await?;
    aws.commit(&[delete(key.clone(), 2)]).await?;
    ensure!(!aws.is_there(&key).await?);
    // Nothing may be there, and nothing is.
    aws.commit(&[delete(absent, 0)]).await?;
    Ok(())
}

pub(crate) async fn all_or_nothing(aws: Aws) -> Result<()> {
    let (one, other) = (aws.at("one"), simple(Table::Fleet, &aws.own));
    let nothing = json!({});
    aws.commit(&[put(one.clone(), &nothing)]).await?;
    let writes = [put(other.clone(), &nothing), put(one.clone(), &nothing)];
    let answer = aws.commit(&writes).await;
    ensure!(matches!(answer, Err(StoreError::Conflict)), "{answer:?}");
    ensure!(!aws.is_there(&other).await?, "half of it was written");
    aws.commit(&[put(other.clone(), &nothing), delete(one.clone(), 1)])
        .await?;
    ensure!(aws.is_there(&other).await? && !aws.is_there(&one).await?);
    Ok(())
}

pub(crate) async fn no_item_twice(aws: Aws) -> Result<()> {
    let key = aws.at("a");
    let nothing = json!({});
    let twice = [put(key.clone(), &nothing), put(key.clone(), &nothing)];
    refused("put twice", aws.commit(&twice).await)?;
    let and_deleted = [put(key.clone(), &nothing), delete(key.clone(), 0)];
    refused("put and deleted", aws.commit(&and_deleted).await)?;
    ensure!(!aws.is_there(&key).await?);
    Ok(())
}

pub(crate) async fn one_to_a_hundred_writes(aws: Aws) -> Result<()> {
    refused("no write", aws.commit(&[]).await)?;
    let write = |number: u32| put(aws.at(&format!("{number:03}")), &json!({}));
    let writes: Vec<_> = (0..101).map(write).collect();
    refused("101 writes", aws.commit(&writes).await)?;
    ensure!(!aws.is_there(&writes[0].key).await?);
    aws.commit(&writes[..100]).await?;
    ensure!(aws.is_there(&writes[99].key).await?);
    Ok(())
}

pub(crate) async fn many_are_read_at_once(aws: Aws) -> Result<()> {
    let there = [aws.at("a"), aws.at("b"), simple(Table::Fleet, &aws.own)];
    let absent = [aws.at("c"), simple(Table::Tasks, &aws.own)];
    for key in &there {
        aws.commit(&[put(key.clone(), &json!({ "said": [1, null, "ü"] }))])
            .await?;
    }
    let keys: Vec<_> = absent.iter().chain(&there).cloned().collect();
    let batch = aws.cloud.store.port().get_all(&keys).await?;
    ensure!(batch.left.is_empty(), "{:?}", batch.left);
    ensure!(
        batch.items.keys().eq(BTreeSet::from(there.clone()).iter()),
        "{:?}",
        batch.items
    );
    for key in there {
        ensure!(batch.items[&key] == aws.item(&key).await?, "{key:?}");
    }
    Ok(())
}

pub(crate) async fn one_to_a_hundred_reads(aws: Aws) -> Result<()> {
    let keys: Vec<_> = (0..101).map(|number| aws.at(&number.to_string())).collect();
    let port = aws.cloud.store.port();
    refused("no read", port.get_all(&[]).await.map(drop))?;
    refused("101 reads", port.get_all(&keys).await.map(drop))?;
    refused("twice", port.get_all(&[aws.at("a"), aws.at("a")]).await.map(drop))?;
    port.get_all(&keys[..100]).await?;
    Ok(())
}

/// Text of so many bytes.
fn text(bytes: usize) -> Value {
    Value::String("x".repeat(bytes))
}

pub(crate) async fn items_of_400_kb(aws: Aws) -> Result<()> {
    aws.refuses("text", put(aws.at("text"), &json!({ "text": text(410 << 10) })))
        .await?;
    // Bytes are counted, not characters.
    let umlauts = json!({ "text": "ä".repeat(205 << 10) });
    aws.refuses("umlauts", put(aws.at("umlauts"), &umlauts)).await?;
    let name = "n".repeat(60_000);
    let names: Item = (0..7).map(|number| (format!("{name}{number}"), json!(1))).collect();
    aws.refuses("names", put(aws.at("names"), &names.into())).await?;
    aws.commit(&[put(aws.at("good"), &json!({ "text": text(390 << 10) }))])
        .await?;
    Ok(())
}

pub(crate) async fn transactions_of_4_mb(aws: Aws) -> Result<()> {
    let write = |number: u32| put(aws.at(&number.to_string()), &json!({ "text": text(390 << 10) }));
    let writes: Vec<_> = (0..11).map(write).collect();
    refused("11 of 390 KB", aws.commit(&writes).await)?;
    aws.commit(&writes[..9]).await?;
    ensure!(!aws.is_there(&writes[10].key).await?);
    Ok(())
}

pub(crate) async fn numbers_in_range(aws: Aws) -> Result<()> {
    for number in [1e126, -1e126, 1e-131, f64::MAX, f64::MIN_POSITIVE] {
        let deep = json!({ "in": [{ "it": number }] });
        aws.refuses(&format!("{number:e}"), put(aws.at("bad"), &deep)).await?;
    }
    let good = json!({ "numbers": [9.9e125, -9.9e125, 1e-130, -1e-130, 0.0] });
    aws.commit(&[put(aws.at("good"), &good)]).await?;
    Ok(())
}

pub(crate) async fn values_32_deep(aws: Aws) -> Result<()> {
    let deep = |levels: usize| (0..levels).fold(json!("leaf"), |value, _| json!([value]));
    aws.refuses("40 deep", put(aws.at("bad"), &json!({ "a": deep(40) })))
        .await?;
    aws.commit(&[put(aws.at("good"), &json!({ "a": deep(25) }))]).await?;
    Ok(())
}

pub(crate) async fn attributes_have_names(aws: Aws) -> Result<()> {
    aws.refuses("no name", put(aws.at("bad"), &json!({ "": 1 }))).await
}

/// Reads and writes refuse the key.
async fn no_key(aws: &Aws, what: &str, key: Key) -> Result<()> {
    refused(&format!("{what}: get"), aws.item(&key).await)?;
    refused(&format!("{what}: delete"), aws.commit(&[delete(key.clone(), 1)]).await)?;
    refused(&format!("{what}: put"), aws.commit(&[put(key, &json!({}))]).await)
}

/// So do the writes of a transaction.
async fn no_key_in_a_transaction(aws: &Aws, key: Key) -> Result<()> {
    let other = aws.at("another");
    for (what, write) in [("put", put(key.clone(), &json!({}))), ("delete", delete(key, 1))] {
        let both = [put(other.clone(), &json!({})), write];
        refused(&format!("{what}, in a transaction"), aws.commit(&both).await)?;
        ensure!(!aws.is_there(&other).await?, "{what}: half of it was written");
    }
    Ok(())
}

pub(crate) async fn keys_are_not_empty(aws: Aws) -> Result<()> {
    for (what, key) in [
        ("partition", at("", "a")),
        ("sort", aws.at("")),
        ("partition alone", simple(Table::Tasks, "")),
    ] {
        no_key(&aws, what, key.clone()).await?;
        no_key_in_a_transaction(&aws, key).await?;
    }
    Ok(())
}

fn long(aws: &Aws, bytes: usize) -> String {
    format!("{:x<bytes$}", aws.own)
}

pub(crate) async fn keys_are_not_too_long(aws: Aws) -> Result<()> {
    no_key(&aws, "partition", simple(Table::Fleet, &long(&aws, 2049))).await?;
    no_key(&aws, "sort", aws.at(&long(&aws, 1025))).await?;
    // Bytes are counted, not characters.
    no_key(&aws, "umlauts", aws.at(&"ä".repeat(600))).await?;
    aws.commit(&[put(simple(Table::Fleet, &long(&aws, 2048)), &json!({}))])
        .await?;
    aws.commit(&[put(aws.at(&long(&aws, 1024)), &json!({}))]).await?;
    Ok(())
}

pub(crate) async fn keys_in_transactions_are_not_too_long(aws: Aws) -> Result<()> {
    no_key_in_a_transaction(&aws, simple(Table::Fleet, &long(&aws, 2049))).await?;
    no_key_in_a_transaction(&aws, aws.at(&long(&aws, 1025))).await
}

/// An item of Pools without one of its keys, and with a number for one.
fn without_key(aws: &Aws) -> Result<[(&'static str, Write); 2]> {
    let mut bare = put(aws.at("a"), &json!({}));
    bare.item.as_mut().context("an item")?.remove("pool");
    let mut number = put(aws.at("a"), &json!({}));
    number
        .item
        .as_mut()
        .context("an item")?
        .insert("slot".to_owned(), json!(1));
    Ok([("no partition key", bare), ("a number as sort key", number)])
}

pub(crate) async fn keys_are_complete(aws: Aws) -> Result<()> {
    no_key(&aws, "no sort key", simple(Table::Pools, &aws.own)).await?;
    for (what, write) in without_key(&aws)? {
        refused(what, aws.commit(&[write]).await)?;
    }
    Ok(())
}

pub(crate) async fn keys_in_transactions_are_complete(aws: Aws) -> Result<()> {
    no_key_in_a_transaction(&aws, simple(Table::Pools, &aws.own)).await?;
    for (what, write) in without_key(&aws)? {
        aws.refuses(what, write).await?;
    }
    Ok(())
}

pub(crate) async fn keys_of_indexes_are_not_empty(aws: Aws) -> Result<()> {
    let none = json!({ "pool": "" });
    aws.refuses("pool", put(simple(Table::Fleet, &aws.own), &none)).await?;
    let none = json!({ "owner": "", "created": 1 });
    aws.refuses("owner", put(simple(Table::Tasks, &aws.own), &none)).await
}

pub(crate) async fn keys_of_indexes_are_not_too_long(aws: Aws) -> Result<()> {
    let pool = json!({ "pool": long(&aws, 2049) });
    aws.refuses("pool", put(simple(Table::Fleet, &aws.own), &pool)).await
}

pub(crate) async fn keys_of_indexes_have_their_type(aws: Aws) -> Result<()> {
    for (what, table, attributes) in [
        ("null for text", Table::Fleet, json!({ "pool": null })),
        ("a number for text", Table::Accounts, json!({ "team": 1 })),
        (
            "text for a number",
            Table::Tasks,
            json!({ "backlog": "p", "start_tag": "1" }),
        ),
        (
            "null for a number",
            Table::Tasks,
            json!({ "owner": "o", "created": null }),
        ),
        ("of half a key", Table::Tasks, json!({ "backlog": null })),
    ] {
        aws.refuses(what, put(simple(table, &aws.own), &attributes)).await?;
    }
    Ok(())
}

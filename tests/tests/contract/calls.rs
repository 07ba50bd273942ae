//! What only the emulator can show: the template's tables, and what the SDK's errors come to.

use std::sync::Arc;

use ::local::Services;
use anyhow::{Context, Result, ensure};
use cloud::{
    Cloud,
    queue::Queued,
    tables::{Index, Shows, Table},
};
use model::{ConnectionId, PoolId};
use serde_json::{Value, json};

use crate::{
    aws::refused,
    store::{put, simple},
};

pub(crate) async fn indexes_are_those_of_the_template(services: Arc<Services>) -> Result<()> {
    for table in Table::ALL {
        let described = services.described(table).await?;
        let (partition, sort) = table.key();
        ensure!(keys(&described) == (Some(partition), sort), "{table:?}: {described}");
        let found = described["GlobalSecondaryIndexes"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        ensure!(found.len() == table.indexes().len(), "{table:?}: {found:?}");
        for index in table.indexes() {
            let found = found.iter().find(|it| it["IndexName"] == index.name);
            let found = found.with_context(|| format!("{table:?} has no index {}", index.name))?;
            ensure!(keys(found) == (Some(index.partition), index.sort), "{found}");
            ensure!(shows(index) == projection(found), "{found}");
            ensure!(type_of(&described, index.partition) == "S", "{}", index.partition);
            if let Some(sort) = index.sort {
                ensure!(type_of(&described, sort) == "N", "{sort}");
            }
        }
    }
    Ok(())
}

fn keys(of: &Value) -> (Option<&str>, Option<&str>) {
    let key = |kind: &str| {
        let schema = of["KeySchema"].as_array()?;
        schema.iter().find(|it| it["KeyType"] == kind)?["AttributeName"].as_str()
    };
    (key("HASH"), key("RANGE"))
}

fn type_of<'a>(table: &'a Value, attribute: &str) -> &'a str {
    let all = table["AttributeDefinitions"].as_array();
    let found = all.and_then(|all| all.iter().find(|it| it["AttributeName"] == attribute));
    found.and_then(|it| it["AttributeType"].as_str()).unwrap_or_default()
}

fn shows(index: &Index) -> (&str, Vec<&str>) {
    match index.shows {
        Shows::All => ("ALL", Vec::new()),
        Shows::Keys => ("KEYS_ONLY", Vec::new()),
        Shows::Also(names) => ("INCLUDE", sorted(names.to_vec())),
    }
}

fn projection(index: &Value) -> (&str, Vec<&str>) {
    let projection = &index["Projection"];
    let names = projection["NonKeyAttributes"].as_array();
    let names = names.into_iter().flatten().filter_map(Value::as_str).collect();
    (projection["ProjectionType"].as_str().unwrap_or_default(), sorted(names))
}

fn sorted(mut names: Vec<&str>) -> Vec<&str> {
    names.sort_unstable();
    names
}

/// Every call is refused for good.
async fn all_refused(cloud: &Cloud) -> Result<()> {
    let key = simple(Table::Fleet, "w");
    let store = cloud.store.port();
    refused("get", store.get(&key).await)?;
    refused("put", store.commit(&[put(key.clone(), &json!({}))]).await)?;
    let both = [put(key, &json!({})), put(simple(Table::Tasks, "t"), &json!({}))];
    refused("transaction", store.commit(&both).await)?;
    refused(
        "list",
        cloud.store.list(cloud::tables::WorkersOf(&PoolId::new("p"))).await,
    )?;
    let message = Queued {
        task_id: None,
        pool: PoolId::new("p"),
    };
    refused("queue", cloud.queue.send(&message).await)?;
    refused("put object", cloud.bucket.put("plans/a", String::new()).await)?;
    refused("get object", cloud.bucket.get("plans/a").await)
}

pub(crate) async fn denied_is_final(services: Arc<Services>) -> Result<()> {
    let sdk = services.sdk_of_an_instance().await?;
    let cloud = services.cloud(&sdk)?;
    all_refused(&cloud).await?;
    refused("head object", cloud.bucket.head("plans/a").await)?;
    refused("send", cloud.sockets.send(&ConnectionId::new("c"), "{}").await)?;
    let fleet = services.fleet(&sdk).await?;
    refused("describe", fleet.describe().await)
}

pub(crate) async fn nowhere_is_final(services: Arc<Services>) -> Result<()> {
    all_refused(&services.nowhere(&services.sdk().await)).await
}

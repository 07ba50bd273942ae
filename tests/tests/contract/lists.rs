//! Lists: their order, their pages, and what they show.

use anyhow::{Context, Result, ensure};
use cloud::{
    StoreError,
    page::{Cursor, Page},
    store::Item,
    tables::{AccountsOf, Backlog, Extent, First, List, PresenceIn, Query, Table, TasksOf, WorkersOf},
};
use model::{PoolId, TeamId, UserId};
use serde_json::{Value, json};

use crate::{
    aws::{Aws, refused},
    store::{at, put, simple},
};

impl Aws {
    async fn query(&self, query: &Query, after: Option<&Cursor>, limit: u32) -> Result<Page<Item>, StoreError> {
        self.cloud.store.port().query(query, after, limit).await
    }

    /// All items of a list, in pages of at most so many.
    async fn all(&self, query: &Query, limit: u32) -> Result<Vec<Item>> {
        let (mut items, mut after) = (Vec::new(), None);
        loop {
            let page = self.query(query, after.as_ref(), limit).await?;
            ensure!(page.entries.len() <= limit as usize, "a page of {}", page.entries.len());
            items.extend(page.entries);
            after = page.next;
            if after.is_none() {
                return Ok(items);
            }
        }
    }

    /// The case's own partition of Pools.
    fn pools(&self) -> Query {
        Query {
            table: Table::Pools,
            index: None,
            partition: self.own.clone(),
            first: First::Smallest,
            prefix: String::new(),
            extent: Extent::Whole,
        }
    }

    fn pool(&self) -> PoolId {
        PoolId::new(&self.own)
    }

    /// A waiting task.
    async fn wait(&self, name: &str, tag: Value) -> Result<()> {
        let key = simple(Table::Tasks, &format!("{}-{name}", self.own));
        let waiting = json!({
            "backlog": self.own, "start_tag": tag, "owner": self.own, "created": 1, "team": "t", "secret": "s",
        });
        Ok(self.commit(&[put(key, &waiting)]).await?)
    }
}

fn values(items: &[Item], name: &str) -> Value {
    items
        .iter()
        .map(|item| item.get(name).cloned().unwrap_or_default())
        .collect()
}

pub(crate) async fn numbers_in_order(aws: Aws) -> Result<()> {
    let tags = [10, 9, u64::MAX, 100, u64::MAX - 1, 0];
    for tag in tags {
        aws.wait(&tag.to_string(), tag.into()).await?;
    }
    aws.wait("fraction", json!(9.5)).await?;
    aws.wait("below", json!(-1)).await?;
    let found = aws.all(&Backlog(&aws.pool(), 0).query(), 100).await?;
    let wanted = json!([-1, 0, 9, 9.5, 10, 100, u64::MAX - 1, u64::MAX]);
    ensure!(values(&found, "start_tag") == wanted, "{found:?}");
    Ok(())
}

pub(crate) async fn strings_in_order(aws: Aws) -> Result<()> {
    for slot in ["b", "a9", "a10", "B", "ä", "🖌", "\u{ffff}"] {
        aws.commit(&[put(at(&aws.own, slot), &json!({}))]).await?;
    }
    let found = aws.all(&aws.pools(), 100).await?;
    // By bytes: a character beyond the first plane comes last, where UTF-16 would put it before U+FFFF.
    let wanted = json!(["B", "a10", "a9", "b", "ä", "\u{ffff}", "🖌"]);
    ensure!(values(&found, "slot") == wanted, "{found:?}");
    Ok(())
}

pub(crate) async fn only_what_the_index_shows(aws: Aws) -> Result<()> {
    aws.wait("a", json!(1)).await?;
    let found = aws.all(&Backlog(&aws.pool(), 0).query(), 10).await?;
    let wanted = json!({
        "task_id": format!("{}-a", aws.own), "backlog": aws.own, "start_tag": 1, "owner": aws.own, "created": 1, "team": "t",
    });
    ensure!(
        found == [wanted.as_object().cloned().context("an object")?],
        "{found:?}"
    );

    let account = simple(Table::Accounts, &format!("user#{}", aws.own));
    aws.commit(&[put(account, &json!({ "team": aws.own, "name": "Mara" }))])
        .await?;
    let found = aws.all(&AccountsOf(&TeamId::new(&aws.own)).query(), 10).await?;
    let wanted = json!({ "account": format!("user#{}", aws.own), "team": aws.own });
    ensure!(
        found == [wanted.as_object().cloned().context("an object")?],
        "{found:?}"
    );
    Ok(())
}

pub(crate) async fn only_what_has_the_key(aws: Aws) -> Result<()> {
    let key = |name: &str| simple(Table::Tasks, &format!("{}-{name}", aws.own));
    aws.commit(&[put(key("running"), &json!({ "start_tag": 1 }))]).await?;
    aws.commit(&[put(key("odd"), &json!({ "backlog": aws.own }))]).await?;
    ensure!(aws.all(&Backlog(&aws.pool(), 0).query(), 10).await?.is_empty());
    Ok(())
}

pub(crate) async fn the_largest_first(aws: Aws) -> Result<()> {
    for created in [2, 1, 3, 3, 5] {
        let task = simple(Table::Tasks, &uuid::Uuid::new_v4().to_string());
        let item = json!({ "owner": aws.own, "created": created, "state": "queued", "secret": "s" });
        aws.commit(&[put(task, &item)]).await?;
    }
    let owner = UserId::new(&aws.own);
    let query = TasksOf(&owner).query();
    for limit in [1, 2, 3, 100] {
        let found = aws.all(&query, limit).await?;
        ensure!(
            values(&found, "created") == json!([5, 3, 3, 2, 1]),
            "by {limit}: {found:?}"
        );
        ensure!(
            values(&found, "secret") == json!([null, null, null, null, null]),
            "{found:?}"
        );
    }
    Ok(())
}

pub(crate) async fn pages_join_up(aws: Aws) -> Result<()> {
    let pool = aws.pool();
    for number in 0..7 {
        let worker = simple(Table::Fleet, &format!("{}-{number}", aws.own));
        let slot = at(&aws.own, &number.to_string());
        aws.commit(&[put(worker, &json!({ "pool": aws.own })), put(slot, &json!({}))])
            .await?;
        // Many at the same place.
        aws.wait(&number.to_string(), json!(number / 4)).await?;
    }
    for (query, name) in [
        (WorkersOf(&pool).query(), "worker_id"),
        (Backlog(&pool, 0).query(), "task_id"),
        (aws.pools(), "slot"),
    ] {
        let whole = values(&aws.all(&query, 100).await?, name);
        ensure!(whole.as_array().is_some_and(|it| it.len() == 7), "{name}: {whole}");
        for limit in [1, 2, 3, 6, 7] {
            let joined = values(&aws.all(&query, limit).await?, name);
            ensure!(joined == whole, "{name} by {limit}: {joined} is not {whole}");
        }
    }
    Ok(())
}

pub(crate) async fn a_cursor_outlives_its_item(aws: Aws) -> Result<()> {
    for slot in ["a", "b", "c"] {
        aws.commit(&[put(at(&aws.own, slot), &json!({}))]).await?;
    }
    let page = aws.query(&aws.pools(), None, 2).await?;
    let mut end = put(at(&aws.own, "b"), &json!({}));
    (end.expect, end.item) = (1, None);
    aws.commit(&[end]).await?;
    aws.commit(&[put(at(&aws.own, "bb"), &json!({}))]).await?;
    // As a client would hand it back.
    let text = serde_json::to_string(&page.next.context("there is no next page")?)?;
    let next: Cursor = serde_json::from_str(&text)?;
    let rest = aws.query(&aws.pools(), Some(&next), 10).await?;
    ensure!(values(&rest.entries, "slot") == json!(["bb", "c"]), "{rest:?}");
    Ok(())
}

pub(crate) async fn a_cursor_of_another_list(aws: Aws) -> Result<()> {
    for slot in ["a", "b"] {
        aws.commit(&[put(at(&aws.own, slot), &json!({}))]).await?;
    }
    let next = aws
        .query(&aws.pools(), None, 1)
        .await?
        .next
        .context("there is no next page")?;
    let elsewhere = Query {
        partition: format!("{}-other", aws.own),
        ..aws.pools()
    };
    refused("another partition", aws.query(&elsewhere, Some(&next), 1).await)?;
    refused(
        "another table",
        aws.query(&WorkersOf(&aws.pool()).query(), Some(&next), 1).await,
    )?;
    refused(
        "no cursor at all",
        aws.query(&aws.pools(), Some(&"page 2".to_owned().into()), 1).await,
    )
}

pub(crate) async fn more_than_a_page_holds(aws: Aws) -> Result<()> {
    let pool = format!("presence#{}", aws.own);
    let large = json!({
        "renders_in": aws.own, "user": "mara", "since": 1, "at": 1, "watched": false, "ttl": 1,
        "more": "x".repeat(150 << 10),
    });
    for number in 0..16 {
        aws.commit(&[put(at(&pool, &format!("{number:02}")), &large)]).await?;
    }
    // 2.4 MB: AWS reads 1 MB at once.
    let all = aws.cloud.store.list(PresenceIn(&aws.pool())).await?;
    ensure!(all.len() == 16, "only {}", all.len());
    let page = aws.query(&PresenceIn(&aws.pool()).query(), None, 100).await?;
    ensure!(page.entries.len() < 16 && page.next.is_some(), "all of it at once");
    Ok(())
}

pub(crate) async fn partitions_and_limits(aws: Aws) -> Result<()> {
    refused(
        "no partition",
        aws.query(&WorkersOf(&PoolId::new("")).query(), None, 10).await,
    )?;
    refused("a limit of 0", aws.query(&aws.pools(), None, 0).await)?;
    let page = aws.query(&aws.pools(), None, 10).await?;
    ensure!(page.entries.is_empty() && page.next.is_none(), "{page:?}");
    Ok(())
}

pub(crate) async fn a_broken_item(aws: Aws) -> Result<()> {
    let pool = format!("presence#{}", aws.own);
    for (user, since) in [("a", json!(1)), ("b", json!("lately")), ("c", json!(1))] {
        let presence = json!({
            "renders_in": aws.own, "user": user, "since": since, "at": 1, "watched": false, "ttl": 1,
        });
        aws.commit(&[put(at(&pool, user), &presence)]).await?;
    }
    let found = aws.cloud.store.list(PresenceIn(&aws.pool())).await?;
    let users: Vec<_> = found.iter().map(|it| it.user.as_str()).collect();
    ensure!(users == ["a", "c"], "{users:?}");
    Ok(())
}

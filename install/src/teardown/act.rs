//! The steps, each of which leaves alone what is done already.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use aws_sdk_cloudformation::error::ProvideErrorMetadata;
use cloud::{Store, tables::AllPools};
use ops::pool::{self, Position};

use super::{
    look,
    plan::{Found, Part},
};
use crate::{
    aws::{Aws, failed},
    backup::tables,
    bucket,
    pauses::Pauses,
    resources::End,
};

/// Longest time until instances are gone, and until a stack is.
const MACHINES: Duration = Duration::from_mins(10);
const STACK: Duration = Duration::from_hours(1);
/// Looks, within some six seconds, that may still show how a stack was before.
const LATE: u32 = 6;

pub(crate) async fn all(aws: &Aws, found: &Found, purge: bool, say: &impl Fn(&str)) -> Result<()> {
    let stack = &found.stack;
    if found.there {
        say("\nPausing the pools, so that nothing is started any more");
        pause(aws, stack).await?;
    }
    end_machines(aws, stack, say).await?;
    if found.there {
        say(&format!("Removing the stack {stack}, which takes some minutes"));
        remove_stack(aws, stack).await?;
    }
    // Once more, since a start may have been on its way; now nobody starts another.
    end_machines(aws, stack, say).await?;
    delete_disks(aws, stack, say).await?;
    let purged = |it: &&Part| purge && it.end() == End::IfPurged;
    for it in found.parts.iter().filter(purged) {
        match it.kind.as_str() {
            // Only now: as long as there were functions and machines, they wrote.
            "AWS::S3::Bucket" => {
                let client = bucket::client(&aws.sdk);
                say(&format!("Emptying {}", it.physical));
                bucket::empty(&client, &it.physical).await?;
                bucket::remove(&client, &it.physical).await?;
            }
            "AWS::DynamoDB::Table" => remove_table(aws, &it.physical).await?,
            _ => continue,
        }
        say(&format!("Deleted {}", it.physical));
    }
    for it in found.own_images() {
        say(&format!("Removing the machine image {}", it.id));
        aws.site.deregister(&it.id).await?;
    }
    for it in found.own_snapshots() {
        let deleted = aws.site.delete_disk_snapshot(it).await;
        deleted.with_context(|| {
            format!("the snapshot {it} stays: an image or a volume that is not this installation's may need it; remove that first")
        })?;
    }
    remove_log_groups(aws, found).await
}

/// What stops machines from being started is each pool's breaker.
async fn pause(aws: &Aws, stack: &str) -> Result<()> {
    let Some(outputs) = aws.stack(stack).await?.and_then(|it| it.outputs) else {
        return Ok(());
    };
    let Ok(tables) = outputs.tables() else {
        // A stack of another kind, such as the firewall's, has no pools.
        return Ok(());
    };
    let store = Store::dynamo(&aws.sdk, tables);
    let pools = match store.get(&AllPools).await {
        Ok(pools) => pools.unwrap_or_default().pools,
        // The stack is half gone, and this table with it.
        Err(error) if cloud::chain(&error).contains("ResourceNotFound") => return Ok(()),
        Err(error) => return Err(error).context("the pools cannot be paused"),
    };
    for id in pools {
        let command = pool::Command::Breaker {
            pool: id,
            position: Position::Open,
        };
        pool::run(&store, command, cloud::now())
            .await
            .context("the pools cannot be paused")?;
    }
    Ok(())
}

async fn end_machines(aws: &Aws, stack: &str, say: &impl Fn(&str)) -> Result<()> {
    let wait = async {
        let mut pauses = Pauses::new();
        loop {
            let mut machines = aws.site.machines(stack).await?;
            machines.retain(|it| it.state != "terminated");
            let up: Vec<_> = machines
                .iter()
                .filter(|it| !it.is_gone())
                .map(|it| it.id.clone())
                .collect();
            if !up.is_empty() {
                say(&format!("Ending {} instances", up.len()));
                aws.site.end_machines(&up).await?;
            }
            if machines.is_empty() {
                return Ok::<_, anyhow::Error>(());
            }
            pauses.next().await;
        }
    };
    tokio::time::timeout(MACHINES, wait)
        .await
        .context("the instances do not end")?
}

/// Those of ended instances go by themselves, some seconds later.
async fn delete_disks(aws: &Aws, stack: &str, say: &impl Fn(&str)) -> Result<()> {
    let wait = async {
        let mut pauses = Pauses::new();
        loop {
            let disks = aws.site.disks(stack).await?;
            if disks.is_empty() {
                return Ok::<_, anyhow::Error>(());
            }
            for it in disks.iter().filter(|it| it.instance.is_none()) {
                say(&format!("Deleting the volume {}", it.id));
                aws.site.delete_disk(&it.id).await?;
            }
            pauses.next().await;
        }
    };
    tokio::time::timeout(MACHINES, wait)
        .await
        .context("the volumes do not go")?
}

async fn remove_stack(aws: &Aws, stack: &str) -> Result<()> {
    let deleted = aws.stacks.delete_stack().stack_name(stack).send().await;
    deleted.map_err(|error| failed("remove the stack", error))?;
    let wait = async {
        let mut pauses = Pauses::new();
        let (mut begun, mut looks) = (false, 0);
        loop {
            let Some(now) = aws.stack(stack).await? else {
                return Ok(());
            };
            if now.status == "DELETE_COMPLETE" {
                return Ok(());
            }
            begun |= now.status == "DELETE_IN_PROGRESS";
            looks += 1;
            // What an earlier try came to may be seen for some seconds.
            if now.status == "DELETE_FAILED" && (begun || looks > LATE) {
                let resources = aws.resources(stack).await?;
                let failed = resources.iter().filter(|it| it.status == "DELETE_FAILED");
                let words: Vec<_> = failed
                    .map(|it| format!("{}: {}", it.logical, it.reason.as_deref().unwrap_or("no reason")))
                    .collect();
                bail!("CloudFormation could not remove {}", words.join("; "));
            }
            pauses.next().await;
        }
    };
    tokio::time::timeout(STACK, wait)
        .await
        .context("CloudFormation takes too long to remove the stack")?
}

async fn remove_table(aws: &Aws, name: &str) -> Result<()> {
    let client = tables::client(&aws.sdk);
    match client.delete_table().table_name(name).send().await {
        Ok(_) => {}
        Err(error) if error.code() == Some("ResourceNotFoundException") => return Ok(()),
        // It is being deleted already.
        Err(error) if error.code() == Some("ResourceInUseException") => {}
        Err(error) => {
            return Err(failed(
                "delete a table; if it is protected from deletion, lift that first",
                error,
            ));
        }
    }
    let wait = async {
        let mut pauses = Pauses::new();
        loop {
            match client.describe_table().table_name(name).send().await {
                Ok(_) => pauses.next().await,
                Err(error) if error.code() == Some("ResourceNotFoundException") => return Ok(()),
                Err(error) => return Err(failed("look at a table", error)),
            }
        }
    };
    tokio::time::timeout(MACHINES, wait)
        .await
        .with_context(|| format!("the table {name} does not go"))?
}

async fn remove_log_groups(aws: &Aws, found: &Found) -> Result<()> {
    let client = aws_sdk_cloudwatchlogs::Client::new(&aws.sdk);
    let again = look::log_groups(aws, &found.stack, &found.parts).await?;
    for name in again.iter().chain(&found.log_groups) {
        match client.delete_log_group().log_group_name(name).send().await {
            Ok(_) => {}
            Err(error) if error.code() == Some("ResourceNotFoundException") => {}
            Err(error) => return Err(failed("delete a log group", error)),
        }
    }
    Ok(())
}

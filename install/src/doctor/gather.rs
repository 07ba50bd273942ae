//! One look at everything. What cannot be looked at ends nothing.

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Context, Result, anyhow};
use aws_sdk_cloudformation::types::{StackDriftDetectionStatus, StackResourceDriftStatus};
use aws_sdk_cloudwatchlogs::types::FilteredLogEvent;
use cloud::{
    Store,
    tables::{AllPools, ForecastOf, WorkersOf},
};
use futures_util::future::join_all;
use model::Millis;

use super::{
    Answer, Catalogue, DEAD_RECORDS, DEAD_TASKS, Drifted, PoolSeen, Seen, Snapshot, TICK_WITHIN, TICKS, TableSeen,
};
use crate::{
    aws::{Aws, Resource, Stack, failed},
    backup::tables,
    network::Network,
    pauses::Pauses,
    resources::{self, Look},
    signed::concurrency,
};

/// Longest time that CloudFormation takes to compare the stack with its template.
const DRIFT: Duration = Duration::from_mins(5);
/// The line that Lambda writes after a call that went well. After one that failed it has another status, whatever the function
/// itself has logged. <https://docs.aws.amazon.com/lambda/latest/dg/telemetry-schema-reference.html#platform-report>
const WENT_WELL: &str = r#""platform.report" "success""#;
/// Longest time for an answer of the APIs.
const ANSWER: Duration = Duration::from_secs(10);

fn seen<T>(result: Result<T>) -> Seen<T> {
    result.map_err(|error| {
        let mut text = format!("{error:#}").replace('\n', " ");
        cloud::cut(&mut text, 300);
        text
    })
}

/// Looks at the stack of this name, and at all that belongs to it.
pub async fn gather(aws: &Aws, name: &str, now: Millis) -> Snapshot {
    let (account, stack, resources) = tokio::join!(aws.account(), aws.stack(name), aws.resources(name));
    let (stack, resources) = (seen(stack), seen(resources));
    let look = Eye {
        aws,
        name,
        now,
        stack: stack.as_ref().ok().and_then(Option::as_ref),
        resources: &resources,
    };
    let (drift, vcpus, concurrency, image, subnets) = tokio::join!(
        look.drift(),
        aws.quota("ec2", "L-DB2E81BA"),
        concurrency(aws),
        look.image(),
        look.subnets(),
    );
    let (api, socket, key, catalogue, objects, pools) = tokio::join!(
        look.api(),
        look.socket(),
        look.key(),
        look.catalogue(),
        look.objects(),
        look.pools(),
    );
    let ticks = TICKS.map(async |(function, logs)| (function, seen(look.tick(logs).await)));
    let (ticks, dead, dead_records, tables) = tokio::join!(
        join_all(ticks),
        look.waiting(DEAD_TASKS),
        look.waiting(DEAD_RECORDS),
        look.tables()
    );
    let (machines, disks, images) = tokio::join!(aws.site.machines(name), aws.site.disks(name), aws.site.images());
    let images = images.context("the machine images");
    let disk_snapshots = match &images {
        Ok(images) => aws.site.disk_snapshots(name, images).await.context("the snapshots"),
        Err(error) => Err(anyhow!("{error:#}")),
    };
    Snapshot {
        name: name.to_owned(),
        region: aws.region().to_owned(),
        account: seen(account),
        drift: seen(drift),
        vcpus: seen(vcpus),
        concurrency: seen(concurrency),
        image: seen(image),
        subnets: seen(subnets),
        api: seen(api),
        socket: seen(socket),
        key: seen(key),
        catalogue: seen(catalogue),
        objects: seen(objects),
        pools: seen(pools),
        ticks: ticks.into_iter().collect(),
        dead: seen(dead),
        dead_records: seen(dead_records),
        tables,
        machines: seen(machines.context("the instances")),
        disks: seen(disks.context("the volumes")),
        disk_snapshots: seen(disk_snapshots),
        images: seen(images),
        stack,
        resources,
    }
}

struct Eye<'a> {
    aws: &'a Aws,
    name: &'a str,
    now: Millis,
    stack: Option<&'a Stack>,
    resources: &'a Seen<Vec<Resource>>,
}

impl Eye<'_> {
    /// The name in the account of what has this name in the template.
    fn physical(&self, logical: &str) -> Result<&str> {
        let resources = self.resources.as_ref().map_err(|why| anyhow!("{why}"))?;
        let found = resources.iter().find(|it| it.logical == logical);
        found
            .map(|it| it.physical.as_str())
            .with_context(|| format!("the stack has no {logical}"))
    }

    /// The stack's resources that are looked at so.
    fn looked_at(&self, look: Look) -> impl Iterator<Item = &Resource> {
        let resources = self.resources.iter().flatten();
        resources.filter(move |it| resources::of(&it.kind).is_some_and(|kind| kind.look == look))
    }

    fn output(&self, name: &str) -> Result<&str> {
        let stack = self.stack.context("there is no stack to be seen")?;
        stack
            .outputs
            .as_ref()
            .context("the stack has no outputs yet")?
            .get(name)
    }

    fn parameter(&self, name: &str) -> Result<&str> {
        let stack = self.stack.context("there is no stack to be seen")?;
        Ok(stack.parameters.get(name).map(String::as_str).unwrap_or_default())
    }

    async fn drift(&self) -> Result<Vec<Drifted>> {
        let stacks = &self.aws.stacks;
        let begun = stacks.detect_stack_drift().stack_name(self.name).send().await;
        let begun = begun.map_err(|error| failed("compare the stack with its template", error))?;
        let id = begun.stack_drift_detection_id().unwrap_or_default();
        let wait = async {
            let mut pauses = Pauses::new();
            loop {
                let status = stacks
                    .describe_stack_drift_detection_status()
                    .stack_drift_detection_id(id)
                    .send()
                    .await;
                let status = status.map_err(|error| failed("compare the stack with its template", error))?;
                match status.detection_status() {
                    Some(StackDriftDetectionStatus::DetectionInProgress) => pauses.next().await,
                    // What cannot be compared is left out of the list below.
                    _ => return Ok::<_, anyhow::Error>(()),
                }
            }
        };
        tokio::time::timeout(DRIFT, wait)
            .await
            .context("CloudFormation compares for too long")??;
        let mut found = Vec::new();
        let mut next = None;
        loop {
            let page = stacks
                .describe_stack_resource_drifts()
                .stack_name(self.name)
                .set_next_token(next);
            let page = page
                .send()
                .await
                .map_err(|error| failed("compare the stack with its template", error))?;
            for it in page.stack_resource_drifts() {
                let deleted = match it.stack_resource_drift_status() {
                    Some(StackResourceDriftStatus::Deleted) => true,
                    Some(StackResourceDriftStatus::Modified) => false,
                    _ => continue,
                };
                let properties = it.property_differences().iter().filter_map(|it| it.property_path());
                found.push(Drifted {
                    logical: it.logical_resource_id().unwrap_or_default().to_owned(),
                    kind: it.resource_type().unwrap_or_default().to_owned(),
                    deleted,
                    properties: properties.map(str::to_owned).collect(),
                });
            }
            next = page.next_token().map(str::to_owned);
            if next.is_none() {
                return Ok(found);
            }
        }
    }

    async fn image(&self) -> Result<Option<fleet::remains::LaunchImage>> {
        Ok(self.aws.site.launch_image(self.physical("LaunchTemplate")?).await?)
    }

    async fn subnets(&self) -> Result<Vec<fleet::site::Subnet>> {
        let network = Network::look(self.aws, self.parameter("VpcId")?, self.parameter("SubnetIds")?).await?;
        network.vpc.context("there is no default VPC")?;
        Ok(network.subnets)
    }

    async fn api(&self) -> Result<Answer> {
        answer(&format!("{}/v1/openapi.json", self.output("ApiUrl")?)).await
    }

    async fn socket(&self) -> Result<Answer> {
        // The address without the upgrade: who is there refuses it, who is not does not answer.
        let url = self.output("SocketUrl")?;
        answer(&format!(
            "http{}",
            url.strip_prefix("ws").context("the socket's address is none")?
        ))
        .await
    }

    async fn key(&self) -> Result<Option<String>> {
        let read = cloud::secret::read(&self.aws.sdk, self.output("SigningSecretArn")?).await;
        match read {
            Ok(pem) if pem.trim().is_empty() => Ok(None),
            Ok(pem) => ops::keys::public(&pem).map(Some),
            Err(error) if cloud::chain(&error).contains("ResourceNotFound") => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    async fn catalogue(&self) -> Result<Catalogue> {
        let mut found = Catalogue::default();
        let client = tables::client(&self.aws.sdk);
        tables::each_page(&client, self.output("CatalogTable")?, async |items| {
            for item in items {
                found.take(&crate::backup::plain(&item));
            }
            Ok(())
        })
        .await?;
        Ok(found)
    }

    async fn objects(&self) -> Result<BTreeMap<String, u64>> {
        let bucket = self.output("ModelsBucket")?;
        crate::bucket::objects(&crate::bucket::client(&self.aws.sdk), bucket).await
    }

    async fn pools(&self) -> Result<Vec<PoolSeen>> {
        let outputs = self
            .stack
            .and_then(|it| it.outputs.as_ref())
            .context("the stack has no outputs yet")?;
        let store = Store::dynamo(&self.aws.sdk, outputs.tables()?);
        let mut found = Vec::new();
        for id in store.get(&AllPools).await?.unwrap_or_default().pools {
            if let Some(pool) = store.get(&id).await? {
                found.push(PoolSeen {
                    pool,
                    workers: store.list(WorkersOf(&id)).await?,
                    fault: store.get(&ForecastOf(id.clone())).await?.and_then(|it| it.hour.fault),
                });
            }
        }
        Ok(found)
    }

    /// When a call of the function with this log last went well.
    async fn tick(&self, logs: &str) -> Result<Option<Millis>> {
        let client = aws_sdk_cloudwatchlogs::Client::new(&self.aws.sdk);
        let from = i64::try_from((self.now - TICK_WITHIN).0).unwrap_or(i64::MAX);
        let mut pages = client
            .filter_log_events()
            .log_group_name(self.physical(logs)?)
            .filter_pattern(WENT_WELL)
            .start_time(from)
            .into_paginator()
            .send();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| failed("read a log", error))?;
            if let Some(at) = page.events().iter().filter_map(FilteredLogEvent::timestamp).max() {
                return Ok(Some(Millis(u64::try_from(at).unwrap_or(0))));
            }
        }
        Ok(None)
    }

    /// How many messages wait in the queue of this name in the template.
    async fn waiting(&self, queue: &str) -> Result<u64> {
        use aws_sdk_sqs::types::QueueAttributeName::ApproximateNumberOfMessages as Waiting;
        let client = aws_sdk_sqs::Client::new(&self.aws.sdk);
        let call = client
            .get_queue_attributes()
            .queue_url(self.physical(queue)?)
            .attribute_names(Waiting);
        let reply = call
            .send()
            .await
            .map_err(|error| failed("look at a queue of what nobody could handle", error))?;
        let waiting = reply
            .attributes()
            .and_then(|it| it.get(&Waiting))
            .and_then(|it| it.parse().ok());
        waiting.context("SQS does not say how many messages wait")
    }

    async fn tables(&self) -> BTreeMap<String, Seen<TableSeen>> {
        let tables = self.looked_at(Look::Table);
        let client = tables::client(&self.aws.sdk);
        let looks = tables.map(async |it| (it.logical.clone(), seen(table(&client, &it.physical).await)));
        join_all(looks).await.into_iter().collect()
    }
}

async fn table(client: &aws_sdk_dynamodb::Client, name: &str) -> Result<TableSeen> {
    use aws_sdk_dynamodb::types::PointInTimeRecoveryStatus::Enabled;
    let (table, backups) = tokio::join!(
        client.describe_table().table_name(name).send(),
        client.describe_continuous_backups().table_name(name).send()
    );
    let table = table.map_err(|error| failed("look at a table", error))?;
    let backups = backups.map_err(|error| failed("look at a table's recovery", error))?;
    let backups = backups
        .continuous_backups_description
        .and_then(|it| it.point_in_time_recovery_description);
    Ok(TableSeen {
        recoverable: backups.and_then(|it| it.point_in_time_recovery_status) == Some(Enabled),
        bytes: table
            .table
            .and_then(|it| it.table_size_bytes)
            .and_then(|it| u64::try_from(it).ok())
            .unwrap_or(0),
    })
}

async fn answer(url: &str) -> Result<Answer> {
    let client = reqwest::Client::builder().timeout(ANSWER).build()?;
    let reply = client.get(url).send().await?;
    let at = cloud::now();
    let date = reply
        .headers()
        .get(reqwest::header::DATE)
        .and_then(|it| it.to_str().ok());
    let date = date
        .and_then(|it| jiff::fmt::rfc2822::parse(it).ok())
        .map(|it| it.timestamp().as_millisecond());
    let status = reply.status().as_u16();
    let body = reply.json::<serde_json::Value>().await.unwrap_or_default();
    Ok(Answer {
        status,
        date: date.and_then(|it| u64::try_from(it).ok()).map(Millis),
        at,
        version: body["info"]["version"].as_str().map(str::to_owned),
    })
}

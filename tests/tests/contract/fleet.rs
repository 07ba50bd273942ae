//! The instances.

use anyhow::{Context, Result, ensure};
use fleet::{FleetError, Instance};
use model::{InstanceId, PoolId, WorkerId};
use policy::watch::InstanceState;

use crate::aws::{Aws, refused};

impl Aws {
    async fn launch(&self, types: &[&str]) -> Result<Instance, FleetError> {
        let types: Vec<_> = types.iter().map(|it| (*it).to_owned()).collect();
        let (worker, pool) = (WorkerId::new(format!("w-{}", self.own)), PoolId::new(&self.own));
        self.fleet.launch(&worker, &pool, &types).await
    }

    async fn power(&self, id: &InstanceId) -> Result<InstanceState> {
        Ok(self
            .fleet
            .describe_one(id)
            .await?
            .context("it is not there")?
            .view
            .state)
    }
}

pub(crate) async fn launched_and_described(aws: Aws) -> Result<()> {
    let launched = aws.launch(&["g6.xlarge", "g5.xlarge"]).await?;
    ensure!(launched.worker_id.as_str() == format!("w-{}", aws.own));
    ensure!(
        launched.pool.as_str() == aws.own && launched.instance_type == "g6.xlarge",
        "{launched:?}"
    );
    ensure!(launched.view.state == InstanceState::Up, "{launched:?}");
    let id = &launched.view.instance_id;
    ensure!(aws.fleet.describe_one(id).await?.as_ref() == Some(&launched));
    ensure!(aws.fleet.describe().await?.contains(&launched));
    Ok(())
}

pub(crate) async fn launched_once_however_often(aws: Aws) -> Result<()> {
    let first = aws.launch(&["g6.xlarge"]).await?;
    let again = aws.launch(&["g6.xlarge"]).await?;
    ensure!(first.view.instance_id == again.view.instance_id);
    let all = aws.fleet.describe().await?;
    ensure!(all.iter().filter(|it| it.pool.as_str() == aws.own).count() == 1);
    Ok(())
}

pub(crate) async fn launched_of_a_type(aws: Aws) -> Result<()> {
    refused("no type", aws.launch(&[]).await)?;
    let all = aws.fleet.describe().await?;
    ensure!(all.iter().all(|it| it.pool.as_str() != aws.own));
    Ok(())
}

pub(crate) async fn stopped_and_started(aws: Aws) -> Result<()> {
    let id = aws.launch(&["g6.xlarge"]).await?.view.instance_id;
    // It is up: there is nothing to do.
    aws.fleet.start(&id).await?;
    ensure!(aws.power(&id).await? == InstanceState::Up);
    aws.fleet.stop(&id).await?;
    aws.settle();
    ensure!(aws.power(&id).await? == InstanceState::Stopped);
    aws.fleet.stop(&id).await?;
    ensure!(aws.power(&id).await? == InstanceState::Stopped);
    aws.fleet.start(&id).await?;
    ensure!(aws.power(&id).await? == InstanceState::Up);
    Ok(())
}

pub(crate) async fn not_started_while_it_stops(aws: Aws) -> Result<()> {
    let id = aws.launch(&["g6.xlarge"]).await?.view.instance_id;
    aws.fleet.stop(&id).await?;
    let started = aws.fleet.start(&id).await;
    // It passes: once it is stopped it can be started.
    ensure!(matches!(&started, Err(error) if error.is_retryable()), "{started:?}");
    aws.settle();
    aws.fleet.start(&id).await?;
    Ok(())
}

pub(crate) async fn ended(aws: Aws) -> Result<()> {
    let id = aws.launch(&["g6.xlarge"]).await?.view.instance_id;
    aws.fleet.terminate(&id).await?;
    aws.fleet.terminate(&id).await?;
    ensure!(aws.power(&id).await? == InstanceState::Gone);
    Ok(())
}

pub(crate) async fn ended_for_good(aws: Aws) -> Result<()> {
    let id = aws.launch(&["g6.xlarge"]).await?.view.instance_id;
    aws.fleet.terminate(&id).await?;
    ensure!(aws.fleet.start(&id).await.is_err(), "it was started");
    ensure!(aws.fleet.stop(&id).await.is_err(), "it was stopped");
    ensure!(aws.power(&id).await? == InstanceState::Gone);
    Ok(())
}

pub(crate) async fn unknown_instances(aws: Aws) -> Result<()> {
    let id = InstanceId::new("i-0000000000000dead");
    ensure!(aws.fleet.describe_one(&id).await?.is_none());
    refused("start", aws.fleet.start(&id).await)?;
    refused("stop", aws.fleet.stop(&id).await)?;
    refused("terminate", aws.fleet.terminate(&id).await)
}

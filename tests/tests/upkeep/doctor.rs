//! The doctor on the emulator.

use anyhow::{Context, Result, ensure};
use cloud::Write;
use install::{
    aws::Aws,
    doctor::{self, Doctor},
};
use model::{CatalogEntry, Master, TeamId, UserId};
use serde_json::json;

use crate::{
    Studio, backup,
    between::{Fate, Fault},
};

/// What the emulator's account has by itself: no image, no way out of its subnets, no recovery of its tables.
const OF_THE_EMULATOR: [&str; 3] = ["image", "subnet", "table"];

async fn look(studio: &Studio) -> Result<(String, bool)> {
    let aws = Aws::new(studio.between.sdk().await);
    let arguments = Doctor {
        stack: "atelier".to_owned(),
    };
    doctor::run(&aws, &arguments, cloud::now()).await
}

fn about(text: &str) -> Vec<&str> {
    let lines = text
        .lines()
        .filter(|it| it.starts_with("broken") || it.starts_with("warning"));
    let mut about: Vec<_> = lines.filter_map(|it| it.split_whitespace().nth(1)).collect();
    about.dedup();
    about
}

/// Lambda's own line of a call that failed, which the emulator's functions do not.
async fn crashed(studio: &Studio, log: &str) -> Result<()> {
    let services = &studio.services;
    let resources = Aws::new(services.sdk().await).resources("atelier").await?;
    let found = resources.iter().find(|it| it.logical == log);
    let group = &found.context("there is no such log")?.physical;
    let stream = json!({ "logGroupName": group, "logStreamName": "crashed" });
    services.json("logs", "Logs_20140328.CreateLogStream", &stream).await?;
    let line = json!({ "type": "platform.report", "record": { "requestId": "1", "status": "error" } });
    let lines = json!({
        "logGroupName": group,
        "logStreamName": "crashed",
        "logEvents": [{ "timestamp": cloud::now().0, "message": line.to_string() }],
    });
    services.json("logs", "Logs_20140328.PutLogEvents", &lines).await?;
    Ok(())
}

/// Deploys with another machine image: CloudFormation makes a new version of the launch template of it, and leaves the default
/// one where it was.
async fn another_image(studio: &Studio) -> Result<()> {
    let services = &studio.services;
    let image = [
        ("Action", "RegisterImage"),
        ("Version", "2016-11-15"),
        ("Name", "another"),
        ("RootDeviceName", "/dev/sda1"),
    ];
    let image = services.form("ec2", &image).await?;
    let image = image.split("<imageId>").nth(1).and_then(|it| it.split('<').next());
    let update = [
        ("Action", "UpdateStack"),
        ("Version", "2010-05-15"),
        ("StackName", "atelier"),
        ("UsePreviousTemplate", "true"),
        ("Capabilities.member.1", "CAPABILITY_IAM"),
        ("Capabilities.member.2", "CAPABILITY_AUTO_EXPAND"),
        ("Parameters.member.1.ParameterKey", "TokenPublicKey"),
        ("Parameters.member.1.UsePreviousValue", "true"),
        ("Parameters.member.2.ParameterKey", "EventSource"),
        ("Parameters.member.2.UsePreviousValue", "true"),
        ("Parameters.member.3.ParameterKey", "LocalEndpoint"),
        ("Parameters.member.3.UsePreviousValue", "true"),
        ("Parameters.member.4.ParameterKey", "ImageId"),
        ("Parameters.member.4.ParameterValue", image.context("no image")?),
    ];
    services.form("cloudformation", &update).await?;
    let status = studio.settled("atelier").await?;
    ensure!(status == "UPDATE_COMPLETE", "{status}");
    Ok(())
}

/// A model of the studio's that is in the catalogue only.
fn without_a_file() -> CatalogEntry {
    let team = TeamId::new("studio");
    let master = Master {
        sha256: "0".repeat(64),
        size: 1,
        home: team.clone(),
        owner: UserId::new("mara"),
        created: cloud::now(),
        private: false,
        by_plugin: false,
        words: Vec::new(),
        resolution: None,
        training: std::collections::BTreeMap::new(),
    };
    CatalogEntry {
        master: Some(master),
        ..CatalogEntry::on_images(team, "lora", "ink", "ink.safetensors")
    }
}

/// Each thing that is wrong is found, goes once it is mended, and what cannot be looked at hides nothing else.
pub(crate) async fn finds_what_is_wrong(studio: &Studio) -> Result<()> {
    let (services, between) = (&studio.services, &studio.between);

    // Fresh from CloudFormation: nothing is seeded and nothing ticks; a call that crashed is no tick.
    crashed(studio, "LifecycleLogs").await?;
    let (text, wrong) = look(studio).await?;
    let found = about(&text);
    for it in ["key", "catalogue", "pool", "lifecycle", "idle-reaper", "forecast"]
        .iter()
        .chain(&OF_THE_EMULATOR)
    {
        ensure!(wrong && found.contains(it), "{it}\n{text}");
    }

    // Mended, one after the other.
    let sdk = services.sdk().await;
    cloud::secret::write(
        &sdk,
        services.outputs().get("SigningSecretArn")?,
        &services.keys().private_pem,
    )
    .await?;
    backup::seeded(studio).await?;
    for function in ["LifecycleFunction", "IdleReaperFunction", "ForecastFunction"] {
        services.invoke(function).await?;
    }
    for table in ["AccountsTable", "CatalogTable", "HistoryTable", "TasksTable"] {
        let wanted = json!({
            "TableName": services.outputs().get(table)?,
            "PointInTimeRecoverySpecification": { "PointInTimeRecoveryEnabled": true },
        });
        services
            .json("dynamodb", "DynamoDB_20120810.UpdateContinuousBackups", &wanted)
            .await?;
    }
    let way_out = [
        ("Action", "CreateRoute"),
        ("Version", "2016-11-15"),
        ("RouteTableId", "rtb-00000001"),
        ("DestinationCidrBlock", "0.0.0.0/0"),
        ("GatewayId", "igw-00000001"),
    ];
    services.form("ec2", &way_out).await?;
    let (text, _) = look(studio).await?;
    ensure!(about(&text) == ["image", "quota"], "{text}");
    another_image(studio).await?;
    let (text, _) = look(studio).await?;
    ensure!(about(&text) == ["quota"], "{text}");

    // Broken: another key, messages that nobody could handle, a model whose file is gone.
    let other = ops::keys::generate()?.private_pem;
    cloud::secret::write(&sdk, services.outputs().get("SigningSecretArn")?, &other).await?;
    services
        .cloud(&sdk)?
        .queue
        .send(&cloud::queue::Queued {
            task_id: None,
            pool: model::PoolId::new("default"),
        })
        .await?;
    let mut model = without_a_file();
    studio.store.commit([Write::put(&mut model)?]).await?;
    let (text, _) = look(studio).await?;
    ensure!(about(&text) == ["key", "quota", "catalogue", "queue"], "{text}");
    ensure!(text.contains("lora/ink@1 of studio is not in the bucket"), "{text}");

    // Refused and lost: a finding each, and all else is seen.
    between.fail(&[
        Fault {
            call: "GetCallerIdentity",
            times: 1,
            fate: Fate::Refused(403, "AccessDenied"),
        },
        Fault {
            call: "DescribeVolumes",
            times: 9,
            fate: Fate::Lost,
        },
        Fault {
            call: "Logs_20140328.FilterLogEvents",
            times: 1,
            fate: Fate::Refused(400, "AccessDeniedException"),
        },
    ]);
    let (text, _) = look(studio).await?;
    let unseen = text.lines().filter(|it| it.contains("could not be looked at")).count();
    ensure!(
        unseen == 3 && about(&text).contains(&"key") && about(&text).contains(&"queue"),
        "{text}"
    );

    // Killed on the way it has changed nothing.
    ensure!(
        between.killed_at(9, Box::pin(look(studio))).await.is_none(),
        "it was done before"
    );
    between.fail(&[]);
    let (again, _) = look(studio).await?;
    ensure!(
        again.lines().count() == text.lines().count() - unseen,
        "{text}\n{again}"
    );

    // No stack at all.
    let aws = Aws::new(between.sdk().await);
    let (text, wrong) = doctor::run(
        &aws,
        &Doctor {
            stack: "elsewhere".to_owned(),
        },
        cloud::now(),
    )
    .await?;
    ensure!(
        wrong && text.starts_with("broken   stack        there is no stack elsewhere"),
        "{text}"
    );
    text.lines().last().context("no last line")?;
    Ok(())
}

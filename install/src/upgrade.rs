//! `ops upgrade`: another release, and back.

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Context, Result, bail, ensure};
use fleet::ec2::{FleetConfig, connect_with};
use model::Millis;
use policy::watch::InstanceState;
use thiserror::Error;

use crate::{
    aws::{Aws, DEPLOYED},
    deploy::{Common, confirm, plan::Stack, say},
    image,
    network::Network,
    program,
    release::{Manifest, Release},
    stack::{self, Change},
    state::{Before, Folder},
};

/// `ops upgrade`.
#[derive(Debug, Clone, clap::Args)]
pub struct Upgrade {
    #[command(flatten)]
    common: Common,
    /// Go back to the release before: its functions, its template, its machine image.
    #[arg(long, conflicts_with_all = ["release", "image"])]
    back: bool,
    /// Minutes to wait until the workers of the old image are gone. They are replaced whether somebody waits or not.
    #[arg(long, default_value_t = 30)]
    drain_minutes: u64,
}

/// The parameters that an upgrade changes.
const CHANGED: [&str; 2] = ["ImageId", "Architecture"];

/// Why a release cannot be upgraded to.
#[derive(Debug, PartialEq, Eq, Error)]
pub enum Refused {
    /// There is something between.
    #[error(
        "release {to} follows {follows}, and {from} is deployed: upgrade release by release, since a table's indexes can \
         only be changed one at a time"
    )]
    NotNext {
        /// What is deployed.
        from: String,
        /// What was to be deployed.
        to: String,
        /// What it follows.
        follows: String,
    },
    /// It is the first.
    #[error("release {0} follows no other, so nothing can be upgraded to it; `ops deploy` deploys it")]
    First(String),
    /// It is not known what is deployed.
    #[error(
        "it is not known which release is deployed: deploy.json is not here, and the machine image has no tag \
         atelier:version. Give --folder"
    )]
    Unknown,
}

/// What an upgrade has left to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The image has to be made.
    Image,
    /// What is deployed has to be kept, for the way back.
    Keep,
    /// The stack has to be changed.
    Deploy,
}

/// Decides what of an upgrade is left: the release that is deployed, and whether the new image is there, against the new
/// release. `same` is whether the code that is deployed is known to be the new release's, which may have been made again under its
/// version.
pub fn plan(deployed: Option<&str>, same: bool, image: bool, to: &Manifest) -> Result<Vec<Part>, Refused> {
    let deployed = deployed.ok_or(Refused::Unknown)?;
    let mut parts = Vec::new();
    if deployed == to.version {
        // The way back stays the one to the release before.
        return Ok(if same { parts } else { vec![Part::Deploy] });
    }
    match &to.follows {
        None => return Err(Refused::First(to.version.clone())),
        Some(follows) if follows != deployed => {
            return Err(Refused::NotNext {
                from: deployed.to_owned(),
                to: to.version.clone(),
                follows: follows.clone(),
            });
        }
        Some(_) => {}
    }
    if !image {
        parts.push(Part::Image);
    }
    // Again by a run that goes on: CloudFormation changes all or nothing, so what is there is still the release before.
    parts.push(Part::Keep);
    parts.push(Part::Deploy);
    Ok(parts)
}

/// Upgrades, or goes back; returns what came of it.
pub async fn run(aws: &Aws, told: &Upgrade) -> Result<String> {
    let name = &told.common.stack;
    let found = aws.stack(name).await?;
    let found =
        found.with_context(|| format!("there is no stack {name} in {}; `ops deploy` makes it", aws.region()))?;
    found.must_be_ours(name, &DEPLOYED)?;
    let changed = found.changed;
    let parameters = match Stack::of(&found.status, found.parameters) {
        Stack::Ready(parameters) => parameters,
        Stack::Busy => bail!("CloudFormation is working on the stack; run this again when it has finished"),
        _ => bail!(
            "the stack is in state {}; look at its events in the AWS console, or run `ops deploy` if it was never there",
            found.status
        ),
    };
    let folder = told.common.folder(aws).await?;
    folder.state()?;
    let done = if told.back {
        back(aws, told, &folder, &parameters).await
    } else {
        forth(aws, told, &folder, parameters, changed).await
    };
    let Some(text) = done
        .context("not finished; mend what is said below and run the same command again, it goes on where it stopped")?
    else {
        return Ok("Nothing was changed.".to_owned());
    };
    // What was to be done is done: that nobody can look is no failure of it.
    let left = drain(aws, told).await.unwrap_or_else(|error| {
        format!(
            "Whether workers of another machine image are left could not be seen: {error:#}. Run this again to see."
        )
    });
    Ok(format!("{text}\n{left}"))
}

async fn forth(
    aws: &Aws,
    told: &Upgrade,
    folder: &Folder,
    parameters: BTreeMap<String, String>,
    changed: Option<Millis>,
) -> Result<Option<String>> {
    let release = told.common.release()?;
    let version = &release.manifest.version;
    let images = async || {
        aws.site
            .images()
            .await
            .context("the machine images cannot be looked at")
    };
    let asked = told.common.image.as_deref();
    let there = images().await?;
    let state = folder.state()?;
    let said = stack::outputs(aws, &told.common.stack).await.ok();
    let said = said.and_then(|it| it.get("Version").ok().map(str::to_owned));
    let deployed = said
        .or_else(|| state.deployed.clone())
        .or_else(|| image::version(&there, parameters.get("ImageId")?));
    let (of, present) = (release.of_image(), parameters.get("ImageId"));
    let again = deployed.as_ref() == Some(version);
    // The one that is there stays: it may be one's own.
    let asked = asked.or(present.map(String::as_str).filter(|_| again));
    let new = image::choose(&there, asked, &of);
    let same = state.code(changed) == Some(release.code.as_str()) && asked == present.map(String::as_str);
    let parts = plan(deployed.as_deref(), same, new.is_some(), &release.manifest)?;
    let from = deployed.unwrap_or_default();
    if let Some(remark) = new.as_ref().and_then(|it| of.remark(&there, it)) {
        say(&format!("! {remark}"));
    }
    if parts.is_empty() {
        if !told.common.dry_run {
            // A run that broke off may have left those of the release before.
            write_outputs(aws, told, folder).await?;
            folder.change(|state| state.deployed = Some(version.clone()))?;
        }
        say(&format!("Release {version} is deployed already."));
        return Ok(Some(format!("Release {version} is deployed.")));
    }
    introduce(aws, told, &from, version, &parts);
    if let (Some(own), None) = (present, asked)
        && image::version(&there, own).is_none()
    {
        say(&format!(
            "! {own} is an image of your own, and the release's takes its place; --image names one of yours with the new \
             worker in it"
        ));
    }
    let tools = program::on_path(&["sam", "packer"]);
    ensure!(
        tools.contains("sam"),
        "the AWS SAM CLI is not here; install it first. Nothing was changed"
    );
    ensure!(
        !parts.contains(&Part::Image) || tools.contains("packer"),
        "Packer is not here, and there is no machine image of release {version}; install it, or give --image. Nothing \
         was changed"
    );
    if told.common.dry_run {
        return Ok(None);
    }
    confirm(told.common.yes)?;
    for part in parts {
        match part {
            Part::Image => {
                let of = |name: &str| parameters.get(name).map_or("", String::as_str);
                let network = Network::look(aws, of("VpcId"), of("SubnetIds")).await?;
                image::build(aws, &release, network.of_packer()).await?;
            }
            Part::Keep => {
                let template = stack::template(aws, &told.common.stack).await?;
                folder.write(&folder.template_before(), &template)?;
                let before = Before {
                    version: from.clone(),
                    parameters: parameters.clone(),
                };
                folder.change(|state| {
                    state.deployed = Some(from.clone());
                    state.before = Some(before);
                })?;
            }
            Part::Deploy => {
                let image = image::choose(&images().await?, asked, &of)
                    .with_context(|| format!("Packer was content, and there is no image of release {version}"))?;
                let changed = forward(aws, told, &release, image).await?;
                folder.change(|state| state.deployed(version, &release.code, changed))?;
            }
        }
    }
    write_outputs(aws, told, folder).await?;
    if again {
        return Ok(Some(format!("Release {version} is deployed.")));
    }
    Ok(Some(format!(
        "Release {version} is deployed. Back to {from}: ops upgrade --back --folder {}",
        folder.path.display()
    )))
}

/// Says what is to be done.
fn introduce(aws: &Aws, told: &Upgrade, from: &str, to: &str, parts: &[Part]) {
    let (stack, region) = (&told.common.stack, aws.region());
    say(&if from == to {
        format!("To deploy release {to} in {stack}, {region}, again, since other code of it may be deployed:")
    } else {
        format!("To upgrade {stack} in {region} from release {from} to {to}:")
    });
    for part in parts {
        say(match part {
            Part::Image => "  • make the new machine image with Packer, about 20 minutes",
            Part::Keep => "  • keep the template and parameters of today, for `ops upgrade --back`",
            Part::Deploy => "  • deploy the new functions, after a look whether anything with data would be replaced",
        });
    }
    say("  • wait until no worker of the old machine image is left; pictures that are being painted are finished");
}

async fn forward(aws: &Aws, told: &Upgrade, release: &Release, image: String) -> Result<Option<Millis>> {
    let parameters = BTreeMap::from([
        ("ImageId".to_owned(), image),
        ("Architecture".to_owned(), release.manifest.architecture.clone()),
    ]);
    let change = Change {
        stack: &told.common.stack,
        template: &release.template,
        parameters: &parameters,
    };
    stack::deploy(aws, &change).await
}

/// The parameters that going back passes: those that an upgrade changes, and those that the new template does not have.
/// Others may have been changed since by whoever looks after the installation, as the key, and stay.
fn passed_back(before: BTreeMap<String, String>, now: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let changed = |name: &String| CHANGED.contains(&name.as_str()) || !now.contains_key(name);
    before.into_iter().filter(|(name, _)| changed(name)).collect()
}

async fn back(aws: &Aws, told: &Upgrade, folder: &Folder, now: &BTreeMap<String, String>) -> Result<Option<String>> {
    let before = folder.state()?.before.with_context(|| {
        format!(
            "there is nothing to go back to: no release before is kept in {}. What an upgrade has kept there is for one \
             way back",
            folder.path.display()
        )
    })?;
    let text = format!("Release {} is deployed again.", before.version);
    // Also if an upgrade was cut off: whether the stack finished it is not known here, and a deployment without changes costs
    // nothing.
    say(&format!(
        "To go back to release {} with machine image {}",
        before.version,
        before.parameters.get("ImageId").map_or("", String::as_str)
    ));
    if told.common.dry_run {
        return Ok(None);
    }
    confirm(told.common.yes)?;
    let template = folder.template_before().canonicalize();
    let template = template.with_context(|| format!("{} is gone", folder.template_before().display()))?;
    let change = Change {
        stack: &told.common.stack,
        template: &template,
        parameters: &passed_back(before.parameters, now),
    };
    stack::deploy(aws, &change).await?;
    write_outputs(aws, told, folder).await?;
    folder.change(|state| (state.deployed, state.functions, state.before) = (Some(before.version), None, None))?;
    Ok(Some(text))
}

async fn write_outputs(aws: &Aws, told: &Upgrade, folder: &Folder) -> Result<()> {
    let outputs = stack::outputs(aws, &told.common.stack).await?;
    folder.write(&folder.outputs(), &outputs.to_json())
}

/// Pause between two looks at who is left.
const PAUSE: Duration = Duration::from_secs(5);

/// Waits until the stack's ticks have replaced the workers of another image than the stack's.
async fn drain(aws: &Aws, told: &Upgrade) -> Result<String> {
    let stack = aws.stack(&told.common.stack).await?.context("the stack is gone")?;
    let config = FleetConfig {
        launch_template: String::new(),
        subnets: Vec::new(),
        stack: told.common.stack.clone(),
        image: stack.parameters.get("ImageId").cloned(),
    };
    let fleet = connect_with(&aws.sdk, config).await;
    let until = tokio::time::Instant::now() + Duration::from_secs(told.drain_minutes * 60);
    let (mut said, mut blind) = (usize::MAX, false);
    loop {
        let ended = tokio::time::Instant::now() >= until;
        match fleet.describe().await {
            Err(error) if ended => return Err(error).context("the workers cannot be looked at"),
            Err(error) if !blind => {
                say(&format!(
                    "• the workers cannot be looked at, which is tried again: {}",
                    cloud::chain(&error)
                ));
                blind = true;
            }
            Err(_) => {}
            Ok(workers) => {
                blind = false;
                let old = workers
                    .iter()
                    .filter(|it| it.old_image && it.view.state != InstanceState::Gone);
                let old = old.count();
                if old == 0 {
                    return Ok("No worker of another machine image is left.".to_owned());
                }
                if ended {
                    return Ok(format!(
                        "Workers of another machine image are left: {old}. Each is replaced as soon as it has no picture. \
                         Run this again to see."
                    ));
                }
                if old != said {
                    say(&format!("• workers of another machine image are left: {old}"));
                    said = old;
                }
            }
        }
        tokio::time::sleep(PAUSE).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn release(version: &str, follows: Option<&str>) -> Manifest {
        Manifest {
            version: version.to_owned(),
            follows: follows.map(str::to_owned),
            architecture: "x86_64".to_owned(),
        }
    }

    #[test]
    fn going_back_takes_back_what_the_upgrade_changed() {
        let of = |pairs: &[(&str, &str)]| {
            let pairs = pairs
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
            pairs.collect::<BTreeMap<_, _>>()
        };
        let before = of(&[
            ("ImageId", "ami-1"),
            ("TokenPublicKey", "old"),
            ("Gone", "x"),
            ("ApiRate", "5"),
        ]);
        let now = of(&[
            ("ImageId", "ami-2"),
            ("TokenPublicKey", "new"),
            ("ApiRate", "9"),
            ("New", "y"),
        ]);
        assert_eq!(passed_back(before, &now), of(&[("ImageId", "ami-1"), ("Gone", "x")]));
    }

    #[test]
    fn it_goes_release_by_release() {
        use Part::{Deploy, Image, Keep};
        let two = release("2", Some("1"));
        assert_eq!(plan(Some("1"), false, false, &two), Ok(vec![Image, Keep, Deploy]));
        assert_eq!(plan(Some("1"), false, true, &two), Ok(vec![Keep, Deploy]));
        assert_eq!(plan(Some("2"), true, true, &two), Ok(vec![]));
        assert_eq!(plan(Some("2"), false, true, &two), Ok(vec![Deploy]), "made again");
        assert_eq!(plan(None, false, true, &two), Err(Refused::Unknown));
        assert!(matches!(
            plan(Some("0"), false, true, &two),
            Err(Refused::NotNext { .. })
        ));
        assert!(matches!(
            plan(Some("1"), false, true, &release("0", None)),
            Err(Refused::First(_))
        ));
    }
}

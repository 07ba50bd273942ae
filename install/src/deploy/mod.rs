//! `ops deploy`: from nothing to the first invitation, by one command.
//!
//! What is there is looked at before each step, so a run that broke off anywhere is the same as one that was never begun.

pub mod check;
pub mod plan;

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    io::{IsTerminal, Write as _},
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use cloud::{Store, token::Signer};
use model::{Account, PoolId, TeamId, UserId};
use ops::{keys, outputs::Outputs, pool::Limits, seed, user::UserRole};

use self::{
    check::{Finding, Needs, QUOTAS, Quotas, Site, check},
    plan::{Found, Stack, Step, Wanted, plan},
};
use crate::{
    aws::Aws,
    cost, image, program,
    release::Release,
    stack::{self, Change},
    state::Folder,
};

/// How long the first invitation is good.
const INVITATION: Duration = Duration::from_hours(72);

/// `ops deploy`.
#[derive(Debug, Clone, clap::Args)]
pub struct Deploy {
    #[command(flatten)]
    pub(crate) common: Common,
    /// VPC of the GPU machines, with --subnets. [default: the region's default VPC]
    #[arg(long, requires = "subnets")]
    vpc: Option<String>,
    /// Subnets of that VPC, one for each zone, with a way out to the internet.
    #[arg(long, value_delimiter = ',', requires = "vpc")]
    subnets: Vec<String>,
    /// Further parameters of the template: KEY=VALUE.
    #[arg(long = "parameter", value_name = "KEY=VALUE", value_parser = parameter)]
    parameters: Vec<(String, String)>,
    /// The first user's team.
    #[arg(long, default_value = "studio")]
    team: TeamId,
    /// The first user.
    #[arg(long, default_value = "painter")]
    user: UserId,
    /// The first user's name as people see it.
    #[arg(long, default_value = "Painter")]
    name: String,
    /// What the first user may do.
    #[arg(long, value_enum, default_value_t = UserRole::Painter)]
    role: UserRole,
    /// The first user's budget of each month (UTC), in credits of US$ 0.001 of GPU time.
    #[arg(long, default_value_t = Account::CREDITS)]
    credits: u64,
    /// The pool's limits.
    #[command(flatten)]
    limits: Limits,
}

/// What `deploy` and `upgrade` are both told.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Common {
    /// The release: a folder with release.json, the template, the functions' zips, the worker and image/.
    #[arg(long, value_name = "DIR")]
    pub(crate) release: Option<PathBuf>,
    /// Name of the stack.
    #[arg(long, default_value = "atelier")]
    pub(crate) stack: String,
    /// Where outputs.json, signing-key.pem and deploy.json are, or are to be.
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub(crate) folder: PathBuf,
    /// The machine image. [default: the account's newest of this release; where there is none, Packer makes it]
    #[arg(long, value_name = "AMI")]
    pub(crate) image: Option<String>,
    /// Print what would be done, what it costs and what is in the way, and change nothing.
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Do not ask.
    #[arg(long, short)]
    pub(crate) yes: bool,
}

impl Common {
    pub(crate) fn release(&self) -> Result<Release> {
        let folder = self.release.as_deref().context(
            "give the release with --release DIR; get one from the project's releases, or make it in a checkout with \
             `.ci/release DIR`",
        )?;
        let folder = folder
            .canonicalize()
            .with_context(|| format!("there is no folder {}", folder.display()))?;
        Release::read(&folder)
    }

    pub(crate) fn folder(&self) -> Folder {
        Folder(self.folder.clone())
    }
}

fn parameter(text: &str) -> Result<(String, String), &'static str> {
    let pair = text.split_once('=').filter(|(name, _)| !name.is_empty());
    let pair = pair.map(|(name, value)| (name.to_owned(), value.to_owned()));
    pair.ok_or("write it as KEY=VALUE")
}

/// Everything that a run needs.
struct Run<'a> {
    aws: &'a Aws,
    told: &'a Deploy,
    folder: Folder,
    release: Release,
    wanted: Wanted,
}

/// Deploys; returns what whoever did it has to know.
pub async fn run(aws: &Aws, told: &Deploy) -> Result<String> {
    let release = told.common.release()?;
    let folder = told.common.folder();
    let account = aws.account().await?;
    if aws
        .stack(&told.common.stack)
        .await?
        .is_some_and(|it| Stack::of(&it.status, BTreeMap::new()) == Stack::Busy)
    {
        ensure!(
            !told.common.dry_run,
            "CloudFormation is working on the stack; wait until it has finished"
        );
        say(&format!("• {}", Step::Wait));
        stack::wait(aws, &told.common.stack).await?;
    }
    let mut site = look_at_site(aws, told).await?;
    let wanted = Wanted {
        version: release.manifest.version.clone(),
        parameters: parameters(aws, told, &release, &site).await?,
    };
    let mut run = Run {
        aws,
        told,
        folder,
        release,
        wanted,
    };
    let found = run.look().await?;
    let steps = plan(&found, &run.wanted)?;
    site.tools = program::on_path(&["sam", "packer"]);
    let needs = Needs {
        image: steps.contains(&Step::BuildImage),
        stack: steps
            .iter()
            .any(|it| matches!(it, Step::Deploy | Step::Clear | Step::Wait)),
        machines: told.limits.max_workers.unwrap_or(ops::pool::MAX_WORKERS),
        types: told.limits.instance_types.clone(),
    };
    let findings = check(&site, &needs);
    let place = format!(
        "release {} into account {account}, {}",
        run.wanted.version,
        aws.region()
    );
    say(&introduction(&place, &steps, &findings, &needs));
    ensure!(
        !findings.iter().any(|it| it.stops),
        "mend what is marked with ✗ first; nothing was changed"
    );
    if told.common.dry_run {
        return Ok("Nothing was changed.".to_owned());
    }
    if !steps.is_empty() {
        confirm(told.common.yes)?;
    }
    let invitation = run
        .carry_out()
        .await
        .context("not finished; mend what is said below and run the same command again, it goes on where it stopped")?;
    run.farewell(invitation.as_deref())
}

/// What stands before anything is done.
fn introduction(place: &str, steps: &[Step], findings: &[Finding], needs: &Needs) -> String {
    if steps.is_empty() {
        return format!("Deployed already: {place}.");
    }
    let mut text = format!("To deploy {place}:\n");
    for (n, step) in (1..).zip(steps) {
        let _ = writeln!(text, "  {n}. {step}");
    }
    text += &cost::text(cost::IMAGE_GIB, needs.machines, needs.types.as_deref());
    for finding in findings {
        let mark = if finding.stops { '✗' } else { '!' };
        let _ = writeln!(text, "{mark} {}", finding.text);
    }
    text.trim_end().to_owned()
}

/// To whoever looks on; the command's result goes to standard output.
pub(crate) fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// Asks whether to go on.
pub(crate) fn confirm(yes: bool) -> Result<()> {
    if yes {
        return Ok(());
    }
    ensure!(
        std::io::stdin().is_terminal(),
        "nobody is there to ask; give --yes to go on without asking. Nothing was changed"
    );
    let _ = write!(std::io::stderr(), "Go on? [y/N] ");
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer)?;
    ensure!(
        matches!(answer.trim().to_lowercase().as_str(), "y" | "yes"),
        "nothing was changed"
    );
    Ok(())
}

async fn look_at_site(aws: &Aws, told: &Deploy) -> Result<Site> {
    let vpc = match &told.vpc {
        Some(vpc) => Some(vpc.clone()),
        None => aws
            .site
            .default_vpc()
            .await
            .context("the network cannot be looked at")?,
    };
    let mut subnets = match &vpc {
        Some(vpc) => aws.site.subnets(vpc).await.context("the network cannot be looked at")?,
        None => Vec::new(),
    };
    for wanted in &told.subnets {
        ensure!(
            subnets.iter().any(|it| it.id == *wanted),
            "there is no subnet {wanted} in {}",
            vpc.as_deref().unwrap_or_default()
        );
    }
    if !told.subnets.is_empty() {
        subnets.retain(|it| told.subnets.contains(&it.id));
    }
    // Whoever may deploy need not have the right to read quotas: what is not known is said.
    let quota = async |(service, code)| aws.quota(service, code).await.ok();
    let [on_demand, spot, concurrency] = QUOTAS;
    Ok(Site {
        region: aws.region().to_owned(),
        quotas: Quotas {
            on_demand: quota(on_demand).await,
            spot: quota(spot).await,
            concurrency: quota(concurrency).await,
        },
        vpc,
        subnets,
        ..Site::default()
    })
}

/// Parameters of the template, but the key and the image. A stack that is there keeps what is not told now.
async fn parameters(aws: &Aws, told: &Deploy, release: &Release, site: &Site) -> Result<BTreeMap<String, String>> {
    let mut parameters = BTreeMap::from([("Architecture".to_owned(), release.manifest.architecture.clone())]);
    let mut set = |name: &str, value: String| parameters.insert(name.to_owned(), value);
    let there = aws.stack(&told.common.stack).await?;
    if !there.is_some_and(|it| matches!(Stack::of(&it.status, BTreeMap::new()), Stack::Ready(_))) {
        set("TokenAudience", told.common.stack.clone());
        let exists = aws.log_role().await?;
        set("ApiLogRole", if exists { "exists" } else { "create" }.to_owned());
        if let Some(concurrency) = site.quotas.concurrency {
            set("Settings", format!("concurrency={concurrency}"));
        }
    }
    if let Some(vpc) = &told.vpc {
        set("VpcId", vpc.clone());
        set("SubnetIds", told.subnets.join(","));
    }
    for (name, value) in &told.parameters {
        ensure!(
            !["TokenPublicKey", "ImageId"].contains(&name.as_str()),
            "{name} is not given by --parameter: the key is in signing-key.pem, the image is given by --image"
        );
        set(name, value.clone());
    }
    Ok(parameters)
}

impl Run<'_> {
    fn seed(&self) -> Result<seed::Seed> {
        Ok(seed::Seed {
            team: self.told.team.clone(),
            user: self.told.user.clone(),
            name: self.told.name.clone(),
            role: self.told.role.into(),
            pool: PoolId::new("default"),
            limits: self.told.limits.clone(),
            credits: self.told.credits,
            catalog: seed::default_catalog()?,
            token_life: Duration::from_hours(1),
        })
    }

    async fn look(&self) -> Result<Found> {
        let state = self.folder.state()?;
        let stack = self.aws.stack(&self.told.common.stack).await?;
        let images = self
            .aws
            .site
            .images()
            .await
            .context("the machine images cannot be looked at")?;
        let key = self.folder.read(&self.folder.key())?;
        let key = key.as_deref().map(keys::public).transpose();
        let key = key.with_context(|| format!("{} is no signing key", self.folder.key().display()))?;
        let mut found = Found {
            key,
            secret: None,
            stack: Stack::Missing,
            deployed: state.deployed,
            image: image::choose(&images, self.told.common.image.as_deref(), &self.wanted.version),
            outputs: false,
            seeded: false,
            invited: state.invited,
        };
        let Some(stack) = stack else {
            return Ok(found);
        };
        found.stack = Stack::of(&stack.status, stack.parameters);
        if let (Stack::Ready(parameters), Some(outputs)) = (&found.stack, stack.outputs) {
            // What the stack says of itself goes before what this folder remembers.
            let said = outputs.get("Version").ok().map(str::to_owned);
            found.deployed = said
                .or(found.deployed)
                .or_else(|| image::version(&images, parameters.get("ImageId")?));
            // A key that cannot be read is still there: another in its place would sign everybody out.
            found.secret = match cloud::secret::read(&self.aws.sdk, outputs.get("SigningSecretArn")?).await {
                Ok(pem) => keys::public(&pem).ok(),
                Err(error) if cloud::chain(&error).contains("ResourceNotFound") => None,
                Err(error) => return Err(error.into()),
            };
            found.outputs = self.folder.read(&self.folder.outputs())?.as_ref() == Some(&outputs.to_json());
            found.seeded = seed::is_there(&Store::dynamo(&self.aws.sdk, outputs.tables()?), &self.seed()?).await?;
        }
        Ok(found)
    }

    /// Does what is left, one step after the other; returns the invitation if one was made.
    async fn carry_out(&mut self) -> Result<Option<String>> {
        let mut last = None;
        loop {
            let found = self.look().await?;
            let Some(step) = plan(&found, &self.wanted)?.into_iter().next() else {
                return Ok(None);
            };
            if last.as_ref() == Some(&step) {
                bail!("this was done, and AWS does not show it: {step}");
            }
            say(&format!("• {step}"));
            if step == Step::Invite {
                return self.invite().await.map(Some);
            }
            self.step(&step, &found).await?;
            last = Some(step);
        }
    }

    async fn step(&self, step: &Step, found: &Found) -> Result<()> {
        let name = &self.told.common.stack;
        match step {
            Step::Wait => stack::wait(self.aws, name).await.map(drop),
            Step::Clear => stack::clear(self.aws, name).await,
            Step::MakeKey => self.folder.write(&self.folder.key(), &keys::generate()?.private_pem),
            Step::RecallKey => {
                let outputs = self.outputs().await?;
                let key = cloud::secret::read(&self.aws.sdk, outputs.get("SigningSecretArn")?).await?;
                self.folder.write(&self.folder.key(), &key)
            }
            Step::BuildImage => image::build(self.aws, &self.release).await,
            Step::Deploy => {
                let (Some(key), Some(image)) = (&found.key, &found.image) else {
                    bail!("there is no key or no image yet");
                };
                let mut parameters = self.wanted.parameters.clone();
                parameters.insert("TokenPublicKey".to_owned(), key.clone());
                parameters.insert("ImageId".to_owned(), image.clone());
                let change = Change {
                    stack: name,
                    template: &self.release.template,
                    parameters: &parameters,
                };
                stack::deploy(self.aws, &change).await?;
                self.folder
                    .change(|state| state.deployed = Some(self.wanted.version.clone()))
            }
            Step::WriteOutputs => {
                let outputs = self.outputs().await?;
                self.folder.write(&self.folder.outputs(), &outputs.to_json())
            }
            Step::StoreKey => {
                let key = self.private_key()?;
                let outputs = self.outputs().await?;
                Ok(cloud::secret::write(&self.aws.sdk, outputs.get("SigningSecretArn")?, &key).await?)
            }
            Step::Seed => {
                let outputs = self.outputs().await?;
                let signer = Signer::new(
                    &self.private_key()?,
                    outputs.get("TokenIssuer")?,
                    outputs.get("TokenAudience")?,
                )?;
                let store = Store::dynamo(&self.aws.sdk, outputs.tables()?);
                seed::seed(&store, &signer, &self.seed()?, cloud::now()).await.map(drop)
            }
            Step::Invite => Ok(()),
        }
    }

    async fn invite(&self) -> Result<String> {
        let store = Store::dynamo(&self.aws.sdk, self.outputs().await?.tables()?);
        ops::invite::invite(&store, &self.told.user, INVITATION, cloud::now()).await
    }

    fn private_key(&self) -> Result<String> {
        let key = self.folder.read(&self.folder.key())?;
        key.with_context(|| format!("{} is gone", self.folder.key().display()))
    }

    async fn outputs(&self) -> Result<Outputs> {
        stack::outputs(self.aws, &self.told.common.stack).await
    }

    fn farewell(&self, invitation: Option<&str>) -> Result<String> {
        let outputs = Outputs::read(&self.folder.outputs())?;
        let api = outputs.get("ApiUrl")?;
        let user = &self.told.user;
        let folder = self.folder.0.display();
        let invited = match invitation {
            Some(words) => format!("Invitation of {user}, good once, for 72 hours: {words}"),
            None => format!("Another invitation: ops invite --user {user} --outputs {folder}/outputs.json"),
        };
        // Only now: whoever did not get to see the words gets others.
        let text = format!(
            "Atelier is deployed: {api}\n{invited}\n\nIn Krita:\n  export INTERSTICE_URL='{api}/v1'\n  export \
             INTERSTICE_WEB_URL='{api}/v1'\n  krita   # choose the plugin's online service, sign in, enter the invitation"
        );
        if invitation.is_some() {
            self.folder.change(|state| state.invited = true)?;
        }
        Ok(text)
    }
}

/// The template's folder, in which SAM and Packer run.
pub(crate) fn folder_of(file: &Path) -> &Path {
    file.parent().unwrap_or(Path::new("."))
}

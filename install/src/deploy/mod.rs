//! `ops deploy`: from nothing to the first invitation, by one command.
//!
//! What is there is looked at before each step, so a run that broke off anywhere is the same as one that was never begun.

pub mod check;
mod first;
pub mod plan;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    io::{IsTerminal, Write as _},
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use cloud::{Store, token::Signer};
use fleet::site::Image;
use model::PoolId;
use ops::{
    keys,
    outputs::Outputs,
    pool::{self, Limits},
    seed::{self, FirstUser, Seed},
};

use self::{
    check::{Finding, Needs, QUOTAS, Quotas, Site, TOOLS, check, says, tools, with_concurrency},
    plan::{Found, Pool, Stack, Step, Wanted, plan},
};
use crate::{
    aws::{Aws, DEPLOYED},
    cost,
    image::{self, Of},
    network::Network,
    pauses::Pauses,
    program,
    release::{Checkout, Release},
    signed,
    stack::{self, Change},
    state::{Folder, Place},
};

/// How long the first invitation is good.
const INVITATION: Duration = Duration::from_hours(72);
/// So often is looked for what was done, within about twenty seconds.
const LOOKS: u32 = 10;
/// MB/s of a machine's disk: the template's default of `RootThroughput`.
const THROUGHPUT: u64 = 250;

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
    /// Make the machine image of this release anew, with today's security fixes.
    #[arg(long, conflicts_with = "image")]
    new_image: bool,
    #[command(flatten)]
    first: FirstUser,
    /// The pool's limits.
    #[command(flatten)]
    limits: Limits,
}

/// What `deploy` and `upgrade` are both told.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Common {
    /// The release: a folder with release.json, the template, the functions' zips, the worker and image/. [default, for
    /// `ops deploy` in a checkout: the one that is built of it]
    #[arg(long, value_name = "DIR")]
    pub(crate) release: Option<PathBuf>,
    /// Name of the stack.
    #[arg(long, default_value = "atelier")]
    pub(crate) stack: String,
    /// Where outputs.json, signing-key.pem and deploy.json are, or are to be.
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub(crate) folder: PathBuf,
    /// The machine image. [default: the one that is deployed; for another release the account's newest of that, and where
    /// there is none, Packer makes it]
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
    /// The release that is named.
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

    /// The release that is named, or what it can be built of.
    fn source(&self) -> Result<Source> {
        if self.release.is_none()
            && let Some(checkout) = Checkout::around(&std::env::current_dir()?)?
        {
            return Ok(Source::Checkout(checkout));
        }
        self.release().map(Source::Ready)
    }

    pub(crate) async fn folder(&self, aws: &Aws) -> Result<Folder> {
        let place = Place {
            account: aws.account().await?,
            region: aws.region().to_owned(),
            stack: self.stack.clone(),
        };
        Ok(Folder {
            path: self.folder.clone(),
            place,
        })
    }
}

fn parameter(text: &str) -> Result<(String, String), &'static str> {
    let pair = text.split_once('=').filter(|(name, _)| !name.is_empty());
    let pair = pair.map(|(name, value)| (name.to_owned(), value.to_owned()));
    pair.ok_or("write it as KEY=VALUE")
}

/// What is deployed.
enum Source {
    Ready(Release),
    /// A release of it, once that is built.
    Checkout(Checkout),
}

impl Source {
    fn version(&self) -> &str {
        match self {
            Self::Ready(release) => &release.manifest.version,
            Self::Checkout(checkout) => &checkout.version,
        }
    }

    fn release(&self) -> Result<&Release> {
        match self {
            Self::Ready(release) => Ok(release),
            Self::Checkout(_) => bail!("the release is not built yet"),
        }
    }
}

/// Everything that a run needs.
struct Run<'a> {
    aws: &'a Aws,
    told: &'a Deploy,
    folder: Folder,
    source: Source,
    wanted: Wanted,
    network: Network,
    /// Whether an image is still to be made anew.
    new_image: bool,
}

/// Deploys; returns what whoever did it has to know.
pub async fn run(aws: &Aws, told: &Deploy) -> Result<String> {
    let source = told.common.source()?;
    let folder = told.common.folder(aws).await?;
    folder.state()?;
    let there = aws.stack(&told.common.stack).await?;
    if let Some(there) = &there {
        there.must_be_ours(&told.common.stack, &DEPLOYED)?;
    }
    if there.is_some_and(|it| Stack::of(&it.status, BTreeMap::new()) == Stack::Busy) {
        ensure!(
            !told.common.dry_run,
            "CloudFormation is working on the stack; wait until it has finished"
        );
        say(&format!("• {}", Step::Wait));
        stack::wait(aws, &told.common.stack, |_| false).await?;
    }
    let there = aws.stack(&told.common.stack).await?;
    let there = match there.map(|it| Stack::of(&it.status, it.parameters)) {
        Some(Stack::Ready(parameters)) => Some(parameters),
        _ => None,
    };
    let mut parameters = parameters(told, &source)?;
    let holds = |name: &str| {
        let value = parameters.get(name).or_else(|| there.as_ref()?.get(name));
        value.cloned().unwrap_or_default()
    };
    let network = Network::look(aws, &holds("VpcId"), &holds("SubnetIds")).await?;
    for wanted in &told.subnets {
        ensure!(
            network.subnets.iter().any(|it| it.id == *wanted),
            "there is no subnet {wanted} in {}",
            network.vpc.as_deref().unwrap_or_default()
        );
    }
    let throughput = holds("RootThroughput").parse().unwrap_or(THROUGHPUT);
    let quotas = quotas(aws).await;
    let settings = there.is_some().then(|| holds("Settings"));
    let shared = holds("SharedModels") == "efs";
    ensure!(
        !shared || [holds("VpcId"), holds("SubnetIds")].iter().all(|it| !it.is_empty()),
        "SharedModels=efs needs VpcId and SubnetIds, since its addresses are in the subnets: give --vpc and --subnets; the \
         default VPC can be named, too. Nothing was changed"
    );
    if there.is_none() {
        at_first(aws, &folder.place, &quotas, &mut parameters).await?;
    }
    let wanted = Wanted {
        version: source.version().to_owned(),
        code: source.release().ok().map(|it| it.code.clone()),
        parameters,
    };
    let mut run = Run {
        aws,
        told,
        folder,
        source,
        wanted,
        network: network.clone(),
        new_image: told.new_image,
    };
    let found = run.look().await?;
    let steps = plan(&found, &run.wanted)?;
    let (machines, types) = found.machines.clone().unzip();
    let needs = Needs {
        tools: tools(&steps),
        machines: told.limits.max_workers.or(machines).unwrap_or(ops::pool::MAX_WORKERS),
        types: told.limits.instance_types.clone().or(types),
        throughput,
        settings,
        shared,
    };
    let site = Site {
        region: aws.region().to_owned(),
        tools: program::on_path(&TOOLS),
        quotas,
        network,
        offered: offered(aws, &needs.types()).await,
    };
    let mut findings = check(&site, &needs);
    findings.extend(found.remark.clone().map(says));
    if found.pool != Pool::Missing {
        let instead = first::instead(&told.first, found.account.as_ref(), &run.folder.outputs());
        findings.extend(instead.map(says));
    }
    let place = format!(
        "release {} into account {}, {}",
        run.wanted.version,
        run.folder.place.account,
        aws.region()
    );
    say(&introduction(&place, &steps, &findings, &needs));
    if steps.contains(&Step::Seed) {
        let Seed { user, name, team, .. } = run.seed()?;
        say(&format!(
            "The first user is to be {user} ({name}) of team {team}; --user, --name, --team, --role and --credits say otherwise."
        ));
    }
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
    let mut text = format!("Deployed already: {place}.\n");
    if !steps.is_empty() {
        text = format!("To deploy {place}:\n");
        for (n, step) in (1..).zip(steps) {
            let _ = writeln!(text, "  {n}. {step}");
        }
        text += &cost::text(
            cost::IMAGE_GIB,
            needs.machines,
            needs.throughput,
            needs.types.as_deref(),
        );
    }
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

/// Whoever may deploy need not have the right to read quotas: what is not known is said.
async fn quotas(aws: &Aws) -> Quotas {
    let quota = async |(service, code)| aws.quota(service, code).await.ok();
    let [on_demand, spot, _] = QUOTAS;
    Quotas {
        on_demand: quota(on_demand).await,
        spot: quota(spot).await,
        concurrency: signed::concurrency(aws).await.ok(),
    }
}

/// The same is true of what the region offers, which is asked only where there is something to ask for.
async fn offered(aws: &Aws, types: &[String]) -> Option<BTreeMap<String, BTreeSet<String>>> {
    if types.is_empty() {
        return None;
    }
    aws.site.offered(types).await.ok()
}

/// Parameters of the template, but the key and the image, as they are told. A stack that is there keeps the others.
fn parameters(told: &Deploy, source: &Source) -> Result<BTreeMap<String, String>> {
    let architecture = source
        .release()
        .map_or("x86_64", |it| it.manifest.architecture.as_str());
    let mut parameters = BTreeMap::from([("Architecture".to_owned(), architecture.to_owned())]);
    if let Some(vpc) = &told.vpc {
        parameters.insert("VpcId".to_owned(), vpc.clone());
        parameters.insert("SubnetIds".to_owned(), told.subnets.join(","));
    }
    for (name, value) in &told.parameters {
        ensure!(
            !["TokenPublicKey", "ImageId"].contains(&name.as_str()),
            "{name} is not given by --parameter: the key is in signing-key.pem, the image is given by --image"
        );
        parameters.insert(name.clone(), value.clone());
    }
    Ok(parameters)
}

/// What a new stack has beside what is told.
async fn at_first(aws: &Aws, place: &Place, quotas: &Quotas, parameters: &mut BTreeMap<String, String>) -> Result<()> {
    if !parameters.contains_key("ApiLogRole") {
        let exists = signed::log_role(aws)
            .await
            .context("say yourself whether there is one: --parameter ApiLogRole=exists, or ApiLogRole=create")?;
        let role = if exists { "exists" } else { "create" };
        parameters.insert("ApiLogRole".to_owned(), role.to_owned());
    }
    let audience = parameters.entry("TokenAudience".to_owned());
    audience.or_insert_with(|| place.stack.clone());
    if let Some(quota) = quotas.concurrency {
        let settings = parameters.entry("Settings".to_owned()).or_default();
        if !settings.contains("concurrency=") {
            *settings = with_concurrency(settings, quota);
        }
    }
    Ok(())
}

impl Run<'_> {
    fn seed(&self) -> Result<Seed> {
        let Deploy { first, limits, .. } = self.told;
        let life = Duration::from_hours(1);
        Ok(first.seed(PoolId::new("default"), limits.clone(), seed::default_catalog()?, life))
    }

    async fn images(&self) -> Result<Vec<Image>> {
        let images = self.aws.site.images().await;
        images.context("the machine images cannot be looked at")
    }

    async fn look(&self) -> Result<Found> {
        let state = self.folder.state()?;
        let stack = self.aws.stack(&self.told.common.stack).await?;
        let images = self.images().await?;
        let key = self.folder.read(&self.folder.key())?;
        let key = key.as_deref().map(keys::public).transpose();
        let key = key.with_context(|| format!("{} is no signing key", self.folder.key().display()))?;
        let of = Of {
            version: &self.wanted.version,
            worker: self.source.release().ok().map(|it| it.worker_sum.as_str()),
        };
        let mut found = Found {
            key,
            secret: None,
            stack: Stack::Missing,
            deployed: state.deployed.clone(),
            code: stack.as_ref().and_then(|it| state.code(it.changed)).map(str::to_owned),
            image: image::choose(&images, self.told.common.image.as_deref(), &of),
            outputs: false,
            pool: Pool::Missing,
            machines: None,
            remark: None,
            account: None,
            invited: false,
        };
        if self.new_image {
            let before = state.images_before.as_ref();
            found.image = before.and_then(|before| image::newest(&images, before, &of));
        }
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
            let store = Store::dynamo(&self.aws.sdk, outputs.tables()?);
            let wanted = self.seed()?;
            let pool = seed::seeded(&store, &wanted.pool).await?;
            found.machines = pool.as_ref().map(|it| (it.max_workers, it.instance_types.clone()));
            found.pool = match pool {
                None => Pool::Missing,
                Some(pool) if wanted.limits.hold(&pool) => Pool::AsWanted,
                Some(_) => Pool::Other,
            };
            found.account = store.get(&wanted.user).await?;
            found.invited = state.invited;
            if self.told.common.image.is_none() && !self.new_image {
                // It may be one's own.
                found.image = parameters.get("ImageId").cloned();
            }
        }
        found.remark = found.image.as_ref().and_then(|it| of.remark(&images, it));
        Ok(found)
    }

    /// Does what is left, one step after the other; returns the invitation if one was made.
    async fn carry_out(&mut self) -> Result<Option<String>> {
        let new_image = self.new_image;
        self.folder.change(|state| {
            if !new_image {
                state.images_before = None;
            }
        })?;
        let (mut last, mut looks, mut pauses) = (None, 0, Pauses::new());
        loop {
            let found = self.look().await?;
            let step = plan(&found, &self.wanted)?.into_iter().next();
            if step.is_none() || step == Some(Step::Invite) {
                // It is deployed, also where CloudFormation went on after a run that broke off: the next new image is another.
                self.folder.change(|state| state.images_before = None)?;
            }
            let Some(step) = step else { return Ok(None) };
            if last.as_ref() == Some(&step) {
                // It may show it a while later.
                looks += 1;
                ensure!(looks < LOOKS, "this was done, and AWS does not show it: {step}");
                pauses.next().await;
                continue;
            }
            (looks, pauses) = (0, Pauses::new());
            say(&format!("• {step}"));
            if step == Step::Invite {
                return self.invite().await.map(Some);
            }
            self.step(&step, &found).await?;
            match step {
                Step::Deploy => self.new_image = false,
                Step::BuildRelease => {
                    if let Some(remark) = self.look().await?.remark {
                        say(&format!("! {remark}"));
                    }
                }
                _ => {}
            }
            last = Some(step);
        }
    }

    async fn step(&mut self, step: &Step, found: &Found) -> Result<()> {
        let name = &self.told.common.stack;
        match step {
            Step::BuildRelease => {
                if let Source::Checkout(checkout) = &self.source {
                    let release = checkout.build(self.aws.region()).await?;
                    let (built, said) = (&release.manifest.version, &self.wanted.version);
                    ensure!(built == said, "release {built} was built, not {said}");
                    self.wanted.code = Some(release.code.clone());
                    self.source = Source::Ready(release);
                }
                Ok(())
            }
            Step::Wait => stack::wait(self.aws, name, |_| false).await.map(drop),
            Step::Clear => stack::clear(self.aws, name).await,
            Step::MakeKey => self.folder.write(&self.folder.key(), &keys::generate()?.private_pem),
            Step::RecallKey => {
                let outputs = self.outputs().await?;
                let key = cloud::secret::read(&self.aws.sdk, outputs.get("SigningSecretArn")?).await?;
                self.folder.write(&self.folder.key(), &key)
            }
            Step::BuildImage => {
                if self.new_image {
                    // Of a build that was finished by a run that broke off then, the image is used.
                    let there = self.images().await?.into_iter().map(|it| it.id);
                    self.folder.change(|state| {
                        state.images_before.get_or_insert_with(|| there.collect());
                    })?;
                }
                image::build(self.aws, self.source.release()?, self.network.of_packer()).await
            }
            Step::Deploy => {
                let (Some(key), Some(image)) = (&found.key, &found.image) else {
                    bail!("there is no key or no image yet");
                };
                let release = self.source.release()?;
                if !matches!(found.stack, Stack::Ready(_)) {
                    // What the folder remembers is of a stack that is gone.
                    self.folder.change(|state| {
                        (state.deployed, state.functions) = (None, None);
                        (state.before, state.invited) = (None, false);
                    })?;
                }
                let mut parameters = self.wanted.parameters.clone();
                parameters.insert("TokenPublicKey".to_owned(), key.clone());
                parameters.insert("ImageId".to_owned(), image.clone());
                let change = Change {
                    stack: name,
                    template: &release.template,
                    parameters: &parameters,
                };
                let changed = stack::deploy(self.aws, &change).await?;
                self.folder.change(|state| {
                    state.deployed(&self.wanted.version, &release.code, changed);
                    state.images_before = None;
                })
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
            Step::SetLimits => {
                let store = Store::dynamo(&self.aws.sdk, self.outputs().await?.tables()?);
                let Seed { pool, limits, .. } = self.seed()?;
                let set = pool::Command::Set { pool, limits };
                pool::run(&store, set, cloud::now()).await.map(drop)
            }
            Step::Invite => Ok(()),
        }
    }

    async fn invite(&self) -> Result<String> {
        let store = Store::dynamo(&self.aws.sdk, self.outputs().await?.tables()?);
        ops::invite::invite(&store, &self.told.first.id(), INVITATION, cloud::now()).await
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
        let user = self.told.first.id();
        let file = self.folder.outputs();
        let invited = match invitation {
            Some(words) => format!("Invitation of {user}, good once, for 72 hours: {words}"),
            None => format!(
                "Another invitation: ops invite --user USER --outputs {}",
                file.display()
            ),
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

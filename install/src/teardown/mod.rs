//! Back to an empty account.
//!
//! Everything is looked up anew each time, and each step leaves alone what is done already, so that a teardown that was
//! interrupted goes on where it stopped. What the stack consisted of is noted down before the first step.

mod act;
mod look;
mod plan;

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};
use clap::Args;

pub use plan::{Found, Part, in_words, left_in_words};

use crate::aws::Aws;
use look::SAM;

/// `ops teardown`.
#[derive(Debug, Clone, Args)]
pub struct Teardown {
    /// The stack.
    #[arg(long, default_value = "atelier")]
    pub stack: String,
    /// Do not ask.
    #[arg(long)]
    pub yes: bool,
    /// Delete also what is kept otherwise, for good: pictures, models, tasks, catalogue and accounts. `ops backup` first.
    #[arg(long)]
    pub purge: bool,
    /// Where to note what the stack consists of, until all is done. [default:
    /// teardown-<account>-<region>-<stack>.json]
    #[arg(long)]
    pub notes: Option<PathBuf>,
}

/// Takes it down; returns what is left, in words.
pub async fn run(
    aws: &Aws,
    arguments: &Teardown,
    say: impl Fn(&str),
    ask: impl FnOnce(&str) -> Result<bool>,
) -> Result<String> {
    let Teardown { stack, purge, .. } = arguments;
    let account = aws.account().await?;
    let notes = arguments
        .notes
        .clone()
        .unwrap_or_else(|| format!("teardown-{account}-{}-{stack}.json", aws.region()).into());
    let found = look::everything(aws, stack, noted(&notes)?).await?;
    let region = aws.region();
    if found.is_nothing() {
        let named: Vec<&Part> = found.named.iter().collect();
        return Ok(match left_in_words(&Found::default(), &named) {
            None => format!("There is nothing of {stack} in {region}."),
            Some(words) => format!(
                "There is nothing of {stack} in {region}, unless AWS's tags are right, which name for some hours also what is \
                 gone. Look for these, and delete them by hand:\n  {words}"
            ),
        });
    }
    note(&notes, &found.parts)?;
    say(&format!("In account {account}, region {region}:\n"));
    say(&in_words(&found, *purge));
    if !arguments.yes && !ask(&format!("\nType the stack's name, {stack}, to do this: "))? {
        bail!("nothing was done");
    }
    act::all(aws, &found, *purge, &say).await.with_context(|| {
        format!(
            "{stack} is not down yet; do it again to go on where it stopped (it is noted in {})",
            notes.display()
        )
    })?;
    let left = look::everything(aws, stack, found.parts).await?;
    let parts = look::there(aws, &left.parts).await?;
    let (meant, rest): (Vec<_>, Vec<_>) = parts.into_iter().partition(|it| it.kept && !it.goes(*purge));
    let unexpected: Vec<&Part> = rest.iter().filter(|it| it.is_billable()).chain(&left.named).collect();
    if let Some(words) = left_in_words(&left, &unexpected) {
        let late = match left.named.as_slice() {
            [] => "",
            _ => "; AWS's tags name for some hours also what is gone, so look for it in the console, too",
        };
        bail!("this is left and costs something; do it again in some minutes{late}:\n  {words}");
    }
    let elsewhere = elsewhere(region, left.sam);
    let kept: Vec<&Part> = meant.iter().filter(|it| it.is_billable()).collect();
    if let Some(words) = left_in_words(&Found::default(), &kept) {
        return Ok(format!(
            "{stack} is down. What was kept, and costs by its size (noted in {} for `--purge`):\n  {words}\n{elsewhere}",
            notes.display()
        ));
    }
    fs::remove_file(&notes).with_context(|| format!("{} cannot be removed", notes.display()))?;
    Ok(format!(
        "{stack} is down, and nothing that costs anything is left of it in account {account}, region {region}.\n{elsewhere}"
    ))
}

/// What was not looked at, or is not this installation's alone.
fn elsewhere(region: &str, sam: bool) -> String {
    let bucket = if sam {
        format!(
            "\nThe bucket of SAM, with what it deployed, costs by its size. If nothing else is deployed by SAM in this region, empty \
             the bucket {SAM}-… in the S3 console, then `sam delete --stack-name {SAM} --region {region}`."
        )
    } else {
        String::new()
    };
    format!(
        "Other regions were not looked at: a firewall is a stack in us-east-1, and what was copied of a machine image costs where \
         it is.{bucket}"
    )
}

/// What the stack consisted of when an earlier call began.
fn noted(notes: &Path) -> Result<Vec<Part>> {
    match fs::read_to_string(notes) {
        Ok(text) => serde_json::from_str(&text)
            .with_context(|| format!("{} is no list of what the stack was; move it away", notes.display())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error).with_context(|| format!("{} cannot be read", notes.display())),
    }
}

fn note(notes: &Path, parts: &[Part]) -> Result<()> {
    let part = notes.with_extension("part");
    fs::write(&part, serde_json::to_string_pretty(parts)?)
        .and_then(|()| fs::rename(&part, notes))
        .with_context(|| {
            format!(
                "{} cannot be written; go where you may write, or give --notes",
                notes.display()
            )
        })
}

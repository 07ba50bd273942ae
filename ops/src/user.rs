//! Users: made, changed, shown, revoked, removed.

use std::fmt::Write as _;

use accounts::{audit, hang_up, usage};
use anyhow::{Context, Result, bail, ensure};
use clap::{Args, Subcommand, ValueEnum};
use cloud::{
    Sockets, Store, StoreError, Write, on_conflict,
    tables::{AccountsOf, TasksOf},
};
use model::{Account, Millis, PoolId, Role, TeamId, UserId};

use crate::{audit::by, pool};

/// `ops user`.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make a user, who may then be invited.
    Add {
        /// The user's id: letters, digits and -_.@=
        user: UserId,
        /// The id was in use before, by the same person: what that user painted and spent is theirs.
        #[arg(long)]
        again: bool,
        /// The rest.
        #[command(flatten)]
        change: Change,
    },
    /// Change what is given and leave the rest.
    Set {
        /// The user's id.
        user: UserId,
        /// The rest.
        #[command(flatten)]
        change: Change,
    },
    /// Show a user and this month's usage.
    Show {
        /// The user's id.
        user: UserId,
    },
    /// List a team's users.
    List {
        /// The team.
        #[arg(long, default_value = "studio")]
        team: TeamId,
    },
    /// End every token, sign-in and invitation of a user made up to now. The user may be invited again.
    Revoke {
        /// The user's id.
        user: UserId,
    },
    /// Delete a user. What the user painted and used stays, so that the id is not for somebody else.
    Remove {
        /// The user's id.
        user: UserId,
    },
}

/// What of a user is to change.
#[derive(Debug, Default, Clone, Args)]
pub struct Change {
    /// Name shown to people. [default of a new user: the id]
    #[arg(long)]
    pub name: Option<String>,
    /// Team. [default of a new user: studio]
    #[arg(long)]
    pub team: Option<TeamId>,
    /// The pool that renders for the user. [default of a new user: default]
    #[arg(long)]
    pub pool: Option<PoolId>,
    /// What the user may do. [default of a new user: painter]
    #[arg(long, value_enum)]
    pub role: Option<UserRole>,
    /// Budget of each month (UTC), in credits. A credit is US$ 0.001 of GPU time; 0 is none at all. [default of a new
    /// user: 10000]
    #[arg(long)]
    pub credits: Option<u64>,
    /// E-mail address at the studio's OIDC provider, by which the user signs in there; empty for none. Setting it, also
    /// to what it is, lets another identity with that address in than the one that came first.
    #[arg(long, value_parser = email)]
    pub email: Option<String>,
    /// `ISSUER SUBJECT`, for a provider that verifies no e-mail addresses; the sign-in page says it.
    #[arg(long)]
    pub subject: Option<String>,
}

fn email(text: &str) -> Result<String, &'static str> {
    let fits = text.is_empty() || (text.contains('@') && text.len() <= 254 && !text.contains(char::is_whitespace));
    fits.then(|| text.to_lowercase()).ok_or("this is no e-mail address")
}

/// A role that a user may have.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum UserRole {
    /// Asks for pictures.
    Painter,
    /// A painter who looks after the team, as a teacher does.
    Lead,
    /// Runs the studio's installation.
    Operator,
}

impl From<UserRole> for Role {
    fn from(role: UserRole) -> Self {
        match role {
            UserRole::Painter => Self::Painter,
            UserRole::Lead => Self::Lead,
            UserRole::Operator => Self::Operator,
        }
    }
}

/// What is said when a table cannot be used.
pub(crate) const TABLES: &str =
    "the stack's tables could not be used; are region and credentials those of the stack in the outputs file?";

/// Does it; returns what to print.
pub async fn run(store: &Store, sockets: &Sockets, command: Command, now: Millis) -> Result<String> {
    match command {
        Command::Add { user, again, change } => {
            if !again {
                ensure_unused(store, &user, now).await?;
            }
            add(store, user, &change, now).await
        }
        Command::Set { user, change } => set(store, &user, &change, now).await,
        Command::Show { user } => show(store, &user, now).await,
        Command::List { team } => list(store, &team).await,
        Command::Revoke { user } => {
            alter(store, &user, "revoke", now, |account| account.revoke(now)).await?;
            hang_up(store, sockets, &user).await.context(TABLES)?;
            Ok(format!(
                "every token, sign-in and invitation of {user} has ended; `ops invite --user {user}` lets them in again"
            ))
        }
        Command::Remove { user } => {
            let text = remove(store, &user, now).await?;
            hang_up(store, sockets, &user).await.context(TABLES)?;
            Ok(text)
        }
    }
}

/// The user's account; an error that says what to do if there is none.
pub(crate) async fn find(store: &Store, user: &UserId) -> Result<Account> {
    let account = store.get(user).await.context(TABLES)?;
    account.with_context(|| unknown(user))
}

fn unknown(user: &UserId) -> String {
    format!("there is no user {user}; `ops user list` shows who there is, `ops user add {user}` makes one")
}

fn taken(other: &UserId) -> String {
    format!("that is {other}'s e-mail address or subject; `ops user set {other} --email ''` takes it away")
}

impl Change {
    fn apply(&self, account: &mut Account) {
        fn put<T: Clone>(field: &mut T, value: Option<&T>) {
            if let Some(value) = value {
                field.clone_from(value);
            }
        }
        put(&mut account.name, self.name.as_ref());
        put(&mut account.team, self.team.as_ref());
        put(&mut account.pool, self.pool.as_ref());
        put(&mut account.role, self.role.map(Role::from).as_ref());
        put(&mut account.credits, self.credits.as_ref());
        if let Some(email) = &self.email {
            account.email = Some(email.clone()).filter(|it| !it.is_empty());
            account.subject = None;
        }
        if self.subject.is_some() {
            account.subject.clone_from(&self.subject);
        }
    }
}

/// Refuses an id under which somebody painted: tasks and usage are kept by the id, and whoever has it next would have them.
async fn ensure_unused(store: &Store, user: &UserId, now: Millis) -> Result<()> {
    if store.get(user).await.context(TABLES)?.is_some() {
        return Ok(());
    }
    let tasks = store.page(TasksOf(user), None, 1).await.context(TABLES)?;
    let used = usage(store, user, now).await.context(TABLES)?;
    ensure!(
        tasks.entries.is_empty() && tasks.next.is_none() && used.version == 0,
        "somebody had the id {user} before, and whoever has it sees what they painted: choose another one, or say --again if \
         it is the same person"
    );
    Ok(())
}

async fn add(store: &Store, user: UserId, change: &Change, now: Millis) -> Result<String> {
    // A worker's WebSockets are kept under such a name.
    ensure!(user.as_worker().is_none(), "a user's id may not begin with worker:");
    let team = change.team.clone().unwrap_or_else(|| TeamId::new("studio"));
    let pool = change.pool.clone().unwrap_or_else(|| PoolId::new("default"));
    let mut account = Account::new(user.clone(), team, pool, now);
    change.apply(&mut account);
    pool::find(store, &account.pool).await?;
    let team = account.team.clone();
    let line = line_of("add user", now, &user, None, Some(&account)).context(TABLES)?;
    match accounts::write_and(store, None, Some(account), Some(line)).await {
        Ok(None) => Ok(format!(
            "{user} is in team {team}; `ops invite --user {user}` prints an invitation"
        )),
        Ok(Some(other)) => bail!(taken(&other)),
        Err(StoreError::Conflict) => bail!("there is a user {user} already; `ops user set {user}` changes them"),
        Err(error) => Err(error).context(TABLES),
    }
}

async fn set(store: &Store, user: &UserId, change: &Change, now: Millis) -> Result<String> {
    if let Some(pool) = &change.pool {
        pool::find(store, pool).await?;
    }
    let account = alter(store, user, "set user", now, |account| change.apply(account)).await?;
    Ok(lines(&account))
}

/// Changes the account of a user who exists.
async fn alter(
    store: &Store,
    user: &UserId,
    what: &str,
    now: Millis,
    change: impl Fn(&mut Account),
) -> Result<Account> {
    let altered = on_conflict!({
        let Some(before) = store.get(user).await? else {
            return Ok(Err(unknown(user)));
        };
        let mut after = before.clone();
        change(&mut after);
        let line = line_of(what, now, user, Some(&before), Some(&after))?;
        let out = after.tokens_valid_from != before.tokens_valid_from;
        let out = out.then(|| accounts::leaving(user, now)).transpose()?;
        let also = out.into_iter().chain([line]);
        let other = accounts::write_and(store, Some(before), Some(after.clone()), also).await?;
        Ok::<_, StoreError>(match other {
            None => Ok(after),
            Some(other) => Err(taken(&other)),
        })
    });
    altered.context(TABLES)?.map_err(anyhow::Error::msg)
}

/// The audit list's line of a change to a user.
fn line_of(
    what: &str,
    now: Millis,
    user: &UserId,
    before: Option<&Account>,
    after: Option<&Account>,
) -> Result<Write, StoreError> {
    let parts = |account: Option<&Account>| account.map(audit::of_account).unwrap_or_default();
    by(now).did(what, &format!("user {user}"), &parts(before), &parts(after))
}

async fn show(store: &Store, user: &UserId, now: Millis) -> Result<String> {
    let account = find(store, user).await?;
    let usage = usage(store, user, now).await.context(TABLES)?;
    Ok(format!(
        "{}\n{}   {} pictures, {} s of GPU time; {} credits spent, {} reserved, {} left; {} s of rendering ended without a \
         picture",
        lines(&account),
        usage.month,
        usage.images,
        usage.gpu_ms.div_ceil(1000),
        usage.spent.credits_needed(),
        usage.reserved.credits_needed(),
        usage.left(&account).credits_left(),
        usage.unpaid_ms.div_ceil(1000),
    ))
}

fn lines(account: &Account) -> String {
    let role = audit::role(account.role);
    let mut text = format!(
        "user      {}\nname      {}\nrole      {role}\nteam      {}\npool      {}\ncredits   {} a month",
        account.user_id, account.name, account.team, account.pool, account.credits
    );
    for (what, value) in [("e-mail", &account.email), ("subject", &account.subject)] {
        if let Some(value) = value {
            // Writing to a string cannot fail.
            let _ = write!(text, "\n{what:<9} {value}");
        }
    }
    text
}

async fn list(store: &Store, team: &TeamId) -> Result<String> {
    let keys = store.list(AccountsOf(team)).await.context(TABLES)?;
    let mut users: Vec<_> = keys.iter().filter_map(cloud::tables::AccountKey::user).collect();
    users.sort();
    let mut text = String::new();
    for user in users {
        // Whoever was removed may be in the index for a moment.
        let Some(account) = store.get(&user).await.context(TABLES)? else {
            continue;
        };
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{:<24} {}", account.user_id, account.name);
    }
    ensure!(
        !text.is_empty(),
        "team {team} has no users; `ops user add USER --team {team}` makes one"
    );
    Ok(text.trim_end().to_owned())
}

pub(crate) async fn remove(store: &Store, user: &UserId, now: Millis) -> Result<String> {
    let removed = on_conflict!({
        let Some(account) = store.get(user).await? else {
            return Ok(false);
        };
        let line = line_of("remove user", now, user, Some(&account), None)?;
        let out = accounts::leaving(user, now)?;
        accounts::write_and(store, Some(account), None, [line, out])
            .await
            .map(|_| true)
    });
    ensure!(removed.context(TABLES)?, unknown(user));
    Ok(format!("{user} is removed; what they painted and used stays"))
}

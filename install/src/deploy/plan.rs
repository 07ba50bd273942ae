//! What is to be done next, from what is there.

use std::{collections::BTreeMap, fmt};

use model::Account;
use thiserror::Error;

/// The signing key's file, or the secret: the public half of what is in it.
pub type PublicKey = Option<String>;

/// The stack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stack {
    /// There is none.
    Missing,
    /// CloudFormation works on it.
    Busy,
    /// Its creation failed: nothing but its name is left, and that has to go before another try.
    Failed,
    /// No update is possible, for the reason that its status names.
    Stuck(String),
    /// It is there, with these parameters.
    Ready(BTreeMap<String, String>),
}

impl Stack {
    /// From CloudFormation's status.
    pub fn of(status: &str, parameters: BTreeMap<String, String>) -> Self {
        match status {
            "REVIEW_IN_PROGRESS" | "DELETE_COMPLETE" => Self::Missing,
            "ROLLBACK_COMPLETE" | "ROLLBACK_FAILED" | "CREATE_FAILED" => Self::Failed,
            "CREATE_COMPLETE"
            | "UPDATE_COMPLETE"
            | "UPDATE_ROLLBACK_COMPLETE"
            | "IMPORT_COMPLETE"
            | "IMPORT_ROLLBACK_COMPLETE" => Self::Ready(parameters),
            busy if busy.ends_with("_IN_PROGRESS") => Self::Busy,
            stuck => Self::Stuck(stuck.to_owned()),
        }
    }
}

/// The pool, which is there once pool, first user and catalogue were written. What becomes of them then is the operator's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pool {
    /// There is none.
    Missing,
    /// Its limits are others than those that are wanted.
    Other,
    /// It is as it is wanted.
    AsWanted,
}

/// What was found.
#[derive(Debug, Clone)]
pub struct Found {
    /// The key's file.
    pub key: PublicKey,
    /// The secret of the stack.
    pub secret: PublicKey,
    /// The stack.
    pub stack: Stack,
    /// The release whose functions are deployed, as far as that is known.
    pub deployed: Option<String>,
    /// Its code, as far as that is known.
    pub code: Option<String>,
    /// The machine image to deploy with.
    pub image: Option<String>,
    /// Whether `outputs.json` says what the stack says.
    pub outputs: bool,
    /// The pool.
    pub pool: Pool,
    /// Most machines of it at once and their instance types; none if there is none.
    pub machines: Option<(u32, Vec<String>)>,
    /// What is to be said of the machine image.
    pub remark: Option<String>,
    /// The account of the user who is named.
    pub account: Option<Account>,
    /// Whether an invitation has been shown.
    pub invited: bool,
}

/// What is wanted.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// The release.
    pub version: String,
    /// Its code; none if it is still to be built.
    pub code: Option<String>,
    /// Parameters of the template, but the key and the image.
    pub parameters: BTreeMap<String, String>,
}

/// Something to do. Each may be done again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Wait until CloudFormation has done what it does.
    Wait,
    /// Remove what a failed creation left.
    Clear,
    /// Build the release.
    BuildRelease,
    /// Make a key pair.
    MakeKey,
    /// Get the private key back from the secret.
    RecallKey,
    /// Make the machine image.
    BuildImage,
    /// Deploy functions and everything else.
    Deploy,
    /// Write `outputs.json`.
    WriteOutputs,
    /// Store the private key in the secret.
    StoreKey,
    /// Write pool, first user and catalogue.
    Seed,
    /// Change the pool's limits.
    SetLimits,
    /// Make an invitation.
    Invite,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Wait => "wait until CloudFormation has finished what it is doing",
            Self::Clear => "remove what a failed creation of the stack left",
            Self::BuildRelease => "build the release of this checkout, half an hour the first time; what of it is deployed already stays",
            Self::MakeKey => "make the key pair that signs tokens",
            Self::RecallKey => "get the signing key back from the stack's secret",
            Self::BuildImage => {
                "make the machine image with Packer, about 20 minutes; models come later with `ops model add` (docs/deploy.md)"
            }
            Self::Deploy => "deploy tables, buckets, functions and APIs with SAM, about 5 minutes",
            Self::WriteOutputs => "write outputs.json",
            Self::StoreKey => "store the signing key in the stack's secret",
            Self::Seed => "write the pool, the first user and the model catalogue",
            Self::SetLimits => "change the limits of the pool",
            Self::Invite => "make the first invitation",
        })
    }
}

/// Why nothing can be done.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Obstacle {
    /// The stack cannot be updated.
    #[error(
        "the stack is in state {0}, from which CloudFormation does not go on by itself; look at its events in the AWS \
         console, and choose “Continue update rollback” or delete it there"
    )]
    Stuck(String),
    /// The file is another installation's.
    #[error(
        "signing-key.pem is not the key of this stack; move it away and run this again: the stack's own is fetched from \
         its secret"
    )]
    OtherKey,
    /// Another release is deployed.
    #[error("release {0} is deployed; use `ops upgrade` to change to {1}")]
    OtherRelease(String, String),
}

/// All that is left to do, in order. After [`Step::Wait`] and [`Step::Clear`] it has to be asked again.
pub fn plan(found: &Found, wanted: &Wanted) -> Result<Vec<Step>, Obstacle> {
    let mut steps = Vec::new();
    if wanted.code.is_none() {
        steps.push(Step::BuildRelease);
    }
    let ready = match &found.stack {
        Stack::Stuck(status) => return Err(Obstacle::Stuck(status.clone())),
        Stack::Busy => return Ok(vec![Step::Wait]),
        Stack::Failed => {
            steps.push(Step::Clear);
            None
        }
        Stack::Missing => None,
        Stack::Ready(parameters) => Some(parameters),
    };
    if let (Some(_), Some(other)) = (ready, &found.deployed)
        && *other != wanted.version
    {
        return Err(Obstacle::OtherRelease(other.clone(), wanted.version.clone()));
    }
    let of_stack = ready.and_then(|it| it.get("TokenPublicKey"));
    match (&found.key, &found.secret) {
        (None, Some(_)) => steps.push(Step::RecallKey),
        (None, None) => steps.push(Step::MakeKey),
        // A secret that fits the stack is in use: tokens are out there.
        (Some(key), Some(secret)) if key != secret && of_stack == Some(secret) => return Err(Obstacle::OtherKey),
        _ => {}
    }
    if found.image.is_none() {
        steps.push(Step::BuildImage);
    }
    let key = found.key.as_ref().or(found.secret.as_ref());
    let as_wanted = ready.is_some_and(|parameters| {
        let own = [("TokenPublicKey", key), ("ImageId", found.image.as_ref())];
        let own = own
            .iter()
            .all(|(name, value)| value.is_some() && parameters.get(*name) == *value);
        own && wanted
            .parameters
            .iter()
            .all(|(name, value)| parameters.get(name) == Some(value))
    });
    // Where the code is not known, a deployment that finds nothing to change costs a minute.
    let same = found.deployed.as_ref() == Some(&wanted.version) && found.code.is_some() && found.code == wanted.code;
    let deployed = as_wanted && same;
    if !deployed {
        steps.push(Step::Deploy);
    }
    if !(deployed && found.outputs) {
        steps.push(Step::WriteOutputs);
    }
    if key.is_none() || found.secret.as_ref() != key {
        steps.push(Step::StoreKey);
    }
    match found.pool {
        Pool::Missing => steps.push(Step::Seed),
        Pool::Other => steps.push(Step::SetLimits),
        Pool::AsWanted => {}
    }
    if !found.invited && (found.account.is_some() || found.pool == Pool::Missing) {
        steps.push(Step::Invite);
    }
    Ok(steps)
}

#[cfg(test)]
mod tests {
    use model::{Millis, PoolId, TeamId, UserId};
    use proptest::prelude::*;

    use super::*;

    fn wanted() -> Wanted {
        Wanted {
            version: "1".to_owned(),
            code: Some("a".to_owned()),
            parameters: BTreeMap::from([("TokenAudience".to_owned(), "atelier".to_owned())]),
        }
    }

    fn nothing() -> Found {
        Found {
            key: None,
            secret: None,
            stack: Stack::Missing,
            deployed: None,
            code: None,
            image: None,
            outputs: false,
            pool: Pool::Missing,
            machines: None,
            remark: None,
            account: None,
            invited: false,
        }
    }

    fn account() -> Account {
        Account::new(
            UserId::new("mara"),
            TeamId::new("studio"),
            PoolId::new("default"),
            Millis(0),
        )
    }

    /// What a step does to the world; the second half, which another machine or a crash may cut off, apart.
    fn carry_out(found: &mut Found, step: &Step, whole: bool) {
        match step {
            Step::BuildRelease => {}
            Step::Wait => found.stack = Stack::Failed,
            Step::Clear => found.stack = Stack::Missing,
            Step::MakeKey => found.key = Some("new".to_owned()),
            Step::RecallKey => found.key.clone_from(&found.secret),
            Step::BuildImage => found.image = Some("ami-1".to_owned()),
            Step::Deploy => {
                let mut parameters = wanted().parameters;
                parameters.insert("TokenPublicKey".to_owned(), found.key.clone().expect("a key"));
                parameters.insert("ImageId".to_owned(), found.image.clone().expect("an image"));
                found.stack = Stack::Ready(parameters);
                found.deployed = whole.then(|| "1".to_owned());
                found.code = whole.then(|| "a".to_owned());
            }
            Step::WriteOutputs => found.outputs = true,
            Step::StoreKey => found.secret.clone_from(&found.key),
            Step::Seed => (found.pool, found.account) = (Pool::AsWanted, Some(account())),
            Step::SetLimits => found.pool = Pool::AsWanted,
            Step::Invite => found.invited = whole,
        }
    }

    #[test]
    fn from_nothing_everything_is_done_once() {
        use Step::{BuildImage, Deploy, Invite, MakeKey, Seed, StoreKey, WriteOutputs};
        let steps = plan(&nothing(), &wanted()).expect("a plan");
        assert_eq!(
            steps,
            [MakeKey, BuildImage, Deploy, WriteOutputs, StoreKey, Seed, Invite]
        );
    }

    #[test]
    fn what_is_to_be_built_is_built_first_and_then_looked_at() {
        let unbuilt = Wanted { code: None, ..wanted() };
        let mut found = nothing();
        assert_eq!(plan(&found, &unbuilt).expect("a plan")[0], Step::BuildRelease);
        for step in plan(&found, &wanted()).expect("a plan") {
            carry_out(&mut found, &step, true);
        }
        let steps = plan(&found, &unbuilt).expect("a plan");
        assert_eq!(steps, [Step::BuildRelease, Step::Deploy, Step::WriteOutputs]);
        assert_eq!(plan(&found, &wanted()), Ok(vec![]), "it is the same");
    }

    #[test]
    fn what_is_somebody_elses_is_not_overwritten() {
        let mut found = nothing();
        let parameters = BTreeMap::from([("TokenPublicKey".to_owned(), "old".to_owned())]);
        found.stack = Stack::Ready(parameters);
        (found.key, found.secret) = (Some("new".to_owned()), Some("old".to_owned()));
        assert_eq!(plan(&found, &wanted()), Err(Obstacle::OtherKey));
        found.key = None;
        assert_eq!(plan(&found, &wanted()).expect("a plan")[0], Step::RecallKey);
        found.deployed = Some("0".to_owned());
        assert!(matches!(plan(&found, &wanted()), Err(Obstacle::OtherRelease(..))));
    }

    #[test]
    fn a_first_user_is_made_once() {
        let mut found = nothing();
        for step in plan(&found, &wanted()).expect("a plan") {
            carry_out(&mut found, &step, true);
        }
        assert_eq!(plan(&found, &wanted()), Ok(vec![]));
        (found.account, found.invited) = (None, false);
        assert_eq!(
            plan(&found, &wanted()),
            Ok(vec![]),
            "whoever was removed is not made again"
        );
        found.pool = Pool::Other;
        assert_eq!(plan(&found, &wanted()), Ok(vec![Step::SetLimits]));
        found.code = Some("b".to_owned());
        let steps = plan(&found, &wanted()).expect("a plan");
        assert_eq!(
            steps[0],
            Step::Deploy,
            "the same release with other code is not the same"
        );
    }

    proptest! {
        /// However it breaks off, and whatever of the state file is lost, running it again ends in the same place.
        #[test]
        fn it_goes_on_where_it_stopped(cuts in prop::collection::vec((any::<bool>(), any::<bool>(), 0_u8..5), 0..12)) {
            let mut found = nothing();
            let mut cuts = cuts.into_iter();
            for _ in 0..40 {
                let steps = plan(&found, &wanted()).expect("nothing here is in the way");
                let Some(step) = steps.first() else {
                    prop_assert!(found.pool == Pool::AsWanted && found.invited && found.outputs && found.secret == found.key);
                    return Ok(());
                };
                let (done, whole, lost) = cuts.next().unwrap_or((true, true, 4));
                if done {
                    carry_out(&mut found, step, whole);
                }
                match lost {
                    0 => found.stack = Stack::Busy,
                    1 => found.key = None,
                    2 => (found.deployed, found.invited) = (None, false),
                    3 => found.outputs = false,
                    _ => {}
                }
            }
            prop_assert!(false, "it never ends");
        }
    }
}

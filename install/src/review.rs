//! Looking at a change set before it is carried out.

use std::fmt;

/// What happens to a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// It is made.
    Add,
    /// It is changed in place.
    Modify,
    /// Another takes its place, or may.
    Replace,
    /// It goes.
    Remove,
}

/// A change to a resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Its name in the template.
    pub logical: String,
    /// Its type.
    pub kind: String,
    /// What happens to it.
    pub action: Action,
}

/// Types whose resources hold what nothing can make again: data, keys, people's accounts, and the addresses that painters
/// and machines have been given.
pub const WITH_STATE: [&str; 5] = [
    "AWS::ApiGatewayV2::Api",
    "AWS::Cognito::UserPool",
    "AWS::DynamoDB::Table",
    "AWS::S3::Bucket",
    "AWS::SecretsManager::Secret",
];

/// Why a change set is not carried out: the resources with state that it would replace or remove.
#[derive(Debug, PartialEq, Eq)]
pub struct Refusal(pub Vec<Change>);

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("this change is refused, and nothing was changed: ")?;
        for (n, change) in self.0.iter().enumerate() {
            let (separator, what) = (
                if n == 0 { "" } else { ", " },
                match change.action {
                    Action::Remove => "would be removed",
                    _ => "would be replaced by an empty one",
                },
            );
            write!(f, "{separator}{} ({}) {what}", change.logical, change.kind)?;
        }
        f.write_str(
            "; what is in it would be lost to the installation. Deploy a release that keeps it; if the template was \
             changed by hand, undo that",
        )
    }
}

impl std::error::Error for Refusal {}

/// Refuses a change set that replaces or removes what holds state.
pub fn review(changes: &[Change]) -> Result<(), Refusal> {
    let lost = changes
        .iter()
        .filter(|it| matches!(it.action, Action::Replace | Action::Remove) && WITH_STATE.contains(&it.kind.as_str()));
    let lost: Vec<_> = lost.cloned().collect();
    if lost.is_empty() { Ok(()) } else { Err(Refusal(lost)) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn change() -> impl Strategy<Value = Change> {
        let kinds = [WITH_STATE.as_slice(), &["AWS::Lambda::Function", "AWS::Logs::LogGroup"]].concat();
        let actions = vec![Action::Add, Action::Modify, Action::Replace, Action::Remove];
        (prop::sample::select(kinds), prop::sample::select(actions)).prop_map(|(kind, action)| Change {
            logical: "It".to_owned(),
            kind: kind.to_owned(),
            action,
        })
    }

    proptest! {
        #[test]
        fn nothing_with_state_is_ever_replaced_or_removed(changes in prop::collection::vec(change(), 0..8)) {
            let loses = |it: &Change| {
                it.action != Action::Add && it.action != Action::Modify && WITH_STATE.contains(&it.kind.as_str())
            };
            prop_assert_eq!(review(&changes).is_err(), changes.iter().any(loses));
        }
    }
}

//! What is said of a first user who is asked for once the first is made.

use std::{fmt::Write as _, path::Path};

use clap::ValueEnum;
use model::{Account, Role};
use ops::seed::FirstUser;

/// The command that does what was asked for: seeding happens once. None if nothing was asked for, or all of it is so.
pub(crate) fn instead(asked: &FirstUser, there: Option<&Account>, outputs: &Path) -> Option<String> {
    let mut options = String::new();
    let mut option = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            // Writing to a string cannot fail.
            let _ = write!(options, " --{name} {value}");
        }
    };
    let differs = |same: fn(&Account, &FirstUser) -> bool| there.is_none_or(|it| !same(it, asked));
    let team = asked.team.as_ref().map(ToString::to_string);
    option(
        "team",
        team.filter(|_| differs(|it, asked| Some(&it.team) == asked.team.as_ref())),
    );
    let name = asked.name.as_ref().map(|it| quoted(it));
    option(
        "name",
        name.filter(|_| differs(|it, asked| Some(&it.name) == asked.name.as_ref())),
    );
    let role = asked.role.and_then(|it| it.to_possible_value());
    let role = role.map(|it| it.get_name().to_owned());
    option(
        "role",
        role.filter(|_| differs(|it, asked| Some(it.role) == asked.role.map(Role::from))),
    );
    let credits = asked.credits.map(|it| it.to_string());
    option(
        "credits",
        credits.filter(|_| differs(|it, asked| Some(it.credits) == asked.credits)),
    );
    let (user, outputs) = (asked.id(), quoted(&outputs.to_string_lossy()));
    match there {
        Some(_) if options.is_empty() => None,
        Some(_) => Some(format!(
            "{user} is there and stays as it is; `ops user set {user}{options} --outputs {outputs}` changes that"
        )),
        None if options.is_empty() && asked.user.is_none() => None,
        None => Some(format!(
            "the first user was made when this was deployed first, and there is no {user}; `ops user add {user}{options} \
             --outputs {outputs}` makes one"
        )),
    }
}

/// One word for a shell: as it is, where nothing in it means anything there.
fn quoted(text: &str) -> String {
    let plain = |it: u8| it.is_ascii_alphanumeric() || b"-_./:@=,+%".contains(&it);
    if !text.is_empty() && text.bytes().all(plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use model::{Millis, PoolId, TeamId, UserId};
    use ops::user::UserRole;

    use super::*;

    #[test]
    fn a_word_means_nothing_else_to_a_shell() {
        for text in [
            "mara",
            "Mara Lind",
            "$(reboot) `reboot` \"$HOME\"",
            "it's",
            "!!",
            "",
            "a\nb",
        ] {
            let echoed = std::process::Command::new("sh")
                .args(["-c", &format!("printf %s {}", quoted(text))])
                .output()
                .unwrap();
            assert_eq!(String::from_utf8_lossy(&echoed.stdout), text);
        }
        assert_eq!(quoted("o.json"), "o.json");
    }

    #[test]
    fn what_was_asked_for_has_a_command() {
        let mara = Account::new(
            UserId::new("mara"),
            TeamId::new("studio"),
            PoolId::new("default"),
            Millis(0),
        );
        let asked = FirstUser {
            user: Some(UserId::new("mara")),
            team: Some(TeamId::new("studio")),
            role: Some(UserRole::Lead),
            ..FirstUser::default()
        };
        let said = |asked: &FirstUser, there: Option<&Account>| instead(asked, there, Path::new("o.json"));
        let changed = said(&asked, Some(&mara)).unwrap();
        assert!(
            changed.contains("`ops user set mara --role lead --outputs o.json`"),
            "{changed}"
        );
        let made = said(&asked, None).unwrap();
        assert!(
            made.contains("`ops user add mara --team studio --role lead --outputs o.json`"),
            "{made}"
        );
        assert_eq!(said(&FirstUser::default(), None), None, "nobody asked for anything");
        let same = FirstUser { role: None, ..asked };
        assert_eq!(said(&same, Some(&mara)), None);
    }
}

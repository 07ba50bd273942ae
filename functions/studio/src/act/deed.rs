//! Which deeds there are, who may do them, and what is said of them.

use cloud::http::{HttpError, Query};
use model::{Account, PoolId, Role, TaskId, UserId, WorkerId};

use crate::words::to;

/// Something that may be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Deed {
    Pause,
    Resume,
    Limits,
    Lift,
    Hold,
    Wake,
    Drain,
    Keep,
    Stop,
    Cancel,
    Requeue,
    Budget,
    Invite,
    Revoke,
}

/// What a deed is about.
#[derive(Debug, Clone)]
pub(crate) enum Thing {
    Pool(PoolId),
    Worker(WorkerId),
    Task(TaskId),
    User(UserId),
}

/// A row of the table of deeds.
struct Row {
    deed: Deed,
    word: &'static str,
    of: &'static str,
    title: &'static str,
    says: &'static str,
    button: &'static str,
    done: &'static str,
}

macro_rules! row {
    ($deed:ident $word:literal $of:literal, $title:literal, $says:literal, $button:literal, $done:literal) => {
        Row {
            deed: Deed::$deed,
            word: $word,
            of: $of,
            title: $title,
            says: $says,
            button: $button,
            done: $done,
        }
    };
}

const DEEDS: [Row; 14] = [
    row!(Pause "pause" "pool", "Pause starts?", "No machine of the pool is started until somebody resumes. Machines that are up go on, pictures wait in line, and whoever waits is told.", "Pause starts", "Starts are paused."),
    row!(Resume "resume" "pool", "Resume starts?", "Machines are started as they are needed, and what failed up to now is forgotten.", "Resume starts", "Starts go on."),
    row!(Limits "limits" "pool", "Change the pool’s limits?", "Machines that are up above a lower limit go on until they are idle. Once the month’s machines have cost as much as they may, none is started.", "Change the limits", "The limits are changed."),
    row!(Lift "lift" "pool", "Lift the month’s limit?", "Machines are started whatever they cost until the month (UTC) ends.", "Lift the limit", "The limit is lifted until the month ends."),
    row!(Hold "hold" "pool", "Let the limit hold again?", "No machine is started once the month’s limit is reached.", "Let it hold", "The limit holds."),
    row!(Wake "wake" "pool", "Wake a machine?", "A machine is started as if you were about to paint in this pool, if none is up. It stops by itself when nobody paints.", "Wake a machine", "A machine is asked for; it takes one or two minutes."),
    row!(Drain "drain" "worker", "Let the machine go?", "It ends what it renders, takes no more, and stops within a minute or two. Who waits may start it or another one again; pause the pool’s starts first if that is not to be.", "Drain it", "The machine stops once it has nothing to do."),
    row!(Keep "keep" "worker", "Keep the machine?", "It stays up as long as it is needed.", "Keep it", "The machine stays as long as it is needed."),
    row!(Stop "stop" "worker", "Stop the machine now?", "What it renders goes back in line at its old place, and it stops within a minute or two. Who waits may start it or another one again; pause the pool’s starts first if that is not to be.", "Stop it now", "The machine stops; its picture is back in line."),
    row!(Cancel "cancel" "task", "Cancel the picture?", "It ends, and costs its painter nothing.", "Cancel it", "The picture is canceled."),
    row!(Requeue "requeue" "task", "Send the picture back in line?", "The machine lets go of it, and it waits at its old place. What was rendered of it is lost.", "Send it back", "The picture is back in line."),
    row!(Budget "budget" "user", "Change the budget?", "It holds from now on, also for what is left of this month.", "Change the budget", "The budget is changed."),
    row!(Invite "invite" "user", "Invite?", "Makes an invitation: whoever has its words signs in as this user, once, within three days. It is shown here once.", "Make an invitation", "There is an invitation."),
    row!(Revoke "revoke" "user", "Sign out everywhere?", "Every device, browser, token and invitation of this user ends at once. What they asked for stays in line. Invite them to let them in again.", "Sign out everywhere", "Everything of this user’s has ended."),
];

impl Deed {
    fn row(self) -> &'static Row {
        // Cannot fail: each deed has a row, as a test says.
        DEEDS.iter().find(|row| row.deed == self).unwrap_or(&DEEDS[0])
    }
    pub(crate) fn word(self) -> &'static str {
        self.row().word
    }
    pub(crate) fn title(self) -> &'static str {
        self.row().title
    }
    pub(crate) fn says(self) -> &'static str {
        self.row().says
    }
    pub(crate) fn button(self) -> &'static str {
        self.row().button
    }
}

/// What is said once a deed is done.
pub(crate) fn done(word: &str) -> Option<&'static str> {
    if word == "nothing" {
        return Some("It was so already; nothing was to be done.");
    }
    DEEDS.iter().find(|row| row.word == word).map(|row| row.done)
}

/// A deed, and what it is about.
#[derive(Debug, Clone)]
pub(crate) struct Wanted {
    pub(crate) deed: Deed,
    pub(crate) thing: Thing,
    id: String,
}

impl Wanted {
    /// By the page's address.
    pub(crate) fn read(query: &Query) -> Result<Self, HttpError> {
        let word = query.first("do").unwrap_or_default();
        let row = DEEDS.iter().find(|row| row.word == word);
        let row = row.ok_or_else(|| HttpError::new(404, "There is no such thing to do."))?;
        let id = query.first(row.of).unwrap_or_default().trim().to_owned();
        let thing = match row.of {
            "pool" => id.parse().ok().map(Thing::Pool),
            "worker" => id.parse().ok().map(Thing::Worker),
            "task" => id.parse().ok().map(Thing::Task),
            _ => id.parse().ok().map(Thing::User),
        };
        let thing = thing.ok_or_else(|| missing(row.of))?;
        Ok(Self {
            deed: row.deed,
            thing,
            id,
        })
    }

    /// Refuses what is not for this account's role. Whose task it is, is seen when it is read.
    pub(crate) fn must_be_allowed(&self, account: &Account) -> Result<(), HttpError> {
        if account.role == Role::Operator || self.deed == Deed::Cancel {
            Ok(())
        } else {
            Err(HttpError::new(403, "This is for your studio’s operators."))
        }
    }

    /// The thing's id.
    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    /// What kind of thing it is.
    pub(crate) fn kind(&self) -> &'static str {
        match self.thing {
            Thing::Pool(_) => "Pool",
            Thing::Worker(_) => "Machine",
            Thing::Task(_) => "Picture",
            Thing::User(_) => "User",
        }
    }

    /// As the audit list has it.
    pub(crate) fn on(&self) -> String {
        format!("{} {}", self.deed.row().of, self.id)
    }

    /// The address of its page.
    pub(crate) fn address(&self, path: &str) -> String {
        to(path, &[("do", self.deed.word()), (self.deed.row().of, &self.id)])
    }

    /// There is no such thing.
    pub(crate) fn missing(&self) -> HttpError {
        missing(self.deed.row().of)
    }
}

fn missing(of: &str) -> HttpError {
    let words = match of {
        "pool" => "There is no such pool (any more).",
        "worker" => "There is no such machine (any more).",
        "task" => "There is no such picture (any more).",
        _ => "There is no such user. Look at how the id is written.",
    };
    HttpError::new(404, words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_deed_has_a_row_of_its_own() {
        for row in &DEEDS {
            assert_eq!(row.deed.word(), row.word);
            assert_eq!(DEEDS.iter().filter(|it| it.word == row.word).count(), 1, "{}", row.word);
        }
    }
}

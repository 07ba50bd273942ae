//! Variants of one request that were asked for together.

use serde::{Deserialize, Serialize};

use crate::{GroupId, Millis, TaskId, TeamId, UserId};

/// Which variant of which group a task is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Variant {
    /// The group.
    pub group: GroupId,
    /// What is special about it, for people.
    pub label: String,
}

/// A group: written once, in the transaction that lets its tasks in. How it stands is what its tasks say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    /// UUIDv7.
    pub group_id: GroupId,
    /// Version of this item, for conditional writes.
    pub version: u64,
    /// Who asked.
    pub owner: UserId,
    /// The owner's team at that time.
    pub team: TeamId,
    /// When it was submitted.
    pub created: Millis,
    /// Its tasks, in the order in which they were asked for.
    pub members: Vec<Member>,
    /// Where its contact sheet lies, once all of it is over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sheet: Option<String>,
    /// Which of two of them somebody preferred, in the order in which it was said.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub votes: Vec<Vote>,
    /// When DynamoDB may delete the item, seconds.
    pub ttl: u64,
}

impl Group {
    /// Where a group's contact sheet lies.
    pub fn sheet_key(group: GroupId) -> String {
        format!("sheets/{group}.webp")
    }

    /// Most votes of a group: what its item has room for.
    pub const MOST_VOTES: usize = 1000;

    /// Two of its members by their places; none if there is no such member, or it is one.
    pub fn pair(&self, one: usize, other: usize) -> Option<Pair> {
        let (first, second) = (one.min(other), one.max(other));
        (first < second && second < self.members.len()).then_some(Pair { first, second })
    }

    /// The two in the order in which this person is shown them: by chance, but the same each time.
    pub fn shown(&self, pair: Pair, voter: &UserId) -> [usize; 2] {
        let places = [pair.first, pair.second];
        let ids = places.map(|at| self.members[at].task_id.to_string());
        let bytes = ids.iter().flat_map(|id| id.bytes()).chain(voter.as_str().bytes());
        if bytes.fold(0_u8, u8::wrapping_add).is_multiple_of(2) {
            places
        } else {
            [pair.second, pair.first]
        }
    }

    /// Which of the two this person has preferred.
    pub fn preferred(&self, pair: Pair, voter: &UserId) -> Option<usize> {
        let mut own = self.votes.iter().filter(|vote| vote.voter == *voter);
        own.find(|vote| self.pair(vote.better, vote.worse) == Some(pair))
            .map(|vote| vote.better)
    }

    /// How many preferred the first of the two, and the second.
    pub fn tally(&self, pair: Pair) -> [usize; 2] {
        [(pair.first, pair.second), (pair.second, pair.first)].map(|(better, worse)| {
            let of = |vote: &&Vote| (vote.better, vote.worse) == (better, worse);
            self.votes.iter().filter(of).count()
        })
    }

    /// Takes a vote; false if this person has compared the two before: the first word counts, since whoever has said it is told
    /// which is which.
    pub fn vote(&mut self, voter: &UserId, better: usize, worse: usize) -> Result<bool, VoteError> {
        let pair = self.pair(better, worse).ok_or(VoteError::NoPair)?;
        if self.preferred(pair, voter).is_some() {
            return Ok(false);
        }
        if self.votes.len() >= Self::MOST_VOTES {
            return Err(VoteError::Full);
        }
        self.votes.push(Vote {
            voter: voter.clone(),
            better,
            worse,
        });
        Ok(true)
    }
}

/// Two different members of a group, in the order in which they were asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pair {
    /// The one that was asked for first: its place, from 0.
    pub first: usize,
    /// The other.
    pub second: usize,
}

/// Which of two members somebody preferred who was not told which is which.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vote {
    /// Who.
    pub voter: UserId,
    /// The one that was preferred: its place, from 0.
    pub better: usize,
    /// The other.
    pub worse: usize,
}

/// A vote that is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum VoteError {
    /// There are no two such members.
    #[error("these are no two of the group")]
    NoPair,
    /// [`Group::MOST_VOTES`].
    #[error("the group has as many votes as it can hold")]
    Full,
}

/// A task of a group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// The task.
    pub task_id: TaskId,
    /// [`Variant::label`], which outlives the task.
    pub label: String,
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

    use proptest::prelude::*;

    use super::*;

    fn group(members: u128) -> Group {
        let id = |number: u128| format!("01a05cd7-2a00-7000-8000-{number:012x}");
        Group {
            group_id: id(0).parse().unwrap(),
            version: 1,
            owner: UserId::new("mara"),
            team: TeamId::new("studio"),
            created: Millis(0),
            members: (1..=members)
                .map(|number| Member {
                    task_id: id(number).parse().unwrap(),
                    label: format!("seed {number}"),
                })
                .collect(),
            sheet: None,
            votes: Vec::new(),
            ttl: 0,
        }
    }

    proptest! {
        /// Whatever is said, and however often: each person counts once for two, and as they said first.
        #[test]
        fn each_has_one_vote_for_two(
            said in prop::collection::vec((0_usize..3, 0_usize..5, 0_usize..5), 0..60),
        ) {
            let voters = ["ada", "eva", "ida"].map(UserId::new);
            let mut group = group(4);
            let mut first = std::collections::BTreeMap::new();
            for (who, better, worse) in said {
                let taken = group.vote(&voters[who], better, worse);
                if better == worse || better.max(worse) > 3 {
                    prop_assert_eq!(taken, Err(VoteError::NoPair));
                    continue;
                }
                let key = (who, better.min(worse), better.max(worse));
                prop_assert_eq!(taken, Ok(!first.contains_key(&key)));
                first.entry(key).or_insert(better);
            }
            prop_assert_eq!(group.votes.len(), first.len());
            for ((who, one, other), better) in &first {
                let pair = group.pair(*other, *one).unwrap();
                prop_assert_eq!(group.preferred(pair, &voters[*who]), Some(*better));
                let own = |place| first.iter().filter(|(key, it)| (key.1, key.2) == (*one, *other) && **it == place).count();
                prop_assert_eq!(group.tally(pair), [own(*one), own(*other)]);
            }
        }
    }

    #[test]
    fn the_order_says_nothing_and_stays() {
        let group = group(40);
        let voters = ["ada", "eva", "ida", "uta"].map(UserId::new);
        let mut as_asked = 0;
        for other in 1..40 {
            let pair = group.pair(0, other).unwrap();
            for voter in &voters {
                let shown = group.shown(pair, voter);
                assert_eq!(shown, group.shown(pair, voter));
                as_asked += usize::from(shown == [0, other]);
            }
        }
        assert!((50..=106).contains(&as_asked), "{as_asked} of 156");
    }

    #[test]
    fn a_group_holds_so_many_votes_and_no_more() {
        let mut group = group(2);
        for number in 0..Group::MOST_VOTES {
            assert_eq!(group.vote(&UserId::new(format!("painter-{number}")), 0, 1), Ok(true));
        }
        assert_eq!(group.vote(&UserId::new("late"), 0, 1), Err(VoteError::Full));
        assert_eq!(group.vote(&UserId::new("painter-0"), 1, 0), Ok(false));
    }
}

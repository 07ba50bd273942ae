//! The files of the studio's store on this machine's disk: fetched into it, checked, and kept for the next time.

mod cache;
mod damage;
mod error;
mod header;
mod part;
mod shared_folder;

pub(crate) use cache::{FileCache, PART, Purpose, Room, team_of};
pub(crate) use error::FileError;
#[cfg(test)]
pub(crate) use header::begin;
pub(crate) use header::{Header, HeaderError, read};
pub(crate) use part::{Part, Taken};
pub(crate) use shared_folder::SharedFolder;

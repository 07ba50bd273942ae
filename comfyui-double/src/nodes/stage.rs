//! The run, as its nodes see it.

use std::sync::Arc;

use bytes::Bytes;

use super::outcome::Trouble;
use crate::disk::files::Area;
use crate::options::Version;
use crate::pixels::picture::Picture;

/// What nodes need from the run that they are part of.
pub(crate) trait Stage {
    fn version(&self) -> Version;
    fn load(&self, name: &str) -> Option<Bytes>;
    /// Takes a sampling step: waits, reports it, sends a preview, notices interrupts.
    fn step(&mut self, value: u32, max: u32, preview: &mut dyn FnMut() -> Vec<u8>) -> Result<(), Trouble>;
    /// Saves pictures under numbered names; they become the node's `images` list.
    fn save(&mut self, area: Area, prefix: &str, pictures: &[Arc<Picture>]);
    /// Shows text; it becomes the node's `text` list.
    fn say(&mut self, text: String);
    /// Sends pictures over the socket as they are.
    fn show(&mut self, pictures: &[Arc<Picture>]);
}

//! What a run does for its nodes.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use serde_json::json;

use super::running::Run;
use crate::disk::files::{Area, join};
use crate::nodes::outcome::Trouble;
use crate::nodes::stage::Stage;
use crate::options::Version;
use crate::pixels::metadata;
use crate::pixels::picture::Picture;

impl Stage for Run<'_> {
    fn version(&self) -> Version {
        self.like()
    }

    fn load(&self, name: &str) -> Option<Bytes> {
        self.shared.lock().files.find_annotated(name)
    }

    fn step(&mut self, value: u32, max: u32, preview: &mut dyn FnMut() -> Vec<u8>) -> Result<(), Trouble> {
        let begun = Instant::now();
        let picture = self.wants_previews().then(preview);
        // What a step takes, its preview included.
        self.work_for(self.shared.options.step_delay.saturating_sub(begun.elapsed()))?;
        self.shared.lock().stats.steps += 1;
        self.report_step(value, max, picture.as_deref().map(|bytes| (bytes, false)));
        Ok(())
    }

    fn save(&mut self, area: Area, prefix: &str, pictures: &[Arc<Picture>]) {
        let (subfolder, stem) = prefix.rsplit_once('/').unwrap_or(("", prefix));
        // Coding takes long: it happens before the lock, in as many threads as there are pictures.
        let metadata = self.shared.options.metadata.then(|| self.item.raw.get());
        let coded: Vec<Vec<u8>> = std::thread::scope(|scope| {
            let threads: Vec<_> = pictures
                .iter()
                .map(|picture| scope.spawn(|| metadata::with_prompt(picture.png(), metadata)))
                .collect();
            threads
                .into_iter()
                .map(|thread| thread.join().unwrap_or_default())
                .collect()
        });
        let mut inner = self.shared.lock();
        let first = inner.files.next_number(area, subfolder, stem);
        for (number, bytes) in (first..).zip(coded) {
            let name = format!("{stem}_{number:05}_.png");
            inner.files.save(area, join(subfolder, &name), Bytes::from(bytes));
            inner.stats.pictures += 1;
            let image = json!({ "filename": name, "subfolder": subfolder, "type": area.name() });
            self.images.push(image);
        }
    }

    fn say(&mut self, text: String) {
        self.texts.push(text);
    }

    fn show(&mut self, pictures: &[Arc<Picture>]) {
        for (index, picture) in pictures.iter().enumerate() {
            let png = picture.png();
            self.report_step(index as u32, pictures.len() as u32, Some((&png, true)));
        }
    }
}

//! The picture as it grows: ComfyUI's previews of a run that somebody looks at, made small, at most two a second. They are
//! kept nowhere; one that comes too fast or too late is dropped.

use std::time::Duration;

use base64::{Engine, prelude::BASE64_STANDARD};
use bytes::Bytes;
use model::{Look, RunId, TaskId, socket::ClientMessage};
use serde::Deserialize;
use tokio::{sync::watch, task::JoinHandle, time::Instant};

use crate::images;

/// Least time between two of them.
const GAP: Duration = Duration::from_millis(500);

/// Who looks at which run, and the latest picture for them.
#[derive(Debug, Clone)]
pub(crate) struct Previews {
    looked: watch::Sender<Option<Looked>>,
    latest: watch::Sender<Option<Preview>>,
}

#[derive(Debug, Clone, Copy)]
struct Looked {
    task_id: TaskId,
    run_id: RunId,
    until: Instant,
}

/// A picture as far as it is.
#[derive(Debug, Clone)]
pub(crate) struct Preview {
    looked: Looked,
    seq: u64,
    jpeg: String,
}

impl Preview {
    /// As it is said to the cloud; none if nobody looks any more.
    pub(crate) fn message(self, now: Instant) -> Option<ClientMessage> {
        let Looked { task_id, run_id, until } = self.looked;
        (now < until).then_some(ClientMessage::Preview {
            task_id,
            run_id,
            seq: self.seq,
            jpeg: self.jpeg,
        })
    }
}

impl Previews {
    pub(crate) fn new() -> Self {
        Self {
            looked: watch::Sender::new(None),
            latest: watch::Sender::new(None),
        }
    }

    /// Somebody looks at this run.
    pub(crate) fn look(&self, task_id: TaskId, run_id: RunId, now: Instant) {
        let until = now + Look::LIFE;
        self.looked.send_replace(Some(Looked { task_id, run_id, until }));
    }

    pub(crate) fn watch(&self) -> watch::Receiver<Option<Preview>> {
        self.latest.subscribe()
    }

    /// An eye for the frames of one run.
    pub(crate) fn eye(&self) -> Eye {
        Eye {
            previews: self.clone(),
            seq: 0,
            due: None,
            working: None,
        }
    }

    fn looked(&self, now: Instant) -> Option<Looked> {
        self.looked.borrow().filter(|looked| now < looked.until)
    }
}

/// Sees all frames that ComfyUI sends about a run.
#[derive(Debug)]
pub(crate) struct Eye {
    previews: Previews,
    seq: u64,
    due: Option<Instant>,
    working: Option<JoinHandle<()>>,
}

impl Eye {
    /// Takes a frame, if it is wanted now. Never waits: the picture is made small beside.
    pub(crate) fn saw(&mut self, frame: &Bytes, now: Instant) {
        let Some(looked) = self.previews.looked(now) else {
            return;
        };
        let works = self.working.as_ref().is_some_and(|work| !work.is_finished());
        if works || self.due.is_some_and(|due| now < due) {
            return;
        }
        let Some((run, picture)) = parse(frame) else { return };
        if run != looked.run_id {
            return;
        }
        self.due = Some(now + GAP);
        self.seq += 1;
        let (seq, latest) = (self.seq, self.previews.latest.clone());
        self.working = Some(tokio::task::spawn_blocking(move || {
            if let Some(jpeg) = images::preview(&picture) {
                let jpeg = BASE64_STANDARD.encode(jpeg);
                latest.send_replace(Some(Preview { looked, seq, jpeg }));
            }
        }));
    }
}

/// The run and the picture of a preview with metadata; none for any other frame. All numbers are big-endian.
fn parse(frame: &Bytes) -> Option<(RunId, Bytes)> {
    const WITH_METADATA: u32 = 4;
    #[derive(Deserialize)]
    struct About {
        prompt_id: RunId,
    }
    let number = |at: usize| Some(u32::from_be_bytes(frame.get(at..at + 4)?.try_into().ok()?));
    if number(0)? != WITH_METADATA {
        return None;
    }
    let end = 8_usize.checked_add(number(4)? as usize)?;
    let about: About = serde_json::from_slice(frame.get(8..end)?).ok()?;
    Some((about.prompt_id, frame.slice(end..)))
}

/// The next picture that is to be said.
pub(crate) async fn next(latest: &mut watch::Receiver<Option<Preview>>) -> Option<ClientMessage> {
    if latest.changed().await.is_err() {
        // Nothing comes any more.
        std::future::pending::<()>().await;
    }
    latest.borrow_and_update().clone()?.message(Instant::now())
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::{DynamicImage, ImageFormat, RgbImage};
    use model::socket::MAX_PREVIEW;
    use std::io::Cursor;
    use uuid::Uuid;

    fn noise(side: u32) -> Vec<u8> {
        let mut state = 1_u32;
        let picture = RgbImage::from_fn(side, side, |_, _| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            image::Rgb(state.to_le_bytes()[1..].try_into().unwrap())
        });
        let mut file = Cursor::new(vec![]);
        let picture = DynamicImage::ImageRgb8(picture);
        picture.write_to(&mut file, ImageFormat::Jpeg).unwrap();
        file.into_inner()
    }

    fn frame(run: RunId, picture: &[u8]) -> Bytes {
        let about = format!(r#"{{"prompt_id":"{run}","node_id":"3","image_type":"image/jpeg"}}"#);
        let mut frame = vec![0, 0, 0, 4];
        frame.extend((about.len() as u32).to_be_bytes());
        frame.extend(about.as_bytes());
        frame.extend(picture);
        frame.into()
    }

    fn ids() -> (TaskId, RunId) {
        (TaskId::new(Uuid::from_u128(1)), RunId::new(Uuid::from_u128(2)))
    }

    #[tokio::test]
    async fn only_for_whoever_looks_and_at_most_two_a_second() {
        let (previews, (task, run), mut now) = (Previews::new(), ids(), Instant::now());
        let (mut eye, mut latest) = (previews.eye(), previews.watch());
        let picture = frame(run, &noise(512));
        eye.saw(&picture, now);
        previews.look(task, RunId::new(Uuid::from_u128(3)), now);
        eye.saw(&picture, now);
        assert!(eye.working.is_none(), "taken though nobody looks at this run");
        previews.look(task, run, now);
        let mut numbers = vec![];
        for _ in 0..30 {
            eye.saw(&picture, now);
            if let Some(work) = eye.working.take() {
                work.await.unwrap();
            }
            let seen = latest
                .has_changed()
                .unwrap()
                .then(|| latest.borrow_and_update().clone())
                .flatten();
            if let Some(ClientMessage::Preview { seq, jpeg, .. }) = seen.and_then(|seen| seen.message(now)) {
                assert!(BASE64_STANDARD.decode(jpeg).unwrap().len() <= MAX_PREVIEW);
                numbers.push(seq);
            }
            now += Duration::from_millis(100);
        }
        assert_eq!(numbers, [1, 2, 3, 4, 5, 6], "in three seconds");
        // Whoever does not say again that they look has gone.
        eye.saw(&picture, now);
        eye.working.take().unwrap().await.unwrap();
        now += Look::LIFE;
        assert_eq!(latest.borrow_and_update().clone().unwrap().message(now), None, "late");
        eye.saw(&picture, now);
        assert!(eye.working.is_none());
    }

    #[test]
    fn frames_that_are_none() {
        let (_, run) = ids();
        let whole = frame(run, b"picture");
        assert_eq!(parse(&whole), Some((run, Bytes::from_static(b"picture"))));
        for end in 0..whole.len() - b"picture".len() {
            assert_eq!(parse(&whole.slice(..end)), None, "{end}");
        }
        for other in [
            &b"\0\0\0\x01\0\0\0\x01jpeg"[..],
            b"\0\0\0\x04\xff\xff\xff\xff{}",
            b"\0\0\0\x04\0\0\0\x02{}",
        ] {
            assert_eq!(parse(&Bytes::from_static(other)), None);
        }
    }
}

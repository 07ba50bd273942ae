//! What is done for a run: fetch, execute, upload.

use std::time::Duration;

use bytes::Bytes;
use model::{
    Blame, FailureClass, Pose, RunTimes,
    worker_api::{Assignment, Read, RunResult, Source},
};
use serde_json::{Map, Value};
use tokio::time::{Instant, timeout_at};
use workflow::{Output, Plan};

use super::{brake::Brake, error::RenderError, files::fetch_limit, renderer::Renderer, stop::Stop};
use crate::{
    comfy::{self, Comfy, ComfyError, Ending, Listener, Loading, Made, Meter, OutputFile},
    error::chain,
    images::{self, BadInput, BadOutput, Ready, ResultBlob},
    transfer::Transfers,
};

/// Most bytes of pictures that are read from ComfyUI for a run.
pub(crate) const MAX_PICTURES: u64 = 512 * 1024 * 1024;
/// Most time from a run's pictures until its thumbnails are uploaded too.
const THUMBNAILS: Duration = Duration::from_secs(3);
/// The same of a variant, for which nobody waits at their canvas, and whose group is seen by its thumbnails.
const THUMBNAILS_OF_VARIANTS: Duration = Duration::from_secs(30);

impl Renderer {
    /// The whole of a run but its report.
    pub(super) async fn make(&self, run: &Assignment, brake: &mut Brake) -> Result<RunResult, RenderError> {
        let transfers = Transfers::new(&self.http, &self.api, &self.timing, run);

        let begun = Instant::now();
        let mut plan: Plan = if run.urls.plan.is_some() {
            let bytes = brake
                .guard(async { transfers.plan().await.map_err(RenderError::Fetch) })
                .await?;
            serde_json::from_slice(&bytes).map_err(RenderError::plan)?
        } else {
            serde::Deserialize::deserialize(&run.plan).map_err(RenderError::plan)?
        };
        let fetched = async {
            let ready = self.pictures(&plan, run, &transfers).await?;
            self.host.wait_until_it_answers().await;
            self.host.serve(&run.team).await?;
            let files = self.files(run, &transfers).await?;
            let uploads = self.upload_inputs(run, &ready.uploads).await?;
            Ok::<_, RenderError>((ready.uploads, uploads, (ready.shelf, ready.first), files))
        };
        // The socket must be open before the graph is posted; it opens while pictures are fetched.
        // Boxed: decoding, uploading and the commands of a host make a large future.
        let listening = async { Ok(Listener::open(self.host.comfy.base(), Some(self.previews.eye())).await) };
        let prepared = Box::pin(async { tokio::try_join!(fetched, listening) });
        // Fetching has its own limit: what it takes is not taken from the rendering.
        let fetch_limit = fetch_limit(run).unwrap_or_default();
        brake.deadline += fetch_limit;
        let ((inputs, mut uploads, (shelf, first), files), mut listener) = brake.guard(prepared).await?;
        brake.deadline -= fetch_limit.saturating_sub(files.fetching);
        let (loras, mut reads) = (files.checked, files.reads);
        for lora in &loras.misfits {
            plan.silence(lora);
        }
        for (lora, file) in &loras.renamed {
            plan.replace_lora(lora, file);
        }
        let out = format!("{}/out", folder(run));
        let graph = plan.bind(&uploads, &out)?.into_map();
        let fetch = elapsed(begun);

        let (begun, mut loading) = (Instant::now(), Loading::new(&graph));
        let mut made = self
            .execute(run, &plan, &graph, &mut listener, &mut loading, brake)
            .await;
        if !inputs.is_empty() && matches!(made, Err(RenderError::Comfy(ComfyError::Rejected(_)))) {
            // What it has forgotten may be a picture that it had.
            uploads = self.upload_inputs(run, &inputs).await?;
            let graph = plan.bind(&uploads, &out)?.into_map();
            made = self
                .execute(run, &plan, &graph, &mut listener, &mut loading, brake)
                .await;
        }
        if let Err(RenderError::Graph(failure)) = &made
            && (failure.class, failure.blame) == (FailureClass::User, Blame::Machine)
            && brake.guard(self.removes_damaged(run)).await?
        {
            return Err(RenderError::DamagedFile);
        }
        let made = made?;
        let pose = plan.pose.then(|| pose(&made.texts)).flatten();
        let pictures = brake
            .guard(read(&self.host.comfy, &ours(made.files, run), plan.output))
            .await?;
        let execute = elapsed(begun);
        reads.extend(main_read(run, &plan, &loading));
        drop(listener);
        self.status.loaded(&plan.models);

        let begun = Instant::now();
        let (finish, output, recorded) = (plan.finish.clone(), plan.output, run.recorded);
        let finished = tokio::task::spawn_blocking(move || {
            let pictures = match finish.as_slice() {
                [] if !output.webp => pictures,
                operations => images::finish(&pictures, operations, &shelf, output.webp)?,
            };
            let small = recorded.then(|| images::small(first.as_ref(), &pictures));
            Ok::<_, BadOutput>((ResultBlob::new(&pictures, output)?, small, pictures))
        });
        let (blob, small, pictures) = brake.guard(async { Ok::<_, RenderError>(finished.await??) }).await?;
        let left = brake.deadline.saturating_duration_since(Instant::now());
        let most = if run.variant {
            THUMBNAILS_OF_VARIANTS.min(left / 2)
        } else {
            THUMBNAILS
        };
        let until = Instant::now() + most;
        let put = async {
            // Made first, so that one call asks for all addresses.
            let small = thumbnails(pictures, until).await;
            let put = transfers.put(&blob.bytes, &small, until).await;
            put.map_err(RenderError::Upload)
        };
        let thumbnails = brake.guard(put).await?;
        let upload = elapsed(begun);
        Ok(RunResult {
            run_id: run.run_id,
            task_id: run.task_id,
            size: blob.bytes.len() as u64,
            offsets: blob.offsets,
            times: RunTimes { fetch, execute, upload },
            reads,
            lora_warning: loras.warning,
            pose,
            pictures: small,
            thumbnails,
        })
    }

    /// The plan's inputs. A bad picture ends the run here, before ComfyUI is touched.
    async fn pictures(&self, plan: &Plan, run: &Assignment, transfers: &Transfers<'_>) -> Result<Ready, RenderError> {
        if plan.inputs.is_empty() {
            return Ok(Ready::default());
        }
        let blob = run.inputs.clone().ok_or(BadInput::Missing)?;
        let bytes = match images::inline(&blob)? {
            Some(bytes) => bytes,
            None => transfers.get(&blob).await.map_err(RenderError::Fetch)?,
        };
        let (wanted, finish) = (plan.inputs.clone(), plan.finish.clone());
        let first = run.recorded.then(|| images::first(&blob, &bytes)).flatten();
        let ready = tokio::task::spawn_blocking(move || images::prepare(&blob, &bytes, &wanted, &finish)).await??;
        Ok(Ready { first, ..ready })
    }

    /// The names under which the graph finds the pictures. Another team's are out of reach: its folders are another's.
    async fn upload_inputs(&self, run: &Assignment, pictures: &[Bytes]) -> Result<Vec<String>, RenderError> {
        let mut names = Vec::with_capacity(pictures.len());
        for picture in pictures {
            names.push(
                self.host
                    .comfy
                    .input(&format!("teams/{}", run.team), picture.clone())
                    .await?,
            );
        }
        Ok(names)
    }

    async fn execute(
        &self,
        run: &Assignment,
        plan: &Plan,
        graph: &Map<String, Value>,
        listener: &mut Listener,
        loading: &mut Loading,
        brake: &mut Brake,
    ) -> Result<Made, RenderError> {
        let id = run.run_id;
        // Not under the brake: once sent, it is not known whether ComfyUI has taken the graph.
        comfy::submit(&self.host.comfy, id, &listener.client, graph).await?;
        let mut meter = Meter::new(graph, plan.work.steps);
        let followed = tokio::select! {
            biased;
            reason = brake.pulled() => Err(reason),
            ending = comfy::follow(&self.host.comfy, id, listener, &self.timing, |event| {
                loading.on(event, Instant::now());
                self.status.progress(meter.on(event));
            }) => Ok(ending),
        };
        match followed {
            Ok(ending) => match ending? {
                Ending::Done(made) => Ok(made),
                Ending::Failed(failure) => Err(RenderError::Graph(failure)),
                Ending::Interrupted => Err(RenderError::Interrupted),
            },
            Err(RenderError::Stopped {
                stop: Stop::Leaving, ..
            }) => {
                // The host is about to go: what matters is that the run gets back in time.
                if let Err(error) = self.host.comfy.halt_once(id).await {
                    tracing::debug!(error = chain(&error), "ComfyUI did not take the interrupt");
                }
                Err(RenderError::Stopped {
                    stop: Stop::Leaving,
                    stuck: false,
                })
            }
            Err(RenderError::Stopped { stop, .. }) => Err(RenderError::Stopped {
                stop,
                stuck: self.host.halt(id).await,
            }),
            Err(RenderError::TooLong { .. }) => Err(RenderError::TooLong {
                stuck: self.host.halt(id).await,
            }),
            Err(other) => Err(other),
        }
    }
}

/// The pictures' thumbnails. None if that does not work out by then: the pictures are held up no longer, and are whole without.
async fn thumbnails(pictures: Vec<Bytes>, until: Instant) -> Vec<Bytes> {
    let made = tokio::task::spawn_blocking(move || images::thumbnails(&pictures));
    let made = timeout_at(until, made).await.ok().and_then(Result::ok);
    made.flatten().unwrap_or_default()
}

/// How long ComfyUI took to read the plan's main model, where it is one of the studio's store and was not loaded before.
fn main_read(run: &Assignment, plan: &Plan, loading: &Loading) -> Option<Read> {
    let main = plan.models.first()?;
    let file = run.models.iter().find(|it| it.file == *main)?;
    Some(Read {
        from: Source::Disk,
        bytes: file.size,
        ms: u64::try_from(loading.took()?.as_millis()).ok()?,
    })
}

/// Where this run's results lie, below ComfyUI's output folder.
fn folder(run: &Assignment) -> String {
    format!("tasks/{}", run.run_id)
}

/// The files of this run. Anything else that the history names belongs to an earlier run whose result was cached, or
/// lies in the folder for temporary files.
fn ours(files: Vec<OutputFile>, run: &Assignment) -> Vec<OutputFile> {
    let folder = folder(run);
    // Some servers write Windows' slashes.
    files
        .into_iter()
        .filter(|file| file.folder == "output" && file.subfolder.replace('\\', "/") == folder)
        .collect()
}

/// The people that a detector has shown. Without them the picture is still worth having.
fn pose(texts: &[Value]) -> Option<Pose> {
    let shown = texts.iter().find_map(Value::as_str)?;
    let pose = serde_json::from_str(shown).ok().and_then(|found| Pose::read(&found));
    if pose.is_none() {
        tracing::warn!("the detector's keypoints cannot be read");
    }
    pose
}

/// No more than was asked for.
async fn read(comfy: &Comfy, files: &[OutputFile], wanted: Output) -> Result<Vec<Bytes>, RenderError> {
    images::check_count(files.len(), wanted)?;
    let mut pictures = Vec::with_capacity(files.len());
    let mut left = MAX_PICTURES;
    for file in files {
        let picture = comfy.view(file, left).await?;
        left -= picture.len() as u64;
        pictures.push(picture);
    }
    Ok(pictures)
}

pub(super) fn elapsed(since: Instant) -> u64 {
    since.elapsed().as_millis() as u64
}

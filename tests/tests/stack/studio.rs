//! What a test has: the stack, and a pool, a team and a painter of its own.

use std::{future::Future, pin::Pin, sync::Arc, time::Duration};

use anyhow::{Context, Result, bail, ensure};
use local::{
    Stack,
    painter::{Painter, WIRE_01},
    pump::Machine,
};
use model::{PoolId, RunId, Task, TaskId, TaskState};
use serde_json::{Value, json};

/// What a test returns.
pub(crate) type Outcome = Pin<Box<dyn Future<Output = Result<()>>>>;

/// How often to look when there is no event to wait for.
pub(crate) const LOOK: Duration = Duration::from_millis(50);

pub(crate) struct Studio {
    pub(crate) stack: Arc<Stack>,
    pub(crate) pool: PoolId,
    pub(crate) painter: Painter,
    /// A real ComfyUI renders, perhaps without a GPU.
    pub(crate) real: bool,
}

impl Studio {
    pub(crate) async fn open(stack: Arc<Stack>, test: &str, real: bool) -> Result<Self> {
        let pool = test.replace("::", "-").replace('_', "-");
        let seeded = stack.seed(&format!("painter-of-{pool}"), &pool).await?;
        Ok(Self {
            pool: seeded.pool,
            painter: seeded.painter,
            stack,
            real,
        })
    }

    /// A captured request as it is; on a real ComfyUI, which may have no GPU, with fewer pictures and steps.
    pub(crate) fn captured(&self, wire: &str) -> Result<Value> {
        let mut request: Value = serde_json::from_str(wire)?;
        // The last two were made by hand, without what is around them.
        if request.get("input").is_none() {
            request = json!({ "input": { "workflow": request } });
        }
        if self.real {
            let workflow = &mut request["input"]["workflow"];
            let pictures = if workflow["kind"] == "inpaint" { 1 } else { 2 };
            for (less, value) in [
                ("/batch_count", pictures),
                ("/sampling/total_steps", 2),
                ("/sampling/start_step", 1),
            ] {
                if let Some(many) = workflow.pointer_mut(less) {
                    *many = value.into();
                }
            }
        }
        Ok(request)
    }

    /// Approves a device on the sign-in page that was opened, as a person with an invitation does.
    pub(crate) async fn approve(&self, url: &str) -> Result<()> {
        let browser = self.painter.with_token("");
        let page = url
            .strip_prefix(&self.painter.api)
            .with_context(|| format!("{url} is not ours"))?;
        let page = page.trim_start_matches('/');
        let shown = browser.call("GET", page, None).await?;
        ensure!(
            shown.status == 200
                && shown
                    .body
                    .as_str()
                    .is_some_and(|text| text.contains("Generative AI for Krita")),
            "{shown:?}"
        );
        let code = page.split_once("code=").context("no code")?.1;
        let invitation = self.stack.invite(&format!("painter-of-{}", self.pool)).await?;
        let approved = browser
            .form("sign-in", &[("code", code), ("invitation", &invitation)])
            .await?;
        ensure!(approved.status == 200, "{approved:?}");
        Ok(())
    }

    /// The task as the tables have it.
    pub(crate) async fn task(&self, id: TaskId) -> Result<Task> {
        self.stack.store().get(&id).await?.context("there is no such task")
    }

    /// The run that holds the task.
    pub(crate) async fn run_of(&self, id: TaskId) -> Result<RunId> {
        Ok(self.task(id).await?.run.context("no run holds the task")?.run_id)
    }

    /// Waits until the task's snapshot is as wanted.
    pub(crate) async fn until(&self, id: TaskId, wanted: impl Fn(&Task) -> bool) -> Result<Task> {
        loop {
            let task = self.task(id).await?;
            if wanted(&task) {
                return Ok(task);
            }
            ensure!(
                !task.state.is_terminal(),
                "the task ended as {:?}: {:?}",
                task.state,
                task.error
            );
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Waits until the task runs and has made some progress.
    pub(crate) async fn until_painting(&self, id: TaskId) -> Result<Task> {
        self.until(id, |task| task.state == TaskState::Running && task.progress() > 0.0)
            .await
    }

    /// Polls as the plugin does, until the task is over.
    pub(crate) async fn finish(&self, id: TaskId) -> Result<Value> {
        loop {
            let status = self.painter.status(id).await?;
            match status["status"].as_str() {
                Some("IN_QUEUE" | "IN_PROGRESS") => tokio::time::sleep(LOOK).await,
                Some("COMPLETED") => return Ok(status),
                _ => bail!("no picture: {status}"),
            }
        }
    }

    /// The machines of the pool, when they are as wanted.
    pub(crate) async fn until_machines(&self, wanted: impl Fn(&[Machine]) -> bool) -> Result<Vec<Machine>> {
        let mut changes = self.stack.pump.machines();
        loop {
            let mine: Vec<_> = changes
                .borrow_and_update()
                .iter()
                .filter(|it| it.pool == self.pool.as_str())
                .cloned()
                .collect();
            if wanted(&mine) {
                return Ok(mine);
            }
            changes.changed().await?;
        }
    }

    /// Ticks `lifecycle` until the task is as wanted.
    pub(crate) async fn tick_until(&self, id: TaskId, wanted: impl Fn(&Task) -> bool) -> Result<Task> {
        loop {
            let task = self.task(id).await?;
            if wanted(&task) {
                return Ok(task);
            }
            ensure!(
                !task.state.is_terminal(),
                "the task ended as {:?}: {:?}",
                task.state,
                task.error
            );
            self.stack.tick_lifecycle().await?;
            // Polling is what tells the stack that somebody still waits.
            self.painter.status(id).await?;
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }
}

/// The captured request of the plugin.
pub(crate) fn wire_01() -> Result<Value> {
    Ok(serde_json::from_str(WIRE_01)?)
}

/// A small one: this many steps, one picture of 128×128.
pub(crate) fn small(steps: u32, seed: u32) -> Result<Value> {
    let mut request = wire_01()?;
    let workflow = &mut request["input"]["workflow"];
    for extent in ["input", "initial", "desired", "target"] {
        workflow["images"]["extent"][extent] = json!([128, 128]);
    }
    workflow["batch_count"] = 1.into();
    workflow["sampling"]["total_steps"] = steps.into();
    workflow["sampling"]["seed"] = seed.into();
    Ok(request)
}

/// Width and height of a PNG.
pub(crate) fn size(png: &[u8]) -> Result<(u32, u32)> {
    let picture = image::load_from_memory_with_format(png, image::ImageFormat::Png)?;
    Ok((picture.width(), picture.height()))
}

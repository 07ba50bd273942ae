//! One run of a prompt: nodes in order, with the messages that ComfyUI sends about them.

use serde_json::json;

use super::cache::{Kept, signatures as signatures_of};
use super::running::{Finished, Run};
use crate::faults::strikes;
use crate::nodes::call::{Call, Input};
use crate::nodes::evaluate::evaluate;
use crate::nodes::outcome::Trouble;
use crate::nodes::thing::Thing;
use crate::pixels::paint::fingerprint;
use crate::prompt::execution_order;
use crate::prompt::graph::{Graph, Link, Node, place};
use crate::prompt::ordered::Ordered;

impl Run<'_> {
    /// Runs the prompt; `None` if the double is stopped meanwhile.
    pub(crate) fn run(mut self) -> Option<Finished> {
        let graph = &self.item.graph;
        self.message("execution_start", json!({}));
        let signatures = signatures_of(graph, &|name| {
            let bytes = self.shared.lock().files.find_annotated(name);
            bytes.map_or(0, fingerprint)
        });
        self.cache.begin(&signatures, self.like());
        let cached: Vec<&str> = graph
            .keys()
            .filter(|id| self.cache.get(signatures[id]).is_some())
            .collect();
        for id in &cached {
            if let Some(result) = self.cache.get(signatures[id]) {
                self.things.insert((*id).to_owned(), result.things.clone());
            }
        }
        self.message("execution_cached", json!({ "nodes": cached }));

        let order = execution_order::order(graph, &self.item.outputs, &|id| cached.contains(&id));
        for id in order {
            let signature = signatures.get(id).copied().unwrap_or_default();
            let result = if cached.contains(&id) {
                self.repeat(id, signature);
                Ok(())
            } else {
                self.node(graph, id, signature)
            };
            match result {
                Ok(()) => {}
                Err(Trouble::Stopped) => return None,
                Err(trouble) => {
                    self.fail(graph, id, &trouble);
                    return Some(self.finished);
                }
            }
        }
        self.message("execution_success", json!({}));
        Some(self.finished)
    }

    /// A cached output node repeats its old result, with the old file names.
    fn repeat(&mut self, id: &str, signature: u64) {
        let Some(ui) = self.cache.get(signature).and_then(|result| result.ui.clone()) else {
            return;
        };
        self.report_output(id, ui);
        // Whole numbers here, as recorded, and broken ones for nodes that run.
        self.set_progress(id, &json!(1), &json!(1), "finished");
    }

    fn node(&mut self, graph: &Graph, id: &str, signature: u64) -> Result<(), Trouble> {
        let Some(node) = graph.get(id) else {
            return Ok(());
        };
        id.clone_into(&mut self.node);
        self.check_interrupt()?;
        self.set_progress(id, &json!(0.0), &json!(1.0), "running");
        {
            let mut inner = self.shared.lock();
            if let Some(running) = &mut inner.running {
                running.node = Some(id.to_owned());
            }
            inner.stats.nodes_run += 1;
        }
        self.send(
            "executing",
            &json!({ "node": id, "display_node": id, "prompt_id": self.item.id }),
        );
        self.suffer(node.class())?;
        if matches!(node.class(), "CheckpointLoaderSimple" | "UNETLoader") {
            self.work_for(self.shared.options.load_delay)?;
        }

        let call = Call {
            class: node.class(),
            inputs: self.inputs(node),
        };
        self.images.clear();
        self.texts.clear();
        let things = evaluate(&call, self)?;
        let ui = match node.class() {
            "SaveImage" | "PreviewImage" => Some(json!({ "images": std::mem::take(&mut self.images) })),
            "PreviewAny" => Some(json!({ "text": std::mem::take(&mut self.texts) })),
            _ => None,
        };
        if let Some(ui) = &ui {
            self.report_output(id, ui.clone());
        }
        let max = self.progress.get(id).map_or(json!(1.0), |state| state["max"].clone());
        self.set_progress(id, &max, &max, "finished");
        self.executed.push(id.to_owned());
        self.things.insert(id.to_owned(), things.clone());
        self.cache.put(signature, Kept { things, ui });
        Ok(())
    }

    /// The node's inputs with links followed.
    fn inputs(&self, node: &Node) -> Ordered<Input> {
        let mut inputs = Ordered::default();
        for (name, value) in node.inputs.iter().flat_map(Ordered::iter) {
            let input = match Link::of(value).and_then(|link| self.follow(link)) {
                Some(thing) => Input::Thing(thing),
                None => Input::Value(value.clone()),
            };
            inputs.insert(name.to_owned(), input);
        }
        inputs
    }

    fn follow(&self, link: Link<'_>) -> Option<Thing> {
        let things = self.things.get(link.node)?;
        things.get(place(link.slot, things.len())?).cloned()
    }

    /// Lets the faults strike that tests have set for this class.
    fn suffer(&self, class: &str) -> Result<(), Trouble> {
        let mut inner = self.shared.lock();
        if strikes(&mut inner.faults.hang, class) {
            // Left when the fault is cleared; no interrupt is looked at.
            while inner.faults.hang.is_some() && !inner.stopping {
                inner = self.shared.wait(inner, None);
            }
        }
        if inner.stopping {
            return Err(Trouble::Stopped);
        }
        if strikes(&mut inner.faults.execution_error, class) {
            return Err(Trouble::exception("RuntimeError", "a fault that a test asked for\n"));
        }
        if strikes(&mut inner.faults.cuda_error, class) {
            return Err(Trouble::exception(
                "torch.AcceleratorError",
                "CUDA error: an illegal memory access was encountered\nCUDA kernel errors might be asynchronously reported\n",
            ));
        }
        if strikes(&mut inner.faults.damaged_model, class) {
            return Err(Trouble::exception(
                "safetensors_rust.SafetensorError",
                "Error while deserializing header: incomplete metadata, file not fully covered\n",
            ));
        }
        if strikes(&mut inner.faults.out_of_memory, class) {
            return Err(Trouble::exception("torch.OutOfMemoryError", "Allocation on device \n"));
        }
        Ok(())
    }
}

//! What a run tells its client, and keeps for the history.

use serde_json::{Value, json};

use super::running::Run;
use crate::nodes::outcome::Trouble;
use crate::options::Version;
use crate::prompt::graph::{Graph, Link, Node};
use crate::prompt::object_info;
use crate::prompt::ordered::Ordered;
use crate::state::history::End;
use crate::state::shared::now_ms;
use crate::state::sockets::Frame;

impl Run<'_> {
    pub(super) fn fail(&mut self, graph: &Graph, id: &str, trouble: &Trouble) {
        let node = graph.get(id);
        let mut data = json!({
            "node_id": id,
            "node_type": node.map(Node::class),
            "executed": self.executed,
        });
        let Trouble::Exception { kind, message } = trouble else {
            self.finished.end = End::Interrupted;
            self.message("execution_interrupted", data);
            return;
        };
        self.finished.end = End::Error;
        data["exception_type"] = json!(kind);
        data["exception_message"] = json!(message);
        // Paths on the server and the prompt's words stand in these, as in ComfyUI.
        data["traceback"] = json!([
            "  File \"/opt/ComfyUI/execution.py\", line 510, in execute\n    output_data, output_ui = await get_output_data(prompt_id)\n",
            format!(
                "  File \"/opt/ComfyUI/nodes.py\", line 1, in {}\n",
                node.map_or("", Node::class)
            ),
        ]);
        let mut inputs = Ordered::default();
        for (name, value) in node
            .and_then(|node| node.inputs.as_ref())
            .into_iter()
            .flat_map(Ordered::iter)
        {
            let value = match Link::of(value) {
                Some(_) => json!("<object>"),
                None => value.clone(),
            };
            inputs.insert(name.to_owned(), json!([value]));
        }
        let class = node.and_then(|node| object_info::class(node.class()));
        for name in class.into_iter().flat_map(object_info::Class::hidden) {
            let prompt = (name == "prompt").then(|| self.item.raw.get());
            inputs.insert(name.to_owned(), json!([prompt]));
        }
        data["current_inputs"] = json!(inputs);
        data["current_outputs"] = json!(graph.keys().collect::<Vec<_>>());
        self.message("execution_error", data);
    }

    /// Sends a message about the run as a whole, and keeps it for the history.
    pub(super) fn message(&mut self, kind: &str, mut data: Value) {
        data["prompt_id"] = json!(self.item.id);
        data["timestamp"] = json!(now_ms());
        self.send(kind, &data);
        self.finished.messages.push((kind.to_owned(), data));
    }

    pub(super) fn report_output(&mut self, id: &str, ui: Value) {
        let data = json!({ "node": id, "display_node": id, "output": ui, "prompt_id": self.item.id });
        self.send("executed", &data);
        self.finished.outputs.insert(id.to_owned(), ui);
    }

    pub(super) fn set_progress(&mut self, id: &str, value: &Value, max: &Value, state: &str) {
        let entry = json!({
            "value": value,
            "max": max,
            "state": state,
            "node_id": id,
            "prompt_id": self.item.id,
            "display_node_id": id,
            "parent_node_id": null,
            "real_node_id": id,
        });
        self.progress.insert(id.to_owned(), entry);
        // The list grows with each node: large graphs would spend their time on it for nobody.
        if !self.has_listener() {
            return;
        }
        let data = json!({ "prompt_id": self.item.id, "nodes": self.progress });
        self.shared
            .lock()
            .sockets
            .send_progress(self.item.client(), "progress_state", &data);
    }

    pub(super) fn send(&self, kind: &str, data: &Value) {
        self.shared.lock().sockets.send(self.item.client(), kind, data);
    }

    /// Reports progress within a node, with a picture. Their order depends on what the client asked for.
    pub(super) fn report_step(&mut self, value: u32, max: u32, picture: Option<(&[u8], bool)>) {
        let id = self.node.clone();
        self.set_progress(&id, &json!(value), &json!(max), "running");
        let data = json!({ "value": value, "max": max, "prompt_id": self.item.id, "node": id });
        let inner = self.shared.lock();
        let client = self.item.client();
        let send_picture = || {
            if let Some((bytes, is_png)) = picture {
                let frame = Frame {
                    bytes,
                    is_png,
                    node: &id,
                    prompt_id: &self.item.id,
                };
                inner.sockets.send_picture(client, &frame);
            }
        };
        if inner.sockets.metadata_wanted(client) {
            send_picture();
            inner.sockets.send_progress(client, "progress", &data);
        } else {
            inner.sockets.send_progress(client, "progress", &data);
            send_picture();
        }
    }

    pub(super) fn wants_previews(&self) -> bool {
        let on = match (self.like(), self.item.extra["preview_method"].as_str()) {
            (Version::V0_33, Some("none")) => false,
            (Version::V0_33, Some("auto" | "latent2rgb" | "taesd")) => true,
            _ => self.shared.options.previews,
        };
        on && self.has_listener()
    }

    fn has_listener(&self) -> bool {
        self.shared.lock().sockets.has_listener(self.item.client())
    }
}

//! What went wrong while ComfyUI ran a graph, in words for the painter. Nothing of its own text is passed on: it holds
//! paths of the server and words of the prompt.

use model::{Failure, FailureClass};
use serde_json::Value;

/// The failure that an `execution_error` is.
pub(crate) fn failure(error: &Value) -> Failure {
    let text = |name: &str| error[name].as_str().unwrap_or_default().to_lowercase();
    let (kind, said, node) = (text("exception_type"), text("exception_message"), text("node_type"));
    if kind.contains("outofmemory") || said.contains("out of memory") || said.contains("allocation on device") {
        let why = "The graphics card ran out of memory; the picture may be too large for it.";
        return Failure::new(FailureClass::Infrastructure, why);
    }
    let loads_picture = node.starts_with("loadimage");
    if loads_picture && (kind.contains("unidentifiedimage") || kind.contains("pil.") || said.contains("image file")) {
        return Failure::new(FailureClass::User, "An input picture is damaged and could not be read.");
    }
    // The class of a node is ours and tells an operator where to look.
    let node: String = error["node_type"]
        .as_str()
        .unwrap_or("unknown")
        .chars()
        .filter(char::is_ascii_graphic)
        .take(60)
        .collect();
    Failure::new(
        FailureClass::Infrastructure,
        format!("The renderer stopped with an error in its step {node}."),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn classes() {
        for (kind, said, node, class) in [
            (
                "torch.OutOfMemoryError",
                "Allocation on device",
                "KSampler",
                FailureClass::Infrastructure,
            ),
            (
                "torch.cuda.OutOfMemoryError",
                "",
                "VAEDecode",
                FailureClass::Infrastructure,
            ),
            (
                "PIL.UnidentifiedImageError",
                "cannot identify image file '/x/y.png'",
                "LoadImage",
                FailureClass::User,
            ),
            (
                "RuntimeError",
                "narrow(): length must be non-negative.",
                "KSampler",
                FailureClass::Infrastructure,
            ),
        ] {
            let failure = failure(&json!({"exception_type": kind, "exception_message": said, "node_type": node}));
            assert_eq!(failure.class, class, "{kind}");
            assert!(
                !failure.message.contains('/') && !failure.message.contains("narrow"),
                "{}",
                failure.message
            );
        }
    }
}

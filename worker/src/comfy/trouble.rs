//! What went wrong while ComfyUI ran a graph, in words for the painter. Nothing of its own text is passed on: it holds
//! paths of the server and words of the prompt.

use model::{Blame, Failure, FailureClass};
use serde_json::Value;

/// The failure that an `execution_error` is.
pub(crate) fn failure(error: &Value) -> Failure {
    let text = |name: &str| error[name].as_str().unwrap_or_default().to_lowercase();
    let (kind, said, node) = (text("exception_type"), text("exception_message"), text("node_type"));
    if kind.contains("outofmemory") || said.contains("out of memory") || said.contains("allocation on device") {
        let why = "The graphics card ran out of memory; the picture may be too large for it.";
        return Failure::new(FailureClass::Infrastructure, why).blaming(Blame::Request);
    }
    let tells = |signs: &[&str]| signs.iter().any(|sign| kind.contains(sign) || said.contains(sign));
    if tells(&BROKEN) {
        let why = "The graphics card or its driver failed; the machine is looked after.";
        return Failure::new(FailureClass::Infrastructure, why).blaming(Blame::Machine);
    }
    if tells(&FULL) {
        let why = "The render machine's disk is full or cannot be written.";
        return Failure::new(FailureClass::Infrastructure, why).blaming(Blame::Machine);
    }
    if tells(&UNREADABLE) {
        let file = model_file(&error["current_inputs"])
            .map(|file| format!(" {file}"))
            .unwrap_or_default();
        let why = format!("The model file{file} is damaged and could not be read. Tell your studio's operator.");
        return Failure::new(FailureClass::User, why).blaming(Blame::Machine);
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

/// Signs of a process that is of no use until it is begun again: errors of CUDA (whose context stays broken once it is),
/// its libraries and its driver.
const BROKEN: [&str; 12] = [
    "cuda error",
    "acceleratorerror",
    "cublas",
    "cudnn",
    "cufft",
    "nccl",
    "device-side assert",
    "illegal memory access",
    "no cuda gpus are available",
    "cuda driver",
    "device lost",
    "unspecified launch failure",
];
/// Signs of a disk that takes no more.
const FULL: [&str; 3] = [
    "no space left on device",
    "disk quota exceeded",
    "read-only file system",
];
/// Signs of a model file that nobody can read.
const UNREADABLE: [&str; 4] = [
    "safetensorerror",
    "headertoolarge",
    "unpicklingerror",
    "pytorchstreamreader",
];

/// The model file that a node was to load.
fn model_file(inputs: &Value) -> Option<String> {
    let values = inputs.as_object()?.values();
    // ComfyUI wraps each input into a list.
    let mut texts = values.filter_map(|it| it.as_str().or_else(|| it.get(0)?.as_str()));
    let file = texts.find(|it| {
        let ends = [".safetensors", ".sft", ".ckpt", ".pt", ".pth", ".bin", ".gguf"];
        ends.iter().any(|end| it.ends_with(end))
    })?;
    let name = file.rsplit(['/', '\\']).next()?;
    Some(name.chars().filter(char::is_ascii_graphic).take(100).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn classes() {
        use FailureClass::{Infrastructure, User};
        for (kind, said, node, class, blame) in [
            (
                "torch.OutOfMemoryError",
                "Allocation on device",
                "KSampler",
                Infrastructure,
                Blame::Request,
            ),
            (
                "torch.cuda.OutOfMemoryError",
                "",
                "VAEDecode",
                Infrastructure,
                Blame::Request,
            ),
            (
                "RuntimeError",
                "CUDA out of memory. Tried to allocate 2 GiB",
                "KSampler",
                Infrastructure,
                Blame::Request,
            ),
            (
                "torch.AcceleratorError",
                "CUDA error: an illegal memory access was encountered",
                "VAEDecode",
                Infrastructure,
                Blame::Machine,
            ),
            (
                "RuntimeError",
                "CUDA error: CUBLAS_STATUS_EXECUTION_FAILED",
                "KSampler",
                Infrastructure,
                Blame::Machine,
            ),
            (
                "RuntimeError",
                "CUDA error: device-side assert triggered",
                "KSampler",
                Infrastructure,
                Blame::Machine,
            ),
            (
                "RuntimeError",
                "No CUDA GPUs are available",
                "CheckpointLoaderSimple",
                Infrastructure,
                Blame::Machine,
            ),
            (
                "OSError",
                "[Errno 28] No space left on device",
                "SaveImage",
                Infrastructure,
                Blame::Machine,
            ),
            (
                "SafetensorError",
                "Error while deserializing header: HeaderTooLarge",
                "CheckpointLoaderSimple",
                User,
                Blame::Machine,
            ),
            (
                "PIL.UnidentifiedImageError",
                "cannot identify image file '/x/y.png'",
                "LoadImage",
                User,
                Blame::Unknown,
            ),
            (
                "RuntimeError",
                "narrow(): length must be non-negative.",
                "KSampler",
                Infrastructure,
                Blame::Unknown,
            ),
        ] {
            let failure = failure(&json!({"exception_type": kind, "exception_message": said, "node_type": node}));
            assert_eq!((failure.class, failure.blame), (class, blame), "{kind}");
            assert!(
                !failure.message.contains('/') && !failure.message.contains("narrow"),
                "{}",
                failure.message
            );
        }
    }

    #[test]
    fn a_damaged_model_file_is_named() {
        let error = json!({
            "exception_type": "SafetensorError", "exception_message": "HeaderTooLarge", "node_type": "CheckpointLoaderSimple",
            "current_inputs": { "ckpt_name": ["sd15/house.safetensors"] },
        });
        assert!(failure(&error).message.contains("file house.safetensors is damaged"));
    }
}

//! Finds who runs a class.

use super::call::Call;
use super::outcome::{Outcome, Trouble};
use super::stage::Stage;
use super::{detectors, hooks, latents, loaders, masks, output, pictures, references, sampling};

/// Runs a node.
pub(crate) fn evaluate(call: &Call<'_>, stage: &mut dyn Stage) -> Outcome {
    loaders::run(call, stage)
        .or_else(|| hooks::run(call))
        .or_else(|| references::run(call))
        .or_else(|| detectors::run(call))
        .or_else(|| latents::run(call))
        .or_else(|| pictures::run(call, stage.version()))
        .or_else(|| masks::run(call))
        .or_else(|| sampling::run(call, stage))
        .or_else(|| output::run(call, stage))
        .unwrap_or_else(|| {
            let text = format!("the double has no {}", call.class);
            Err(Trouble::exception("NotImplementedError", text))
        })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bytes::Bytes;

    use super::*;
    use crate::disk::files::Area;
    use crate::options::Version;
    use crate::pixels::picture::Picture;
    use crate::prompt::ordered::Ordered;

    struct Nowhere;

    impl Stage for Nowhere {
        fn version(&self) -> Version {
            Version::V0_3
        }
        fn load(&self, _: &str) -> Option<Bytes> {
            None
        }
        fn step(&mut self, _: u32, _: u32, _: &mut dyn FnMut() -> Vec<u8>) -> Result<(), Trouble> {
            Ok(())
        }
        fn save(&mut self, _: Area, _: &str, _: &[Arc<Picture>]) {}
        fn say(&mut self, _: String) {}
        fn show(&mut self, _: &[Arc<Picture>]) {}
    }

    #[test]
    fn every_class_of_the_catalogue_runs() {
        // A class without a run would be accepted and then fail: compare the two lists.
        let all = crate::prompt::object_info::describe_all(true, &|_| Vec::new());
        for class in all.as_object().unwrap().keys() {
            let call = Call {
                class,
                inputs: Ordered::default(),
            };
            if let Err(Trouble::Exception { kind, .. }) = evaluate(&call, &mut Nowhere) {
                assert_ne!(kind, "NotImplementedError", "{class}");
            }
        }
    }
}

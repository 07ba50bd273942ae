//! Output nodes.

use super::call::Call;
use super::outcome::{Outcome, Trouble};
use super::stage::Stage;
use super::thing::Thing;
use crate::disk::files::{Area, inside};

pub(crate) fn run(call: &Call<'_>, stage: &mut dyn Stage) -> Option<Outcome> {
    Some(match call.class {
        "SaveImage" => save(call, stage, Area::Output, &call.text("filename_prefix")),
        "PreviewImage" => save(call, stage, Area::Temp, "ComfyUI_temp_ateli"),
        "PreviewAny" => {
            stage.say(match call.thing("source") {
                Some(Thing::Keypoints(json)) => json.clone(),
                // What ComfyUI shows of other things depends on how Python shows them.
                other => format!("{other:?}"),
            });
            Ok(Vec::new())
        }
        "SaveImageWebsocket" => call.pictures("images").map(|pictures| {
            stage.show(&pictures);
            Vec::new()
        }),
        _ => return None,
    })
}

fn save(call: &Call<'_>, stage: &mut dyn Stage, area: Area, prefix: &str) -> Outcome {
    let pictures = call.pictures("images")?;
    let (width, height) = pictures
        .first()
        .map_or((0, 0), |picture| (picture.width, picture.height));
    let prefix = prefix
        .replace("%width%", &width.to_string())
        .replace("%height%", &height.to_string());
    let Some(clean) = inside(&prefix) else {
        let text = "**** ERROR: Saving image outside the output folder is not allowed.\n \
                    full_output_folder: /opt\n         output_dir: /opt/comfyui-data/output\n";
        return Err(Trouble::exception("Exception", text));
    };
    stage.save(area, &clean, &pictures);
    Ok(Vec::new())
}

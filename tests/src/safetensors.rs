//! Model files as far as whoever reads only headers can tell.

use serde_json::{Map, Value, json};

/// A safetensors file with tensors of these names and shapes in half precision, and this metadata. Other seeds fill it
/// with other numbers.
pub fn safetensors(tensors: &[(&str, &[u64])], metadata: &[(&str, &str)], seed: u8) -> Vec<u8> {
    let (mut header, mut end) = (Map::new(), 0);
    let metadata: Map<_, _> = metadata
        .iter()
        .map(|(name, text)| ((*name).to_owned(), json!(text)))
        .collect();
    header.insert("__metadata__".to_owned(), metadata.into());
    for (name, shape) in tensors {
        let begin = end;
        end += 2 * shape.iter().product::<u64>();
        let tensor = json!({ "dtype": "F16", "shape": shape, "data_offsets": [begin, end] });
        header.insert((*name).to_owned(), tensor);
    }
    let header = Value::from(header).to_string();
    let mut file = (header.len() as u64).to_le_bytes().to_vec();
    file.extend_from_slice(header.as_bytes());
    file.resize(file.len() + end as usize, seed);
    file
}

/// A checkpoint of SD 1.5 as far as names and shapes tell.
pub fn checkpoint(seed: u8) -> Vec<u8> {
    let metadata = [
        ("modelspec.license", "CreativeML OpenRAIL-M"),
        ("modelspec.resolution", "512x512"),
    ];
    safetensors(
        &[
            UNET,
            ATTENTION,
            ("first_stage_model.decoder.conv_in.weight", &[512, 4, 3, 3]),
        ],
        &metadata,
        seed,
    )
}

/// The first layer of a U-Net that takes a latent of four channels.
pub const UNET: (&str, &[u64]) = ("model.diffusion_model.input_blocks.0.0.weight", &[320, 4, 3, 3]);
/// By whose width SD 1.5 is told.
pub const ATTENTION: (&str, &[u64]) = (
    "model.diffusion_model.input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight",
    &[320, 768],
);

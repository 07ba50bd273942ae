//! Uploads and views.

use std::collections::HashMap;
use std::sync::Arc;

use axum::extract::multipart::{Field, Multipart};
use axum::extract::{Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::{Bytes, BytesMut};
use image::{DynamicImage, ImageFormat};
use serde_json::json;

use super::reply::{ok, too_large};
use crate::disk::files::{Area, inside, join};
use crate::pixels::picture::encode;
use crate::state::shared::Shared;

#[derive(Default)]
struct Form {
    image: Option<(String, Bytes)>,
    subfolder: String,
    area: String,
    overwrite: bool,
}

/// Takes any file in; nobody looks whether it is a picture.
pub(crate) async fn upload(State(shared): State<Arc<Shared>>, multipart: Option<Multipart>) -> Response {
    let Some(multipart) = multipart else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    let form = match read_form(&shared, multipart).await {
        Ok(form) => form,
        Err(refusal) => return refusal,
    };
    let area = Area::parse(if form.area.is_empty() { "input" } else { &form.area });
    let (Some((name, bytes)), Some(area), Some(subfolder)) = (form.image, area, inside(&form.subfolder)) else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    if name.is_empty() || name.contains(['/', '\\']) || name == ".." {
        return StatusCode::BAD_REQUEST.into_response();
    }
    let mut inner = shared.lock();
    inner.stats.uploads += 1;
    let name = inner.files.upload(area, &subfolder, &name, bytes, form.overwrite);
    ok(&json!({ "name": name, "subfolder": subfolder, "type": area.name() }))
}

async fn read_form(shared: &Shared, mut multipart: Multipart) -> Result<Form, Response> {
    let malformed = |_| StatusCode::BAD_REQUEST.into_response();
    let mut form = Form::default();
    let mut left = Some(shared.options.max_upload);
    while let Some(field) = multipart.next_field().await.map_err(malformed)? {
        let kind = field.name().unwrap_or_default().to_owned();
        let file = field.file_name().map(ToOwned::to_owned);
        let bytes = read_field(field, &mut left).await.map_err(malformed)?;
        let text = || String::from_utf8_lossy(&bytes).into_owned();
        match kind.as_str() {
            "image" => form.image = file.map(|name| (name, bytes.clone())),
            "subfolder" => form.subfolder = text(),
            "type" => form.area = text(),
            "overwrite" => form.overwrite = matches!(text().as_str(), "true" | "1"),
            _ => {}
        }
    }
    if left.is_none() {
        Err(too_large(shared))
    } else {
        Ok(form)
    }
}

/// Reads a field to its end. Beyond the limit, bytes are thrown away instead of the connection being
/// broken: a client that still writes would not read the refusal.
async fn read_field(
    mut field: Field<'_>,
    left: &mut Option<usize>,
) -> Result<Bytes, axum::extract::multipart::MultipartError> {
    let mut bytes = BytesMut::new();
    while let Some(chunk) = field.chunk().await? {
        *left = left.and_then(|left| left.checked_sub(chunk.len()));
        if left.is_some() {
            bytes.extend_from_slice(&chunk);
        } else {
            bytes.clear();
        }
    }
    Ok(bytes.freeze())
}

/// Serves a file, as it is or coded anew for a preview or a channel.
pub(crate) async fn view(State(shared): State<Arc<Shared>>, Query(query): Query<HashMap<String, String>>) -> Response {
    let field = |name: &str| query.get(name).map(String::as_str);
    let Some(name) = field("filename") else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let area = Area::parse(field("type").unwrap_or("output"));
    let (Some(area), false) = (area, name.is_empty() || name.starts_with('/') || name.contains("..")) else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    let Some(subfolder) = inside(field("subfolder").unwrap_or_default()) else {
        return StatusCode::FORBIDDEN.into_response();
    };
    let name = name.rsplit('/').next().unwrap_or_default();
    let found = {
        let mut inner = shared.lock();
        inner.stats.views += 1;
        inner.files.get(area, &join(&subfolder, name))
    };
    let Some(bytes) = found else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let wanted = (field("preview"), field("channel"));
    let (bytes, kind) = match recoded(&bytes, wanted) {
        Some((bytes, kind)) => (Bytes::from(bytes), kind),
        None => (bytes, content_type(name)),
    };
    let headers = [
        (header::CONTENT_TYPE, kind.to_owned()),
        (header::CONTENT_DISPOSITION, format!("filename=\"{name}\"")),
    ];
    (headers, bytes).into_response()
}

fn content_type(name: &str) -> &'static str {
    match name
        .rsplit_once('.')
        .map(|(_, extension)| extension.to_ascii_lowercase())
        .as_deref()
    {
        Some("png") => "image/png",
        Some("jpg" | "jpeg") => "image/jpeg",
        Some("webp") => "image/webp",
        _ => "application/octet-stream",
    }
}

/// The picture coded anew; `None` if that is not asked for or the file is no picture.
fn recoded(bytes: &[u8], wanted: (Option<&str>, Option<&str>)) -> Option<(Vec<u8>, &'static str)> {
    let load = || image::load_from_memory(bytes).ok();
    match wanted {
        (Some(preview), _) if preview.starts_with("jpeg") => {
            let image = DynamicImage::ImageRgb8(load()?.into_rgb8());
            Some((encode(&image, ImageFormat::Jpeg), "image/jpeg"))
        }
        // WebP unless JPEG is asked for by name.
        (Some(_), _) => Some((encode(&load()?, ImageFormat::WebP), "image/webp")),
        (None, Some("rgb")) => {
            let image = DynamicImage::ImageRgb8(load()?.into_rgb8());
            Some((encode(&image, ImageFormat::Png), "image/png"))
        }
        (None, Some("a")) => {
            let mut image = load()?.into_rgba8();
            for pixel in image.pixels_mut() {
                pixel.0[..3].fill(0);
            }
            Some((encode(&DynamicImage::ImageRgba8(image), ImageFormat::Png), "image/png"))
        }
        _ => None,
    }
}

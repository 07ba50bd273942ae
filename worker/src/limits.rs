//! The worker's table of limits in `docs/limits.md`: as much as is allowed goes through, one more does not.

use std::io::{Cursor, Read, repeat};

use image::{ImageFormat, RgbImage};
use model::{RunId, worker_api::InputBlob};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};
use tokio_tungstenite::tungstenite::{Error, WebSocket, protocol::Role};
use uuid::Uuid;
use workflow::{Colour, OptionalNode};

use crate::{
    comfy::{Comfy, OutputFile, frames},
    fetch::FetchError,
    files,
    images::{self, BadInput},
};

/// The walked table: name and limit.
fn rows() -> Vec<(String, u64)> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/limits.md");
    let text = std::fs::read_to_string(path).unwrap();
    let (_, table) = text.split_once("# The worker's").unwrap();
    let rows = table.lines().filter_map(|line| {
        let (name, rest) = line.strip_prefix("| `")?.split_once("` | ")?;
        let (most, _) = rest.split_once(" |")?;
        Some((name.to_owned(), most.parse().expect("a number")))
    });
    rows.collect()
}

const CASES: [&str; 10] = [
    "input_blob",
    "input_side",
    "input_pixels",
    "all_pixels",
    "output_bytes",
    "output_blob",
    "model_header",
    "comfy_answer",
    "comfy_description",
    "comfy_frame",
];

/// A ComfyUI that announces so many bytes, whatever it is asked, and sends none of them.
async fn announcing(bytes: u64) -> Comfy {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            // Unread, it would break the connection before the answer is read.
            if socket.read(&mut [0; 4096]).await.unwrap_or_default() == 0 {
                continue;
            }
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {bytes}\r\n\r\n");
            socket.write_all(head.as_bytes()).await.ok();
        }
    });
    Comfy::new(reqwest::Client::new(), &format!("http://{address}"))
}

fn too_large(error: &crate::comfy::ComfyError) -> bool {
    matches!(error, crate::comfy::ComfyError::Read(FetchError::TooLarge { .. }))
}

/// A PNG that says of itself that it is so large.
fn png(width: u64, height: u64) -> Vec<u8> {
    let mut bytes = Cursor::new(vec![]);
    RgbImage::new(1, 1).write_to(&mut bytes, ImageFormat::Png).unwrap();
    let mut bytes = bytes.into_inner();
    bytes[16..20].copy_from_slice(&(width as u32).to_be_bytes());
    bytes[20..24].copy_from_slice(&(height as u32).to_be_bytes());
    let crc = bytes[12..29].iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            (crc >> 1) ^ if crc & 1 == 1 { 0xedb8_8320 } else { 0 }
        })
    });
    bytes[29..33].copy_from_slice(&(!crc).to_be_bytes());
    bytes
}

fn is_looked_at(width: u64, height: u64) -> bool {
    let read = images::read_picture(&png(width, height), 0, None, Colour::WHITE);
    assert!(read.is_err(), "its data are missing");
    !matches!(read, Err(BadInput::TooManyPixels { .. }))
}

/// Whether so much goes through.
async fn goes_through(name: &str, n: u64) -> bool {
    let run = RunId::new(Uuid::nil());
    match name {
        "input_blob" => {
            let blob = InputBlob {
                base64: None,
                key: None,
                etag: None,
                offsets: vec![0],
                size: n,
            };
            images::limit(&blob).is_ok()
        }
        "input_side" => is_looked_at(n, 1),
        // One pixel more than a square of these cannot be written as sides; one line more can.
        "input_pixels" => is_looked_at(8192, n.div_ceil(8192)),
        "all_pixels" => images::count(n - 4096, (4096, 1)).is_ok(),
        "output_bytes" => images::decoding().reserve(n).is_ok(),
        "output_blob" => {
            let file = OutputFile {
                filename: "x.png".to_owned(),
                subfolder: String::new(),
                folder: "output".to_owned(),
            };
            let limit = crate::render::MAX_PICTURES;
            !too_large(&announcing(n).await.view(&file, limit).await.unwrap_err())
        }
        "model_header" => {
            let start = [&n.to_le_bytes()[..], b"{}"].concat();
            let header = Read::chain(&start[..], Read::take(repeat(b' '), n - 2));
            files::begin(header, 8 + n).is_ok()
        }
        "comfy_answer" => !too_large(&announcing(n).await.history(run).await.unwrap_err()),
        "comfy_description" => {
            let node = OptionalNode {
                class: "X",
                pack: "x",
                inputs: &[],
            };
            !too_large(&announcing(n).await.has_node(&node).await.unwrap_err())
        }
        "comfy_frame" => {
            let head = [&[0x82, 127][..], &n.to_be_bytes()].concat();
            let mut socket = WebSocket::from_raw_socket(Cursor::new(head), Role::Client, Some(frames()));
            !matches!(socket.read(), Err(Error::Capacity(_)))
        }
        other => panic!("no test for the limit {other}"),
    }
}

#[tokio::test]
async fn every_limit_of_the_workers_table_holds_to_the_last_byte() {
    let rows = rows();
    let names: Vec<_> = rows.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, CASES, "rows of docs/limits.md, and their tests");
    let mut wrong = Vec::new();
    for (name, most) in &rows {
        let found = [goes_through(name, *most).await, goes_through(name, *most + 1).await];
        if found != [true, false] {
            wrong.push((name, found));
        }
    }
    assert!(
        wrong.is_empty(),
        "[as much as is allowed, one more] that goes through: {wrong:?}"
    );
}

#[test]
fn the_png_of_these_tests_is_one() {
    assert!(images::read_picture(&png(1, 1), 0, None, Colour::WHITE).is_ok());
}

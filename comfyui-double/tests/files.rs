//! Uploads and views follow ComfyUI's rules of names.

#![allow(clippy::unwrap_used, reason = "a test may fail loudly, its helpers too")]

mod common;

use common::{VERSIONS, get, http, png, post_graph, run, tiny, upload};
use serde_json::json;

fn picture(red: u8) -> Vec<u8> {
    png(&image::RgbaImage::from_pixel(24, 16, image::Rgba([red, 100, 50, 128])).into())
}

#[tokio::test]
async fn names_of_uploads() {
    type Fields = &'static [(&'static str, &'static str)];

    let double = tiny().start().await.unwrap();
    let url = double.url();
    let (one, two) = (picture(1), picture(2));
    let named = |name: &str, subfolder: &str, area: &str| json!({ "name": name, "subfolder": subfolder, "type": area });
    let cases: &[(&str, &[u8], Fields, _)] = &[
        ("up.png", &one, &[], named("up.png", "", "input")),
        ("up.png", &one, &[], named("up.png", "", "input")),
        ("up.png", &two, &[], named("up (1).png", "", "input")),
        ("up.png", &two, &[("overwrite", "true")], named("up.png", "", "input")),
        (
            "s.png",
            &one,
            &[("subfolder", "tasks/t-1"), ("type", "input")],
            named("s.png", "tasks/t-1", "input"),
        ),
        ("t.png", &one, &[("type", "temp")], named("t.png", "", "temp")),
        ("o.png", &one, &[("type", "output")], named("o.png", "", "output")),
        ("bad.png", b"hello", &[], named("bad.png", "", "input")),
    ];
    for (name, bytes, fields, wanted) in cases {
        assert_eq!(
            upload(&url, name, bytes, fields).await,
            (200, wanted.clone()),
            "{name} {fields:?}"
        );
    }
    for (name, fields) in [
        ("s.png", [("subfolder", "../../x")]),
        ("s.png", [("subfolder", "/etc")]),
        ("../../evil.png", [("subfolder", "")]),
        ("s.png", [("type", "weird")]),
    ] {
        assert_eq!(upload(&url, name, &one, &fields).await.0, 400, "{name} {fields:?}");
    }
    let no_file = reqwest::multipart::Form::new().text("subfolder", "x");
    let reply = http()
        .post(format!("{url}/upload/image"))
        .multipart(no_file)
        .send()
        .await
        .unwrap();
    assert_eq!(reply.status(), 400);
    assert_eq!(double.stats().uploads, 8);
}

#[tokio::test]
async fn too_large_uploads() {
    let double = tiny().max_upload(1000).start().await.unwrap();
    let reply = upload(&double.url(), "big.png", &vec![0; 3_000_000], &[]).await;
    assert_eq!(reply, (413, json!("Maximum request body size 1000 exceeded.")));
    assert_eq!(upload(&double.url(), "small.png", &[0; 500], &[]).await.0, 200);
}

#[tokio::test]
async fn views() {
    let double = tiny().start().await.unwrap();
    let url = double.url();
    let bytes = picture(7);
    upload(&url, "source.png", &bytes, &[]).await;
    upload(&url, "s.png", &bytes, &[("subfolder", "tasks/t-1")]).await;
    let view = async |query: &str| {
        let reply = http().get(format!("{url}/view{query}")).send().await.unwrap();
        let status = reply.status().as_u16();
        let header = |name: &str| {
            reply
                .headers()
                .get(name)
                .map(|value| value.to_str().unwrap().to_owned())
        };
        let (kind, name) = (header("content-type"), header("content-disposition"));
        (status, kind.unwrap_or_default(), name, reply.bytes().await.unwrap())
    };
    let (status, kind, name, body) = view("?filename=source.png&type=input").await;
    assert_eq!(
        (status, kind.as_str(), body.as_ref()),
        (200, "image/png", bytes.as_slice())
    );
    assert_eq!(name.as_deref(), Some("filename=\"source.png\""));
    assert_eq!(view("?filename=s.png&type=input&subfolder=tasks/t-1").await.3, bytes);
    for (query, kind, alpha) in [
        ("preview=webp;90", "image/webp", true),
        ("preview=jpeg;80", "image/jpeg", false),
        ("channel=rgb", "image/png", false),
        ("channel=a", "image/png", true),
    ] {
        let (status, got, _, body) = view(&format!("?filename=source.png&type=input&{query}")).await;
        assert_eq!((status, got.as_str()), (200, kind), "{query}");
        let image = image::load_from_memory(&body).unwrap();
        assert_eq!((image.width(), image.color().has_alpha()), (24, alpha), "{query}");
    }
    for (query, wanted) in [
        ("?filename=source.png", 404),
        ("?filename=../../x&type=input", 400),
        ("?filename=/etc/passwd&type=input", 400),
        ("?filename=a.png&type=input&subfolder=../..", 403),
        ("?filename=nope.png&type=output", 404),
        ("?filename=a.png&type=weird", 400),
        ("?filename=", 400),
        ("", 404),
    ] {
        assert_eq!(view(query).await.0, wanted, "{query}");
    }
}

#[tokio::test]
async fn load_image_finds_uploads_and_refuses_corrupt_ones() {
    let graph = |name: &str| {
        json!({
            "1": { "class_type": "LoadImage", "inputs": { "image": name } },
            "2": { "class_type": "SaveImage", "inputs": { "images": ["1", 0], "filename_prefix": "x" } },
        })
        .to_string()
    };
    for (version, _) in VERSIONS {
        let double = tiny().version(version).start().await.unwrap();
        let url = double.url();
        upload(&url, "s.png", &picture(1), &[("subfolder", "tasks/t-1")]).await;
        upload(&url, "t.png", &picture(1), &[("type", "temp")]).await;
        upload(&url, "corrupt.png", b"hello", &[]).await;
        for name in ["tasks/t-1/s.png", "t.png [temp]"] {
            assert_eq!(
                run(&url, &graph(name)).await["status"]["status_str"],
                "success",
                "{name}"
            );
        }
        // 0.3.75 looks into the file at once, 0.33.0 when the node runs.
        if version == comfyui_double::Version::V0_3 {
            let (status, reply) = post_graph(&url, &graph("corrupt.png"), &json!({})).await;
            assert_eq!(status, 400);
            let error = &reply["node_errors"]["1"]["errors"][0];
            assert_eq!(error["type"], "custom_validation_failed");
            assert_eq!(error["details"], "image - Invalid image file: corrupt.png");
        } else {
            let entry = run(&url, &graph("corrupt.png")).await;
            let error = &entry["status"]["messages"][2];
            assert_eq!(error[0], "execution_error");
            assert_eq!(error[1]["exception_type"], "PIL.UnidentifiedImageError");
        }
        let listed = get(format!("{url}/object_info/LoadImage")).await;
        assert_eq!(
            listed["LoadImage"]["input"]["required"]["image"][0],
            json!(["corrupt.png"])
        );
    }
}

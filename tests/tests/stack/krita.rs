//! The real program: Krita under Xvfb, with a small extension of ours that calls, paints and applies as the plugin does.

use std::{fs, os::unix::fs::PermissionsExt, path::Path, time::Duration};

use anyhow::{Context, Result, ensure};
use image::{Rgb, RgbImage, RgbaImage};
use serde_json::{Value, json};
use tokio::{process::Child, time::timeout};

use crate::{desktop::Desktop, studio::Studio};

/// Krita starts in seconds; the captured requests take seconds each.
const LIMIT: Duration = Duration::from_secs(100);
/// The probe, and where it finds the captured requests.
const PROBE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/krita");
const WIRE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../workflow/tests/wire");
/// Enables the probe, as a click in Krita's settings would.
const SETTINGS: &str = "[python]\nenable_atelier_probe=true\n";
/// Instead of a browser: leaves the address for the test to open.
const BROWSER: &str = "#!/bin/sh\nprintf %s \"$1\" >\"$HOME/opening\" && mv \"$HOME/opening\" \"$HOME/opened\"\n";

/// Signs in, sends three captured requests with the canvas's own pixels, applies what comes as layers, and exports.
pub(crate) async fn paints(studio: Studio) -> Result<()> {
    let folder = tempfile::Builder::new().prefix("atelier-krita-").tempdir()?;
    let desktop = Desktop::open(folder.path()).await?;
    let painted = timeout(LIMIT, session(&studio, &desktop, folder.path()));
    let painted = painted
        .await
        .unwrap_or_else(|_| Err(anyhow::anyhow!("not done after {LIMIT:?}")));
    let painted = painted.and_then(|()| look(folder.path()));
    if painted.is_err() {
        let seen = desktop.screenshot(&folder.path().join("screen.png"));
        let kept = folder.keep();
        return painted.with_context(|| format!("logs and a screenshot ({seen:?}) are in {}", kept.display()));
    }
    let user = studio.painter.call("GET", "user", None).await?;
    ensure!(user.body["images_generated"] == 24, "{user:?}");
    Ok(())
}

async fn session(studio: &Studio, desktop: &Desktop, folder: &Path) -> Result<()> {
    let mut krita = start(studio, desktop, folder)?;
    let opened = async {
        loop {
            if let Ok(url) = fs::read_to_string(folder.join("opened")) {
                return url;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let url = tokio::select! {
        url = opened => url,
        ended = krita.wait() => anyhow::bail!("Krita ended before it opened the sign-in page: {ended:?}"),
    };
    studio.approve(&url).await?;
    let ended = krita.wait().await?;
    ensure!(ended.success(), "Krita ended with {ended}");
    Ok(())
}

/// Krita with a home of its own, in which the probe is enabled.
fn start(studio: &Studio, desktop: &Desktop, folder: &Path) -> Result<Child> {
    let plugins = folder.join("data/krita/pykrita");
    fs::create_dir_all(plugins.join("atelier_probe"))?;
    for file in [
        "atelier_probe.desktop",
        "atelier_probe/__init__.py",
        "atelier_probe/http.py",
        "atelier_probe/pixels.py",
    ] {
        fs::copy(Path::new(PROBE).join(file), plugins.join(file))?;
    }
    fs::create_dir_all(folder.join("config"))?;
    fs::write(folder.join("config/kritarc"), SETTINGS)?;
    let (programs, browser) = (folder.join("bin"), folder.join("bin/xdg-open"));
    fs::create_dir(&programs)?;
    fs::write(&browser, BROWSER)?;
    fs::set_permissions(&browser, fs::Permissions::from_mode(0o755))?;
    let log = fs::File::create(folder.join("krita.log"))?;
    let mut command = desktop.command("krita");
    command
        .arg("--nosplash")
        .env("HOME", folder)
        .env("XDG_CONFIG_HOME", folder.join("config"))
        .env("XDG_DATA_HOME", folder.join("data"))
        .env("XDG_CACHE_HOME", folder.join("cache"))
        .env("XDG_RUNTIME_DIR", folder)
        .env("PATH", format!("{}:/usr/bin:/bin", programs.display()))
        .env("INTERSTICE_URL", &studio.painter.api)
        .env("INTERSTICE_WEB_URL", &studio.painter.api)
        .env("ATELIER_WIRE", WIRE)
        .env("ATELIER_PROBE", folder)
        .stderr(log.try_clone()?)
        .stdout(log);
    command.spawn().context("Krita cannot be started")
}

/// What Krita heard, and what it has made of it.
fn look(folder: &Path) -> Result<()> {
    let report: Value = serde_json::from_slice(&fs::read(folder.join("report.json"))?)?;
    ensure!(
        report["error"].is_null(),
        "{}",
        report["error"].as_str().unwrap_or_default()
    );
    ensure!(report["latest"] == json!({ "version": "1.53.0" }), "{report}");
    ensure!(
        report["resources"]["checkpoints"]["dreamshaper_8.safetensors"].is_object(),
        "{report}"
    );
    let layers = json!(["Background", "01_generate", "02_refine", "03_inpaint"]);
    ensure!(report["layers"] == layers, "{report}");
    let jobs = report["jobs"].as_array().context("no jobs")?;
    ensure!(
        jobs.len() == 3 && jobs.iter().all(|job| job["pictures"] == 8),
        "{report}"
    );
    let said = |word| {
        jobs.iter()
            .any(|job| job["said"].as_array().is_some_and(|said| said.contains(&json!(word))))
    };
    ensure!(said("IN_QUEUE") && said("IN_PROGRESS"), "{report}");

    let open = |file: &str| image::open(folder.join(file)).with_context(|| file.to_owned());
    let (first, second, third) = (
        open("01_generate.png")?,
        open("02_refine.png")?,
        open("03_inpaint.png")?,
    );
    // Each request carried what the canvas showed then, as well as a JPEG can.
    for (sent, shown) in [("02_refine.jpg", &first), ("03_inpaint.jpg", &second)] {
        let apart = apart(&open(sent)?.into_rgb8(), &shown.to_rgb8())?;
        ensure!(apart.mean < 6.0, "{sent} differs from the canvas by {apart:?}");
    }
    let mut expected = second.to_rgb8();
    lay_over(&mut expected, &third.to_rgba8(), &jobs[2]["at"])?;
    let apart = apart(&open("canvas.png")?.into_rgb8(), &expected)?;
    ensure!(apart.most <= 2, "the exported canvas is not what came back: {apart:?}");
    ensure!(
        first != second && expected != second.to_rgb8(),
        "a request changed nothing"
    );
    let file = fs::read(folder.join("canvas.kra"))?;
    let kind = b"application/x-krita";
    ensure!(
        file.len() > 100 && file[..100].windows(kind.len()).any(|it| it == kind),
        "canvas.kra is no Krita file"
    );
    Ok(())
}

/// How far two pictures are apart, in steps of 255.
#[derive(Debug)]
struct Apart {
    mean: f64,
    most: u8,
}

fn apart(a: &RgbImage, b: &RgbImage) -> Result<Apart> {
    ensure!(
        a.dimensions() == b.dimensions(),
        "{:?} instead of {:?}",
        a.dimensions(),
        b.dimensions()
    );
    let steps = || a.iter().zip(b.iter()).map(|(a, b)| a.abs_diff(*b));
    Ok(Apart {
        mean: steps().map(f64::from).sum::<f64>() / a.len() as f64,
        most: steps().max().unwrap_or_default(),
    })
}

/// A layer on top of a canvas, as any painting program composes it.
fn lay_over(canvas: &mut RgbImage, layer: &RgbaImage, at: &Value) -> Result<()> {
    let [left, top]: [u32; 2] = serde_json::from_value(at.clone())?;
    for (x, y, over) in layer.enumerate_pixels() {
        let under = canvas.get_pixel_mut(left + x, top + y);
        let [red, green, blue, alpha] = over.0.map(f64::from);
        let share = alpha / 255.0;
        let mixed = |over: f64, under: u8| (over * share + f64::from(under) * (1.0 - share)).round() as u8;
        let [r, g, b] = under.0;
        *under = Rgb([mixed(red, r), mixed(green, g), mixed(blue, b)]);
    }
    Ok(())
}

//! A screen that nobody sees, for programs with windows.

use std::{fs, path::Path, process::Stdio};

use anyhow::{Context, Result, ensure};
use image::{Rgb, RgbImage};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
};

/// Xvfb's memory, which it keeps in a file of X's window dump format.
const SCREEN: &str = "Xvfb_screen0";

/// An X server; dropping it ends it.
pub(crate) struct Desktop {
    display: String,
    screen: std::path::PathBuf,
    _server: Child,
}

impl Desktop {
    /// Starts it on a free display.
    pub(crate) async fn open(folder: &Path) -> Result<Self> {
        let mut command = dying_with_us("Xvfb");
        command
            .args([
                "-displayfd",
                "1",
                "-nolisten",
                "tcp",
                // Krita connects to probe OpenGL, leaves, and comes back: it must not meet a server that starts anew.
                "-noreset",
                "-screen",
                "0",
                "1280x800x24",
                "-fbdir",
            ])
            .arg(folder)
            .stdout(Stdio::piped())
            .stderr(fs::File::create(folder.join("xvfb.log"))?);
        let mut server = command.spawn().context("Xvfb cannot be started")?;
        let number = BufReader::new(server.stdout.take().context("no output")?)
            .lines()
            .next_line()
            .await?;
        let number = number.context("Xvfb did not start; are krita, xvfb and python3-pyqt5 installed?")?;
        Ok(Self {
            display: format!(":{number}"),
            screen: folder.join(SCREEN),
            _server: server,
        })
    }

    /// A program on this screen, with nothing of our environment and no session bus to be found or started.
    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = dying_with_us(program);
        command
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("LANG", "C.UTF-8")
            .env("LIBGL_ALWAYS_SOFTWARE", "1")
            .env("DBUS_SESSION_BUS_ADDRESS", "unix:path=/nonexistent")
            .env("DISPLAY", &self.display);
        command
    }

    /// What is on the screen, as a picture file.
    pub(crate) fn screenshot(&self, out: &Path) -> Result<()> {
        let dump = fs::read(&self.screen)?;
        // Numbers of the window dump's header: its size, width, height, bytes of a line, colours after the header.
        let number = |index: usize| {
            let bytes = dump
                .get(index * 4..index * 4 + 4)
                .context("the screen's dump is cut off")?;
            anyhow::Ok(u32::from_be_bytes(bytes.try_into()?) as usize)
        };
        let (header, width, height, line, colours) = (number(0)?, number(4)?, number(5)?, number(12)?, number(19)?);
        let start = header + colours * 12;
        ensure!(dump.len() >= start + line * height, "the screen's dump is cut off");
        RgbImage::from_fn(width as u32, height as u32, |x, y| {
            let at = start + y as usize * line + x as usize * 4;
            Rgb([dump[at + 2], dump[at + 1], dump[at]])
        })
        .save(out)?;
        Ok(())
    }
}

/// It is killed when its handle is dropped, and also when we are killed ourselves.
fn dying_with_us(program: &str) -> Command {
    let mut command = Command::new("setpriv");
    command
        .args(["--pdeathsig", "KILL", program])
        .stdin(Stdio::null())
        .kill_on_drop(true);
    command
}

//! The whole worker, against ComfyUI's double always and against a real ComfyUI where `COMFYUI_URL` names one.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on says so by a panic")]

mod attack;
mod bench;
mod canvases;
mod claims;
mod cloud;
mod faults;
mod files;
mod host;
mod kinds;
mod loras;
mod models;
mod nodes;
mod owned;
mod pictures;
mod plans;
mod shipping;
mod stops;
mod studio;
mod uploads;

/// Each of these functions as a test with the double, and as one with the real server.
macro_rules! scenarios {
    ($($name:ident)*) => {
        mod double {
            $(#[tokio::test]
            async fn $name() {
                super::$name(crate::bench::Bench::double().await).await;
            })*
        }
        mod real {
            $(#[tokio::test]
            async fn $name() {
                if let Some(bench) = crate::bench::Bench::real().await {
                    super::$name(bench).await;
                }
            })*
        }
    };
}
pub(crate) use scenarios;

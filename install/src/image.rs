//! The machine image: which one to use, and making one.

use std::collections::BTreeSet;

use anyhow::Result;
use fleet::site::Image;

use crate::{aws::Aws, partition::Partition, program, release::Release};

/// The image to deploy with: the one that was asked for, or the newest of this release that is ready.
pub fn choose(images: &[Image], asked: Option<&str>, of: &Of<'_>) -> Option<String> {
    asked
        .map(str::to_owned)
        .or_else(|| newest(images, &BTreeSet::new(), of))
}

/// The newest of this release that is ready and was not there before.
pub fn newest(images: &[Image], before: &BTreeSet<String>, of: &Of<'_>) -> Option<String> {
    let fits =
        |it: &&Image| it.available && it.version == of.version && !of.other_worker(it) && !before.contains(&it.id);
    images.iter().rfind(fits).map(|it| it.id.clone())
}

/// The release that an image is to be of.
#[derive(Debug, Clone, Copy)]
pub struct Of<'a> {
    /// Its version.
    pub version: &'a str,
    /// SHA-256 of its worker's program, hex; none if it is not built yet.
    pub worker: Option<&'a str>,
}

impl Of<'_> {
    /// Whether the image is known to have another worker, which is the case where a release was made again under its version.
    pub fn other_worker(&self, image: &Image) -> bool {
        matches!((self.worker, &image.worker), (Some(own), Some(other)) if own != other)
    }

    /// What is to be said of an image that is used all the same.
    pub fn remark(&self, images: &[Image], id: &str) -> Option<String> {
        let other = images.iter().any(|it| it.id == id && self.other_worker(it));
        other.then(|| {
            format!("the machine image {id} has another worker than this release; `ops deploy --new-image` makes one with it")
        })
    }
}

/// The release that an image was built of, as far as that is known.
pub fn version(images: &[Image], id: &str) -> Option<String> {
    images.iter().find(|it| it.id == id).map(|it| it.version.clone())
}

/// Makes the release's image on a machine in this subnet, or in the default VPC; it is found by its tag afterwards.
pub async fn build(aws: &Aws, release: &Release, subnet: Option<&str>) -> Result<()> {
    let region = aws.region();
    let run = async |arguments: &[String]| program::run("packer", arguments, &release.image, region).await;
    run(&["init".to_owned(), ".".to_owned()]).await?;
    let variables = [
        format!("version={}", release.manifest.version),
        format!("worker={}", release.worker.display()),
        format!("worker_sha256={}", release.worker_sum),
        format!("region={region}"),
        format!("canonical={}", Partition::of(region).canonical()),
    ];
    let variables = variables.into_iter().chain(subnet.map(|it| format!("subnet={it}")));
    let variables = variables.flat_map(|it| ["-var".to_owned(), it]);
    let arguments: Vec<_> = ["build".to_owned()]
        .into_iter()
        .chain(variables)
        .chain([".".to_owned()])
        .collect();
    run(&arguments).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_ready_one_of_the_release_is_used() {
        let image = |id: &str, version: &str, available| Image {
            id: id.to_owned(),
            version: version.to_owned(),
            worker: Some(format!("worker of {id}")),
            made: String::new(),
            available,
            snapshots: Vec::new(),
            gib: 100,
        };
        let images = [
            image("a", "1", true),
            image("b", "1", true),
            image("c", "1", false),
            image("d", "2", true),
        ];
        let of = |version, worker| Of { version, worker };
        assert_eq!(choose(&images, None, &of("1", None)).as_deref(), Some("b"));
        assert_eq!(choose(&images, Some("x"), &of("1", None)).as_deref(), Some("x"));
        assert_eq!(choose(&images, None, &of("3", None)), None);
        let first = of("1", Some("worker of a"));
        assert_eq!(
            choose(&images, None, &first).as_deref(),
            Some("a"),
            "the other one has another worker"
        );
        assert!(first.remark(&images, "b").is_some() && first.remark(&images, "a").is_none());
        assert_eq!(first.remark(&images, "x"), None, "one of somebody else's");
        let before = BTreeSet::from(["b".to_owned(), "a".to_owned()]);
        assert_eq!(
            newest(&images, &before, &of("1", None)),
            None,
            "the one that is new is not ready"
        );
        assert_eq!(version(&images, "d").as_deref(), Some("2"));
    }
}

//! The machine image: which one to use, and making one.

use std::collections::BTreeSet;

use anyhow::Result;
use fleet::site::Image;

use crate::{aws::Aws, program, release::Release};

/// The image to deploy with: the one that was asked for, or the newest of this release that is ready.
pub fn choose(images: &[Image], asked: Option<&str>, version: &str) -> Option<String> {
    asked
        .map(str::to_owned)
        .or_else(|| newest(images, &BTreeSet::new(), version))
}

/// The newest of this release that is ready and was not there before.
pub fn newest(images: &[Image], before: &BTreeSet<String>, version: &str) -> Option<String> {
    let fits = |it: &&Image| it.available && it.version == version && !before.contains(&it.id);
    images.iter().rfind(fits).map(|it| it.id.clone())
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
        format!("region={region}"),
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
        assert_eq!(choose(&images, None, "1").as_deref(), Some("b"));
        assert_eq!(choose(&images, Some("x"), "1").as_deref(), Some("x"));
        assert_eq!(choose(&images, None, "3"), None);
        let before = BTreeSet::from(["b".to_owned(), "a".to_owned()]);
        assert_eq!(newest(&images, &before, "1"), None, "the one that is new is not ready");
        assert_eq!(version(&images, "d").as_deref(), Some("2"));
    }
}

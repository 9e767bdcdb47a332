//! Every image is pinned by digest, our own and others'.

use super::Bench;
use crate::oci::Digest;

pub(super) fn check(bench: &mut Bench<'_>) {
    for pod in bench.pods() {
        for container in pod.containers() {
            let image = container.text("/image");
            if is_pinned(image) || (bench.facts.unreleased && ours(bench, image).is_some()) {
                continue;
            }
            let fix = match ours(bench, image) {
                Some(_) => "cargo xtask pin VERSION, with a version that is released",
                None => "cargo xtask pin --external, or write its digest behind the tag",
            };
            let path = format!("{}/image", container.path);
            bench.report(pod.object, &path, format!("image {image} is not pinned by digest"), fix);
        }
    }
}

fn is_pinned(image: &str) -> bool {
    image.split_once('@').is_some_and(|(_, digest)| digest.parse::<Digest>().is_ok())
}

/// The name in `[images]` of an image of ours.
pub(super) fn ours<'a>(bench: &Bench<'a>, image: &str) -> Option<&'a str> {
    let name = image.split_once('@').map_or(image, |(name, _)| name);
    let name = match name.rsplit_once(':') {
        Some((before, after)) if !after.contains('/') => before,
        _ => name,
    };
    let is =
        |repository: &str| name.strip_suffix(repository).is_some_and(|rest| rest.is_empty() || rest.ends_with('/'));
    bench.facts.images.iter().find(|(_, repository)| is(repository)).map(|(name, _)| name.as_str())
}

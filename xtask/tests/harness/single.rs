//! One platform of an image in a layout of its own: scanners can't be told which of several to take out of a layout.

use std::path::Path;

use serde_json::Value;

use super::read_json;

/// Makes `to` a layout that lists only what the tag `v1.2.0` of `layout` has for `platform`; blobs are linked.
pub(crate) fn platform(layout: &Path, platform: &str, to: &Path) {
    let listed = read_json(&layout.join("index.json"));
    let find = |index: &Value, wanted: &dyn Fn(&Value) -> bool| -> Value {
        let entries = index["manifests"].as_array().expect("an index has manifests");
        entries.iter().find(|entry| wanted(entry)).expect("it is listed").clone()
    };
    let tagged = find(&listed, &|entry| entry["annotations"]["org.opencontainers.image.ref.name"] == "v1.2.0");
    let digest = tagged["digest"].as_str().expect("a digest");
    let index = read_json(&layout.join("blobs/sha256").join(&digest["sha256:".len()..]));
    let name = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let is = |entry: &Value| {
        format!("{}/{}", name(&entry["platform"]["os"]), name(&entry["platform"]["architecture"])) == platform
    };
    let single = serde_json::json!({ "schemaVersion": 2, "manifests": [find(&index, &is)] });
    std::fs::create_dir_all(to).expect("the folder can be made");
    std::fs::write(to.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).expect("the file can be written");
    std::fs::write(to.join("index.json"), single.to_string()).expect("the file can be written");
    std::os::unix::fs::symlink(layout.join("blobs"), to.join("blobs")).expect("the blobs can be linked");
}

use super::*;
use crate::oci::spec::Manifest;

fn artifact(layout: &Layout, content: &[u8], subject: Option<&Document>) -> Result<Document> {
    let blob = Document { descriptor: Descriptor::of("text/plain", content), bytes: content.to_vec() };
    layout.store().put(&blob)?;
    let manifest = Manifest {
        schema_version: 2,
        media_type: media::MANIFEST.into(),
        artifact_type: Some("application/x-test".into()),
        config: blob.descriptor.clone(),
        layers: vec![blob.descriptor],
        subject: subject.map(|s| s.descriptor.clone()),
        annotations: Annotations::from([("note".into(), "kept".into())]),
    };
    Document::new(media::MANIFEST, &manifest)
}

fn listed(layout: &Layout) -> Result<Vec<(Option<String>, Digest)>> {
    Ok(layout.index()?.manifests.iter().map(|e| (tag_of(e).map(Into::into), e.digest)).collect())
}

#[test]
fn the_files_are_those_of_the_specification() -> Result<()> {
    let folder = tempfile::tempdir().unwrap();
    let layout = Layout::create(folder.path())?;
    let document = artifact(&layout, b"one", None)?;
    layout.add_manifest(&document)?;
    layout.set_tag("v1", &document)?;
    let json =
        |name: &str| serde_json::from_slice::<serde_json::Value>(&std::fs::read(folder.path().join(name)).unwrap());
    assert_eq!(json("oci-layout").unwrap()["imageLayoutVersion"], "1.0.0");
    let index = json("index.json").unwrap();
    assert_eq!(index["schemaVersion"], 2);
    assert_eq!(index["manifests"][0]["annotations"]["org.opencontainers.image.ref.name"], "v1");
    assert_eq!(index["manifests"][0]["digest"], document.descriptor.digest.to_string());
    assert!(folder.path().join("blobs/sha256").join(document.descriptor.digest.hex()).is_file());
    Ok(())
}

#[test]
fn a_moved_tag_leaves_what_it_named_listed_and_nothing_is_listed_twice() -> Result<()> {
    let folder = tempfile::tempdir().unwrap();
    let layout = Layout::create(folder.path())?;
    let (old, new) = (artifact(&layout, b"old", None)?, artifact(&layout, b"new", None)?);
    for document in [&old, &new, &old] {
        layout.add_manifest(document)?;
    }
    layout.set_tag("latest", &old)?;
    layout.set_tag("latest", &old)?;
    layout.set_tag("latest", &new)?;
    let (old, new) = (old.descriptor.digest, new.descriptor.digest);
    assert_eq!(listed(&layout)?, [(Some("latest".into()), new), (None, old)]);
    assert_eq!(layout.resolve("latest")?.map(|d| d.digest), Some(new));
    assert_eq!(layout.resolve("v1")?, None);
    assert!(layout.manifest(&old)?.is_some());
    Ok(())
}

#[test]
fn the_same_content_gives_the_same_index_in_any_order() -> Result<()> {
    let write = |order: [usize; 3]| -> Result<Vec<u8>> {
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout::create(folder.path())?;
        for at in order {
            let document = artifact(&layout, &[at as u8], None)?;
            layout.add_manifest(&document)?;
            if at > 0 {
                layout.set_tag(["", "b", "a"][at], &document)?;
            }
        }
        Ok(std::fs::read(folder.path().join("index.json")).unwrap())
    };
    assert_eq!(write([0, 1, 2])?, write([2, 0, 1])?);
    Ok(())
}

#[test]
fn a_manifest_whose_parts_are_missing_is_refused_and_so_is_its_tag() -> Result<()> {
    let (folder, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let layout = Layout::create(folder.path())?;
    let foreign = artifact(&Layout::create(other.path())?, b"elsewhere", None)?;
    for refused in [layout.add_manifest(&foreign), layout.set_tag("v1", &foreign)] {
        assert!(refused.unwrap_err().to_string().contains("isn't there"));
    }
    let unlisted = artifact(&layout, b"blob only", None)?;
    assert!(layout.set_tag("v1", &unlisted).is_err());
    assert_eq!(layout.tags()?, Vec::<String>::new());
    Ok(())
}

#[test]
fn referrers_are_found_with_their_type_and_annotations() -> Result<()> {
    let folder = tempfile::tempdir().unwrap();
    let layout = Layout::create(folder.path())?;
    let subject = artifact(&layout, b"subject", None)?;
    let referrer = artifact(&layout, b"about it", Some(&subject))?;
    layout.add_manifest(&subject)?;
    layout.add_manifest(&referrer)?;
    let found = layout.referrers(&subject.descriptor.digest)?;
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].digest, referrer.descriptor.digest);
    assert_eq!(found[0].artifact_type.as_deref(), Some("application/x-test"));
    assert_eq!(found[0].annotations["note"], "kept");
    Ok(())
}

#[test]
fn a_damaged_index_is_an_error_that_names_the_file() -> Result<()> {
    let folder = tempfile::tempdir().unwrap();
    let layout = Layout::create(folder.path())?;
    let path = folder.path().join("index.json");
    for damage in [&b"{\"manifests\":"[..], b"", b"[]"] {
        std::fs::write(&path, damage).unwrap();
        let text = layout.tags().unwrap_err().to_string();
        assert!(text.contains(&path.display().to_string()) && text.contains("hint:"), "{text}");
    }
    Ok(())
}

#[test]
fn a_folder_that_is_no_layout_or_of_another_version_is_refused() -> Result<()> {
    let folder = tempfile::tempdir().unwrap();
    assert!(Layout::open(folder.path()).is_err());
    std::fs::write(folder.path().join("oci-layout"), br#"{"imageLayoutVersion":"2.0.0"}"#).unwrap();
    assert!(Layout::open(folder.path()).unwrap_err().to_string().contains("2.0.0"));
    Ok(())
}

#[test]
fn writers_on_many_threads_lose_no_tag() -> Result<()> {
    let folder = tempfile::tempdir().unwrap();
    let numbers: Vec<u8> = (0..24).collect();
    crate::pool::map(&numbers, 8, |n| {
        let layout = Layout::create(folder.path())?;
        let document = artifact(&layout, &[*n], None)?;
        layout.add_manifest(&document)?;
        layout.set_tag(&format!("t{n}"), &document)
    })?;
    assert_eq!(Layout::open(folder.path())?.tags()?.len(), numbers.len());
    Ok(())
}

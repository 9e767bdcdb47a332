//! A folder that is an OCI image layout (image-layout.md, 1.1): `oci-layout`, `index.json`, and the blobs.
//!
//! Takes documents whose blobs are in its [`Store`], gives them names. Every manifest is listed in `index.json`, tagged
//! or not, so that other tools find referrers. Edits are made under a lock and renamed into place; a tag never names
//! what isn't there.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::Digest;
use super::spec::{Annotations, Descriptor, Document, Index, annotation, media, parse};
use super::store::Store;
use crate::error::{Context, Error, Result};
use crate::fs;

/// The file that makes a folder a layout.
const MARKER: &str = "oci-layout";
/// The one layout version there is (image-layout.md, "oci-layout file").
const VERSION: &str = "1.0.0";
/// The largest marker read.
const MARKER_LIMIT: u64 = 4 << 10;
/// The largest `index.json` read: some 50,000 entries.
const INDEX_LIMIT: u64 = 16 << 20;
/// How long another process may hold the lock. An edit takes milliseconds, and a dead process holds nothing.
const LOCK_LIMIT: Duration = Duration::from_secs(30);
/// How often a held lock is tried again.
const LOCK_PAUSE: Duration = Duration::from_millis(2);

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Marker {
    image_layout_version: String,
}

/// What any manifest or index has that matters here.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Links {
    media_type: Option<String>,
    artifact_type: Option<String>,
    config: Option<Descriptor>,
    #[serde(default)]
    layers: Vec<Descriptor>,
    #[serde(default)]
    manifests: Vec<Descriptor>,
    subject: Option<Descriptor>,
    #[serde(default)]
    annotations: Annotations,
}

impl Links {
    fn of(digest: &Digest, bytes: &[u8]) -> Result<Links> {
        parse(&format!("manifest {digest}"), bytes)
    }

    /// The document's own word, else what its shape says (media types are optional in both documents).
    fn media_type(&self) -> &str {
        let by_shape = if self.config.is_some() { media::MANIFEST } else { media::INDEX };
        self.media_type.as_deref().unwrap_or(by_shape)
    }

    /// For an artifact, what it is: its artifact type, else its config's media type (distribution spec, "Listing
    /// Referrers").
    fn artifact_type(&self) -> Option<String> {
        let config = self.config.as_ref().map(|c| c.media_type.clone());
        self.artifact_type.clone().or(config).filter(|t| t != media::CONFIG)
    }

    fn children(&self) -> impl Iterator<Item = &Descriptor> {
        self.config.iter().chain(&self.layers).chain(&self.manifests)
    }
}

/// A layout on disk.
#[derive(Clone, Debug)]
pub struct Layout {
    store: Store,
}

impl Layout {
    /// The layout at `root`, made when there is none.
    pub fn create(root: impl Into<PathBuf>) -> Result<Layout> {
        let root = root.into();
        if let Some(layout) = Layout::find(&root)? {
            return Ok(layout);
        }
        let marker = serde_json::to_vec(&Marker { image_layout_version: VERSION.into() });
        fs::write(&root.join(MARKER), &marker.attempt(|| format!("write {MARKER}"))?)?;
        let layout = Layout { store: Store::new(root) };
        layout.edit(|_| ())?;
        Ok(layout)
    }

    /// The layout at `root`, which must be there.
    pub fn open(root: impl Into<PathBuf>) -> Result<Layout> {
        let root = root.into();
        let missing = || Error::failed(format!("{} is not an OCI layout: it has no {MARKER}", root.display()));
        Layout::find(&root)?.ok_or_else(missing)
    }

    /// The layout at `root`; `None` when there is none.
    pub fn find(root: &Path) -> Result<Option<Layout>> {
        let path = root.join(MARKER);
        if !path.try_exists().attempt(|| format!("look for {}", path.display()))? {
            return Ok(None);
        }
        let marker: Marker = parse(&path.display().to_string(), &fs::read_small(&path, MARKER_LIMIT)?)?;
        match marker.image_layout_version.as_str() {
            VERSION => Ok(Some(Layout { store: Store::new(root) })),
            other => Err(Error::failed(format!("{} has layout version `{other}`, not {VERSION}", path.display()))),
        }
    }

    /// Its blobs.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// What `index.json` lists.
    pub fn index(&self) -> Result<Index> {
        let path = self.index_path();
        // A layout whose making was interrupted has its marker only.
        if !path.try_exists().attempt(|| format!("look for {}", path.display()))? {
            let media_type = Some(media::INDEX.to_owned());
            return Ok(Index { schema_version: 2, media_type, manifests: Vec::new(), annotations: Annotations::new() });
        }
        let hint = "restore the file, or remove the layout's folder and publish into it again";
        parse(&path.display().to_string(), &fs::read_small(&path, INDEX_LIMIT)?).map_err(|e| e.hint(hint))
    }

    /// What `tag` names.
    pub fn resolve(&self, tag: &str) -> Result<Option<Descriptor>> {
        let entry = self.index()?.manifests.into_iter().find(|entry| tag_of(entry) == Some(tag));
        Ok(entry.map(untagged))
    }

    /// All tags, sorted.
    pub fn tags(&self) -> Result<Vec<String>> {
        let mut tags: Vec<String> = self.index()?.manifests.iter().filter_map(tag_of).map(Into::into).collect();
        tags.sort();
        tags.dedup();
        Ok(tags)
    }

    /// A manifest or index by digest, checked; `None` when it isn't there.
    pub fn manifest(&self, digest: &Digest) -> Result<Option<Document>> {
        let Ok(size) = std::fs::metadata(self.store.path(digest)).map(|m| m.len()) else { return Ok(None) };
        let bytes = self.store.read(&Descriptor::new(media::MANIFEST, *digest, size))?;
        let media_type = Links::of(digest, &bytes)?.media_type().to_owned();
        Ok(Some(Document { descriptor: Descriptor::new(&media_type, *digest, size), bytes }))
    }

    /// Stores a manifest or index and lists it. What it points at must be there, as registries want it too.
    pub fn add_manifest(&self, document: &Document) -> Result<()> {
        self.add_manifests(std::slice::from_ref(document))
    }

    /// The same for several, listed by one write.
    pub fn add_manifests(&self, documents: &[Document]) -> Result<()> {
        let mut added = Vec::new();
        for document in documents {
            added.push(self.entry(document)?);
            self.store.put(document)?;
        }
        match added.is_empty() {
            true => Ok(()),
            false => self.edit(|entries| entries.extend(added)),
        }
    }

    /// Makes `tag` name a manifest that is there. What it named before stays listed, untagged.
    pub fn set_tag(&self, tag: &str, document: &Document) -> Result<()> {
        let mut entry = self.entry(document)?;
        if !self.store.has(&entry.digest, entry.size) {
            let root = self.store.root().display();
            return Err(Error::failed(format!("failed to tag {} as {tag} in {root}: it isn't there", entry.digest)));
        }
        entry.annotations.insert(annotation::REF_NAME.into(), tag.into());
        self.edit(|entries| {
            for old in entries.iter_mut().filter(|old| tag_of(old) == Some(tag)) {
                old.annotations.remove(annotation::REF_NAME);
            }
            entries.push(entry);
        })
    }

    /// What refers to `subject`, each with its artifact type and annotations (distribution spec, "Listing Referrers").
    /// A listed document that can't be read refers to nothing: one that is damaged hides no other.
    pub fn referrers(&self, subject: &Digest) -> Result<Vec<Descriptor>> {
        let mut found = Vec::new();
        for entry in self.index()?.manifests {
            let read = self.store.read(&entry).and_then(|bytes| Links::of(&entry.digest, &bytes));
            let Ok(links) = read else { continue };
            let refers = links.subject.as_ref().is_some_and(|s| s.digest == *subject);
            if refers && found.iter().all(|f: &Descriptor| f.digest != entry.digest) {
                let artifact_type = links.artifact_type();
                found.push(Descriptor { artifact_type, annotations: links.annotations, ..untagged(entry) });
            }
        }
        Ok(found)
    }

    fn index_path(&self) -> PathBuf {
        self.store.root().join("index.json")
    }

    /// The document as `index.json` lists it, once everything it points at is known to be there. A subject may come
    /// later (manifest.md, "subject").
    fn entry(&self, document: &Document) -> Result<Descriptor> {
        let descriptor = &document.descriptor;
        let links = Links::of(&descriptor.digest, &document.bytes)?;
        if let Some(missing) = links.children().find(|child| !self.store.has(&child.digest, child.size)) {
            let root = self.store.root().display();
            let message = format!("failed to add {} to {root}: it points at {}", descriptor.digest, missing.digest);
            return Err(Error::failed(message).because("which isn't there"));
        }
        let mut entry = Descriptor::new(&descriptor.media_type, descriptor.digest, descriptor.size);
        entry.artifact_type = links.artifact_type();
        Ok(entry)
    }

    fn edit(&self, change: impl FnOnce(&mut Vec<Descriptor>)) -> Result<()> {
        let _lock = self.lock()?;
        let mut index = self.index()?;
        let before = index.manifests.clone();
        change(&mut index.manifests);
        normalise(&mut index.manifests);
        let path = self.index_path();
        if index.manifests == before && path.exists() {
            return Ok(());
        }
        fs::write(&path, &serde_json::to_vec(&index).attempt(|| format!("write {}", path.display()))?)
    }

    /// Held until dropped, or until the process ends in any way.
    fn lock(&self) -> Result<File> {
        let path = self.store.root().join(".lock");
        let attempt = || format!("lock {}", path.display());
        let file = File::options().create(true).truncate(false).write(true).open(&path).attempt(attempt)?;
        let start = Instant::now();
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(file),
                Err(TryLockError::WouldBlock) if start.elapsed() < LOCK_LIMIT => std::thread::sleep(LOCK_PAUSE),
                Err(TryLockError::WouldBlock) => {
                    let limit = LOCK_LIMIT.as_secs();
                    return Err(format!("another process has held it for {limit} s")).attempt(attempt);
                }
                Err(TryLockError::Error(e)) => return Err(e).attempt(attempt),
            }
        }
    }
}

fn tag_of(entry: &Descriptor) -> Option<&str> {
    entry.annotations.get(annotation::REF_NAME).map(String::as_str)
}

fn untagged(mut entry: Descriptor) -> Descriptor {
    entry.annotations.remove(annotation::REF_NAME);
    entry
}

/// One order for one content: tags by name, then untagged entries by digest; an untagged entry only where no tag names
/// the same digest.
fn normalise(entries: &mut Vec<Descriptor>) {
    let tagged: Vec<Digest> = entries.iter().filter(|e| tag_of(e).is_some()).map(|e| e.digest).collect();
    entries.retain(|e| tag_of(e).is_some() || !tagged.contains(&e.digest));
    entries.sort_by_cached_key(|e| (tag_of(e).is_none(), tag_of(e).map(str::to_owned), e.digest));
    entries.dedup_by(|a, b| tag_of(a) == tag_of(b) && a.digest == b.digest);
}

#[cfg(test)]
mod tests;

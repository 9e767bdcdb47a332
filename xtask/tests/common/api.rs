//! The distribution spec's endpoints.

use std::collections::BTreeSet;
use std::io::Read;
use std::sync::Arc;

use serde_json::{Value, json};
use xtask::oci::Digest;
use xtask::oci::spec::media;

use super::faults::{Cut, Faults};
use super::http::{Answer, BodyReader, Head, Outcome};
use super::state::{Contents, State, Upload};
use super::{access, lock};

const CHUNK: usize = 64 << 10;

/// Answers one request.
pub(super) fn handle(state: &State, head: &Head, body: &mut BodyReader<'_, '_>) -> Outcome {
    if lock(&state.faults).hang {
        return Outcome::Hang;
    }
    if let Some(answer) = refusal(state, head) {
        return Outcome::Answer(answer);
    }
    if head.path == "/token" {
        return whole(body).map_or(Outcome::Cut, |bytes| Outcome::Answer(access::token(state, head, &bytes)));
    }
    let outcome = route(state, head, body).unwrap_or_else(|| Outcome::Answer(Answer::error(404, "UNSUPPORTED")));
    match outcome {
        Outcome::Answer(answer) if head.method == "GET" && !head.path.contains("/blobs/") => {
            let mut faults = lock(&state.faults);
            let cut = faults.cut_documents.as_mut().and_then(|cut| Faults::take(&mut cut.times).then_some(cut.at));
            Outcome::Answer(Answer { cut, ..answer })
        }
        outcome => outcome,
    }
}

fn refusal(state: &State, head: &Head) -> Option<Answer> {
    let mut faults = lock(&state.faults);
    let matching =
        faults.refusals.iter_mut().find(|r| r.method == head.method && head.path.contains(r.path) && r.times > 0);
    if let Some(refusal) = matching {
        refusal.times -= 1;
        let answer = Answer::error(refusal.status, "DENIED");
        return Some(match refusal.retry_after {
            Some(after) => answer.with("Retry-After", after),
            None => answer,
        });
    }
    if faults.no_head && head.method == "HEAD" {
        return Some(Answer::error(405, "UNSUPPORTED"));
    }
    let too_large = faults.largest_body.is_some_and(|largest| head.length > largest);
    too_large.then(|| Answer { rude: faults.rude, ..Answer::error(413, "SIZE_INVALID") })
}

fn route(state: &State, head: &Head, body: &mut BodyReader<'_, '_>) -> Option<Outcome> {
    let path = head.path.strip_prefix("/v2/")?;
    if path.is_empty() {
        return Some(Outcome::Answer(access::check(state, head, &[]).unwrap_or_else(|| Answer::new(200))));
    }
    let split = |middle: &str| path.rsplit_once(middle);
    let (repository, rest, kind) = None
        .or_else(|| split("/blobs/uploads/").map(|(repository, rest)| (repository, rest, "uploads")))
        .or_else(|| split("/blobs/").map(|(repository, rest)| (repository, rest, "blobs")))
        .or_else(|| split("/manifests/").map(|(repository, rest)| (repository, rest, "manifests")))
        .or_else(|| split("/referrers/").map(|(repository, rest)| (repository, rest, "referrers")))
        .or_else(|| path.strip_suffix("/tags/list").map(|repository| (repository, "", "tags")))?;
    let mut need = vec![(
        repository,
        if matches!(head.method.as_str(), "GET" | "HEAD") && kind != "uploads" { "pull" } else { "push" },
    )];
    need.extend(head.query.get("from").filter(|_| kind == "uploads").map(|from| (from.as_str(), "pull")));
    let at_storage = head.header("host") == Some(lock(&state.storage).as_str());
    if let Some(answer) = access::check(state, head, &need).filter(|_| !at_storage) {
        return Some(Outcome::Answer(answer));
    }
    Some(match (kind, head.method.as_str()) {
        ("uploads", "POST") => Outcome::Answer(start(state, head, repository)),
        ("uploads", "GET") => Outcome::Answer(status(state, head, repository, rest)),
        ("uploads", "DELETE") => Outcome::Answer(cancel(state, rest)),
        ("uploads", "PATCH" | "PUT") => upload(state, head, repository, rest, body),
        ("blobs", "GET" | "HEAD") => Outcome::Answer(blob(state, head, repository, rest, at_storage)),
        ("manifests", "GET" | "HEAD") => Outcome::Answer(manifest(state, repository, rest)),
        ("manifests", "PUT") => match whole(body) {
            Some(bytes) => done(state, put_manifest(state, head, repository, rest, bytes)),
            None => Outcome::Cut,
        },
        ("tags", "GET") => Outcome::Answer(tags(state, head, repository)),
        ("referrers", "GET") => Outcome::Answer(referrers(state, head, repository, rest)),
        _ => Outcome::Answer(Answer::error(405, "UNSUPPORTED")),
    })
}

/// The answer, unless answers are being lost.
fn done(state: &State, answer: Answer) -> Outcome {
    match answer.status == 201 && Faults::take(&mut lock(&state.faults).lose_answers) {
        true => Outcome::Cut,
        false => Outcome::Answer(answer),
    }
}

fn whole(body: &mut BodyReader<'_, '_>) -> Option<Vec<u8>> {
    let (mut bytes, length) = (Vec::new(), body.limit());
    body.read_to_end(&mut bytes).ok()?;
    (bytes.len() as u64 == length).then_some(bytes)
}

fn contents<T>(state: &State, repository: &str, look: impl FnOnce(&Contents) -> T) -> Option<T> {
    lock(&state.repositories).get(repository).map(look)
}

fn start(state: &State, head: &Head, repository: &str) -> Answer {
    let faults = lock(&state.faults).clone();
    if let (Some(digest), Some(from), false) = (head.query.get("mount"), head.query.get("from"), faults.no_mount) {
        let digest: Option<Digest> = digest.parse().ok();
        let blob = digest
            .and_then(|digest| contents(state, from, |c| c.blobs.get(&digest).cloned())?.map(|blob| (digest, blob)));
        if let Some((digest, blob)) = blob {
            lock(&state.repositories).entry(repository.into()).or_default().blobs.insert(digest, blob);
            return Answer::new(201).with("Location", format!("/v2/{repository}/blobs/{digest}"));
        }
    }
    let id = state.number();
    lock(&state.uploads).insert(id, Upload { repository: repository.into(), bytes: Vec::new(), step: 0 });
    let answer = Answer::new(202);
    let answer = match faults.least_chunk {
        Some(least) => answer.with("OCI-Chunk-Min-Length", least.to_string()),
        None => answer,
    };
    if faults.no_upload_location { answer } else { answer.with("Location", location(state, head, id)) }
}

fn location(state: &State, head: &Head, id: u64) -> String {
    let faults = lock(&state.faults).clone();
    let uploads = lock(&state.uploads);
    let (repository, step) = uploads.get(&id).map(|u| (u.repository.clone(), u.step)).unwrap_or_default();
    let path = format!("/v2/{repository}/blobs/uploads/{id}?_state={step}%2Fkept");
    match (faults.strange_location, faults.upload_to_storage, faults.absolute_location) {
        (true, _, _) => format!("ftp://{}{path}", head.header("host").unwrap_or_default()),
        (_, true, _) => format!("http://{}{path}", lock(&state.storage)),
        (_, _, true) => format!("http://{}{path}", head.header("host").unwrap_or_default()),
        _ => path,
    }
}

fn session(state: &State, head: &Head, repository: &str, id: &str) -> Option<(u64, Upload)> {
    let id = id.parse().ok()?;
    let upload = lock(&state.uploads).get(&id).cloned()?;
    let current = upload.repository == repository && head.query.get("_state") == Some(&format!("{}/kept", upload.step));
    current.then_some((id, upload))
}

fn status(state: &State, head: &Head, repository: &str, id: &str) -> Answer {
    // A status may be asked with an old URL: after a cut there is no other.
    let id: u64 = id.parse().unwrap_or(0);
    let Some(upload) = lock(&state.uploads).get(&id).cloned().filter(|u| u.repository == repository) else {
        return Answer::error(404, "BLOB_UPLOAD_UNKNOWN");
    };
    let range = format!("0-{}", upload.bytes.len().saturating_sub(1));
    Answer::new(204).with("Range", range).with("Location", location(state, head, id))
}

fn cancel(state: &State, id: &str) -> Answer {
    let removed = id.parse().ok().and_then(|id: u64| lock(&state.uploads).remove(&id));
    if removed.is_some() { Answer::new(204) } else { Answer::error(404, "BLOB_UPLOAD_UNKNOWN") }
}

fn upload(state: &State, head: &Head, repository: &str, id: &str, body: &mut BodyReader<'_, '_>) -> Outcome {
    let Some((id, upload)) = session(state, head, repository, id) else {
        return Outcome::Answer(Answer::error(404, "BLOB_UPLOAD_UNKNOWN"));
    };
    let faults = lock(&state.faults).clone();
    if head.method == "PUT" && head.length > 0 && faults.only_chunks {
        return Outcome::Answer(Answer { rude: faults.rude, ..Answer::error(405, "UNSUPPORTED") });
    }
    let at = upload.bytes.len() as u64;
    let begins = head.header("content-range").and_then(|range| range.split('-').next()?.parse::<u64>().ok());
    if begins.is_some_and(|begins| begins != at) {
        return Outcome::Answer(Answer::error(416, "BLOB_UPLOAD_INVALID"));
    }
    match receive(state, id, body) {
        Received::All => {}
        Received::Cut => return Outcome::Cut,
        Received::Hang => return Outcome::Hang,
    }
    if head.method == "PATCH" {
        lock(&state.uploads).entry(id).and_modify(|u| u.step += 1);
        let range = format!("0-{}", at + head.length.saturating_sub(1));
        return Outcome::Answer(Answer::new(202).with("Range", range).with("Location", location(state, head, id)));
    }
    done(state, finish(state, head, repository, id))
}

enum Received {
    All,
    Cut,
    Hang,
}

fn receive(state: &State, id: u64, body: &mut BodyReader<'_, '_>) -> Received {
    let mut total = 0;
    let mut buffer = vec![0; CHUNK];
    while body.limit() > 0 {
        let faults = lock(&state.faults).clone();
        if faults.hang_upload.is_some_and(|at| total >= at) {
            return Received::Hang;
        }
        let cut = faults.cut_upload.filter(|cut| cut.times > 0);
        if cut.is_some_and(|cut| total >= cut.at) {
            lock(&state.faults).cut_upload = cut.map(|cut| Cut { times: cut.times - 1, ..cut });
            if faults.no_resume {
                lock(&state.uploads).remove(&id);
            }
            return Received::Cut;
        }
        let most = cut.map_or(u64::MAX, |cut| cut.at - total).min(CHUNK as u64);
        let part = buffer.get_mut(..usize::try_from(most).unwrap_or(CHUNK)).unwrap_or_default();
        let Ok(n) = body.read(part) else { return Received::Cut };
        if n == 0 {
            return Received::Cut;
        }
        total += n as u64;
        lock(&state.uploads).entry(id).and_modify(|u| u.bytes.extend_from_slice(part.get(..n).unwrap_or_default()));
    }
    Received::All
}

fn finish(state: &State, head: &Head, repository: &str, id: u64) -> Answer {
    let Some(upload) = lock(&state.uploads).remove(&id) else { return Answer::error(404, "BLOB_UPLOAD_UNKNOWN") };
    let digest = Digest::of(&upload.bytes);
    if head.query.get("digest") != Some(&digest.to_string()) {
        return Answer::error(400, "DIGEST_INVALID");
    }
    lock(&state.repositories).entry(repository.into()).or_default().blobs.insert(digest, Arc::new(upload.bytes));
    stored(state, &format!("/v2/{repository}/blobs/{digest}"), &digest)
}

fn stored(state: &State, location: &str, digest: &Digest) -> Answer {
    let no_location = lock(&state.faults).no_stored_location;
    let answer = claim(state, Answer::new(201), digest);
    if no_location { answer } else { answer.with("Location", location) }
}

fn claim(state: &State, answer: Answer, digest: &Digest) -> Answer {
    let faults = lock(&state.faults);
    match (faults.no_digest, faults.wrong_digest) {
        (true, _) => answer,
        (_, true) => answer.with("Docker-Content-Digest", Digest::of(b"something else").to_string()),
        _ => answer.with("Docker-Content-Digest", digest.to_string()),
    }
}

fn blob(state: &State, head: &Head, repository: &str, digest: &str, at_storage: bool) -> Answer {
    let found =
        digest.parse().ok().and_then(|digest: Digest| contents(state, repository, |c| c.blobs.get(&digest).cloned())?);
    let Some(mut bytes) = found else { return Answer::error(404, "BLOB_UNKNOWN") };
    let faults = lock(&state.faults).clone();
    if head.method == "GET" && faults.redirect_loop {
        return Answer::new(307).with("Location", head.target.clone());
    }
    if head.method == "GET" && faults.redirect_blobs && !at_storage {
        return Answer::new(307)
            .with("Location", format!("http://{}{}?signature=secret", lock(&state.storage), head.path));
    }
    if faults.alter_blobs {
        bytes = Arc::new(altered(&bytes));
    }
    let range = head
        .header("range")
        .filter(|_| !faults.ignore_range)
        .and_then(|range| range.strip_prefix("bytes=")?.strip_suffix('-'));
    let answer = match range.and_then(|from| from.parse::<usize>().ok()) {
        Some(from) => {
            let part = bytes.get(from..).unwrap_or_default().to_vec();
            let range = format!("bytes {from}-{}/{}", bytes.len().saturating_sub(1), bytes.len());
            Answer::new(206).with("Content-Range", range).body("application/octet-stream", part)
        }
        None => Answer::new(200).body("application/octet-stream", bytes),
    };
    let mut faults = lock(&state.faults);
    let cut = faults.cut_download.as_mut().filter(|_| head.method == "GET");
    let cut = cut.and_then(|cut| Faults::take(&mut cut.times).then_some(cut.at));
    Answer { cut, ..answer.with("Accept-Ranges", "bytes") }
}

/// With one bit of the last byte but one flipped: what is JSON stays JSON for most texts.
fn altered(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    let middle = bytes.len() / 2;
    if let Some(byte) = bytes.get_mut(middle) {
        *byte ^= 1;
    }
    bytes
}

fn manifest(state: &State, repository: &str, reference: &str) -> Answer {
    let found = contents(state, repository, |c| {
        let digest = reference.parse().ok().or_else(|| c.tags.get(reference).copied())?;
        c.manifests.get(&digest).cloned().map(|(media_type, bytes)| (digest, media_type, bytes))
    });
    let Some((digest, media_type, bytes)) = found.flatten() else { return Answer::error(404, "MANIFEST_UNKNOWN") };
    let faults = lock(&state.faults).clone();
    let bytes = if faults.alter_manifests { Arc::new(altered(&bytes)) } else { bytes };
    claim(state, Answer::new(200).body(faults.manifest_type.unwrap_or(&media_type), bytes), &digest)
}

fn put_manifest(state: &State, head: &Head, repository: &str, reference: &str, bytes: Vec<u8>) -> Answer {
    let digest = Digest::of(&bytes);
    let Ok(value) = serde_json::from_slice::<Value>(&bytes) else { return Answer::error(400, "MANIFEST_INVALID") };
    if reference.contains(':') && reference != digest.to_string() {
        return Answer::error(400, "DIGEST_INVALID");
    }
    if let Some(answer) =
        contents(state, repository, |c| missing(c, &value)).unwrap_or_else(|| missing(&Contents::default(), &value))
    {
        return answer;
    }
    let media_type = head.header("content-type").unwrap_or_default().to_owned();
    let tag = Some(reference).filter(|reference| !reference.contains(':'));
    let faults = lock(&state.faults).clone();
    state.seed_manifest(repository, &media_type, &bytes, tag);
    if tag.is_some_and(|tag| tag.starts_with("sha256-")) && Faults::take(&mut lock(&state.faults).clobber_fallback) {
        let empty = json!({"schemaVersion": 2, "mediaType": media::INDEX, "manifests": []}).to_string();
        state.seed_manifest(repository, media::INDEX, empty.as_bytes(), tag);
    }
    let answer = stored(state, &format!("/v2/{repository}/manifests/{digest}"), &digest);
    match value.pointer("/subject/digest").and_then(Value::as_str) {
        Some(subject) if !faults.no_referrers => answer.with("OCI-Subject", subject),
        _ => answer,
    }
}

/// Refuses a manifest whose parts are not there.
fn missing(contents: &Contents, value: &Value) -> Option<Answer> {
    let digest = |part: &Value| part.get("digest").and_then(Value::as_str).and_then(|text| text.parse::<Digest>().ok());
    let list = |name: &str| value.get(name).and_then(Value::as_array).cloned().unwrap_or_default();
    let blobs: BTreeSet<Digest> = list("layers").iter().chain(value.get("config")).filter_map(digest).collect();
    let children: BTreeSet<Digest> = list("manifests").iter().filter_map(digest).collect();
    if blobs.iter().any(|digest| !contents.blobs.contains_key(digest)) {
        return Some(Answer::error(404, "MANIFEST_BLOB_UNKNOWN"));
    }
    children
        .iter()
        .any(|digest| !contents.manifests.contains_key(digest))
        .then(|| Answer::error(404, "MANIFEST_UNKNOWN"))
}

fn tags(state: &State, head: &Head, repository: &str) -> Answer {
    let Some(all) = contents(state, repository, |c| c.tags.keys().cloned().collect::<Vec<_>>()) else {
        return Answer::error(404, "NAME_UNKNOWN");
    };
    let faults = lock(&state.faults).clone();
    let last = head.query.get("last").cloned().unwrap_or_default();
    let rest: Vec<String> = all.into_iter().filter(|tag| *tag > last).collect();
    let page: Vec<String> = rest.iter().take(faults.tag_page.unwrap_or(usize::MAX)).cloned().collect();
    let body = json!({"name": repository, "tags": if page.is_empty() { Value::Null } else { json!(page) }});
    let answer = Answer::new(200).body("application/json", body.to_string().into_bytes());
    let path = format!("/v2/{repository}/tags/list?n=1000");
    match page.last() {
        Some(last) if page.len() < rest.len() => answer.with("Link", format!("<{path}&last={last}>; rel=\"next\"")),
        _ if faults.tags_elsewhere => answer.with("Link", format!("<http://{}{path}>; rel=next", lock(&state.storage))),
        _ if faults.endless_tags => answer.with("Link", format!("<{path}>; rel=\"next\"")),
        _ => answer,
    }
}

fn referrers(state: &State, head: &Head, repository: &str, subject: &str) -> Answer {
    let faults = lock(&state.faults).clone();
    if faults.no_referrers {
        return Answer::error(404, "NOT_FOUND");
    }
    let found = contents(state, repository, |c| entries(c, subject)).unwrap_or_default();
    let wanted = head.query.get("artifactType").filter(|_| faults.filters_referrers);
    let found: Vec<Value> =
        found.into_iter().filter(|e| wanted.is_none_or(|w| e.get("artifactType") == Some(&json!(w)))).collect();
    let from: usize = head.query.get("from").and_then(|from| from.parse().ok()).unwrap_or(0);
    let length = faults.referrers_page.unwrap_or(usize::MAX);
    let page: Vec<&Value> = found.iter().skip(from).take(length).collect();
    let body = json!({"schemaVersion": 2, "mediaType": media::INDEX, "manifests": page});
    let answer = Answer::new(200).body(media::INDEX, body.to_string().into_bytes());
    let answer = if wanted.is_some() { answer.with("OCI-Filters-Applied", "artifactType") } else { answer };
    match from.saturating_add(length) < found.len() {
        true => answer.with("Link", format!("<{}?from={}>; rel=next", head.path, from + length)),
        false => answer,
    }
}

fn entries(contents: &Contents, subject: &str) -> Vec<Value> {
    let entry = |(digest, (media_type, bytes)): (&Digest, &(String, Arc<Vec<u8>>))| {
        let value: Value = serde_json::from_slice(bytes).ok()?;
        let refers = value.pointer("/subject/digest")?.as_str()? == subject;
        let artifact = value.get("artifactType").or_else(|| value.pointer("/config/mediaType")).cloned();
        let annotations = value.get("annotations").cloned().unwrap_or_else(|| json!({}));
        refers.then(|| {
            json!({"mediaType": media_type, "digest": digest.to_string(), "size": bytes.len(), "artifactType": artifact, "annotations": annotations})
        })
    };
    contents.manifests.iter().filter_map(entry).collect()
}

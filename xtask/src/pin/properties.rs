//! Manifests made at random, each fact about pinning checked on all of them.

use std::path::Path;

use saphyr_parser::{Event, Parser};

use super::*;
use crate::error::Result;

const CASES: u64 = 2_000;

/// A small deterministic generator (Steele, Lea, Flood: SplitMix64), so that a failing seed can be run again.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % limit as u64).unwrap_or(0)
    }

    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.below(from.len())]
    }
}

fn targets() -> [Target; 2] {
    ["goverse-node", "goverse-gate"].map(|repository| Target {
        repository: repository.to_owned(),
        reference: format!("ghcr.io/x/{repository}"),
        tag: "v1.2.0".to_owned(),
        digest: Digest::of(repository.as_bytes()),
    })
}

fn image(random: &mut Random) -> String {
    let registry = random.pick(&["", "ghcr.io/x/", "localhost:5000/", "r.example:443/a/b/"]);
    let name = random.pick(&["goverse-node", "goverse-gate", "nginx", "goverse-node-debug"]);
    let tag = random.pick(&["", ":v1", ":latest", "@sha256:00", ":v1.2.0@sha256:00"]);
    let image = format!("{registry}{name}{tag}");
    let quote = random.pick(&["", "", "'", "\""]);
    let anchor = match random.below(4) {
        0 => format!("&i{} ", random.below(3)),
        _ => String::new(),
    };
    format!("{anchor}{quote}{image}{quote}")
}

/// What may stand before, between and after the lines of a pod.
const NOISE: [&str; 8] = [
    "",
    "",
    "# 日本 goverse-node:v1",
    "# \ttab",
    "",
    "x-é: {image: 'goverse-node:v1'}",
    "y: |\n  image: goverse-node:v1\n\n  ü",
    "z: >-\n  a\n  b",
];

fn pod(random: &mut Random) -> String {
    let mut text = String::new();
    let line = |random: &mut Random, text: &mut String, content: &str| {
        text.push_str(content);
        text.push_str(random.pick(&["", "", " # ⇒ goverse-gate:v1", "\t# t"]));
        text.push('\n');
    };
    line(random, &mut text, random_kind(&mut Random(random.0)));
    line(random, &mut text, "spec:");
    for (n, list) in ["containers", "initContainers", "ephemeralContainers"].into_iter().enumerate() {
        if n > 0 && random.below(2) == 0 {
            continue;
        }
        let indent = random.pick(&["  ", "    "]);
        if random.below(3) == 0 {
            let (a, b) = (image(random), image(random));
            line(random, &mut text, &format!("  {list}: [{{image: {a}, name: ß}},{{name: b,image: {b} }}]"));
            continue;
        }
        line(random, &mut text, &format!("  {list}:"));
        for _ in 0..=random.below(3) {
            line(random, &mut text, &format!("{indent}- name: \"🎉\""));
            let image = image(random);
            line(random, &mut text, &format!("{indent}  image: {image}"));
        }
    }
    text
}

fn random_kind(random: &mut Random) -> &'static str {
    random.pick(&["kind: Pod", "kind: Deployment", "kind: Game"])
}

fn kustomization(random: &mut Random) -> String {
    let mut text = "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nimages:\n".to_owned();
    for _ in 0..=random.below(4) {
        let mut keys = vec![format!(
            "name: {}goverse-{}",
            random.pick(&["", "ghcr.io/x/"]),
            random.pick(&["node", "gate", "other"])
        )];
        for key in ["newName: localhost:5000/goverse-node", "newTag: 'v1'", "digest: sha256:00"] {
            if random.below(2) == 0 {
                keys.insert(random.below(keys.len() + 1), key.to_owned());
            }
        }
        let comment = random.pick(&["", " # ü"]);
        match random.below(3) {
            0 => text.push_str(&format!("- {{{}}}{comment}\n", keys.join(", "))),
            1 => text.push_str(&format!("- {}{comment}\n", keys.join(&format!("{comment}\n  ")))),
            _ => text.push_str(&format!("  -   {}\n", keys.join("\n      "))),
        }
    }
    // One indentation a list: what differs would be another structure.
    if text.contains("\n- ") { text.replace("\n  -   ", "\n- ").replace("\n      ", "\n  ") } else { text }
}

/// A file of several documents, in any line ending, with and without a byte order mark and a last line end.
fn file(random: &mut Random) -> String {
    let mut text = random.pick(&["", "---\n", "# é\n"]).to_owned();
    for n in 0..=random.below(3) {
        if n > 0 {
            text.push_str(random.pick(&["---\n", "--- # next\n", "...\n# ö\n---\n"]));
        }
        for _ in 0..random.below(3) {
            let noise = random.pick(&NOISE[..5]);
            text.push_str(&format!("{noise}\n"));
        }
        text.push_str(&if random.below(4) == 0 { kustomization(random) } else { pod(random) });
        if random.below(2) == 0 {
            let noise = random.pick(&NOISE[5..]);
            text.push_str(&format!("{noise}\n"));
        }
    }
    if random.below(3) == 0 {
        text = text.trim_end().to_owned();
    }
    if random.below(3) == 0 {
        text = text.replace('\n', "\r\n");
    }
    format!("{}{text}", random.pick(&["", "", "\u{feff}"]))
}

/// Every scalar and every boundary of `text`, without places and anchors' numbers.
fn events(text: &str) -> Vec<String> {
    let mut parser = Parser::new_from_str(text);
    let mut events = Vec::new();
    while let Some(event) = parser.next_event() {
        events.push(match event.expect("valid YAML").0 {
            Event::Scalar(value, style, anchor, _) => format!("{style:?} {anchor} {value}"),
            event => format!("{event:?}"),
        });
    }
    events
}

#[test]
fn pinning_twice_is_pinning_once() -> Result<()> {
    for seed in 0..CASES {
        let text = file(&mut Random(seed));
        let once = edits(Path::new("a.yaml"), &text, &targets())?.apply(&text);
        let again = edits(Path::new("a.yaml"), &once, &targets())?;
        assert!(again.is_empty(), "seed {seed}:\n{text}\nonce:\n{once}\nagain: {again:?}");
    }
    Ok(())
}

#[test]
fn nothing_but_images_differs_after_pinning() -> Result<()> {
    let pinned = targets().map(|target| target.pinned());
    let mut changed = 0;
    for seed in 0..CASES {
        // Kustomizations get new keys; pods must keep their structure to the last event.
        let mut random = Random(seed);
        let text = file(&mut random);
        if text.contains("Kustomization") {
            continue;
        }
        let after = edits(Path::new("a.yaml"), &text, &targets())?.apply(&text);
        let (before, after) = (events(&text), events(&after));
        assert_eq!(before.len(), after.len(), "seed {seed}");
        for (before, after) in before.iter().zip(&after).filter(|(before, after)| before != after) {
            let is_pinned = pinned.iter().any(|image| after.ends_with(&format!(" {image}")));
            assert!(is_pinned && before.contains("goverse-"), "seed {seed}: {before} became {after}");
            changed += 1;
        }
    }
    assert!(changed > 1_000, "the generator makes images of ours");
    Ok(())
}

#[test]
fn lines_without_an_image_survive_in_order_to_the_last_byte() -> Result<()> {
    let may_change = |line: &&str| ["goverse-", "newTag", "digest", "newName"].iter().any(|word| line.contains(word));
    for seed in 0..CASES {
        let text = file(&mut Random(seed));
        let pinned = edits(Path::new("a.yaml"), &text, &targets())?.apply(&text);
        let mut left = pinned.split_inclusive('\n');
        for line in text.split_inclusive('\n').filter(|line| !may_change(line)) {
            assert!(left.any(|found| found == line), "seed {seed}: {line:?} is gone");
        }
        let is_crlf = |text: &str| text.matches('\n').count() == text.matches("\r\n").count();
        assert!(!text.contains("\r\n") || is_crlf(&pinned), "seed {seed}: mixed line ends");
        assert_eq!(text.ends_with('\n'), pinned.ends_with('\n'), "seed {seed}");
    }
    Ok(())
}

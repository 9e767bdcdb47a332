//! What must be known of a Dockerfile before it is built: whether anything in it runs on the target platform.
//!
//! Takes its text, gives the line of the first such instruction. Reads only what tells stages, platforms and `RUN`s
//! apart; whether it is right is BuildKit's to say.

/// The line of the first `RUN` in a stage that isn't `--platform=$BUILDPLATFORM`, counted from 1: it needs a machine of
/// the target platform, or an emulator.
pub(super) fn runs_on_target(text: &str) -> Option<usize> {
    let mut on_build_platform: Vec<String> = Vec::new();
    let mut native = true;
    for (line, instruction) in instructions(text) {
        let mut words = instruction.split_whitespace();
        match words.next().unwrap_or_default().to_ascii_uppercase().as_str() {
            "FROM" => {
                let words: Vec<&str> = words.collect();
                let named = |w: &&&str| !w.starts_with("--");
                let image = words.iter().find(named).copied().unwrap_or_default();
                native = words.iter().any(|w| w.starts_with("--platform=") && w.contains("BUILDPLATFORM"))
                    || on_build_platform.iter().any(|stage| stage.eq_ignore_ascii_case(image));
                if let (true, [.., word, name]) = (native, words.as_slice()) {
                    on_build_platform.extend(word.eq_ignore_ascii_case("as").then(|| (*name).to_owned()));
                }
            }
            "RUN" if !native => return Some(line),
            _ => {}
        }
    }
    None
}

/// Instructions with the lines they start on; continued lines joined, comments and here-documents left out.
fn instructions(text: &str) -> Vec<(usize, String)> {
    let mut found: Vec<(usize, String)> = Vec::new();
    let (mut open, mut document): (bool, Option<String>) = (false, None);
    for (at, line) in text.lines().enumerate() {
        let line = line.trim();
        if let Some(end) = &document {
            if line == end {
                document = None;
            }
            continue;
        }
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (part, continued) = line.strip_suffix('\\').map_or((line, false), |part| (part, true));
        match found.last_mut().filter(|_| open) {
            Some((_, instruction)) => {
                instruction.push(' ');
                instruction.push_str(part);
            }
            None => found.push((at + 1, part.to_owned())),
        }
        open = continued;
        document = here_document(part);
    }
    found
}

/// The word that ends the here-document which a line begins.
fn here_document(line: &str) -> Option<String> {
    let (_, rest) = line.split_once("<<")?;
    let word = rest.trim_start_matches('-').trim_matches(|c| c == '"' || c == '\'');
    let word: String = word.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
    (!word.is_empty()).then_some(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_runs_on_the_target_needs_its_machine() {
        for (text, line) in [
            ("FROM --platform=$BUILDPLATFORM go AS build\nRUN go build\nFROM scratch\nCOPY --from=build /a /\n", None),
            ("FROM --platform=${BUILDPLATFORM} go AS a\nFROM a AS b\nRUN x\nfrom A\nrun y\n", None),
            ("FROM go\nRUN go build\n", Some(2)),
            (
                "FROM --platform=$BUILDPLATFORM go AS build\nFROM alpine\n# RUN not\nENV A=b \\\n  RUN=c\nRUN apk\n",
                Some(6),
            ),
            ("FROM --platform=$BUILDPLATFORM go\nRUN <<EOF\nFROM x\nRUN y\nEOF\nRUN z\n", None),
            ("FROM --platform=$TARGETPLATFORM go\nRUN x \\\n  y\n", Some(2)),
        ] {
            assert_eq!(runs_on_target(text), line, "{text}");
        }
    }
}

//! Names for documents that are the same on every machine: UUIDs of version 8 made by SHA-256 (RFC 9562, 5.8 and B.2).
//!
//! Takes bytes, gives a URN. Never random, never the time.

use crate::oci::Digest;

/// The RFC's namespace for names that are URLs (RFC 9562, 6.6).
const NAMESPACE_URL: [u8; 16] =
    [0x6b, 0xa7, 0xb8, 0x11, 0x9d, 0xad, 0x11, 0xd1, 0x80, 0xb4, 0x00, 0xc0, 0x4f, 0xd4, 0x30, 0xc8];

/// What parts these names from any other use of the namespace.
const NAME: &[u8] = b"https://github.com/xiaonanln/goverse/release/sbom?";

/// The name of the document that says `content`: another content has another name.
pub(super) fn urn(content: &[u8]) -> String {
    format!("urn:uuid:{}", v8(&NAMESPACE_URL, &[NAME, content].concat()))
}

fn v8(namespace: &[u8; 16], name: &[u8]) -> String {
    let hex = Digest::of(&[namespace, name].concat()).hex();
    let part = |range: std::ops::Range<usize>| hex.get(range).unwrap_or_default();
    // Its two high bits are the variant, 10.
    let variant = match u8::from_str_radix(part(16..17), 16).unwrap_or_default() & 0b11 {
        0 => '8',
        1 => '9',
        2 => 'a',
        _ => 'b',
    };
    format!("{}-{}-8{}-{variant}{}-{}", part(0..8), part(8..12), part(13..16), part(17..20), part(20..32))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_vector_of_the_rfc() {
        // RFC 9562, appendix B.2: www.example.com in the namespace of domain names.
        let dns = [0x6b, 0xa7, 0xb8, 0x10, 0x9d, 0xad, 0x11, 0xd1, 0x80, 0xb4, 0x00, 0xc0, 0x4f, 0xd4, 0x30, 0xc8];
        assert_eq!(v8(&dns, b"www.example.com"), "5c146b14-3c52-8afd-938a-375d0df1fbf6");
    }
}

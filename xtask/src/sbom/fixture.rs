//! The smallest Go programs there are, for tests: an ELF file with nothing but build information.
//!
//! Written from the ELF specification and from Go's debug/buildinfo, so that the reader is tested against the formats
//! and not against itself.

/// Word size and byte order of a program.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Layout {
    /// 64 bits, not 32.
    pub(crate) wide: bool,
    /// Big-endian.
    pub(crate) big: bool,
}

impl Layout {
    /// 64 bits, little-endian.
    pub(crate) const AMD64: Layout = Layout { wide: true, big: false };

    fn number(self, value: usize, size: usize) -> Vec<u8> {
        let bytes = (value as u64).to_be_bytes()[8 - size..].to_vec();
        if self.big { bytes } else { bytes.into_iter().rev().collect() }
    }

    fn half(self, value: usize) -> Vec<u8> {
        self.number(value, 2)
    }

    fn word(self, value: usize) -> Vec<u8> {
        self.number(value, 4)
    }

    /// An address, an offset or a size.
    fn native(self, value: usize) -> Vec<u8> {
        self.number(value, if self.wide { 8 } else { 4 })
    }
}

/// An ELF executable with one section called `name` that holds `content`.
pub(crate) fn elf(layout: Layout, name: &str, content: &[u8]) -> Vec<u8> {
    let (header_size, entry_size) = if layout.wide { (64, 64) } else { (52, 40) };
    let names = format!("\0{name}\0.shstrtab\0").into_bytes();
    let names_at = header_size + content.len();
    let table_at = (names_at + names.len()).next_multiple_of(8);
    let mut file = header(layout, table_at, header_size, entry_size);
    file.extend_from_slice(content);
    file.extend_from_slice(&names);
    file.resize(table_at, 0);
    file.extend(entry(layout, 0, 0, 0, 0));
    file.extend(entry(layout, 1, 1, header_size, content.len()));
    file.extend(entry(layout, name.len() + 2, 3, names_at, names.len()));
    file
}

fn header(layout: Layout, table_at: usize, header_size: usize, entry_size: usize) -> Vec<u8> {
    let ident =
        [0x7f, b'E', b'L', b'F', 1 + u8::from(layout.wide), 1 + u8::from(layout.big), 1, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let machine = if layout.big { 22 } else { 62 };
    [
        ident.to_vec(),
        layout.half(2),
        layout.half(machine),
        layout.word(1),
        layout.native(0),
        layout.native(0),
        layout.native(table_at),
        layout.word(0),
        layout.half(header_size),
        layout.half(0),
        layout.half(0),
        layout.half(entry_size),
        layout.half(3),
        layout.half(2),
    ]
    .concat()
}

fn entry(layout: Layout, name: usize, kind: usize, offset: usize, size: usize) -> Vec<u8> {
    [
        layout.word(name),
        layout.word(kind),
        layout.native(0),
        layout.native(0),
        layout.native(offset),
        layout.native(size),
        layout.word(0),
        layout.word(0),
        layout.native(1),
        layout.native(0),
    ]
    .concat()
}

/// The content of `.go.buildinfo` as Go 1.18 and newer write it, the text between its marks.
pub(crate) fn section(go_version: &str, modules: &str) -> Vec<u8> {
    const START: &[u8] = b"\x30\x77\xaf\x0c\x92\x74\x08\x02\x41\xe1\xc1\x07\xe6\xd6\x18\xe6";
    const END: &[u8] = b"\xf9\x32\x43\x31\x86\x18\x20\x72\x00\x82\x42\x10\x41\x16\xd8\xf2";
    raw_section(go_version, &[START, modules.as_bytes(), END].concat())
}

/// The same with any second string.
pub(crate) fn raw_section(go_version: &str, framed: &[u8]) -> Vec<u8> {
    let header = [b"\xff Go buildinf:\x08\x02".as_slice(), &[0; 16]].concat();
    [header, uvarint(go_version.len()), go_version.as_bytes().to_vec(), uvarint(framed.len()), framed.to_vec()].concat()
}

fn uvarint(mut value: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value >= 0x80 {
        bytes.push(0x80 | (value & 0x7f) as u8);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}

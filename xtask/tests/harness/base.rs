//! Base images made by hand: a layout with the files that tell which distribution it is and what is installed.

use std::path::Path;

use xtask::config::Compression;
use xtask::oci::Platform;
use xtask::oci::layer::{self, Tree};
use xtask::oci::layout::Layout;
use xtask::oci::spec::{Annotations, Document, Execution, ImageConfig, Index, Manifest, RootFs, media};

/// Files of one layer: path and content.
pub(crate) type Files = [(&'static str, &'static str)];

/// An Alpine whose second layer upgrades one package and removes another, as `apk upgrade` in a Dockerfile does.
pub(crate) const ALPINE: &[&Files] = &[
    &[
        (
            "/etc/os-release",
            "NAME=\"Alpine Linux\"\nID=alpine\nVERSION_ID=3.22.1\nPRETTY_NAME=\"Alpine Linux v3.22\"\n",
        ),
        ("/etc/alpine-release", "3.22.1\n"),
        (
            "/lib/apk/db/installed",
            "C:Q1K3tNQ3mzoVMW+9+7Ml5dbL2v8Kg=\nP:musl\nV:1.2.5-r9\nA:x86_64\nS:411100\nI:667648\n\
            T:the musl c library (libc) implementation\nU:https://musl.libc.org/\nL:MIT\no:musl\n\
            m:Natanael Copa <ncopa@alpinelinux.org>\nt:1739290000\nc:abc\np:so:libc.musl-x86_64.so.1=1\n\
            F:lib\nR:ld-musl-x86_64.so.1\na:0:0:755\nZ:Q1QmsAe8l0kqCtWKLFuUCVxTcHeWM=\n\n\
            C:Q1qrM4ZDZkCzGMW+dmdFcHVSdHDVM=\nP:scanelf\nV:1.3.8-r1\nA:x86_64\nS:36700\nI:73728\nT:Scan ELF binaries\n\
            U:https://wiki.gentoo.org/wiki/Hardened/PaX_Utilities\nL:GPL-2.0-only\no:pax-utils\n\
            m:Natanael Copa <ncopa@alpinelinux.org>\nt:1739290001\nc:abc\nD:so:libc.musl-x86_64.so.1\n\n",
        ),
    ],
    &[(
        "/lib/apk/db/installed",
        "C:Q1K3tNQ3mzoVMW+9+7Ml5dbL2v8Kg=\nP:musl\nV:1.2.5-r10\nA:x86_64\nS:411100\nI:667648\n\
        T:the musl c library (libc) implementation\nU:https://musl.libc.org/\nL:MIT\no:musl\n\
        m:Natanael Copa <ncopa@alpinelinux.org>\nt:1739290000\nc:abc\np:so:libc.musl-x86_64.so.1=1\n\
        F:lib\nR:ld-musl-x86_64.so.1\na:0:0:755\nZ:Q1QmsAe8l0kqCtWKLFuUCVxTcHeWM=\n\n\
        C:Q1Kpz0UnbHbJJpCqHb3OOTjQAdTvM=\nP:musl-utils\nV:1.2.5-r10\nA:x86_64\nS:26100\nI:135168\n\
        T:the musl c library (libc) implementation\nU:https://musl.libc.org/\n\
        L:MIT AND BSD-2-Clause AND GPL-2.0-or-later\no:musl\nm:Natanael Copa <ncopa@alpinelinux.org>\n\
        t:1739290002\nc:abc\nD:so:libc.musl-x86_64.so.1\n\n\
        C:Q1Tz0UnbHbJJpCqHb3OOTjQAdTvM0=\nP:tzdata\nV:2025b-r0\nA:noarch\nS:26100\nI:135168\nT:Timezone data\n\
        U:https://www.iana.org/time-zones\nL:Public-Domain\no:tzdata\nm:Natanael Copa <ncopa@alpinelinux.org>\n\
        t:1739290003\nc:abc\n\n",
    )],
];

/// A Debian with an epoch, a source of another name and version, and a package of which only configuration is left.
pub(crate) const DEBIAN: &[&Files] = &[&[
    (
        "/usr/lib/os-release",
        "PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nNAME=\"Debian GNU/Linux\"\nVERSION_ID=\"12\"\n\
        VERSION=\"12 (bookworm)\"\nVERSION_CODENAME=bookworm\nID=debian\n",
    ),
    ("/etc/debian_version", "12.11\n"),
    (
        "/var/lib/dpkg/status",
        "Package: libc6\nStatus: install ok installed\nPriority: optional\nSection: libs\nInstalled-Size: 12987\n\
        Maintainer: GNU Libc Maintainers <debian-glibc@lists.debian.org>\nArchitecture: amd64\nMulti-Arch: same\n\
        Source: glibc\nVersion: 2.36-9+deb12u10\nDepends: libgcc-s1\nDescription: GNU C Library\n Shared libraries.\n\n\
        Package: libstdc++6\nStatus: install ok installed\nMaintainer: Debian GCC Maintainers <debian-gcc@lists.debian.org>\n\
        Architecture: amd64\nMulti-Arch: same\nSource: gcc-12\nVersion: 12.2.0-14+deb12u1\nDescription: GNU C++ Library\n\n\
        Package: login\nEssential: yes\nStatus: install ok installed\nMaintainer: Shadow <shadow@lists.debian.org>\n\
        Architecture: amd64\nSource: shadow (1:4.13+dfsg1-1)\nVersion: 1:4.13+dfsg1-1+deb12u1\nDescription: login tools\n\n\
        Package: removed\nStatus: deinstall ok config-files\nMaintainer: Nobody <nobody@debian.org>\n\
        Architecture: amd64\nVersion: 1.0-1\nDescription: what is left is in /etc\n\n\
        Package: netbase\nStatus: install ok installed\nMaintainer: Marco d'Itri <md@linux.it>\nArchitecture: all\n\
        Version: 6.4\nDescription: Basic TCP/IP networking system\n\n",
    ),
]];

/// A Debian without dpkg, as distroless images are: a file a package, one of them whited out above.
pub(crate) const DISTROLESS: &[&Files] = &[
    &[
        (
            "/usr/lib/os-release",
            "PRETTY_NAME=\"Distroless\"\nNAME=\"Debian GNU/Linux\"\nID=\"debian\"\nVERSION_ID=\"12\"\n",
        ),
        ("/etc/debian_version", "12.11\n"),
        (
            "/var/lib/dpkg/status.d/base-files",
            "Package: base-files\nVersion: 12.4+deb12u11\nArchitecture: amd64\nEssential: yes\n\
            Maintainer: Santiago Vila <sanvila@debian.org>\nDescription: Debian base system miscellaneous files\n",
        ),
        (
            "/var/lib/dpkg/status.d/base-files.md5sums",
            "4f3f8d9bd0f2ce83fa0bd2d2c5a8ac6c  usr/share/doc/base-files/README\n",
        ),
        (
            "/var/lib/dpkg/status.d/tzdata",
            "Package: tzdata\nVersion: 2025b-0+deb12u1\nArchitecture: all\n\
            Maintainer: GNU Libc Maintainers <debian-glibc@lists.debian.org>\nDescription: time zones\n",
        ),
        (
            "/var/lib/dpkg/status.d/media-types",
            "Package: media-types\nVersion: 10.0.0\nArchitecture: all\n\
            Maintainer: Mime <mime@packages.debian.org>\nDescription: media types\n",
        ),
    ],
    &[("/var/lib/dpkg/status.d/.wh.media-types", "")],
];

/// A layout at `root` with an image of these layers for each platform; gives its digest.
pub(crate) fn layout(root: &Path, layers: &[&Files], platforms: &[&str]) -> String {
    let layout = Layout::create(root).expect("the folder can be written");
    let notes = tempfile::tempdir().expect("a temporary folder");
    let manifests = platforms.iter().map(|platform| {
        let platform: Platform = platform.parse().expect("a platform");
        let made = layers.iter().map(|files| {
            let mut tree = Tree::default();
            for (path, text) in *files {
                tree.bytes(&path.parse().expect("a path"), 0o644, text.as_bytes().to_vec());
            }
            layer::make(&tree, 0, Compression::default(), layout.store(), notes.path()).expect("a layer")
        });
        let made: Vec<_> = made.collect();
        let config = ImageConfig {
            created: None,
            architecture: platform.architecture().into(),
            os: platform.os().into(),
            variant: platform.variant().map(Into::into),
            config: Execution::default(),
            rootfs: RootFs { kind: "layers".into(), diff_ids: made.iter().map(|layer| layer.diff_id).collect() },
            history: Vec::new(),
        };
        let config = Document::new(media::CONFIG, &config).expect("a configuration");
        layout.store().put(&config).expect("the layout can be written");
        let manifest = Manifest {
            schema_version: 2,
            media_type: media::MANIFEST.into(),
            artifact_type: None,
            config: config.descriptor,
            layers: made.into_iter().map(|layer| layer.descriptor).collect(),
            subject: None,
            annotations: Annotations::new(),
        };
        let manifest = Document::new(media::MANIFEST, &manifest).expect("a manifest");
        layout.add_manifest(&manifest).expect("the layout can be written");
        let mut entry = manifest.descriptor;
        entry.platform = Some((&platform).into());
        entry
    });
    let manifests = manifests.collect();
    let media_type = Some(media::INDEX.into());
    let index = Index { schema_version: 2, media_type, manifests, annotations: Annotations::new() };
    let index = Document::new(media::INDEX, &index).expect("an index");
    layout.add_manifest(&index).expect("the layout can be written");
    index.descriptor.digest.to_string()
}

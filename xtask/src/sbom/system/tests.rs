use super::*;

/// As apk writes it: two packages of one origin, files listed between their fields.
const APK_DB: &str = "C:Q1qKcZ+j23xssAXmgQhkOO8dHnbWw=\n\
    P:musl\nV:1.2.5-r10\nA:x86_64\nS:400000\nI:650000\nT:the musl c library (libc) implementation\n\
    U:https://musl.libc.org/\nL:MIT\no:musl\nm:Someone <someone@alpinelinux.org>\nt:1739290000\nc:0123abc\n\
    p:so:libc.musl-x86_64.so.1=1\nF:lib\nR:ld-musl-x86_64.so.1\na:0:0:755\nZ:Q1abc=\n\n\
    C:Q1zzz=\nP:musl-utils\nV:1.2.5-r10\nA:x86_64\nL:MIT AND BSD-2-Clause AND GPL-2.0-or-later\no:musl\n\n\
    P:tzdata\nV:2025b-r0\nA:noarch\n";

/// As dpkg writes it: an epoch, a source of another name and version, a removed package, two architectures of one.
const DPKG_DB: &str = "Package: login\nEssential: yes\nStatus: install ok installed\nPriority: required\n\
    Architecture: amd64\nSource: shadow (1:4.13+dfsg1-1)\nVersion: 1:4.13+dfsg1-1+b1\n\
    Description: system login tools\n Longer text: with a colon.\n .\n Version: not this one\n\n\
    Package: gone\nStatus: deinstall ok config-files\nArchitecture: amd64\nVersion: 1.0\n\n\
    Package: never\nStatus: install ok not-installed\nArchitecture: amd64\n\n\
    Package: held\nStatus: hold ok installed\nArchitecture: all\nVersion: 2.0-1\n\n\
    Package: libc6\nStatus: install ok installed\nArchitecture: amd64\nMulti-Arch: same\nSource: glibc\nVersion: 2.36-9\n\n\
    Package: libc6\nStatus: install ok installed\nArchitecture: i386\nMulti-Arch: same\nSource: glibc\nVersion: 2.36-9\n";

fn files(parts: &[(&str, &str)]) -> Files {
    parts.iter().map(|(path, text)| ((*path).to_owned(), Found::Content(text.as_bytes().to_vec()))).collect()
}

/// Name, version, architecture, source and its version.
fn rows(system: &System) -> Vec<[&str; 5]> {
    system.packages.iter().map(|p| [p.name.as_str(), &p.version, &p.architecture, &p.source.0, &p.source.1]).collect()
}

#[test]
fn installed_apks_are_listed_wherever_the_database_is() -> Result<()> {
    for path in APK {
        let system = of(&files(&[(path, APK_DB)]))?;
        let expected = [
            ["musl", "1.2.5-r10", "x86_64", "musl", "1.2.5-r10"],
            ["musl-utils", "1.2.5-r10", "x86_64", "musl", "1.2.5-r10"],
            ["tzdata", "2025b-r0", "noarch", "tzdata", "2025b-r0"],
        ];
        assert_eq!(rows(&system), expected);
        let licenses: Vec<_> = system.packages.iter().map(|p| p.license.as_deref()).collect();
        assert_eq!(licenses, [Some("MIT"), Some("MIT AND BSD-2-Clause AND GPL-2.0-or-later"), None]);
    }
    Ok(())
}

#[test]
fn installed_debs_are_listed_and_removed_ones_are_not() -> Result<()> {
    let system = of(&files(&[(DPKG, DPKG_DB)]))?;
    let expected = [
        ["held", "2.0-1", "all", "held", "2.0-1"],
        ["libc6", "2.36-9", "amd64", "glibc", "2.36-9"],
        ["libc6", "2.36-9", "i386", "glibc", "2.36-9"],
        ["login", "1:4.13+dfsg1-1+b1", "amd64", "shadow", "1:4.13+dfsg1-1"],
    ];
    assert_eq!(rows(&system), expected);
    Ok(())
}

#[test]
fn images_without_dpkg_have_a_file_a_package() -> Result<()> {
    let base_files = "Package: base-files\nVersion: 12.4+deb12u11\nArchitecture: amd64\n";
    let tzdata = "Package: tzdata\nVersion: 2025b-0+deb12u1\nArchitecture: all\nMaintainer: x\n";
    for path in ["var/lib/dpkg/status.d/base-files", "var/lib/dpkg/status.d/tzdata"] {
        assert_eq!(wanted(path), Some(Want::Content));
    }
    assert_eq!(wanted("var/lib/dpkg/status.d/tzdata.md5sums"), None);
    let system =
        of(&files(&[("var/lib/dpkg/status.d/base-files", base_files), ("var/lib/dpkg/status.d/tzdata", tzdata)]))?;
    assert_eq!(rows(&system).iter().map(|row| row[0]).collect::<Vec<_>>(), ["base-files", "tzdata"]);
    Ok(())
}

#[test]
fn the_distribution_is_what_os_release_says() -> Result<()> {
    let alpine = "NAME=\"Alpine Linux\"\nID=alpine\nVERSION_ID=3.22.1\nPRETTY_NAME=\"Alpine Linux v3.22\"\n";
    let debian =
        "# comment\nID='debian'\nVERSION_ID=\"12\"\nNAME=\"Debian \\\"GNU\\\"/Linux\"\nVERSION_CODENAME=bookworm\n";
    let release = |parts: &[(&str, &str)]| of(&files(parts)).map(|system| system.release);
    let found = release(&[("etc/os-release", alpine), ("usr/lib/os-release", debian)])?;
    assert_eq!(found.as_ref().map(Release::distro).as_deref(), Some("alpine-3.22.1"));
    let found = release(&[("usr/lib/os-release", debian)])?.unwrap();
    assert_eq!((found.name.as_str(), found.distro().as_str()), ("Debian \"GNU\"/Linux", "debian-12"));
    assert_eq!(release(&[("etc/os-release", "ID=wolfi\n")])?.unwrap().distro(), "wolfi");
    assert_eq!(release(&[("etc/os-release", "NAME=nobody\n")])?, None);
    let link = Files::from([
        ("etc/os-release".to_owned(), Found::Link),
        ("usr/lib/os-release".to_owned(), Found::Content(debian.into())),
    ]);
    assert_eq!(of(&link)?.release.unwrap().id, "debian");
    Ok(())
}

#[test]
fn a_database_that_is_not_read_is_named() -> Result<()> {
    for path in UNREAD {
        assert_eq!(wanted(path), Some(Want::Presence));
        assert_eq!(of(&Files::from([((*path).to_owned(), Found::Present)]))?.unread, [format!("/{path}")]);
    }
    assert_eq!(of(&Files::from([(DPKG.to_owned(), Found::Link)]))?.unread, ["/var/lib/dpkg/status"]);
    Ok(())
}

#[test]
fn a_damaged_database_is_an_error_with_its_path_and_line() {
    for (path, text, line) in [
        (APK[0], "P:musl\nV:1\n\nP:zlib\nA:x86_64\n", "before line 6"),
        (APK[1], "P:musl\nnonsense\n", "line 2"),
        (DPKG, "Package: a\nVersion: 1\n\nPackage: b\nStatus: install ok installed\n", "before line 6"),
        (DPKG, "\0\0\0\n", "line 1"),
    ] {
        let error = of(&files(&[(path, text)])).unwrap_err().to_string();
        assert!(error.contains(&format!("/{path} is damaged")) && error.contains(line), "{error}");
    }
}

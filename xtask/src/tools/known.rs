//! The programs that xtask can find, fetch or build: what each publisher calls its files, and where they are.
//!
//! A table, and the URLs that follow from it. Versions and checksums are not here: they are release.toml's. Never opens
//! a socket.

use semver::Version;

use crate::config::Machine;

/// One program.
#[derive(Debug)]
pub(super) struct Known {
    /// Its name, in `[tools]` and on the PATH.
    pub(super) name: &'static str,
    /// What it is for.
    pub(super) purpose: &'static str,
    /// Makes it tell its version; `None` where it can't, or not without the network: one on the PATH is never used.
    pub(super) ask: Option<&'static [&'static str]>,
    /// What its publisher offers ready to run.
    pub(super) release: Option<Release>,
    /// How it is compiled.
    pub(super) source: Source,
}

/// Files of a publisher's. In the templates `{version}` and `{machine}` are replaced.
#[derive(Debug)]
pub(super) struct Release {
    /// The file for one machine.
    pub(super) file: &'static str,
    /// The list of checksums that it is in.
    pub(super) list: &'static str,
    /// What the file is.
    pub(super) kind: Kind,
    /// The publisher's words for the machines, in the order of [`Machine::ALL`].
    pub(super) machines: [&'static str; 4],
    /// Hosts that the file's own host may send us to.
    pub(super) hosts: &'static [&'static str],
}

/// What a publisher packs a program in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Nothing: the file is the program.
    Bare,
    /// A gzipped tar archive; the template names the program in it.
    TarGz(&'static str),
}

/// How `go install` makes a program.
#[derive(Debug)]
pub(super) struct Source {
    /// The package of its `main`.
    pub(super) package: &'static str,
    /// The toolchain that can compile it, where release.toml's can't.
    pub(super) toolchain: Option<Version>,
    /// What the go command needs in its environment.
    pub(super) env: &'static [(&'static str, &'static str)],
    /// For the linker: how the program comes to know its version, where Go's own record of it isn't asked.
    pub(super) ldflags: &'static str,
}

const GITHUB: &[&str] = &["release-assets.githubusercontent.com", "objects.githubusercontent.com"];
const DASHED: [&str; 4] = ["linux-amd64", "linux-arm64", "darwin-amd64", "darwin-arm64"];
const UNDERSCORED: [&str; 4] = ["linux_amd64", "linux_arm64", "darwin_amd64", "darwin_arm64"];

const fn go(package: &'static str, ldflags: &'static str) -> Source {
    Source { package, toolchain: None, env: &[], ldflags }
}

/// Every program, in the order of its name.
pub(super) const KNOWN: &[Known] = &[
    Known {
        name: "actionlint",
        purpose: "checks workflows",
        ask: Some(&["--version"]),
        release: Some(Release {
            file: "https://github.com/rhysd/actionlint/releases/download/v{version}/actionlint_{version}_{machine}.tar.gz",
            list: "https://github.com/rhysd/actionlint/releases/download/v{version}/actionlint_{version}_checksums.txt",
            kind: Kind::TarGz("actionlint"),
            machines: UNDERSCORED,
            hosts: GITHUB,
        }),
        source: go("github.com/rhysd/actionlint/cmd/actionlint", ""),
    },
    Known {
        name: "buildx",
        purpose: "builds from Dockerfiles",
        ask: Some(&["version"]),
        release: Some(Release {
            file: "https://github.com/docker/buildx/releases/download/v{version}/buildx-v{version}.{machine}",
            list: "https://github.com/docker/buildx/releases/download/v{version}/checksums.txt",
            kind: Kind::Bare,
            machines: DASHED,
            hosts: GITHUB,
        }),
        source: go("github.com/docker/buildx/cmd/buildx", "-X github.com/docker/buildx/version.Version=v{version}"),
    },
    Known {
        name: "cosign",
        purpose: "signs images and verifies signatures",
        ask: Some(&["version"]),
        release: Some(Release {
            file: "https://github.com/sigstore/cosign/releases/download/v{version}/cosign-{machine}",
            list: "https://github.com/sigstore/cosign/releases/download/v{version}/cosign_checksums.txt",
            kind: Kind::Bare,
            machines: DASHED,
            hosts: GITHUB,
        }),
        source: go("github.com/sigstore/cosign/v3/cmd/cosign", ""),
    },
    Known {
        name: "crane",
        purpose: "reads registries",
        ask: Some(&["version"]),
        release: Some(Release {
            file: "https://github.com/google/go-containerregistry/releases/download/v{version}/go-containerregistry_{machine}.tar.gz",
            list: "https://github.com/google/go-containerregistry/releases/download/v{version}/checksums.txt",
            kind: Kind::TarGz("crane"),
            machines: ["Linux_x86_64", "Linux_arm64", "Darwin_x86_64", "Darwin_arm64"],
            hosts: GITHUB,
        }),
        source: go("github.com/google/go-containerregistry/cmd/crane", ""),
    },
    Known {
        name: "govulncheck",
        purpose: "scans Go programs",
        ask: None,
        release: None,
        source: go("golang.org/x/vuln/cmd/govulncheck", ""),
    },
    Known {
        name: "helm",
        purpose: "renders charts",
        ask: Some(&["version", "--short"]),
        release: Some(Release {
            file: "https://get.helm.sh/helm-v{version}-{machine}.tar.gz",
            list: "https://get.helm.sh/helm-v{version}-{machine}.tar.gz.sha256sum",
            kind: Kind::TarGz("{machine}/helm"),
            machines: DASHED,
            hosts: &[],
        }),
        source: go("helm.sh/helm/v4/cmd/helm", "-X helm.sh/helm/v4/internal/version.version=v{version}"),
    },
    Known {
        name: "kubectl-validate",
        purpose: "checks manifests against Kubernetes' schemas",
        ask: None,
        release: Some(Release {
            file: "https://github.com/kubernetes-sigs/kubectl-validate/releases/download/v{version}/kubectl-validate_{machine}.tar.gz",
            list: "https://github.com/kubernetes-sigs/kubectl-validate/releases/download/v{version}/checksums.txt",
            kind: Kind::TarGz("kubectl-validate"),
            machines: UNDERSCORED,
            hosts: GITHUB,
        }),
        source: go("sigs.k8s.io/kubectl-validate", ""),
    },
    Known {
        name: "kustomize",
        purpose: "renders overlays",
        ask: Some(&["version"]),
        release: Some(Release {
            file: "https://github.com/kubernetes-sigs/kustomize/releases/download/kustomize%2Fv{version}/kustomize_v{version}_{machine}.tar.gz",
            list: "https://github.com/kubernetes-sigs/kustomize/releases/download/kustomize%2Fv{version}/checksums.txt",
            kind: Kind::TarGz("kustomize"),
            machines: UNDERSCORED,
            hosts: GITHUB,
        }),
        source: go("sigs.k8s.io/kustomize/kustomize/v5", ""),
    },
    Known {
        name: "oras",
        purpose: "reads registries, referrers above all",
        ask: Some(&["version"]),
        release: Some(Release {
            file: "https://github.com/oras-project/oras/releases/download/v{version}/oras_{version}_{machine}.tar.gz",
            list: "https://github.com/oras-project/oras/releases/download/v{version}/oras_{version}_checksums.txt",
            kind: Kind::TarGz("oras"),
            machines: UNDERSCORED,
            hosts: GITHUB,
        }),
        source: go("oras.land/oras/cmd/oras", "-X oras.land/oras/internal/version.Version={version}"),
    },
    Known {
        name: "protoc-gen-go",
        purpose: "generates protobuf code",
        ask: Some(&["--version"]),
        release: None,
        source: go("google.golang.org/protobuf/cmd/protoc-gen-go", ""),
    },
    Known {
        name: "protoc-gen-go-grpc",
        purpose: "generates gRPC code",
        ask: Some(&["--version"]),
        release: None,
        source: go("google.golang.org/grpc/cmd/protoc-gen-go-grpc", ""),
    },
    Known {
        name: "syft",
        purpose: "lists what is in an image",
        ask: Some(&["--version"]),
        release: Some(Release {
            file: "https://github.com/anchore/syft/releases/download/v{version}/syft_{version}_{machine}.tar.gz",
            list: "https://github.com/anchore/syft/releases/download/v{version}/syft_{version}_checksums.txt",
            kind: Kind::TarGz("syft"),
            machines: UNDERSCORED,
            hosts: GITHUB,
        }),
        source: go("github.com/anchore/syft/cmd/syft", "-X main.version={version}"),
    },
    Known {
        name: "trivy",
        purpose: "scans images, secrets and configuration",
        ask: Some(&["--version"]),
        release: Some(Release {
            file: "https://github.com/aquasecurity/trivy/releases/download/v{version}/trivy_{version}_{machine}.tar.gz",
            list: "https://github.com/aquasecurity/trivy/releases/download/v{version}/trivy_{version}_checksums.txt",
            kind: Kind::TarGz("trivy"),
            machines: ["Linux-64bit", "Linux-ARM64", "macOS-64bit", "macOS-ARM64"],
            hosts: GITHUB,
        }),
        source: Source {
            package: "github.com/aquasecurity/trivy/cmd/trivy",
            // It uses the experimental encoding/json/v2 as Go 1.26 has it; 1.27 changed that package.
            toolchain: Some(Version::new(1, 26, 11)),
            env: &[("GOEXPERIMENT", "jsonv2")],
            ldflags: "-X github.com/aquasecurity/trivy/pkg/version/app.ver={version}",
        },
    },
];

/// The program called `name`.
pub(super) fn find(name: &str) -> Option<&'static Known> {
    KNOWN.iter().find(|known| known.name == name)
}

/// Replaces what a template leaves open.
pub(super) fn filled(template: &str, version: &Version, machine: &str) -> String {
    template.replace("{version}", &version.to_string()).replace("{machine}", machine)
}

impl Release {
    /// The publisher's word for `machine`.
    pub(super) fn word(&self, machine: Machine) -> &'static str {
        let words = Machine::ALL.iter().zip(self.machines);
        words.filter(|(m, _)| **m == machine).map(|(_, word)| word).next().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tools::fetch::Offer;

    #[test]
    fn every_file_and_list_has_a_url_on_its_publishers_host_for_every_machine() {
        let version = Version::new(1, 2, 3);
        for (known, release) in KNOWN.iter().filter_map(|known| Some((known, known.release.as_ref()?))) {
            let mut files = std::collections::BTreeSet::new();
            for machine in Machine::ALL {
                let offer = Offer { name: known.name, version: &version, machine, release };
                for url in [offer.file().unwrap(), offer.list().unwrap()] {
                    assert_eq!(url.scheme(), "https", "{url}");
                    assert!(["github.com", "get.helm.sh"].contains(&url.host_str().unwrap()), "{url}");
                    assert!(url.as_str().contains("1.2.3") && !url.as_str().contains(['{', '}', '?']), "{url}");
                }
                let Kind::TarGz(member) = release.kind else {
                    assert!(!offer.file_name().contains(".tar"), "{}", known.name);
                    continue;
                };
                assert!(offer.file_name().ends_with(".tar.gz"), "{}", known.name);
                let member = filled(member, &version, release.word(machine));
                assert_eq!(member.rsplit('/').next(), Some(known.name));
            }
            files.extend(
                Machine::ALL
                    .map(|machine| Offer { name: known.name, version: &version, machine, release }.file().unwrap()),
            );
            assert_eq!(files.len(), Machine::ALL.len(), "{}: two machines have one file", known.name);
        }
    }

    // As they stand on the publishers' own pages.
    #[test]
    fn urls_are_those_that_publishers_document() {
        let url = |name: &str, version: &str, machine| {
            let known = find(name).unwrap();
            let (version, release) = (version.parse().unwrap(), known.release.as_ref().unwrap());
            Offer { name, version: &version, machine, release }.file().unwrap().to_string()
        };
        for (name, version, machine, expected) in [
            (
                "trivy",
                "0.69.3",
                Machine::LinuxAmd64,
                "https://github.com/aquasecurity/trivy/releases/download/v0.69.3/trivy_0.69.3_Linux-64bit.tar.gz",
            ),
            (
                "buildx",
                "0.13.1",
                Machine::LinuxAmd64,
                "https://github.com/docker/buildx/releases/download/v0.13.1/buildx-v0.13.1.linux-amd64",
            ),
            (
                "kubectl-validate",
                "0.0.4",
                Machine::LinuxAmd64,
                "https://github.com/kubernetes-sigs/kubectl-validate/releases/download/v0.0.4/kubectl-validate_linux_amd64.tar.gz",
            ),
            ("helm", "3.14.0", Machine::DarwinArm64, "https://get.helm.sh/helm-v3.14.0-darwin-arm64.tar.gz"),
        ] {
            assert_eq!(url(name, version, machine), expected);
        }
    }

    #[test]
    fn every_known_program_has_a_key_in_the_table_and_is_sorted() {
        let names: Vec<&str> = KNOWN.iter().map(|known| known.name).collect();
        assert!(names.is_sorted());
        let keys = |name: &&&str| !["protoc-gen-go", "protoc-gen-go-grpc", "govulncheck"].contains(*name);
        let pins: String = names.iter().filter(keys).map(|name| format!("{name} = \"1.2.3\"\n")).collect();
        let required =
            "go = \"1.27.4\"\nprotoc-gen-go = \"1.2.3\"\nprotoc-gen-go-grpc = \"1.2.3\"\ngovulncheck = \"1.2.3\"";
        let tools: crate::config::Tools = toml::from_str(&format!("{required}\n{pins}")).unwrap();
        for name in names {
            assert_eq!(tools.pin(name).map(|pin| pin.version), Some(Version::new(1, 2, 3)), "{name}");
        }
    }
}

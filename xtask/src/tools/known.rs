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
    /// Makes it tell its version; `None` where it can't without the network, so that one on the PATH is never used.
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
        ask: Some(&["--version"]),
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

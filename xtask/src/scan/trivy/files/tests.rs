use super::*;

#[test]
fn dockerfiles_are_told_by_name() {
    for name in ["Dockerfile", "docker/Dockerfile.gate", "a/gate.Dockerfile", "Containerfile", "x/node.dockerfile"] {
        assert!(is_dockerfile(name), "{name}");
    }
    for name in ["dockerfiles/README.md", "Dockerfiles", "main.go", "docker/sample/go.mod"] {
        assert!(!is_dockerfile(name), "{name}");
    }
}

#[test]
fn manifests_are_told_by_content() {
    let folder = tempfile::tempdir().unwrap();
    for (name, text, wanted) in [
        ("gate.yaml", "# x\napiVersion: v1\nkind: Service\n", true),
        ("gate.yml", "kind: Service\napiVersion: v1\n", true),
        ("kustomization.yaml", "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\n", false),
        ("values.yaml", "gate:\n  kind: x\n", false),
        ("gate.json", "apiVersion: v1\nkind: Service\n", false),
    ] {
        fs::write(&folder.path().join(name), text.as_bytes()).unwrap();
        assert_eq!(is_manifest(&folder.path().join(name)), wanted, "{name}");
    }
}

#[test]
fn a_folder_that_the_table_lists_has_to_be_there() {
    let root = tempfile::tempdir().unwrap();
    std::fs::create_dir(root.path().join("k8s")).unwrap();
    let with = |files: Option<&[&str]>| config::Trivy {
        files: files.map(|names| names.iter().map(|name| name.parse().unwrap()).collect()),
        ..config::Trivy::default()
    };
    assert_eq!(folders(root.path(), &with(None)).unwrap(), [PathBuf::from("k8s")]);
    assert_eq!(folders(root.path(), &with(Some(&["k8s"]))).unwrap(), [PathBuf::from("k8s")]);
    assert_eq!(folders(root.path(), &with(Some(&[]))).unwrap(), Vec::<PathBuf>::new());
    let err = folders(root.path(), &with(Some(&["k8s", "docker"]))).unwrap_err();
    assert_eq!(err.class(), crate::error::Class::Usage);
    assert!(err.to_string().contains("docker"), "{err}");
}

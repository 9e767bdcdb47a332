//! Who may do what, and where the proof comes from.

use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use xtask::config;
use xtask::error::Class;
use xtask::registry::{Credentials, Target};
use xtask::remote::{Destination, RegistryDestination};
use xtask::ui::Ui;

use crate::common::Access;
use crate::lab::{Lab, bytes, fails};

/// Credentials from variables alone: the machine's own environment and files play no part.
fn vars(lab: &Lab, pairs: &[(&str, &str)]) -> Credentials {
    let get = |name: &str| pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| OsString::from(value));
    Credentials::from_vars(get, Some(&lab.registry.addr()), Ui::silent())
}

/// The right user and password.
pub(crate) fn user(lab: &Lab) -> Credentials {
    vars(lab, &[("XTASK_REGISTRY_USER", "user"), ("XTASK_REGISTRY_PASSWORD", "password")])
}

/// Docker's configuration in the lab's folder.
fn docker(lab: &Lab, config: &serde_json::Value) -> Credentials {
    let folder = lab.folder.path().join("docker");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("config.json"), config.to_string()).unwrap();
    vars(lab, &[("DOCKER_CONFIG", &folder.display().to_string())])
}

/// Asks for something that needs a push.
fn push(lab: &Lab, credentials: Credentials) -> xtask::error::Result<u64> {
    let descriptor = lab.blob(&bytes(1000));
    lab.upload(&lab.repository_by(|options| options.credentials = credentials), &descriptor)
}

#[test]
fn a_password_is_found_in_the_environment_and_in_dockers_and_podmans_files() {
    for access in [Access::Basic, Access::Token] {
        let lab = Lab::new();
        lab.registry.fault(|f| f.access = access);
        let auths = json!({"auths": {lab.registry.addr(): {"auth": STANDARD.encode("user:password")}}});
        let podman = lab.folder.path().join("auth.json");
        std::fs::write(&podman, auths.to_string()).unwrap();
        push(&lab, user(&lab)).unwrap();
        push(&lab, docker(&lab, &auths)).unwrap();
        push(&lab, vars(&lab, &[("REGISTRY_AUTH_FILE", &podman.display().to_string())])).unwrap();
    }
}

#[test]
fn missing_and_wrong_credentials_say_where_they_were_looked_for() {
    for access in [Access::Basic, Access::Token, Access::Identity] {
        let lab = Lab::new();
        lab.registry.fault(|f| f.access = access);
        let login = format!("docker login {}", lab.registry.addr());
        let none = docker(&lab, &json!({}));
        fails(push(&lab, none), Class::Failed, &["401", "XTASK_REGISTRY_USER", "docker/config.json", &login]);
        let wrong = vars(&lab, &[("XTASK_REGISTRY_USER", "user"), ("XTASK_REGISTRY_PASSWORD", "hunter2")]);
        let refused = push(&lab, wrong);
        assert!(refused.as_ref().is_err_and(|e| !e.to_string().contains("hunter2")));
        fails(refused, Class::Failed, &["401", "were refused", &login]);
    }
}

#[test]
fn anybody_may_pull_where_the_registry_says_so() {
    let lab = Lab::new();
    lab.registry.fault(|f| f.access = Access::Token);
    assert_eq!(lab.repository().resolve(Target::Tag("v1")).unwrap(), None);
}

#[test]
fn an_identity_token_is_exchanged() {
    let lab = Lab::new();
    lab.registry.fault(|f| f.access = Access::Identity);
    let auths = json!({"auths": {lab.registry.addr(): {"identitytoken": "identity"}}});
    push(&lab, docker(&lab, &auths)).unwrap();
    assert!(lab.asked().contains(&"POST /token".to_owned()));
}

/// How many tokens were asked for.
fn tokens(lab: &Lab) -> usize {
    lab.registry.log().iter().filter(|entry| entry.target.starts_with("/token")).count()
}

#[test]
fn a_token_is_kept_until_shortly_before_it_expires() {
    let lab = Lab::new();
    lab.registry.fault(|f| (f.access, f.token_lifetime) = (Access::Token, Some(300)));
    let repository = lab.repository_by(|options| options.credentials = user(&lab));
    let ask = || drop(repository.tags().unwrap());
    ask();
    ask();
    assert_eq!(tokens(&lab), 1);
    lab.pass(Duration::from_secs(280));
    ask();
    assert_eq!(tokens(&lab), 1);
    lab.pass(Duration::from_secs(15));
    ask();
    assert_eq!(tokens(&lab), 2);
}

#[test]
fn a_token_that_expired_early_is_replaced_once_a_request() {
    let lab = Lab::new();
    lab.registry.fault(|f| (f.access, f.token_uses) = (Access::Token, Some(1)));
    push(&lab, user(&lab)).unwrap();
    assert_eq!(tokens(&lab), 2, "one for the start and one for the blob");
    lab.registry.clear_log();
    lab.registry.fault(|f| f.token_uses = Some(0));
    fails(push(&lab, user(&lab)), Class::Failed, &["401"]);
    assert_eq!(tokens(&lab), 1, "a registry that takes no token is not asked for ever");
}

#[test]
fn threads_share_one_token() {
    let lab = Lab::new();
    lab.registry.fault(|f| f.access = Access::Token);
    let repository = lab.repository_by(|options| options.credentials = user(&lab));
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| repository.tags().unwrap());
        }
    });
    assert_eq!(tokens(&lab), 1);
}

#[test]
fn a_password_is_never_sent_in_the_clear_to_another_machine() {
    let lab = Lab::new();
    lab.registry.fault(|f| (f.access, f.open_realm) = (Access::Token, true));
    fails(push(&lab, user(&lab)), Class::Failed, &["http://tokens.example/token", "no TLS"]);
}

#[test]
fn the_destinations_password_is_for_the_destination_alone() {
    let (lab, other) = (Lab::new(), Lab::new());
    other.registry.fault(|f| f.access = Access::Basic);
    let client = lab.client(|options| options.credentials = user(&lab));
    let repository = client.repository(&other.registry.addr(), "team/app").unwrap();
    fails(repository.tags(), Class::Failed, &["401"]);
    assert!(other.registry.log().iter().all(|entry| !entry.authorization));
}

#[test]
fn every_request_says_who_is_asking() {
    let lab = Lab::new();
    lab.repository().tags().unwrap();
    let log = lab.registry.log();
    assert!(log.iter().all(|entry| entry.user_agent.starts_with("goverse-xtask/") && !entry.authorization), "{log:?}");
}

#[test]
fn a_destination_lists_every_repository_that_may_not_be_pushed_to() {
    let lab = Lab::new();
    lab.registry.fault(|f| f.access = Access::Token);
    let prefix: config::Prefix = format!("{}/team", lab.registry.addr()).parse().unwrap();
    let repositories: Vec<config::Repository> = ["app", "gate"].iter().map(|name| name.parse().unwrap()).collect();
    let check = |credentials: Credentials| {
        let client = lab.client(|options| options.credentials = credentials);
        RegistryDestination::new(client, &prefix, &repositories).check()
    };
    assert!(check(user(&lab)).is_empty());
    let refused: Vec<String> = check(vars(&lab, &[])).iter().map(ToString::to_string).collect();
    assert_eq!(refused.len(), 2, "{refused:?}");
    for (text, name) in refused.iter().zip(["team/app", "team/gate"]) {
        assert!(text.contains(&format!("{name} can't be pushed to")) && text.contains("docker login"), "{text}");
    }
    lab.registry.fault(|f| f.access = Access::Basic);
    assert_eq!(check(vars(&lab, &[])).len(), 1, "who is not let in at all is told so once");
}

#[cfg(unix)]
mod helper {
    use std::os::unix::fs::PermissionsExt as _;

    use xtask::registry::Credential;

    use super::*;

    /// A credential helper named `test`; gives the `PATH` it is found in.
    fn helper(lab: &Lab, script: &str) -> String {
        let path = lab.folder.path().join("docker-credential-test");
        std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        format!("{}:/usr/bin:/bin", lab.folder.path().display())
    }

    fn ask(lab: &Lab, key: &str, script: &str) -> xtask::error::Result<Option<Credential>> {
        let path = helper(lab, script);
        let config = match key {
            "credsStore" => json!({"credsStore": "test"}),
            _ => json!({"credHelpers": {lab.registry.addr(): "test"}}),
        };
        let folder = lab.folder.path().join("docker");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("config.json"), config.to_string()).unwrap();
        let credentials = vars(lab, &[("DOCKER_CONFIG", &folder.display().to_string()), ("PATH", &path)]);
        credentials.find(&lab.registry.addr()).map(|lookup| lookup.credential)
    }

    #[test]
    fn a_helper_is_told_the_host_on_stdin_and_answers_with_a_credential() {
        for key in ["credsStore", "credHelpers"] {
            let lab = Lab::new();
            let script = r#"read host; test "$1" = get && printf '{"Username":"user","Secret":"for %s"}' "$host""#;
            let Some(Credential::Password { user, secret }) = ask(&lab, key, script).unwrap() else {
                panic!("no password")
            };
            assert_eq!((user.as_str(), secret.reveal()), ("user", format!("for {}", lab.registry.addr()).as_str()));
            assert_eq!(format!("{secret:?}"), "***");
        }
    }

    #[test]
    fn a_helper_may_have_an_identity_token_or_nothing() {
        let lab = Lab::new();
        let token = r#"cat >&2; printf '{"Username":"<token>","Secret":"identity"}'"#;
        assert!(matches!(ask(&lab, "credsStore", token), Ok(Some(Credential::Identity(_)))));
        let nothing = "cat >&2; echo 'credentials not found in native keychain'; exit 1";
        assert!(matches!(ask(&lab, "credsStore", nothing), Ok(None)));
    }

    #[test]
    fn a_helper_that_fails_is_an_error_and_what_it_said_is_no_secret() {
        let lab = Lab::new();
        fails(ask(&lab, "credsStore", "echo locked; exit 2"), Class::Failed, &["docker-credential-test get", "locked"]);
        let odd = ask(&lab, "credsStore", "echo '{\"Secret\":\"hunter2\"'");
        assert!(odd.as_ref().is_err_and(|e| !e.to_string().contains("hunter2")));
        fails(odd, Class::Failed, &["not the JSON of a credential"]);
    }
}

#[test]
fn a_broken_configuration_is_an_error_that_quotes_nothing() {
    let lab = Lab::new();
    let folder = lab.folder.path().join("docker");
    std::fs::create_dir_all(&folder).unwrap();
    write(&folder, r#"{"auths": {"x": {"auth": hunter2}}}"#);
    let broken = vars(&lab, &[("DOCKER_CONFIG", &folder.display().to_string())]).find("x");
    assert!(broken.as_ref().is_err_and(|e| !e.to_string().contains("hunter2")));
    fails(broken, Class::Usage, &["config.json is not a Docker configuration", "line 1"]);
}

fn write(folder: &Path, text: &str) {
    std::fs::write(folder.join("config.json"), text).unwrap();
}

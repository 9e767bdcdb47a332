//! Whether an image that a Dockerfile made is the one that release.toml describes.
//!
//! Takes an image's configuration and its plan, gives every contradiction at once. What a Dockerfile or a base adds to
//! labels, environment and ports is its own affair.

use crate::build::files;
use crate::config::FILE;
use crate::error::{Error, Item, Result};
use crate::oci::Platform;
use crate::oci::spec::ImageConfig;
use crate::plan::ImagePlan;

/// Checks `config` against `image`.
pub(super) fn check(config: &ImageConfig, image: &ImagePlan, platform: &Platform) -> Result<()> {
    let run = &config.config;
    let said = config.platform();
    let mut wrong = Vec::new();
    let mut same = |what: &str, is: &dyn std::fmt::Debug, planned: &dyn std::fmt::Debug, fix: &str| {
        let (is, planned) = (format!("{is:?}"), format!("{planned:?}"));
        if is != planned {
            let what = format!("{what} is {is}, and {FILE} says {planned}");
            wrong.push(Item { what, fix: Some(format!("{fix} in Dockerfile.{}", image.name)) });
        }
    };
    let known = said.known().map_or_else(|| said.to_string(), |known| known.to_string());
    same("the platform", &known, &platform.to_string(), "no --platform but $BUILDPLATFORM");
    same("the user", &run.user, &format!("{}:{}", image.user.uid, image.user.gid), "USER ${USER_ID}:${GROUP_ID}");
    same("the working directory", &run.working_dir, &image.working_dir.to_string(), "WORKDIR ${WORKING_DIR}");
    same("the entry point", &run.entrypoint, &[image.program.as_str()], "ENTRYPOINT [\"/usr/local/bin/NAME\"]");
    same("the list of arguments", &run.cmd, &image.args, &format!("CMD {:?}", image.args));
    for port in image.ports.iter().map(|port| format!("{}/tcp", port.number())) {
        same(&format!("port {port} exposed"), &run.exposed_ports.contains_key(&port), &true, "EXPOSE ${PORTS}");
    }
    let roots = format!("SSL_CERT_FILE={}", files::ROOTS);
    let has_roots = run.env.iter().any(|line| line.starts_with("SSL_CERT_FILE="));
    same("a variable for the TLS roots set", &has_roots, &true, &format!("ENV {roots}"));
    for (key, value) in &image.labels {
        same(&format!("label {key}"), &run.labels.get(key), &Some(value), &format!("no LABEL {key}"));
    }
    match wrong.is_empty() {
        true => Ok(()),
        false => {
            Err(Error::failed(format!("image {} for {platform} is not the one in {FILE}", image.name)).items(wrong))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::build::buildx::fixture;

    #[test]
    fn every_contradiction_is_named_with_the_line_that_mends_it() {
        let (plan, config) = (fixture::plan(), fixture::config());
        let (image, platform) = (plan.images.first().unwrap(), plan.platforms.first().unwrap());
        check(&config, image, platform).unwrap();

        let mut other = config.clone();
        other.config.user = "0:0".into();
        other.config.cmd.clear();
        other.config.exposed_ports.clear();
        other.architecture = "s390x".into();
        let said = check(&other, image, platform).unwrap_err().to_string();
        for words in
            ["the user is \"0:0\"", "USER ${USER_ID}", "CMD [\"--listen\"", "8080/tcp", "s390x", "Dockerfile.gate"]
        {
            assert!(said.contains(words), "{words}: {said}");
        }
    }

    #[test]
    fn what_a_base_adds_is_its_own_affair() {
        let (plan, mut config) = (fixture::plan(), fixture::config());
        config.config.labels.insert("vendor".into(), "base".into());
        config.config.env.push("TZ=UTC".into());
        assert!(check(&config, plan.images.first().unwrap(), plan.platforms.first().unwrap()).is_ok());
    }
}

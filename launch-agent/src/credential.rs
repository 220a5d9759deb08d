//! The key of W&B: from the environment, else from netrc, else from a secrets file.

use std::path::{Path, PathBuf};

use launch_config::agent::variables::{API_KEY, Variables};
use launch_config::api_key::ApiKey;
use launch_config::netrc;
use launch_config::secret::Secret;
use url::Url;

use crate::failure::Failure;

/// The server of W&B, if nobody names another.
pub(crate) const DEFAULT_SERVER: &str = "https://api.wandb.ai";

/// What SageMaker mounts into the working directory of a job: lines `NAME=VALUE`.
const SECRETS_FILE: &str = "secrets.env";

/// A key, and where it was found.
#[derive(Debug, Clone)]
pub(crate) struct Credential {
    pub(crate) key: ApiKey,
    /// The variable, or the file.
    pub(crate) origin: String,
}

/// The key, from the first place that has one.
///
/// # Errors
/// What is wrong with the first one found; the others are not tried, as one that is
/// mistyped is meant all the same.
pub(crate) fn api_key(
    variables: &Variables,
    env: impl Fn(&str) -> Option<String>,
) -> Result<Option<Credential>, Failure> {
    let found = from_variable(&env)
        .or_else(|| from_netrc(variables, &env))
        .or_else(|| from_secrets(Path::new(SECRETS_FILE)));
    let Some((secret, origin)) = found else {
        return Ok(None);
    };
    match secret.expose().parse() {
        Ok(key) => Ok(Some(Credential { key, origin })),
        Err(error) => Err(Failure::usage(format!("{origin}: {error}")).with_hint(error.hint())),
    }
}

type Found = (Secret, String);

fn from_variable(env: impl Fn(&str) -> Option<String>) -> Option<Found> {
    let text = env(API_KEY).filter(|text| !text.is_empty())?;
    Some((Secret::new(text), format!("${API_KEY}")))
}

/// `$NETRC` alone if it is set, else `~/.netrc`, else `~/_netrc`.
fn from_netrc(variables: &Variables, env: impl Fn(&str) -> Option<String>) -> Option<Found> {
    let server = match &variables.base_url {
        Some(url) => url.expose().clone(),
        None => Url::parse(DEFAULT_SERVER).ok()?,
    };
    let machine = netrc::machine(&server)?;
    let set = |name: &str| env(name).filter(|text| !text.is_empty()).map(PathBuf::from);
    let files = match (set("NETRC"), set("HOME")) {
        (Some(file), _) => vec![file],
        (None, Some(home)) => vec![home.join(".netrc"), home.join("_netrc")],
        (None, None) => Vec::new(),
    };
    files.into_iter().find_map(|file| {
        let text = fs_err::read_to_string(&file).ok()?;
        Some((
            netrc::password(&text, &machine)?,
            file.display().to_string(),
        ))
    })
}

fn from_secrets(file: &Path) -> Option<Found> {
    let text = fs_err::read_to_string(file).ok()?;
    let value = text.lines().find_map(|line| {
        let (name, value) = line.split_once('=')?;
        (name.trim() == API_KEY).then(|| value.trim())
    })?;
    Some((Secret::new(value), file.display().to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "0123456789abcdef0123456789abcdef01234567";

    fn find(dir: &Path, pairs: &[(&str, &str)]) -> Result<Option<String>, Failure> {
        let env = |name: &str| match name {
            "HOME" => Some(dir.display().to_string()),
            name => {
                let found = pairs.iter().find(|(key, _)| *key == name);
                found.map(|(_, value)| (*value).to_owned())
            }
        };
        let variables = Variables::read(env)?;
        Ok(api_key(&variables, env)?.map(|found| found.origin))
    }

    #[test]
    fn the_first_place_that_has_a_key_counts() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(find(dir.path(), &[]).unwrap(), None);
        let own = format!("machine w.example.com:8080 login user password local-{KEY}\n");
        fs_err::write(dir.path().join("_netrc"), own).unwrap();
        assert_eq!(find(dir.path(), &[]).unwrap(), None, "another machine's");
        let server = ("WANDB_BASE_URL", "http://w.example.com:8080");
        let found = find(dir.path(), &[server]).unwrap().unwrap();
        assert!(found.ends_with("_netrc"), "{found}");
        let found = find(dir.path(), &[server, ("WANDB_API_KEY", KEY)]).unwrap();
        assert_eq!(found.as_deref(), Some("$WANDB_API_KEY"));
        let other = ("NETRC", "/no/such/netrc");
        assert_eq!(find(dir.path(), &[server, other]).unwrap(), None);
    }

    #[test]
    fn a_key_that_is_none_is_named_and_not_shown() {
        let dir = tempfile::tempdir().unwrap();
        let failure = find(dir.path(), &[("WANDB_API_KEY", "planted")]).unwrap_err();
        let text = format!("{failure:?}");
        assert!(
            text.contains("$WANDB_API_KEY: the API key has 7 characters"),
            "{text}"
        );
        assert!(!text.contains("planted"), "{text}");
    }

    #[test]
    fn a_secrets_file_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("secrets.env");
        fs_err::write(&file, format!("OTHER=1\nWANDB_API_KEY={KEY}\n")).unwrap();
        assert_eq!(from_secrets(&file).unwrap().0.expose(), KEY);
    }
}

//! What a request means on this machine: the program, its directory, its environment.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use launch_config::secret::Secret;

use super::limit;
use crate::run::{RunRequest, Workload};

/// The variables of the agent's environment that a run inherits, besides `LC_*`.
///
/// Nothing else gets through: the agent's environment holds keys and tokens that are
/// not the job's. Proxy settings are in because nothing could be downloaded without
/// them; do not put a password there that jobs must not see.
pub const INHERITED: [&str; 34] = [
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "SHELL",
    "LANG",
    "LANGUAGE",
    "TZ",
    "TMPDIR",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "PIP_CERT",
    "CUDA_VISIBLE_DEVICES",
    "CUDA_DEVICE_ORDER",
    "CUDA_HOME",
    "CUDA_PATH",
    "NVIDIA_VISIBLE_DEVICES",
    "ROCR_VISIBLE_DEVICES",
    "HIP_VISIBLE_DEVICES",
    "LD_LIBRARY_PATH",
    "VIRTUAL_ENV",
    "CONDA_PREFIX",
    "XDG_RUNTIME_DIR",
    "XDG_CACHE_HOME",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "all_proxy",
    "no_proxy",
];

/// Where programs are looked for if nobody says.
const DEFAULT_PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// A request that was checked against this machine and can be started.
#[derive(Debug)]
pub(super) struct Plan {
    /// The program, always with a `/`, so that no shell takes it for a builtin.
    pub(super) program: OsString,
    pub(super) args: Vec<String>,
    pub(super) tree: PathBuf,
    inherited: Vec<(OsString, OsString)>,
    given: BTreeMap<String, Secret>,
    /// Commands of the shell that set its limits.
    pub(super) limits: String,
}

impl Plan {
    /// Checks `request`; the error says what is refused and what would be taken.
    pub(super) fn of(
        request: RunRequest,
        agent: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Result<Self, String> {
        let RunRequest {
            workload,
            command,
            args,
            env,
            resource_args,
            ..
        } = request;
        let tree = tree_of(workload)?;
        let limits = limit::script(&resource_args)?;
        for (name, value) in &env {
            check_variable(name, value)?;
        }
        let inherited: Vec<_> = agent
            .into_iter()
            .filter(|(name, _)| is_inherited(name))
            .collect();
        let mut words = command.into_iter().chain(args);
        let name = words.next().ok_or("it names no program to run")?;
        let args: Vec<String> = words.collect();
        if name.contains('\0') || args.iter().any(|arg| arg.contains('\0')) {
            return Err("its command holds a NUL byte".to_owned());
        }
        let program = find_program(&name, &tree, &search_path(&env, &inherited))?;
        Ok(Self {
            program,
            args,
            tree,
            inherited,
            given: env,
            limits,
        })
    }

    /// The whole environment of the run; what the request gives wins.
    pub(super) fn environment(&self) -> BTreeMap<OsString, OsString> {
        let given = self
            .given
            .iter()
            .map(|(name, value)| (name.into(), value.expose().into()));
        self.inherited.iter().cloned().chain(given).collect()
    }
}

fn tree_of(workload: Workload) -> Result<PathBuf, String> {
    let tree = match workload {
        Workload::Tree(tree) => tree,
        Workload::Image { image, .. } => {
            return Err(format!(
                "image `{image}` needs a container; this runner runs a directory of this machine"
            ));
        }
    };
    if tree.is_dir() {
        Ok(tree)
    } else {
        Err(format!("`{}` is no directory", tree.display()))
    }
}

/// POSIX names only: a shell drops the others from the environment without a word.
fn check_variable(name: &str, value: &Secret) -> Result<(), String> {
    let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    let starts = name
        .bytes()
        .next()
        .is_some_and(|b| word(b) && !b.is_ascii_digit());
    if !starts || !name.bytes().all(word) {
        return Err(format!(
            "`{name}` is no name of a variable (letters, digits, `_`)"
        ));
    }
    if value.expose().contains('\0') {
        return Err(format!("the value of variable `{name}` holds a NUL byte"));
    }
    Ok(())
}

fn is_inherited(name: &OsStr) -> bool {
    name.to_str()
        .is_some_and(|name| INHERITED.contains(&name) || name.starts_with("LC_"))
}

fn search_path(given: &BTreeMap<String, Secret>, inherited: &[(OsString, OsString)]) -> OsString {
    let from_agent = || inherited.iter().find(|(name, _)| name == "PATH");
    given
        .get("PATH")
        .map(|path| path.expose().into())
        .or_else(|| from_agent().map(|(_, path)| path.clone()))
        .unwrap_or_else(|| DEFAULT_PATH.into())
}

fn find_program(name: &str, tree: &Path, path: &OsStr) -> Result<OsString, String> {
    if name.contains('/') {
        return check_file(name, tree).map(|()| name.into());
    }
    // Debian and its like install only `python3`; a command written elsewhere says `python`.
    let fallback = (name == "python").then_some("python3");
    [Some(name), fallback]
        .into_iter()
        .flatten()
        .find_map(|name| on_path(name, tree, path))
        .ok_or_else(|| not_found(name, tree, path))
}

fn check_file(name: &str, tree: &Path) -> Result<(), String> {
    let file = tree.join(name);
    if !file.is_file() {
        return Err(format!(
            "program `{name}` does not exist in the job's directory"
        ));
    }
    if !is_executable(&file) {
        return Err(format!(
            "program `{name}` is not executable; `chmod +x {name}` makes it so"
        ));
    }
    Ok(())
}

fn on_path(name: &str, tree: &Path, path: &OsStr) -> Option<OsString> {
    std::env::split_paths(path)
        .map(|dir| tree.join(dir).join(name))
        .find(|file| is_executable(file))
        .map(PathBuf::into_os_string)
}

fn is_executable(file: &Path) -> bool {
    file.is_file() && rustix::fs::access(file, rustix::fs::Access::EXEC_OK).is_ok()
}

fn not_found(name: &str, tree: &Path, path: &OsStr) -> String {
    let path = path.to_string_lossy();
    let advice = if name.starts_with("python") {
        "install Python 3 (Debian: `apt-get install python3`) or name it by its path".to_owned()
    } else if tree.join(name).is_file() {
        format!("the job's directory has a file of that name: write `./{name}`")
    } else {
        "install it or name it by its path".to_owned()
    };
    format!("program `{name}` is not on PATH (`{path}`); {advice}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(tree: &Path, command: &[&str]) -> RunRequest {
        let key = launch_config::id::RunKey::new("job".parse().unwrap(), 0);
        RunRequest::new(key, Workload::Tree(tree.to_owned())).with_command(command.iter().copied())
    }

    fn agent(vars: &[(&str, &str)]) -> Vec<(OsString, OsString)> {
        vars.iter()
            .map(|(name, value)| (name.into(), value.into()))
            .collect()
    }

    fn script(dir: &Path, name: &str, mode: u32) {
        use std::os::unix::fs::PermissionsExt;
        fs_err::write(dir.join(name), "#!/bin/sh\n").unwrap();
        fs_err::set_permissions(dir.join(name), PermissionsExt::from_mode(mode)).unwrap();
    }

    #[test]
    fn secrets_of_the_agent_stay_with_it() {
        let dir = tempfile::tempdir().unwrap();
        let vars = agent(&[
            ("PATH", "/bin"),
            ("WANDB_API_KEY", "planted"),
            ("LC_ALL", "C"),
        ]);
        let request = request(dir.path(), &["sh"]).with_env("LC_ALL", "mine");
        let plan = Plan::of(request, vars).unwrap();
        let environment = plan.environment();
        assert_eq!(environment.get(OsStr::new("LC_ALL")).unwrap(), "mine");
        assert_eq!(environment.len(), 2, "{environment:?}");
    }

    #[test]
    fn python_means_python3_where_only_that_is() {
        let dir = tempfile::tempdir().unwrap();
        script(dir.path(), "python3", 0o755);
        let path = dir.path().to_str().unwrap();
        let plan = Plan::of(request(dir.path(), &["python"]), agent(&[("PATH", path)])).unwrap();
        assert_eq!(plan.program, dir.path().join("python3"));
        script(dir.path(), "python", 0o755);
        let plan = Plan::of(request(dir.path(), &["python"]), agent(&[("PATH", path)])).unwrap();
        assert_eq!(plan.program, dir.path().join("python"));
    }

    #[test]
    fn refusals_say_what_to_do() {
        let dir = tempfile::tempdir().unwrap();
        script(dir.path(), "train.sh", 0o644);
        let refused = |request| Plan::of(request, agent(&[("PATH", "/nowhere")])).unwrap_err();
        let tree = dir.path();
        assert!(refused(request(tree, &["python"])).contains("install Python 3"));
        assert!(refused(request(tree, &["train.sh"])).contains("`./train.sh`"));
        assert!(refused(request(tree, &["./train.sh"])).contains("chmod +x"));
        assert!(refused(request(tree, &["./no.sh"])).contains("does not exist"));
        assert!(refused(request(tree, &[])).contains("no program"));
        let args = serde_json::json!({"gpus": 1});
        let with_args = request(tree, &["/bin/sh"]).with_resource_args(args);
        assert!(refused(with_args).contains("`gpus`: a local process has no such"));
        let odd = request(tree, &["/bin/sh"]).with_env("a-b", "planted");
        let why = refused(odd);
        assert!(why.contains("`a-b`") && !why.contains("planted"), "{why}");
    }
}

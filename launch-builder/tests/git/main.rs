//! Git sources, against git's own server.

#![expect(clippy::unwrap_used, reason = "what a test cannot have ends it")]

mod server;

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use launch_builder::Error;
use launch_builder::event::Events;
use launch_builder::source::{FetchOptions, Fetched, SourceTree, fetch};
use launch_config::source::Source;
use server::{Repository, Server};
use tempfile::TempDir;

/// A server with repositories, and a directory for checkouts.
struct Bench {
    directory: TempDir,
    server: Server,
}

impl Bench {
    fn new() -> Self {
        Self::speaking(true)
    }

    fn speaking(v2: bool) -> Self {
        let directory = tempfile::tempdir().unwrap();
        fs_err::create_dir(directory.path().join("scratch")).unwrap();
        let server = Server::start(&directory.path().join("served"), v2);
        Self { directory, server }
    }

    fn repository(&self, name: &str) -> Repository {
        Repository::new(self.directory.path().join("served").join(name))
    }

    fn url(&self, name: &str) -> String {
        format!("http://{}/{name}", self.server.address)
    }

    fn scratch(&self) -> PathBuf {
        self.directory.path().join("scratch")
    }

    fn options(&self) -> FetchOptions {
        FetchOptions::new()
            .with_scratch(self.scratch())
            .with_timeout(Duration::from_mins(1))
    }

    async fn fetch(&self, name: &str, reference: Option<&str>) -> Result<SourceTree, Error> {
        tree(&source(&self.url(name), reference, None), &self.options()).await
    }

    /// A program that does something and then is git.
    fn git(&self, before: &str) -> PathBuf {
        let path = self.directory.path().join("git-wrapper");
        fs_err::write(&path, format!("#!/bin/sh\n{before}\nexec git \"$@\"\n")).unwrap();
        fs_err::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
        path
    }

    async fn assert_scratch_is_empty(&self) {
        let start = Instant::now();
        while fs_err::read_dir(self.scratch()).unwrap().count() > 0 {
            assert!(
                start.elapsed() < Duration::from_secs(10),
                "a partial checkout stays"
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

fn source(url: &str, reference: Option<&str>, subdirectory: Option<&str>) -> Source {
    Source::Git {
        remote: url.parse().unwrap(),
        reference: reference.map(str::to_owned),
        subdirectory: subdirectory.map(PathBuf::from),
    }
}

async fn tree(source: &Source, options: &FetchOptions) -> Result<SourceTree, Error> {
    match fetch(source, options, &Events::silent()).await? {
        Fetched::Tree(tree) => Ok(tree),
        other => panic!("{other:?}"),
    }
}

fn read(tree: &SourceTree, path: &str) -> String {
    fs_err::read_to_string(tree.root().join(path)).unwrap()
}

#[tokio::test]
async fn every_kind_of_reference_is_one_commit() {
    let bench = Bench::new();
    let repository = bench.repository("r.git");
    let first = repository.commit("trunk", &[("f", "first")]);
    repository.git(&["tag", "-a", "-m", "x", "v1", "trunk"]);
    repository.git(&["update-ref", "refs/pull/7/head", "trunk"]);
    let second = repository.commit("trunk", &[("f", "second")]);
    let branch = repository.commit("feature/x", &[("f", "branch")]);
    let short = first[..9].to_owned();
    for (reference, commit, text) in [
        (None, &second, "second"),
        (Some("trunk"), &second, "second"),
        (Some("feature/x"), &branch, "branch"),
        (Some("refs/heads/feature/x"), &branch, "branch"),
        (Some("v1"), &first, "first"),
        (Some("refs/pull/7/head"), &first, "first"),
        (Some(first.as_str()), &first, "first"),
        (Some(short.as_str()), &first, "first"),
    ] {
        let tree = bench.fetch("r.git", reference).await.unwrap();
        assert_eq!(tree.revision(), Some(commit.as_str()), "{reference:?}");
        assert_eq!(read(&tree, "f"), text);
        let is_shallow = tree.root().join(".git/shallow").exists();
        assert_eq!(is_shallow, reference != Some(&short), "{reference:?}");
    }
    bench.assert_scratch_is_empty().await;
}

#[tokio::test]
async fn what_the_remote_has_not_is_named() {
    let bench = Bench::new();
    bench.repository("r.git").commit("trunk", &[("f", "")]);
    bench.repository("empty.git");
    let zeros = "0".repeat(39) + "1";
    for (name, reference) in [
        ("r.git", Some("none")),
        ("r.git", Some("--upload-pack=id")),
        ("r.git", Some("abcdef0")),
        ("r.git", Some(zeros.as_str())),
        ("empty.git", None),
    ] {
        let error = bench.fetch(name, reference).await.unwrap_err();
        assert!(
            matches!(error, Error::NoSuchReference { .. }),
            "{reference:?}: {error}"
        );
    }
    let error = bench.fetch("none.git", None).await.unwrap_err();
    assert!(
        matches!(&error, Error::Git { said, .. } if said.contains("not found")),
        "{error}"
    );
    bench.assert_scratch_is_empty().await;
}

#[tokio::test]
async fn a_server_that_serves_no_bare_commit_serves_its_history() {
    let bench = Bench::speaking(false);
    let repository = bench.repository("r.git");
    let first = repository.commit("trunk", &[("f", "first")]);
    repository.commit("trunk", &[("f", "second")]);
    let tree = bench.fetch("r.git", Some(&first)).await.unwrap();
    assert_eq!(
        (tree.revision(), read(&tree, "f").as_str()),
        (Some(first.as_str()), "first")
    );
}

#[tokio::test]
async fn credentials_open_the_remote_and_nothing_else() {
    let bench = Bench::new();
    bench
        .repository("private/r.git")
        .commit("trunk", &[("f", "private")]);
    let arguments = bench.directory.path().join("arguments");
    let record = format!("echo \"$@\" >> {}", arguments.display());
    let options = bench.options().with_git(bench.git(&record));
    let url = format!(
        "http://launch:s3cret%2Fgit@{}/private/r.git",
        bench.server.address
    );
    let tree = tree(&source(&url, None, None), &options).await.unwrap();
    assert_eq!(read(&tree, "f"), "private");
    for text in [
        fs_err::read_to_string(&arguments).unwrap(),
        read(&tree, ".git/config"),
        read(&tree, ".git/FETCH_HEAD"),
        format!("{tree:?} {}", tree.origin()),
    ] {
        assert!(!text.contains("s3cret"), "{text}");
    }
}

#[tokio::test]
async fn a_wrong_password_is_refused_and_not_shown() {
    let bench = Bench::new();
    bench
        .repository("private/r.git")
        .commit("trunk", &[("f", "")]);
    for login in ["launch:wrong-s3cret@", "token-s3cret@", ""] {
        let url = format!("http://{login}{}/private/r.git", bench.server.address);
        let error = tree(&source(&url, None, None), &bench.options())
            .await
            .unwrap_err();
        assert!(matches!(error, Error::Git { .. }), "{error}");
        let shown = format!("{error} {error:?}");
        assert!(!shown.contains("s3cret"), "{shown}");
    }
}

#[tokio::test]
async fn submodules_come_along_with_the_login_of_their_host() {
    let bench = Bench::new();
    let module = bench.repository("private/module.git");
    let pinned = module.commit("trunk", &[("m", "pinned")]);
    module.commit("trunk", &[("m", "later")]);
    let repository = bench.repository("private/r.git");
    repository.commit("trunk", &[("f", "")]);
    repository.commit_submodule("../module.git", &pinned);
    let url = format!(
        "http://launch:s3cret%2Fgit@{}/private/r.git",
        bench.server.address
    );
    let tree = tree(&source(&url, None, None), &bench.options())
        .await
        .unwrap();
    assert_eq!(read(&tree, "module/m"), "pinned");
    assert!(!read(&tree, ".git/modules/m/config").contains("s3cret"));
}

#[tokio::test]
async fn a_submodule_behind_an_old_server_comes_with_its_history() {
    let bench = Bench::speaking(false);
    let module = bench.repository("module.git");
    let pinned = module.commit("trunk", &[("m", "pinned")]);
    module.commit("trunk", &[("m", "later")]);
    let repository = bench.repository("r.git");
    repository.commit("trunk", &[("f", "")]);
    repository.commit_submodule("../module.git", &pinned);
    let tree = bench.fetch("r.git", None).await.unwrap();
    assert_eq!(read(&tree, "module/m"), "pinned");
}

#[tokio::test]
async fn a_submodule_does_not_reach_the_disk() {
    let bench = Bench::new();
    let secret = bench.repository("module.git");
    let pinned = secret.commit("trunk", &[("m", "secret")]);
    for url in [
        format!("file://{}", secret.0.display()),
        secret.0.display().to_string(),
    ] {
        let repository = bench.repository(&format!("r{}.git", url.len()));
        repository.commit("trunk", &[("f", "")]);
        repository.commit_submodule(&url, &pinned);
        let name = repository
            .0
            .file_name()
            .unwrap()
            .to_str()
            .unwrap()
            .to_owned();
        let error = bench.fetch(&name, None).await.unwrap_err();
        assert!(
            matches!(&error, Error::Git { said, .. } if said.contains("'file' not allowed")),
            "{error}"
        );
    }
    bench.assert_scratch_is_empty().await;
}

#[tokio::test]
async fn a_subdirectory_stays_inside() {
    let bench = Bench::new();
    let files = [("job/train.py", "1"), ("out", "link:/etc"), ("file", "")];
    bench.repository("r.git").commit("trunk", &files);
    let at = async |path: &str| {
        tree(
            &source(&bench.url("r.git"), None, Some(path)),
            &bench.options(),
        )
        .await
    };
    assert_eq!(read(&at("job").await.unwrap(), "train.py"), "1");
    for path in ["out", "../..", "/etc", "none", "file"] {
        let error = at(path).await.unwrap_err();
        assert!(
            matches!(
                error,
                Error::Path {
                    what: "subdirectory",
                    ..
                }
            ),
            "{path}: {error}"
        );
    }
}

#[tokio::test]
async fn nothing_of_the_users_hooks_runs() {
    let bench = Bench::new();
    bench.repository("r.git").commit("trunk", &[("f", "1\n")]);
    let hooks = bench.directory.path().join("hooks");
    fs_err::create_dir(&hooks).unwrap();
    let trace = bench.directory.path().join("hook-ran");
    let hook = hooks.join("post-checkout");
    fs_err::write(&hook, format!("#!/bin/sh\ntouch {}\n", trace.display())).unwrap();
    fs_err::set_permissions(&hook, PermissionsExt::from_mode(0o755)).unwrap();
    let config = bench.directory.path().join("gitconfig");
    let settings = format!(
        "[core]\n\thooksPath = {}\n\tautocrlf = true\n",
        hooks.display()
    );
    fs_err::write(&config, settings).unwrap();
    let wrapper = bench.git(&format!("export GIT_CONFIG_GLOBAL={}", config.display()));
    let options = bench.options().with_git(wrapper);
    let tree = tree(&source(&bench.url("r.git"), None, None), &options)
        .await
        .unwrap();
    assert_eq!(read(&tree, "f"), "1\n");
    assert!(!trace.exists());
}

#[tokio::test]
async fn a_server_that_never_answers_is_given_up() {
    let bench = Bench::new();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/r.git", listener.local_addr().unwrap());
    let options = bench.options().with_timeout(Duration::from_millis(700));
    let error = tree(&source(&url, None, None), &options).await.unwrap_err();
    assert!(
        matches!(&error, Error::Git { said, .. } if said.contains("gave up")),
        "{error}"
    );
    bench.assert_scratch_is_empty().await;
}

#[tokio::test]
async fn a_dropped_fetch_takes_git_and_its_children_along() {
    let bench = Bench::new();
    let pids = bench.directory.path().join("pids");
    let wait = format!("sleep 300 & echo $! $$ >> {}\nwait", pids.display());
    let options = bench.options().with_git(bench.git(&wait));
    let source = source(&bench.url("r.git"), None, None);
    let fetching = tree(&source, &options);
    assert!(
        tokio::time::timeout(Duration::from_secs(1), fetching)
            .await
            .is_err()
    );
    bench.assert_scratch_is_empty().await;
    let pids = fs_err::read_to_string(&pids).unwrap();
    for pid in pids.split_whitespace() {
        let start = Instant::now();
        while is_alive(pid) {
            assert!(
                start.elapsed() < Duration::from_secs(10),
                "process {pid} of git stays"
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

/// A zombie has ended: only its parent has not looked yet.
fn is_alive(pid: &str) -> bool {
    let stat = fs_err::read_to_string(Path::new("/proc").join(pid).join("stat"));
    stat.is_ok_and(|stat| !stat.contains(") Z "))
}

#[tokio::test]
async fn without_git_that_is_said() {
    let options = FetchOptions::new().with_git("/nonexistent/git");
    let error = tree(&source("https://host/r", None, None), &options)
        .await
        .unwrap_err();
    assert!(matches!(error, Error::NoGit(_)), "{error}");
}

/// What a test needs of its surroundings; on CI it has to be there.
fn needed(variable: &str) -> Option<String> {
    let value = std::env::var(variable)
        .ok()
        .filter(|value| !value.is_empty());
    if value.is_none() {
        let is_ci = std::env::var("CI").is_ok_and(|ci| ci == "true");
        assert!(!is_ci, "{variable} is not set");
        #[expect(clippy::print_stdout, reason = "a skipped test says so")]
        {
            println!("skipped: {variable} is not set");
        }
    }
    value
}

#[tokio::test]
async fn a_real_web_server_serves_open_and_private_repositories() {
    let Some(base) = needed("LAUNCH_TEST_GIT_HTTP") else {
        return;
    };
    let open = source(&format!("{base}/sample.git"), None, None);
    let tree_of = async |source: &Source| tree(source, &FetchOptions::new()).await;
    assert_eq!(
        tree_of(&open).await.unwrap().revision().map(str::len),
        Some(40)
    );
    let private = base.replacen("://", "://launch:s3cret-git@", 1) + "/private/sample.git";
    let tree = tree_of(&source(&private, None, None)).await.unwrap();
    assert!(!tree.origin().contains("s3cret-git"));
    let closed = source(&format!("{base}/private/sample.git"), None, None);
    assert!(matches!(
        tree_of(&closed).await.unwrap_err(),
        Error::Git { .. }
    ));
}

#[tokio::test]
async fn ssh_checks_the_host_and_uses_the_key() {
    let Some(url) = needed("LAUNCH_TEST_GIT_SSH") else {
        return;
    };
    let (Some(key), Some(hosts)) = (
        needed("LAUNCH_TEST_GIT_SSH_KEY"),
        needed("LAUNCH_TEST_GIT_SSH_KNOWN_HOSTS"),
    ) else {
        return;
    };
    let options = |hosts: &str| {
        let ssh =
            format!("ssh -F /dev/null -i {key} -oIdentitiesOnly=yes -oUserKnownHostsFile={hosts}");
        FetchOptions::new()
            .with_ssh_command(ssh)
            .with_timeout(Duration::from_mins(1))
    };
    let source = source(&url, None, None);
    let tree = tree(&source, &options(&hosts)).await.unwrap();
    assert_eq!(tree.revision().map(str::len), Some(40));
    let error = self::tree(&source, &options("/dev/null"))
        .await
        .unwrap_err();
    assert!(
        error.to_string().contains("Host key verification failed"),
        "{error}"
    );
}

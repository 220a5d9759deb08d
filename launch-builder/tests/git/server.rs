//! git's own `http-backend` behind the least HTTP server that can carry it.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// `user:password` of everything below `/private/`, as base64 of the test's own making.
pub(crate) const LOGIN: &str = "Basic bGF1bmNoOnMzY3JldC9naXQ="; // launch:s3cret/git

/// Serves the repositories of a directory until the process ends.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
}

impl Server {
    /// `speaks_v2` says whether clients may use protocol 2, which serves any object.
    pub(crate) fn start(root: &Path, speaks_v2: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let root = root.to_owned();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let root = root.clone();
                std::thread::spawn(move || serve(&stream, &root, speaks_v2));
            }
        });
        Self { address }
    }
}

fn serve(mut stream: &TcpStream, root: &Path, speaks_v2: bool) -> Option<()> {
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    let line = read_line(&mut reader)?;
    let mut headers = HashMap::new();
    loop {
        let line = read_line(&mut reader)?;
        let Some((name, value)) = line.split_once(':') else {
            break;
        };
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    let mut words = line.split(' ');
    let (method, target) = (words.next()?, words.next()?);
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let body = read_body(&mut reader, &headers)?;
    let is_allowed = headers
        .get("authorization")
        .is_some_and(|login| login == LOGIN);
    if path.starts_with("/private/") && !is_allowed {
        let refusal = "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"t\"\r\n\
                       Content-Length: 0\r\nConnection: close\r\n\r\n";
        return stream.write_all(refusal.as_bytes()).ok();
    }
    let answer = backend(root, (method, path, query), &headers, speaks_v2, body)?;
    stream.write_all(&answer).ok()
}

fn backend(
    root: &Path,
    (method, path, query): (&str, &str, &str),
    headers: &HashMap<String, String>,
    speaks_v2: bool,
    body: Vec<u8>,
) -> Option<Vec<u8>> {
    let header = |name: &str| headers.get(name).cloned().unwrap_or_default();
    let mut command = Command::new("git");
    command
        .arg("http-backend")
        .env("GIT_PROJECT_ROOT", root)
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("REQUEST_METHOD", method)
        .env("PATH_INFO", path)
        .env("QUERY_STRING", query)
        .env("CONTENT_TYPE", header("content-type"))
        .env("HTTP_CONTENT_ENCODING", header("content-encoding"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    if speaks_v2 {
        command.env("GIT_PROTOCOL", header("git-protocol"));
    }
    let mut child = command.spawn().ok()?;
    let mut stdin = child.stdin.take()?;
    let feeding = std::thread::spawn(move || stdin.write_all(&body));
    let output = child.wait_with_output().ok()?;
    let _ = feeding.join();
    let end = output
        .stdout
        .windows(4)
        .position(|window| window == b"\r\n\r\n")?;
    let head = String::from_utf8_lossy(&output.stdout[..end]).into_owned();
    let status = head
        .lines()
        .find_map(|line| line.strip_prefix("Status: "))
        .unwrap_or("200 OK");
    let mut answer =
        format!("HTTP/1.1 {status}\r\nConnection: close\r\n{head}\r\n\r\n").into_bytes();
    answer.extend_from_slice(&output.stdout[end + 4..]);
    Some(answer)
}

fn read_line(reader: &mut impl BufRead) -> Option<String> {
    let mut line = String::new();
    let count = reader.read_line(&mut line).ok()?;
    (count > 0).then(|| line.trim_end().to_owned())
}

fn read_body(reader: &mut impl BufRead, headers: &HashMap<String, String>) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    if headers
        .get("transfer-encoding")
        .is_some_and(|coding| coding == "chunked")
    {
        loop {
            let size = usize::from_str_radix(&read_line(reader)?, 16).ok()?;
            let mut chunk = vec![0; size];
            reader.read_exact(&mut chunk).ok()?;
            read_line(reader)?;
            if size == 0 {
                return Some(body);
            }
            body.extend(chunk);
        }
    }
    let length = headers
        .get("content-length")
        .and_then(|length| length.parse().ok())
        .unwrap_or(0);
    body.resize(length, 0);
    reader.read_exact(&mut body).ok()?;
    Some(body)
}

/// A repository the server can serve, made with the `git` program.
pub(crate) struct Repository(pub(crate) PathBuf);

impl Repository {
    /// Bare, with its default branch called `trunk`.
    pub(crate) fn new(path: PathBuf) -> Self {
        fs_err::create_dir_all(&path).unwrap();
        let repository = Self(path);
        repository.git(&["init", "--quiet", "--bare", "--initial-branch=trunk", "."]);
        repository
    }

    pub(crate) fn git(&self, arguments: &[&str]) -> String {
        git(&self.0, arguments)
    }

    /// Commits files to a branch that follows `parent`; answers the commit.
    pub(crate) fn commit(&self, branch: &str, files: &[(&str, &str)]) -> String {
        let work = tempfile::tempdir().unwrap();
        let url = self.0.to_str().unwrap();
        git(work.path(), &["clone", "--quiet", url, "."]);
        git(work.path(), &["checkout", "--quiet", "-B", branch]);
        for (name, text) in files {
            let path = work.path().join(name);
            fs_err::create_dir_all(path.parent().unwrap()).unwrap();
            match text.strip_prefix("link:") {
                Some(target) => std::os::unix::fs::symlink(target, path).unwrap(),
                None => fs_err::write(path, text).unwrap(),
            }
        }
        git(work.path(), &["add", "--all"]);
        git(work.path(), &["commit", "--quiet", "--message", "change"]);
        git(
            work.path(),
            &[
                "push",
                "--quiet",
                "--force",
                "origin",
                &format!("HEAD:{branch}"),
            ],
        );
        git(work.path(), &["rev-parse", "HEAD"])
    }

    /// Commits a submodule at `module/`, pinned to `commit`, as its URL is written.
    pub(crate) fn commit_submodule(&self, url: &str, commit: &str) -> String {
        let work = tempfile::tempdir().unwrap();
        git(
            work.path(),
            &["clone", "--quiet", self.0.to_str().unwrap(), "."],
        );
        git(work.path(), &["checkout", "--quiet", "-B", "trunk"]);
        let modules = format!("[submodule \"m\"]\n\tpath = module\n\turl = {url}\n");
        fs_err::write(work.path().join(".gitmodules"), modules).unwrap();
        git(work.path(), &["add", ".gitmodules"]);
        let entry = format!("160000,{commit},module");
        git(
            work.path(),
            &["update-index", "--add", "--cacheinfo", &entry],
        );
        git(work.path(), &["commit", "--quiet", "--message", "module"]);
        git(work.path(), &["push", "--quiet", "origin", "HEAD:trunk"]);
        git(work.path(), &["rev-parse", "HEAD"])
    }
}

fn git(directory: &Path, arguments: &[&str]) -> String {
    let output = Command::new("git")
        .args([
            "-c",
            "user.name=t",
            "-c",
            "user.email=t@t",
            "-c",
            "commit.gpgSign=false",
        ])
        .args(arguments)
        .current_dir(directory)
        .env_remove("GIT_DIR")
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "git {arguments:?}: {stderr}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

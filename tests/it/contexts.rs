//! One tree, one archive: whatever its times, owners, umask and directory order.

use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use launch_tests::Agent;

/// Makes a tree in the order given; the content does not depend on it.
fn tree(root: &Path, reverse: bool, mode: u32) {
    fs_err::create_dir_all(root).unwrap();
    let mut names: Vec<String> = (0..40).map(|i| format!("d{}/f{i}.txt", i % 5)).collect();
    names.push("run.sh".to_owned());
    if reverse {
        names.reverse();
    }
    for name in &names {
        let path = root.join(name);
        fs_err::create_dir_all(path.parent().unwrap()).unwrap();
        fs_err::write(&path, format!("content of {name}")).unwrap();
        let executable = if name == "run.sh" { 0o111 } else { 0 };
        let mode = std::fs::Permissions::from_mode(mode | (executable & (mode >> 2 | 0o100)));
        fs_err::set_permissions(&path, mode).unwrap();
    }
    symlink("run.sh", root.join("link")).unwrap();
    fs_err::write(root.join(".dockerignore"), "*.log\n").unwrap();
}

fn pack(agent: &Agent, root: &Path, name: &str) -> (String, Vec<u8>) {
    let out: PathBuf = agent.dir("out").join(name);
    let said = agent
        .say(&[
            "context",
            "pack",
            root.to_str().unwrap(),
            "-o",
            out.to_str().unwrap(),
        ])
        .expect(0);
    (said.out.trim().to_owned(), fs_err::read(out).unwrap())
}

#[test]
fn what_does_not_count_does_not_change_the_archive() {
    let agent = Agent::new();
    let (one, two) = (agent.dir("a").join("tree"), agent.dir("b").join("tree"));
    tree(&one, false, 0o644);
    tree(&two, true, 0o600);
    let old = std::process::Command::new("find")
        .arg(&two)
        .args(["-exec", "touch", "-h", "-d", "2001-01-01", "{}", "+"])
        .status();
    assert!(old.unwrap().success());
    // Only root can give files away; elsewhere the owner stays the same.
    let _ = std::process::Command::new("chown")
        .args(["-hR", "65534:65534"])
        .arg(&two)
        .status();
    assert_eq!(
        pack(&agent, &one, "1.tar.gz"),
        pack(&agent, &two, "2.tar.gz")
    );
    assert_eq!(pack(&agent, &one, "1.tar"), pack(&agent, &two, "2.tar"));
}

#[test]
fn what_counts_changes_the_digest() {
    let agent = Agent::new();
    let root = agent.dir("a").join("tree");
    tree(&root, false, 0o644);
    let mut seen = vec![pack(&agent, &root, "0.tar").0];
    let mut change = |what: &str, make: &dyn Fn()| {
        make();
        let digest = pack(&agent, &root, "n.tar").0;
        assert!(!seen.contains(&digest), "{what} did not change the digest");
        seen.push(digest);
    };
    change("a byte", &|| {
        fs_err::write(root.join("d0/f0.txt"), "Content of d0/f0.txt").unwrap();
    });
    let mode = std::fs::Permissions::from_mode(0o755);
    change("a mode bit", &|| {
        fs_err::set_permissions(root.join("d0/f0.txt"), mode.clone()).unwrap();
    });
    change("a link's target", &|| {
        fs_err::remove_file(root.join("link")).unwrap();
        symlink("d0", root.join("link")).unwrap();
    });
    change("an ignore rule", &|| {
        fs_err::write(root.join(".dockerignore"), "*.tmp\n").unwrap();
    });
    change("a name", &|| {
        fs_err::rename(root.join("d1/f1.txt"), root.join("d1/g1.txt")).unwrap();
    });
    change("an empty directory", &|| {
        fs_err::create_dir(root.join("empty")).unwrap();
    });
}

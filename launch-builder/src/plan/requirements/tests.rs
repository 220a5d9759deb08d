//! Lists as people write them.

use super::*;

fn found(files: &[(&str, &str)]) -> Result<Option<Requirements>, Error> {
    let scratch = tempfile::tempdir().unwrap();
    let root = scratch.path().canonicalize().unwrap();
    for (name, text) in files {
        fs_err::create_dir_all(root.join(name).parent().unwrap()).unwrap();
        fs_err::write(root.join(name), text).unwrap();
    }
    let pyproject = Pyproject::read(&root)?;
    find(&root, pyproject.as_ref())
}

#[test]
fn the_strongest_list_wins() {
    let file = ("requirements.txt", "numpy\n");
    let pyproject = ("pyproject.toml", "[project]\ndependencies = ['torch>=2']\n");
    let frozen = ("requirements.frozen.txt", "six==1.0\n");
    let kind = |files: &[_]| found(files).unwrap().map(|list| list.kind);
    assert_eq!(
        kind(&[file, pyproject, frozen]),
        Some(RequirementsKind::File)
    );
    assert_eq!(
        kind(&[pyproject, frozen]),
        Some(RequirementsKind::Pyproject)
    );
    assert_eq!(kind(&[frozen]), Some(RequirementsKind::Frozen));
    assert_eq!(kind(&[]), None);
}

#[test]
fn a_list_of_comments_installs_nothing() {
    let text = "# numpy\n\n   # torch\n--index-url https://host/simple\n";
    let frozen = ("requirements.frozen.txt", "six==1.0\n");
    let list = found(&[("requirements.txt", text), frozen])
        .unwrap()
        .unwrap();
    assert_eq!((list.kind, list.is_empty), (RequirementsKind::File, true));
}

#[test]
fn included_files_come_along() {
    let list = found(&[
        (
            "requirements.txt",
            "-r reqs/base.txt\n--constraint=limits.txt\n",
        ),
        (
            "reqs/base.txt",
            "numpy # fast\n-r ../more.txt\n-r base.txt\n",
        ),
        ("more.txt", "six \\\n  ==1.0\n"),
        ("limits.txt", "numpy<3\n"),
    ]);
    let list = list.unwrap().unwrap();
    let files: Vec<_> = list
        .files
        .iter()
        .map(|file| file.to_str().unwrap())
        .collect();
    assert_eq!(
        files,
        [
            "limits.txt",
            "more.txt",
            "reqs/base.txt",
            "requirements.txt"
        ]
    );
    assert!(!list.needs_source);
}

#[test]
fn included_files_stay_inside() {
    for line in ["-r ../other.txt", "-c /etc/passwd", "-r none.txt"] {
        assert!(found(&[("requirements.txt", line)]).is_err(), "{line}");
    }
}

#[test]
fn lists_that_name_the_source_are_known() {
    for (line, local) in [
        ("-e .", true),
        ("--editable=./lib", true),
        ("./vendor/a.whl", true),
        ("a-1.0-py3-none-any.whl", true),
        ("lib @ file:./lib", true),
        ("--find-links=vendor\nsix", true),
        ("six>=1.0; python_version < '4'", false),
        ("a @ https://host/a/b.whl", false),
        ("-e git+https://host/a.git#egg=a", false),
        ("https://host/a.tar.gz", false),
    ] {
        let list = found(&[("requirements.txt", line)]).unwrap().unwrap();
        assert_eq!(list.needs_source, local, "{line}");
    }
}

#[test]
fn a_broken_project_file_is_told_by_its_line() {
    let error = found(&[("pyproject.toml", "[project]\ndependencies = 3\n")]).unwrap_err();
    assert!(
        error.to_string().contains("`pyproject.toml` line 2"),
        "{error}"
    );
}

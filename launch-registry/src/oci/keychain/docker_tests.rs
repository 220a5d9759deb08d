use super::*;

fn file(text: &str) -> (tempfile::TempDir, DockerKeychain) {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("config.json");
    fs_err::write(&path, text).unwrap();
    (home, DockerKeychain::from_files([path]))
}

async fn login(text: &str, host: &str) -> Option<Login> {
    let (_home, keychain) = file(text);
    keychain.login(host).await.unwrap()
}

#[tokio::test]
async fn hosts_are_found_however_they_are_spelt() {
    // "dTpw" is u:p.
    let hub = r#"{"auths":{"https://index.docker.io/v1/":{"auth":"dTpw"}}}"#;
    let expected = Some(Login::password("u", Secret::new("p")));
    assert_eq!(login(hub, "docker.io").await, expected);
    assert_eq!(login(hub, "quay.io").await, None);
    for key in ["r.io:5000", "https://r.io:5000", "http://r.io:5000/v2/"] {
        let text = format!(r#"{{"auths":{{"{key}":{{"auth":"dTpw"}}}}}}"#);
        assert_eq!(login(&text, "r.io:5000").await, expected, "{key}");
        assert_eq!(login(&text, "r.io").await, None, "{key}");
    }
}

#[tokio::test]
async fn every_kind_of_entry_is_read() {
    let with = |entry: &str| format!(r#"{{"auths":{{"r.io":{entry}}}}}"#);
    let plain = with(r#"{"username":"u","password":"p:q"}"#);
    assert_eq!(
        login(&plain, "r.io").await,
        Some(Login::password("u", Secret::new("p:q")))
    );
    let identity = with(r#"{"auth":"dTo=","identitytoken":"t"}"#);
    assert_eq!(
        login(&identity, "r.io").await,
        Some(Login::IdentityToken(Secret::new("t")))
    );
    let access = with(r#"{"registrytoken":"a"}"#);
    assert_eq!(
        login(&access, "r.io").await,
        Some(Login::AccessToken(Secret::new("a")))
    );
    assert_eq!(login(&with("{}"), "r.io").await, None);
}

#[tokio::test]
async fn a_missing_file_is_empty_and_a_broken_one_an_error_without_its_text() {
    let gone = DockerKeychain::from_files([PathBuf::from("/nowhere/config.json")]);
    assert_eq!(gone.login("r.io").await.unwrap(), None);
    for text in [
        r#"{"auths":"planted"}"#,
        r#"{"auths":{"r.io":{"auth":"planted:"}}}"#,
        "planted",
    ] {
        let (_home, keychain) = file(text);
        let error = keychain.login("r.io").await.unwrap_err();
        assert!(!format!("{error:?}").contains("planted"), "{error:?}");
    }
}

#[tokio::test]
async fn helpers_answer_before_the_file_and_podman_comes_last() {
    let text = r#"{"credHelpers":{"r.io":"../x"},"auths":{"q.io":{"auth":"dTpw"}}}"#;
    let (home, _) = file(text);
    let podman = home.path().join("auth.json");
    fs_err::write(
        &podman,
        r#"{"auths":{"p.io":{"auth":"dTpw"},"q.io":{"auth":"eDp5"}}}"#,
    )
    .unwrap();
    let keychain = DockerKeychain::from_files([home.path().join("config.json"), podman]);
    let error = keychain.login("r.io").await.unwrap_err();
    assert!(matches!(error, Error::Config { .. }), "{error}");
    let expected = Some(Login::password("u", Secret::new("p")));
    assert_eq!(keychain.login("q.io").await.unwrap(), expected);
    assert_eq!(keychain.login("p.io").await.unwrap(), expected);
}

#[test]
fn a_store_is_asked_under_the_name_docker_filed() {
    let parse = |text: &str| serde_json::from_str::<ConfigFile>(text).unwrap();
    let file = parse(r#"{"credsStore":"desktop","auths":{"https://r.io":{}}}"#);
    assert_eq!(file.helper_for("r.io"), Some(("https://r.io", "desktop")));
    assert_eq!(file.helper_for("docker.io"), Some((HUB_KEY, "desktop")));
    assert_eq!(file.helper_for("q.io"), Some(("q.io", "desktop")));
}

//! The ways to the server: paths, proxies, certificates, tokens that are kept.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use super::*;

async fn reaches(options: WandbOptions) -> Result<(), Error> {
    connect(options).register(&ask().queues).await
}

#[tokio::test]
async fn a_server_may_have_a_path() {
    let server = Server::start().await;
    for base in ["/w/and/b", "/w/and/b/"] {
        let url = format!("{}{base}", server.url);
        let options = options(&server).with_base_url(url.parse().unwrap());
        reaches(options).await.unwrap();
        let paths = std::mem::take(&mut server.state().paths);
        assert!(
            paths.iter().all(|path| path == "/w/and/b/graphql") && !paths.is_empty(),
            "{paths:?}"
        );
    }
}

#[tokio::test]
async fn a_proxy_is_asked_for_what_it_is_named_for() {
    let server = Server::start().await;
    let proxies = |scheme: &str| {
        let url = Secret::new(server.url.as_str());
        BTreeMap::from([(scheme.to_owned(), url)])
    };
    let elsewhere = || {
        options(&server)
            .with_base_url("http://wandb.invalid".parse().unwrap())
            .with_patience(Duration::ZERO)
    };
    for scheme in ["http", "all"] {
        let options = elsewhere().with_proxies(proxies(scheme));
        reaches(options).await.unwrap();
        let paths = std::mem::take(&mut server.state().paths);
        assert_eq!(paths[0], "http://wandb.invalid/graphql");
    }
    let other = elsewhere().with_proxies(proxies("https"));
    assert!(reaches(other).await.unwrap_err().is_retryable());
    let wrong = BTreeMap::from([("http".to_owned(), Secret::new("http://u:planted@ h"))]);
    let error = WandbQueue::connect(elsewhere().with_proxies(wrong)).unwrap_err();
    assert!(matches!(error, Error::Config { .. }), "{error:?}");
    assert!(!format!("{error:?}").contains("planted"), "{error:?}");
}

/// A door with TLS before the server; its certificate is its own authority's.
async fn door(server: &Server, home: &Path) -> String {
    let file = |name: &str| home.join(name);
    fs_err::write(file("names"), "subjectAltName=IP:127.0.0.1\n").expect("a file");
    for words in [
        "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=ours -keyout ca.key -out ca.pem",
        "req -newkey rsa:2048 -nodes -subj /CN=127.0.0.1 -keyout key.pem -out wanted",
        "x509 -req -in wanted -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile names \
         -out cert.pem",
    ] {
        let words = words.split_whitespace();
        let made = Command::new("openssl")
            .args(words)
            .current_dir(home)
            .output();
        let made = made.expect("openssl is there");
        assert!(made.status.success(), "{made:?}");
    }
    let chain = vec![CertificateDer::from_pem_file(file("cert.pem")).expect("PEM")];
    let key = PrivateKeyDer::from_pem_file(file("key.pem")).expect("PEM");
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .expect("a certificate");
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("https://{}", listener.local_addr().expect("an address"));
    let behind = server.url.trim_start_matches("http://").to_owned();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (acceptor, behind) = (acceptor.clone(), behind.clone());
            tokio::spawn(async move {
                let mut stream = acceptor.accept(stream).await?;
                let mut plain = TcpStream::connect(behind).await?;
                copy_bidirectional(&mut stream, &mut plain).await
            });
        }
    });
    url
}

#[tokio::test]
async fn a_certificate_is_trusted_by_its_authority_or_not_at_all() {
    let server = Server::start().await;
    let home = tempfile::tempdir().unwrap();
    let url = door(&server, home.path()).await;
    let there = || {
        options(&server)
            .with_base_url(url.parse().unwrap())
            .with_patience(Duration::ZERO)
    };
    let error = format!("{:?}", reaches(there()).await.unwrap_err());
    assert!(error.contains("certificate"), "{error}");
    let bundle = home.path().join("ca.pem");
    reaches(there().with_authorities(&bundle)).await.unwrap();
    reaches(there().with_authorities(home.path()))
        .await
        .unwrap();
    reaches(there().with_insecure(true)).await.unwrap();
    let none = there().with_authorities(home.path().join("key.pem"));
    let error = WandbQueue::connect(none).unwrap_err();
    assert!(error.to_string().contains("no certificate"), "{error}");
}

#[tokio::test]
async fn exchanged_tokens_are_kept_for_the_next_process() {
    let server = Server::start().await;
    let home = tempfile::tempdir().unwrap();
    let (file, cache) = (home.path().join("token"), home.path().join("w/c.json"));
    fs_err::write(&file, "an.identity.token\n").unwrap();
    let start = || {
        let mut options = options(&server).with_token_cache(&cache);
        options.identity = Identity::TokenFile(file.clone());
        connect(options)
    };
    let exchanges = || {
        let state = server.state();
        let asked = |path: &&String| path.as_str() == "/oidc/token";
        state.paths.iter().filter(asked).count()
    };
    start().register(&ask().queues).await.unwrap();
    start().register(&ask().queues).await.unwrap();
    assert_eq!(exchanges(), 1);
    let kept = || -> Value { serde_json::from_slice(&fs_err::read(&cache).unwrap()).unwrap() };
    let token = |kept: &Value| kept["credentials"][&server.url]["access_token"].clone();
    assert_eq!(token(&kept()), "planted-key");
    // Revoked meanwhile: what the file has is refused, and exchanged anew.
    "another-key".clone_into(&mut server.state().key);
    start().register(&ask().queues).await.unwrap();
    assert_eq!(exchanges(), 2);
    assert_eq!(token(&kept()), "another-key");
    // It has less than five minutes left.
    let mut old = kept();
    old["credentials"][&server.url]["expires_at"] = json!("2020-01-01 00:00:00");
    fs_err::write(&cache, old.to_string()).unwrap();
    start().register(&ask().queues).await.unwrap();
    assert_eq!(exchanges(), 3);
}

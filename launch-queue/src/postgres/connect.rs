//! Which server, and how to speak to it.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use deadpool_postgres::{Manager, ManagerConfig, Pool, RecyclingMethod, Runtime, Timeouts};
use launch_config::secret::Secret;
use rustls::crypto::ring;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::BuilderVerifierExt as _;
use tokio_postgres::config::Host;
use tokio_postgres::tls::MakeTlsConnect;
use tokio_postgres::{Client, Config, Connection, Socket};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::failure::Failure;
use super::options::PostgresOptions;
use crate::error::Error;

/// A quiet connection is tried after this long, so that a lost host is noticed.
const KEEPALIVE: Duration = Duration::from_secs(30);

/// A server that can be connected to. Prints without its password.
#[derive(Clone)]
pub(super) struct Server {
    config: Config,
    tls: MakeRustlsConnect,
    name: String,
}

type ServerConnection = Connection<Socket, <MakeRustlsConnect as MakeTlsConnect<Socket>>::Stream>;

impl Server {
    /// Reads a URL as libpq does, and what tokio-postgres does not know of it here.
    pub(super) fn parse(url: &Secret, options: &PostgresOptions) -> Result<Self, Error> {
        if !options.has_plain_schema() {
            return Err(Error::Config {
                what: format!("schema `{}` is not of [a-z_][a-z0-9_]*", options.schema),
            });
        }
        let (url, roots) = without_certificates(url.expose())?;
        let mut config: Config = url.parse().map_err(|error: tokio_postgres::Error| {
            // The parser names the parameter, never its value.
            Error::Config {
                what: format!("the address of the PostgreSQL queue: {error}"),
            }
        })?;
        let name = name(&config);
        config
            .connect_timeout(options.connect_timeout)
            .keepalives_idle(KEEPALIVE)
            .application_name("launch-agent");
        let timeout = format!(
            "-c statement_timeout={}",
            options.statement_timeout.as_millis()
        );
        let given = config.get_options().unwrap_or_default().to_owned();
        config.options(format!("{given} {timeout}").trim());
        let tls = tls(roots).map_err(|failure| failure.outward(&name, "set up TLS for"))?;
        Ok(Self { config, tls, name })
    }

    /// Host and database: what a person may see.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn pool(&self, options: &PostgresOptions) -> Result<Pool, Failure> {
        let recycling = ManagerConfig {
            recycling_method: RecyclingMethod::Fast,
        };
        let manager = Manager::from_config(self.config.clone(), self.tls.clone(), recycling);
        let wait = Some(options.connect_timeout);
        let timeouts = Timeouts {
            wait,
            create: wait,
            recycle: wait,
        };
        let pool = Pool::builder(manager)
            .max_size(options.max_connections.max(1))
            .timeouts(timeouts)
            .runtime(Runtime::Tokio1)
            .build();
        pool.map_err(|error| Failure::Connection(error.to_string()))
    }

    /// One connection beside the pool.
    pub(super) async fn connection(&self) -> Result<(Client, ServerConnection), Failure> {
        Ok(self.config.connect(self.tls.clone()).await?)
    }
}

/// The URL without what only libpq understands, and the file of `sslrootcert`.
///
/// `verify-ca` and `verify-full` become `require`: certificates and names are checked
/// whenever TLS is spoken.
fn without_certificates(url: &str) -> Result<(String, Option<PathBuf>), Error> {
    let Ok(mut parsed) = url::Url::parse(url) else {
        // The `key=value` form of libpq goes to its parser as it is.
        return Ok((url.to_owned(), None));
    };
    if !matches!(parsed.scheme(), "postgres" | "postgresql") {
        return Err(Error::Config {
            what: format!("`{}` is not `postgres://…`", parsed.scheme()),
        });
    }
    let mut roots = None;
    let pairs: Vec<(String, String)> = parsed.query_pairs().into_owned().collect();
    if pairs.is_empty() {
        return Ok((url.to_owned(), None));
    }
    parsed.set_query(None);
    for (key, value) in pairs {
        match (key.as_str(), value.as_str()) {
            ("sslrootcert", file) => roots = Some(PathBuf::from(file)),
            ("sslmode", "verify-ca" | "verify-full") => {
                parsed.query_pairs_mut().append_pair("sslmode", "require");
            }
            (key, value) => {
                parsed.query_pairs_mut().append_pair(key, value);
            }
        }
    }
    Ok((parsed.to_string(), roots))
}

fn tls(roots: Option<PathBuf>) -> Result<MakeRustlsConnect, Failure> {
    let provider = Arc::new(ring::default_provider());
    let builder =
        ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    let builder = match roots {
        None => builder.with_platform_verifier()?,
        Some(file) => {
            let mut store = RootCertStore::empty();
            let pem = fs_err::read(&file)?;
            for certificate in CertificateDer::pem_slice_iter(&pem) {
                let invalid = |error: &dyn std::fmt::Display| {
                    let text = format!("`{}`: {error}", file.display());
                    std::io::Error::new(std::io::ErrorKind::InvalidData, text)
                };
                store.add(certificate.map_err(|error| invalid(&error))?)?;
            }
            builder.with_root_certificates(store)
        }
    };
    Ok(MakeRustlsConnect::new(builder.with_no_client_auth()))
}

fn name(config: &Config) -> String {
    let host = match config.get_hosts().first() {
        Some(Host::Tcp(host)) => host.clone(),
        #[cfg(unix)]
        Some(Host::Unix(path)) => path.display().to_string(),
        None => "localhost".to_owned(),
    };
    let port = config.get_ports().first().copied().unwrap_or(5432);
    let database = config
        .get_dbname()
        .or_else(|| config.get_user())
        .unwrap_or("postgres");
    format!("postgres://{host}:{port}/{database}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(url: &str) -> Result<Server, Error> {
        Server::parse(&Secret::new(url), &PostgresOptions::default())
    }

    #[test]
    fn the_name_holds_no_password() {
        let server = server("postgres://ann:planted@db.example.org/jobs?sslmode=verify-full");
        assert_eq!(
            server.unwrap().name(),
            "postgres://db.example.org:5432/jobs"
        );
        for broken in [
            "postgres://ann:planted@db/jobs?sslmode=planted",
            "mysql://ann:planted@db",
            "host=db password=planted wrong=1",
        ] {
            let error = server_error(broken);
            assert!(!error.contains("planted"), "{error}");
        }
    }

    fn server_error(url: &str) -> String {
        let Err(error) = server(url) else {
            panic!("`{url}` is accepted");
        };
        format!("{error} {error:?}")
    }

    #[test]
    fn a_root_certificate_that_is_none_is_said() {
        let error = server_error("postgres://db/jobs?sslmode=require&sslrootcert=/nowhere/ca.pem");
        assert!(error.contains("/nowhere/ca.pem"), "{error}");
    }
}

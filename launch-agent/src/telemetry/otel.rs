//! Traces for an OpenTelemetry collector: a span for each job, one below it for each stage.
//!
//! `OTEL_EXPORTER_OTLP_ENDPOINT` names the collector (`http://127.0.0.1:4318`); without it,
//! nothing is traced. Spans go as OTLP over plain HTTP, as to a collector on this machine or
//! beside it, which speaks TLS to whoever is farther away.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{SpanExporter, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tokio::net::TcpStream;
use tokio::runtime::Handle;
use tracing::Subscriber;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::registry::LookupSpan;

/// Any of these names a collector.
const ENDPOINTS: [&str; 2] = [
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
    "OTEL_EXPORTER_OTLP_ENDPOINT",
];

/// How long a request may take, and the last spans at the end.
const PATIENCE: Duration = Duration::from_secs(5);

/// A collector says little.
const LONGEST_ANSWER: usize = 1 << 20;

/// Traces on their way.
#[derive(Debug, Clone, Default)]
pub(crate) struct Traces {
    provider: Option<SdkTracerProvider>,
    runtime: Arc<OnceLock<Handle>>,
}

impl Traces {
    /// Begins to trace, if there is a collector; else there is no layer either. A collector
    /// that cannot be used is an error for a person.
    pub(crate) fn begin<S>() -> Result<(Self, Option<impl Layer<S> + Send + Sync>), String>
    where
        S: Subscriber + Send + Sync + for<'a> LookupSpan<'a>,
    {
        let is_set = |name: &&str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        if !ENDPOINTS.iter().any(is_set) {
            return Ok((Self::default(), None));
        }
        let runtime = Arc::default();
        let client = Client {
            runtime: Arc::clone(&runtime),
        };
        let exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(client)
            .build()
            .map_err(|error| error.to_string())?;
        let resource = Resource::builder().with_service_name("launch-agent");
        let provider = SdkTracerProvider::builder()
            .with_batch_exporter(exporter)
            .with_resource(resource.build())
            .build();
        let layer = tracing_opentelemetry::layer()
            .with_tracer(provider.tracer("launch-agent"))
            .with_filter(filter_fn(|about| {
                about.is_span() && about.target().starts_with("launch_agent")
            }));
        let provider = Some(provider);
        Ok((Self { provider, runtime }, Some(layer)))
    }

    /// Says where requests may be sent from; until then, spans wait.
    pub(crate) fn run_on(&self, runtime: &Handle) {
        // Set once, by the one runtime there is.
        let _ = self.runtime.set(runtime.clone());
    }

    /// Sends what is left.
    pub(crate) async fn end(self) {
        let Some(provider) = self.provider else {
            return;
        };
        let end = move || provider.shutdown_with_timeout(PATIENCE);
        if let Ok(Err(error)) = tokio::task::spawn_blocking(end).await {
            tracing::warn!(%error, "the last traces may be lost");
        }
    }
}

/// Sends requests from the program's runtime: the exporter has a thread without one.
#[derive(Debug)]
struct Client {
    runtime: Arc<OnceLock<Handle>>,
}

#[async_trait]
impl HttpClient for Client {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let runtime = self.runtime.get().ok_or("the program is starting")?;
        let sent =
            runtime.spawn(async move { tokio::time::timeout(PATIENCE, send(request)).await });
        sent.await??
    }
}

async fn send(request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
    let (mut parts, body) = request.into_parts();
    if parts.uri.scheme_str() != Some("http") {
        return Err("traces are sent over plain http only: to a collector beside the agent".into());
    }
    let authority = parts.uri.authority().ok_or("no host")?.clone();
    let port = authority.port_u16().unwrap_or(80);
    let wire = TcpStream::connect((authority.host(), port)).await?;
    let (mut client, talk) = http1::handshake(TokioIo::new(wire)).await?;
    let talk = tokio::spawn(talk);
    let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
    parts.uri = path.parse()?;
    parts.headers.insert("host", authority.as_str().parse()?);
    let request = Request::from_parts(parts, Full::new(body));
    let (head, body) = client.send_request(request).await?.into_parts();
    let body = Limited::new(body, LONGEST_ANSWER).collect().await?;
    talk.abort();
    Ok(Response::from_parts(head, body.to_bytes()))
}

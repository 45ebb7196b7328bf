//! Where traces go: what the standard environment variables of OpenTelemetry say.
//!
//! | variable | what is followed |
//! |---|---|
//! | `OTEL_EXPORTER_OTLP_ENDPOINT` | turns traces on; `http` or `https` |
//! | `OTEL_EXPORTER_OTLP_PROTOCOL` | `grpc` (the default) or `http/protobuf` |
//! | `OTEL_EXPORTER_OTLP_CERTIFICATE` | more authorities to trust, with `grpc` |
//! | `OTEL_EXPORTER_OTLP_HEADERS`, `_TIMEOUT` | yes |
//! | `OTEL_SERVICE_NAME`, `OTEL_RESOURCE_ATTRIBUTES` | yes; the service is `taffrail` otherwise |
//! | `OTEL_SDK_DISABLED`, `OTEL_TRACES_EXPORTER=none` | turn traces off |
//!
//! Each `OTEL_EXPORTER_OTLP_…` may be written `OTEL_EXPORTER_OTLP_TRACES_…`, which comes first.

use std::fmt;

use anyhow::{Context as _, Result};
use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, Response, Uri};
use http_body_util::{BodyExt as _, Limited};
use opentelemetry::Key;
use opentelemetry_http::{HttpClient, HttpError};
use opentelemetry_otlp::tonic_types::transport::{Certificate, ClientTlsConfig};
use opentelemetry_otlp::{SpanExporter, WithHttpConfig as _, WithTonicConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tokio::runtime::Handle;

use crate::usage::Usage;

/// What the service is called where the environment does not name it.
const SERVICE: &str = "taffrail";

/// What OpenTelemetry calls a service that nobody named.
const NAMELESS: &str = "unknown_service";

/// The most bytes of an answer. A receiver has next to nothing to say.
const ANSWER_BYTES_MAX: usize = 1 << 20;

/// Sends traces where the environment says; `None` when it does not say. Must be called within a
/// tokio runtime.
pub(super) fn provider() -> Result<Option<SdkTracerProvider>> {
    let Some(endpoint) = endpoint() else { return Ok(None) };
    let exporter = exporter(&endpoint)?;
    let provider =
        SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource());
    Ok(Some(provider.build()))
}

/// A variable with its name: that of traces alone, or that of everything.
struct Variable {
    name: String,
    value: String,
}

fn variable(what: &str) -> Option<Variable> {
    let names = [format!("OTEL_EXPORTER_OTLP_TRACES_{what}"), format!("OTEL_EXPORTER_OTLP_{what}")];
    names.into_iter().find_map(|name| Some(Variable { value: set(&name)?, name }))
}

/// A variable that is set; an empty one is not.
fn set(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

fn endpoint() -> Option<Variable> {
    let is = |name, value: &str| set(name).is_some_and(|found| found.eq_ignore_ascii_case(value));
    if is("OTEL_SDK_DISABLED", "true") || is("OTEL_TRACES_EXPORTER", "none") {
        return None;
    }
    variable("ENDPOINT")
}

fn exporter(endpoint: &Variable) -> Result<SpanExporter> {
    for unsupported in ["CLIENT_CERTIFICATE", "CLIENT_KEY"] {
        if let Some(Variable { name, .. }) = variable(unsupported) {
            let what = format!("{name} is set, but traces are sent without a client certificate");
            return Err(Usage::new(what, format!("unset {name}")).into());
        }
    }
    let protocol = variable("PROTOCOL");
    let built = match protocol.as_ref().map(|protocol| protocol.value.as_str()) {
        None | Some("grpc") => {
            let exporter = SpanExporter::builder().with_tonic();
            match is_https(endpoint)? {
                true => exporter.with_tls_config(tls()?).build(),
                false => exporter.build(),
            }
        }
        Some("http/protobuf") => {
            is_https(endpoint)?;
            SpanExporter::builder().with_http().with_http_client(Sender::new(endpoint)?).build()
        }
        Some(_) => {
            let Variable { name, value } = protocol.expect("it is set");
            let what = format!("{name}={value} is not supported");
            return Err(Usage::new(what, "set it to grpc or to http/protobuf").into());
        }
    };
    built.map_err(|error| {
        let how = "check the variables that start with OTEL_EXPORTER_OTLP_";
        Usage::new(format!("traces cannot be sent: {error}"), how).into()
    })
}

/// Whether the endpoint is one of TLS; wrong use when it is no endpoint.
fn is_https(endpoint: &Variable) -> Result<bool> {
    let Variable { name, value } = endpoint;
    let uri: Option<Uri> = value.parse().ok().filter(|uri: &Uri| uri.authority().is_some());
    match uri.as_ref().and_then(Uri::scheme_str) {
        Some("http") => Ok(false),
        Some("https") => Ok(true),
        Some(_) | None => {
            let how = "write it like http://127.0.0.1:4317, or unset it to go without traces";
            Err(Usage::new(format!("{name}={value} is no endpoint for traces"), how).into())
        }
    }
}

/// What the system trusts, and what the environment names.
fn tls() -> Result<ClientTlsConfig> {
    let tls = ClientTlsConfig::new().with_enabled_roots();
    let Some(Variable { name, value }) = variable("CERTIFICATE") else { return Ok(tls) };
    let pem = std::fs::read(&value).map_err(|error| {
        Usage::new(format!("{name}={value} cannot be read: {error}"), "name a file with PEM in it")
    })?;
    Ok(tls.ca_certificate(Certificate::from_pem(pem)))
}

/// What the environment says about this process.
fn resource() -> Resource {
    let named = Resource::builder().build();
    let name = named.get(&Key::new("service.name")).map(|name| name.to_string());
    match name.is_none_or(|name| name.starts_with(NAMELESS)) {
        true => Resource::builder().with_service_name(SERVICE).build(),
        false => named,
    }
}

/// Sends over HTTP with the client of Kubernetes, which is here already. Spans are sent from a thread
/// without a runtime, so the work is handed to ours.
struct Sender {
    client: kube::Client,
    runtime: Handle,
}

impl Sender {
    fn new(endpoint: &Variable) -> Result<Self> {
        if let Some(Variable { name, .. }) = variable("CERTIFICATE") {
            let what = format!("{name} is followed with OTEL_EXPORTER_OTLP_PROTOCOL=grpc only");
            let how = "use grpc, or have the system trust the certificate";
            return Err(Usage::new(what, how).into());
        }
        let uri: Uri = endpoint.value.parse().context("an endpoint that was looked at")?;
        let mut server = uri.into_parts();
        server.path_and_query = Some(http::uri::PathAndQuery::from_static("/"));
        let mut config = kube::Config::new(Uri::from_parts(server)?);
        config.default_retry = false;
        let client = kube::Client::try_from(config).context("no HTTP client can be made")?;
        Ok(Self { client, runtime: Handle::current() })
    }
}

impl fmt::Debug for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender").finish_non_exhaustive()
    }
}

#[async_trait]
impl HttpClient for Sender {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let client = self.client.clone();
        let sending = self.runtime.spawn(async move {
            let request = request.map(|bytes| kube::client::Body::from(bytes.to_vec()));
            let (parts, body) = client.send(request).await?.into_parts();
            let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await?;
            Ok(Response::from_parts(parts, body.to_bytes()))
        });
        sending.await?
    }
}

//! Logs on standard error, and traces to OpenTelemetry when the standard environment variables say
//! where.

use std::io::IsTerminal as _;

use actors::trace::TraceBridge;
use anyhow::{Context as _, Result};
use clap::ValueEnum;
use opentelemetry::Context;
use opentelemetry::trace::{
    SpanContext, SpanId, TraceContextExt as _, TraceFlags, TraceId, TraceState, TracerProvider as _,
};
use opentelemetry_otlp::SpanExporter;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing::Subscriber;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer};

/// The environment variables that turn traces on.
const ENDPOINTS: [&str; 2] = ["OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"];

/// What commands log that end by themselves: their errors are told anyway.
pub(crate) const QUIET: &str = "warn,kube_client=off";

/// What a hub logs. Its HTTP server has nothing to say that the hub does not.
pub(crate) const HUB: &str = "info,actix_server=warn";

/// What becomes spans of traces.
const TRACED: &str = "off,taffrail=debug,hub=debug,actors=debug,delivery=debug";

/// The form of the logs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// For programs: a JSON object in each line.
    Json,
}

/// Logs and traces at work. Dropping it sends what waits.
#[derive(Debug)]
#[must_use]
pub struct Telemetry {
    provider: Option<SdkTracerProvider>,
}

impl Telemetry {
    /// Starts logging, with this much of it where `RUST_LOG` does not say otherwise, and tracing if there
    /// is somewhere to send traces. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// When the environment says where traces go, but they cannot go there.
    pub fn start(format: LogFormat, directives: &str) -> Result<Self> {
        let filter =
            EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(directives));
        let logs = tracing_subscriber::fmt::layer()
            .with_writer(std::io::stderr)
            .with_ansi(std::io::stderr().is_terminal());
        let logs = match format {
            LogFormat::Text => logs.boxed(),
            LogFormat::Json => logs.json().boxed(),
        };
        let provider = provider()?;
        let traces = provider.as_ref().map(traces);
        let registry = tracing_subscriber::registry().with(logs.with_filter(filter)).with(traces);
        if registry.try_init().is_err() {
            tracing::debug!("logging has been started before");
        }
        Ok(Self { provider })
    }
}

impl Drop for Telemetry {
    fn drop(&mut self) {
        if let Some(provider) = self.provider.take()
            && let Err(error) = provider.shutdown()
        {
            tracing::warn!(%error, "the last traces may not have been sent");
        }
    }
}

/// Sends spans to a provider, and has trace context travel in commands and events.
///
/// One trace shows a change all the way: `submit` (the hub has seen it) → `decide` → `append` (until
/// it is read back) → `apply` on each member → `status`.
pub fn traces<S>(provider: &SdkTracerProvider) -> impl Layer<S> + use<S>
where
    S: Subscriber + for<'span> LookupSpan<'span> + Send + Sync,
{
    actors::trace::install(TraceBridge { current: current_traceparent, adopt });
    tracing_opentelemetry::layer()
        .with_tracer(provider.tracer("taffrail"))
        .with_filter(EnvFilter::new(TRACED))
}

fn provider() -> Result<Option<SdkTracerProvider>> {
    let is_set = |name: &&str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    if !ENDPOINTS.iter().any(is_set) {
        return Ok(None);
    }
    let exporter = SpanExporter::builder()
        .with_tonic()
        .build()
        .context("traces cannot be sent; check OTEL_EXPORTER_OTLP_ENDPOINT")?;
    let resource = Resource::builder().with_service_name("taffrail").build();
    let provider =
        SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource).build();
    Ok(Some(provider))
}

/// The W3C trace context of the current span.
fn current_traceparent() -> Option<String> {
    let context = tracing::Span::current().context();
    let span = context.span();
    let span = span.span_context();
    span.is_valid().then(|| {
        format!("00-{}-{}-{:02x}", span.trace_id(), span.span_id(), span.trace_flags().to_u8())
    })
}

fn adopt(span: &tracing::Span, traceparent: &str) {
    let Some(parent) = span_context(traceparent) else { return };
    if let Err(error) = span.set_parent(Context::new().with_remote_span_context(parent)) {
        tracing::trace!(%error, "a span is not traced");
    }
}

/// What a `traceparent` says: `00-<32 hex digits>-<16 hex digits>-<2 hex digits>`.
fn span_context(traceparent: &str) -> Option<SpanContext> {
    let mut parts = traceparent.split('-');
    let (version, trace, span, flags) =
        (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let context = SpanContext::new(
        TraceId::from_hex(trace).ok()?,
        SpanId::from_hex(span).ok()?,
        TraceFlags::new(u8::from_str_radix(flags, 16).ok()?),
        true,
        TraceState::default(),
    );
    (version == "00" && context.is_valid()).then_some(context)
}

//! Logs on standard error, and traces to OpenTelemetry when the standard environment variables say
//! where.

mod export;

use std::io::IsTerminal as _;

use actors::trace::TraceBridge;
use anyhow::Result;
use clap::ValueEnum;
use opentelemetry::Context;
use opentelemetry::trace::{
    SpanContext, SpanId, TraceContextExt as _, TraceFlags, TraceId, TraceState, TracerProvider as _,
};
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing::Subscriber;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer};

/// What commands log that end by themselves: their errors are told anyway.
pub(crate) const QUIET: &str = "warn,kube_client=off";

/// What a hub logs. Its HTTP server has nothing to say that the hub does not. What the Kubernetes
/// client warns of is returned to the hub as well, and may hold a body, so perhaps a Secret.
pub(crate) const HUB: &str = "info,actix_server=warn,kube_client::client=error";

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

/// Starts logging, with this much of it where `RUST_LOG` does not say otherwise.
pub fn log(format: LogFormat, directives: &str) {
    start(format, directives, None);
}

/// Logs and traces at work. Dropping it sends what waits.
#[derive(Debug)]
#[must_use]
pub struct Telemetry {
    provider: Option<SdkTracerProvider>,
}

impl Telemetry {
    /// Starts logging, as [`log`] does, and tracing if the environment says where traces go. Must be
    /// called within a tokio runtime.
    ///
    /// # Errors
    /// When the environment says where traces go, but they cannot go there.
    pub fn with_traces(format: LogFormat, directives: &str) -> Result<Self> {
        let provider = export::provider()?;
        start(format, directives, provider.as_ref());
        Ok(Self { provider })
    }
}

fn start(format: LogFormat, directives: &str, provider: Option<&SdkTracerProvider>) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(directives));
    let logs = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    let logs = match format {
        LogFormat::Text => logs.boxed(),
        LogFormat::Json => logs.json().boxed(),
    };
    let traces = provider.map(traces);
    let registry = tracing_subscriber::registry().with(logs.with_filter(filter)).with(traces);
    if registry.try_init().is_err() {
        tracing::debug!("logging has been started before");
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

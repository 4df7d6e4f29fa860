//! Exports spans by OTLP, over HTTP with protobuf: in a thread of its own, from a queue that is bounded. A receiver that is
//! away, slow or silent costs spans, and nothing else.
//!
//! `OTEL_*` variables hold as the standard has them; the setting says where to, before they do.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, bail};
use metrics::counter;
use opentelemetry::KeyValue;
use opentelemetry::global::BoxedTracer;
use opentelemetry::trace::TracerProvider;
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{SpanExporter as OtlpExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{SdkTracerProvider, SpanData, SpanExporter};

/// How long the last spans may take to go out when the host stops.
const FINISH: Duration = Duration::from_secs(2);

/// How long one request may take, unless `OTEL_EXPORTER_OTLP_TIMEOUT` says it.
const REQUEST: Duration = Duration::from_secs(10);

/// The longest answer of a receiver that is read.
const ANSWER_BYTES_MAX: u64 = 64 << 10;

/// The export of traces while the host runs.
pub struct TraceExport(SdkTracerProvider);

impl TraceExport {
    /// Starts it where the setting or the environment names a receiver.
    pub fn start(setting: Option<&str>, host: &str) -> anyhow::Result<Option<Self>> {
        for name in ["exported", "failed"] {
            counter!("laterna_spans_sent_total", "outcome" => name).increment(0);
        }
        counter!("laterna_spans_total").increment(0);
        let endpoint = setting.map(|setting| format!("{}/v1/traces", setting.trim_end_matches('/')));
        let by_environment = ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"];
        let is_named = endpoint.is_some() || by_environment.iter().any(|name| variable(name).is_some());
        if !is_named || is_disabled() {
            return Ok(None);
        }
        only_protobuf()?;
        let mut exporter = OtlpExporter::builder().with_http().with_http_client(Carrier::new()?);
        if let Some(endpoint) = endpoint {
            exporter = exporter.with_endpoint(endpoint);
        }
        let exporter = exporter.build().context("traces cannot be exported")?;
        let provider = SdkTracerProvider::builder()
            .with_batch_exporter(WatchedExporter { exporter, is_failing: AtomicBool::new(false) })
            .with_resource(resource(host))
            .build();
        tracing::info!("traces are exported by OTLP");
        Ok(Some(Self(provider)))
    }

    /// What makes spans.
    pub fn tracer(&self) -> BoxedTracer {
        BoxedTracer::new(Box::new(self.0.tracer("laterna")))
    }

    /// Sends what waits, if that is quick.
    pub async fn finish(self) {
        let finishing = tokio::task::spawn_blocking(move || self.0.shutdown_with_timeout(FINISH));
        if !matches!(finishing.await, Ok(Ok(()))) {
            tracing::warn!("the last traces were not exported: their receiver did not take them in time");
        }
    }
}

/// A variable of the environment that is not empty.
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().map(|value| value.trim().to_owned()).filter(|value| !value.is_empty())
}

fn is_disabled() -> bool {
    variable("OTEL_SDK_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true"))
        || variable("OTEL_TRACES_EXPORTER").is_some_and(|value| value == "none")
}

/// Another protocol that is asked for would go wrong without a word.
fn only_protobuf() -> anyhow::Result<()> {
    for name in ["OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"] {
        if let Some(protocol) = variable(name).filter(|protocol| protocol != "http/protobuf") {
            bail!(
                "{name} is {protocol:?}, and traces are exported as `http/protobuf` only (collectors take it at port \
                 4318): set it to that, or unset it"
            );
        }
    }
    Ok(())
}

/// What the spans come from. `OTEL_SERVICE_NAME` and `OTEL_RESOURCE_ATTRIBUTES` win.
fn resource(host: &str) -> Resource {
    let attributes = variable("OTEL_RESOURCE_ATTRIBUTES").unwrap_or_default();
    let is_named = variable("OTEL_SERVICE_NAME").is_some()
        || attributes.split(',').any(|one| one.trim().starts_with("service.name="));
    let mut resource = Resource::builder();
    if !is_named {
        resource = resource.with_service_name("laterna");
    }
    if !attributes.split(',').any(|one| one.trim().starts_with("service.instance.id=")) {
        resource = resource.with_attribute(KeyValue::new("service.instance.id", host.to_owned()));
    }
    resource.with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION"))).build()
}

/// An exporter whose failures are counted, and logged once each time that they begin.
#[derive(Debug)]
struct WatchedExporter {
    exporter: OtlpExporter,
    is_failing: AtomicBool,
}

impl SpanExporter for WatchedExporter {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let spans = batch.len() as u64;
        let result = self.exporter.export(batch).await;
        let outcome = if result.is_ok() { "exported" } else { "failed" };
        counter!("laterna_spans_sent_total", "outcome" => outcome).increment(spans);
        let was_failing = self.is_failing.swap(result.is_err(), Ordering::Relaxed);
        match &result {
            Err(error) if !was_failing => tracing::warn!(
                "traces cannot be exported: {error}; spans are lost until their receiver takes them, and nothing else is"
            ),
            Ok(()) if was_failing => tracing::info!("traces are exported again"),
            _ => {}
        }
        result
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.exporter.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}

/// Carries requests to the receiver; blocks the thread that exports.
#[derive(Debug)]
struct Carrier(ureq::Agent);

impl Carrier {
    fn new() -> anyhow::Result<Self> {
        let named = ["OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "OTEL_EXPORTER_OTLP_TIMEOUT"];
        let millis = named.iter().find_map(|name| variable(name)?.parse().ok());
        let mut agent = ureq::Agent::config_builder()
            .timeout_global(Some(millis.map_or(REQUEST, Duration::from_millis)))
            .http_status_as_error(false)
            .max_redirects(0);
        let certificates = ["OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE", "OTEL_EXPORTER_OTLP_CERTIFICATE"];
        if let Some(file) = certificates.iter().find_map(|name| variable(name)) {
            let trusted = ureq::tls::RootCerts::from(authorities(&file)?);
            agent = agent.tls_config(ureq::tls::TlsConfig::builder().root_certs(trusted).build());
        }
        Ok(Self(agent.build().into()))
    }

    fn carry(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let (parts, body) = request.into_parts();
        let answer = self.0.run(Request::from_parts(parts, body.to_vec()))?;
        let (parts, mut body) = answer.into_parts();
        let read = body.with_config().limit(ANSWER_BYTES_MAX).read_to_vec()?;
        Ok(Response::from_parts(parts, read.into()))
    }
}

/// The authorities that a receiver's certificate may be of.
fn authorities(file: &str) -> anyhow::Result<Vec<ureq::tls::Certificate<'static>>> {
    let pem =
        std::fs::read(file).with_context(|| format!("cannot read OTEL_EXPORTER_OTLP_CERTIFICATE {file}"))?;
    let mut found = vec![];
    for item in ureq::tls::parse_pem(&pem) {
        if let ureq::tls::PemItem::Certificate(certificate) = item? {
            found.push(certificate);
        }
    }
    if found.is_empty() {
        bail!("OTEL_EXPORTER_OTLP_CERTIFICATE {file} has no certificate in it");
    }
    Ok(found)
}

impl HttpClient for Carrier {
    fn send_bytes<'life0, 'async_trait>(
        &'life0 self,
        request: Request<Bytes>,
    ) -> Pin<Box<dyn Future<Output = Result<Response<Bytes>, HttpError>> + Send + 'async_trait>>
    where
        'life0: 'async_trait,
        Self: 'async_trait,
    {
        Box::pin(async move { self.carry(request) })
    }
}

//! Log, metrics and traces.

use std::collections::HashMap;
use std::env;
use std::error::Error;
use std::io::IsTerminal as _;
use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::http::header::ContentType;
use actix_web::web::{self, ServiceConfig};
use jaas_core::telemetry::{METRICS, TraceContext, TracePropagator, describe_metrics};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use opentelemetry::propagation::TextMapPropagator as _;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_otlp::{SpanExporter, WithExportConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tokio::task::JoinHandle;
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::prelude::*;
use tracing_subscriber::{EnvFilter, fmt};

const NAME: &str = "existing-app";

/// The parts that must be stopped.
pub(crate) struct Telemetry {
    prometheus: PrometheusHandle,
    upkeep: JoinHandle<()>,
    traces: Option<SdkTracerProvider>,
}

/// Logs to standard error, keeps metrics for `/metrics`, and sends spans to a collector if there is one.
pub(crate) fn start(collector: Option<&str>) -> Result<Telemetry, Box<dyn Error>> {
    let traces = collector.map(exporter).transpose()?;
    // Exports spans of this application and of jaas, but not those of the exporter's own client.
    let exported =
        Targets::new().with_target("jaas", LevelFilter::DEBUG).with_target("existing_app", LevelFilter::INFO);
    let spans = traces.as_ref().map(|provider| {
        tracing_opentelemetry::layer().with_tracer(provider.tracer(NAME)).with_filter(exported)
    });
    let filter = EnvFilter::new(env::var("RUST_LOG").unwrap_or_else(|_| "info".to_owned()));
    let log = fmt::layer().with_writer(std::io::stderr).with_ansi(std::io::stderr().is_terminal());
    tracing_subscriber::registry().with(spans).with(log.with_filter(filter)).try_init()?;

    let mut builder = PrometheusBuilder::new();
    for metric in METRICS.iter().filter(|metric| !metric.buckets.is_empty()) {
        builder = builder.set_buckets_for_metric(Matcher::Full(metric.name.to_owned()), metric.buckets)?;
    }
    let prometheus = builder.install_recorder()?;
    describe_metrics();
    let kept = prometheus.clone();
    let upkeep = tokio::spawn(async move {
        loop {
            tokio::time::sleep(Duration::from_secs(5)).await;
            kept.run_upkeep();
        }
    });
    Ok(Telemetry { prometheus, upkeep, traces })
}

/// Sends spans in batches, by HTTP with protobuf, from a separate thread.
fn exporter(collector: &str) -> Result<SdkTracerProvider, Box<dyn Error>> {
    let exporter = SpanExporter::builder()
        .with_http()
        .with_endpoint(format!("{}/v1/traces", collector.trim_end_matches('/')))
        .with_timeout(Duration::from_secs(5))
        .build()?;
    let resource = Resource::builder().with_service_name(NAME).build();
    Ok(SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource).build())
}

impl Telemetry {
    pub(crate) fn metrics(&self) -> Metrics {
        Metrics(self.prometheus.clone())
    }

    /// Sends the remaining spans.
    pub(crate) async fn stop(self) {
        self.upkeep.abort();
        let Some(traces) = self.traces else { return };
        // Blocks until the collector has responded.
        match tokio::task::spawn_blocking(move || traces.shutdown()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "the last spans were not sent"),
            Err(error) => tracing::warn!(%error, "the last spans were not sent"),
        }
    }
}

/// Serves the metrics for Prometheus. Keep this route off the public side.
#[derive(Clone)]
pub(crate) struct Metrics(PrometheusHandle);

impl Metrics {
    pub(crate) fn config(&self) -> impl FnOnce(&mut ServiceConfig) + use<> {
        let prometheus = self.0.clone();
        move |app| {
            app.route(
                "/metrics",
                web::get().to(move || {
                    let body = prometheus.render();
                    async move { HttpResponse::Ok().content_type(ContentType::plaintext()).body(body) }
                }),
            );
        }
    }
}

/// Makes jaas's spans part of the traces of the deliveries. Without a collector it does nothing.
pub(crate) struct OpenTelemetry;

impl TracePropagator for OpenTelemetry {
    fn inject(&self, span: &Span) -> Option<TraceContext> {
        let mut headers = HashMap::new();
        TraceContextPropagator::new().inject_context(&span.context(), &mut headers);
        TraceContext::parse(headers.get("traceparent")?, headers.get("tracestate").map(String::as_str))
    }

    fn extract(&self, span: &Span, trace: &TraceContext) {
        let mut headers = HashMap::from([("traceparent".to_owned(), trace.traceparent().to_owned())]);
        headers.extend(trace.tracestate().map(|state| ("tracestate".to_owned(), state.to_owned())));
        // Fails if there is no collector, and then there is no trace to join.
        let _ = span.set_parent(TraceContextPropagator::new().extract(&headers));
    }
}

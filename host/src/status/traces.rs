//! Spans of what is done for events and for people: made when it is over, from the times that were measured.
//!
//! A batch has spans where whoever began the trace of one of its events keeps that trace, and none otherwise: what traces
//! cost follows from how many are kept where they begin.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use metrics::counter;
use opentelemetry::global::{BoxedSpan, BoxedTracer};
use opentelemetry::trace::{
    Link, Span, SpanBuilder, SpanContext, SpanId, SpanKind, Status as SpanStatus, TraceContextExt,
    TraceFlags, TraceId, TraceState, Tracer,
};
use opentelemetry::{Context, KeyValue};

use super::Status;
use super::activity::Activity;
use crate::event::{Id, TraceParent};
use crate::readmodel::lane::batch::{Batch, Entry, Passed, Verdict};
use crate::text::harmless;

/// The most events of a batch that have spans and links of their own.
const EVENTS_MAX: usize = 128;

/// Where spans go: nowhere, unless the host exports traces.
#[derive(Clone, Default)]
pub struct Traces(Option<Arc<Exported>>);

struct Exported {
    tracer: BoxedTracer,
    /// The outbox's name.
    outbox: String,
}

/// When something began and how long it took.
#[derive(Debug, Clone, Copy)]
pub(super) struct Timed {
    begun: SystemTime,
    took: Duration,
}

impl Timed {
    /// Something that is over now.
    pub(super) fn just_now(took: Duration) -> Self {
        let now = SystemTime::now();
        Self { begun: now.checked_sub(took).unwrap_or(now), took }
    }

    fn end(self) -> SystemTime {
        self.begun + self.took
    }
}

/// A committed batch, for its spans.
pub(super) struct CommittedBatch<'a> {
    pub projection: &'a str,
    pub lane: usize,
    pub batch: &'a Batch,
    /// The server is MariaDB, and otherwise MySQL.
    pub is_mariadb: bool,
    pub projected: Option<Timed>,
    pub committed: Timed,
}

impl Traces {
    /// Spans of this outbox's events go to a tracer.
    pub fn to(tracer: BoxedTracer, outbox: &str) -> Self {
        Self(Some(Arc::new(Exported { tracer, outbox: outbox.to_owned() })))
    }

    /// Tells of a committed batch, where one of its events belongs to a trace that is kept.
    pub(super) fn batch(&self, told: &CommittedBatch<'_>) {
        let Some(exported) = &self.0 else { return };
        let kept: Vec<(&Entry, SpanContext)> =
            told.batch.entries.iter().filter_map(kept).take(EVENTS_MAX).collect();
        if !kept.is_empty() {
            exported.batch(told, &kept);
        }
    }

    /// Tells of something that an operator asked for and that is over now.
    pub fn operation(&self, projection: &str, name: &'static str, operation: OperationSpan<'_>) {
        let Some(exported) = &self.0 else { return };
        let OperationSpan { id, took, error } = operation;
        let time = Timed::just_now(took);
        let attributes = vec![
            KeyValue::new("laterna.projection", projection.to_owned()),
            KeyValue::new("laterna.operation.id", i64::try_from(id).unwrap_or(i64::MAX)),
        ];
        let mut span =
            exported.begin(name, SpanKind::Internal, time.begun, attributes, vec![], &Context::new());
        if let Some(error) = error {
            span.set_status(SpanStatus::error(error.to_owned()));
        }
        span.end_with_timestamp(time.end());
    }
}

/// How an operation came out.
#[derive(Debug, Clone, Copy)]
pub struct OperationSpan<'a> {
    pub id: u64,
    pub took: Duration,
    /// Why it failed, without values of events.
    pub error: Option<&'a str>,
}

impl Exported {
    fn batch(&self, told: &CommittedBatch<'_>, kept: &[(&Entry, SpanContext)]) {
        let CommittedBatch { projection, lane, batch, is_mariadb, projected, committed } = told;
        let begun = projected.map_or(committed.begun, |projected| projected.begun.min(committed.begun));
        let name = || format!("process {}", self.outbox);
        let links = kept.iter().map(|(_, writer)| Link::with_context(writer.clone())).collect();
        let mut attributes = self.of_messages(projection, *lane);
        attributes.push(number("messaging.batch.message_count", batch.entries.len()));
        let mut whole = self.begin(name(), SpanKind::Consumer, begun, attributes, links, &Context::new());
        let own = whole.span_context().clone();
        let parent = Context::new().with_remote_span_context(own.clone());
        if let Some(projected) = projected {
            let digest = vec![KeyValue::new("laterna.component.digest", batch.version.digest.clone())];
            let span = self.begin("project", SpanKind::Internal, projected.begun, digest, vec![], &parent);
            end(span, projected.end());
        }
        let server = if *is_mariadb { "mariadb" } else { "mysql" };
        let mut database = vec![KeyValue::new("db.system.name", server)];
        let operations = batch.operations().count();
        // By the conventions, one operation is no batch.
        if operations > 1 {
            database.push(number("db.operation.batch.size", operations));
        }
        end(
            self.begin("apply", SpanKind::Client, committed.begun, database, vec![], &parent),
            committed.end(),
        );
        for (entry, writer) in kept {
            let mut attributes = self.of_messages(projection, *lane);
            attributes.extend(of_entry(entry));
            let parent = Context::new().with_remote_span_context(writer.clone());
            let links = vec![Link::with_context(own.clone())];
            let mut span = self.begin(name(), SpanKind::Consumer, begun, attributes, links, &parent);
            if let Verdict::Park { failure, .. } = &entry.verdict {
                span.set_attribute(KeyValue::new("error.type", failure.class()));
                span.set_status(SpanStatus::error("it became a dead letter"));
            }
            end(span, committed.end());
        }
        whole.end_with_timestamp(committed.end());
    }

    fn of_messages(&self, projection: &str, lane: usize) -> Vec<KeyValue> {
        vec![
            KeyValue::new("messaging.system", "mongodb"),
            KeyValue::new("messaging.operation.type", "process"),
            KeyValue::new("messaging.operation.name", "process"),
            KeyValue::new("messaging.destination.name", self.outbox.clone()),
            KeyValue::new("messaging.consumer.group.name", projection.to_owned()),
            KeyValue::new("laterna.projection", projection.to_owned()),
            number("laterna.lane", lane),
        ]
    }

    fn begin(
        &self,
        name: impl Into<Cow<'static, str>>,
        kind: SpanKind,
        begun: SystemTime,
        attributes: Vec<KeyValue>,
        links: Vec<Link>,
        parent: &Context,
    ) -> BoxedSpan {
        let builder = SpanBuilder::from_name(name).with_kind(kind).with_start_time(begun);
        let builder = builder.with_attributes(attributes).with_links(links);
        let span = self.tracer.build_with_context(builder, parent);
        if span.span_context().is_sampled() {
            counter!("laterna_spans_total").increment(1);
        }
        span
    }
}

fn end(mut span: BoxedSpan, at: SystemTime) {
    span.end_with_timestamp(at);
}

fn number(key: &'static str, value: usize) -> KeyValue {
    KeyValue::new(key, i64::try_from(value).unwrap_or(i64::MAX))
}

/// An entry of a trace that is kept, with the span that wrote its event. What came again was told of before.
fn kept(entry: &Entry) -> Option<(&Entry, SpanContext)> {
    if entry.verdict == Verdict::Pass(Passed::Duplicate) {
        return None;
    }
    let parent = entry.delivery.event.as_ref().ok()?.trace_parent().filter(|parent| parent.is_sampled)?;
    Some((entry, context(parent)))
}

fn context(parent: TraceParent) -> SpanContext {
    let TraceParent { trace_id, span_id, is_sampled } = parent;
    let flags = if is_sampled { TraceFlags::SAMPLED } else { TraceFlags::default() };
    let (trace, span) = (TraceId::from_bytes(trace_id), SpanId::from_bytes(span_id));
    SpanContext::new(trace, span, flags, true, TraceState::default())
}

fn of_entry(entry: &Entry) -> Vec<KeyValue> {
    let mut attributes = vec![KeyValue::new("laterna.verdict", entry.verdict.name())];
    attributes
        .extend(entry.delivery.id().map(Id::spelled).map(|id| KeyValue::new("messaging.message.id", id)));
    if let Ok(event) = &entry.delivery.event {
        attributes.push(KeyValue::new("laterna.event.type", harmless(&event.event_type)));
    }
    attributes
}

impl Status {
    /// The same, with spans that go there.
    #[must_use]
    pub fn traced(self, traces: Traces) -> Self {
        Self { traces, ..self }
    }

    /// Where spans go.
    pub fn traces(&self) -> &Traces {
        &self.traces
    }

    /// Which server the lanes write to, for the spans of what they write.
    pub fn writes_to(&self, is_mariadb: bool) {
        self.change(|state| state.is_mariadb = is_mariadb);
    }

    /// A lane was at work for so long.
    pub(super) fn timed(&self, lane: usize, work: Activity, took: Duration) {
        let time = Some(Timed::just_now(took));
        self.change(|state| match work {
            Activity::Projecting(_) => state.lanes[lane].projected = time,
            Activity::Committing(_) => state.lanes[lane].committed = time,
            Activity::Letter => {}
        });
    }

    /// Tells of a batch that a lane committed just now. Returns how long the commit took.
    pub(super) fn traces_batch(&self, lane: usize, batch: &Batch) -> Duration {
        let (is_mariadb, projected, committed) = self.change(|state| {
            let lane = &state.lanes[lane];
            let projected = lane.handed_on.front().and_then(|handed| handed.projected);
            (state.is_mariadb, projected, lane.committed)
        });
        let projection = &self.projection;
        let committed = committed.unwrap_or_else(|| Timed::just_now(Duration::ZERO));
        self.traces.batch(&CommittedBatch { projection, lane, batch, is_mariadb, projected, committed });
        committed.took
    }
}

//! Keeps the lines that are logged on a thread, and the spans that are opened.
#![allow(dead_code, clippy::expect_used)]

use std::collections::BTreeMap;
use std::fmt::{Debug, Write as _};
use std::sync::{Arc, Mutex, MutexGuard};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::DefaultGuard;
use tracing::{Event, Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::{Context, SubscriberExt as _};
use tracing_subscriber::registry::{LookupSpan, Registry, SpanRef};

/// Keeps everything of `jaas`, and of a test that plays the application.
#[derive(Clone, Default)]
pub(crate) struct Lines(Arc<Mutex<Kept>>);

#[derive(Default)]
struct Kept {
    lines: Vec<Line>,
    spans: Vec<Opened>,
}

/// A log line.
#[derive(Debug, Clone)]
pub(crate) struct Line {
    pub(crate) target: String,
    pub(crate) text: String,
    pub(crate) fields: BTreeMap<&'static str, String>,
    /// The index of the span in which it was written.
    pub(crate) span: Option<usize>,
}

/// A span, and the fields recorded on it.
#[derive(Debug, Clone)]
pub(crate) struct Opened {
    pub(crate) metadata: &'static Metadata<'static>,
    /// The index of its parent span.
    pub(crate) parent: Option<usize>,
    pub(crate) fields: BTreeMap<&'static str, String>,
}

/// The index of the span in the order they were opened.
struct Place(usize);

impl Lines {
    /// A subscriber that keeps its input here.
    pub(crate) fn subscriber(&self) -> impl Subscriber + Send + Sync + 'static + use<> {
        Registry::default().with(self.clone())
    }

    /// Listens on this thread until the guard is dropped.
    pub(crate) fn listen(&self) -> DefaultGuard {
        tracing::subscriber::set_default(self.subscriber())
    }

    /// The lines of this target: level, message and fields.
    pub(crate) fn of(&self, target: &str) -> Vec<String> {
        let kept = self.kept();
        kept.lines.iter().filter(|line| line.target == target).map(|line| line.text.clone()).collect()
    }

    pub(crate) fn lines(&self) -> Vec<Line> {
        self.kept().lines.clone()
    }

    pub(crate) fn spans(&self) -> Vec<Opened> {
        self.kept().spans.clone()
    }

    /// All of it, in one text.
    pub(crate) fn everything(&self) -> String {
        let kept = self.kept();
        let mut all = String::new();
        for line in &kept.lines {
            let _ = writeln!(all, "{} {}", line.target, line.text);
        }
        for span in &kept.spans {
            let _ = writeln!(all, "{} {:?}", span.metadata.name(), span.fields);
        }
        all
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().expect("not poisoned")
    }
}

fn place<'a, R: LookupSpan<'a>>(span: &SpanRef<'a, R>) -> Option<usize> {
    span.extensions().get::<Place>().map(|place| place.0)
}

#[derive(Default)]
struct Fields {
    message: String,
    rest: BTreeMap<&'static str, String>,
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.rest.insert(field.name(), value.to_owned());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        match field.name() {
            "message" => self.message = format!("{value:?}"),
            name => {
                self.rest.insert(name, format!("{value:?}"));
            }
        }
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Lines {
    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        metadata.target().starts_with("jaas") || metadata.target() == "app"
    }

    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, cx: Context<'_, S>) {
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        let span = cx.span(id).expect("it was just opened");
        let parent = span.parent().and_then(|parent| place(&parent));
        let mut kept = self.kept();
        span.extensions_mut().insert(Place(kept.spans.len()));
        kept.spans.push(Opened { metadata: attributes.metadata(), parent, fields: fields.rest });
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, cx: Context<'_, S>) {
        let mut fields = Fields::default();
        values.record(&mut fields);
        let place = cx.span(id).and_then(|span| place(&span)).expect("it was opened");
        let mut kept = self.kept();
        let span = &mut kept.spans[place];
        for (name, value) in fields.rest {
            let before = span.fields.insert(name, value);
            assert_eq!(before, None, "{name} of {} is recorded once", span.metadata.name());
        }
    }

    fn on_event(&self, event: &Event<'_>, cx: Context<'_, S>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let mut text = format!("{} {}", event.metadata().level(), fields.message);
        for (name, value) in &fields.rest {
            let _ = write!(text, " {name}={value:?}");
        }
        let span = cx.event_span(event).and_then(|span| place(&span));
        let target = event.metadata().target().to_owned();
        self.kept().lines.push(Line { target, text, fields: fields.rest, span });
    }
}

//! The trace an event belongs to: W3C Trace Context.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use tracing::Span;

/// Where in a distributed trace something happens: the `traceparent` and `tracestate` headers of
/// [W3C Trace Context](https://www.w3.org/TR/trace-context/).
///
/// JaaS is not known to send them; a proxy, a gateway or another of your applications before this one may. What came with
/// a delivery is kept with its event, and every run of the event is part of that trace.
///
/// `Display` writes both in one line, and `FromStr` reads that again; stores keep an event's trace so.
///
/// ```
/// use jaas_core::telemetry::TraceContext;
///
/// let trace = TraceContext::parse("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", Some("vendor=1")).unwrap();
/// assert_eq!(trace.trace_id(), "4bf92f3577b34da6a3ce929d0e0e4736");
/// assert_eq!(trace.to_string().parse(), Ok(trace));
/// assert_eq!(TraceContext::parse("00-00000000000000000000000000000000-00f067aa0ba902b7-01", None), None);
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct TraceContext {
    /// A `traceparent` of version 00, and after a space the `tracestate` if there is one; both checked.
    line: Arc<str>,
}

/// The length of a `traceparent` of version 00.
const LENGTH: usize = 55;
const TRACE_ID: std::ops::Range<usize> = 3..35;
const PARENT_ID: std::ops::Range<usize> = 36..52;
const FLAGS: std::ops::Range<usize> = 53..55;
const DASHES: [usize; 3] = [2, 35, 52];

impl TraceContext {
    /// The longest `tracestate` that is kept, in bytes; a longer one is dropped, as the specification allows.
    pub const MAX_TRACESTATE: usize = 512;

    /// The longest text that `Display` writes, in bytes.
    pub const MAX_LEN: usize = LENGTH + 1 + Self::MAX_TRACESTATE;

    /// Reads the values of the two headers. `None` when `traceparent` is not valid; a `tracestate` that is not valid or too
    /// long is left out. A version from the future is read as far as version 00 goes, and written as version 00.
    pub fn parse(traceparent: &str, tracestate: Option<&str>) -> Option<Self> {
        let mut line = read_traceparent(traceparent.trim_matches([' ', '\t']))?;
        if let Some(tracestate) = tracestate.and_then(read_tracestate) {
            line.push(' ');
            line.push_str(&tracestate);
        }
        Some(Self { line: line.into() })
    }

    /// The trace's id: 32 lower-case hex digits.
    pub fn trace_id(&self) -> &str {
        &self.line[TRACE_ID]
    }

    /// The id of the span in which it happens: 16 lower-case hex digits.
    pub fn parent_id(&self) -> &str {
        &self.line[PARENT_ID]
    }

    /// Whether the caller records this trace.
    pub fn is_sampled(&self) -> bool {
        u8::from_str_radix(&self.line[FLAGS], 16).is_ok_and(|flags| flags & 1 == 1)
    }

    /// The `traceparent` header, of version 00.
    pub fn traceparent(&self) -> &str {
        &self.line[..LENGTH]
    }

    /// Without what vendors have put into the `tracestate`.
    pub(crate) fn without_tracestate(&self) -> Self {
        Self { line: self.traceparent().into() }
    }

    /// The `tracestate` header.
    pub fn tracestate(&self) -> Option<&str> {
        self.line.get(LENGTH + 1..)
    }
}

fn read_traceparent(text: &str) -> Option<String> {
    let bytes = text.as_bytes();
    let head = bytes.get(..LENGTH)?;
    let is_hex = |range: std::ops::Range<usize>| {
        head[range].iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    };
    let is_zero = |range: std::ops::Range<usize>| head[range].iter().all(|byte| *byte == b'0');
    let hex = is_hex(0..2) && is_hex(TRACE_ID) && is_hex(PARENT_ID) && is_hex(FLAGS);
    if !hex || DASHES.iter().any(|at| head[*at] != b'-') || is_zero(TRACE_ID) || is_zero(PARENT_ID) {
        return None;
    }
    let whole = text.get(..LENGTH)?;
    match (&head[..2], bytes.get(LENGTH)) {
        (b"ff", _) => None,
        (b"00", None) => Some(whole.to_owned()),
        (b"00", Some(_)) => None,
        // Of the flags of a later version only the one that is known may be passed on.
        (_, None | Some(b'-')) => {
            let sampled = u8::from_str_radix(&whole[FLAGS], 16).ok()? & 1;
            Some(format!("00-{}-{}-{sampled:02x}", &whole[TRACE_ID], &whole[PARENT_ID]))
        }
        _ => None,
    }
}

fn read_tracestate(text: &str) -> Option<String> {
    const MAX_MEMBERS: usize = 32;
    let members = text.split(',').map(|member| member.trim_matches([' ', '\t']));
    let members: Vec<&str> = members.filter(|member| !member.is_empty()).collect();
    if members.is_empty() || members.len() > MAX_MEMBERS || !members.iter().all(|member| is_member(member)) {
        return None;
    }
    let joined = members.join(",");
    (joined.len() <= TraceContext::MAX_TRACESTATE).then_some(joined)
}

fn is_member(member: &str) -> bool {
    let Some((key, value)) = member.split_once('=') else { return false };
    let is_key = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-' | b'*' | b'/' | b'@');
    let is_value = |byte: u8| matches!(byte, b' '..=b'~') && byte != b'=';
    let sized = |text: &str| (1..=256).contains(&text.len());
    sized(key) && sized(value) && key.bytes().all(is_key) && value.bytes().all(is_value)
}

impl fmt::Display for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.line)
    }
}

/// Shows the `traceparent`; what vendors put into the `tracestate` is theirs.
impl fmt::Debug for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TraceContext({})", self.traceparent())
    }
}

/// A text is not a trace context.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a W3C trace context: a traceparent, and after a space a tracestate")]
pub struct TraceContextError(());

impl serde::Serialize for TraceContext {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for TraceContext {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'_, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl FromStr for TraceContext {
    type Err = TraceContextError;

    fn from_str(text: &str) -> Result<Self, TraceContextError> {
        let (traceparent, tracestate) =
            text.split_once(' ').map_or((text, None), |(parent, state)| (parent, Some(state)));
        Self::parse(traceparent, tracestate).ok_or(TraceContextError(()))
    }
}

/// Joins the spans of this crate with the traces of an application's tracing system, such as OpenTelemetry. Give it to
/// [`ReceiverBuilder::trace_propagator`](crate::ReceiverBuilder::trace_propagator) and
/// [`WorkerBuilder::trace_propagator`](crate::WorkerBuilder::trace_propagator).
///
/// Without one, the trace context that came with a delivery is still kept with the event and shown in the field
/// `trace_id`; but no span is exported as part of it.
///
/// With `tracing-opentelemetry` (the example `existing-app` compiles this):
///
/// ```text
/// struct OpenTelemetry;
///
/// impl TracePropagator for OpenTelemetry {
///     fn inject(&self, span: &Span) -> Option<TraceContext> {
///         let mut headers = HashMap::new();
///         TraceContextPropagator::new().inject_context(&span.context(), &mut headers);
///         TraceContext::parse(headers.get("traceparent")?, headers.get("tracestate").map(String::as_str))
///     }
///
///     fn extract(&self, span: &Span, trace: &TraceContext) {
///         let mut headers = HashMap::from([("traceparent".to_owned(), trace.traceparent().to_owned())]);
///         headers.extend(trace.tracestate().map(|state| ("tracestate".to_owned(), state.to_owned())));
///         let _ = span.set_parent(TraceContextPropagator::new().extract(&headers));
///     }
/// }
/// ```
pub trait TracePropagator: Send + Sync + 'static {
    /// The trace context of a span, for what goes on from it elsewhere or later; `None` when it is in no trace. It is called
    /// inside the span.
    fn inject(&self, span: &Span) -> Option<TraceContext>;

    /// Makes a span part of this trace. It is called once for a span that was just opened and has not been entered yet; of
    /// a receiver only when no span of the application is around it, whose trace it would otherwise leave.
    fn extract(&self, span: &Span, trace: &TraceContext);
}

const _: fn(&dyn TracePropagator) = |_| {};

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ID: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
    const PARENT: &str = "00f067aa0ba902b7";

    fn parse(text: &str) -> Option<String> {
        TraceContext::parse(text, None).map(|trace| trace.traceparent().to_owned())
    }

    #[test]
    fn a_traceparent_that_is_not_valid_is_none() {
        let good = format!("00-{ID}-{PARENT}-01");
        assert_eq!(parse(&good).as_deref(), Some(&*good));
        assert_eq!(
            parse(&format!(" {good}\t")).as_deref(),
            Some(&*good),
            "white space around it is the header's"
        );
        for bad in [
            String::new(),
            good.to_uppercase(),
            format!("00-{ID}-{PARENT}"),
            format!("00-{ID}-{PARENT}-1"),
            format!("00-{ID}-{PARENT}-01-"),
            format!("00-{ID}-{PARENT}-01-more"),
            format!("00-{ID}_{PARENT}-01"),
            format!("0-{ID}-{PARENT}-001"),
            format!("ff-{ID}-{PARENT}-01"),
            format!("00-{}-{PARENT}-01", "0".repeat(32)),
            format!("00-{ID}-{}-01", "0".repeat(16)),
            format!("00-{ID}-{PARENT}-0g"),
            format!("00-{}é-{PARENT}-01", &ID[2..]),
            format!("01-{ID}-{PARENT}-01x"),
        ] {
            assert_eq!(parse(&bad), None, "{bad}");
        }
    }

    #[test]
    fn a_later_version_is_read_as_far_as_it_is_known() {
        let known = format!("00-{ID}-{PARENT}-01");
        for later in
            [format!("01-{ID}-{PARENT}-01"), format!("cc-{ID}-{PARENT}-ff-what-the-future-will-be-like")]
        {
            assert_eq!(parse(&later).as_deref(), Some(&*known), "{later}");
        }
        let not_sampled = TraceContext::parse(&format!("01-{ID}-{PARENT}-fe"), None).expect("readable");
        assert_eq!((not_sampled.is_sampled(), not_sampled.traceparent().ends_with("-00")), (false, true));
    }

    #[test]
    fn a_tracestate_that_is_not_valid_or_too_long_is_dropped_and_the_parent_stays() {
        let state = |text: &str| {
            let trace =
                TraceContext::parse(&format!("00-{ID}-{PARENT}-00"), Some(text)).expect("a good parent");
            trace.tracestate().map(str::to_owned)
        };
        assert_eq!(
            state("rojo=00f067aa0ba902b7, congo=t61rcWkgMzE ,").as_deref(),
            Some("rojo=00f067aa0ba902b7,congo=t61rcWkgMzE")
        );
        assert_eq!(state("fw529a3039@dt=FfAA"), Some("fw529a3039@dt=FfAA".to_owned()));
        let long = |bytes: usize| format!("a={},b={}", "x".repeat(256), "y".repeat(bytes - 256 - 5));
        assert_eq!(state(&long(512)).map(|state| state.len()), Some(512));
        let many = vec!["a=1"; 33].join(",");
        for bad in ["", ",", "a", "=1", "a=", "A=1", "a=é", "a=1\n", "a=b=c", &long(513), &many] {
            assert_eq!(state(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_a_panic(parent in ".*", state in ".*") {
            let _ = TraceContext::parse(&parent, Some(&state));
            let _ = parent.parse::<TraceContext>();
        }

        #[test]
        fn a_valid_context_is_read_back_from_its_line(
            id in "[0-9a-f]{31}[1-9a-f]", parent in "[1-9a-f][0-9a-f]{15}", flags in "[0-9a-f]{2}",
            state in prop::option::of("[a-z][a-z0-9_*/@-]{0,20}=[ -+--<>-~]{0,50}[!-+--<>-~](,[a-z]{1,8}=[a-zA-Z0-9]{1,40}){0,5}"),
        ) {
            let header = format!("00-{id}-{parent}-{flags}");
            let trace = TraceContext::parse(&header, state.as_deref()).expect("valid");
            prop_assert_eq!((trace.traceparent(), trace.trace_id(), trace.parent_id()), (&*header, &*id, &*parent));
            prop_assert_eq!(trace.tracestate(), state.as_deref());
            prop_assert!(trace.to_string().len() <= TraceContext::MAX_LEN);
            prop_assert_eq!(trace.to_string().parse::<TraceContext>(), Ok(trace));
        }

        #[test]
        fn what_is_read_is_always_valid_and_read_the_same_again(
            text in "[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}(-[a-z]{0,5})?",
        ) {
            if let Some(trace) = TraceContext::parse(&text, None) {
                prop_assert_eq!(trace.traceparent().len(), LENGTH);
                prop_assert_eq!(TraceContext::parse(trace.traceparent(), None), Some(trace));
            }
        }
    }
}

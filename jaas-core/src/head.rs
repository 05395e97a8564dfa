//! What a receiver is given of a request besides its body.

use crate::auth::Credentials;
use crate::signature;
use crate::telemetry::TraceContext;

/// What counts of a request's headers. An adapter reads it with [`read`](Self::read); a test that needs only the
/// credentials gives those, which convert into it.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct RequestHead<'a> {
    /// The headers that can prove the request genuine.
    pub credentials: Credentials<'a>,
    /// The trace it belongs to, if it came with a `traceparent` that is valid.
    pub trace: Option<TraceContext>,
}

impl<'a> RequestHead<'a> {
    /// Asks for the headers it needs, by their lower-case names; of one that is there several times, for the first that is
    /// text. So of a `tracestate` that comes in several lines, which its specification allows, only the first is kept.
    ///
    /// ```
    /// use jaas_core::RequestHead;
    ///
    /// let headers = [
    ///     ("x-jaas-signature", "t=1,v1=AAAA"),
    ///     ("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
    /// ];
    /// let head = RequestHead::read(|name| headers.iter().find(|(each, _)| *each == name).map(|(_, value)| *value));
    /// assert_eq!(head.credentials.signature, Some("t=1,v1=AAAA"));
    /// assert_eq!(head.trace.unwrap().trace_id(), "4bf92f3577b34da6a3ce929d0e0e4736");
    /// ```
    pub fn read(header: impl Fn(&'static str) -> Option<&'a str>) -> Self {
        let trace =
            header("traceparent").and_then(|parent| TraceContext::parse(parent, header("tracestate")));
        let (signature, authorization) = (header(signature::HEADER), header("authorization"));
        Self { credentials: Credentials { signature, authorization }, trace }
    }
}

impl<'a> From<Credentials<'a>> for RequestHead<'a> {
    fn from(credentials: Credentials<'a>) -> Self {
        Self { credentials, trace: None }
    }
}

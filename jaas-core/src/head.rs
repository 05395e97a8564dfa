//! What a receiver gets of a request besides its body.

use std::borrow::Cow;

use crate::auth::Credentials;
use crate::signature;
use crate::telemetry::TraceContext;

/// The relevant request headers. An adapter builds it with [`from_lines`](Self::from_lines); a test that needs only the
/// credentials passes those, which convert into it.
#[derive(Clone, Default)]
#[non_exhaustive]
pub struct RequestHead<'a> {
    signature: Option<Cow<'a, str>>,
    authorization: Option<&'a str>,
    /// The `Content-Length`, in bytes.
    pub(crate) declared: Option<u64>,
    /// The trace it belongs to, if it has a valid `traceparent`.
    pub trace: Option<TraceContext>,
}

impl<'a> RequestHead<'a> {
    /// Builds the head from `lines`, which returns the values of a header by its lower-case name. A header with several
    /// lines has several values, in their order.
    ///
    /// `X-Jaas-Signature` and `tracestate` are lists, and a list may be split or repeated in transit: the values are
    /// joined with a comma ([RFC 9110, 5.3](https://www.rfc-editor.org/rfc/rfc9110#section-5.3)). For the other headers
    /// the first value counts. A value that is not UTF-8 is omitted.
    ///
    /// A source with one value for each name, such as a map, returns an `Option`. If it holds only the first line of a
    /// header, a genuine signature may be missing: it may be in the second line.
    ///
    /// With `Content-Length`, a receiver notices if other code has consumed the body. Omit that header if it is not the
    /// length of what the sender sent.
    ///
    /// ```
    /// use jaas_core::RequestHead;
    ///
    /// let headers = [
    ///     ("x-jaas-signature", "t=1"),
    ///     ("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
    ///     ("x-jaas-signature", "v1=AAAA"),
    /// ];
    /// let lines = |name| headers.iter().filter(move |(each, _)| *each == name).map(|(_, value)| *value);
    /// let head = RequestHead::from_lines(lines);
    /// assert_eq!(head.credentials().signature, Some("t=1,v1=AAAA"));
    /// assert_eq!(head.trace.unwrap().trace_id(), "4bf92f3577b34da6a3ce929d0e0e4736");
    /// ```
    pub fn from_lines<V, I>(lines: impl Fn(&'static str) -> I) -> Self
    where
        V: AsRef<[u8]> + ?Sized + 'a,
        I: IntoIterator<Item = &'a V>,
    {
        let values = |name| {
            let values = lines(name).into_iter();
            values.filter_map(|value| std::str::from_utf8(value.as_ref()).ok())
        };
        let parent = values("traceparent").next();
        let trace =
            parent.and_then(|parent| TraceContext::parse(parent, joined(values("tracestate")).as_deref()));
        let authorization = values("authorization").next();
        let declared = values("content-length").next().and_then(|length| length.trim().parse().ok());
        Self { signature: joined(values(signature::HEADER)), authorization, declared, trace }
    }

    /// The headers that can prove the request authentic.
    pub fn credentials(&self) -> Credentials<'_> {
        Credentials { signature: self.signature.as_deref(), authorization: self.authorization }
    }
}

/// Joins the lines of a header into one list. A single line is borrowed.
fn joined<'a>(mut lines: impl Iterator<Item = &'a str>) -> Option<Cow<'a, str>> {
    let mut joined = Cow::Borrowed(lines.next()?);
    for line in lines {
        let joined = joined.to_mut();
        joined.push(',');
        joined.push_str(line);
    }
    Some(joined)
}

impl<'a> From<Credentials<'a>> for RequestHead<'a> {
    fn from(credentials: Credentials<'a>) -> Self {
        let Credentials { signature, authorization } = credentials;
        Self { signature: signature.map(Cow::Borrowed), authorization, declared: None, trace: None }
    }
}

/// Shows which credentials are present, not their values.
impl std::fmt::Debug for RequestHead<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RequestHead")
            .field("credentials", &self.credentials())
            .field("trace", &self.trace)
            .finish()
    }
}

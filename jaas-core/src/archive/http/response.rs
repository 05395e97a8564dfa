//! The head of a response: which bytes follow, and what refuses them.

use http::header::{CONTENT_LENGTH, CONTENT_RANGE, ETAG, HeaderName, LAST_MODIFIED};
use http::{Response, StatusCode};
use hyper::body::Incoming;

use crate::archive::fetch::{FetchError, FetchErrorKind, Resume};

/// What a response says of its body.
pub(super) struct Head {
    pub(super) from: u64,
    pub(super) length: Option<u64>,
    pub(super) validator: Option<String>,
    /// How long the body is.
    pub(super) expected: Option<u64>,
}

impl Head {
    pub(super) fn of(response: &Response<Incoming>, resume: Option<&Resume>) -> Result<Self, FetchError> {
        let text = |name: HeaderName| response.headers().get(name).and_then(|value| value.to_str().ok());
        let number = |name| text(name).and_then(|text| text.trim().parse::<u64>().ok());
        let status = response.status();
        let validator = text(ETAG)
            .filter(|tag| tag.starts_with('"'))
            .or_else(|| text(LAST_MODIFIED).filter(|_| text(ETAG).is_none()))
            .map(str::to_owned);
        let expected = number(CONTENT_LENGTH);
        match (status, resume) {
            (StatusCode::OK, _) => Ok(Self { from: 0, length: expected, validator, expected }),
            (StatusCode::PARTIAL_CONTENT, Some(resume)) => {
                let (from, length) = text(CONTENT_RANGE).and_then(content_range).unwrap_or_default();
                if from != resume.from || validator.as_ref().is_some_and(|now| *now != resume.validator) {
                    return Err(FetchError::failed("the server sent another part than was asked for"));
                }
                Ok(Self { from, length, validator: Some(resume.validator.clone()), expected })
            }
            (StatusCode::NOT_FOUND | StatusCode::GONE, _) => {
                Err(FetchError::new(FetchErrorKind::Gone, format!("the server says {status}")))
            }
            _ if status.is_redirection() => Err(FetchError::new(
                FetchErrorKind::NotAllowed,
                format!("the server says {status}, and redirects are not followed"),
            )),
            _ => Err(FetchError::failed(format!("the server says {status}"))),
        }
    }
}

/// The first byte and the length of the whole, of `bytes 5-9/10`.
fn content_range(text: &str) -> Option<(u64, Option<u64>)> {
    let (range, length) = text.strip_prefix("bytes ")?.split_once('/')?;
    let (from, _) = range.split_once('-')?;
    Some((from.trim().parse().ok()?, length.trim().parse().ok()))
}

//! Where deliveries go.

use std::sync::Arc;

use async_trait::async_trait;
use jaas_core::Receiver;

use crate::signer::SignedRequest;

/// A destination of requests: a [`Receiver`] in this process, a server over HTTP, or the test server of a web
/// framework.
#[async_trait]
pub trait Target: Send + Sync {
    /// Sends one `POST` request and returns its status code.
    ///
    /// # Errors
    /// When no response came.
    async fn post(&self, request: &SignedRequest) -> Result<u16, NoResponse>;
}

#[async_trait]
impl Target for Receiver {
    async fn post(&self, request: &SignedRequest) -> Result<u16, NoResponse> {
        Ok(self.receive(request.credentials(), request.body.clone()).await.status())
    }
}

#[async_trait]
impl<T: Target + ?Sized> Target for Arc<T> {
    async fn post(&self, request: &SignedRequest) -> Result<u16, NoResponse> {
        (**self).post(request).await
    }
}

/// Why a request got no response.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NoResponse {
    /// The request was lost on purpose; see [`Sender::lose_requests`](super::Sender::lose_requests).
    #[error("the request was lost on purpose")]
    RequestLost,
    /// The response was lost on purpose; see [`Sender::lose_answers`](super::Sender::lose_answers).
    #[error("the response was lost on purpose")]
    AnswerLost,
    /// It took too long.
    #[error("no response within the timeout")]
    TimedOut,
    /// The server is not reachable, or the connection broke.
    #[error("{reason}")]
    Unreachable {
        /// What went wrong, and where.
        reason: String,
    },
}

impl NoResponse {
    /// A short name, for machines.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::RequestLost => "request_lost",
            Self::AnswerLost => "answer_lost",
            Self::TimedOut => "timed_out",
            Self::Unreachable { .. } => "unreachable",
        }
    }
}

const _: fn(&dyn Target) = |_| {};

//! What an application does when a file was kept, is at risk, or was lost.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;

use super::artifact::Artifact;
use super::store::{Kept, LostWhy};
use crate::handler::{Handled, HandlerResult};

/// What an application does about artifacts. Each method is called once for an artifact, in the transaction that
/// records it: what it writes through [`ArtifactContext::tx`] is committed together with that, or not at all. What it
/// does besides happens
/// *at least* once.
///
/// A method that fails, panics or takes too long is called again later, until it succeeds; the file is not fetched
/// again for that. `Tx` is the store's transaction, as for [`EventHandler`](crate::EventHandler).
///
/// ```
/// use async_trait::async_trait;
/// use jaas_core::archive::{ArtifactContext, ArtifactHandler, Kept, Lost};
/// use jaas_core::{Handled, HandlerResult};
///
/// struct OnArtifact;
///
/// #[async_trait]
/// impl ArtifactHandler for OnArtifact {
///     async fn stored(&self, cx: &mut ArtifactContext<'_>, kept: &Kept) -> HandlerResult {
///         println!("{} of {}: {} bytes", cx.artifact().kind, cx.artifact().fqn, kept.bytes);
///         Ok(Handled::Done)
///     }
///
///     async fn lost(&self, cx: &mut ArtifactContext<'_>, lost: &Lost) -> HandlerResult {
///         println!("{} of {} was lost: {}", cx.artifact().kind, cx.artifact().fqn, lost.why);
///         Ok(Handled::Done)
///     }
/// }
/// ```
#[async_trait]
pub trait ArtifactHandler<Tx: Send = ()>: Send + Sync + 'static {
    /// The file is in the sink.
    ///
    /// # Errors
    /// Then it is called again later.
    async fn stored(&self, cx: &mut ArtifactContext<'_, Tx>, kept: &Kept) -> HandlerResult {
        let _ = (cx, kept);
        Ok(Handled::Done)
    }

    /// The file is not fetched, and little time is left: an alarm may still save it. A recording can be downloaded by
    /// hand in the JaaS user interface for 24 h (documented). Not called for what is fetched or lost before that.
    ///
    /// # Errors
    /// Then it is called again later.
    async fn at_risk(&self, cx: &mut ArtifactContext<'_, Tx>, risk: &AtRisk) -> HandlerResult {
        let _ = (cx, risk);
        Ok(Handled::Done)
    }

    /// The file will not be fetched any more.
    ///
    /// # Errors
    /// Then it is called again later.
    async fn lost(&self, cx: &mut ArtifactContext<'_, Tx>, lost: &Lost) -> HandlerResult {
        let _ = (cx, lost);
        Ok(Handled::Done)
    }
}

/// What is known of an artifact that may be lost.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct AtRisk {
    /// How long it is until its link dies.
    pub left: Duration,
}

/// What is known of an artifact that was lost.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Lost {
    /// Why.
    pub why: LostWhy,
    /// What went wrong last, for people; `None` when it was never tried.
    pub error: Option<String>,
}

impl AtRisk {
    pub(super) fn new(left: Duration) -> Self {
        Self { left }
    }
}

impl Lost {
    pub(super) fn new(why: LostWhy, error: Option<String>) -> Self {
        Self { why, error }
    }
}

/// The artifact, and the transaction in which it is recorded.
pub struct ArtifactContext<'a, Tx = ()> {
    artifact: &'a Artifact,
    tx: &'a mut Tx,
}

impl<'a, Tx> ArtifactContext<'a, Tx> {
    /// A context as the archiver makes it; in tests, use it to call a method directly.
    pub fn new(artifact: &'a Artifact, tx: &'a mut Tx) -> Self {
        Self { artifact, tx }
    }

    /// What it is, and of which event.
    pub fn artifact(&self) -> &'a Artifact {
        self.artifact
    }

    /// The transaction in which it is recorded.
    pub fn tx(&mut self) -> &mut Tx {
        self.tx
    }
}

impl<Tx> fmt::Debug for ArtifactContext<'_, Tx> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ArtifactContext").field("artifact", self.artifact).finish_non_exhaustive()
    }
}

/// Forwards every method, so a handler can be shared.
#[async_trait]
impl<Tx: Send, H: ArtifactHandler<Tx> + ?Sized> ArtifactHandler<Tx> for std::sync::Arc<H> {
    async fn stored(&self, cx: &mut ArtifactContext<'_, Tx>, kept: &Kept) -> HandlerResult {
        (**self).stored(cx, kept).await
    }

    async fn at_risk(&self, cx: &mut ArtifactContext<'_, Tx>, risk: &AtRisk) -> HandlerResult {
        (**self).at_risk(cx, risk).await
    }

    async fn lost(&self, cx: &mut ArtifactContext<'_, Tx>, lost: &Lost) -> HandlerResult {
        (**self).lost(cx, lost).await
    }
}

const _: fn(&dyn ArtifactHandler<()>) = |_| {};

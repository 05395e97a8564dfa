//! What an application does about gaps.

use std::sync::Arc;

use async_trait::async_trait;

use super::store::{Gap, GapRecord};
use crate::handler::HandlerError;

/// What an application does about gaps. Each method is called once for a gap, in the transaction that records it: what
/// it writes through `tx` is committed together with that, or not at all. What it does besides happens *at least*
/// once.
///
/// A method that fails, panics or takes too long is called again after the [retry
/// interval](super::WatchBuilder::retry_interval), until it succeeds. `Tx` is the store's transaction, as for
/// [`EventHandler`](crate::EventHandler).
///
/// ```
/// use async_trait::async_trait;
/// use jaas_core::HandlerError;
/// use jaas_core::watch::{Gap, GapHandler, Severity};
///
/// struct Alarm;
///
/// #[async_trait]
/// impl GapHandler for Alarm {
///     async fn on_gap(&self, _: &mut (), gap: &Gap) -> Result<(), HandlerError> {
///         if gap.severity == Severity::Critical {
///             println!("{}: {} did not come", gap.session_id, gap.rule.expected());
///         }
///         Ok(())
///     }
/// }
/// ```
#[async_trait]
pub trait GapHandler<Tx: Send = ()>: Send + Sync + 'static {
    /// Something should have come by now, and has not.
    ///
    /// # Errors
    /// Then it is called again later.
    async fn on_gap(&self, tx: &mut Tx, gap: &Gap) -> Result<(), HandlerError> {
        let _ = (tx, gap);
        Ok(())
    }

    /// What was missing has come after all. It is called for gaps only of which [`on_gap`](GapHandler::on_gap) was
    /// called.
    ///
    /// # Errors
    /// Then it is called again later.
    async fn on_closed(&self, tx: &mut Tx, gap: &GapRecord) -> Result<(), HandlerError> {
        let _ = (tx, gap);
        Ok(())
    }
}

/// Forwards every method, so a handler can be shared.
#[async_trait]
impl<Tx: Send, H: GapHandler<Tx> + ?Sized> GapHandler<Tx> for Arc<H> {
    async fn on_gap(&self, tx: &mut Tx, gap: &Gap) -> Result<(), HandlerError> {
        (**self).on_gap(tx, gap).await
    }

    async fn on_closed(&self, tx: &mut Tx, gap: &GapRecord) -> Result<(), HandlerError> {
        (**self).on_closed(tx, gap).await
    }
}

const _: fn(&dyn GapHandler<()>) = |_| {};

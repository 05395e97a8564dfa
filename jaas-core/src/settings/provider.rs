//! The provider of settings, and the providers without dependencies.

use std::sync::Arc;

use async_trait::async_trait;

use super::meeting::MeetingSettings;
use super::request::SettingsRequest;
use crate::handler::HandlerError;

/// Returns the settings with which a meeting starts.
///
/// # What the implementor owes
/// - **Be quick.** JaaS waits about 3 s in total (seen) and then opens the room to everyone. The settings service that
///   asks you has a timeout, 1.5 s by default; then it drops your future, and the failure policy answers. So a future
///   that is dropped midway must not leave anything half-done.
/// - **Do not block the thread**: no timeout can end a future that does not yield. Use `tokio::task::spawn_blocking`
///   for blocking calls.
/// - **Return an error for rooms you do not know**, not empty settings: those open the room. [`NoSettingsForRoom`]
///   exists for this, and lets a [`chain`] ask the next provider.
///
/// # What the framework promises
/// - The question is authentic, under the [`Auth`](crate::Auth) chosen for it.
/// - An error, a panic and a timeout lead to the failure policy, and are distinguished in logs, metrics and records.
/// - When several questions about one room arrive at the same time, you are asked once.
///
/// ```
/// use async_trait::async_trait;
/// use jaas_core::HandlerError;
/// use jaas_core::settings::{MeetingSettings, NoSettingsForRoom, SettingsProvider, SettingsRequest};
///
/// struct Bookings;
///
/// #[async_trait]
/// impl SettingsProvider for Bookings {
///     async fn settings(&self, request: &SettingsRequest) -> Result<MeetingSettings, HandlerError> {
///         match &*request.room_key() {
///             "board" => Ok(MeetingSettings::builder().lobby_enabled(true).passcode("4711").build()?),
///             _ => Err(NoSettingsForRoom.into()),
///         }
///     }
/// }
/// ```
#[async_trait]
pub trait SettingsProvider: Send + Sync + 'static {
    /// Returns the settings of the meeting in the question.
    ///
    /// # Errors
    /// Any error; `?` works. The failure policy then answers. [`NoSettingsForRoom`] says that this provider has no
    /// settings for the room.
    async fn settings(&self, request: &SettingsRequest) -> Result<MeetingSettings, HandlerError>;

    /// Whether it has settings for every room, as far as is known without asking. If not, the settings service warns
    /// when its failure policy closes rooms. Defaults to true.
    fn answers_every_room(&self) -> bool {
        true
    }
}

/// Forwards, so a provider can be shared.
#[async_trait]
impl<P: SettingsProvider + ?Sized> SettingsProvider for Arc<P> {
    async fn settings(&self, request: &SettingsRequest) -> Result<MeetingSettings, HandlerError> {
        (**self).settings(request).await
    }

    fn answers_every_room(&self) -> bool {
        (**self).answers_every_room()
    }
}

/// Forwards, so a provider can be chosen at run time.
#[async_trait]
impl<P: SettingsProvider + ?Sized> SettingsProvider for Box<P> {
    async fn settings(&self, request: &SettingsRequest) -> Result<MeetingSettings, HandlerError> {
        (**self).settings(request).await
    }

    fn answers_every_room(&self) -> bool {
        (**self).answers_every_room()
    }
}

const _: fn(&dyn SettingsProvider) = |_| {};

/// The error of a provider that has no settings for a room. [`chain`] goes on to the next provider; after the last one
/// the failure policy answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("there are no settings for this room")]
pub struct NoSettingsForRoom;

/// Whether the provider has no settings for the room.
pub(crate) fn has_none(error: &HandlerError) -> bool {
    error.error().is::<NoSettingsForRoom>()
}

/// Returns the same settings for every room.
///
/// ```
/// use jaas_core::settings::{Fixed, MeetingSettings};
///
/// let provider = Fixed::new(MeetingSettings::builder().max_occupants(50).build()?);
/// # Ok::<(), jaas_core::settings::SettingsError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Fixed(MeetingSettings);

impl Fixed {
    /// Creates a provider of these settings.
    pub fn new(settings: MeetingSettings) -> Self {
        Self(settings)
    }
}

#[async_trait]
impl SettingsProvider for Fixed {
    async fn settings(&self, _: &SettingsRequest) -> Result<MeetingSettings, HandlerError> {
        Ok(if self.0.decided_by().is_some() {
            self.0.clone()
        } else {
            self.0.clone().with_decided_by("fixed")
        })
    }
}

/// Asks `first`, and then `second` if the first returns [`NoSettingsForRoom`].
///
/// Any other error of the first is an error of the chain. Otherwise, when a table cannot be reached, the default after
/// it would open a protected room.
pub fn chain<A: SettingsProvider, B: SettingsProvider>(first: A, second: B) -> Chain<A, B> {
    Chain { first, second }
}

/// Two providers, of which the second is asked about rooms the first does not know; see [`chain`].
#[derive(Debug, Clone)]
pub struct Chain<A, B> {
    first: A,
    second: B,
}

#[async_trait]
impl<A: SettingsProvider, B: SettingsProvider> SettingsProvider for Chain<A, B> {
    async fn settings(&self, request: &SettingsRequest) -> Result<MeetingSettings, HandlerError> {
        match self.first.settings(request).await {
            Err(error) if has_none(&error) => self.second.settings(request).await,
            result => result,
        }
    }

    fn answers_every_room(&self) -> bool {
        self.first.answers_every_room() || self.second.answers_every_room()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::timestamp::Timestamp;

    struct Fails(HandlerError);

    #[async_trait]
    impl SettingsProvider for Fails {
        async fn settings(&self, _: &SettingsRequest) -> Result<MeetingSettings, HandlerError> {
            Err(if has_none(&self.0) {
                NoSettingsForRoom.into()
            } else {
                HandlerError::retry(self.0.to_string())
            })
        }
    }

    #[tokio::test]
    async fn a_chain_goes_on_only_when_the_first_has_none_for_the_room() {
        let request = SettingsRequest::parse("main", Timestamp::from_secs(0), r#"{"fqn":"a/r"}"#.into());
        let request = request.expect("a question");
        let open = || Fixed::new(MeetingSettings::default());
        let passed = chain(Fails(NoSettingsForRoom.into()), open()).settings(&request).await;
        assert_eq!(passed.expect("the second has settings").decided_by(), Some("fixed"));
        let failed = chain(Fails("the table is gone".into()), open()).settings(&request).await;
        assert!(!has_none(&failed.expect_err("a failure is not an absence")));
        let none =
            chain(Fails(NoSettingsForRoom.into()), Fails(NoSettingsForRoom.into())).settings(&request).await;
        assert!(has_none(&none.expect_err("neither has any")));
    }
}

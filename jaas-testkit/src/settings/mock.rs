//! A mock of the provider.

use async_trait::async_trait;
use jaas_core::HandlerError;
use jaas_core::settings::{MeetingSettings, SettingsProvider, SettingsRequest};

mockall::mock! {
    /// A provider with expectations, made with `mockall`.
    ///
    /// ```
    /// use jaas_core::settings::{MeetingSettings, SettingsProvider as _};
    /// use jaas_testkit::settings::{MockSettingsProvider, settings_request};
    ///
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let mut provider = MockSettingsProvider::new();
    /// provider.expect_settings().times(1).returning(|request| {
    ///     assert_eq!(request.room_key(), "math");
    ///     Ok(MeetingSettings::default())
    /// });
    /// assert!(provider.settings(&settings_request("app/math")).await.is_ok());
    /// # });
    /// ```
    #[derive(Debug)]
    pub SettingsProvider {}

    #[async_trait]
    impl SettingsProvider for SettingsProvider {
        async fn settings(&self, request: &SettingsRequest) -> Result<MeetingSettings, HandlerError>;
    }
}

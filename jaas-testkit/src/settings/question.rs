//! Questions as JaaS asks them.

use jaas_core::Timestamp;
use jaas_core::settings::{EVENT_TYPE, SettingsRequest};
use serde_json::{Map, Value};

/// Creates a question about this meeting, for calling a provider directly. The endpoint `main` received it at second
/// 1,760,000,000; build a [`SettingsQuestion`] for other values.
///
/// ```
/// use jaas_testkit::settings::settings_request;
///
/// assert_eq!(settings_request("vpaas-magic-cookie-1/math").room_key(), "math");
/// ```
///
/// # Panics
/// When `fqn` is empty: that does not name a meeting.
pub fn settings_request(fqn: &str) -> SettingsRequest {
    SettingsQuestion::about(fqn).request()
}

/// Builds a question.
///
/// ```
/// use jaas_testkit::settings::SettingsQuestion;
///
/// let documented = SettingsQuestion::about("AppID/roomName").body();
/// assert_eq!(documented, r#"{"fqn":"AppID/roomName"}"#);
/// let seen = SettingsQuestion::about("AppID/roomName").with_event_type().body();
/// assert_eq!(seen, r#"{"eventType":"SETTINGS_PROVISIONING","fqn":"AppID/roomName"}"#);
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct SettingsQuestion {
    body: Map<String, Value>,
    endpoint: String,
    received_at: Timestamp,
}

impl SettingsQuestion {
    /// The documented body: `{"fqn": …}`.
    pub fn about(fqn: &str) -> Self {
        Self {
            body: Map::from_iter([("fqn".to_owned(), Value::from(fqn))]),
            endpoint: "main".to_owned(),
            received_at: Timestamp::from_secs(1_760_000_000),
        }
    }

    /// The body that was seen: with `"eventType":"SETTINGS_PROVISIONING"`.
    pub fn with_event_type(self) -> Self {
        self.with("eventType", EVENT_TYPE)
    }

    /// Adds a key.
    pub fn with(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.body.insert(key.to_owned(), value.into());
        self
    }

    /// Sets the endpoint that receives it.
    pub fn at_endpoint(mut self, endpoint: &str) -> Self {
        endpoint.clone_into(&mut self.endpoint);
        self
    }

    /// Sets when it arrives.
    pub fn received_at(mut self, at: Timestamp) -> Self {
        self.received_at = at;
        self
    }

    /// The body, to [sign](crate::Signer::sign) and send.
    pub fn body(&self) -> String {
        Value::from(self.body.clone()).to_string()
    }

    /// The question, as the argument of a provider.
    ///
    /// # Panics
    /// When the body is not a question, such as one with an empty `fqn`.
    pub fn request(&self) -> SettingsRequest {
        #[allow(clippy::expect_used)] // said above
        SettingsRequest::parse(self.endpoint.as_str(), self.received_at, self.body().into())
            .expect("a question")
    }
}

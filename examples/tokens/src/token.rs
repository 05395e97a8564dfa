//! The tokens: what JaaS calls the Jitsi JWT.
//!
//! Claims marked *documented* are on <https://developer.8x8.com/jaas/docs/api-keys-jwt>, those of commands on
//! <https://developer.8x8.com/jaas/docs/webhooks-jaas-endpoints>.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use jaas_core::Timestamp;
use serde::Serialize;

use crate::key::SigningKey;

/// How far clocks may differ: a token is valid from this long before it is made.
const CLOCK_DIFFERENCE: Duration = Duration::from_secs(30);

/// How long a command's token is valid.
const COMMAND: Duration = Duration::from_secs(60);

/// Lets one participant into a meeting. Make one for each participant and each meeting.
///
/// ```no_run
/// use std::time::Duration;
/// use jaas_core::{Clock, SystemClock};
/// use tokens::{Feature, MeetingToken, SigningKey, User};
///
/// let key = SigningKey::read("jaas.pem", "vpaas-magic-cookie-1/4f4910")?;
/// let ada = User::new("u-1").named("Ada").moderator();
/// let token = MeetingToken::new("math", ada)
///     .may(Feature::Recording)
///     .valid_for(Duration::from_secs(2 * 60 * 60))
///     .sign(&key, SystemClock.now())?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
#[must_use]
pub struct MeetingToken {
    room: String,
    user: User,
    features: BTreeMap<&'static str, &'static str>,
    valid_for: Duration,
}

impl MeetingToken {
    /// For this room, or for every room when it is `*` (documented). The room is only its name, without the tenant.
    pub fn new(room: impl Into<String>, user: User) -> Self {
        let features = Feature::ALL.iter().map(|feature| (feature.as_str(), "false")).collect();
        Self { room: room.into(), user, features, valid_for: Duration::from_secs(60 * 60) }
    }

    /// Grants a permission. Only a moderator can use it (documented). By default none is granted.
    pub fn may(mut self, feature: Feature) -> Self {
        self.features.insert(feature.as_str(), "true");
        self
    }

    /// How long the token lets a participant in. Whether a participant stays in when it expires is not documented.
    /// Defaults to one hour.
    pub fn valid_for(mut self, time: Duration) -> Self {
        self.valid_for = time;
        self
    }

    /// Signs it. RSA takes some milliseconds of the processor.
    ///
    /// # Errors
    /// When signing fails, which it does not with a key that could be read.
    pub fn sign(&self, key: &SigningKey, now: Timestamp) -> Result<String, jsonwebtoken::errors::Error> {
        key.sign(&Claims {
            context: Some(Context { user: &self.user, features: &self.features }),
            room: Some(&self.room),
            admin: None,
            ..Claims::new(key, now, self.valid_for)
        })
    }
}

impl SigningKey {
    /// A token for commands: the claim `admin` instead of a user and a room (documented). It is valid for one minute.
    ///
    /// # Errors
    /// As [`MeetingToken::sign`].
    pub fn admin(&self, now: Timestamp) -> Result<String, jsonwebtoken::errors::Error> {
        self.sign(&Claims { admin: Some(true), ..Claims::new(self, now, COMMAND) })
    }
}

/// Who the participant is. JaaS copies it into the events of the participant (seen in the sender's modules).
#[derive(Clone, Serialize)]
#[must_use]
pub struct User {
    id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    email: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    avatar: Option<String>,
    /// Documented as text.
    moderator: &'static str,
    /// Documented without its type; 8x8's events have been seen with a bool and with text.
    #[serde(rename = "hidden-from-recorder")]
    hidden: bool,
}

impl User {
    /// The user with this id in your system: `id` in the events of the participant.
    pub fn new(id: impl Into<String>) -> Self {
        Self { id: id.into(), name: None, email: None, avatar: None, moderator: "false", hidden: false }
    }

    /// Sets the name that others see. Defaults to none.
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Sets the e-mail address. Defaults to none.
    pub fn with_email(mut self, email: impl Into<String>) -> Self {
        self.email = Some(email.into());
        self
    }

    /// Sets the address of a picture that everyone can fetch (documented). Defaults to none.
    pub fn with_avatar(mut self, url: impl Into<String>) -> Self {
        self.avatar = Some(url.into());
        self
    }

    /// Makes the user a moderator. Defaults to not.
    pub fn moderator(mut self) -> Self {
        self.moderator = "true";
        self
    }

    /// Leaves the user out of recordings and streams (documented). Defaults to not.
    pub fn hidden_from_recorder(mut self) -> Self {
        self.hidden = true;
        self
    }
}

/// Names and addresses do not belong in logs.
impl fmt::Debug for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("User").field("id", &self.id).finish_non_exhaustive()
    }
}

impl fmt::Debug for MeetingToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MeetingToken")
            .field("room", &self.room)
            .field("user", &self.user)
            .finish_non_exhaustive()
    }
}

/// A permission of a moderator (all documented).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Feature {
    /// Stream the meeting.
    Livestreaming,
    /// Record the meeting.
    Recording,
    /// Transcribe the meeting.
    Transcription,
    /// Let SIP devices call in.
    SipInboundCall,
    /// Call SIP devices.
    SipOutboundCall,
    /// Let telephones call in.
    InboundCall,
    /// Call telephones.
    OutboundCall,
    /// Share files.
    FileUpload,
    /// See who watches.
    ListVisitors,
}

impl Feature {
    const ALL: [Self; 9] = [
        Self::Livestreaming,
        Self::Recording,
        Self::Transcription,
        Self::SipInboundCall,
        Self::SipOutboundCall,
        Self::InboundCall,
        Self::OutboundCall,
        Self::FileUpload,
        Self::ListVisitors,
    ];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Livestreaming => "livestreaming",
            Self::Recording => "recording",
            Self::Transcription => "transcription",
            Self::SipInboundCall => "sip-inbound-call",
            Self::SipOutboundCall => "sip-outbound-call",
            Self::InboundCall => "inbound-call",
            Self::OutboundCall => "outbound-call",
            Self::FileUpload => "file-upload",
            Self::ListVisitors => "list-visitors",
        }
    }
}

#[derive(Serialize)]
struct Claims<'a> {
    /// Always the same (documented).
    aud: &'static str,
    /// Always the same (documented).
    iss: &'static str,
    /// The AppID (documented).
    sub: &'a str,
    /// In seconds (documented).
    nbf: i64,
    /// In seconds (documented).
    exp: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    room: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    context: Option<Context<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    admin: Option<bool>,
}

#[derive(Serialize)]
struct Context<'a> {
    user: &'a User,
    /// The values are text (documented).
    features: &'a BTreeMap<&'static str, &'static str>,
}

impl<'a> Claims<'a> {
    fn new(key: &'a SigningKey, now: Timestamp, valid_for: Duration) -> Self {
        let secs = |time: Timestamp| time.as_millis() / 1000;
        Self {
            aud: "jitsi",
            iss: "chat",
            sub: key.app().as_str(),
            nbf: secs(now.saturating_sub(CLOCK_DIFFERENCE)),
            exp: secs(now.saturating_add(valid_for)),
            room: None,
            context: None,
            admin: None,
        }
    }
}

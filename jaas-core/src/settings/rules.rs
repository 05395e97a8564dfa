//! Settings by the name of the room.

mod error;
mod file;
mod pattern;

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;

pub use self::error::{RulesError, RulesErrorKind};
use self::pattern::Pattern;
use super::meeting::MeetingSettings;
use super::provider::{NoSettingsForRoom, SettingsProvider};
use super::request::SettingsRequest;
use crate::handler::HandlerError;
use crate::id::Fqn;
use crate::lenient::without_bom;

/// Settings by room pattern; the first rule that matches decides.
///
/// A pattern is a room's name, without its tenant, in which `*` matches any number of characters and `?` matches one. A
/// `/` in the name is written `%2F`. Both are compared percent-decoded and lower-cased, as [`Fqn::room_key`] is. A room
/// that no rule matches gets the default. Without a default it gets [`NoSettingsForRoom`](super::NoSettingsForRoom),
/// and the next provider of a [`chain`](super::chain) is asked, or the failure policy decides:
/// [`fail_closed`](super::FailurePolicy::fail_closed) then closes every room that no rule matches, and the settings
/// service warns about it when it is built.
///
/// In a file, with the keys of the answer:
///
/// ```toml
/// [[rules]]
/// room = "*-vip"               # or a list of patterns
/// [rules.settings]
/// lobbyEnabled = true
/// passcode = "0420"            # in quotes: it is text
///
/// [[rules]]
/// room = ["lecture-*", "aula"]
/// tenant = "vpaas-magic-cookie-c2824d584eac4489a1e32e4e164d5a3c"   # optional
/// settings = { visitorsEnabled = true, participantsSoftLimit = 100 }
///
/// [default]
/// maxOccupants = 50
/// ```
///
/// The same as JSON: `{"rules":[{"room":"*-vip","settings":{…}}],"default":{…}}`.
///
/// ```
/// use jaas_core::Fqn;
/// use jaas_core::settings::{MeetingSettings, RoomRules};
///
/// let vip = MeetingSettings::builder().lobby_enabled(true).passcode("0420").build()?;
/// let rules = RoomRules::new().rule("*-vip", vip)?.default_settings(MeetingSettings::default());
/// assert_eq!(rules.of(&Fqn::new("vpaas-magic-cookie-1/Board%2DVIP")).unwrap().lobby_enabled(), Some(true));
///
/// let error = RoomRules::from_json("rooms.json", "{\"rules\":[\n{\"room\":\"*\",\"settings\":{\"passcode\":\"12a\"}}]}");
/// assert!(error.unwrap_err().to_string().starts_with("rooms.json, line 2: the passcode may hold the digits 0 to 9 only"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Default)]
#[must_use]
pub struct RoomRules {
    rules: Vec<Rule>,
    default: Option<MeetingSettings>,
}

#[derive(Debug, Clone)]
struct Rule {
    tenant: Option<String>,
    pattern: Pattern,
    settings: MeetingSettings,
}

impl Rule {
    fn is_for_every_room(&self) -> bool {
        self.tenant.is_none() && self.pattern.is_everything()
    }
}

impl RoomRules {
    /// Creates an empty list of rules.
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads a file and parses it by its extension, `.toml` or `.json`. It blocks, so call it at start-up.
    ///
    /// # Errors
    /// When the file cannot be read, is not well-formed, holds something that is not allowed, or has a rule that can
    /// never match. The error names the file, the line and what is allowed. `.toml` needs the feature `toml`.
    pub fn read(path: impl AsRef<Path>) -> Result<Self, RulesError> {
        let path = path.as_ref();
        let name = path.display().to_string();
        let read: fn(&str, &str) -> Result<Self, RulesError> = match path
            .extension()
            .and_then(|end| end.to_str())
        {
            Some("json") => |name, text| Self::from_json(name, text),
            #[cfg(feature = "toml")]
            Some("toml") => |name, text| Self::from_toml(name, text),
            #[cfg(not(feature = "toml"))]
            Some("toml") => {
                let message = "this build does not support TOML; turn on the feature `toml` of jaas-core, or write JSON";
                return Err(RulesError::new(RulesErrorKind::Unreadable, &name, None, message));
            }
            _ => {
                let message = "a file of room rules ends in .toml or .json";
                return Err(RulesError::new(RulesErrorKind::Unreadable, &name, None, message));
            }
        };
        let text = std::fs::read_to_string(path)
            .map_err(|error| RulesError::new(RulesErrorKind::Unreadable, &name, None, error.to_string()))?;
        read(&name, &text)
    }

    /// Parses rules from JSON; `name` is the file name in errors. A byte order mark is skipped.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn from_json(name: &str, text: &str) -> Result<Self, RulesError> {
        file::from_json(name, without_bom(text))
    }

    /// Parses rules from TOML; `name` is the file name in errors. A byte order mark is skipped.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    #[cfg(feature = "toml")]
    pub fn from_toml(name: &str, text: &str) -> Result<Self, RulesError> {
        file::from_toml(name, without_bom(text))
    }

    /// Adds a rule after the others.
    ///
    /// # Errors
    /// When no room can match the pattern: it is empty, has white space at an end, a control character or a `/` (the
    /// tenant is not part of a room's name; a `/` in the name is written `%2F`), or an earlier rule matches everything
    /// it would.
    pub fn rule(mut self, pattern: &str, settings: MeetingSettings) -> Result<Self, RulesError> {
        let added = self.add(pattern, None, settings);
        added.map_err(|(kind, message)| RulesError::new(kind, "room rules", None, message))?;
        Ok(self)
    }

    /// Sets the settings of rooms that no rule matches.
    pub fn default_settings(mut self, settings: MeetingSettings) -> Self {
        self.default = Some(settings.with_decided_by("the default of the rules"));
        self
    }

    /// Returns the settings of this meeting, by the first rule that matches or by default.
    pub fn of(&self, fqn: &Fqn) -> Option<&MeetingSettings> {
        let (tenant, room) = (fqn.app_id().map(str::to_lowercase), fqn.room_key());
        let matching = self
            .rules
            .iter()
            .find(|rule| (rule.tenant.is_none() || rule.tenant == tenant) && rule.pattern.matches(&room));
        matching.map(|rule| &rule.settings).or(self.default.as_ref())
    }

    fn add(
        &mut self,
        pattern: &str,
        tenant: Option<&str>,
        settings: MeetingSettings,
    ) -> Result<(), (RulesErrorKind, String)> {
        let not_allowed =
            |message: &str| (RulesErrorKind::NotAllowed, format!("{message} (the rule {pattern:?})"));
        let new = Pattern::new(pattern).map_err(not_allowed)?;
        let no_tenant = |tenant: &str| {
            tenant.is_empty()
                || tenant.trim() != tenant
                || tenant.contains(['/', '*', '?'])
                || tenant.contains(char::is_control)
        };
        if tenant.is_some_and(no_tenant) {
            return Err(not_allowed(
                "the tenant is the text before the first / of `fqn`, whole and without wildcards; omit it to match \
                 every tenant",
            ));
        }
        let tenant = tenant.map(str::to_lowercase);
        let covers =
            |rule: &&Rule| (rule.tenant.is_none() || rule.tenant == tenant) && rule.pattern.covers(&new);
        if let Some(first) = self.rules.iter().find(covers) {
            let message = format!(
                "the rule for {pattern:?} can never match, because {:?} comes before it and the first match decides; put it \
                 further up",
                first.pattern.as_str()
            );
            return Err((RulesErrorKind::NeverMatches, message));
        }
        let decided_by: Arc<str> = format!("the rule {pattern:?}").into();
        self.rules.push(Rule { tenant, pattern: new, settings: settings.with_decided_by(decided_by) });
        Ok(())
    }
}

#[async_trait]
impl SettingsProvider for RoomRules {
    async fn settings(&self, request: &SettingsRequest) -> Result<MeetingSettings, HandlerError> {
        self.of(&request.fqn).cloned().ok_or_else(|| NoSettingsForRoom.into())
    }

    fn answers_every_room(&self) -> bool {
        self.default.is_some() || self.rules.iter().any(Rule::is_for_every_room)
    }
}

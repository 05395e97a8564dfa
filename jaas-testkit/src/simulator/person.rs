//! The people who take part.

use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

/// A person who can join meetings: the content of their JWT, and their device.
///
/// ```
/// use jaas_testkit::simulator::Person;
///
/// let ada = Person::named("Ada").moderator();
/// let ben = Person::named("Ben").claim("department", "algebra");
/// let guest = Person::guest();
/// # let _ = (ada, ben, guest);
/// ```
#[derive(Debug, Clone, PartialEq)]
#[must_use]
pub struct Person {
    pub(crate) name: Option<String>,
    pub(crate) user_id: Option<String>,
    pub(crate) email: Option<String>,
    pub(crate) moderator: Claim,
    pub(crate) device: Option<String>,
    pub(crate) claims: Map<String, Value>,
}

/// How the JWT's `moderator` claim is written: a bool, text, or not at all (asserted by jitsi-meet's tests).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Claim {
    Absent,
    Bool(bool),
    Text(bool),
}

impl Claim {
    pub(crate) fn is_moderator(self) -> bool {
        matches!(self, Self::Bool(true) | Self::Text(true))
    }

    pub(crate) fn write(self) -> Option<Value> {
        match self {
            Self::Absent => None,
            Self::Bool(value) => Some(value.into()),
            Self::Text(value) => Some(value.to_string().into()),
        }
    }
}

impl Person {
    /// Creates a user of your application with this name, and with id, e-mail address and device derived from it: `Ada`
    /// is `user-ada`. The same name is the same user, with the same device, in every meeting.
    pub fn named(name: &str) -> Self {
        let word: String =
            name.to_lowercase().chars().map(|c| if c.is_alphanumeric() { c } else { '-' }).collect();
        let user_id = format!("user-{word}");
        Self {
            name: Some(name.to_owned()),
            device: Some(device_of(&user_id)),
            user_id: Some(user_id),
            email: Some(format!("{word}@example.com")),
            moderator: Claim::Bool(false),
            claims: Map::new(),
        }
    }

    /// Creates a person without a JWT user: no id, no e-mail address, no name, and a unique device.
    pub fn guest() -> Self {
        Self {
            name: None,
            user_id: None,
            email: None,
            moderator: Claim::Absent,
            device: None,
            claims: Map::new(),
        }
    }

    /// Sets the name shown in the meeting.
    pub fn shown_as(mut self, name: &str) -> Self {
        self.name = Some(name.to_owned());
        self
    }

    /// Sets the user id of the JWT.
    pub fn with_id(mut self, id: &str) -> Self {
        self.user_id = Some(id.to_owned());
        self
    }

    /// Makes the JWT declare a moderator.
    pub fn moderator(mut self) -> Self {
        self.moderator = Claim::Bool(true);
        self
    }

    /// Sets the device, which the bill counts.
    pub fn on_device(mut self, device: &str) -> Self {
        self.device = Some(device.to_owned());
        self
    }

    /// Adds a claim to `context.user` of the JWT: any key, any JSON. The sender copies all of them into its events
    /// (seen in the sender's modules); its own fields override claims of the same name. `id`, `name`, `email` and
    /// `moderator` identify the person, and are still decoded in another type than usual: `claim("id", 1140)` is the
    /// user `1140`.
    pub fn claim(mut self, name: &str, value: impl Into<Value>) -> Self {
        let value = value.into();
        let text = match &value {
            Value::String(text) if !text.is_empty() => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        };
        match name {
            "id" => self.user_id = text,
            "name" => self.name = text,
            "email" => self.email = text,
            "moderator" => {
                self.moderator =
                    if text.as_deref() == Some("true") { Claim::Text(true) } else { Claim::Absent }
            }
            _ => {}
        }
        if let ("moderator", Value::Bool(moderator)) = (name, &value) {
            self.moderator = Claim::Bool(*moderator);
        }
        self.claims.insert(name.to_owned(), value);
        self
    }

    pub(crate) fn moderator_claim(mut self, claim: Claim) -> Self {
        self.moderator = claim;
        self
    }
}

/// 32 hex digits, as the browser writes them.
pub(crate) fn device_of(owner: &str) -> String {
    Sha256::digest(owner).iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn claims_that_identify_the_person_decode_from_any_type() {
        let person =
            Person::named("Ada").claim("id", 1140).claim("moderator", "true").claim("email", Value::Null);
        assert_eq!((person.user_id.as_deref(), person.email.as_deref()), (Some("1140"), None));
        assert!(person.moderator.is_moderator());
        let person = person.claim("moderator", false).claim("name", "");
        assert!(!person.moderator.is_moderator() && person.name.is_none());
    }

    #[test]
    fn the_same_name_has_the_same_device() {
        let device = |name: &str| Person::named(name).device.expect("a device");
        assert_eq!(device("Ada"), device("Ada"));
        assert_ne!(device("Ada"), device("Ben"));
        assert_eq!(device("Ada").len(), 32);
    }
}

//! Text that must not reach a log by accident.

use std::fmt;

use serde::Deserialize;

/// Text about a person (a name, an e-mail address, a phone number, spoken words). `Debug` hides it and there is no
/// `Display`; read it with [`expose`](Personal::expose).
///
/// ```
/// # use jaas_core::Personal;
/// let name = Personal::new("Ada");
/// assert_eq!(format!("{name:?}"), "Personal(…)");
/// assert_eq!(name.expose(), "Ada");
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(transparent)]
pub struct Personal(String);

impl Personal {
    /// Wraps a text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// The text itself.
    pub fn into_exposed(self) -> String {
        self.0
    }
}

impl fmt::Debug for Personal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Personal(…)")
    }
}

impl crate::lenient::Field for Personal {
    fn parse(raw: &str) -> Option<Self> {
        crate::lenient::string(raw).map(Self)
    }
}

impl crate::lenient::Write for Personal {
    fn write(&self) -> Option<serde_json::Value> {
        Some(self.expose().into())
    }
}

impl From<&str> for Personal {
    fn from(text: &str) -> Self {
        Self::new(text)
    }
}

/// A download link that works without a login until it expires: anyone who has the link has the file. `Debug` shows the
/// host only; read the link with [`expose`](Link::expose).
///
/// Links in events expire after 24 hours (`statsUrl`: 48 hours), and the files behind them are deleted permanently
/// (documented).
///
/// ```
/// # use jaas_core::Link;
/// let link = Link::new("https://files.example/p/token/recording.mp4");
/// assert_eq!(format!("{link:?}"), "Link(files.example/…)");
/// assert!(link.expose().ends_with("recording.mp4"));
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(transparent)]
pub struct Link(String);

impl Link {
    /// Wraps a link.
    pub fn new(url: impl Into<String>) -> Self {
        Self(url.into())
    }

    /// The link itself.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// The link itself.
    pub fn into_exposed(self) -> String {
        self.0
    }

    /// The host of the link, which is not secret.
    pub fn host(&self) -> Option<&str> {
        let (_, rest) = self.0.split_once("://")?;
        let authority = &rest[..rest.find(['/', '?', '#']).unwrap_or(rest.len())];
        let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
        (!host.is_empty()).then_some(host)
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Link({}/…)", self.host().unwrap_or("…"))
    }
}

impl crate::lenient::Field for Link {
    fn parse(raw: &str) -> Option<Self> {
        crate::lenient::string(raw).map(Self)
    }
}

impl crate::lenient::Write for Link {
    fn write(&self) -> Option<serde_json::Value> {
        Some(self.expose().into())
    }

    #[cfg(feature = "archive")]
    fn links(&self, name: &'static str, found: &mut dyn FnMut(&'static str, &str)) {
        found(name, self.expose());
    }
}

impl From<&str> for Link {
    fn from(text: &str) -> Self {
        Self::new(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_of_a_link_shows_only_its_host() {
        let link = Link::new("https://user:pw@objectstorage.eu-frankfurt-1.oraclecloud.com/p/token?sig=1");
        assert_eq!(format!("{link:?}"), "Link(objectstorage.eu-frankfurt-1.oraclecloud.com/…)");
        assert_eq!(format!("{:?}", Link::new("/p/token")), "Link(…/…)");
        assert_eq!(format!("{:?}", Link::new("https://?token")), "Link(…/…)");
    }
}

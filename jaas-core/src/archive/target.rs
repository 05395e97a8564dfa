//! Which links may be fetched.

use http::Uri;

use crate::config::{ConfigError, ConfigErrorKind};

/// The hosts of links that were seen (in receivers and in the documentation's examples).
const SEEN: &[&str] =
    &["objectstorage.*.oraclecloud.com", "8x8.vc", "api-vo.jitsi.net", "*.s3.*.amazonaws.com"];

/// The hosts that files may be fetched from.
#[derive(Debug, Clone)]
pub(super) struct Hosts(Vec<String>);

impl Hosts {
    pub(super) fn seen() -> Self {
        Self(SEEN.iter().map(|host| (*host).to_owned()).collect())
    }

    /// Adds a host, or a pattern in which `*` matches one label.
    pub(super) fn add(&mut self, host: &str) -> Result<(), ConfigError> {
        let pattern = host.to_ascii_lowercase();
        let labels: Vec<_> = pattern.split('.').collect();
        let is_label = |label: &&str| *label == "*" || is_label(label);
        // Of the last two labels none is open: a pattern names whose hosts they are.
        let is_named = labels.iter().rev().take(2).all(|label| *label != "*") && labels.len() >= 2;
        if !labels.iter().all(is_label) || !is_named || is_number(&pattern) {
            return Err(ConfigError::new(
                ConfigErrorKind::Name,
                format!(
                    "{host:?} is not a host to fetch files from; write a name such as files.example.org, in \
                     which * may match one label that is not one of the last two"
                ),
            ));
        }
        self.0.push(pattern);
        Ok(())
    }

    fn contain(&self, host: &str) -> bool {
        self.0.iter().any(|pattern| {
            pattern.split('.').count() == host.split('.').count()
                && pattern.split('.').zip(host.split('.')).all(|(pattern, label)| matches(pattern, label))
        })
    }
}

fn matches(pattern: &str, label: &str) -> bool {
    pattern == "*" || pattern == label
}

fn is_label(label: &str) -> bool {
    (1..=63).contains(&label.len())
        && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
}

/// Whether a name is an IPv4 address, in any of the spellings that resolvers take: its last label is a number, decimal,
/// octal or hexadecimal.
fn is_number(host: &str) -> bool {
    let last = host.rsplit('.').next().unwrap_or_default();
    let is_hex = last.strip_prefix("0x").is_some_and(|hex| hex.bytes().all(|byte| byte.is_ascii_hexdigit()));
    is_hex || (!last.is_empty() && last.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Where a link leads, once it is known that it may be fetched.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) host: String,
    pub(super) port: u16,
    /// Path and query: the secret part.
    pub(super) path: String,
    /// Without TLS, and to this machine: for trying it by hand.
    pub(super) is_local: bool,
}

/// Why a link may not be fetched.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Forbidden {
    #[error("the link is not a URL")]
    NotAUrl,
    #[error("the link is not https")]
    NotHttps,
    #[error("the link has a user name or password")]
    UserInfo,
    #[error("the link has a port")]
    Port,
    #[error("the link's host is an IP address")]
    Address,
    #[error("the link's host is not a public name")]
    NotPublic,
    /// The application can allow it.
    #[error(
        "files may not be fetched from {0}; if it is a host of JaaS, add it with HttpFetcherBuilder::host"
    )]
    Host(String),
}

impl Target {
    /// Reads a link, and refuses what may not be fetched. `local` lets links to this machine pass without TLS.
    pub(super) fn of(link: &str, hosts: &Hosts, local: bool) -> Result<Self, Forbidden> {
        let uri: Uri = link.parse().map_err(|_| Forbidden::NotAUrl)?;
        let authority = uri.authority().ok_or(Forbidden::NotAUrl)?;
        let path = uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
        if authority.as_str().contains('@') {
            return Err(Forbidden::UserInfo);
        }
        let scheme = uri.scheme_str().unwrap_or_default();
        if local && scheme == "http" && authority.host() == "127.0.0.1" {
            let port = authority.port_u16().unwrap_or(80);
            return Ok(Self { host: authority.host().to_owned(), port, path, is_local: true });
        }
        if scheme != "https" {
            return Err(Forbidden::NotHttps);
        }
        let host = authority.host().to_ascii_lowercase();
        if host.starts_with('[') || is_number(&host) {
            return Err(Forbidden::Address);
        }
        // Nothing but a host, or a host and the usual port: "host:" is odd enough to be refused.
        if authority.as_str().len() != host.len() && authority.as_str().get(host.len()..) != Some(":443") {
            return Err(Forbidden::Port);
        }
        if !is_public_name(&host) {
            return Err(Forbidden::NotPublic);
        }
        if !hosts.contain(&host) {
            return Err(Forbidden::Host(host));
        }
        Ok(Self { host, port: 443, path, is_local: false })
    }
}

/// Whether a name can be one of the public DNS.
fn is_public_name(host: &str) -> bool {
    const NOT_PUBLIC: &[&str] = &[
        "localhost",
        "local",
        "internal",
        "intranet",
        "lan",
        "home",
        "corp",
        "arpa",
        "test",
        "invalid",
        "onion",
    ];
    let last = host.rsplit('.').next().unwrap_or_default();
    host.len() <= 253 && host.contains('.') && host.split('.').all(is_label) && !NOT_PUBLIC.contains(&last)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(link: &str) -> Result<Target, Forbidden> {
        Target::of(link, &Hosts::seen(), false)
    }

    #[test]
    fn the_hosts_that_were_seen_may_be_fetched() {
        for link in [
            "https://objectstorage.eu-frankfurt-1.oraclecloud.com/p/token/n/a/b/c/o/x.mp4",
            "https://8x8.vc/p?x=1",
            "https://8X8.VC:443/p",
            "https://api-vo.jitsi.net",
            "https://bucket.s3.us-west-2.amazonaws.com/key?X-Amz-Signature=1",
        ] {
            assert!(target(link).is_ok(), "{link}");
        }
        assert_eq!(target("https://8x8.vc/p?x=1#frag").expect("fetched").path, "/p?x=1");
    }

    #[test]
    fn hosts_that_only_look_like_those_are_refused() {
        for link in [
            "https://8x8.vc.evil.example/p",
            "https://evil8x8.vc/p",
            "https://objectstorage.a.b.oraclecloud.com/p",
            "https://objectstorage.oraclecloud.com/p",
            "https://s3.us-west-2.amazonaws.com/p",
            "https://x.s3.us-west-2.amazonaws.com.evil.example/p",
        ] {
            assert!(matches!(target(link), Err(Forbidden::Host(_))), "{link}: {:?}", target(link).err());
        }
    }

    #[test]
    fn hosts_of_the_application_are_names() {
        let mut hosts = Hosts::seen();
        for host in ["files.example.org", "*.Files.example.org", "a_b.example.org"] {
            hosts.add(host).expect(host);
        }
        assert!(Target::of("https://x.files.example.org/p", &hosts, false).is_ok());
        for host in
            ["", "*", "*.org", "a.*", "10.0.0.1", "0x7f.0x1", "[::1]", "a b.org", "localhost", "a..org"]
        {
            assert!(hosts.add(host).is_err(), "{host}");
        }
    }

    #[test]
    fn a_link_to_this_machine_needs_the_switch() {
        let link = "http://127.0.0.1:8080/x";
        let local = Target::of(link, &Hosts::seen(), true).expect("switched on");
        assert_eq!((local.port, local.is_local), (8080, true));
        assert_eq!(target(link).err(), Some(Forbidden::NotHttps));
        for link in [
            "http://127.0.0.2/",
            "http://localhost/",
            "http://127.0.0.1.evil.example/",
            "http://u@127.0.0.1/",
        ] {
            assert!(Target::of(link, &Hosts::seen(), true).is_err(), "{link}");
        }
    }
}

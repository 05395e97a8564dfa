//! The private key that signs tokens.

use std::fmt;
use std::path::Path;

use jaas_core::AppId;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde::Serialize;

/// An RSA key whose public half is uploaded in the JaaS console, under "API keys" (documented).
pub struct SigningKey {
    id: String,
    app: AppId,
    key: EncodingKey,
}

impl SigningKey {
    /// Reads a PEM file, in PKCS#1 (`BEGIN RSA PRIVATE KEY`) or PKCS#8 (`BEGIN PRIVATE KEY`).
    ///
    /// `id` is the key's id in the console, `<AppID>/<key>` (documented), such as
    /// `vpaas-magic-cookie-1fc542a3e4414a44b2611668195e2bfe/4f4910`.
    ///
    /// It blocks while it reads: call it when the application starts.
    ///
    /// # Errors
    /// When the file cannot be read, is not a private RSA key without a passphrase, or the id has no AppID.
    pub fn read(path: impl AsRef<Path>, id: &str) -> Result<Self, KeyError> {
        let path = path.as_ref();
        let pem = std::fs::read_to_string(path).map_err(|error| KeyError {
            kind: KeyErrorKind::File,
            message: format!("the key {} cannot be read: {error}", path.display()),
        })?;
        Self::from_pem(&pem, id).map_err(|error| KeyError {
            message: format!("the key {}: {}", path.display(), error.message),
            ..error
        })
    }

    /// Parses PEM text, for keys that come from a vault and not from a file.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn from_pem(pem: &str, id: &str) -> Result<Self, KeyError> {
        let app = match id.split_once('/') {
            Some((app, key)) if !app.is_empty() && !key.is_empty() => AppId::from(app),
            _ => {
                let message = format!("its id is {id:?}; copy it from the JaaS console, as <AppID>/<key>");
                return Err(KeyError { kind: KeyErrorKind::Id, message });
            }
        };
        let refused = |kind, message: &str| Err(KeyError { kind, message: message.to_owned() });
        let label =
            pem.lines().find_map(|line| line.trim().strip_prefix("-----BEGIN ")?.strip_suffix("-----"));
        match label {
            Some("RSA PRIVATE KEY" | "PRIVATE KEY") => {}
            Some("ENCRYPTED PRIVATE KEY") => {
                return refused(
                    KeyErrorKind::Encrypted,
                    "it has a passphrase; remove it with `openssl pkcs8 -in KEY -out NEW -topk8 -nocrypt`",
                );
            }
            Some("PUBLIC KEY" | "RSA PUBLIC KEY" | "CERTIFICATE") => {
                return refused(
                    KeyErrorKind::Public,
                    "it is the public half; tokens are signed with the private key",
                );
            }
            Some(_) => return refused(KeyErrorKind::Type, "it is not an RSA key; JaaS takes RS256 only"),
            None => {
                return refused(
                    KeyErrorKind::Pem,
                    "it is not PEM; the text begins with -----BEGIN … PRIVATE KEY-----",
                );
            }
        }
        if pem.contains("Proc-Type: 4,ENCRYPTED") {
            return refused(
                KeyErrorKind::Encrypted,
                "it has a passphrase; remove it with `openssl rsa -in KEY -out NEW`",
            );
        }
        let key = EncodingKey::from_rsa_pem(pem.as_bytes())
            .map_err(|_| KeyError { kind: KeyErrorKind::Type, message: NOT_RSA.to_owned() })?;
        let key = Self { id: id.to_owned(), app, key };
        // Only signing parses the key, and a broken one should be found when the application starts.
        key.sign(&serde_json::json!({}))
            .map_err(|_| KeyError { kind: KeyErrorKind::Type, message: NOT_RSA.to_owned() })?;
        Ok(key)
    }

    /// The tenant, which is the `sub` of every token.
    pub fn app(&self) -> &AppId {
        &self.app
    }

    pub(crate) fn sign(&self, claims: &impl Serialize) -> Result<String, jsonwebtoken::errors::Error> {
        // `typ` is JWT by default, as documented.
        let header = Header { kid: Some(self.id.clone()), ..Header::new(Algorithm::RS256) };
        encode(&header, claims, &self.key)
    }
}

const NOT_RSA: &str = "it is not an RSA key, or damaged; JaaS takes RS256 only";

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey").field("id", &self.id).finish_non_exhaustive()
    }
}

/// Why a key cannot be used. The text never has anything of the key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyError {
    kind: KeyErrorKind,
    message: String,
}

/// In which way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum KeyErrorKind {
    /// The file cannot be read.
    File,
    /// The text is not PEM.
    Pem,
    /// It is a public key.
    Public,
    /// It has a passphrase.
    Encrypted,
    /// It is a key of another type, or damaged.
    Type,
    /// The id is not `<AppID>/<key>`.
    Id,
}

impl KeyError {
    /// In which way it cannot be used.
    pub fn kind(&self) -> KeyErrorKind {
        self.kind
    }
}

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for KeyError {}

//! What a token says, as its receiver reads it: decoded with the public key.
#![allow(clippy::expect_used)]

use std::path::PathBuf;
use std::time::Duration;

use jaas_core::Timestamp;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use serde_json::{Value, json};
use tokens::{Feature, KeyErrorKind, MeetingToken, SigningKey, User};

const ID: &str = "vpaas-magic-cookie-1fc542a3e4414a44b2611668195e2bfe/4f4910";
const NOW: Timestamp = Timestamp::from_secs(1_795_420_800);

fn file(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/keys").join(name)
}

fn claims(token: &str) -> Value {
    let header = decode_header(token).expect("a header");
    assert_eq!((header.alg, header.kid.as_deref()), (Algorithm::RS256, Some(ID)));
    assert_eq!(header.typ.as_deref(), Some("JWT"));
    let public = std::fs::read(file("public.pem")).expect("read");
    let mut validation = Validation::new(Algorithm::RS256);
    validation.set_audience(&["jitsi"]);
    validation.set_issuer(&["chat"]);
    validation.set_required_spec_claims(&["aud", "iss", "sub", "exp", "nbf"]);
    // The times are those of the test, not of the machine.
    validation.validate_exp = false;
    let key = DecodingKey::from_rsa_pem(&public).expect("a public key");
    decode(token, &key, &validation).expect("a good signature").claims
}

#[test]
fn a_meeting_token_has_the_documented_claims_with_either_form_of_the_key() {
    for form in ["pkcs1.pem", "pkcs8.pem"] {
        let key = SigningKey::read(file(form), ID).expect(form);
        let ada = User::new("u-1").named("Ada").with_email("ada@example.org").moderator();
        let token = MeetingToken::new("math", ada)
            .may(Feature::Recording)
            .valid_for(Duration::from_secs(600))
            .sign(&key, NOW)
            .expect("signed");
        let mut claims = claims(&token);
        let features = claims["context"]["features"].take();
        let expected = json!({
            "aud": "jitsi", "iss": "chat", "sub": "vpaas-magic-cookie-1fc542a3e4414a44b2611668195e2bfe", "room": "math",
            "nbf": 1_795_420_770, "exp": 1_795_421_400,
            "context": {
                "user": {"id": "u-1", "name": "Ada", "email": "ada@example.org", "moderator": "true",
                         "hidden-from-recorder": false},
                "features": null,
            },
        });
        assert_eq!(claims, expected, "{form}");
        assert_eq!((&features["recording"], &features["livestreaming"]), (&json!("true"), &json!("false")));
        assert_eq!(features.as_object().map(serde_json::Map::len), Some(9));
    }
}

#[test]
fn an_admin_token_names_neither_a_room_nor_a_person_and_lives_for_a_minute() {
    let key = SigningKey::read(file("pkcs8.pem"), ID).expect("a key");
    let claims = claims(&key.admin(NOW).expect("signed"));
    let expected = json!({
        "aud": "jitsi", "iss": "chat", "sub": "vpaas-magic-cookie-1fc542a3e4414a44b2611668195e2bfe", "admin": true,
        "nbf": 1_795_420_770, "exp": 1_795_420_860,
    });
    assert_eq!(claims, expected);
}

#[test]
fn a_key_that_cannot_sign_is_refused_when_it_is_read_with_the_remedy() {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).expect("written");
        path
    };
    let whole = std::fs::read_to_string(file("pkcs1.pem")).expect("read");
    let damaged = whole.replacen("MII", "AAA", 1);
    let elliptic = "-----BEGIN EC PRIVATE KEY-----\nAAAA\n-----END EC PRIVATE KEY-----";
    for (path, kind, said) in [
        (file("absent.pem"), KeyErrorKind::File, "cannot be read"),
        (file("public.pem"), KeyErrorKind::Public, "private key"),
        (file("encrypted.pem"), KeyErrorKind::Encrypted, "openssl"),
        (file("elliptic.pem"), KeyErrorKind::Type, "RS256"),
        (write("sec1.pem", elliptic), KeyErrorKind::Type, "RS256"),
        (write("damaged.pem", &damaged), KeyErrorKind::Type, "damaged"),
        (write("text.pem", "whsec_123"), KeyErrorKind::Pem, "BEGIN"),
    ] {
        let error = SigningKey::read(&path, ID).expect_err(said);
        assert_eq!(error.kind(), kind, "{error}");
        let text = error.to_string();
        assert!(text.contains(said) && text.contains(&*path.to_string_lossy()), "{text}");
        assert!(!text.contains("MII") && !text.contains("whsec"), "{text}");
    }
    for id in ["4f4910", "/4f4910", "vpaas-magic-cookie-1/"] {
        assert_eq!(SigningKey::read(file("pkcs8.pem"), id).expect_err(id).kind(), KeyErrorKind::Id);
    }
}

#[test]
fn debug_shows_no_key_and_no_person() {
    let key = SigningKey::read(file("pkcs8.pem"), ID).expect("a key");
    assert_eq!(format!("{key:?}"), format!("SigningKey {{ id: {ID:?}, .. }}"));
    let token = MeetingToken::new("math", User::new("u-1").named("Ada").with_email("ada@example.org"));
    let shown = format!("{token:?}");
    assert!(!shown.contains("Ada") && !shown.contains("example"), "{shown}");
}

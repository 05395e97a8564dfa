//! The signature's golden vectors, from 8x8's documentation and derived from it.

use jaas_core::Timestamp;
use jaas_core::signature::{self, Secret, SignatureError, Tolerance, Verified};
use serde_json::Value;

const VECTORS: &str = include_str!("signature.json");
const WRONG_SECRET: &str = "whsec_ffffffffffffffffffffffffffffffff";

struct Vector {
    case: String,
    secret: String,
    header: String,
    body: Vec<u8>,
    valid: bool,
    /// The `t` of the header; any time where it is absent.
    at: Timestamp,
}

impl Vector {
    fn verify(&self, secrets: &[&str]) -> Result<Verified, SignatureError> {
        let secrets: Vec<Secret> = secrets.iter().map(|s| Secret::new(*s).expect("a good secret")).collect();
        signature::verify(&self.header, &self.body, &secrets, self.at, Tolerance::default())
    }
}

#[test]
fn every_vector_is_decided_as_recorded() {
    let vectors = vectors();
    for vector in &vectors {
        let verified = vector.verify(&[&vector.secret]);
        assert_eq!(verified.is_ok(), vector.valid, "{}: {verified:?}", vector.case);
        if let Ok(verified) = verified {
            assert_eq!((verified.signed_at, verified.secret), (vector.at, 0), "{}", vector.case);
        }
    }
    assert_eq!(vectors.len(), 12);
}

#[test]
fn a_wrong_secret_before_the_right_one_changes_nothing_but_which_one_matched() {
    for vector in vectors() {
        let alone = vector.verify(&[&vector.secret]);
        let after = vector.verify(&[WRONG_SECRET, &vector.secret]);
        assert_eq!(after.is_ok(), vector.valid, "{}: {after:?}", vector.case);
        assert_eq!(after.map(|verified| verified.secret).ok(), alone.map(|_| 1).ok(), "{}", vector.case);
        assert!(vector.verify(&[WRONG_SECRET]).is_err(), "{}", vector.case);
    }
}

#[test]
fn a_vector_is_refused_as_soon_as_its_body_changes_by_one_byte() {
    for mut vector in vectors() {
        for at in 0..vector.body.len() {
            vector.body[at] ^= 1;
            assert!(vector.verify(&[&vector.secret]).is_err(), "{}: byte {at}", vector.case);
            vector.body[at] ^= 1;
        }
    }
}

#[test]
fn a_vector_holds_what_we_would_have_sent() {
    for vector in vectors().iter().filter(|vector| vector.valid) {
        let secret = Secret::new(vector.secret.as_str()).expect("a good secret");
        let header = signature::sign(&secret, vector.at, &vector.body);
        let (_, v1) = header.split_once(',').expect("t and v1");
        assert!(vector.header.contains(v1), "{}: {header}", vector.case);
    }
}

fn vectors() -> Vec<Vector> {
    let file: Value = serde_json::from_str(VECTORS).expect("JSON");
    let list = file["vectors"].as_array().expect("a list");
    list.iter().map(|vector| read(vector, &file["published_body"])).collect()
}

fn read(vector: &Value, published: &Value) -> Vector {
    let text = |value: &Value| value.as_str().expect("a string").to_owned();
    let header = text(&vector["header"]);
    let t = header.split(',').find_map(|element| element.trim().strip_prefix("t="));
    let body = match vector["body"].as_str() {
        Some("@published") => text(published).into_bytes(),
        Some(body) => body.as_bytes().to_vec(),
        None => from_hex(&text(&vector["body_hex"])),
    };
    Vector {
        case: text(&vector["case"]),
        secret: text(&vector["secret"]),
        body,
        // We trim, so the vector that is left to the implementation is valid.
        valid: vector["valid"] == true || vector["valid"] == "implementation choice (trim => true)",
        at: Timestamp::from_secs(t.map_or(1_632_490_060, |t| t.parse().expect("seconds"))),
        header,
    }
}

fn from_hex(digits: &str) -> Vec<u8> {
    let byte = |at| u8::from_str_radix(&digits[at..at + 2], 16).expect("hex digits");
    (0..digits.len()).step_by(2).map(byte).collect()
}

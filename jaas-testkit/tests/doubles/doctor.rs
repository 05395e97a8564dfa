//! The signature doctor finds each known mistake in a signature made with it.

use std::collections::BTreeSet;

use jaas_core::Timestamp;
use jaas_testkit::doctor::{Diagnosis, Doctor, Mistake};
use serde_json::Value;

const VECTORS: &str = include_str!("doctor.json");

struct Vector {
    case: String,
    secrets: Vec<String>,
    others: Vec<String>,
    header: String,
    body: String,
    now: Timestamp,
    /// The names of the mistakes; `None` when the refusal cannot be explained.
    expected: Option<Vec<String>>,
}

impl Vector {
    fn examine(&self) -> Diagnosis {
        let doctor = Doctor::new(&self.secrets).expect("good secrets").others(&self.others);
        doctor.examine(&self.header, self.body.as_bytes(), self.now)
    }
}

#[test]
fn every_known_mistake_is_found_in_a_signature_made_with_it() {
    let vectors = vectors();
    for vector in &vectors {
        let diagnosis = vector.examine();
        let found: Vec<_> = diagnosis.findings.iter().map(|finding| finding.mistake.as_str()).collect();
        assert_eq!(found, vector.expected.clone().unwrap_or_default(), "{}: {diagnosis:#?}", vector.case);
        assert_eq!(
            diagnosis.is_valid(),
            vector.expected.as_ref().is_some_and(Vec::is_empty),
            "{}",
            vector.case
        );
    }
    assert_eq!(vectors.len(), 66);
}

#[test]
fn each_mistake_has_its_own_vector() {
    let vectors = vectors();
    let alone: BTreeSet<&str> = vectors
        .iter()
        .filter_map(|vector| match vector.expected.as_deref() {
            Some([mistake]) => Some(mistake.as_str()),
            _ => None,
        })
        .collect();
    let all = [
        Mistake::PrefixStripped,
        Mistake::KeyDecoded,
        Mistake::WhiteSpaceInSecret,
        Mistake::QuotesAroundSecret,
        Mistake::WrongSecret,
        Mistake::Hex,
        Mistake::UrlSafeBase64,
        Mistake::PaddingLost,
        Mistake::Reserialised,
        Mistake::TrailingNewline,
        Mistake::ByteOrderMark,
        Mistake::BodyMissing,
        Mistake::Base64Body,
        Mistake::CharacterSet,
        Mistake::Milliseconds,
        Mistake::TimestampNotSigned,
        Mistake::ClockSkew,
        Mistake::MalformedHeader,
        Mistake::HeadersJoined,
    ];
    assert_eq!(alone, all.into_iter().map(Mistake::as_str).collect());
}

#[test]
fn a_valid_signature_names_the_secret_that_matched() {
    let vectors = vectors();
    let vector = vectors.iter().find(|vector| vector.case == "valid").expect("a vector");
    let good = vector.secrets[0].clone();
    // The first cannot be used at all, and must not shift the count.
    let doctor = Doctor::new(["whsec_edged\n".to_owned(), "whsec_other".to_owned(), good]).expect("good");
    let diagnosis = doctor.examine(&vector.header, vector.body.as_bytes(), vector.now);
    assert_eq!((diagnosis.is_valid(), diagnosis.secret), (true, Some(2)));
}

#[test]
fn no_output_quotes_a_secret_or_the_body() {
    for vector in vectors() {
        let shown = format!("{:?}", vector.examine());
        for secret in vector.secrets.iter().chain(&vector.others) {
            let hidden = secret.trim().trim_start_matches("whsec_");
            assert!(!shown.contains(hidden), "{}: {shown}", vector.case);
        }
        assert!(!shown.contains("Zoë") && !shown.contains("9e9e7420"), "{}: {shown}", vector.case);
        let doctor = Doctor::new(&vector.secrets).expect("good secrets");
        assert!(!format!("{doctor:?}").contains(vector.secrets[0].trim()), "{doctor:?}");
    }
}

#[test]
fn no_secret_or_an_empty_one_is_refused() {
    assert!(Doctor::new(Vec::<String>::new()).is_err());
    assert!(Doctor::new([" \n"]).expect_err("blank").to_string().contains("empty"));
}

proptest::proptest! {
    #[test]
    fn any_header_and_body_are_examined_without_a_panic(header in ".{0,80}", t in "[0-9+-]{0,20}", v1 in "[A-Za-z0-9+/=_-]{0,66}", body: Vec<u8>) {
        let doctor = Doctor::new(["whsec_1"]).expect("good").others(["2"]);
        let now = Timestamp::from_secs(1_760_000_000);
        proptest::prop_assert!(!doctor.examine(&header, &body, now).is_valid());
        let well_formed = format!("t={t},v1={v1}");
        proptest::prop_assert!(!doctor.examine(&well_formed, &body, now).is_valid());
    }
}

fn vectors() -> Vec<Vector> {
    let file: Value = serde_json::from_str(VECTORS).expect("JSON");
    let texts = |list: &Value| -> Vec<String> {
        list.as_array()
            .expect("a list")
            .iter()
            .map(|text| text.as_str().expect("a string").to_owned())
            .collect()
    };
    let text = |value: &Value| value.as_str().expect("a string").to_owned();
    let read = |vector: &Value| Vector {
        case: text(&vector["case"]),
        secrets: texts(&vector["secrets"]),
        others: texts(&vector["others"]),
        header: text(&vector["header"]),
        body: text(&vector["body"]),
        now: Timestamp::from_secs(vector["now"].as_i64().expect("seconds")),
        expected: (!vector["expected"].is_null()).then(|| texts(&vector["expected"])),
    };
    file["vectors"].as_array().expect("a list").iter().map(read).collect()
}

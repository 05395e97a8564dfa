//! A configuration that cannot work is refused.

use super::*;

fn refusal(change: impl FnOnce(ReceiverBuilder) -> ReceiverBuilder) -> String {
    named("main", change).expect_err("a bad configuration")
}

fn named(
    endpoint: &str,
    change: impl FnOnce(ReceiverBuilder) -> ReceiverBuilder,
) -> Result<Receiver, String> {
    let auth = Auth::signature([SECRET]).expect("good");
    change(Receiver::builder(endpoint, auth, Probe::new(Then::Take))).build().map_err(|e| e.to_string())
}

#[test]
fn an_endpoint_needs_a_name_that_can_be_stored() {
    for name in ["", " ", "\t\n", "ma\0in", &"n".repeat(256)] {
        let refusal = named(name, |builder| builder).expect_err("a bad name");
        assert!(refusal.contains("name"), "{name:?}: {refusal}");
    }
    assert!(named(&"n".repeat(255), |builder| builder).is_ok());
}

#[test]
fn a_limit_of_zero_would_refuse_everything() {
    assert!(refusal(|builder| builder.max_in_flight(0)).contains("max_in_flight"));
    assert!(refusal(|builder| builder.max_in_flight(usize::MAX)).contains("max_in_flight"));
    assert!(refusal(|builder| builder.timeout(Duration::ZERO)).contains("timeout"));
}

#[test]
fn an_empty_secret_is_refused_before_there_is_a_receiver() {
    assert!(Auth::signature([""]).is_err());
    assert!(Auth::signature([SECRET, " "]).is_err());
    assert!(Auth::signature(Vec::<String>::new()).is_err());
    assert!(Auth::authorization([""]).is_err());
    assert!(Auth::signature_and_authorization([SECRET], [""]).is_err());
    assert!(Auth::signature_or_authorization([SECRET], [""; 0]).is_err());
}

#[test]
fn no_secret_shows_in_debug_output() {
    let auth = Auth::signature_and_authorization([SECRET], [VALUE]).expect("good");
    let builder = Receiver::builder("main", auth, Probe::new(Then::Take));
    let shown = format!("{builder:?}");
    let shown = format!("{shown}{:?}", builder.build().expect("good"));
    assert!(!shown.contains("whsec_") && !shown.contains("1234"), "{shown}");
}

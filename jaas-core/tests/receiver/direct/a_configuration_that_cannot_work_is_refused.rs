//! A configuration that cannot work is refused.

use super::*;

fn refusal(builder: DirectBuilder) -> String {
    builder.build().expect_err("a bad configuration").to_string()
}

#[test]
fn without_a_handler() {
    assert!(refusal(Direct::builder(Handlers::new())).contains("no handler"));
}

#[test]
fn with_two_handlers_of_one_name_or_one_without_a_name() {
    let handlers = |first: &str, second: &str| {
        Direct::builder(Handlers::new().plain(first, Recorder::new()).plain(second, Recorder::new()))
    };
    assert!(refusal(handlers("audit", "audit")).contains("\"audit\""));
    for name in ["", " ", "two\nlines"] {
        assert!(refusal(handlers("audit", name)).contains("name"), "{name:?}");
    }
    assert!(handlers("audit", "Audit").build().is_ok());
}

#[test]
fn with_a_timeout_or_bound_of_zero() {
    for builder in [
        builder(Recorder::new()).capacity(0),
        builder(Recorder::new()).concurrency(0),
        builder(Recorder::new()).timeout(Duration::ZERO),
    ] {
        assert!(refusal(builder).contains("zero"));
    }
}

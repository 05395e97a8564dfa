//! The odd bodies of `jaas-testkit/cases`: each reaches the right method, and the odd field decodes as it should.

mod data;
mod envelope;
mod files;
mod people;
mod rooms;
mod talk;

use jaas_testkit::fixture;

use crate::parsing::*;

const CHECKS: [&[Check]; 6] =
    [envelope::CHECKS, data::CHECKS, people::CHECKS, rooms::CHECKS, talk::CHECKS, files::CHECKS];

#[test]
fn every_odd_body_reaches_its_method_and_decodes_as_it_should() {
    for fixture in fixture::CASES {
        let check = CHECKS.iter().copied().flatten().find(|check| check.name == fixture.name);
        let check = check.unwrap_or_else(|| panic!("{} has no assertion", fixture.name));
        let failed = std::panic::catch_unwind(|| {
            let delivery = read(fixture.body);
            let seen = dispatch(&delivery);
            assert_eq!(seen.method, check.kind);
            (check.check)(&delivery, &seen.event);
        });
        assert!(failed.is_ok(), "{}: see above", fixture.name);
    }
}

#[test]
fn every_assertion_has_its_case_and_none_has_two() {
    let mut asserted: Vec<_> = CHECKS.iter().copied().flatten().map(|check| check.name).collect();
    let mut cases: Vec<_> = fixture::CASES.iter().map(|case| case.name).collect();
    asserted.sort_unstable();
    cases.sort_unstable();
    assert_eq!(asserted, cases);
}

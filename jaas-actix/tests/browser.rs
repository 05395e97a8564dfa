//! The console in a real browser, if one is asked for.

use std::env;
use std::io::Write as _;
use std::path::Path;
use std::process::Command;

const BROWSER: &str = "JAAS_TEST_BROWSER";

#[test]
fn operators_use_the_console_in_a_browser() {
    if env::var_os(BROWSER).is_none() {
        // Written directly, because the test harness captures `eprintln!`.
        let _ = writeln!(
            std::io::stderr(),
            "NOT TESTED here: the console in a browser, because {BROWSER} is not set; .ci/check-console tests it"
        );
        return;
    }
    let check = Path::new(env!("CARGO_MANIFEST_DIR")).join("../.ci/check-console");
    let status = Command::new(check).status().unwrap();
    assert!(status.success(), "{status}; what failed is above");
}

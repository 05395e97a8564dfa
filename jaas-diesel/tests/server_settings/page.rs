//! The page on settings of servers contains what the tests have observed.

use std::fmt::Write as _;
use std::sync::{Mutex, PoisonError};

use crate::exercise::Seen;

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/operations/server-settings.md");
const COMMAND: &str = "JAAS_BLESS=1 cargo test -p jaas-diesel --all-features --test server_settings";

/// What was observed with some settings; `None` if this server does not have them.
pub(crate) struct Line {
    pub(crate) settings: &'static [&'static str],
    pub(crate) seen: Option<Seen>,
    pub(crate) why: &'static str,
}

impl Line {
    fn start(&self) -> String {
        let settings: Vec<_> = self.settings.iter().map(|setting| format!("`{setting}`")).collect();
        format!("| {} |", settings.join(", "))
    }

    /// The line of the page. If the server does not have the settings, the line that the page has already.
    fn render(&self, written: &str) -> String {
        let start = self.start();
        let seen = match &self.seen {
            None => {
                let _ = std::io::Write::write_fmt(
                    &mut std::io::stderr(),
                    format_args!("NOT TESTED here: {start}, which this server does not have\n"),
                );
                let line = written.lines().find(|line| line.starts_with(&start));
                return line.unwrap_or(&format!("{start} not tested | {} |", self.why)).to_owned();
            }
            Some(Seen::Works { warnings }) if warnings.is_empty() => "works".to_owned(),
            Some(Seen::Works { warnings }) => format!("works, and warns: *{}*", warnings.join("; ")),
            Some(Seen::Refused(why)) => format!("does not open: *{why}*"),
            Some(Seen::Fails(why)) => panic!("{start} the store opens, and then: {why}"),
        };
        format!("{start} {seen} | {} |", self.why)
    }
}

/// Compares the text between two markers of the page with what was observed; with `JAAS_BLESS=1`, writes it there. The texts of
/// another version of the server may differ.
pub(crate) fn page_of(region: &str, version: &str, lines: &[Line]) {
    // The tests of both servers write into one page.
    static PAGES: Mutex<()> = Mutex::new(());
    let _page = PAGES.lock().unwrap_or_else(PoisonError::into_inner);
    let text = std::fs::read_to_string(PAGE).unwrap_or_else(|error| panic!("{PAGE}: {error}"));
    let (begin, end) = (format!("<!-- {region}: begin; {COMMAND} -->\n"), format!("<!-- {region}: end -->"));
    let from = text.find(&begin).unwrap_or_else(|| panic!("the page has no marker {begin:?}")) + begin.len();
    let to = from + text[from..].find(&end).unwrap_or_else(|| panic!("the page has no marker {end:?}"));
    let written = &text[from..to];
    let seen_on = format!("Seen on {version}.");
    let mut seen = format!("\n{seen_on}\n\n| settings | the store | because |\n|---|---|---|\n");
    for line in lines {
        let _ = writeln!(seen, "{}", line.render(written));
    }
    seen.push('\n');
    let same_version = written.contains(&seen_on);
    if written == seen || (!same_version && without_texts(written) == without_texts(&seen)) {
        return;
    }
    if std::env::var_os("JAAS_BLESS").is_some() {
        let page = format!("{}{seen}{}", &text[..from], &text[to..]);
        return std::fs::write(PAGE, page).expect("the page can be written");
    }
    for line in seen.lines().filter(|line| !written.contains(line)) {
        let _ = std::io::Write::write_fmt(&mut std::io::stderr(), format_args!("not on the page: {line}\n"));
    }
    panic!(
        "docs/operations/server-settings.md differs from what was observed; write it again with: {COMMAND}"
    );
}

/// The table without the texts in italics.
fn without_texts(region: &str) -> String {
    let table = region.find("| settings").map_or("", |from| &region[from..]);
    table.lines().map(|line| line.split('*').step_by(2).collect::<String>() + "\n").collect()
}

//! The table of contents.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::markdown::{Page, files};

#[test]
fn every_page_of_the_book_is_in_the_table_of_contents_once() {
    let summary = Page::read(Path::new("docs/SUMMARY.md"));
    let listed: Vec<PathBuf> = summary.links.iter().map(|(link, _)| Path::new("docs").join(link)).collect();
    let once: BTreeSet<&PathBuf> = listed.iter().collect();
    assert_eq!(once.len(), listed.len(), "a page is listed twice");
    let missing: Vec<PathBuf> = files("md")
        .into_iter()
        .filter(|file| {
            file.starts_with("docs") && file != Path::new("docs/SUMMARY.md") && !once.contains(file)
        })
        .collect();
    assert!(missing.is_empty(), "not in docs/SUMMARY.md: {missing:?}");
}

//! Links between pages, and to the crates' documentation.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::markdown::{Page, files, normal, pages, root};

#[test]
fn every_link_leads_to_a_file_and_a_heading_of_it() {
    let pages: BTreeMap<PathBuf, Page> = pages().into_iter().map(|page| (page.path.clone(), page)).collect();
    let mut broken = Vec::new();
    for page in pages.values() {
        for (link, line) in &page.links {
            if let Err(why) = follow(page, link, &pages) {
                broken.push(format!("{}:{line}: {link}: {why}", page.path.display()));
            }
        }
    }
    assert!(broken.is_empty(), "{} links lead nowhere:\n{}", broken.len(), broken.join("\n"));
}

fn follow(from: &Page, link: &str, pages: &BTreeMap<PathBuf, Page>) -> Result<(), &'static str> {
    if let Some(item) = link.strip_prefix("https://docs.rs/jaas-") {
        return documented(item);
    }
    if link.contains("://") || link.starts_with("mailto:") {
        return Ok(());
    }
    let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
    let target = match path {
        "" => from.path.clone(),
        path => normal(&from.path.parent().unwrap_or(Path::new("")).join(path))
            .ok_or("outside of the workspace")?,
    };
    if !root().join(&target).exists() {
        return Err("no such file");
    }
    match pages.get(&target) {
        _ if anchor.is_empty() => Ok(()),
        Some(page) if page.anchors.contains(anchor) => Ok(()),
        Some(_) => Err("no such heading"),
        None => Err("an anchor in a file that is not a page"),
    }
}

#[test]
fn the_readmes_of_the_crates_can_be_read_anywhere() {
    // These pages are also the crates' documentation and their pages in the registry, outside the repository.
    let mut relative = Vec::new();
    for page in pages().into_iter().filter(is_of_a_crate) {
        let links = page.links.iter().filter(|(link, _)| !link.contains("://") && !link.starts_with('#'));
        relative.extend(links.map(|(link, line)| format!("{}:{line}: {link}", page.path.display())));
    }
    assert!(relative.is_empty(), "links that work in the repository only:\n{}", relative.join("\n"));
}

fn is_of_a_crate(page: &Page) -> bool {
    page.path.file_name().is_some_and(|name| name == "README.md")
        && page.path.to_string_lossy().starts_with("jaas-")
}

/// `core/latest/jaas_core/store/trait.EventStore.html#method`: there must be a public item of that kind and name in the
/// crate. rustdoc itself checks the module.
fn documented(item: &str) -> Result<(), &'static str> {
    let (item, _) = item.split_once('#').unwrap_or((item, ""));
    let mut parts = item.split('/');
    let folder = format!("jaas-{}/src", parts.next().unwrap_or_default());
    if !root().join(&folder).is_dir() {
        return Err("no such crate");
    }
    let Some(page) = parts.next_back().filter(|page| page.ends_with(".html") && *page != "index.html") else {
        return Ok(());
    };
    let mut words = page.split('.');
    let (Some(kind), Some(name)) = (words.next(), words.next()) else { return Err("no item") };
    let declared = match (kind, name.strip_prefix("Mock")) {
        // As mockall is configured to generate it.
        ("struct", Some(mocked)) => vec![format!("pub {mocked}")],
        // A payload is declared in `payload!`.
        ("struct", None) => vec![format!("pub struct {name}"), format!("pub event {name}")],
        ("enum" | "trait" | "type", _) => vec![format!("pub {kind} {name}")],
        ("fn", _) => vec![format!("pub fn {name}"), format!("pub async fn {name}")],
        ("macro", _) => vec![format!("macro_rules! {name}")],
        _ => return Err("an unknown kind of item"),
    };
    let is_declared = |source: &str| {
        declared.iter().any(|declared| {
            let mut after = source.split(declared.as_str()).skip(1);
            after.any(|rest| !rest.starts_with(|letter: char| letter.is_alphanumeric() || letter == '_'))
        })
    };
    let found = files("rs")
        .into_iter()
        .filter(|file| file.starts_with(&folder))
        .any(|file| is_declared(&fs::read_to_string(root().join(file)).expect("a text")));
    if found { Ok(()) } else { Err("no such item") }
}

#[test]
fn the_picture_of_a_meeting_is_the_one_that_the_example_draws() {
    let in_book = include_str!("../../meetings-timeline.svg");
    assert_eq!(
        in_book,
        include_str!("../../../examples/attendance/timeline.svg"),
        "copy it from the example"
    );
}

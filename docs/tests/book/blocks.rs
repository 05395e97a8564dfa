//! The blocks of code in every page.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use saphyr_parser::Parser;

use crate::markdown::{files, normal, pages, root};

const LANGUAGES: [&str; 11] =
    ["rust", "toml", "json", "yaml", "sh", "sql", "text", "ini", "nginx", "dockerfile", "promql"];
/// The attributes of an example that rustdoc may get. Not `ignore`: an example that is not compiled is wrong one day.
const WORDS: [&str; 4] = ["no_run", "test_harness", "should_panic", "compile_fail"];

#[test]
fn every_block_names_a_language_and_none_is_left_out_of_the_tests() {
    let mut wrong = Vec::new();
    for page in pages() {
        for block in &page.blocks {
            let mut words = block.info.split(',').map(str::trim);
            let language = words.next().unwrap_or_default();
            let known = LANGUAGES.contains(&language);
            let words: Vec<&str> = words.filter(|word| language != "rust" || !WORDS.contains(word)).collect();
            if !known || !words.is_empty() {
                wrong.push(format!("{}:{}: ```{}", page.path.display(), block.line, block.info));
            }
        }
    }
    assert!(wrong.is_empty(), "blocks with an unknown language or word:\n{}", wrong.join("\n"));
}

#[test]
fn every_page_with_rust_in_it_is_compiled_by_a_crate() {
    let compiled = compiled();
    assert!(compiled.contains(Path::new("README.md")), "{compiled:?}");
    let missing: Vec<String> = pages()
        .into_iter()
        .filter(|page| page.blocks.iter().any(|block| block.language() == "rust"))
        // Its blocks are parts of a macro's input, and `.ci/dry-run-event` tries them in place.
        .filter(|page| page.path != Path::new("CONTRIBUTING.md"))
        .filter(|page| !compiled.contains(&page.path))
        .map(|page| page.path.display().to_string())
        .collect();
    assert!(missing.is_empty(), "not compiled; add them to docs/src/lib.rs:\n{}", missing.join("\n"));
}

/// Returns the pages that are part of a crate's documentation, and so of its tests.
fn compiled() -> BTreeSet<PathBuf> {
    let mut compiled = BTreeSet::new();
    for file in files("rs").into_iter().filter(|file| file.ends_with("src/lib.rs")) {
        let source = fs::read_to_string(root().join(&file)).expect("a text");
        let folder = file.parent().expect("in a folder").to_owned();
        for included in source.split("include_str!(\"").skip(1) {
            let name = included.split('"').next().unwrap_or_default();
            if name.ends_with(".md") {
                compiled.extend(normal(&folder.join(name)));
            }
        }
    }
    compiled
}

#[test]
fn toml_json_and_yaml_can_be_read() {
    let mut wrong = Vec::new();
    for page in pages() {
        for block in &page.blocks {
            let read = match block.language() {
                "toml" => toml::from_str::<toml::Table>(&block.text).err().map(|error| error.to_string()),
                "json" => serde_json::from_str::<serde_json::Value>(&block.text)
                    .err()
                    .map(|error| error.to_string()),
                "yaml" => {
                    Parser::new_from_str(&block.text).find_map(Result::err).map(|error| error.to_string())
                }
                _ => None,
            };
            wrong.extend(read.map(|error| format!("{}:{}: {error}", page.path.display(), block.line)));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

//! `list-public-api <rustdoc's JSON>`: one line for each public item of a crate, sorted.

use std::error::Error;
use std::process::ExitCode;
use std::{env, fs};

use serde_json::Value;

fn main() -> ExitCode {
    let Some(path) = env::args().nth(1) else {
        eprintln!("usage: list-public-api <rustdoc's JSON>");
        return ExitCode::from(2);
    };
    match list(&path) {
        Ok(items) => {
            println!("{items}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("list-public-api: {path}: {error}");
            ExitCode::FAILURE
        }
    }
}

fn list(path: &str) -> Result<String, Box<dyn Error>> {
    let json: Value = serde_json::from_slice(&fs::read(path)?)?;
    let version = &json["format_version"];
    if version.as_u64() != Some(rustdoc_types::FORMAT_VERSION.into()) {
        return Err(format!(
            "this toolchain writes version {version} of the format, and version {} can be read: use Rust 1.95, or \
             versions of public-api and rustdoc-types in .ci/public-api/Cargo.toml that read {version}",
            rustdoc_types::FORMAT_VERSION
        )
        .into());
    }
    // What the compiler derives of itself (`Send`, `impl<T> Any for T`) is left out; what is derived by name is not.
    let builder = public_api::Builder::from_rustdoc_json(path);
    let api = builder.omit_blanket_impls(true).omit_auto_trait_impls(true).build()?;
    Ok(without_known_methods(&api.to_string()))
}

/// Whether a function's path goes through a type. That of a free function, which may stand behind an `impl`, has modules alone.
fn is_of_a_type(function: &str) -> bool {
    let path =
        function.split_once("fn ").map_or(function, |(_, path)| path).split('(').next().unwrap_or_default();
    let mut depth = 0;
    let outside_of_generics = path.chars().filter(|char| {
        depth += i32::from(*char == '<') - i32::from(*char == '>');
        depth == 0 && *char != '>'
    });
    outside_of_generics.collect::<String>().split("::").any(|name| name.starts_with(char::is_uppercase))
}

/// Leaves out what the `impl` of a trait says already: its methods.
fn without_known_methods(api: &str) -> String {
    let mut in_trait = false;
    let mut lines: Vec<&str> = Vec::new();
    for line in api.lines().filter(|line| !line.contains("StructuralPartialEq")) {
        let is_method =
            (line.starts_with("pub fn") || line.starts_with("pub async fn")) && is_of_a_type(line);
        if line.starts_with("impl") {
            let (head, _) = line.split_once(" where ").unwrap_or((line, ""));
            in_trait = head.contains(" for ");
        } else if !is_method {
            in_trait = false;
        }
        if !(in_trait && is_method) {
            lines.push(line);
        }
    }
    lines.join("\n")
}

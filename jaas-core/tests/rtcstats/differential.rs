//! The decompressor against the snippet of the documentation, run by Node and kept in golden files.

use std::fs;

use jaas_core::rtcstats::Mode;

use crate::rtcstats::generate::{Shape, lines};
use crate::rtcstats::support::{assert_same, expanded, expanded_by_node, folder};

const MODES: [(Mode, &str); 2] = [(Mode::Snippet, "snippet"), (Mode::Server, "server")];

const SMALL: Shape = Shape { connections: 2, entries: 12, reports: 4, fields: 7, changing: 0.5, wild: true };

#[test]
fn each_entry_equals_the_result_of_the_snippet_in_node() {
    let file = |seed| {
        let (wild, large) = (seed % 4 > 0, seed % 3 == 0);
        let reports = if large { 70 } else { 6 };
        let shape = Shape { connections: 3, entries: 60, reports, fields: 14, changing: 0.4, wild };
        lines(seed, shape).join("\n")
    };
    let files: Vec<_> = (0..60).map(file).collect();
    for (mode, name) in MODES {
        let Some(theirs) = expanded_by_node(&files, name) else { return };
        assert_eq!(theirs.len(), files.len(), "{name}");
        for (seed, (file, theirs)) in files.iter().zip(&theirs).enumerate() {
            assert_same(&expanded(file.as_bytes(), mode), theirs, &format!("seed {seed}, {name}"));
        }
    }
}

/// Made with `JAAS_GOLDEN=write` and Node, so the comparison also runs without Node.
#[test]
fn the_golden_files_equal_the_results_of_the_snippet() {
    let write = std::env::var_os("JAAS_GOLDEN").is_some_and(|word| word == "write");
    for seed in 1000..1004_u64 {
        let path = |what: &str| folder().join(format!("golden/{seed}.{what}.ndjson"));
        if write {
            fs::write(path("file"), lines(seed, SMALL).join("\n")).expect("written");
        }
        let file = fs::read_to_string(path("file")).expect("a golden file");
        for (mode, name) in MODES {
            if write {
                let theirs = expanded_by_node(std::slice::from_ref(&file), name).expect("Node");
                fs::write(path(name), theirs[0].join("\n")).expect("written");
            }
            let theirs = fs::read_to_string(path(name)).expect("a golden file");
            let theirs: Vec<_> = theirs.lines().map(str::to_owned).collect();
            assert_eq!(theirs.len(), SMALL.entries);
            assert_same(&expanded(file.as_bytes(), mode), &theirs, &format!("golden {seed}, {name}"));
        }
    }
}

#[test]
fn the_two_modes_differ_where_their_documentation_says() {
    let file = r#"["getstats","PC_0",{"A":{"x":1,"timestamp":0},"B":{"timestamp":90},"timestamp":100},1]
["getstats","PC_0",{"A":{},"B":{"timestamp":95},"C":{"timestamp":0},"timestamp":200},2]"#;
    let server = [
        r#"{"A":{"x":1,"timestamp":100},"B":{"timestamp":90}}"#,
        r#"{"A":{"x":1,"timestamp":100},"B":{"timestamp":95},"C":{"timestamp":200}}"#,
    ];
    assert_eq!(expanded(file.as_bytes(), Mode::Server), server);
    let snippet = [
        r#"{"A":{"x":1,"timestamp":100},"B":{"timestamp":90},"timestamp":100}"#,
        r#"{"A":{"x":1,"timestamp":200},"B":{"timestamp":200},"timestamp":100,"C":{"timestamp":200}}"#,
    ];
    assert_eq!(expanded(file.as_bytes(), Mode::Snippet), snippet);
}

#[test]
fn input_that_breaks_the_snippet_does_not_break_the_decompressor() {
    let file = r#"["getstats","PC_0",{"A":{"x":1},"constructor":{"y":1},"__proto__":{"z":1},"\ud83d":{"\ud83d":1}},1]
["getstats","PC_0",{"A":[1,2],"constructor":{},"__proto__":{"z":2},"A":"text"},2]
["getstats","PC_0",{"A":null,"B":{"timestamp":-0.0,"big":1e999},"timestamp":null},3]
["getstats","PC_0",{"B":{"first":1},"C":{"v":1},"B":{"second":2}},4]"#;
    for mode in [Mode::Server, Mode::Snippet] {
        let all = expanded(file.as_bytes(), mode);
        assert!(all[0].contains("\u{fffd}\":{\""), "{}", all[0]);
        assert_eq!(all[1], r#"{"A":{"x":1},"constructor":{"y":1},"__proto__":{"z":2}}"#);
        assert_eq!(all[2], r#"{"B":{"big":1e999}}"#);
        assert_eq!(all[3], r#"{"B":{"big":1e999,"first":1,"second":2},"C":{"v":1}}"#);
    }
}

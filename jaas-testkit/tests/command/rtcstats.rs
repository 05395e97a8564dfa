//! `jaas rtcstats` over a small file.

use std::io::Write as _;

use serde_json::{Value, json};

use crate::support::{jaas, run};

const FILE: &str = r#"["connectionInfo",null,"{}",1600951818000]
["getstats","PC_0",{"in":{"type":"inbound-rtp","kind":"audio","ssrc":7,"packetsReceived":0,"packetsLost":0,"jitter":0.01,"bytesReceived":0,"timestamp":0},"a,b":{"type":"codec","timestamp":0},"timestamp":1600951818000},1600951818000,1]
["getstats","PC_0",{"in":{"packetsReceived":90,"packetsLost":10,"bytesReceived":5000,"timestamp":0},"a,b":{"timestamp":0,"jitter":1},"timestamp":1600951819000},1600951819000,2]
"#;

fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(text.as_bytes()).expect("compressed");
    encoder.finish().expect("compressed")
}

#[tokio::test]
async fn summary_explains_in_text_and_json_why_the_call_was_bad() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("stats.gz");
    std::fs::write(&path, gzip(FILE)).expect("written");
    let path = path.to_str().expect("UTF-8");
    let ran = jaas(&["rtcstats", path, "summary"]).await.exits(0);
    assert!(ran.stdout.contains("inbound audio") && ran.stdout.contains("10.00 %"), "{}", ran.stdout);
    assert_eq!(ran.stderr, "");
    let output = jaas(&["--json", "rtcstats", path, "summary"]).await.exits(0).json();
    let sound = &output["connections"][0]["media"][0];
    assert_eq!((&sound["kind"], &sound["lost"]), (&json!("audio"), &json!(0.1)));
    assert_eq!(sound["bitsPerSecond"]["mean"], json!(40_000.0));
    assert_eq!((&output["entries"], &output["seconds"]), (&json!(3), &json!(1.0)));
}

#[tokio::test]
async fn expand_writes_a_line_for_each_snapshot() {
    let ran = run(&["rtcstats", "-", "expand"], &[], &gzip(FILE)).await.exits(0);
    let lines: Vec<Value> =
        ran.stdout.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(lines.len(), 2);
    assert_eq!((&lines[1]["line"], &lines[1]["connection"]), (&json!(3), &json!("PC_0")));
    assert_eq!(lines[1]["stats"]["in"]["jitter"], json!(0.01));
    assert_eq!(lines[1]["stats"]["timestamp"], Value::Null);
    let ran = run(&["rtcstats", "-", "--mode", "snippet", "expand"], &[], FILE.as_bytes()).await.exits(0);
    let last: Value = serde_json::from_str(ran.stdout.lines().last().expect("a line")).expect("JSON");
    assert_eq!(last["stats"]["timestamp"], json!(1_600_951_818_000_u64));
}

#[tokio::test]
async fn series_writes_comma_separated_values_or_json() {
    let ran = run(&["rtcstats", "-", "series", "jitter", "--csv"], &[], FILE.as_bytes()).await.exits(0);
    let expected = "time_ms,connection,report,type,kind,ssrc,value\n\
                    1600951818000,PC_0,in,inbound-rtp,audio,7,0.01\n\
                    1600951819000,PC_0,in,inbound-rtp,audio,7,0.01\n\
                    1600951819000,PC_0,\"a,b\",codec,,,1\n";
    assert_eq!(ran.stdout, expected);
    let args = [
        "rtcstats",
        "-",
        "series",
        "bytesReceived",
        "--per-second",
        "--type",
        "inbound-rtp",
        "--kind",
        "audio",
    ];
    let output = run(&args, &[], FILE.as_bytes()).await.exits(0).json();
    assert_eq!((&output["value"], &output["ssrc"]), (&json!(5000.0), &json!(7)));
    let args = ["rtcstats", "-", "series", "jitter", "--connection", "PC_9"];
    assert_eq!(run(&args, &[], FILE.as_bytes()).await.exits(0).stdout, "");
}

#[tokio::test]
async fn statistics_that_are_null_are_absent_and_of_another_shape_are_reported() {
    let null = "[\"getstats\",\"PC_0\",null,1697705842481,9]\n";
    for what in [&["summary"][..], &["expand"], &["series", "jitter"]] {
        let args = [&["rtcstats", "-"], what].concat();
        let ran = run(&args, &[], null.as_bytes()).await.exits(0);
        assert_eq!(ran.stderr, "", "{what:?}");
        let among = run(&args, &[], format!("{null}{FILE}{null}").as_bytes()).await.exits(0);
        assert_eq!(among.stderr, "", "{what:?}");
        let odd = run(&args, &[], null.replace("null", "\"Ada\"").as_bytes()).await.exits(1);
        assert!(
            odd.stderr.starts_with("jaas: line 1") && odd.stderr.contains("not an object of reports"),
            "{}",
            odd.stderr
        );
        assert!(!odd.stderr.contains("Ada"));
        let padded = [gzip(FILE), vec![0; 512]].concat();
        run(&args, &[], &padded).await.exits(0);
    }
}

#[tokio::test]
async fn broken_lines_and_truncated_files_are_reported_and_their_content_is_shown() {
    let broken = format!("nonsense\n{FILE}");
    let ran = run(&["rtcstats", "-", "expand"], &[], broken.as_bytes()).await.exits(1);
    assert_eq!(ran.stdout.lines().count(), 2);
    assert!(ran.stderr.starts_with("jaas: line 1 is not an entry: it is not JSON"), "{}", ran.stderr);
    let ran = run(&["rtcstats", "-", "--strict", "summary"], &[], broken.as_bytes()).await.exits(1);
    assert!(ran.stdout.starts_with("0 entries, 1 broken lines"), "{}", ran.stdout);
    let whole = gzip(FILE);
    let ran = run(&["rtcstats", "-", "summary"], &[], &whole[..whole.len() - 6]).await.exits(1);
    assert!(ran.stdout.contains("not complete") && ran.stdout.contains("inbound audio"), "{}", ran.stdout);
    assert!(ran.stderr.contains("the download complete"), "{}", ran.stderr);
    let ran = jaas(&["rtcstats", "/nowhere/stats.gz", "summary"]).await.exits(2);
    assert!(ran.stderr.contains("cannot read /nowhere/stats.gz"), "{}", ran.stderr);
    jaas(&["rtcstats", "-", "nothing"]).await.exits(2);
}

//! Summary and series, against numbers computed by hand.

use std::time::Duration;

use jaas_core::Timestamp;
use jaas_core::rtcstats::{Decompressor, Direction, MediaKind, Reader, ReportType, Series, Summary};

use crate::rtcstats::support::gzip;

/// A call of four seconds: sound comes in at 40 kbit/s, the last second loses half; picture goes out at 800 kbit/s.
fn call() -> String {
    let start = 1_600_951_818_000_u64;
    let mut lines = vec![
        format!("[\"connectionInfo\",null,\"{{}}\",{}]", start - 1000),
        r#"["getstats","PC_0",{"in":{"type":"inbound-rtp","kind":"audio","ssrc":7,"packetsReceived":0,"packetsLost":0,"jitter":0.01,"bytesReceived":0,"timestamp":0},"out":{"type":"outbound-rtp","mediaType":"video","ssrc":9,"packetsSent":0,"bytesSent":0,"framesPerSecond":30,"timestamp":0},"far":{"type":"remote-inbound-rtp","kind":"video","ssrc":9,"localId":"out","packetsLost":0,"jitter":0.002,"roundTripTime":0.05,"timestamp":1600951817000},"pair":{"type":"candidate-pair","currentRoundTripTime":0.04},"T":{"type":"transport","selectedCandidatePairId":"pair"},"timestamp":1600951818000},1600951818000,1]"#.to_owned(),
    ];
    for second in 1..=4_u64 {
        let now = start + second * 1000;
        let (received, lost) = if second < 4 { (50 * second, 0) } else { (175, 25) };
        // The other side reports in the second and the fourth second.
        let far = match second {
            2 => r#"{"packetsLost":20,"roundTripTime":0.06,"timestamp":1600951820000}"#,
            4 => r#"{"packetsLost":20,"roundTripTime":0.25,"timestamp":1600951822000}"#,
            _ => "{}",
        };
        lines.push(format!(
            r#"["getstats","PC_0",{{"in":{{"packetsReceived":{received},"packetsLost":{lost},"bytesReceived":{},"timestamp":0}},"out":{{"packetsSent":{},"bytesSent":{},"timestamp":0}},"far":{far},"pair":{{}},"T":{{}},"timestamp":{now}}},{now},{}]"#,
            5000 * second,
            100 * second,
            100_000 * second,
            second + 1,
        ));
    }
    lines.join("\n")
}

#[test]
fn the_summary_has_the_numbers_of_the_call() {
    let summary = Summary::of(&gzip(call().as_bytes())[..]).expect("read");
    assert_eq!((summary.entries(), summary.broken_lines(), summary.is_incomplete()), (6, 0, false));
    assert_eq!(summary.duration(), Duration::from_secs(5));
    let [connection] = &summary.connections()[..] else { panic!("{summary}") };
    assert_eq!((connection.name.as_deref(), connection.snapshots), (Some("PC_0"), 5));
    assert_eq!(connection.duration(), Duration::from_secs(4));
    assert_eq!(connection.round_trip.map(|spread| (spread.count, spread.max)), Some((5, 0.04)));
    assert_eq!(connection.media.len(), 2);

    let sound = connection.media(Direction::Inbound, MediaKind::Audio).expect("sound came in");
    assert_eq!((sound.streams, sound.packets, sound.packets_lost, sound.lost()), (1, 200, 25, 0.125));
    let loss = sound.loss.expect("known");
    assert_eq!((loss.count, loss.mean, loss.max), (4, 0.125, 0.5));
    assert!((loss.p95 / 0.5 - 1.0).abs() < 0.025, "{loss}");
    let jitter = sound.jitter.expect("known");
    assert_eq!((jitter.count, jitter.max), (4, 0.01));
    let bitrate = sound.bitrate.expect("known");
    assert_eq!((bitrate.count, bitrate.mean, bitrate.max), (4, 40_000.0, 40_000.0));
    assert_eq!((sound.round_trip, sound.frames_per_second), (None, None));

    let picture = connection.media(Direction::Outbound, MediaKind::Video).expect("picture went out");
    assert_eq!((picture.packets, picture.packets_lost, picture.lost()), (400, 20, 0.05));
    let loss = picture.loss.expect("known");
    assert_eq!((loss.count, loss.mean, loss.max), (2, 0.05, 0.1));
    assert_eq!(picture.bitrate.map(|spread| spread.mean), Some(800_000.0));
    let round_trip = picture.round_trip.expect("known");
    assert_eq!((round_trip.count, round_trip.max), (3, 0.25));
    assert_eq!(picture.jitter.map(|spread| (spread.count, spread.mean)), Some((3, 0.002)));
    assert_eq!(picture.frames_per_second.map(|spread| spread.mean), Some(30.0));
}

#[test]
fn the_summary_is_shown_as_a_table() {
    let text = Summary::of(call().as_bytes()).expect("read").to_string();
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines[0], "6 entries, 0:05 from 2020-09-24T12:50:17.000Z");
    assert_eq!(lines[2], "PC_0: 0:04 in 5 snapshots, round trip 40.0 | 40.0 ms");
    assert!(lines[4].starts_with("  inbound audio") && lines[4].contains("12.50 %"), "{text}");
    assert!(lines[5].starts_with("  outbound video") && lines[5].contains("800.0 | 800.0"), "{text}");
    let nothing = Summary::of(&b"nonsense\n"[..]).expect("read").to_string();
    assert_eq!(nothing, "0 entries, 1 broken lines\nno statistics of any connection");
}

#[test]
fn a_counter_that_restarts_is_neither_loss_nor_bitrate() {
    let entry = |second: u64, received: u64, lost: i64| {
        format!(
            r#"["getstats","PC_0",{{"in":{{"type":"inbound-rtp","kind":"audio","packetsReceived":{received},"packetsLost":{lost},"bytesReceived":{},"timestamp":0}},"timestamp":{}}},1]"#,
            received * 100,
            second * 1000
        )
    };
    let file = [entry(1, 1000, 10), entry(2, 1100, 10), entry(3, 50, 5), entry(4, 150, 5)].join("\n");
    let summary = Summary::of(file.as_bytes()).expect("read");
    let sound = &summary.connections()[0].media[0];
    assert_eq!((sound.packets, sound.packets_lost), (1110 + 155, 15));
    assert_eq!(sound.bitrate.map(|spread| (spread.count, spread.mean)), Some((2, 80_000.0)));
    assert_eq!(sound.loss.map(|spread| (spread.count, spread.max)), Some((2, 0.0)));
}

#[test]
fn a_truncated_file_is_summarized_as_far_as_it_goes() {
    let whole = gzip(call().as_bytes());
    let summary = Summary::of(&whole[..whole.len() - 4]).expect("read");
    assert!(summary.is_incomplete());
    assert_eq!(summary.entries(), 6);
    assert!(summary.to_string().contains("not complete"));
}

#[test]
fn a_series_follows_a_field_and_its_growth() {
    let file = call();
    let mut decompressor = Decompressor::new();
    let (mut lost, mut bitrate) = (Series::of("packetsLost"), Series::of("bytesSent").per_second());
    let (mut losses, mut rates) = (Vec::new(), Vec::new());
    for entry in Reader::new(file.as_bytes()) {
        let entry = entry.expect("an entry");
        let Some(snapshot) = decompressor.apply(&entry).expect("statistics") else { continue };
        for point in lost.points(&snapshot) {
            assert_eq!(point.connection, Some("PC_0"));
            if point.report.report_type() == Some(ReportType::InboundRtp) {
                losses.push((point.id.to_owned(), point.at, point.value));
            }
        }
        rates.extend(bitrate.points(&snapshot).iter().map(|point| point.value * 8.0));
    }
    assert_eq!(losses.len(), 5);
    let last = Timestamp::from_millis(1_600_951_822_000);
    assert_eq!(losses[4], ("in".to_owned(), Some(last), 25.0));
    assert_eq!(rates, [800_000.0; 4]);
}

#[test]
fn reports_decode_leniently_and_hide_their_values() {
    let file = r#"["getstats","PC_0",{"A":{"type":"new-type","kind":"audio","ssrc":"4294967295","packetsLost":-3,"jitter":"0.5","framesPerSecond":null,"mimeType":"audio\/opus","selected":true,"ip":"192.0.2.1","bytesSent":1.5e3}}]"#;
    let mut decompressor = Decompressor::new();
    let entry = Reader::new(file.as_bytes()).next().expect("an item").expect("an entry");
    let snapshot = decompressor.apply(&entry).expect("statistics").expect("statistics");
    let report = snapshot.report("A").expect("it is there");
    assert_eq!(report.report_type(), Some(ReportType::Other("new-type".to_owned())));
    assert_eq!((report.kind(), report.ssrc()), (Some(MediaKind::Audio), Some(u32::MAX)));
    assert_eq!((report.packets_lost(), report.jitter()), (Some(-3), Some(0.5)));
    assert_eq!((report.frames_per_second(), report.bytes_sent()), (None, Some(1500)));
    assert_eq!(report.text("mimeType").as_deref(), Some("audio/opus"));
    assert_eq!((report.flag("selected"), report.raw("packetsLost")), (Some(true), Some("-3")));
    assert!(!format!("{report:?} {snapshot:?} {entry:?}").contains("192.0.2.1"));
    #[derive(serde::Deserialize)]
    struct Mine {
        ip: String,
    }
    assert_eq!(report.decode::<Mine>().expect("it has one").ip, "192.0.2.1");
}

//! Both readers: gzip and plain, complete and truncated, broken lines, bombs.

use std::io::{self, Read};
use std::pin::Pin;
use std::task::{Context, Poll};

use jaas_core::rtcstats::{
    AsyncReader, DEFAULT_MAX_LINE, Decompressor, Entry, Reader, RtcstatsError, RtcstatsErrorKind,
};
use tokio::io::{AsyncRead, ReadBuf};

use crate::rtcstats::generate::{Shape, lines};
use crate::rtcstats::support::gzip;

type Item = Result<Entry, RtcstatsError>;

const SHAPE: Shape = Shape { connections: 2, entries: 40, reports: 8, fields: 10, changing: 0.3, wild: true };

/// Returns at most this many bytes per read, and interrupts itself.
struct Slowly<'a>(&'a [u8], usize, bool);

impl Read for Slowly<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.2 = !self.2;
        if self.2 {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let len = self.1.min(into.len());
        self.0.read(&mut into[..len])
    }
}

/// Is not ready every second time.
impl AsyncRead for Slowly<'_> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.2 = !self.2;
        if self.2 {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let len = self.1.min(into.remaining()).min(self.0.len());
        into.put_slice(&self.0[..len]);
        self.0 = &self.0[len..];
        Poll::Ready(Ok(()))
    }
}

/// The result of all ways of reading, which must be the same.
fn read(file: &[u8]) -> Vec<String> {
    let shown = |item: Item| match item {
        Ok(entry) => format!("{entry:?} {}", entry.data()),
        Err(error) => format!("{:?} {} {error}", error.kind(), error.line()),
    };
    let all: Vec<_> = Reader::new(file).map(shown).collect();
    for piece in [1, 7, 100_000] {
        let slowly: Vec<_> = Reader::new(Slowly(file, piece, false)).map(shown).collect();
        assert_eq!(slowly, all, "in pieces of {piece}");
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let asynchronously = runtime.block_on(async {
            let (mut reader, mut all) = (AsyncReader::new(Slowly(file, piece, false)), Vec::new());
            while let Some(item) = reader.next().await {
                all.push(shown(item));
            }
            assert!(reader.next().await.is_none());
            all
        });
        assert_eq!(asynchronously, all, "asynchronously, in pieces of {piece}");
    }
    all
}

fn errors(file: &[u8]) -> Vec<(RtcstatsErrorKind, u64)> {
    Reader::new(file).filter_map(Result::err).map(|error| (error.kind(), error.line())).collect()
}

#[test]
fn gzip_of_one_or_many_members_and_plain_text_are_the_same_file() {
    let text = lines(1, SHAPE).join("\n");
    let plain = read(text.as_bytes());
    assert_eq!(plain.len(), text.lines().count());
    assert_eq!(read(&gzip(text.as_bytes())), plain);
    let members: Vec<u8> = text.as_bytes().chunks(1000).flat_map(gzip).collect();
    assert_eq!(read(&members), plain);
}

#[test]
fn line_breaks_empty_lines_and_a_byte_order_mark_do_not_matter() {
    let file = "\u{feff}[\"a\",null,1]\r\n\r\n\n  \n [\"b\",null,2] \n";
    let entries: Vec<_> = Reader::new(file.as_bytes()).map(|entry| entry.expect("an entry")).collect();
    let found: Vec<_> = entries.iter().map(|entry| (entry.kind().as_str(), entry.line())).collect();
    assert_eq!(found, [("a", 1), ("b", 5)]);
    for nothing in ["", "\n", "\u{feff}", " \r\n "] {
        assert_eq!(read(nothing.as_bytes()), Vec::<String>::new());
        assert_eq!(read(&gzip(nothing.as_bytes())), Vec::<String>::new());
    }
}

#[test]
fn a_broken_line_is_reported_with_its_number_and_does_not_end_the_file_unless_configured() {
    let file = b"[\"a\",null,1]\nnonsense\n{}\n\xff\xfe\n[\"b\"]\n[\"c\",null,2]\n[\"d\",null,3] x";
    let broken = |line| (RtcstatsErrorKind::BrokenLine, line);
    assert_eq!(errors(file), [broken(2), broken(3), broken(4), broken(5), broken(7)]);
    assert_eq!(read(file).len(), 7);
    assert_eq!(read(&gzip(file)), read(file));
    let strict: Vec<_> = Reader::new(&file[..]).stop_at_broken_lines().collect();
    assert_eq!((strict.len(), strict[1].is_err()), (2, true));
}

#[test]
fn a_line_too_long_is_skipped_whatever_it_is_compressed_to() {
    let long = "x".repeat(2000);
    let file = format!("[\"a\",null,1]\n{long}\n[\"b\",null,\"{long}\"]\n[\"c\",null,2]\n{long}");
    for bytes in [file.as_bytes().to_vec(), gzip(file.as_bytes())] {
        let all: Vec<_> = Reader::new(&bytes[..]).max_line(1000).collect();
        let found: Vec<_> =
            all.iter().map(|item| item.as_ref().err().map(|error| (error.kind(), error.line()))).collect();
        let long = |line| Some((RtcstatsErrorKind::LineTooLong, line));
        assert_eq!(found, [None, long(2), long(3), None, long(5)]);
    }
    // A bomb: 200 MB without a line break from 200 KB.
    let mut bomb = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    let zeros = vec![b'0'; 1 << 20];
    (0..200).for_each(|_| io::Write::write_all(&mut bomb, &zeros).expect("compressed"));
    let bomb = bomb.finish().expect("compressed");
    assert!(bomb.len() < 1 << 19);
    assert_eq!(errors(&bomb), [(RtcstatsErrorKind::LineTooLong, 1)]);
    assert_eq!(DEFAULT_MAX_LINE, 4 << 20);
}

#[test]
fn a_truncated_file_yields_its_entries_and_an_error() {
    let text = lines(2, SHAPE).join("\n");
    let whole = gzip(text.as_bytes());
    let all = read(&whole);
    for len in [2, 3, 9, 10, 11, 200, whole.len() / 2, whole.len() - 9, whole.len() - 8, whole.len() - 1] {
        let cut = read(&whole[..len]);
        let (last, entries) = cut.split_last().expect("at least an error");
        assert!(last.starts_with("Truncated ") && last.contains("the download complete"), "{len}: {last}");
        assert_eq!(entries, &all[..entries.len()], "{len}");
        if len >= whole.len() - 8 {
            assert_eq!(entries, all, "{len}");
        }
    }
    // Plain text, cut in the middle of a line.
    let cut = &text.as_bytes()[..text.len() - 20];
    assert_eq!(errors(cut), [(RtcstatsErrorKind::Truncated, all.len() as u64)]);
}

/// Tapes and block devices fill up with zeros, and so do some downloads; `gzip` ignores them too.
#[test]
fn zeros_after_the_compressed_data_are_allowed_and_other_data_after_them_is_damage() {
    struct ByteByByte<'a>(&'a [u8]);
    impl Read for ByteByByte<'_> {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            self.0.read(&mut into[..1])
        }
    }
    let text = lines(2, SHAPE).join("\n");
    let whole = read(text.as_bytes());
    let members: Vec<u8> = text.as_bytes().chunks(1000).flat_map(gzip).collect();
    for file in [gzip(text.as_bytes()), members] {
        for zeros in [1, 2, 511, 100_000] {
            let mut padded = file.clone();
            padded.extend(std::iter::repeat_n(0, zeros));
            assert_eq!(read(&padded), whole, "{zeros}");
            if zeros < 1000 {
                assert!(Reader::new(ByteByByte(&padded)).all(|item| item.is_ok()), "{zeros}");
            }
            for behind in [&b"x"[..], &file] {
                let followed = [&padded[..], behind].concat();
                assert!(read(&followed).last().expect("an error").starts_with("Corrupt "), "{zeros}");
            }
        }
    }
}

#[test]
fn damage_is_reported_and_the_entries_before_it_are_returned() {
    let text = lines(3, SHAPE).join("\n");
    let mut damaged = gzip(text.as_bytes());
    let checksum = damaged.len() - 6;
    damaged[checksum] ^= 1;
    let items = read(&damaged);
    assert_eq!(items.len(), text.lines().count() + 1);
    assert!(items.last().expect("an error").starts_with("Corrupt "));
    let mut followed = gzip(text.as_bytes());
    followed.extend_from_slice(b"something else");
    assert!(read(&followed).last().expect("an error").starts_with("Corrupt "));
}

#[test]
fn an_error_of_the_input_ends_the_file_and_keeps_its_cause() {
    struct Fails;
    impl Read for Fails {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::other("the cable"))
        }
    }
    let file = b"[\"a\",null,1]\n[\"b\"".chain(Fails);
    let mut reader = Reader::new(file);
    assert!(reader.next().expect("an item").is_ok());
    let error = reader.next().expect("an item").expect_err("an error");
    assert_eq!((error.kind(), error.ends_the_file()), (RtcstatsErrorKind::Io, true));
    assert_eq!(std::error::Error::source(&error).expect("a cause").to_string(), "the cable");
    assert!(reader.next().is_none());
}

#[tokio::test]
async fn a_file_in_memory_lets_other_tasks_run() {
    let file = gzip("[\"a\",null,1]\n".repeat(200_000).as_bytes());
    let reading = tokio::spawn(async move {
        let mut reader = AsyncReader::new(&file[..]);
        let mut entries = 0;
        while reader.next().await.is_some() {
            entries += 1;
        }
        entries
    });
    let mut turns = 0;
    while !reading.is_finished() {
        turns += 1;
        tokio::task::yield_now().await;
    }
    assert_eq!(reading.await.expect("no panic"), 200_000);
    assert!(turns > 1000, "{turns}");
}

#[test]
fn no_more_is_held_than_allowed_and_other_connections_continue() {
    let entry = |line: u64, pc: &str, data: &str| {
        Entry::parse(line, format!("[\"getstats\",\"{pc}\",{data},1]")).expect("an entry")
    };
    let mut decompressor = Decompressor::new().max_held(200_000);
    decompressor.apply(&entry(1, "PC_0", r#"{"A":{"x":1}}"#)).expect("little");
    // New fields with every entry: none of them ever goes away.
    let failed = (2..5000).find_map(|line| {
        let failed = decompressor.apply(&entry(line, "PC_1", &format!(r#"{{"A":{{"x{line}":1}}}}"#))).err();
        assert!(decompressor.held() <= 200_000);
        failed
    });
    let error = failed.expect("too much at last");
    assert_eq!(error.kind(), RtcstatsErrorKind::TooMuch);
    assert!(error.to_string().contains("raise `max_held`"), "{error}");
    let again = decompressor.apply(&entry(6000, "PC_1", "{}")).expect_err("it is lost");
    assert_eq!(again.kind(), RtcstatsErrorKind::TooMuch);
    let snapshot =
        decompressor.apply(&entry(6001, "PC_0", r#"{"A":{}}"#)).expect("known").expect("statistics");
    assert_eq!(snapshot.report("A").and_then(|report| report.number("x")), Some(1.0));
    // One entry alone can be too much: in fields, in reports, in one text.
    let fields: String = (0..3000).map(|n| format!("\"f{n}\":0,")).collect();
    let reports: String = (0..3000).map(|n| format!("\"f{n}\":{{}},")).collect();
    let text = "x".repeat(300_000);
    for (n, data) in [
        format!("{{\"A\":{{{fields}\"z\":1}}}}"),
        format!("{{{reports}\"z\":{{}}}}"),
        format!("{{\"A\":{{\"x\":\"{text}\"}}}}"),
        format!("{{\"A\":\"{text}\"}}"),
    ]
    .iter()
    .enumerate()
    {
        let error = decompressor.apply(&entry(3000, &format!("PC_{}", n + 10), data)).expect_err("too much");
        assert_eq!(error.kind(), RtcstatsErrorKind::TooMuch);
        assert!(decompressor.held() <= 200_000);
    }
    // Connections without end.
    let refused = (0..1000).find(|n| decompressor.apply(&entry(4000, &format!("X{n}"), "{}")).is_err());
    assert!(refused.is_some_and(|n| n > 10), "{refused:?}");
}

#[test]
fn statistics_that_are_not_an_object_change_nothing() {
    let mut decompressor = Decompressor::new();
    let entry = |text: &str| Entry::parse(1, text).expect("an entry");
    decompressor.apply(&entry(r#"["getstats",null,{"A":{"x":1}}]"#)).expect("statistics");
    assert!(
        decompressor.apply(&entry("[\"getstats\",null,null,1697705842481,9]")).expect("nothing").is_none()
    );
    for data in ["[]", "\"Ada\"", "1"] {
        let error =
            decompressor.apply(&entry(&format!("[\"getstats\",null,{data}]"))).expect_err("no statistics");
        assert_eq!(error.kind(), RtcstatsErrorKind::NotStatistics);
        assert!(!error.to_string().contains("Ada"));
    }
    assert!(decompressor.apply(&entry(r#"["create",null,{"A":{}}]"#)).expect("no statistics").is_none());
    let snapshot =
        decompressor.apply(&entry(r#"["getstats",null,{"A":{}}]"#)).expect("good").expect("statistics");
    assert_eq!((snapshot.connection(), snapshot.report("A").and_then(|a| a.number("x"))), (None, Some(1.0)));
}

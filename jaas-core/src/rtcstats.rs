//! The statistics files that [`RtcstatsUploaded`](crate::event::RtcstatsUploaded) links to: parsed, decompressed,
//! summarized. Feature `rtcstats`.
//!
//! Such a file is gzip. Each line is a JSON list that describes something in one participant's browser: kind, peer
//! connection or `null`, data, time in ms, and usually a sequence number (documented, and seen in the sender's code).
//! Entries of the kind `getstats` carry WebRTC statistics, compressed to what has changed since the previous entry.
//!
//! - [`Reader`] (and [`AsyncReader`]) reads the file entry by entry, in memory that does not depend on its length.
//! - [`Decompressor`] rebuilds the complete statistics, a [`Snapshot`] for each `getstats` entry.
//! - [`Summary`] explains why the call was bad, and [`Series`] follows one field through it.
//!
//! ```
//! use jaas_core::rtcstats::{Decompressor, Reader};
//!
//! let file = br#"["create","PC_0",{},1600951818000,1]
//! ["getstats","PC_0",{"I1":{"type":"inbound-rtp","kind":"audio","packetsLost":0,"jitter":0.004,"timestamp":0},"timestamp":1600951819000},1600951819001,2]
//! ["getstats","PC_0",{"I1":{"packetsLost":7,"timestamp":0},"timestamp":1600951820000},1600951820001,3]
//! "#;
//! let mut decompressor = Decompressor::new();
//! let mut lost = Vec::new();
//! for entry in Reader::new(&file[..]) {
//!     if let Some(snapshot) = decompressor.apply(&entry?)? {
//!         let report = snapshot.report("I1").expect("it is there");
//!         lost.push((report.packets_lost(), report.jitter()));
//!     }
//! }
//! assert_eq!(lost, [(Some(0), Some(0.004)), (Some(7), Some(0.004))]);
//! # Ok::<(), jaas_core::rtcstats::RtcstatsError>(())
//! ```
//!
//! Names and units of the fields are those of W3C's *Identifiers for WebRTC's Statistics API*,
//! <https://www.w3.org/TR/webrtc-stats/>: times of the network in **seconds** (`jitter`, `roundTripTime`), sizes in
//! bytes, `timestamp` in **ms** since 1970.
//!
//! The files reveal who was in the meeting, on which device and from which addresses. Neither an error nor `Debug` of
//! anything in here shows the content of a line.

mod async_reader;
mod decompress;
mod entry;
mod error;
mod held;
mod keyed;
mod lines;
mod machine;
mod members;
mod number;
mod reader;
mod report;
mod series;
mod snapshot;
mod spread;
mod summary;

pub use self::async_reader::AsyncReader;
pub use self::decompress::{Decompressor, Mode};
pub use self::entry::{Entry, EntryKind};
pub use self::error::{RtcstatsError, RtcstatsErrorKind};
pub use self::reader::Reader;
pub use self::report::{MediaKind, Report, ReportType};
pub use self::series::{Point, Series};
pub use self::snapshot::Snapshot;
pub use self::spread::Spread;
pub use self::summary::{ConnectionSummary, Direction, MediaSummary, Summary};

/// The longest line a reader takes by default: 4 MiB. The longest seen in real files are some 100 KiB.
pub const DEFAULT_MAX_LINE: usize = 4 * 1024 * 1024;

/// How much a [`Decompressor`] holds of all connections by default: 64 MiB. A connection of 60 reports with 25
/// fields each takes about 0.2 MiB.
pub const DEFAULT_MAX_HELD: usize = 64 * 1024 * 1024;

const _: () = {
    const fn shared_between_threads<T: Send + Sync>() {}
    shared_between_threads::<Reader<std::fs::File>>();
    shared_between_threads::<AsyncReader<tokio::io::Empty>>();
    shared_between_threads::<Decompressor>();
    shared_between_threads::<Entry>();
    shared_between_threads::<Series>();
    shared_between_threads::<Snapshot<'_>>();
    shared_between_threads::<Summary>();
    shared_between_threads::<RtcstatsError>();
};

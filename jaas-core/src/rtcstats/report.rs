//! One report of a snapshot: a stream, a candidate pair, a codec, …

use std::borrow::Cow;
use std::fmt;
use std::io;

use serde::de::DeserializeOwned;

use super::keyed::Keyed;
use crate::lenient::{Field, open_enum, string};
use crate::timestamp::Timestamp;

/// All fields of one report, as in W3C's `RTCStats` and its extensions. Fields are kept as raw JSON and decoded
/// leniently on request: a number in a text counts, and a field of an unexpected type is `None`.
#[derive(Clone, Default)]
pub struct Report {
    fields: Keyed<String>,
    /// The counted size of the fields, in bytes.
    size: usize,
}

open_enum! {
    /// The type of a report: W3C's `RTCStatsType`, <https://www.w3.org/TR/webrtc-stats/#rtcstatstype-str*>.
    pub enum ReportType {
        /// A codec in use.
        Codec = "codec",
        /// A stream that this participant receives.
        InboundRtp = "inbound-rtp",
        /// A stream that this participant sends.
        OutboundRtp = "outbound-rtp",
        /// What the other side reports about receiving a stream that this participant sends.
        RemoteInboundRtp = "remote-inbound-rtp",
        /// What the other side reports about sending a stream that this participant receives.
        RemoteOutboundRtp = "remote-outbound-rtp",
        /// A microphone, camera or shared screen.
        MediaSource = "media-source",
        /// Playback of received sound.
        MediaPlayout = "media-playout",
        /// The peer connection itself.
        PeerConnection = "peer-connection",
        /// A data channel.
        DataChannel = "data-channel",
        /// The transport, with the pair of candidates that is selected.
        Transport = "transport",
        /// A pair of ICE candidates.
        CandidatePair = "candidate-pair",
        /// A candidate of this side.
        LocalCandidate = "local-candidate",
        /// A candidate of the other side.
        RemoteCandidate = "remote-candidate",
        /// A certificate of DTLS.
        Certificate = "certificate",
    }
}

open_enum! {
    /// Sound or picture: `kind` of a stream.
    pub enum MediaKind {
        /// Sound.
        Audio = "audio",
        /// Picture; a shared screen too.
        Video = "video",
    }
}

/// Typed access to the commonly used fields.
macro_rules! fields {
    ($($(#[$meta:meta])* $name:ident: $Type:ty = $wire:literal, $anchor:literal;)*) => {
        /// Fields by name. `None` where the report has no such field.
        impl Report {
            $(
                $(#[$meta])*
                #[doc = concat!("\n\nOn the wire: [`", $wire, "`](https://www.w3.org/TR/webrtc-stats/#dom-", $anchor, ").")]
                pub fn $name(&self) -> Option<$Type> {
                    self.parsed($wire)
                }
            )*
        }
    };
}

fields! {
    /// The type of the report.
    report_type: ReportType = "type", "rtcstats-type";
    /// The stream's number on the network.
    ssrc: u32 = "ssrc", "rtcrtpstreamstats-ssrc";
    /// Lost packets, since the stream began. Negative when some arrived twice.
    packets_lost: i64 = "packetsLost", "rtcreceivedrtpstreamstats-packetslost";
    /// Received packets, since the stream began.
    packets_received: u64 = "packetsReceived", "rtcreceivedrtpstreamstats-packetsreceived";
    /// Sent packets, since the stream began.
    packets_sent: u64 = "packetsSent", "rtcsentrtpstreamstats-packetssent";
    /// The share of packets lost since the other side last reported, from 0 to 1.
    fraction_lost: f64 = "fractionLost", "rtcremoteinboundrtpstreamstats-fractionlost";
    /// How unevenly packets arrive, in **s**.
    jitter: f64 = "jitter", "rtcreceivedrtpstreamstats-jitter";
    /// From here to the other side and back, in **s**: of a stream, by RTCP.
    round_trip_time: f64 = "roundTripTime", "rtcremoteinboundrtpstreamstats-roundtriptime";
    /// From here to the other side and back, in **s**: of a candidate pair, by STUN.
    current_round_trip_time: f64 = "currentRoundTripTime", "rtcicecandidatepairstats-currentroundtriptime";
    /// Sent bytes of payload, since the stream began; for a candidate pair or transport, all bytes.
    bytes_sent: u64 = "bytesSent", "rtcsentrtpstreamstats-bytessent";
    /// Received bytes of payload, since the stream began; for a candidate pair or transport, all bytes.
    bytes_received: u64 = "bytesReceived", "rtcinboundrtpstreamstats-bytesreceived";
    /// Frames in the last second.
    frames_per_second: f64 = "framesPerSecond", "rtcinboundrtpstreamstats-framespersecond";
    /// The width of the last frame, in pixels.
    frame_width: u32 = "frameWidth", "rtcinboundrtpstreamstats-framewidth";
    /// The height of the last frame, in pixels.
    frame_height: u32 = "frameHeight", "rtcinboundrtpstreamstats-frameheight";
    /// Frames that arrived too late to be shown, since the stream began.
    frames_dropped: u64 = "framesDropped", "rtcinboundrtpstreamstats-framesdropped";
    /// How often the picture froze.
    freeze_count: u64 = "freezeCount", "rtcinboundrtpstreamstats-freezecount";
    /// How long the picture was frozen in total, in **s**.
    total_freezes_duration: f64 = "totalFreezesDuration", "rtcinboundrtpstreamstats-totalfreezesduration";
    /// Samples of sound that were synthesized because packets were missing.
    concealed_samples: u64 = "concealedSamples", "rtcinboundrtpstreamstats-concealedsamples";
    /// Samples of sound in total.
    total_samples_received: u64 = "totalSamplesReceived", "rtcinboundrtpstreamstats-totalsamplesreceived";
    /// Requests for packets to be sent again.
    nack_count: u64 = "nackCount", "rtcinboundrtpstreamstats-nackcount";
    /// Why the picture quality was reduced: `none`, `cpu`, `bandwidth`, `other`.
    quality_limitation_reason: String = "qualityLimitationReason", "rtcoutboundrtpstreamstats-qualitylimitationreason";
    /// How much the browser estimates it can send, in bits per second.
    available_outgoing_bitrate: f64 = "availableOutgoingBitrate", "rtcicecandidatepairstats-availableoutgoingbitrate";
    /// How much the browser estimates it can receive, in bits per second.
    available_incoming_bitrate: f64 = "availableIncomingBitrate", "rtcicecandidatepairstats-availableincomingbitrate";
    /// The id of the codec's report.
    codec_id: String = "codecId", "rtcrtpstreamstats-codecid";
    /// Of a codec: such as `video/VP8`.
    mime_type: String = "mimeType", "rtccodecstats-mimetype";
    /// The id of the report of the same stream by the other side.
    remote_id: String = "remoteId", "rtcinboundrtpstreamstats-remoteid";
    /// Of a report by the other side: the id of the stream's report here.
    local_id: String = "localId", "rtcremoteinboundrtpstreamstats-localid";
    /// Of a transport: the id of the candidate pair in use.
    selected_candidate_pair_id: String = "selectedCandidatePairId", "rtctransportstats-selectedcandidatepairid";
    /// Of a candidate: `host`, `srflx`, `prflx`, `relay`.
    candidate_type: String = "candidateType", "rtcicecandidatestats-candidatetype";
}

impl Report {
    /// Sound or picture. On the wire `kind`, or `mediaType` from older browsers.
    pub fn kind(&self) -> Option<MediaKind> {
        self.parsed("kind").or_else(|| self.parsed("mediaType"))
    }

    /// When the fields were measured, in ms since 1970, by the participant's clock. For a report by the other side:
    /// when it arrived.
    pub fn timestamp(&self) -> Option<f64> {
        self.parsed("timestamp")
    }

    /// When the fields were measured, to the millisecond.
    pub fn at(&self) -> Option<Timestamp> {
        self.parsed("timestamp")
    }

    /// A field as raw JSON.
    pub fn raw(&self, field: &str) -> Option<&str> {
        self.fields.get(field).map(String::as_str)
    }

    /// A field as a number; one in a text counts.
    pub fn number(&self, field: &str) -> Option<f64> {
        self.parsed(field)
    }

    /// A field as text; a number counts, as its digits.
    pub fn text(&self, field: &str) -> Option<Cow<'_, str>> {
        let raw = self.raw(field)?;
        match raw.strip_prefix('"').and_then(|raw| raw.strip_suffix('"')) {
            Some(text) if !text.is_empty() && !text.contains('\\') => Some(text.into()),
            _ => string(raw).map(Cow::Owned),
        }
    }

    /// A field as true or false.
    pub fn flag(&self, field: &str) -> Option<bool> {
        self.parsed(field)
    }

    /// All fields as raw JSON, in the order in which they first came.
    pub fn fields(&self) -> impl Iterator<Item = (&str, &str)> {
        self.fields.iter().map(|(name, raw)| (name, raw.as_str()))
    }

    /// Decodes the report into your own type.
    ///
    /// # Errors
    ///
    /// When it is not such a value. The error may quote the data: keep it out of logs.
    pub fn decode<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        let mut json = Vec::new();
        self.write_json(&mut json).map_err(serde_json::Error::io)?;
        serde_json::from_slice(&json)
    }

    /// Writes it as one JSON object.
    ///
    /// # Errors
    ///
    /// The errors of `into`.
    pub fn write_json(&self, mut into: impl io::Write) -> io::Result<()> {
        write_object(&mut into, self.fields(), |raw, into| into.write_all(raw.as_bytes()))
    }

    fn parsed<T: Field>(&self, field: &str) -> Option<T> {
        T::parse(self.raw(field)?)
    }

    /// Whether a field is exactly this raw JSON.
    pub(super) fn is(&self, field: &str, raw: &str) -> bool {
        self.raw(field) == Some(raw)
    }

    pub(super) fn slots(&mut self) -> (&mut Keyed<String>, &mut usize) {
        (&mut self.fields, &mut self.size)
    }

    pub(super) fn size(&self) -> usize {
        self.size
    }
}

/// Shows only the names of the fields: the values may be addresses and devices.
impl fmt::Debug for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.fields().map(|(name, _)| name)).finish()
    }
}

/// Writes a JSON object from values that write themselves.
pub(super) fn write_object<'a, W: io::Write, V>(
    into: &mut W,
    values: impl Iterator<Item = (&'a str, V)>,
    mut write: impl FnMut(V, &mut W) -> io::Result<()>,
) -> io::Result<()> {
    let mut separator: &[u8] = b"{";
    for (name, value) in values {
        into.write_all(separator)?;
        serde_json::to_writer(&mut *into, name)?;
        into.write_all(b":")?;
        write(value, into)?;
        separator = b",";
    }
    into.write_all(if separator == b"{" { b"{}" } else { b"}" })
}

//! Records events.

use std::time::Duration;

use jaas_core::event::EventKind;
use jaas_core::meetings::Mark;
use jaas_core::{BreakoutRoomId, Link, Timestamp};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::Meeting;
use crate::event::EventBuilder;
use crate::simulator::facts::Artifact;

impl Meeting {
    /// Records an event at the next moment, and returns that time.
    pub(super) fn emit<P>(&mut self, event: EventBuilder<P>) -> Timestamp {
        let step = self.dice.between(10..=400);
        let at = self.emit_at(self.now.saturating_add(Duration::from_millis(step)), event);
        self.now = at;
        at
    }

    /// Records an event at this time or the next free millisecond after it.
    pub(super) fn emit_at<P>(&mut self, mut at: Timestamp, event: EventBuilder<P>) -> Timestamp {
        while self.events.contains_key(&at) {
            at = at.saturating_add(Duration::from_millis(1));
        }
        let kind = EventKind::from_wire(event.json()["eventType"].as_str().unwrap_or_default());
        if Mark::KINDS.contains(&kind) {
            self.marks.push(Mark::new(self.session.clone(), at, kind));
        }
        let key = self.new_key(kind);
        let event = event.of_app(self.app.clone()).in_session(self.session.clone()).key(key).at(at);
        let spelling = match kind {
            EventKind::Reactions | EventKind::Feedback | EventKind::RtcstatsUploaded => encoded(&self.room),
            _ => encoded(&self.room.to_lowercase()),
        };
        let mut event = event.in_room(&spelling);
        let lacks_app =
            matches!(kind, EventKind::LiveStreamEnded | EventKind::PollCreated | EventKind::PollAnswer);
        if lacks_app && self.odd(50) {
            event = event.without("appId");
        }
        self.events.insert(at, event.untyped());
        at
    }

    fn new_key(&mut self, kind: EventKind) -> String {
        let mut key = self.dice.uuid();
        // Both as in 8x8's examples: 9 digits first, 13 last.
        match kind {
            EventKind::RecordingUploaded if self.odd(50) => key.insert(0, 'f'),
            EventKind::TranscriptionChunkReceived if self.odd(50) => key.push('0'),
            _ => {}
        }
        key
    }

    /// Notes a file that can be downloaded, and returns its link.
    pub(super) fn artifact(&mut self, kind: EventKind, id: Option<&str>) -> Link {
        let token = self.dice.hex(24);
        let link = match kind {
            EventKind::RtcstatsUploaded => {
                format!(
                    "https://jitsi-micros-rtcstats-server.s3.us-west-2.amazonaws.com/{token}.gz?Signature=FAKE"
                )
            }
            EventKind::ScreenSharingHistory => {
                format!(
                    "https://api-vo.jitsi.net/vo-content-sharing-history/v1/file-metadata/jaas/{token}?X-JaaS-Key=FAKE"
                )
            }
            EventKind::DocumentAdded => format!("https://8x8.vc/documents/FAKE-TOKEN/{token}"),
            _ => {
                format!("https://objectstorage.us-phoenix-1.oraclecloud.com/p/FAKE-TOKEN/n/example/o/{token}")
            }
        };
        let link = Link::new(link);
        self.artifacts.push(Artifact { kind, id: id.map(str::to_owned), link: link.clone() });
        link
    }

    /// Whether to write this body in an odd way that is seen this often.
    pub(super) fn odd(&mut self, percent: u8) -> bool {
        self.odd && self.dice.percent(percent)
    }

    /// Removes a field from some bodies, when shapes are odd.
    pub(super) fn maybe_without<P>(&mut self, event: EventBuilder<P>, paths: &[&str]) -> EventBuilder<P> {
        paths.iter().fold(event, |event, path| if self.odd(25) { event.without(path) } else { event })
    }

    pub(super) fn in_room_event<P>(
        &mut self,
        event: EventBuilder<P>,
        breakout: Option<&BreakoutRoomId>,
    ) -> EventBuilder<P> {
        match breakout {
            Some(id) => event.set("data.isBreakout", true).set("data.breakoutRoomId", id.as_str()),
            None if self.odd(30) => event.set("data.breakoutRoomId", serde_json::Value::Null),
            None => event,
        }
    }
}

/// What need not be encoded in a URL's path.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

fn encoded(room: &str) -> String {
    utf8_percent_encode(room, PLAIN).to_string()
}

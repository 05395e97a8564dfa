//! Recording, streaming, transcribing, and sharing the screen.

use std::time::Duration;

use jaas_core::event::{EventKind, RecordingParticipant};
use jaas_core::meetings::Phrase;
use jaas_core::{Jid, ParticipantId, Personal, RecordingSessionId, Timestamp, UserId};
use serde_json::json;

use super::Meeting;
use super::presence::Presence;
use crate::event;

/// One piece is cut per this duration of a recording (documented).
const SEGMENT_EVERY: Duration = Duration::from_secs(600);
/// How long a piece is (documented).
const SEGMENT: Duration = Duration::from_secs(90);
/// How long a link is valid (documented).
const LINK: Duration = Duration::from_secs(24 * 60 * 60);

#[derive(Debug, Clone, Default)]
pub(super) struct State {
    recording: Option<Recording>,
    streaming: bool,
    transcriber: Option<Transcriber>,
    transcribed: bool,
    screen_shared: bool,
    screenshots: bool,
}

#[derive(Debug, Clone)]
struct Recording {
    id: RecordingSessionId,
    by: Option<UserId>,
    began: Timestamp,
}

#[derive(Debug, Clone)]
struct Transcriber {
    participant_id: ParticipantId,
    full_jid: Jid,
}

impl Meeting {
    /// A moderator starts a recording. One runs at a time; a meeting can have several, one after the other.
    pub fn start_recording(&mut self, by: Presence) {
        self.assert_moderator(by, "record");
        assert!(!self.is_recording(), "a recording is running: stop it first");
        let began = self.emit(event::recording_started());
        let id = RecordingSessionId::new(format!("rec-{}", self.dice.hex(16)));
        self.capture.recording = Some(Recording { id, by: self.chain(by).user_id(), began });
    }

    /// The recording stops. `RECORDING_UPLOADED` follows after half a minute to three minutes, during the meeting or
    /// after it; then one `VIDEO_SEGMENT_UPLOADED` for each ten minutes.
    #[allow(clippy::panic)]
    pub fn stop_recording(&mut self) {
        self.assert_running();
        let Some(recording) = self.capture.recording.take() else { panic!("no recording is running") };
        let ended = self.emit(event::recording_ended());
        let at = ended.saturating_add(Duration::from_millis(self.dice.between(30_000..=180_000)));
        let link = self.artifact(EventKind::RecordingUploaded, Some(recording.id.as_str()));
        let length = ended.duration_since(recording.began);
        let participants: Vec<RecordingParticipant> = self
            .present()
            .into_iter()
            .map(|presence| {
                let chain = self.chain(presence);
                let mut participant = RecordingParticipant::default();
                participant.name = chain.name();
                participant.id = chain.user_id();
                participant
            })
            .collect();
        let alone = participants.is_empty();
        let mut uploaded = event::recording_uploaded().with(|uploaded| {
            uploaded.participants = participants;
            uploaded.pre_authenticated_link = Some(link);
            uploaded.link_expiration = Some(at.saturating_add(LINK));
            uploaded.share = Some(true);
            uploaded.initiator_id.clone_from(&recording.by);
            uploaded.duration_sec = i64::try_from(length.as_secs()).ok();
            uploaded.start_timestamp = Some(recording.began);
            uploaded.end_timestamp = Some(ended);
            uploaded.recording_session_id = Some(recording.id.clone());
        });
        if alone && self.odd(50) {
            uploaded = uploaded.set("data.participants", json!({}));
        }
        let optional = ["data.linkExpiration", "data.share", "data.initiatorId", "data.startTimestamp"];
        let uploaded = self.maybe_without(uploaded, &optional);
        let uploaded_at = self.emit_at(at, uploaded);
        self.cut_segments(&recording, length, uploaded_at);
    }

    fn cut_segments(&mut self, recording: &Recording, length: Duration, uploaded_at: Timestamp) {
        let mut at = uploaded_at;
        for number in 0..length.as_secs() / SEGMENT_EVERY.as_secs() {
            let within = self.dice.between(0..=(SEGMENT_EVERY - SEGMENT).as_secs());
            let start = Duration::from_secs(number * SEGMENT_EVERY.as_secs() + within);
            let start = recording.began.saturating_add(start);
            at = at.saturating_add(Duration::from_millis(self.dice.between(1_000..=20_000)));
            let link = self.artifact(EventKind::VideoSegmentUploaded, Some(recording.id.as_str()));
            let segment = event::video_segment_uploaded().with(|segment| {
                segment.pre_authenticated_link = Some(link);
                segment.link_expiration = Some(at.saturating_add(LINK));
                segment.start_timestamp = Some(start);
                segment.end_timestamp = Some(start.saturating_add(SEGMENT));
                segment.recording_session_id = Some(recording.id.clone());
            });
            let segment = self.maybe_without(segment, &["data.linkExpiration"]);
            at = self.emit_at(at, segment);
        }
    }

    /// A moderator starts a live stream.
    pub fn start_stream(&mut self, by: Presence) {
        self.assert_moderator(by, "stream");
        assert!(!self.is_streaming(), "a live stream is running: stop it first");
        self.emit(event::live_stream_started());
        self.capture.streaming = true;
    }

    /// The live stream stops.
    pub fn stop_stream(&mut self) {
        self.assert_running();
        assert!(self.is_streaming(), "no live stream is running");
        self.emit(event::live_stream_ended());
        self.capture.streaming = false;
    }

    /// A moderator switches transcription on. From now on [`speak`](Self::speak) emits phrases, and the end of the
    /// meeting a file.
    pub fn start_transcription(&mut self, by: Presence) {
        self.assert_moderator(by, "transcribe");
        assert!(!self.is_transcribing(), "a transcription is running: stop it first");
        let transcriber = Transcriber {
            participant_id: ParticipantId::new(self.new_participant_id()),
            full_jid: Jid::new(format!("transcriber@recorder.8x8.vc/{}", self.dice.hex(8))),
        };
        self.emit(event::transcription_started().with(|started| {
            started.participant_id = Some(transcriber.participant_id.clone());
            started.participant_full_jid = Some(transcriber.full_jid.clone());
        }));
        self.capture.transcriber = Some(transcriber);
    }

    /// Transcription is switched off.
    #[allow(clippy::panic)]
    pub fn stop_transcription(&mut self) {
        self.assert_running();
        let Some(transcriber) = self.capture.transcriber.take() else {
            panic!("no transcription is running")
        };
        self.emit(event::transcription_ended().with(|ended| {
            ended.participant_id = Some(transcriber.participant_id);
            ended.participant_full_jid = Some(transcriber.full_jid);
        }));
        self.capture.transcribed = true;
    }

    /// A participant in the main room shares the screen. If a recording runs, the end of the meeting emits the
    /// screenshots (documented).
    pub fn share_screen(&mut self, by: Presence) {
        self.assert_in_main_room(by);
        self.assert_active(by);
        self.capture.screen_shared = true;
        self.capture.screenshots |= self.is_recording();
    }

    /// Whether a recording is running.
    pub fn is_recording(&self) -> bool {
        self.capture.recording.is_some()
    }

    /// Whether a live stream is running.
    pub fn is_streaming(&self) -> bool {
        self.capture.streaming
    }

    /// Whether transcription is on.
    pub fn is_transcribing(&self) -> bool {
        self.capture.transcriber.is_some()
    }

    pub(super) fn stop_capturing(&mut self) {
        if self.is_transcribing() {
            self.stop_transcription();
        }
        if self.is_streaming() {
            self.stop_stream();
        }
        if self.is_recording() {
            self.stop_recording();
        }
    }

    pub(super) fn media_types(&self) -> Vec<&'static str> {
        let desktop = self.capture.screen_shared.then_some("DESKTOP");
        ["AUDIO", "VIDEO"].into_iter().chain(desktop).collect()
    }

    pub(super) fn transcribe(&mut self, by: Presence, text: &str) {
        let (chain, message) = (self.chain(by).clone(), self.dice.uuid());
        let chunk = event::transcription_chunk_received().with(|chunk| {
            chunk.text = Some(Personal::new(text));
            chunk.message_id = Some(message.clone());
            let speaker = chunk.participant.get_or_insert_default();
            speaker.id = chain.participant_id();
            speaker.name = chain.name();
            speaker.user_id = chain.user_id();
            speaker.email = chain.email();
            speaker.avatar_url = None;
        });
        let mut chunk = self.maybe_without(chunk, &["data.participant.name", "data.participant.email"]);
        if self.odd(30) {
            chunk = chunk.set("data.language", "en");
        }
        let at = self.emit(chunk);
        let mut phrase = Phrase::new(self.session.clone(), message, at, Personal::new(text.trim()));
        (phrase.participant_id, phrase.user_id) = (chain.participant_id(), chain.user_id());
        phrase.name = chain.name();
        self.phrases.push(phrase);
    }

    pub(super) fn upload_transcription(&mut self, at: Timestamp) {
        if self.capture.transcribed {
            let link = self.artifact(EventKind::TranscriptionUploaded, None);
            self.emit_at(at, event::transcription_uploaded().linked_to(link.expose()));
        }
    }

    pub(super) fn upload_screenshots(&mut self, at: Timestamp) {
        if self.capture.screenshots {
            let link = self.artifact(EventKind::ScreenSharingHistory, None);
            let history = event::screen_sharing_history()
                .linked_to(link.expose())
                .with(|history| history.link_expiration = Some(at.saturating_add(LINK)));
            let history = self.maybe_without(history, &["data.preAuthenticatedLinkV2"]);
            self.emit_at(at, history);
        }
    }
}

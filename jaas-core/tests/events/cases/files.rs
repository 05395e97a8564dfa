//! Oddities of files that can be downloaded.

use std::time::Duration;

use crate::parsing::*;

pub(crate) const CHECKS: &[Check] = checks! {
    "recording-uploaded-with-expiration" => RecordingUploaded(_, e) {
        assert_eq!(e.link_expiration, at(1_795_510_050_465));
    }
    "recording-uploaded-mid-meeting" => RecordingUploaded(d, e) {
        assert_eq!(text(&d.envelope.session_id), Some(SESSION));
        assert_eq!(text(&e.recording_session_id), Some("rec-7f4c1a52-0000"));
        assert_eq!(e.duration(), Some(Duration::from_secs(120)));
    }
    "recording-uploaded-minimal" => RecordingUploaded(_, e) {
        assert_eq!((e.share, text(&e.initiator_id), e.participants.len()), (None, None, 0));
        assert_eq!((e.start_timestamp, e.end_timestamp, e.link_expiration), (None, None, None));
        assert_eq!((e.duration(), e.pre_authenticated_link.is_some()), (Some(Duration::from_secs(2458)), true));
        assert_eq!(text(&e.recording_session_id), Some("rec-7f4c1a52-0001"));
    }
    "video-segment-without-expiration" => VideoSegmentUploaded(_, e) {
        assert_eq!(e.link_expiration, None);
        assert_eq!((e.start_timestamp, e.end_timestamp), (at(1_795_421_312_279), at(1_795_421_402_279)));
        assert!(e.pre_authenticated_link.is_some());
    }
    "screen-sharing-without-v2" => ScreenSharingHistory(_, e) {
        assert_eq!((&e.pre_authenticated_link_v2, e.link_expiration), (&None, at(1_795_510_120_610)));
        assert!(e.pre_authenticated_link.is_some());
    }
    "link-missing" => ChatUploaded(_, e) {
        assert_eq!(e.pre_authenticated_link, None);
    }
    "document-size-as-string" => DocumentAdded(_, e) {
        assert_eq!((e.file_size, e.file_created_at), (Some(48_213), at(1_795_421_499_000)));
        assert_eq!((text(&e.initiator_id), text(&e.file_name)), (None, Some("worksheet.pdf")));
    }
};

//! Recordings and their uploads.

use super::{Expectation, View};
use crate::timestamp::Timestamp;
use crate::watch::rule::Rule;
use crate::watch::sighting::{Seen, Sighting};

/// How far the times of an upload can be from those of the events about the recording.
const SAME: u64 = 10 * 60 * 1000;

/// A recording, as far as its events came.
struct Recording<'a> {
    started: Option<&'a Sighting>,
    ended: Option<&'a Sighting>,
    /// When it has ended at the latest, if its end was not seen: another one began.
    replaced_at: Option<Timestamp>,
    upload: Option<usize>,
}

/// Adds what should follow recordings and uploads.
pub(super) fn add(view: &View<'_>, all: &mut Vec<Expectation>) {
    let mut recordings = recordings(view);
    let uploads: Vec<&Sighting> = view.seen(Seen::RecordingUploaded).collect();
    pair(&mut recordings, &uploads);
    if let Some(wait) = view.rules.wait(Rule::RecordingNotUploaded) {
        for recording in &recordings {
            let ended_at = recording.ended.map(|ended| ended.at).or(recording.replaced_at);
            let due_at = ended_at.map_or_else(|| view.after_the_end(wait), |at| view.after(at, wait));
            let mut seen = recording.started.into_iter().chain(recording.ended);
            let Some(first) = seen.next() else { continue };
            all.push(Expectation {
                also: seen.map(|other| other.slot.clone()).collect(),
                met: recording.upload.is_some(),
                ..Expectation::new(Rule::RecordingNotUploaded, first.slot.as_str(), first.at, due_at)
            });
        }
    }
    if let Some(wait) = view.rules.wait(Rule::RecordingNotStarted) {
        for (index, upload) in uploads.iter().enumerate() {
            let recording = recordings.iter().find(|recording| recording.upload == Some(index));
            let due_at = view.after(upload.at, wait);
            all.push(Expectation {
                met: recording.is_some_and(|recording| recording.started.is_some()),
                ..Expectation::new(Rule::RecordingNotStarted, upload.slot.as_str(), upload.at, due_at)
            });
        }
    }
}

/// One runs at a time in a session.
fn recordings<'a>(view: &View<'a>) -> Vec<Recording<'a>> {
    let mut recordings: Vec<Recording<'a>> = Vec::new();
    let new = |started, ended| Recording { started, ended, replaced_at: None, upload: None };
    let mut open = false;
    for sighting in &view.sightings {
        match (sighting.what, recordings.last_mut().filter(|_| open)) {
            (Seen::RecordingStarted, last) => {
                if let Some(last) = last {
                    last.replaced_at = Some(sighting.at);
                }
                recordings.push(new(Some(sighting), None));
                open = true;
            }
            (Seen::RecordingEnded, Some(last)) => {
                last.ended = Some(sighting);
                open = false;
            }
            (Seen::RecordingEnded, None) => recordings.push(new(None, Some(sighting))),
            _ => {}
        }
    }
    recordings
}

/// Gives each upload its recording: the one whose times it names, or else the last one before it.
fn pair(recordings: &mut [Recording<'_>], uploads: &[&Sighting]) {
    let mut near: Vec<(u64, usize, usize)> = Vec::new();
    for (index, upload) in uploads.iter().enumerate() {
        for (place, recording) in recordings.iter().enumerate() {
            let apart = |seen: Option<&Sighting>, named: Option<Timestamp>| {
                Some(seen?.at.as_millis().abs_diff(named?.as_millis()))
            };
            let apart = [apart(recording.ended, upload.ended_at), apart(recording.started, upload.began_at)];
            if let Some(apart) = apart.into_iter().flatten().min().filter(|apart| *apart <= SAME) {
                near.push((apart, index, place));
            }
        }
    }
    near.sort_unstable();
    let mut paired = vec![false; uploads.len()];
    for (_, index, place) in near {
        if let (Some(recording), Some(done)) = (recordings.get_mut(place), paired.get_mut(index))
            && recording.upload.is_none()
            && !*done
        {
            (recording.upload, *done) = (Some(index), true);
        }
    }
    for (index, upload) in uploads.iter().enumerate().filter(|(index, _)| paired.get(*index) == Some(&false))
    {
        let begins_before = |recording: &Recording<'_>| {
            recording.started.or(recording.ended).is_some_and(|seen| seen.at <= upload.at)
        };
        let last = recordings.iter_mut().rev().find(|one| one.upload.is_none() && begins_before(one));
        if let Some(recording) = last {
            recording.upload = Some(index);
        }
    }
}

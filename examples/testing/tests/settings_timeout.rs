//! A provider of meeting settings: its answers, and the policy's answers when it fails or times out.

use std::io;
use std::time::Duration;

use async_trait::async_trait;
use jaas_core::settings::{FailurePolicy, MeetingSettings, SettingsProvider, SettingsService};
use jaas_testkit::settings::{assert_valid_for_jaas, settings_request};
use testing::{Calendar, PrivateRooms};
use tokio::time::Instant;

/// Returns that each meeting is private, after this delay.
struct After(Duration);

#[async_trait]
impl Calendar for After {
    async fn is_private(&self, _: &str) -> Result<bool, io::Error> {
        tokio::time::sleep(self.0).await;
        Ok(true)
    }
}

/// A calendar that fails.
struct Broken;

#[async_trait]
impl Calendar for Broken {
    async fn is_private(&self, _: &str) -> Result<bool, io::Error> {
        Err(io::ErrorKind::ConnectionRefused.into())
    }
}

#[tokio::test(start_paused = true)]
async fn a_private_meeting_has_a_lobby() {
    let settings =
        PrivateRooms(After(Duration::ZERO)).settings(&settings_request("app/board")).await.unwrap();
    assert_eq!(settings.lobby_enabled(), Some(true));
}

/// JaaS waits about 3 s and then opens the room to everyone. With paused time the test does not wait at all.
#[tokio::test(start_paused = true)]
async fn a_calendar_that_hangs_does_not_open_a_private_room() {
    let hanging = PrivateRooms(After(Duration::from_secs(3600)));
    let service = SettingsService::builder(hanging, FailurePolicy::fail_closed()).build().unwrap();
    let asked = Instant::now();
    let reply = service.answer(settings_request("app/board")).await;
    assert!(asked.elapsed() <= Duration::from_secs(2), "{:?}", asked.elapsed());
    let answer = assert_valid_for_jaas(&reply);
    assert_eq!(answer["lobbyEnabled"], true);
    assert!(answer.contains_key("passcode"));
}

#[tokio::test]
async fn a_calendar_that_fails_is_answered_for_as_was_decided() {
    let open = MeetingSettings::default();
    let service =
        SettingsService::builder(PrivateRooms(Broken), FailurePolicy::fallback(open)).build().unwrap();
    let reply = service.answer(settings_request("app/board")).await;
    assert!(assert_valid_for_jaas(&reply).is_empty());
}

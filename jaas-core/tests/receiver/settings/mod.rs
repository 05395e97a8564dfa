//! The question JaaS asks before each meeting, and how it is answered: always, in time, and with nothing JaaS would
//! misread.

mod cache;
mod properties;
mod receiving;
mod records;
mod seed;
mod service;

use std::time::Duration;

use jaas_core::settings::{FailurePolicy, MeetingSettings, SettingsService, SettingsServiceBuilder};
use jaas_testkit::settings::ScriptedProvider;

/// What a good provider answers here.
fn protected() -> MeetingSettings {
    MeetingSettings::builder().lobby_enabled(true).passcode("4711").build().expect("allowed")
}

/// Settings that are told from all others by this number.
fn numbered(number: u32) -> MeetingSettings {
    MeetingSettings::builder().max_occupants(number).build().expect("allowed")
}

/// The settings service answers 77 when it has to answer for the provider.
fn builder(provider: &ScriptedProvider) -> SettingsServiceBuilder {
    SettingsService::builder(provider.clone(), FailurePolicy::fallback(numbered(77)))
}

fn service(provider: &ScriptedProvider) -> SettingsService {
    builder(provider).build().expect("a good configuration")
}

const DEADLINE: Duration = Duration::from_millis(1500);

//! The question that JaaS asks before each meeting, and its answer: always, in time, and never with settings that JaaS
//! would misread.

mod cache;
mod properties;
mod receiving;
mod records;
mod seed;
mod service;

use std::time::Duration;

use jaas_core::settings::{FailurePolicy, MeetingSettings, SettingsService, SettingsServiceBuilder};
use jaas_testkit::settings::ScriptedProvider;

/// The answer of a working provider here.
fn protected() -> MeetingSettings {
    MeetingSettings::builder().lobby_enabled(true).passcode("4711").build().expect("allowed")
}

/// Settings that this number distinguishes from all others.
fn numbered(number: u32) -> MeetingSettings {
    MeetingSettings::builder().max_occupants(number).build().expect("allowed")
}

/// The settings service answers 77 when the policy decides.
fn builder(provider: &ScriptedProvider) -> SettingsServiceBuilder {
    SettingsService::builder(provider.clone(), FailurePolicy::fallback(numbered(77)))
}

fn service(provider: &ScriptedProvider) -> SettingsService {
    builder(provider).build().expect("a good configuration")
}

const DEADLINE: Duration = Duration::from_millis(1500);

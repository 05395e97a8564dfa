//! The provider that remembers.

use std::time::Duration;

use jaas_core::HandlerError;
use jaas_core::settings::{Cached, MeetingSettings, SettingsProvider as _};
use jaas_testkit::settings::{Script, ScriptedProvider, settings_request};
use tokio::time::{Instant, advance};

use super::numbered;

const TEN: Duration = Duration::from_secs(10);

async fn number(provider: &Cached<ScriptedProvider>, fqn: &str) -> Result<u16, HandlerError> {
    let settings = provider.settings(&settings_request(fqn)).await?;
    Ok(settings.max_occupants().expect("numbered"))
}

fn counting() -> ScriptedProvider {
    ScriptedProvider::by(|_, call| Script::Answer(numbered(call as u32 + 2)))
}

#[tokio::test(start_paused = true)]
async fn an_answer_is_remembered_until_it_expires_for_each_room_apart() {
    let provider = counting();
    let cached = Cached::new(provider.clone(), TEN);
    assert_eq!(number(&cached, "a/r").await, Ok(2));
    assert_eq!(number(&cached, "A/R").await, Ok(2));
    assert_eq!(number(&cached, "a/s").await, Ok(3));
    advance(TEN).await;
    assert_eq!(number(&cached, "a/r").await, Ok(2));
    advance(Duration::from_millis(1)).await;
    assert_eq!(number(&cached, "a/r").await, Ok(4));
    cached.clear();
    assert_eq!(number(&cached, "a/r").await, Ok(5));
    let by = cached.settings(&settings_request("a/r")).await.expect("cached");
    assert_eq!(by.decided_by(), Some("cached"));
}

#[tokio::test(start_paused = true)]
async fn an_older_answer_serves_while_the_provider_fails_or_is_slow_and_no_longer_than_configured() {
    for trouble in [Script::Fail("gone".into()), Script::Hang] {
        let provider = ScriptedProvider::of([Script::Answer(numbered(2)), trouble.clone()]);
        let cached = Cached::new(provider, TEN).last_known_good(TEN * 3);
        assert_eq!(number(&cached, "a/r").await, Ok(2));
        advance(TEN * 2).await;
        let asked = Instant::now();
        let settings = cached.settings(&settings_request("a/r")).await.expect("older");
        assert_eq!((settings, asked.elapsed() <= Duration::from_secs(1)), (numbered(2), true), "{trouble:?}");
        advance(TEN + Duration::from_millis(1)).await;
        let after = tokio::time::timeout(TEN, number(&cached, "a/r")).await;
        assert!(!matches!(after, Ok(Ok(_))), "{trouble:?}: too old");
    }
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_no_longer_has_settings_is_believed_and_a_failure_is_not_remembered() {
    let none = |settings: Result<MeetingSettings, HandlerError>| settings.expect_err("none").to_string();
    let provider =
        ScriptedProvider::of([Script::Answer(numbered(2)), Script::None, Script::Fail("gone".into())]);
    let cached = Cached::new(provider, TEN).last_known_good(TEN * 100);
    assert_eq!(number(&cached, "a/r").await, Ok(2));
    advance(TEN * 2).await;
    let request = settings_request("a/r");
    assert_eq!(none(cached.settings(&request).await), "there are no settings for this room");
    assert_eq!(none(cached.settings(&request).await), "gone", "its old settings are forgotten");

    let provider = ScriptedProvider::of([Script::Fail("gone".into()), Script::Answer(numbered(2))]);
    let cached = Cached::new(provider, TEN);
    assert!(number(&cached, "a/r").await.is_err());
    assert_eq!(number(&cached, "a/r").await, Ok(2));
}

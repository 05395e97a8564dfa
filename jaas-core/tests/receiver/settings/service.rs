//! Timeout, failure policies, shared calls, bounds.

use std::time::Duration;

use jaas_core::settings::{FailurePolicy, MeetingSettings, SettingsService};
use jaas_core::{Fqn, Reply};
use jaas_testkit::settings::{Script, ScriptedProvider, assert_valid_for_jaas, settings_request};
use tokio::task::JoinHandle;
use tokio::time::{Instant, advance, sleep};

use super::{DEADLINE, builder, numbered, protected, service};

fn answered(settings: &MeetingSettings) -> Reply {
    Reply::Settings(settings.to_answer().into())
}

fn ask(service: &SettingsService, fqn: &str) -> JoinHandle<(Reply, Duration)> {
    let (service, request) = (service.clone(), settings_request(fqn));
    tokio::spawn(async move {
        let asked = Instant::now();
        (service.answer(request).await, asked.elapsed())
    })
}

async fn all(asked: Vec<JoinHandle<(Reply, Duration)>>) -> Vec<(Reply, Duration)> {
    let mut replies = Vec::new();
    for asked in asked {
        replies.push(asked.await.expect("no panic"));
    }
    replies
}

#[tokio::test(start_paused = true)]
async fn the_answer_is_what_the_provider_returns() {
    let provider = ScriptedProvider::of([Script::Slow(DEADLINE - Duration::from_millis(1), protected())]);
    let reply = service(&provider).answer(settings_request("a/r")).await;
    assert_eq!(reply, answered(&protected()));
    assert_eq!((reply.status(), provider.dropped()), (200, 0));
}

#[tokio::test(start_paused = true)]
async fn at_the_deadline_the_providers_future_is_dropped_and_the_policy_answers() {
    for deadline in [DEADLINE, Duration::from_millis(200), SettingsService::MAX_TIMEOUT] {
        let provider = ScriptedProvider::of([Script::Hang]);
        let service = builder(&provider).timeout(deadline).build().expect("good");
        let (reply, took) = ask(&service, "a/r").await.expect("no panic");
        assert_eq!((reply, took), (answered(&numbered(77)), deadline));
        assert_eq!((provider.calls(), provider.running(), provider.dropped()), (1, 0, 1));
        assert_eq!(service.calls_in_flight(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_result_that_is_polled_after_the_deadline_comes_too_late() {
    // The clock leaps over both, as when the process was suspended.
    let provider = ScriptedProvider::of([Script::Slow(DEADLINE / 2, protected())]);
    let service = service(&provider);
    let asked = ask(&service, "a/r");
    provider.wait_for_calls(1).await;
    advance(DEADLINE * 4).await;
    assert_eq!(asked.await.expect("no panic").0, answered(&numbered(77)));
}

#[tokio::test(start_paused = true)]
async fn an_error_a_panic_and_an_unknown_room_are_answered_by_the_policy_immediately() {
    for script in [Script::Fail("gone".into()), Script::Panic("oh".into()), Script::None] {
        let provider = ScriptedProvider::of([script, Script::Answer(protected())]);
        let service = service(&provider);
        let (reply, took) = ask(&service, "a/r").await.expect("no panic");
        assert_eq!((reply, took), (answered(&numbered(77)), Duration::ZERO));
        let (reply, _) = ask(&service, "a/r").await.expect("no panic");
        assert_eq!(reply, answered(&protected()), "the next question is asked again");
    }
}

#[tokio::test]
async fn a_closed_room_has_a_lobby_and_a_passcode_that_the_application_can_look_up() {
    let provider = ScriptedProvider::of([Script::Fail("gone".into())]);
    let service = |key: Option<&[u8]>| {
        let service = SettingsService::builder(provider.clone(), FailurePolicy::fail_closed());
        match key {
            Some(key) => service.passcode_key(key).build(),
            None => service.build(),
        }
        .expect("good")
    };
    let one = service(Some(&[7; 32]));
    let closed = assert_valid_for_jaas(&one.answer(settings_request("App/Team%20Room")).await);
    let keys: Vec<_> = closed.keys().map(String::as_str).collect();
    assert_eq!(keys, ["lobbyEnabled", "lobbyType", "passcode"]);
    assert_eq!((&closed["lobbyEnabled"], &closed["lobbyType"]), (&true.into(), &"WAIT_FOR_APPROVAL".into()));
    let passcode = one.passcode_when_closed(&Fqn::new("app/team room")).expect("it closes");
    assert_eq!((closed["passcode"].as_str(), passcode.expose().len()), (Some(passcode.expose()), 10));

    let again = assert_valid_for_jaas(&one.answer(settings_request("app/team room")).await);
    let of_another_process =
        assert_valid_for_jaas(&service(Some(&[7; 32])).answer(settings_request("app/team room")).await);
    assert_eq!((&again, &of_another_process), (&closed, &closed));
    let random = assert_valid_for_jaas(&service(None).answer(settings_request("app/team room")).await);
    assert_ne!(random["passcode"], closed["passcode"], "it cannot be known from elsewhere");
    let other = one.passcode_when_closed(&Fqn::new("app/other")).expect("it closes");
    assert_ne!(other, passcode);
    let never =
        SettingsService::builder(provider.clone(), FailurePolicy::refuse("no")).build().expect("good");
    assert_eq!(never.passcode_when_closed(&Fqn::new("app/other")), None);
}

#[tokio::test]
async fn a_refusal_is_the_400_that_people_see() {
    let provider = ScriptedProvider::of([Script::Fail("gone".into())]);
    let policy = FailurePolicy::refuse("Please call the help desk");
    let service = SettingsService::builder(provider, policy).build().expect("good");
    let reply = service.answer(settings_request("a/r")).await;
    assert_eq!(reply.status(), 400);
    assert_eq!(assert_valid_for_jaas(&reply)["message"], "Please call the help desk");
}

#[tokio::test(start_paused = true)]
async fn the_last_known_good_answer_is_of_this_room_and_not_older_than_configured() {
    let provider = ScriptedProvider::by(|request, _| match request.room_key().as_str() {
        "never" => Script::Fail("gone".into()),
        _ if request.field::<bool>("fail").is_some() => Script::Hang,
        _ => Script::Answer(protected()),
    });
    let minute = Duration::from_secs(60);
    let policy = FailurePolicy::last_known_good(minute, FailurePolicy::fallback(numbered(99)));
    let service = SettingsService::builder(provider, policy).build().expect("good");
    let failing =
        |fqn: &str| jaas_testkit::settings::SettingsQuestion::about(fqn).with("fail", true).request();
    assert_eq!(service.answer(failing("a/r")).await, answered(&numbered(99)), "nothing is known yet");
    assert_eq!(service.answer(settings_request("a/r")).await, answered(&protected()));
    assert_eq!(service.answer(failing("A/R")).await, answered(&protected()));
    assert_eq!(service.answer(failing("b/r")).await, answered(&numbered(99)), "another tenant");
    assert_eq!(service.answer(settings_request("a/never")).await, answered(&numbered(99)));
    advance(minute).await;
    assert_eq!(service.answer(failing("a/r")).await, answered(&numbered(99)), "too old");
}

#[tokio::test(start_paused = true)]
async fn questions_about_one_room_at_the_same_time_share_one_call() {
    let provider = ScriptedProvider::by(|request, _| {
        Script::Slow(Duration::from_secs(1), numbered(request.room().len() as u32))
    });
    let service = service(&provider);
    let asked = (0..100)
        .map(|number| ask(&service, ["app/abc", "APP/ABC", "app/%61bc", "app/four"][number % 4]))
        .collect();
    for (number, (reply, took)) in all(asked).await.into_iter().enumerate() {
        // Its length, in the spelling of the first question.
        assert_eq!(reply, answered(&numbered(if number % 4 == 3 { 4 } else { 3 })), "{number}");
        assert_eq!(took, Duration::from_secs(1));
    }
    assert_eq!(provider.calls(), 2);
    ask(&service, "app/abc").await.expect("no panic");
    assert_eq!(provider.calls(), 3, "a later question is asked again");
}

#[tokio::test(start_paused = true)]
async fn a_question_that_shares_a_call_waits_until_its_own_deadline_and_no_call_outlives_a_deadline() {
    // The first call hangs, the second takes a second.
    let provider = ScriptedProvider::of([Script::Hang, Script::Slow(Duration::from_secs(1), protected())]);
    let service = service(&provider);
    let first = ask(&service, "a/r");
    sleep(Duration::from_millis(1000)).await;
    let second = ask(&service, "a/r");
    sleep(Duration::from_millis(400)).await;
    assert_eq!(provider.calls(), 1, "shared");
    assert_eq!(first.await.expect("no panic"), (answered(&numbered(77)), DEADLINE));
    // It had 1 s left at 1.5 s, and the new call takes exactly that.
    let (reply, took) = second.await.expect("no panic");
    assert!(took <= DEADLINE, "{took:?}");
    assert!(reply == answered(&numbered(77)) || reply == answered(&protected()));
    assert_eq!((provider.calls(), provider.running()), (2, 0));

    // With enough time left, the later question gets the result of another call.
    let provider =
        ScriptedProvider::of([Script::Hang, Script::Slow(Duration::from_millis(300), protected())]);
    let service = super::service(&provider);
    let first = ask(&service, "a/r");
    sleep(Duration::from_millis(1000)).await;
    let others: Vec<_> = (0..10).map(|_| ask(&service, "a/r")).collect();
    assert_eq!(first.await.expect("no panic").0, answered(&numbered(77)));
    for (reply, took) in all(others).await {
        assert_eq!((reply, took), (answered(&protected()), Duration::from_millis(800)));
    }
    assert_eq!((provider.calls(), provider.dropped()), (2, 1));
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_hangs_up_ends_no_shared_call_and_leaves_none_behind() {
    let provider = ScriptedProvider::of([Script::Slow(Duration::from_secs(1), protected())]);
    let service = service(&provider);
    let first = ask(&service, "a/r");
    provider.wait_for_calls(1).await;
    let second = ask(&service, "a/r");
    sleep(Duration::from_millis(500)).await;
    first.abort();
    assert_eq!(second.await.expect("no panic"), (answered(&protected()), Duration::from_secs(1)));
    assert_eq!(provider.calls(), 1);

    let only = ask(&service, "a/r");
    provider.wait_for_calls(2).await;
    only.abort();
    assert!(only.await.is_err());
    assert_eq!((provider.running(), provider.dropped(), service.calls_in_flight()), (0, 1, 0));
    let (reply, _) = ask(&service, "a/r").await.expect("no panic");
    assert_eq!(reply, answered(&protected()), "the next question begins a new call");
}

#[tokio::test(start_paused = true)]
async fn beyond_the_bound_the_policy_answers_immediately_and_shared_calls_do_not_count() {
    let provider = ScriptedProvider::of([Script::Slow(Duration::from_secs(1), protected())]);
    let service = builder(&provider).max_calls(2).build().expect("good");
    let asked = ["a/1", "a/2", "a/3", "a/1"].map(|fqn| ask(&service, fqn)).into();
    let replies = all(asked).await;
    let second = Duration::from_secs(1);
    let given = (answered(&protected()), second);
    assert_eq!(replies, [given.clone(), given.clone(), (answered(&numbered(77)), Duration::ZERO), given]);
    assert_eq!(provider.calls(), 2);
    assert_eq!(
        ask(&service, "a/3").await.expect("no panic").0,
        answered(&protected()),
        "there is room again"
    );

    let service = builder(&provider).max_waiting(3).build().expect("good");
    let replies = all((0..5).map(|_| ask(&service, "a/1")).collect()).await;
    assert_eq!(replies.iter().filter(|(_, took)| took.is_zero()).count(), 2);
}

#[tokio::test]
async fn a_future_that_panics_when_it_is_dropped_does_no_harm() {
    struct Bad;

    #[async_trait::async_trait]
    impl jaas_core::settings::SettingsProvider for Bad {
        async fn settings(
            &self,
            _: &jaas_core::settings::SettingsRequest,
        ) -> Result<MeetingSettings, jaas_core::HandlerError> {
            struct Guard;
            impl Drop for Guard {
                fn drop(&mut self) {
                    panic!("in drop");
                }
            }
            let _guard = Guard;
            std::future::pending().await
        }
    }

    let service = SettingsService::builder(Bad, FailurePolicy::fallback(numbered(77)));
    let service = service.timeout(Duration::from_millis(10)).build().expect("good");
    for _ in 0..2 {
        assert_eq!(service.answer(settings_request("a/r")).await, answered(&numbered(77)));
    }
    assert_eq!(service.calls_in_flight(), 0);
}

#[tokio::test]
async fn a_configuration_that_cannot_work_is_refused() {
    let provider = ScriptedProvider::of([]);
    let error = |builder: jaas_core::settings::SettingsServiceBuilder| {
        builder.build().expect_err("refused").to_string()
    };
    let long = SettingsService::MAX_TIMEOUT + Duration::from_millis(1);
    for deadline in [Duration::ZERO, long] {
        assert!(error(builder(&provider).timeout(deadline)).contains("at most 2.5s"));
    }
    assert!(error(builder(&provider).max_calls(0)).contains("max_calls"));
    assert!(error(builder(&provider).max_waiting(0)).contains("max_waiting"));
    assert!(error(builder(&provider).remember_rooms(0)).contains("remember_rooms"));
    assert!(error(builder(&provider).passcode_key(b"short".to_vec())).contains("16 bytes"));
    let shown = format!("{:?} {:?}", builder(&provider).passcode_key(vec![0x55; 16]), service(&provider));
    assert!(!shown.contains("85"), "the key is not shown: {shown}");
}

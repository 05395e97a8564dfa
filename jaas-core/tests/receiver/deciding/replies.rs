//! Replies.

use super::*;

#[tokio::test]
async fn the_reply_is_the_result_of_the_dispatcher_and_always_200() {
    let done = [
        Disposition::Stored,
        Disposition::Handled,
        Disposition::Ignored,
        Disposition::Failed,
        Disposition::Duplicate,
        Disposition::Conflict,
        Disposition::Quarantined,
    ];
    for disposition in done {
        let reply = deliver(&receiver(Probe::new(Then::Return(disposition))), event("k-1")).await;
        assert_eq!((reply.status(), reply.retry_after_secs()), (200, None));
        assert_eq!(reply, received(disposition));
    }
}

#[test]
fn a_request_refused_before_its_body_is_read_keeps_its_own_status() {
    let receiver = receiver(Probe::new(Then::Take));
    for (reply, status) in [
        (Reply::Incomplete, 400),
        (Reply::MethodNotAllowed, 405),
        (Reply::TooSlow, 408),
        (Reply::TooLarge, 413),
        (unavailable(1), 503),
    ] {
        assert_eq!(receiver.refuse(reply.clone()), reply);
        assert_eq!(reply.status(), status);
    }
}

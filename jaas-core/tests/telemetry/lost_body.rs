//! A body that was consumed before the receiver saw it.

use std::sync::Arc;

use jaas_core::store::MemoryStore;
use jaas_core::{Auth, Inbox, Receiver, Reply, RequestHead};
use jaas_testkit::{Signer, event};

use crate::lines::Lines;
use crate::world::{NOW, SECRET};

#[tokio::test]
async fn an_empty_body_of_a_declared_length_is_a_lost_body_and_not_a_wrong_secret() {
    let request = Signer::new(SECRET).expect("good").sign(NOW, event::room_created().body());
    let by_value = Auth::authorization(["Bearer 1"]).expect("good");
    for auth in [Auth::signature([SECRET]).expect("good"), by_value] {
        for (length, body, reason) in [
            (Some("812"), "", Some("body_missing")),
            (Some("2"), "{}", None),
            (Some("0"), "", None),
            (Some("many"), "", None),
            (None, "", None),
        ] {
            let lines = Lines::default();
            let _listening = lines.listen();
            let inbox = Inbox::new(Arc::new(MemoryStore::new()));
            let receiver =
                Receiver::builder("main", auth.clone(), inbox).clock(|| NOW).build().expect("good");
            let head = RequestHead::from_lines(|name| match name {
                "x-jaas-signature" => Some(&*request.signature),
                "authorization" => Some("Bearer 1"),
                "content-length" => length,
                _ => None,
            });
            let reply = receiver.receive(head, body.into()).await;
            let logged = lines.of("jaas::delivery");
            let lost = logged.iter().any(|line| {
                line.starts_with("WARN refused")
                    && line.contains("the body is empty although its Content-Length is 812")
            });
            assert_eq!(lost, reason.is_some(), "{length:?} {body:?}: {logged:?}");
            if lost {
                assert_eq!(reply, Reply::Unauthorized);
                assert!(!logged.concat().contains("no v1 of the signature"), "{logged:?}");
            }
        }
    }
}

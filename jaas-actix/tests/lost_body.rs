//! A middleware of the application that reads the body first.
#![allow(clippy::expect_used, clippy::unwrap_used)]

#[path = "../../jaas-core/tests/support/lines.rs"]
mod lines;

use std::sync::Arc;

use actix_web::body::MessageBody;
use actix_web::dev::{Payload, ServiceRequest, ServiceResponse};
use actix_web::http::header::CONTENT_LENGTH;
use actix_web::middleware::{Next, from_fn};
use actix_web::test::{TestRequest, call_service, init_service};
use actix_web::web::Bytes;
use actix_web::{App, Error};
use jaas_actix::Webhook;
use jaas_core::signature::{Secret, sign};
use jaas_core::store::MemoryStore;
use jaas_core::{Auth, Inbox, Receiver, Timestamp};
use lines::Lines;

const SECRET: &str = "whsec_9635df66714a4cf088ee9d0979dd3bf6";
const NOW: Timestamp = Timestamp::from_secs(1_760_000_000);
const BODY: &str = r#"{"idempotencyKey":"k","eventType":"ROOM_CREATED","data":{}}"#;

/// Reads the body, and puts it back only when the request asks for it.
async fn logs_the_body(
    mut request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let read = request.extract::<Bytes>().await?;
    if request.headers().get("X-Puts-Back").is_some_and(|value| value == "true") {
        request.set_payload(Payload::from(read));
    }
    next.call(request).await
}

#[actix_web::test]
async fn a_body_that_a_middleware_consumed_is_refused_as_lost_unless_it_is_put_back() {
    for (puts_back, status) in [(false, 401), (true, 200)] {
        let lines = Lines::default();
        let _listening = lines.listen();
        let auth = Auth::signature([SECRET]).unwrap();
        let inbox = Inbox::new(Arc::new(MemoryStore::new()));
        let receiver = Receiver::builder("main", auth, inbox).clock(|| NOW).build().unwrap();
        let app = App::new().configure(Webhook::new(receiver).config()).wrap(from_fn(logs_the_body));
        let app = init_service(app).await;
        let request = TestRequest::post()
            .uri("/webhooks/jaas")
            .insert_header((CONTENT_LENGTH, BODY.len()))
            .insert_header(("X-Jaas-Signature", sign(&Secret::new(SECRET).unwrap(), NOW, BODY.as_bytes())))
            .insert_header(("X-Puts-Back", puts_back.to_string()))
            .set_payload(BODY);
        assert_eq!(call_service(&app, request.to_request()).await.status(), status);
        let logged = lines.of("jaas::delivery").concat();
        assert_eq!(logged.contains("something before the receiver consumed it"), !puts_back, "{logged}");
    }
}

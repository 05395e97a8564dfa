//! What the benches send to a webhook.

use jaas_core::Timestamp;
use jaas_testkit::Signer;
use jaas_testkit::fixture::{DOCUMENTED, with_key};

pub(crate) const SECRET: &str = "whsec_9635df66714a4cf088ee9d0979dd3bf6";

/// A signed request with one of the examples of 8x8's page, and this key.
pub(crate) fn request(signer: &Signer, now: Timestamp, number: usize, key: &str) -> Vec<u8> {
    let event = &DOCUMENTED[number % DOCUMENTED.len()];
    let signed = signer.sign(now, with_key(event.body, key).unwrap());
    let head = format!(
        "POST /webhooks/jaas HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nX-Jaas-Signature: {}\r\n\
         Content-Length: {}\r\n\r\n",
        signed.signature,
        signed.body.len()
    );
    [head.as_bytes(), &signed.body].concat()
}

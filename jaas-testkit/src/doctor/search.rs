//! Tries the mistakes.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use jaas_core::Timestamp;
use sha2::Sha256;

use super::{Doctor, Finding, Mistake, from_millis, rewrite};

/// A key, a text or a signature that may have been used, and the mistakes that lead to it.
struct Variant<T> {
    value: T,
    findings: Vec<Finding>,
}

impl<T> Variant<T> {
    fn right(value: T) -> Self {
        Self { value, findings: Vec::new() }
    }

    fn wrong(value: T, mistake: Mistake, explanation: impl Into<String>) -> Self {
        Self { value, findings: vec![Finding::new(mistake, explanation)] }
    }
}

/// The fewest mistakes that explain the header; none when no known mistake does.
pub(super) fn explain(doctor: &Doctor, header: &str, body: &[u8], now: Timestamp) -> Vec<Finding> {
    let elements = Elements::of(header);
    if elements.t.is_empty() {
        return malformed("The header has no `t`", header);
    }
    let candidates: Vec<_> = elements.v1.iter().filter_map(|v1| digest(v1)).collect();
    if elements.v1.is_empty() {
        return malformed("The header has no `v1`, and no other element may replace it", header);
    }
    let times: Vec<_> = elements.t.iter().flat_map(|t| times(t, elements.t.len() > 1)).collect();
    let (keys, bodies) = (keys(doctor), bodies(body));

    let mut best: Option<(Vec<Finding>, Option<Timestamp>)> = None;
    for body in &bodies {
        for time in &times {
            for key in &keys {
                let cost = body.findings.len() + time.findings.len() + key.findings.len();
                if best.as_ref().is_some_and(|(findings, _)| findings.len() <= cost) {
                    continue;
                }
                let mac = mac(&key.value, &time.value.prefix, body.value.as_ref());
                for candidate in candidates.iter().filter(|candidate| candidate.value == mac) {
                    let parts = [&key.findings, &candidate.findings, &time.findings, &body.findings];
                    let findings: Vec<Finding> = parts.into_iter().flatten().cloned().collect();
                    if best.as_ref().is_none_or(|(before, _)| findings.len() < before.len()) {
                        best = Some((findings, time.value.signed_at));
                    }
                }
            }
        }
    }
    let Some((mut findings, signed_at)) = best else { return body_missing(body).into_iter().collect() };
    // The age is reported for a signature that is otherwise explained, as a receiver does.
    if let Some(signed_at) = signed_at {
        findings.extend(Finding::clock_skew(signed_at, now, doctor.tolerance));
    }
    findings
}

/// JaaS never signs an empty body.
fn body_missing(body: &[u8]) -> Option<Finding> {
    body.is_empty().then(|| {
        let text = "The body is empty, and JaaS never signs an empty body: something consumed it earlier, such as a middleware that \
                    logs bodies, or it was not captured. Mount the webhook outside of that middleware, and capture the bytes \
                    as they came. Nothing can be said of the secret.";
        Finding::new(Mistake::BodyMissing, text)
    })
}

fn malformed(problem: &str, header: &str) -> Vec<Finding> {
    let hint = if header.contains(':') { " Pass the value alone, without the header's name." } else { "" };
    let text = format!("{problem}: it must look like t=<seconds>,v1=<base64>.{hint}");
    vec![Finding::new(Mistake::MalformedHeader, text)]
}

/// The elements of a header, split as a receiver splits it.
struct Elements<'a> {
    /// Each value once; there should be only one.
    t: Vec<&'a str>,
    v1: Vec<&'a str>,
}

impl<'a> Elements<'a> {
    fn of(header: &'a str) -> Self {
        let named = header.split(',').filter_map(|element| element.trim().split_once('='));
        let all = |wanted: &'static str| {
            named.clone().filter(move |(name, _)| *name == wanted).map(|(_, value)| value)
        };
        let mut t: Vec<&str> = Vec::new();
        for one in all("t") {
            // Each costs a search, and no sender joins that many.
            if !t.contains(&one) && t.len() < 4 {
                t.push(one);
            }
        }
        Self { t, v1: all("v1").collect() }
    }
}

/// The 32 bytes of a `v1`, however they are written.
fn digest(v1: &str) -> Option<Variant<[u8; 32]>> {
    let bytes = |decoded: Result<Vec<u8>, _>| {
        decoded.ok().and_then(|bytes: Vec<u8>| <[u8; 32]>::try_from(bytes).ok())
    };
    if let Some(digest) = bytes(STANDARD.decode(v1)) {
        return Some(Variant::right(digest));
    }
    if let Some(digest) = from_hex(v1).and_then(|bytes| bytes.try_into().ok()) {
        let text = "`v1` is hex; JaaS writes it in base64. Encode the MAC's bytes with base64, not with hex.";
        return Some(Variant::wrong(digest, Mistake::Hex, text));
    }
    let lost = Finding::new(
        Mistake::PaddingLost,
        "`v1` has lost the `=` at its end, so it is no longer base64. Split each element of the header at its first `=` \
         only.",
    );
    let alphabet = Finding::new(
        Mistake::UrlSafeBase64,
        "`v1` is written with `-` and `_`, the URL-safe alphabet; JaaS uses the standard one, with `+` and `/`.",
    );
    if let Some(value) = bytes(STANDARD_NO_PAD.decode(v1)) {
        return Some(Variant { value, findings: vec![lost] });
    }
    if let Some(value) = bytes(URL_SAFE.decode(v1)) {
        return Some(Variant { value, findings: vec![alphabet] });
    }
    bytes(URL_SAFE_NO_PAD.decode(v1)).map(|value| Variant { value, findings: vec![alphabet, lost] })
}

/// The keys that the secrets may have been turned into.
fn keys(doctor: &Doctor) -> Vec<Variant<Vec<u8>>> {
    let mut keys = Vec::new();
    for (index, secret) in doctor.secrets.iter().enumerate() {
        keys.extend(keys_of(secret, &which("secret", index, doctor.secrets.len())));
    }
    for (index, secret) in doctor.others.iter().enumerate() {
        let which = which("other secret", index, doctor.others.len());
        let finding = Finding::new(
            Mistake::WrongSecret,
            format!(
                "The signature was made with {which}, not with a secret of this endpoint. Each endpoint has its own \
                 secret: take the one shown for the URL that this request was sent to."
            ),
        );
        keys.extend(keys_of(secret, &which).into_iter().map(|mut key| {
            key.findings.insert(0, finding.clone());
            key
        }));
    }
    keys
}

fn which(what: &str, index: usize, of: usize) -> String {
    if of == 1 { format!("the {what}") } else { format!("{what} {} of {of}", index + 1) }
}

fn keys_of(secret: &str, which: &str) -> Vec<Variant<Vec<u8>>> {
    let trimmed = secret.trim();
    let mut keys = vec![Variant::right(trimmed.as_bytes().to_vec())];
    let wrong = |key: &[u8], mistake, text: String| Variant::wrong(key.to_vec(), mistake, text);
    match trimmed.strip_prefix("whsec_") {
        Some(rest) => {
            keys.push(wrong(
                rest.as_bytes(),
                Mistake::PrefixStripped,
                format!(
                    "The signing code removed `whsec_` from {which} first. The prefix belongs to the key: use the whole string."
                ),
            ));
            let decoded = |how| {
                format!(
                    "The signing code decoded {which} from {how} first, as Svix and Standard-Webhooks libraries do. The key is \
                     the text itself, `whsec_` included."
                )
            };
            keys.extend(from_hex(rest).map(|key| wrong(&key, Mistake::KeyDecoded, decoded("hex"))));
            let base64 = STANDARD.decode(rest).or_else(|_| STANDARD_NO_PAD.decode(rest));
            keys.extend(base64.ok().map(|key| wrong(&key, Mistake::KeyDecoded, decoded("base64"))));
        }
        None => keys.push(wrong(
            format!("whsec_{trimmed}").as_bytes(),
            Mistake::PrefixStripped,
            format!("{which} lacks its `whsec_`. The prefix belongs to the key: pass the whole string."),
        )),
    }
    for quote in ['"', '\''] {
        if let Some(bare) = trimmed.strip_prefix(quote).and_then(|rest| rest.strip_suffix(quote)) {
            keys.push(wrong(
                bare.as_bytes(),
                Mistake::QuotesAroundSecret,
                format!(
                    "{which} has quotes around it. Files of environment variables (docker --env-file, systemd) do not remove them \
                     everywhere: write the secret without."
                ),
            ));
        } else {
            keys.push(wrong(
                format!("{quote}{trimmed}{quote}").as_bytes(),
                Mistake::QuotesAroundSecret,
                format!(
                    "Quotes around {which} were taken as part of the key. Write the secret without them."
                ),
            ));
        }
    }
    if trimmed != secret {
        let given = Finding::new(
            Mistake::WhiteSpaceInSecret,
            format!(
                "{which} has white space at an end; the usual cause is a line break at the end of a secrets file. Trim it."
            ),
        );
        for key in &mut keys {
            key.findings.insert(0, given.clone());
        }
        let text = format!(
            "The signing code took the white space at an end of {which} as part of the key. Trim it."
        );
        keys.push(wrong(secret.as_bytes(), Mistake::WhiteSpaceInSecret, text));
    }
    keys
}

struct Time {
    /// The text before the body in the signed bytes.
    prefix: String,
    /// The time it stands for; `None` when `t` is not a number.
    signed_at: Option<Timestamp>,
}

/// What `t` may have been when it was signed. Of several, each counts as one too many.
fn times(t: &str, joined: bool) -> Vec<Variant<Time>> {
    let number: Option<i64> = t.parse().ok();
    let signed_at = number.map(|t| from_millis(t).unwrap_or(Timestamp::from_secs(t)));
    let time = |prefix: String| Time { prefix, signed_at };
    let mut times = Vec::new();
    if number.and_then(from_millis).is_some() {
        let text = "`t` counts milliseconds; it must count seconds, as JaaS writes it. (The body's `timestamp` counts \
                    milliseconds, `t` does not.)";
        times.push(Variant::wrong(time(format!("{t}.")), Mistake::Milliseconds, text));
        let text = "`t` counts milliseconds, but seconds were signed. Write the seconds that were signed.";
        times.push(Variant::wrong(time(format!("{}.", &t[..t.len() - 3])), Mistake::Milliseconds, text));
    } else {
        times.push(Variant::right(time(format!("{t}."))));
        let text =
            "`t` counts seconds, but milliseconds were signed. Sign `t` as it is written in the header.";
        times.push(Variant::wrong(time(format!("{t}000.")), Mistake::Milliseconds, text));
    }
    let text = "The body was signed alone. Sign `t` as written, a dot, and the body.";
    times.push(Variant::wrong(time(String::new()), Mistake::TimestampNotSigned, text));
    if joined {
        let text = "The header holds several signatures with different `t`: two headers were joined into one, and it is not \
                    known which `t` belongs to which `v1`. The one found here is genuine. Look for what adds a second \
                    X-Jaas-Signature on the way, such as a relay that signs again and forwards the old one.";
        let finding = Finding::new(Mistake::HeadersJoined, text);
        times.iter_mut().for_each(|time| time.findings.insert(0, finding.clone()));
    }
    times
}

/// What the body may have been when it was signed.
fn bodies(body: &[u8]) -> Vec<Variant<Vec<u8>>> {
    let mut bodies = vec![Variant::right(body.to_vec())];
    let bare = strip_newlines(body);
    if bare.len() < body.len() {
        let text = "The body ends in a line break that was not signed. An editor or `echo` added it: keep the bytes as they \
                    came.";
        let mut shorter = body;
        while shorter.len() > bare.len() {
            shorter = &shorter[..shorter.len() - 1];
            bodies.push(Variant::wrong(shorter.to_vec(), Mistake::TrailingNewline, text));
        }
    }
    for newline in [&b"\n"[..], b"\r\n"] {
        let text = "The body was signed with a line break at its end, which this one lacks. Sign and send the same bytes.";
        bodies.push(Variant::wrong([body, newline].concat(), Mistake::TrailingNewline, text));
    }
    let mark = b"\xef\xbb\xbf";
    let text = match body.strip_prefix(mark) {
        Some(rest) => {
            let text = "The body begins with a byte order mark that was not signed. An editor or a gateway added it: keep the bytes \
                        as they came.";
            bodies.push(Variant::wrong(rest.to_vec(), Mistake::ByteOrderMark, text));
            "The body was signed with two byte order marks, and this one has one."
        }
        None => {
            "The body was signed with a byte order mark before it, which this one lacks. Some readers of files and requests \
             take it off: sign and check the raw bytes."
        }
    };
    bodies.push(Variant::wrong([&mark[..], body].concat(), Mistake::ByteOrderMark, text));
    let text = "The body is base64, and its bytes were signed. A gateway encodes bodies that it considers binary (AWS API Gateway \
                says so with `isBase64Encoded`): decode it before the receiver gets it, or turn that off.";
    let bare = body.trim_ascii();
    let decoded = STANDARD
        .decode(bare)
        .or_else(|_| STANDARD_NO_PAD.decode(bare))
        .ok()
        .filter(|bytes| !bytes.is_empty());
    bodies.extend(decoded.map(|bytes| Variant::wrong(bytes, Mistake::Base64Body, text)));
    let text = "The body was signed as base64, and this one is decoded. Sign the bytes that are sent, not an encoding of them.";
    bodies.push(Variant::wrong(STANDARD.encode(body).into_bytes(), Mistake::Base64Body, text));
    for (how, text) in rewrite::encodings(body) {
        let explanation = format!(
            "The body was signed {how}. A program decodes and encodes it with a character set other than UTF-8 (getBytes() \
             without one, a default of the platform): take the raw bytes."
        );
        bodies.push(Variant::wrong(text, Mistake::CharacterSet, explanation));
    }
    for (how, text) in rewrite::escapes(body) {
        let explanation = format!(
            "The body was parsed and written again between signing and this check: its `\\u` escapes were signed {how} \
             (`\\u001b` and `\\u001B` are the same character and not the same bytes). Sign and check the raw bytes."
        );
        bodies.push(Variant::wrong(text, Mistake::Reserialised, explanation));
    }
    for (form, text) in rewrite::forms(body) {
        let explanation = format!(
            "The body was parsed and written again ({form}) between signing and this check. Sign and check the raw bytes: \
             take them before any JSON middleware does."
        );
        // The output of `jq` and many editors ends in a line break.
        bodies.push(Variant::wrong(
            format!("{text}\n").into_bytes(),
            Mistake::Reserialised,
            explanation.clone(),
        ));
        bodies.push(Variant::wrong(text.into_bytes(), Mistake::Reserialised, explanation));
    }
    bodies
}

fn strip_newlines(mut bytes: &[u8]) -> &[u8] {
    while let [rest @ .., b'\n' | b'\r'] = bytes {
        bytes = rest;
    }
    bytes
}

fn mac(key: &[u8], prefix: &str, body: &[u8]) -> [u8; 32] {
    // HMAC accepts keys of every length.
    let Ok(mac) = Hmac::<Sha256>::new_from_slice(key) else { return [0; 32] };
    mac.chain_update(prefix).chain_update(body).finalize().into_bytes().into()
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u8>> =
        text.chars().map(|digit| digit.to_digit(16).and_then(|value| u8::try_from(value).ok())).collect();
    let digits = digits.filter(|digits| digits.len() % 2 == 0 && !digits.is_empty())?;
    Some(digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect())
}

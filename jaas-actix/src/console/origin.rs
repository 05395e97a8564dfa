//! Whether a request that changes something comes from the console's own pages.

use actix_web::HttpRequest;
use actix_web::http::header::{HOST, ORIGIN};

/// Whether a browser sent this request from a page of the same origin.
///
/// `Sec-Fetch-Site` decides where there is one: browsers send it over HTTPS, and no page can set it. Without it the host
/// and port of `Origin` must equal `Host`. A request with neither is refused.
pub(crate) fn is_same(request: &HttpRequest) -> bool {
    let headers = request.headers();
    let mut sites = headers.get_all("sec-fetch-site").peekable();
    if sites.peek().is_some() {
        return sites.all(|site| site.as_bytes() == b"same-origin");
    }
    let (Some(origin), Some(host)) = (headers.get(ORIGIN), headers.get(HOST)) else { return false };
    let (Ok(origin), Ok(host)) = (origin.to_str(), host.to_str()) else { return false };
    // `null` has no scheme.
    origin.split_once("://").is_some_and(|(_, from)| !from.is_empty() && from.eq_ignore_ascii_case(host))
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    fn with(headers: &[(&'static str, &'static str)]) -> bool {
        let request =
            headers.iter().fold(TestRequest::post(), |request, header| request.insert_header(*header));
        is_same(&request.to_http_request())
    }

    #[test]
    fn sec_fetch_site_decides_where_there_is_one() {
        assert!(with(&[("sec-fetch-site", "same-origin")]));
        let honest = ("origin", "https://ops.example");
        for site in ["cross-site", "same-site", "none", ""] {
            assert!(!with(&[("sec-fetch-site", site), honest, ("host", "ops.example")]), "{site}");
        }
    }

    #[test]
    fn otherwise_the_origin_must_name_the_host() {
        assert!(with(&[("origin", "http://ops.example:8080"), ("host", "ops.example:8080")]));
        assert!(!with(&[("origin", "http://ops.example"), ("host", "ops.example:8080")]));
        assert!(!with(&[("origin", "null"), ("host", "null")]));
        assert!(!with(&[("origin", "https://"), ("host", "")]));
        assert!(!with(&[("host", "ops.example")]));
        assert!(!with(&[]));
    }
}

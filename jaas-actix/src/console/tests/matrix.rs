//! What holds for every route, by the table of routes.

use actix_web::http::StatusCode;
use actix_web::test::TestRequest;

use super::support::{app, audit, console, events, get, one_dead, send, valid};
use crate::console::Right;
use crate::console::assets::{SCRIPT, STYLE};
use crate::console::routes::{Does, ROUTES};

#[actix_web::test]
async fn strangers_get_an_empty_404_at_every_path() {
    let store = one_dead().await;
    let app = app(console(store.clone())).await;
    let mut requests: Vec<TestRequest> = Vec::new();
    for route in ROUTES {
        requests.push(valid(route));
        requests.push(valid(route).insert_header(("sec-fetch-site", "same-origin")));
        requests.push(TestRequest::post().uri(&format!("/ops/{}?id=1", route.page)));
        requests.push(TestRequest::delete().uri(&format!("/ops/{}", route.page)));
    }
    for path in ["", "/", "/nothing", "/overview/", &format!("/{}", STYLE.name), &format!("/{}", SCRIPT.name)]
    {
        requests.push(TestRequest::get().uri(&format!("/ops{path}")));
    }
    let before = events(&store).await;
    for request in requests {
        let response = send(&app, request).await;
        assert_eq!((response.status, &*response.body), (StatusCode::NOT_FOUND, ""));
        let names: Vec<_> = response.headers.keys().map(ToString::to_string).collect();
        assert_eq!(names, ["cache-control"], "nothing shows that there is a console");
    }
    assert_eq!(events(&store).await, before);
    assert!(audit(&store).await.is_empty());
}

#[actix_web::test]
async fn an_operator_without_a_name_is_nobody() {
    let nobody = |_: &actix_web::HttpRequest| Some(crate::console::Operator::with_every_right(" "));
    let console = crate::console::Console::new(one_dead().await, nobody);
    let response = send(&app(console).await, get("overview")).await;
    assert_eq!((response.status, &*response.body), (StatusCode::NOT_FOUND, ""));
}

#[actix_web::test]
async fn access_that_does_not_respond_lets_nobody_in() {
    struct Hangs;
    #[async_trait::async_trait(?Send)]
    impl crate::console::Access for Hangs {
        async fn operator(&self, _: &actix_web::HttpRequest) -> Option<crate::console::Operator> {
            std::future::pending().await
        }
    }
    let console = crate::console::Console::new(one_dead().await, Hangs);
    let app = app(console.timeout(std::time::Duration::from_millis(5))).await;
    assert_eq!(send(&app, get("overview")).await.status, StatusCode::NOT_FOUND);
}

#[actix_web::test]
async fn a_post_from_elsewhere_is_refused_by_every_act_and_changes_nothing() {
    let store = one_dead().await;
    let app = app(console(store.clone())).await;
    let before = events(&store).await;
    let rights = ("x-rights", super::support::every_right());
    let mut refused = 0;
    for route in ROUTES.iter().filter(|route| route.does == Does::Act) {
        let elsewhere: [&[(&str, &str)]; 5] = [
            &[],
            &[("sec-fetch-site", "cross-site"), ("origin", "https://evil.example"), ("host", "ops.example")],
            &[("sec-fetch-site", "same-site"), ("origin", "https://ops.example"), ("host", "ops.example")],
            &[("origin", "https://evil.example"), ("host", "ops.example")],
            &[("origin", "null"), ("host", "ops.example")],
        ];
        for headers in elsewhere {
            let request =
                headers.iter().fold(valid(route).insert_header(rights.clone()), |request, header| {
                    request.insert_header(*header)
                });
            let response = send(&app, request).await;
            assert_eq!(response.status, StatusCode::FORBIDDEN, "{} {headers:?}", route.page);
            assert!(response.body.contains("does not come from a page of this console"));
            refused += 1;
        }
    }
    assert!(refused > 20);
    assert_eq!(events(&store).await, before);
    assert!(audit(&store).await.is_empty());
}

#[actix_web::test]
async fn the_other_method_is_refused_by_every_route_and_changes_nothing() {
    let store = one_dead().await;
    let app = app(console(store.clone())).await;
    let before = events(&store).await;
    for route in ROUTES {
        let uri = format!("/ops/{}?id=1&reason=why", route.page);
        let (other, allowed) = match route.does {
            Does::Show => (TestRequest::post(), "GET, HEAD"),
            Does::Act => (TestRequest::get(), "POST"),
        };
        let other = other
            .uri(&uri)
            .insert_header(("x-rights", super::support::every_right()))
            .insert_header(("sec-fetch-site", "same-origin"));
        let response = send(&app, other).await;
        assert_eq!(response.status, StatusCode::METHOD_NOT_ALLOWED, "{}", route.page);
        assert_eq!(response.header("allow"), allowed);
    }
    assert_eq!(events(&store).await, before);
    assert!(audit(&store).await.is_empty());
}

#[actix_web::test]
async fn every_route_needs_its_right_and_the_right_to_look() {
    for route in ROUTES {
        for missing in Right::ALL {
            let store = one_dead().await;
            let app = app(console(store.clone())).await;
            let before = events(&store).await;
            let others = Right::ALL.into_iter().filter(|right| *right != missing).map(Right::as_str);
            let rights = others.collect::<Vec<_>>().join(",");
            let request = valid(route).insert_header(("x-rights", rights));
            let response = send(&app, request.insert_header(("sec-fetch-site", "same-origin"))).await;
            let needed = missing == route.right || missing == Right::Look;
            assert_eq!(response.status == StatusCode::FORBIDDEN, needed, "{} without {missing}", route.page);
            if needed {
                assert_eq!(events(&store).await, before);
                assert!(audit(&store).await.is_empty());
                assert!(!response.body.contains("PARTICIPANT_JOINED"), "{} shows an event", route.page);
            }
        }
    }
}

#[actix_web::test]
async fn each_page_offers_only_what_the_operator_may_do() {
    let store = one_dead().await;
    let app = app(console(store.clone()).handlers(super::acts::handlers())).await;
    let group = crate::console::pages::group_of(&store).await;
    let offers = [
        ("event?id=1".to_owned(), Right::Replay, "action=\"confirm-replay\""),
        ("event?id=1".to_owned(), Right::Replay, "action=\"rehearse\""),
        ("event?id=1".to_owned(), Right::Discard, "action=\"confirm-discard\""),
        ("event?id=1".to_owned(), Right::Reveal, "action=\"reveal\""),
        (format!("dead-group?group={group}"), Right::Replay, "Replay the group"),
        (format!("dead-group?group={group}"), Right::Replay, "Rehearse the group"),
        (format!("dead-group?group={group}"), Right::Discard, "Discard the group"),
    ];
    for (page, right, offered) in offers {
        let with = send(&app, get(&page)).await;
        assert!(with.body.contains(offered), "{page} {offered}");
        for rights in ["look".to_owned(), format!("look,{right}")] {
            let response = send(
                &app,
                TestRequest::get().uri(&format!("/ops/{page}")).insert_header(("x-rights", &*rights)),
            )
            .await;
            assert_eq!(response.body.contains(offered), rights.contains(','), "{page} {offered} {rights}");
        }
    }
}

#[test]
fn no_two_routes_have_one_path() {
    let pages: std::collections::BTreeSet<_> = ROUTES.iter().map(|route| route.page).collect();
    assert_eq!(pages.len(), ROUTES.len());
    assert!(pages.iter().all(|page| !page.contains('/')), "links are relative to one segment");
}

//! One request of an operator, and what its page shares with the others.

use std::sync::Arc;
use std::time::Duration;

use actix_web::http::StatusCode;
use askama::Template;
use jaas_core::meetings::MeetingReader;
use jaas_core::settings::SettingsLog;
use jaas_core::store::AuditNote;
use jaas_core::{Clock, Timestamp};

use super::access::{Access, Operator, Right};
use super::assets;
use super::failure::Failure;
#[cfg(feature = "archive")]
use super::files::Files;
use super::params::Params;
use super::shelf::Shelf;
use super::show::{At, cut};

/// How many rows a page lists.
pub(crate) const PAGE: u32 = 50;
/// How long a reason may be, in characters.
const MAX_REASON: usize = 500;

/// What the console was built with.
pub(crate) struct Desk {
    pub(crate) store: Arc<dyn Shelf>,
    pub(crate) access: Arc<dyn Access>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) timeout: Duration,
    pub(crate) settings: Option<Arc<dyn SettingsLog>>,
    pub(crate) meetings: Option<Arc<dyn MeetingReader>>,
    #[cfg(feature = "archive")]
    pub(crate) files: Option<Arc<dyn Files>>,
}

/// One request of an operator.
pub(crate) struct Visit {
    pub(crate) desk: Arc<Desk>,
    pub(crate) operator: Operator,
    /// The name of the page.
    pub(crate) page: &'static str,
    /// The entry of the navigation to which the page belongs.
    pub(crate) tab: &'static str,
    pub(crate) query: Params,
    pub(crate) form: Params,
    pub(crate) now: Timestamp,
}

/// The response to a visit.
#[derive(Debug)]
pub(crate) enum Shown {
    /// A page.
    Page(StatusCode, String),
    /// Another page to look at; a relative link.
    See(String),
}

impl Shown {
    /// A page of this template.
    pub(crate) fn page(template: &impl Template) -> Result<Self, Failure> {
        Ok(Self::Page(StatusCode::OK, template.render()?))
    }
}

/// What is around the content of each page.
#[derive(Debug)]
pub(crate) struct Frame {
    pub(crate) title: String,
    pub(crate) operator: String,
    pub(crate) tabs: Vec<Tab>,
    pub(crate) style: &'static str,
    pub(crate) script: &'static str,
    pub(crate) read_at: At,
    /// The link to the same page with new numbers.
    pub(crate) again: Option<String>,
}

/// An entry of the navigation.
#[derive(Debug)]
pub(crate) struct Tab {
    pub(crate) page: &'static str,
    pub(crate) label: &'static str,
    pub(crate) is_current: bool,
}

impl Visit {
    /// What is around the content of a page that a `GET` shows.
    pub(crate) fn frame(&self, title: impl Into<String>) -> Frame {
        Frame { again: Some(self.query.href(self.page)), ..self.frame_of_result(title) }
    }

    /// What is around the result of a `POST`, which must not be repeated by looking again.
    pub(crate) fn frame_of_result(&self, title: impl Into<String>) -> Frame {
        Frame {
            title: title.into(),
            operator: cut(self.operator.name(), 60),
            tabs: self.tabs(),
            style: &assets::STYLE.name,
            script: &assets::SCRIPT.name,
            read_at: self.at(self.now),
            again: None,
        }
    }

    fn tabs(&self) -> Vec<Tab> {
        let mut tabs = vec![
            ("overview", "Overview"),
            ("inbox", "Inbox"),
            ("dead", "Dead letters"),
            ("quarantine", "Quarantine"),
            ("conflicts", "Conflicts"),
            ("session", "Sessions"),
        ];
        if self.desk.meetings.is_some() {
            tabs.push(("meetings", "Meetings"));
        }
        if self.desk.settings.is_some() {
            tabs.push(("settings", "Settings"));
        }
        #[cfg(feature = "archive")]
        if self.desk.files.is_some() {
            tabs.push(("artifacts", "Artifacts"));
        }
        tabs.push(("audit", "Audit"));
        let tab = |(page, label)| Tab { page, label, is_current: page == self.tab };
        tabs.into_iter().map(tab).collect()
    }

    pub(crate) fn at(&self, at: Timestamp) -> At {
        At::new(at, self.now)
    }

    pub(crate) fn can(&self, right: Right) -> bool {
        self.operator.can(right)
    }

    /// Who acts, and the reason that the form must have.
    pub(crate) fn note(&self) -> Result<AuditNote, Failure> {
        let reason = self.form.get("reason").ok_or_else(|| {
            Failure::request("the form lacks a reason; go back and write why, for those who read the audit")
        })?;
        if reason.chars().count() > MAX_REASON {
            return Err(Failure::request(format!("the reason is longer than {MAX_REASON} characters")));
        }
        Ok(AuditNote::new(self.operator.name().clone(), reason))
    }
}

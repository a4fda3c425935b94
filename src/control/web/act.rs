//! The buttons, and what they do. All of it goes through [`actions`](super::super::actions), as the verbs do.

use std::sync::Arc;

use axum::Form;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use maud::{Markup, html};
use serde::Deserialize;

use super::super::actions::{self, Action};
use super::access::check_form;
use super::page::{Here, Page, Problem};
use super::site::Site;
use super::words::{product_address, shown};

/// A form as it comes back.
#[derive(Debug, Deserialize)]
pub(super) struct Asked {
    #[serde(default)]
    secret: String,
    action: String,
    /// `<dataset>/<product>`.
    id: String,
    /// The page it was on.
    #[serde(default)]
    from: String,
}

/// A button: what it does and what stands on it.
pub(super) type Button = (Action, &'static str);

const fn word(action: Action) -> &'static str {
    match action {
        Action::Fetch => "fetch",
        Action::Refresh => "refresh",
        Action::Cancel => "cancel",
        Action::Evict => "evict",
        Action::Pin => "pin",
        Action::Unpin => "unpin",
    }
}

fn action(word_given: &str) -> Option<Action> {
    use Action::{Cancel, Evict, Fetch, Pin, Refresh, Unpin};
    [Fetch, Refresh, Cancel, Evict, Pin, Unpin].into_iter().find(|action| word(*action) == word_given)
}

/// What is said after it was done.
pub(super) fn done(word_given: &str) -> Option<&'static str> {
    Some(match action(word_given)? {
        Action::Fetch => "The fetch has begun.",
        Action::Refresh => "A newer edition is being fetched; the one that is here is served meanwhile.",
        Action::Cancel => "The fetch is cancelled.",
        Action::Evict => "Deleted from the cache; it can be fetched again.",
        Action::Pin => "Pinned: it is never evicted.",
        Action::Unpin => "Not pinned any more: it may be evicted.",
    })
}

/// A form with buttons for one product. `about` tells those who hear a button without seeing what it stands beside.
pub(super) fn buttons(site: &Site, id: &str, about: Option<&str>, from: &str, buttons: &[Button]) -> Markup {
    html! {
        form.buttons method="post" action="/act" {
            input type="hidden" name="secret" value=(site.form_secret());
            input type="hidden" name="id" value=(id);
            input type="hidden" name="from" value=(from);
            @for (action, label) in buttons {
                button.(word(*action)) data-key={ (word(*action)) " " (id) } name="action" value=(word(*action)) {
                    (label)
                    @if let Some(about) = about { span.heard { " " (shown(about)) } }
                }
            }
        }
    }
}

/// Where the page of a form is.
fn back(from: &str, id: &str) -> String {
    match from {
        "overview" => "/".to_owned(),
        "jobs" => "/jobs".to_owned(),
        "cache" => "/cache".to_owned(),
        _ => product_address(id),
    }
}

/// `POST /act`.
pub(super) async fn act(State(site): State<Arc<Site>>, Form(asked): Form<Asked>) -> Response {
    if let Err(refusal) = check_form(&asked.secret, &site.page.token) {
        let words = refusal.to_string();
        return Problem { status: StatusCode::FORBIDDEN, title: "Refused", words }.framed(&site);
    }
    let Some(action) = action(&asked.action) else {
        let words = "there is no such button".to_owned();
        return Problem { status: StatusCode::BAD_REQUEST, title: "Refused", words }.framed(&site);
    };
    let id = asked.id.clone();
    let doing = Arc::clone(&site).blocking(move |site, vfs| {
        let mut outcomes = actions::act(vfs, &site.mounted.mountpoint, action, std::slice::from_ref(&id));
        outcomes.pop().ok_or_else(|| Problem::local("nothing was done"))
    });
    match doing.await {
        Ok(outcome) if outcome.ok => {
            let place = format!("{}?did={}#told", back(&asked.from, &asked.id), word(action));
            (StatusCode::SEE_OTHER, [(header::LOCATION, place)]).into_response()
        }
        Ok(outcome) => refused(&site, &asked, &outcome.message),
        Err(problem) => problem.framed(&site),
    }
}

fn refused(site: &Site, asked: &Asked, why: &str) -> Response {
    let body = html! {
        h1 { "That was not possible" }
        p.problem role="alert" { (shown(&asked.id)) ": " (shown(why)) }
        p { a href=(back(&asked.from, &asked.id)) { "Back" } }
    };
    let page = Page { title: "Not possible", here: Here::Elsewhere, view: None, told: None, body };
    (StatusCode::CONFLICT, axum::response::Html(page.framed(site).into_string())).into_response()
}

//! What a REST catalog's answer, or the lack of one, means for the call.
//!
//! Iceberg's REST specification, "commitTable": 409 is a conflict; after 500, 502 and 504 the state of
//! the commit is unknown. All else that may pass is unknown, too, once the request was sent: which part of
//! the way answered, and whether the server will still do it, nobody knows.

use reqwest::{StatusCode, Url};

use super::{
    http::{Answer, NoAnswer},
    wire::ErrorAnswer,
};
use crate::catalog::{CatalogError, CommitError};

/// Longest piece of an answer that is shown.
const SHOWN_CHARS_MAX: usize = 500;

/// The status of Iceberg's specification for a session that has expired.
const AUTHENTICATION_TIMEOUT: u16 = 419;

/// Who we are was refused, or is no longer known.
pub(super) fn refuses_us(status: StatusCode) -> bool {
    status == StatusCode::UNAUTHORIZED || status.as_u16() == AUTHENTICATION_TIMEOUT
}

/// The server could not, now.
pub(super) fn may_pass(status: StatusCode) -> bool {
    match status {
        StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY | StatusCode::TOO_MANY_REQUESTS => true,
        StatusCode::NOT_IMPLEMENTED | StatusCode::HTTP_VERSION_NOT_SUPPORTED => false,
        status => status.is_server_error(),
    }
}

/// A place for people: no user, password or parameters.
pub(super) fn place(url: &Url) -> String {
    let mut shown = url.clone();
    let _ = shown.set_username("");
    let _ = shown.set_password(None);
    shown.set_query(None);
    shown.set_fragment(None);
    shown.to_string().trim_end_matches('/').to_owned()
}

/// What an answer says of itself, on one line.
pub(super) fn said(answer: &Answer) -> String {
    if let Some(location) = &answer.location
        && answer.status.is_redirection()
    {
        let place = location
            .parse()
            .map_or_else(|_| location.clone(), |url| place(&url));
        return format!("it sends us to {place}; name the address that answers by itself");
    }
    match error_of(answer) {
        Some(ErrorAnswer { error }) => shortened(&format!("{}: {}", error.kind, error.message)),
        None => shortened(&String::from_utf8_lossy(&answer.body)),
    }
}

/// Iceberg's own error in the answer: the catalog answered, not something before it.
pub(super) fn error_of(answer: &Answer) -> Option<ErrorAnswer> {
    serde_json::from_slice(&answer.body).ok()
}

/// Text of others, on one line, cut where it is long.
pub(super) fn shortened(text: &str) -> String {
    let line: String = text
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(SHOWN_CHARS_MAX)
        .collect();
    let line = line.trim();
    if line.is_empty() {
        return "it says nothing more".to_owned();
    }
    line.to_owned()
}

/// There is no such table or namespace, says the catalog itself: not a proxy before it, and not
/// of the warehouse or catalog as a whole.
pub(super) fn says_gone(answer: &Answer) -> bool {
    let whole = |kind: &str| {
        ["warehouse", "catalog", "project", "prefix", "endpoint"]
            .iter()
            .any(|word| kind.to_ascii_lowercase().contains(word))
    };
    answer.status == StatusCode::NOT_FOUND
        && error_of(answer).is_some_and(|error| !whole(&error.error.kind))
}

/// A reading call that failed.
pub(super) fn read_error(catalog: &str, failure: NoAnswer) -> CatalogError {
    let catalog = catalog.to_owned();
    match failure {
        NoAnswer::Unusable(reason) | NoAnswer::TooLong(reason) => {
            CatalogError::Rejected { catalog, reason }
        }
        NoAnswer::NotSent(reason) | NoAnswer::Lost(reason) => {
            CatalogError::Unavailable { catalog, reason }
        }
    }
}

/// A reading call that was answered with no success.
pub(super) fn read_refusal(catalog: &str, answer: &Answer) -> CatalogError {
    let catalog = catalog.to_owned();
    let reason = format!(
        "{}: {}{}",
        answer.status,
        said(answer),
        advice(answer.status)
    );
    if may_pass(answer.status) {
        CatalogError::Unavailable { catalog, reason }
    } else {
        CatalogError::Rejected { catalog, reason }
    }
}

fn advice(status: StatusCode) -> &'static str {
    match status {
        StatusCode::UNAUTHORIZED => "; see the credentials",
        StatusCode::FORBIDDEN => "; grant who we are the right to",
        StatusCode::NOT_FOUND => "; see the catalog's address and warehouse",
        _ => "",
    }
}

/// A changing call that has no answer.
pub(super) fn commit_error(catalog: &str, failure: NoAnswer) -> CommitError {
    match failure {
        NoAnswer::Unusable(reason) => {
            CommitError::Rejected(format!("failed to use catalog {catalog}: {reason}"))
        }
        NoAnswer::NotSent(reason) => {
            CommitError::NotSent(format!("failed to reach catalog {catalog}: {reason}"))
        }
        NoAnswer::Lost(reason) | NoAnswer::TooLong(reason) => {
            CommitError::Unknown(format!("{catalog}: {reason}"))
        }
    }
}

/// A changing call that was answered with no success. `renewed`: the next one will be by a new token.
pub(super) fn commit_refusal(catalog: &str, answer: &Answer, renewed: bool) -> CommitError {
    let status = answer.status;
    let reason = format!("{catalog} answers {status}: {}", said(answer));
    match status {
        StatusCode::CONFLICT => CommitError::Conflict(reason),
        // Read again, it is found to be gone.
        _ if says_gone(answer) => CommitError::Conflict(reason),
        _ if refuses_us(status) && renewed => CommitError::NotSent(reason),
        // The usual answer to a form: it was done, see there.
        StatusCode::SEE_OTHER => CommitError::Unknown(reason),
        _ if may_pass(status) || status.is_informational() || status.is_success() => {
            CommitError::Unknown(reason)
        }
        _ => CommitError::Rejected(format!("{reason}{}", advice(status))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, body: &str) -> Answer {
        Answer {
            status: StatusCode::from_u16(status).unwrap(),
            body: body.to_owned().into(),
            retry_after: None,
            location: None,
        }
    }

    #[test]
    fn what_each_status_means_for_a_commit() {
        for (status, meaning) in [
            (400, "Rejected"),
            (401, "Rejected"),
            (403, "Rejected"),
            (404, "Rejected"),
            (405, "Rejected"),
            (406, "Rejected"),
            (408, "Unknown"),
            (409, "Conflict"),
            (413, "Rejected"),
            (419, "Rejected"),
            (422, "Rejected"),
            (425, "Unknown"),
            (429, "Unknown"),
            (500, "Unknown"),
            (501, "Rejected"),
            (502, "Unknown"),
            (503, "Unknown"),
            (504, "Unknown"),
            (507, "Unknown"),
            (599, "Unknown"),
            (202, "Unknown"),
            (301, "Rejected"),
            (302, "Rejected"),
            (303, "Unknown"),
            (307, "Rejected"),
            (308, "Rejected"),
        ] {
            let error = commit_refusal("c", &answer(status, "x"), false);
            let name = format!("{error:?}");
            assert!(name.starts_with(meaning), "{status}: {name}");
        }
        let error = commit_refusal("c", &answer(401, "x"), true);
        assert!(matches!(error, CommitError::NotSent(_)), "{error:?}");
    }

    #[test]
    fn only_the_catalog_s_own_word_makes_a_table_gone() {
        let model =
            |kind: &str| format!(r#"{{"error":{{"message":"m","type":"{kind}","code":404}}}}"#);
        for (body, gone) in [
            (model("NoSuchTableException"), true),
            (model("NoSuchNamespaceException"), true),
            (model("NotFoundException"), true),
            (model("NoSuchWarehouseException"), false),
            (model("CatalogNotFound"), false),
            ("<html>404</html>".to_owned(), false),
            (String::new(), false),
        ] {
            assert_eq!(says_gone(&answer(404, &body)), gone, "{body}");
        }
        assert!(!says_gone(&answer(500, &model("NoSuchTableException"))));
    }

    #[test]
    fn what_is_shown_is_short_and_on_one_line() {
        let text = said(&answer(500, &"a\nb\u{1b}[31m".repeat(1_000)));
        assert!(text.chars().count() <= SHOWN_CHARS_MAX);
        assert!(!text.contains(char::is_control));
        assert_eq!(said(&answer(500, " ")), "it says nothing more");
        let url = "https://u:hush@h:1/a?token=hush#hush".parse().unwrap();
        assert_eq!(place(&url), "https://h:1/a");
    }
}

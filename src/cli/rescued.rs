//! The rescued column's text: `{"<path>": {"value": …, "reason": "…"}}`, a list of those under a path
//! that occurs more than once.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;

/// One value that found no place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RescuedValue {
    /// Where it was in its record.
    pub(crate) path: String,
    pub(crate) reason: String,
    /// Its JSON text, as it was.
    pub(crate) value: String,
}

/// The values in one row's text; `None` where it is none of ours.
pub(crate) fn rescued_values(text: &str) -> Option<Vec<RescuedValue>> {
    #[derive(Deserialize)]
    struct Found<'t> {
        reason: String,
        #[serde(borrow)]
        value: &'t RawValue,
    }
    let paths: BTreeMap<String, &RawValue> = serde_json::from_str(text).ok()?;
    let mut values = Vec::with_capacity(paths.len());
    for (path, found) in paths {
        let list: Vec<Found<'_>> = match serde_json::from_str(found.get()) {
            Ok(one) => vec![one],
            Err(_) => serde_json::from_str(found.get()).ok()?,
        };
        values.extend(list.into_iter().map(|one| RescuedValue {
            path: path.clone(),
            reason: one.reason,
            value: one.value.get().to_owned(),
        }));
    }
    Some(values)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_keep_their_text() {
        let text = r#"{"a":{"value":12345678901234567890123.50,"reason":"inexact"},"b":[{"value":"x","reason":"unknown_field"},{"value":{"c":[]},"reason":"duplicate_key"}]}"#;
        let found: Vec<_> = rescued_values(text)
            .unwrap()
            .into_iter()
            .map(|one| (one.path, one.reason, one.value))
            .collect();
        let expected = [
            ("a", "inexact", "12345678901234567890123.50"),
            ("b", "unknown_field", "\"x\""),
            ("b", "duplicate_key", "{\"c\":[]}"),
        ];
        assert_eq!(
            found,
            expected.map(|(path, reason, value)| (path.into(), reason.into(), value.into()))
        );
    }

    #[test]
    fn other_text_is_none_of_ours() {
        assert_eq!(rescued_values("hello"), None);
        assert_eq!(rescued_values("[1]"), None);
        assert_eq!(rescued_values(r#"{"a":1}"#), None);
        assert_eq!(rescued_values("{}"), Some(Vec::new()));
    }
}

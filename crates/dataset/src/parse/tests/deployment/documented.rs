//! `docs/deployment-file.md` has every key, and its examples are right.

use super::*;

const PAGE: &str = include_str!("../../../../../../docs/deployment-file.md");

/// The part of the page that is about a section: from the line that begins with its name to the next such line.
fn part(section: &str) -> &'static str {
    let name = format!("`[{section}]`");
    let is_heading = |line: &str| line.trim_start_matches("### ").starts_with("`[");
    let mut from = None;
    let mut at = 0;
    for line in PAGE.split_inclusive('\n') {
        if let Some(from) = from
            && is_heading(line)
        {
            return &PAGE[from..at];
        }
        if line.trim_start_matches("### ").starts_with(&name) {
            from = Some(at);
        }
        at += line.len();
    }
    &PAGE[from.unwrap_or(at)..]
}

#[test]
fn every_key_is_documented_where_it_belongs() {
    for (section, key) in crate::parse::deployment::all_keys() {
        let shown = format!("`{key}`");
        assert!(
            part(section).contains(&shown),
            "{shown} is not under `[{section}]` in docs/deployment-file.md"
        );
    }
}

#[test]
fn examples_are_right() {
    let mut examples = 0;
    for example in PAGE.split("```toml\n").skip(1) {
        let (example, _) = example.split_once("```").expect("an example ends");
        let read = read(example, &[]);
        assert!(read.is_ok(), "{example}\n{read:?}");
        examples += 1;
    }
    assert!(examples >= 8, "{examples}");
}

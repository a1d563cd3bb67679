use super::*;

fn regex(text: &str) -> String {
    Pattern::regex(text).unwrap().regex
}

#[test]
fn what_varies_outside_of_named_groups_is_a_group_of_its_own() {
    let gap = |number: u32, text: &str| format!("(?P<__unnamed{number}>{text})");
    for (text, expected) in [
        (r"^(?P<a>\d+) ok - (?P<b>.*)$", None),
        (r"(?P<a>\d+)\s+=*(?P<b>x)", None),
        (
            r"\d+-\d+ (?P<a>x)",
            Some(format!(r"{} (?P<a>x)", gap(0, r"\d+-\d+"))),
        ),
        (
            r"^(?:INFO|WARN) (?P<a>x).*",
            Some(format!(
                r"^{} (?P<a>x){}",
                gap(0, "(?:INFO|WARN)"),
                gap(1, ".*")
            )),
        ),
        (
            r"(?:(?P<a>x)|none)(?: of \d)?",
            Some(format!(
                r"(?:(?P<a>x)|{}){}",
                gap(0, "none"),
                gap(1, r"(?: of \d)?")
            )),
        ),
        (
            r"a(?i)\w(?P<a>x)",
            Some(format!(r"a(?i){}(?P<a>x)", gap(0, r"\w"))),
        ),
        (
            r"(\w) (?P<a>x)",
            Some(format!(r"{} (?P<a>x)", gap(0, r"(\w)"))),
        ),
    ] {
        assert_eq!(regex(text), expected.unwrap_or(text.to_owned()), "{text}");
    }
}

#[test]
fn what_does_not_do_says_why_and_where() {
    for (text, at, message) in [
        (r"(?P<a>\d+", 0, "unclosed group"),
        (r"\d+", 0, "it names no field"),
        (
            r"x(?P<a>\w)+",
            1,
            "the group `a` is repeated, and only its last round would be kept",
        ),
        (
            r"(?P<a>x)(?=y)",
            8,
            "look-around, including look-ahead and look-behind, is not supported",
        ),
        (r"(?P<a>\p{Nonsense})", 0, "Unicode property not found"),
    ] {
        let error = Pattern::regex(text).unwrap_err();
        assert!(error.message.contains(message), "{text}: {}", error.message);
        assert_eq!(error.at, at, "{text}");
    }
}

#[test]
fn grok_is_a_regular_expression_with_its_fields() {
    let pattern = Pattern::grok("%{COMBINEDAPACHELOG}", &[]).unwrap();
    assert_eq!(
        pattern.names(),
        [
            "clientip",
            "ident",
            "auth",
            "timestamp",
            "verb",
            "request",
            "httpversion",
            "rawrequest",
            "response",
            "bytes",
            "referrer",
            "agent"
        ]
    );
    let pattern = Pattern::grok(
        "%{TWO:[source][ip]:int} %{WORD}",
        &[("TWO", "%{INT}-%{INT}")],
    );
    assert_eq!(pattern.unwrap().names(), ["source.ip", UNNAMED]);
    for (text, at, message) in [
        ("a %{NUMBR:x}", 2, "there is no pattern `NUMBR`"),
        ("%{INT:x", 0, "`%{` has no `}`"),
        ("%{INT:x:date}", 0, "`date` is no type"),
        ("a%{SELF:x}", 1, "refers to itself"),
        ("%{INT}", 0, "it names no field"),
    ] {
        let error = Pattern::grok(text, &[("SELF", "a%{SELF}")]).unwrap_err();
        assert!(error.message.contains(message), "{text}: {}", error.message);
        assert_eq!(error.at, at, "{text}");
    }
}

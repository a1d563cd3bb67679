//! Lines of text with a time at their beginning, as programs write them, become a regular expression: after the time come
//! a level, numbers, brackets and a logger, in any order, for as long as nearly all lines have them, and then a message.

use regex::Regex;

use super::times::SHAPES;

/// The share of lines that have to be alike.
const ALIKE_MIN: f64 = 0.99;

/// Fields between the time and the message.
const TOKENS_MAX: usize = 6;

/// What may stand between two fields.
const SEPARATORS: [&str; 9] = [" - ", " ", " +", ": ", ", ", r" \| ", r"\|", ":", r"\t"];

const LEVELS: &str = "(?i:trace|debug|info(?:rmation)?|notice|warn(?:ing)?|err(?:or)?|crit(?:ical)?|alert|emerg|fatal|severe|fine|finer|finest|config|verbose|panic)";

/// What may come next: a field's name, what stands before it, the field itself, and what stands behind it.
struct Token {
    name: &'static str,
    before: &'static str,
    field: &'static str,
    behind: &'static str,
}

const fn token(
    name: &'static str,
    before: &'static str,
    field: &'static str,
    behind: &'static str,
) -> Token {
    Token {
        name,
        before,
        field,
        behind,
    }
}

/// In the order in which they are tried; each is taken once.
const TOKENS: [Token; 11] = [
    token("level", "", LEVELS, ""),
    token("level", r"\[", LEVELS, r"\]"),
    token("level", r"\[", r"[a-z_0-9]*:?\w+", r"\]"),
    token("level", "<", LEVELS, ">"),
    token("level", "", "[VDIWEF]", ""),
    token("thread", r"\[", ".*?", r"\] -"),
    token("thread", r"\[", r"[^\]]*", r"\]"),
    token("pid", "", r"\d+", ""),
    token("tid", "", r"\d+", ""),
    token("source", r"\(", r"[^)]*", r"\)"),
    token("logger", "", r"[A-Za-z_$][\w.$/@-]*(?:\[\d+\])?", ":"),
];

/// What a line begins with that begins with a time, where lines without one follow some of them, as stack traces do.
pub(super) fn starts(lines: &[&str]) -> Option<String> {
    let first = lines.first()?;
    SHAPES.iter().find_map(|time| {
        [r"", r"\[", "<"].into_iter().find_map(|before| {
            let start = format!("^{before}{}", time.shape);
            let regex = Regex::new(&start).ok()?;
            let count = lines.iter().filter(|line| regex.is_match(line)).count();
            (regex.is_match(first) && count > 1 && count * 20 >= lines.len()).then_some(start)
        })
    })
}

/// The pattern that most of the lines have in common; `None` where they do not begin with a time.
pub(super) fn find(lines: &[&str]) -> Option<String> {
    let alike = |lines: &[&str], pattern: &str| {
        let regex = Regex::new(pattern).ok()?;
        let all = lines.len();
        let alike = lines.iter().filter(|line| regex.is_match(line)).count();
        (alike as f64 >= ALIKE_MIN * all as f64).then_some(())
    };
    let mut pattern = SHAPES.iter().find_map(|time| {
        [
            ("", ""),
            (r"\[", r"\]"),
            ("<", ">"),
            (r"(?P<origin>\S+) ", ""),
        ]
        .into_iter()
        .find_map(|(before, behind)| {
            let pattern = format!("^{before}(?P<time>{}){behind}", time.shape);
            alike(lines, &format!("{pattern}(?:\\W|$)"))?;
            Some(pattern)
        })
    })?;
    let mut taken = vec!["time"];
    for _ in 0..TOKENS_MAX {
        let next = TOKENS.iter().find_map(|token| {
            if taken.contains(&token.name) {
                return None;
            }
            SEPARATORS.iter().find_map(|separator| {
                let Token {
                    name,
                    before,
                    field,
                    behind,
                } = token;
                let longer = format!("{pattern}{separator}{before}(?P<{name}>{field}){behind}");
                alike(lines, &format!("{longer}(?:[\\s|,:-]|$)"))?;
                // Levels that the sample does not show are levels, too.
                Some((longer.replace(LEVELS, "[A-Za-z]+"), *name))
            })
        });
        let Some((longer, name)) = next else { break };
        pattern = longer;
        taken.push(name);
    }
    let separator = SEPARATORS
        .iter()
        .chain(&[""])
        .find(|separator| alike(lines, &format!("{pattern}{separator}")).is_some())?;
    pattern.push_str(separator);
    pattern.push_str("(?P<message>.*)$");
    Some(pattern)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_is_what_lines_have_in_common() {
        for (line, expected) in [
            (
                "2015-07-29 17:41:44,747 - INFO  [QuorumPeer[myid=1]/0:0:0@774] - Notification time out: 3200",
                vec!["time", "level", "thread", "message"],
            ),
            (
                "081109 203615 148 INFO dfs.DataNode$PacketResponder: PacketResponder 1 for block",
                vec!["time", "pid", "level", "logger", "message"],
            ),
            (
                "[Sun Dec 04 04:47:44 2005] [notice] workerEnv.init() ok",
                vec!["time", "level", "message"],
            ),
            (
                "03-17 16:13:38.811  1702  2395 D WindowManager: printFreezing",
                vec!["time", "pid", "tid", "level", "logger", "message"],
            ),
            (
                "2015-10-18 18:01:47,978 INFO [main] org.apache.hadoop.mapreduce: Created",
                vec!["time", "level", "thread", "logger", "message"],
            ),
        ] {
            let found = find(&[line; 3]).unwrap();
            let regex = Regex::new(&found).unwrap();
            let names: Vec<_> = regex.capture_names().flatten().collect();
            assert_eq!(names, expected, "{found}");
            assert_eq!(
                regex.captures(line).unwrap().get(0).unwrap().len(),
                line.len()
            );
        }
        assert!(find(&["no time in it"]).is_none());
    }
}

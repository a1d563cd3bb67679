//! Paths, folders and patterns.

use super::{super::Remedy, *};

fn tree() -> Files {
    Files::with(&[
        ("/logs/b.log", b"b"),
        ("/logs/a.log", b"a"),
        ("/logs/.hidden.log", b"h"),
        ("/logs/note.txt", b"n"),
        ("/logs/old/a.log", b"oa"),
        ("/logs/old/deep/c.log", b"oc"),
        ("/logs/x[1].log", b"x"),
    ])
}

fn names(given: &[&str]) -> Vec<String> {
    let files = expansion(&tree(), given).unwrap().files;
    files
        .iter()
        .map(|path| path.to_str().unwrap().to_owned())
        .collect()
}

#[test]
fn a_folder_gives_its_own_files_by_name_without_hidden_ones() {
    assert_eq!(
        names(&["/logs"]),
        [
            "/logs/a.log",
            "/logs/b.log",
            "/logs/note.txt",
            "/logs/x[1].log"
        ]
    );
}

#[test]
fn patterns_match_names_and_depths() {
    assert_eq!(names(&["/logs/?.log"]), ["/logs/a.log", "/logs/b.log"]);
    assert_eq!(names(&["/logs/[b-z].log"]), ["/logs/b.log"]);
    assert_eq!(names(&["/*/old/*"]), ["/logs/old/a.log"]);
    assert_eq!(names(&["/logs/.*"]), ["/logs/.hidden.log"]);
    assert_eq!(
        names(&["/logs/**/a.log"]),
        ["/logs/a.log", "/logs/old/a.log"]
    );
    assert_eq!(
        names(&["/logs/old/**"]),
        ["/logs/old/a.log", "/logs/old/deep/c.log"]
    );
    assert_eq!(names(&["/logs/**/*.log"]).len(), 5);
}

#[test]
fn a_path_that_exists_is_no_pattern() {
    assert_eq!(names(&["/logs/x[1].log"]), ["/logs/x[1].log"]);
}

#[test]
fn a_file_that_is_given_twice_is_read_once() {
    assert_eq!(
        names(&["/logs/b.log", "/logs", "/logs/./b.log"])[0],
        "/logs/b.log"
    );
    assert_eq!(names(&["/logs/b.log", "/logs", "/logs/./b.log"]).len(), 4);
}

#[test]
fn file_urls_are_paths_and_other_schemes_are_named() {
    assert_eq!(names(&["file:///logs/a.log"]), ["/logs/a.log"]);
    let error = expansion(&tree(), &["s3://in/*.csv"]).unwrap_err();
    assert_eq!(error.remedy(), Remedy::Usage);
    assert!(
        error.to_string().contains("s3:// is not supported yet"),
        "{error}"
    );
}

#[test]
fn each_mistake_is_named_and_is_the_users() {
    let cases = [
        ("/logs/none.log", "no such file or folder"),
        ("/logs/*.csv", "no file matches"),
        ("/none/*.csv", "no file matches"),
        ("/logs/old/deep/../deep/[", "no such file"),
        ("/logs/a**b*", "not a valid pattern"),
    ];
    for (given, message) in cases {
        let error = expansion(&tree(), &[given]).unwrap_err();
        assert!(
            error.to_string().contains(message) || given.ends_with('['),
            "{given}: {error}"
        );
        assert!(error.to_string().contains(given), "{given}: {error}");
        assert_eq!(error.remedy().exit_code(), 2, "{given}");
    }
}

#[test]
fn a_folder_without_files_says_where_they_may_be() {
    let files = Files::with(&[("/logs/old/a.log", b"a"), ("/logs/.git/x", b"x")]);
    let error = expansion(&files, &["/logs"]).unwrap_err();
    assert!(
        matches!(
            error,
            SourceError::EmptyFolder {
                subfolders: true,
                ..
            }
        ),
        "{error}"
    );
    assert!(error.to_string().contains("FOLDER/**/*"), "{error}");
}

#[test]
fn a_folder_without_permission_is_named() {
    let files = tree();
    files.deny("/logs/old");
    for given in ["/logs/old", "/logs/**/*.log"] {
        let error = expansion(&files, &[given]).unwrap_err();
        assert!(
            error.to_string().contains("/logs/old: permission denied"),
            "{error}"
        );
        assert!(error.to_string().contains("right to enter it"), "{error}");
        assert_eq!(error.remedy(), Remedy::Usage);
    }
}

#[test]
fn what_was_given_covers_what_it_would_match() {
    let covers = |given: &str, path: &str| {
        expansion(&tree(), &[given])
            .unwrap()
            .covers(Path::new(path))
    };
    assert!(covers("/logs", "/logs/gone.log"));
    assert!(!covers("/logs", "/logs/old/gone.log"));
    assert!(!covers("/logs", "/logs/.gone"));
    assert!(covers("/logs/*.log", "/logs/gone.log"));
    assert!(covers("logs/*.log", "/logs/gone.log"));
    assert!(!covers("/logs/*.log", "/logs/gone.txt"));
    assert!(covers("/logs/**/*.log", "/logs/old/deep/gone.log"));
    assert!(covers("/logs/a.log", "/logs/a.log"));
    assert!(!covers("/logs/a.log", "/logs/b.log"));
}

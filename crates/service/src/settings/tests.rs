use std::fs;

use frazil_dataset::{Connection, SecretReference};

use super::*;

/// A working folder with these files, and these variables.
fn environment(
    files: &[(&str, &str)],
    variables: &[(&str, &str)],
) -> (tempfile::TempDir, Environment) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for (path, text) in files {
        let path = folder.path().join(path);
        fs::create_dir_all(path.parent().expect("it has a parent")).expect("make its folder");
        fs::write(path, text).expect("write a file");
    }
    let environment = Environment {
        working_folder: folder.path().to_owned(),
        variables: variables
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect(),
    };
    (folder, environment)
}

/// The message, with `W` for the working folder.
fn message<T: std::fmt::Debug>(
    result: Result<T, SettingsError>,
    environment: &Environment,
) -> String {
    let folder = environment.working_folder.display().to_string();
    result
        .expect_err("it is an error")
        .to_string()
        .replace(&folder, "W")
}

fn address_in(environment: &Environment, scheme: &str, rest: &str) -> String {
    format!("{scheme}{}/{rest}", environment.working_folder.display())
}

const COLUMNS: &str = "columns = [{ name = \"a\", type = \"string\" }]";

#[test]
fn without_a_file_the_embedded_catalog_lies_under_the_data_folder() {
    let (_folder, environment) = environment(&[], &[]);
    let settings = Settings::load_from(&environment, None, None).expect("nothing is wrong");
    let catalog = settings.catalog(None).expect("the embedded default");
    assert_eq!(
        catalog.connection.uri(),
        address_in(&environment, "sqlite:", "frazil-data/catalog.db")
    );
    assert_eq!(
        catalog.warehouse,
        Some(address_in(&environment, "file://", "frazil-data/warehouse"))
    );
    assert!(catalog.embedded);
    assert_eq!(settings.file, None);
}

#[test]
fn the_data_folder_is_the_flags_then_the_variables() {
    let (_folder, environment) = environment(&[], &[("FRAZIL_DATA_DIR", "from-variable/")]);
    let uri = |data_dir: Option<&str>| {
        let settings = Settings::load_from(&environment, None, data_dir.map(Path::new))
            .expect("nothing is wrong");
        settings
            .catalog(None)
            .expect("the embedded default")
            .connection
            .uri()
    };
    assert_eq!(
        uri(None),
        address_in(&environment, "sqlite:", "from-variable/catalog.db")
    );
    assert_eq!(
        uri(Some("./flag/.")),
        address_in(&environment, "sqlite:", "flag/catalog.db")
    );
    assert_eq!(uri(Some("/data dir")), "sqlite:/data dir/catalog.db");
    assert_eq!(uri(Some("a/../b")), {
        let folder = environment.working_folder.join("a");
        // The folder `a` is not there, so nothing but its name is taken off.
        format!(
            "sqlite:{}",
            folder.with_file_name("b").join("catalog.db").display()
        )
    });
}

#[test]
fn addresses_are_absolute_and_in_one_form() {
    for (uri, warehouse, expected_uri, expected_warehouse) in [
        (
            "sqlite:/d/c.db",
            "file:///d/w/",
            "sqlite:/d/c.db",
            "file:///d/w",
        ),
        (
            "sqlite:///d/c.db",
            "file:/d/w",
            "sqlite:/d/c.db",
            "file:///d/w",
        ),
        ("sqlite:c.db", "w", "sqlite:W/c.db", "file://W/w"),
        ("sqlite://c.db", "./w", "sqlite:W/c.db", "file://W/w"),
    ] {
        let text = format!("[catalog]\nuri = \"{uri}\"\nwarehouse = \"{warehouse}\"\n");
        let (_folder, environment) = environment(&[("frazil.toml", &text)], &[]);
        let settings = Settings::load_from(&environment, None, None).expect("nothing is wrong");
        let catalog = settings.catalog(None).expect("it is there");
        let shown =
            |text: &str| text.replace(&environment.working_folder.display().to_string(), "W");
        assert_eq!(
            (
                shown(&catalog.connection.uri()).as_str(),
                shown(&catalog.warehouse.expect("it has one")).as_str()
            ),
            (expected_uri, expected_warehouse)
        );
        assert!(!catalog.embedded);
    }
}

#[test]
fn the_deployment_file_is_the_flags_then_the_variables_then_the_working_folders() {
    let of =
        |name: &str| format!("[catalog]\nuri = \"sqlite:/{name}.db\"\nwarehouse = \"/{name}\"\n");
    let files = [
        ("frazil.toml", of("own")),
        ("flag.toml", of("flag")),
        ("variable.toml", of("variable")),
    ];
    let files = files.each_ref().map(|(path, text)| (*path, text.as_str()));
    let uri = |environment: &Environment, config: Option<&str>| {
        let settings = Settings::load_from(environment, config.map(Path::new), None)
            .expect("nothing is wrong");
        settings
            .catalog(None)
            .expect("it is there")
            .connection
            .uri()
    };
    let (_folder, with) = environment(&files, &[("FRAZIL_CONFIG", "variable.toml")]);
    assert_eq!(uri(&with, Some("flag.toml")), "sqlite:/flag.db");
    assert_eq!(uri(&with, None), "sqlite:/variable.db");
    let (_folder, without) = environment(&files, &[("FRAZIL_CONFIG", "")]);
    assert_eq!(uri(&without, None), "sqlite:/own.db");
}

#[test]
fn a_variable_alone_moves_the_catalog() {
    let (_folder, environment) = environment(&[], &[("FRAZIL_CATALOG__URI", "sqlite:/c.db")]);
    let settings = Settings::load_from(&environment, None, Some(Path::new("/data")))
        .expect("nothing is wrong");
    let catalog = settings.catalog(None).expect("it is there");
    assert_eq!(
        (
            catalog.connection.uri().as_str(),
            catalog.warehouse.as_deref()
        ),
        ("sqlite:/c.db", Some("file:///data/warehouse"))
    );
    assert!(!catalog.embedded);
}

#[test]
fn what_is_wrong_with_a_deployment() {
    let text = "[catalog]\nuri = \"sqlite:/c.db\"\n[catalogs.main]\nuri = \"sqlite:/m.db\"\nwarehouse = \"/m\"\n";
    let (_folder, environment) =
        environment(&[("half.toml", text), ("odd.toml", "[catalogs]")], &[]);
    let load =
        |config: Option<&str>| Settings::load_from(&environment, config.map(Path::new), None);
    assert_eq!(
        message(load(Some("none.toml")), &environment),
        "there is no deployment file `none.toml` in W, as --config says"
    );
    assert_eq!(
        message(load(Some("half.toml")), &environment),
        "half.toml:1:2: `[catalog]` has no `warehouse`\n  help: `warehouse = \"file:///data/warehouse\"`, or the \
         variable `FRAZIL_CATALOG__WAREHOUSE`"
    );
    let settings = load(None).expect("there is none");
    assert_eq!(
        message(settings.catalog(Some("main")), &environment),
        "there is no catalog `main`: `[catalogs.main]` is not in frazil.toml, since there is no such file"
    );
    assert!(load(Some("odd.toml")).is_ok());
    let settings = Settings::load_from(&environment, None, Some(Path::new("/50%")))
        .expect("nothing is wrong yet");
    assert_eq!(
        message(settings.catalog(None), &environment),
        "the path /50%/catalog.db cannot be written in a catalog's or table's address: it is not UTF-8, or holds one \
         of % ? #"
    );
}

#[test]
fn catalogs_have_names() {
    let text = "[catalogs.main]\nuri = \"postgresql://me@db/m\"\nwarehouse = \"/m\"\ncredential = { env = \"X\" }\n";
    let (_folder, environment) = environment(&[("frazil.toml", text)], &[]);
    let settings = Settings::load_from(&environment, None, None).expect("nothing is wrong");
    assert!(
        settings
            .catalog(None)
            .expect("the embedded default")
            .embedded
    );
    let main = settings.catalog(Some("main")).expect("it is there");
    assert_eq!(
        (main.connection.uri().as_str(), main.embedded),
        ("postgresql://me@db/m", false)
    );
    let Connection::Postgres(postgres) = main.connection else {
        panic!("{main:?}");
    };
    assert_eq!(
        postgres.credential,
        Some(SecretReference::Variable("X".to_owned()))
    );
    assert_eq!(
        message(settings.catalog(Some("mian")), &environment),
        "there is no catalog `mian`: `[catalogs.mian]` is not in frazil.toml\n  help: did you mean `main`?"
    );
}

#[test]
fn a_server_has_the_warehouse_that_it_is_given() {
    for (uri, warehouse, expected) in [
        ("thrift://m", "s3://lake/w/", Some("s3://lake/w")),
        ("thrift://m", "hdfs://ns/w", Some("hdfs://ns/w")),
        ("postgresql://db/lake", "file:/w", Some("file:///w")),
        ("postgresql://db/lake", "w", Some("file://W/w")),
        ("sqlite:/c.db", "gs://lake", Some("gs://lake")),
        ("https://c", "lake", Some("lake")),
        ("https://c", "s3://lake/", Some("s3://lake/")),
        ("https://c", "", None),
    ] {
        let mut text = format!("[catalog]\nuri = \"{uri}\"\n");
        if !warehouse.is_empty() {
            text = format!("{text}warehouse = \"{warehouse}\"\n");
        }
        let (_folder, environment) = environment(&[("frazil.toml", &text)], &[]);
        let settings = Settings::load_from(&environment, None, None).expect("nothing is wrong");
        let catalog = settings.catalog(None).expect("it is there");
        let folder = environment.working_folder.display().to_string();
        let shown = catalog.warehouse.map(|one| one.replace(&folder, "W"));
        assert_eq!(shown.as_deref(), expected, "{uri} {warehouse}");
    }
}

#[test]
fn datasets_are_paths_or_names() {
    let named = format!("dataset = \"shop\"\n{COLUMNS}");
    let files = [
        ("schemas/web.toml", COLUMNS),
        ("schemas/other.toml", &named),
        ("else/x.toml", COLUMNS),
        ("plain", COLUMNS),
    ];
    let (folder, environment) = environment(&files, &[]);
    let absolute = folder.path().join("else/x.toml").display().to_string();
    for (argument, name) in [
        ("web", "web"),
        ("schemas/web.toml", "web"),
        ("./schemas/web.toml", "web"),
        ("other", "shop"),
        ("shop", "shop"),
        ("else/x.toml", "x"),
        (absolute.as_str(), "x"),
        ("./plain", "plain"),
    ] {
        assert_eq!(
            environment
                .load_dataset(argument)
                .map(|dataset| dataset.name),
            Ok(name.to_owned()),
            "{argument}"
        );
    }
    let files = environment.dataset_files().expect("the folder is there");
    assert_eq!(
        files,
        [
            Path::new("schemas/other.toml"),
            Path::new("schemas/web.toml")
        ]
    );
}

#[test]
fn a_dataset_that_is_not_there() {
    let (_folder, full) = environment(
        &[
            ("schemas/web.toml", COLUMNS),
            ("schemas/lines.toml", "colums = 1"),
            ("schemas/notes.md", "x"),
        ],
        &[],
    );
    for (argument, expected) in [
        (
            "wbe",
            "there is no dataset `wbe`: looked for wbe.toml in W/schemas\n  help: did you mean `web`?",
        ),
        (
            "zebra",
            "there is no dataset `zebra`: looked for zebra.toml in W/schemas\n  help: datasets there: lines, web",
        ),
        (
            "schemas/web",
            "there is no file `schemas/web` in W\n  help: did you mean `schemas/web.toml`?",
        ),
        (
            "schemas/wbe.toml",
            "there is no file `schemas/wbe.toml` in W\n  help: did you mean `schemas/web.toml`?",
        ),
        (
            "x/y.toml",
            "there is no file `x/y.toml` in W\n  help: dataset files: schemas/lines.toml, schemas/web.toml",
        ),
        ("./schemas", "`./schemas` is a folder, not a dataset file"),
        ("", "a dataset has no empty name"),
    ] {
        assert_eq!(
            message(full.load_dataset(argument), &full),
            expected,
            "{argument}"
        );
    }
    let (_folder, empty) = environment(&[], &[]);
    assert_eq!(
        message(empty.load_dataset("web"), &empty),
        "there is no dataset `web`: looked for web.toml in W/schemas\n  help: a dataset is a file in `schemas/`: \
         `frazil init SAMPLE` writes one, or give its path"
    );
    assert_eq!(
        message(empty.load_dataset("a.toml"), &empty),
        "there is no file `a.toml` in W"
    );
}

#[test]
fn a_dataset_file_that_is_wrong() {
    let (folder, environment) =
        environment(&[("schemas/web.toml", "colums = 1\ncolumns = 1")], &[]);
    assert_eq!(
        message(environment.load_dataset("web"), &environment),
        "schemas/web.toml:1:1: unknown key `colums`\n  help: did you mean `columns`?\nschemas/web.toml:2:11: `columns` \
         takes an array of tables, one a column, not an integer"
    );
    fs::write(folder.path().join("bytes.toml"), b"a = 1\nb = \xff").expect("write a file");
    assert_eq!(
        message(environment.load_dataset("bytes.toml"), &environment),
        "W/bytes.toml:2: the file is not UTF-8 (byte 10)"
    );
    fs::write(
        folder.path().join("large.toml"),
        vec![b'#'; FILE_BYTES_MAX + 1],
    )
    .expect("write a file");
    assert_eq!(
        message(environment.load_dataset("large.toml"), &environment),
        "W/large.toml is larger than 4194304 bytes, so it is no definition"
    );
}

#[test]
fn the_processs_own_environment_is_read() {
    let environment = Environment::of_process().expect("tests run in a folder");
    assert!(environment.working_folder.is_absolute());
    assert!(
        environment
            .variables
            .keys()
            .all(|name| name.starts_with("FRAZIL_"))
    );
}

//! The machine's own files.

use std::{fs, os::unix::fs::symlink};

use super::{
    super::{LocalFileSystem, Remedy, expand as expand_local},
    *,
};

fn given(path: &Path) -> Vec<String> {
    vec![path.to_str().unwrap().to_owned()]
}

#[test]
fn a_folder_is_found_identified_and_read() {
    let folder = tempfile::tempdir().unwrap();
    let content = lines("a", 0..1000);
    fs::write(folder.path().join("a.log"), &content).unwrap();
    fs::write(
        folder.path().join("a.gz"),
        pack(Compression::Gzip, &content),
    )
    .unwrap();
    fs::create_dir(folder.path().join("sub")).unwrap();
    symlink("a.log", folder.path().join("link.log")).unwrap();
    symlink("nowhere", folder.path().join("dangling.log")).unwrap();
    let expansion = expand_local(&given(folder.path()), &LocalFileSystem).unwrap();
    assert_eq!(expansion.files.len(), 3);
    let plan = identify_files(&expansion, Table::default().known(), 0, &LocalFileSystem).unwrap();
    assert_eq!((plan.read.len(), plan.copies.len()), (1, 2));
    let options = ReadOptions {
        compute: Compute::Inline,
        ..ReadOptions::default()
    };
    let mut reader = SourceReader::open_file(Arc::new(LocalFileSystem), &plan.read[0], options);
    let block = block_on(reader.next_block()).unwrap().unwrap();
    assert_eq!(block.records.len(), 1000);
    assert!(block_on(reader.next_block()).unwrap().is_none());
}

#[test]
fn a_folder_that_leads_into_itself_is_named() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("sub")).unwrap();
    fs::write(folder.path().join("sub/a.log"), "a\n").unwrap();
    symlink("..", folder.path().join("sub/up")).unwrap();
    let pattern = folder.path().join("**/*.log");
    let error = expand_local(&given(&pattern), &LocalFileSystem).unwrap_err();
    assert!(matches!(error, SourceError::FolderLoop { .. }), "{error}");
    assert_eq!(error.remedy(), Remedy::Usage);
    // A link that leads to itself.
    symlink("self", folder.path().join("self")).unwrap();
    let error = expand_local(&given(&folder.path().join("self")), &LocalFileSystem).unwrap_err();
    assert!(matches!(error, SourceError::Unreadable { .. }), "{error}");
}

#[test]
fn a_file_in_place_of_a_folder_is_named() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("a.log"), "a\n").unwrap();
    let error = expand_local(&given(&folder.path().join("a.log/b")), &LocalFileSystem).unwrap_err();
    assert!(
        error.to_string().to_lowercase().contains("not a directory"),
        "{error}"
    );
    assert_eq!(error.remedy(), Remedy::Usage);
}

#[test]
fn a_device_is_no_file() {
    let error = expand_local(&["/dev/null".to_owned()], &LocalFileSystem).unwrap_err();
    assert!(error.to_string().contains("--from -"), "{error}");
}

#[test]
fn the_working_folder_is_where_relative_paths_begin() {
    let expansion = expand_local(&["Cargo.*".to_owned()], &LocalFileSystem).unwrap();
    assert!(expansion.files.contains(&PathBuf::from("Cargo.toml")));
    let absolute = std::path::absolute("Cargo.gone").unwrap();
    assert!(expansion.covers(&absolute));
    let expansion = expand_local(&["./Cargo.toml".to_owned()], &LocalFileSystem).unwrap();
    assert!(expansion.covers(&std::path::absolute("Cargo.toml").unwrap()));
}

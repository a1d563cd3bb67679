//! What names may look like.
//!
//! Datasets, tables and namespaces become folder names, catalog rows, topic and metric labels, so
//! they keep to what all of those take. Columns may be named in any script, but not with what
//! Spark, Hive or Iceberg's own nested names (`a.b`) trip over.

/// Leaves room for `__dead_letters` within the 128 characters of Hive Metastore's names.
const NAME_BYTES_MAX: usize = 100;
/// Hive Metastore and PostgreSQL-backed tools cut or refuse longer ones.
const COLUMN_NAME_BYTES_MAX: usize = 128;
/// The end of the names of dead-letter tables, which a dataset's own table may not take.
pub(crate) const DEAD_LETTERS_SUFFIX: &str = "__dead_letters";

/// Names that Iceberg keeps for its metadata columns (specification, "Reserved Field IDs").
const RESERVED_COLUMNS: [&str; 12] = [
    "_file",
    "_pos",
    "_deleted",
    "_spec_id",
    "_partition",
    "_row_id",
    "_last_updated_sequence_number",
    "_change_type",
    "_change_ordinal",
    "_commit_snapshot_id",
    "_rank",
    "_committed_at",
];

/// Checks the name of a dataset, a table, a namespace level or a catalog.
pub(crate) fn check_name(name: &str) -> Result<(), String> {
    if name.is_empty() {
        return Err("is empty".to_owned());
    }
    if name.len() > NAME_BYTES_MAX {
        return Err(format!(
            "is {} characters long, of at most {NAME_BYTES_MAX}",
            name.len()
        ));
    }
    if let Some(odd) = name
        .chars()
        .find(|c| !c.is_ascii_alphanumeric() && *c != '_' && *c != '-')
    {
        return Err(format!(
            "holds {}; names are of letters, digits, `_` and `-`",
            shown(odd)
        ));
    }
    if name.starts_with('-') {
        return Err("begins with `-`, as a flag does".to_owned());
    }
    Ok(())
}

/// Checks the name of a column or of a struct's field.
pub(crate) fn check_column_name(name: &str) -> Result<(), String> {
    if name.is_empty() {
        return Err("is empty".to_owned());
    }
    if name.len() > COLUMN_NAME_BYTES_MAX {
        return Err(format!(
            "is {} bytes long, of at most {COLUMN_NAME_BYTES_MAX}",
            name.len()
        ));
    }
    if let Some(odd) = name.chars().find(|c| is_odd_in_column(*c)) {
        return Err(format!(
            "holds {}, which engines do not take in a column's name",
            shown(odd)
        ));
    }
    if RESERVED_COLUMNS.contains(&name.to_lowercase().as_str()) {
        return Err("is reserved by Iceberg".to_owned());
    }
    Ok(())
}

/// The nearest name that a column may have; the fields of a record are found under it all the same.
pub(crate) fn mend_column_name(name: &str) -> Option<String> {
    let mended: String = name
        .chars()
        .map(|c| if is_odd_in_column(c) { '_' } else { c })
        .collect();
    check_column_name(&mended).is_ok().then_some(mended)
}

/// The nearest name that a dataset or table may have.
pub(crate) fn mend_name(name: &str) -> Option<String> {
    let keep = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    let mended: String = name
        .chars()
        .map(|c| if keep(c) { c } else { '_' })
        .collect();
    let mended = mended.trim_start_matches('-');
    check_name(mended).is_ok().then(|| mended.to_owned())
}

fn is_odd_in_column(c: char) -> bool {
    c.is_control() || c.is_whitespace() || ".,;:(){}<>=`'\"/\\".contains(c)
}

fn shown(c: char) -> String {
    match c {
        ' ' => "a space".to_owned(),
        '`' => "a backtick".to_owned(),
        c if c.is_control() || c.is_whitespace() => format!("U+{:04X}", c as u32),
        c => format!("`{c}`"),
    }
}

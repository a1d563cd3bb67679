//! What a procedure has done, for people and machines.

use frazil_cli::{
    Context,
    output::{Align, Grid, Output, byte_size, counted, grouped},
};
use frazil_maintenance::report::Report;
use serde_json::Value;

/// Tells it.
pub(super) fn report(report: &Report, context: &Context, out: &mut Output) -> anyhow::Result<()> {
    if context.json {
        return out.json(report);
    }
    let mut grid = Grid::new(&[
        ("", Align::Left),
        ("data files", Align::Right),
        ("size", Align::Right),
        ("rows", Align::Right),
    ]);
    let rows = [
        (
            "before",
            report.files_before,
            report.bytes_before,
            report.rows_before,
        ),
        (
            "after",
            report.files_after,
            report.bytes_after,
            report.rows_after,
        ),
    ];
    for (when, files, bytes, rows) in rows {
        grid.row([
            when.to_owned(),
            grouped(files),
            byte_size(bytes),
            grouped(rows),
        ]);
    }
    let verb = match (report.dry_run, report.committed) {
        (true, _) => "nothing was changed, as this was a dry run",
        (false, true) => "committed",
        (false, false) => "there was nothing to commit",
    };
    out.line(format!("{} of {}: {verb}", report.command, report.table))?;
    grid.print(out)?;
    for line in lines(report) {
        out.line(line)?;
    }
    for left in &report.left_alone {
        out.line(format!("left alone: {left}"))?;
    }
    Ok(())
}

/// What only this procedure has to say.
fn lines(report: &Report) -> Vec<String> {
    let number = |key: &str| report.details.get(key).and_then(Value::as_u64);
    let would = if report.dry_run { "would be " } else { "" };
    let mut lines = Vec::new();
    match report.command.as_str() {
        "expire-snapshots" => {
            lines.push(format!(
                "{} {would}expired, {} kept; {} {would}deleted",
                counted(number("snapshots_expired").unwrap_or(0), "snapshot"),
                grouped(number("snapshots_after").unwrap_or(0)),
                counted(report.files_deleted, "file"),
            ));
            if let Some(left) = number("files_left").filter(|left| *left > 0) {
                lines.push(format!(
                    "{} would no longer be needed",
                    counted(left, "file")
                ));
            }
            if let Some(pending) = number("files_pending").filter(|pending| *pending > 0) {
                lines.push(format!(
                    "{} no longer needed: a run after the grace period deletes them",
                    counted(pending, "file")
                ));
            }
        }
        "rewrite-data-files" => {
            let added = match number("files_added") {
                Some(added) if !report.dry_run => format!(" as {}", grouped(added)),
                _ => String::new(),
            };
            lines.push(format!(
                "{} {would}rewritten{added}, in {}",
                counted(number("files_rewritten").unwrap_or(0), "file"),
                counted(number("groups").unwrap_or(0), "group"),
            ));
        }
        _ => {}
    }
    lines
}

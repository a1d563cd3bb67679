//! What is wrong with a file, and where.

/// One mistake in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// The line, from 1; 0 where the whole file is meant.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
    /// What is wrong.
    pub message: String,
    /// What to do: the nearest known key, the type's name here, an example.
    pub help: Option<String>,
}

/// All mistakes of one file, in the order of their lines; never empty.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.render())]
pub struct Diagnostics {
    /// The file's path, as the user gave it.
    pub file: String,
    /// The mistakes.
    pub list: Vec<Diagnostic>,
}

impl Diagnostics {
    /// `file:line:column: message` a line, its help below.
    pub fn render(&self) -> String {
        let mut text = String::new();
        for one in &self.list {
            use std::fmt::Write as _;
            if !text.is_empty() {
                text.push('\n');
            }
            let _ = write!(text, "{}:{}:{}: {}", self.file, one.line, one.column, one.message);
            if let Some(help) = &one.help {
                let _ = write!(text, "\n  help: {help}");
            }
        }
        text
    }
}

//! What is wrong with a file, and where.

/// One mistake in a file, or in an environment variable that stands for one of its keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// The line, from 1; 0 where the whole file is meant, or a variable.
    pub line: usize,
    /// The column in characters, from 1; 0 with line 0.
    pub column: usize,
    /// The environment variable that holds the mistake, where no place in the file does.
    pub variable: Option<String>,
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
    /// `file:line:column: message` a line, its help below; `VARIABLE: message` for those of the environment.
    pub fn render(&self) -> String {
        let mut text = String::new();
        for one in &self.list {
            use std::fmt::Write as _;
            if !text.is_empty() {
                text.push('\n');
            }
            let _ = match (&one.variable, one.line) {
                (Some(variable), _) => write!(text, "{variable}: {}", one.message),
                (None, 0) => write!(text, "{}: {}", self.file, one.message),
                (None, line) => {
                    write!(text, "{}:{line}:{}: {}", self.file, one.column, one.message)
                }
            };
            if let Some(help) = &one.help {
                let _ = write!(text, "\n  help: {help}");
            }
        }
        text
    }
}

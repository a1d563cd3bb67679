//! Real servers, run by the scripts in `tests/stack`.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    path::Path,
    process::{Child, ChildStdout, Command, Stdio},
};

use serde_json::Value;

/// A running server. It stops when this is dropped, or when the process that holds it ends.
#[derive(Debug)]
pub(crate) struct Stack {
    script: Child,
    output: BufReader<ChildStdout>,
    /// Its addresses, as the script tells them.
    pub(crate) addresses: Value,
}

impl Stack {
    /// Starts a server, which the script installs where it is not there yet, and waits until it is ready.
    pub(crate) fn start(name: &str, arguments: &[&str]) -> Self {
        // The workspace's folder is this package's, or above it.
        let package = Path::new(env!("CARGO_MANIFEST_DIR"));
        let folders = package.ancestors().map(|folder| folder.join("tests/stack"));
        let folder = folders.into_iter().find(|folder| folder.is_dir()).unwrap();
        let script = folder.join(name);
        let mut script = Command::new(script)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let output = BufReader::new(script.stdout.take().unwrap());
        let mut stack = Self {
            script,
            output,
            addresses: Value::Null,
        };
        stack.read_addresses(name);
        stack
    }

    /// Starts a server again that was killed, where its script can. It has the addresses that it had.
    pub(crate) fn restart(&mut self) {
        let input = self.script.stdin.as_mut().unwrap();
        input.write_all(b"restart\n").unwrap();
        self.read_addresses("");
    }

    /// Has a server's script do something that it has a word for, and waits until it is done.
    #[allow(dead_code, reason = "only tests of brokers ask for it")]
    pub(crate) fn command(&mut self, word: &str) {
        let input = self.script.stdin.as_mut().unwrap();
        writeln!(input, "{word}").unwrap();
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        assert_eq!(line.trim(), format!("{{\"done\": \"{word}\"}}"));
    }

    fn read_addresses(&mut self, name: &str) {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        self.addresses = serde_json::from_str(&line)
            .unwrap_or_else(|_| panic!("tests/stack/{name} did not start: see its output above"));
    }

    /// One of its addresses.
    pub(crate) fn address(&self, key: &str) -> &str {
        self.addresses[key].as_str().unwrap()
    }

    /// One of its numbers.
    pub(crate) fn number(&self, key: &str) -> u64 {
        self.addresses[key].as_u64().unwrap()
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        drop(self.script.stdin.take());
        let _ = self.script.wait();
    }
}

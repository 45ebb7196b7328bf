//! What goes to standard output: tables for people, JSON and YAML for programs.

mod table;
mod time;

use std::io::{self, IsTerminal, Write};

use clap::ValueEnum;
use serde::Serialize;

pub use table::Table;
pub use time::{age, clock};

/// The form of an answer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    #[default]
    Text,
    /// For programs.
    Json,
    /// For both.
    Yaml,
}

/// Shows an answer. `text` writes it for people.
///
/// # Errors
/// When standard output is closed.
pub fn show<T: Serialize + ?Sized>(
    format: Format,
    value: &T,
    text: impl FnOnce() -> String,
) -> io::Result<()> {
    let text = match format {
        Format::Text => text(),
        Format::Json => serde_json::to_string_pretty(value).map_err(io::Error::other)? + "\n",
        Format::Yaml => serde_yaml_ng::to_string(value).map_err(io::Error::other)?,
    };
    write(&text)
}

/// Shows one item of an endless answer: a line for people, a line of JSON, a YAML document.
///
/// # Errors
/// When standard output is closed.
pub fn show_item<T: Serialize + ?Sized>(
    format: Format,
    value: &T,
    text: impl FnOnce() -> String,
) -> io::Result<()> {
    let text = match format {
        Format::Text => text(),
        Format::Json => serde_json::to_string(value).map_err(io::Error::other)? + "\n",
        Format::Yaml => {
            format!("---\n{}", serde_yaml_ng::to_string(value).map_err(io::Error::other)?)
        }
    };
    write(&text)
}

/// Prints one line.
pub fn line(text: &str) {
    block(&format!("{text}\n"));
}

/// Prints text as it is. A reader that went away is not an error of ours.
pub fn block(text: &str) {
    if write(text).is_err() {
        tracing::debug!("nobody reads the output any more");
    }
}

/// Prints text over what was printed before: `lines` of it, on a terminal, where lines that are too
/// long are cut. Elsewhere it is printed below.
pub fn redraw(text: &str, lines: usize) {
    if !io::stdout().is_terminal() {
        return block(text);
    }
    let up = if lines > 0 { format!("\u{1b}[{lines}A\u{1b}[J") } else { String::new() };
    // A line that wraps would be two to the terminal, and one to us.
    block(&format!("{up}\u{1b}[?7l{text}\u{1b}[?7h"));
}

/// Writes text as it is.
///
/// # Errors
/// When standard output is closed.
pub fn write(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}

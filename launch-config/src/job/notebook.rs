//! Notebooks as scripts: what a job made from a notebook runs.
//!
//! Code cells follow each other, other text becomes comments. Lines for a shell (`!pip …`)
//! are dropped, since packages are installed beforehand; a notebook's own commands
//! (`%matplotlib inline`, `%%bash`) are no Python and become comments.

use serde_json::Value;

/// Why a document is not a notebook.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a notebook: it has no list of `cells`")]
#[non_exhaustive]
pub struct NotANotebook;

const END: &str = ".ipynb";

/// Whether a file is a notebook by its name.
pub fn is_notebook(name: &str) -> bool {
    name.strip_suffix(END).is_some()
}

/// The script's name for a notebook's: `.py` instead of `.ipynb`.
pub fn script_name(notebook: &str) -> String {
    let stem = notebook.strip_suffix(END).unwrap_or(notebook);
    format!("{stem}.py")
}

/// Makes a script of a notebook.
///
/// ```
/// use launch_config::job::notebook::to_script;
/// use serde_json::json;
///
/// let cell = json!({"cell_type": "code", "source": ["!pip install x\n", "print(1)"]});
/// let script = to_script(&json!({"cells": [cell]}))?;
/// assert!(script.ends_with("# In[ ]:\n\nprint(1)\n"));
/// # Ok::<(), launch_config::job::notebook::NotANotebook>(())
/// ```
///
/// # Errors
/// [`NotANotebook`].
pub fn to_script(notebook: &Value) -> Result<String, NotANotebook> {
    let cells = notebook.get("cells").and_then(Value::as_array);
    let mut script = "#!/usr/bin/env python\n# coding: utf-8\n".to_owned();
    for cell in cells.ok_or(NotANotebook)? {
        let text = text_of(&cell["source"]);
        match cell["cell_type"].as_str() {
            Some("code") => code(&cell["execution_count"], &text, &mut script),
            Some("markdown") => comment(&text, &mut script),
            _ => {}
        }
    }
    Ok(script)
}

/// A text, or a list of lines that keep their ends.
fn text_of(source: &Value) -> String {
    match source {
        Value::String(text) => text.clone(),
        Value::Array(lines) => lines.iter().filter_map(Value::as_str).collect(),
        _ => String::new(),
    }
}

fn comment(text: &str, script: &mut String) {
    script.push('\n');
    for line in text.lines() {
        script.push_str(&format!("# {line}\n"));
    }
}

fn code(count: &Value, text: &str, script: &mut String) {
    let count = count
        .as_u64()
        .map_or_else(|| " ".to_owned(), |count| count.to_string());
    script.push_str(&format!("\n# In[{count}]:\n\n"));
    if text.trim_start().starts_with("%%") {
        // The whole cell is for another program.
        return comment(text, script);
    }
    let mut inside = Inside::default();
    for line in text.lines() {
        let is_statement = inside.is_nothing();
        inside.read(line);
        if line.starts_with('!') {
            continue;
        }
        if is_statement && is_command(line.trim_start()) {
            inside = Inside::default();
            let (indent, command) = line.split_at(line.len() - line.trim_start().len());
            // An indented one may be all there is of a block.
            let pass = if indent.is_empty() { "" } else { "pass  " };
            script.push_str(&format!("{indent}{pass}# {command}\n"));
        } else {
            script.push_str(&format!("{line}\n"));
        }
    }
}

/// `%name …`, `!program …`, `?name`, `name?`: what only a notebook understands.
fn is_command(line: &str) -> bool {
    let mut chars = line.chars();
    match chars.next() {
        Some('%') => chars.next().is_some_and(|c| c.is_alphabetic() || c == '%'),
        Some('!' | '?') => true,
        _ => line.trim_end().ends_with('?') && !line.contains(['#', '"', '\'']),
    }
}

/// Whether the next line continues a bracket or a text: then `%` is an operator there, or
/// just text.
#[derive(Debug, Default)]
struct Inside {
    brackets: usize,
    quote: Option<&'static str>,
}

const QUOTES: [&str; 4] = ["\"\"\"", "'''", "\"", "'"];

impl Inside {
    fn is_nothing(&self) -> bool {
        self.brackets == 0 && self.quote.is_none()
    }

    fn read(&mut self, line: &str) {
        let mut rest = line;
        while let Some(c) = rest.chars().next() {
            let opened = QUOTES.into_iter().find(|quote| rest.starts_with(quote));
            let mut length = c.len_utf8();
            match (self.quote, opened) {
                (_, _) if c == '\\' => {
                    length += rest[length..].chars().next().map_or(0, char::len_utf8);
                }
                (Some(open), _) if rest.starts_with(open) => {
                    self.quote = None;
                    length = open.len();
                }
                (Some(_), _) => {}
                (None, Some(quote)) => {
                    self.quote = Some(quote);
                    length = quote.len();
                }
                (None, None) if c == '#' => break,
                (None, None) => self.bracket(c),
            }
            rest = &rest[length..];
        }
        // A plain text ends with its line.
        self.quote = self.quote.filter(|quote| quote.len() == 3);
    }

    fn bracket(&mut self, c: char) {
        match c {
            '(' | '[' | '{' => self.brackets += 1,
            ')' | ']' | '}' => self.brackets = self.brackets.saturating_sub(1),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn script(source: &str) -> String {
        let cell = json!({"cell_type": "code", "execution_count": 2, "source": source});
        let script = to_script(&json!({ "cells": [cell] })).unwrap();
        script.split_once("# In[2]:\n\n").unwrap().1.to_owned()
    }

    #[test]
    fn commands_become_comments_and_shell_lines_go() {
        assert_eq!(
            script("!ls\n%matplotlib inline\nx = 1"),
            "# %matplotlib inline\nx = 1\n"
        );
        assert_eq!(
            script("if x:\n    %time f()\n"),
            "if x:\n    pass  # %time f()\n"
        );
        assert_eq!(script("%%bash\nrm x"), "\n# %%bash\n# rm x\n");
        assert_eq!(script("?print\nprint?"), "# ?print\n# print?\n");
    }

    #[test]
    fn a_percent_sign_inside_a_text_or_a_bracket_is_kept() {
        for code in [
            "x = (a\n%b)\n",
            "x = '''\n%s\n'''\n",
            "x = f(\"(\")\ny = 1 % x\n",
            "x = [ # (\n%y]\n",
        ] {
            assert_eq!(script(code), code);
        }
        assert_eq!(script("x = '('\n%time y"), "x = '('\n# %time y\n");
    }

    #[test]
    fn what_is_no_notebook_is_refused() {
        assert!(to_script(&json!({"cells": 1})).is_err());
        assert_eq!(script_name("nb/a.ipynb"), "nb/a.py");
    }

    proptest! {
        #[test]
        fn no_cell_panics(source in "[a-z%!?'\"\\\\(\n é]{0,40}") {
            let _ = script(&source);
        }
    }
}

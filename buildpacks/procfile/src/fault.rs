//! What can be wrong with a line of the Procfile, and how the place is shown.

use crate::name::ProcessNameError;

/// What is wrong with a line. Columns count characters from 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// There is no `:`.
    NoColon {
        /// Behind the last character.
        column: usize,
    },
    /// What stands before the first `:` is no process type.
    Name {
        /// The character that is wrong.
        column: usize,
        /// Why.
        error: ProcessNameError,
    },
    /// Nothing follows the `:`.
    NoCommand {
        /// Behind the colon.
        column: usize,
    },
}

impl Fault {
    /// The place in the line.
    pub fn column(&self) -> usize {
        match self {
            Self::NoColon { column } | Self::Name { column, .. } | Self::NoCommand { column } => {
                *column
            }
        }
    }

    /// One clause.
    pub fn reason(&self) -> String {
        match self {
            Self::NoColon { .. } => "there is no ':' after a process type".to_owned(),
            Self::Name { error, .. } => error.to_string(),
            Self::NoCommand { .. } => "no command follows the ':'".to_owned(),
        }
    }
}

/// A line longer than this is shown from shortly before the fault.
const SHOWN: usize = 100;

/// The line with a caret below the column. Tabs become blanks so that the caret stands right.
pub(crate) fn excerpt(line: usize, text: &str, column: usize) -> String {
    let skip = if column > SHOWN {
        column - SHOWN / 2
    } else {
        0
    };
    let shown: String = text
        .chars()
        .skip(skip)
        .take(SHOWN)
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    let number = line.to_string();
    let margin = " ".repeat(number.len());
    let caret = " ".repeat(column - 1 - skip);
    format!("{number} | {}\n{margin} | {caret}^", shown.trim_end())
}

#[cfg(test)]
mod tests {
    use super::excerpt;

    #[test]
    fn excerpt_of_a_long_line() {
        let text = format!("{}é{}", "a".repeat(500), "b".repeat(500));
        let shown = excerpt(7, &text, 501);
        assert!(
            shown.lines().all(|line| line.chars().count() < 120),
            "{shown}"
        );
        let lines: Vec<Vec<char>> = shown.lines().map(|line| line.chars().collect()).collect();
        let caret = lines[1].iter().position(|&c| c == '^').expect("a caret");
        assert_eq!(lines[0][caret], 'é');
    }
}

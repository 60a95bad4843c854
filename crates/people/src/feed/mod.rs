//! The HR feed: one file with everybody in it, as CSV or as a JSON array (docs/hr-feed.md).
//!
//! The reading is strict, line by line. A line that is wrong in anything takes no effect and is named
//! with its column and the reason; it never keeps another line from being read, so it cannot hide a
//! termination. For the same reason a quoted field ends on its line.

mod check;
mod csv;
mod json;
mod row;

use std::collections::BTreeSet;
use std::fmt;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::limits;

pub use row::Row;

/// How a delivery is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// RFC 4180 with a header row, without line breaks in fields.
    Csv,
    /// An array of objects.
    Json,
}

impl Format {
    /// By the ending of a file's name: `.csv` or `.json`.
    pub fn of(path: &Path) -> Option<Format> {
        match path.extension()?.to_str()? {
            "csv" => Some(Format::Csv),
            "json" => Some(Format::Json),
            _ => None,
        }
    }
}

/// What a delivery says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Feed {
    /// The good lines, in order.
    pub rows: Vec<Row>,
    /// What is wrong with the others, in order; at most [`limits::PROBLEMS_MAX`].
    pub problems: Vec<Problem>,
    /// How many problems there are.
    pub problem_count: usize,
    /// How many lines there are, header and empty ones apart.
    pub lines: usize,
}

impl Feed {
    /// True if a line is wrong: then nobody joins or moves.
    pub fn is_damaged(&self) -> bool {
        self.problem_count > 0
    }

    fn report(&mut self, problem: Problem) {
        self.problem_count += 1;
        if self.problems.len() < limits::PROBLEMS_MAX {
            self.problems.push(problem);
        }
    }
}

/// What is wrong with a line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// The line of the file, from 1. In JSON the line on which the element begins.
    pub line: usize,
    /// The column by name, where it is about one.
    pub column: Option<String>,
    /// Why.
    pub reason: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.column {
            Some(column) => write!(f, "line {}, `{column}`: {}", self.line, self.reason),
            None => write!(f, "line {}: {}", self.line, self.reason),
        }
    }
}

/// Why a whole delivery takes no effect.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refused {
    /// Nobody is in it. That is an error, and never "everybody left".
    #[error("the file is empty: nobody is in it")]
    Empty,
    /// The header, or what stands in its place.
    #[error("{0}")]
    Header(Problem),
    /// Too many lines.
    #[error("the file has more than {max} lines")]
    TooManyRows {
        /// The limit.
        max: usize,
    },
    /// Too many bytes.
    #[error("the file has more than {max} bytes")]
    TooLarge {
        /// The limit.
        max: usize,
    },
}

/// Reads a delivery.
///
/// # Errors
/// It is no delivery at all. What is wrong with single lines is in [`Feed::problems`].
pub fn parse(bytes: &[u8], format: Format) -> Result<Feed, Refused> {
    if bytes.len() > limits::FEED_MAX_BYTES {
        return Err(Refused::TooLarge { max: limits::FEED_MAX_BYTES });
    }
    // Spreadsheets put a byte-order mark in front.
    let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Err(Refused::Empty);
    }
    let records = match format {
        Format::Csv => csv::records(bytes)?,
        Format::Json => json::records(bytes)?,
    };
    if records.is_empty() {
        return Err(Refused::Empty);
    }
    let mut feed = Feed { lines: records.len(), ..Feed::default() };
    // Ids of wrong lines too: who reports to somebody there has a known manager.
    let mut named = BTreeSet::new();
    for record in records {
        match record {
            Ok(record) => {
                named.extend(record.get(Column::PersonId).map(str::to_owned));
                match row::read(&record) {
                    Ok(row) => feed.rows.push(row),
                    Err(problems) => problems.into_iter().for_each(|p| feed.report(p)),
                }
            }
            Err(problem) => feed.report(problem),
        }
    }
    check::across(&mut feed, &named);
    feed.problems.sort_by_key(|problem| problem.line);
    Ok(feed)
}

/// A column, in the order in which the documentation shows them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Column {
    PersonId,
    UserName,
    DisplayName,
    Email,
    Employment,
    State,
    Manager,
    Team,
    JobCode,
    CostCenter,
    ValidUntil,
    Nda,
    Policy,
    TrainingUntil,
    Screening,
}

impl Column {
    /// Every column with its name. The last four may be left out.
    const ALL: [(Column, &'static str); 15] = [
        (Column::PersonId, "person_id"),
        (Column::UserName, "user_name"),
        (Column::DisplayName, "display_name"),
        (Column::Email, "email"),
        (Column::Employment, "employment"),
        (Column::State, "state"),
        (Column::Manager, "manager"),
        (Column::Team, "team"),
        (Column::JobCode, "job_code"),
        (Column::CostCenter, "cost_center"),
        (Column::ValidUntil, "valid_until"),
        (Column::Nda, "nda"),
        (Column::Policy, "policy"),
        (Column::TrainingUntil, "training_until"),
        (Column::Screening, "screening"),
    ];
    const REQUIRED: usize = 11;

    fn of(name: &str) -> Option<Column> {
        Column::ALL.iter().find(|(_, known)| *known == name).map(|(column, _)| *column)
    }

    fn name(self) -> &'static str {
        Column::ALL.iter().find(|(column, _)| *column == self).map_or("", |(_, name)| *name)
    }

    fn problem(self, line: usize, reason: impl Into<String>) -> Problem {
        Problem { line, column: Some(self.name().to_owned()), reason: reason.into() }
    }
}

/// One line: its fields by column, not looked into.
#[derive(Debug, Default)]
pub(crate) struct Record {
    line: usize,
    fields: Vec<(Column, String)>,
}

impl Record {
    /// The field; `None` if the delivery has no such column.
    fn get(&self, column: Column) -> Option<&str> {
        let field = self.fields.iter().find(|(known, _)| *known == column);
        field.map(|(_, value)| value.as_str())
    }
}

/// What a reader of a format gives: each line, or what is wrong with it.
pub(crate) type Records = Vec<Result<Record, Problem>>;

fn problem(line: usize, reason: impl Into<String>) -> Problem {
    Problem { line, column: None, reason: reason.into() }
}

//! CSV (RFC 4180), with two differences: the header row is required, and a quoted field ends on its
//! line. Otherwise one forgotten quote would swallow the lines after it, terminations among them.

use super::{Column, Problem, Record, Records, Refused, problem};
use crate::limits;

pub(super) fn records(bytes: &[u8]) -> Result<Records, Refused> {
    let mut lines = bytes
        .split(|byte| *byte == b'\n')
        .zip(1..)
        .map(|(line, number)| (line.strip_suffix(b"\r").unwrap_or(line), number))
        .filter(|(line, _)| !line.is_empty());
    let (head, number) = lines.next().ok_or(Refused::Empty)?;
    let columns = header(head, number).map_err(Refused::Header)?;
    let mut records = Vec::new();
    for (line, number) in lines {
        if records.len() == limits::FEED_MAX_ROWS {
            return Err(Refused::TooManyRows { max: limits::FEED_MAX_ROWS });
        }
        records.push(record(line, number, &columns));
    }
    Ok(records)
}

fn header(line: &[u8], number: usize) -> Result<Vec<Column>, Problem> {
    let mut columns = Vec::new();
    for name in fields(line, number)? {
        let Some(column) = Column::of(&name) else {
            let shown: String = name.chars().take(64).collect();
            return Err(problem(number, format!("there is no column `{shown}`")));
        };
        if columns.contains(&column) {
            return Err(column.problem(number, "the column is there twice"));
        }
        columns.push(column);
    }
    let required = Column::ALL.iter().take(Column::REQUIRED);
    match required.map(|(column, _)| *column).find(|column| !columns.contains(column)) {
        Some(missing) => Err(missing.problem(number, "the column is missing")),
        None => Ok(columns),
    }
}

fn record(line: &[u8], number: usize, columns: &[Column]) -> Result<Record, Problem> {
    let fields = fields(line, number)?;
    if fields.len() != columns.len() {
        let (found, wanted) = (fields.len(), columns.len());
        return Err(problem(number, format!("it has {found} fields, the header has {wanted}")));
    }
    Ok(Record { line: number, fields: columns.iter().copied().zip(fields).collect() })
}

/// The fields of one line. A quote is allowed around a whole field, and doubled inside.
fn fields(line: &[u8], number: usize) -> Result<Vec<String>, Problem> {
    if line.len() > limits::LINE_MAX_BYTES {
        return Err(problem(number, format!("it is over {} bytes", limits::LINE_MAX_BYTES)));
    }
    let Ok(line) = std::str::from_utf8(line) else {
        return Err(problem(number, "it is not UTF-8"));
    };
    let mut fields = Vec::new();
    let mut rest = line;
    loop {
        let (field, after) = match rest.strip_prefix('"') {
            Some(quoted) => unquote(quoted)
                .ok_or_else(|| problem(number, "a quote is not closed on its line, or text follows it"))?,
            None => {
                let end = rest.find(',').unwrap_or(rest.len());
                let (field, after) = rest.split_at_checked(end).unwrap_or((rest, ""));
                if field.contains('"') {
                    return Err(problem(number, "a quote stands inside a field without quotes"));
                }
                (field.to_owned(), after)
            }
        };
        fields.push(field);
        match after.strip_prefix(',') {
            Some(more) => rest = more,
            None => return Ok(fields),
        }
    }
}

/// The field after its opening quote, and what follows its closing one: a comma or nothing.
fn unquote(text: &str) -> Option<(String, &str)> {
    let mut field = String::new();
    let mut rest = text;
    loop {
        let (before, after) = rest.split_once('"')?;
        field.push_str(before);
        match after.strip_prefix('"') {
            Some(more) => {
                field.push('"');
                rest = more;
            }
            None if after.is_empty() || after.starts_with(',') => return Some((field, after)),
            None => return None,
        }
    }
}

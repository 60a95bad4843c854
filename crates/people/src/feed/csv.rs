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
            Some(quoted) => unquote(quoted).ok_or_else(|| {
                problem(number, "a quote is not closed on its line, or text follows it")
            })?,
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn quotes_that_are_wrong_are_refused() {
        let cases: [(&[u8], Option<&[&str]>); 12] = [
            (b"a,b", Some(&["a", "b"])),
            (b"a,", Some(&["a", ""])),
            (b"\"a,b\",c", Some(&["a,b", "c"])),
            (b"\"a \"\"b\"\"\"", Some(&["a \"b\""])),
            (b"\"\"", Some(&[""])),
            (b",", Some(&["", ""])),
            (b"\"a", None),
            (b"\"a\"b", None),
            (b"a\"b", None),
            (b"\"a\" ,b", None),
            (b"\"a\"\"", None),
            (b"\xff", None),
        ];
        for (line, wanted) in cases {
            let found = fields(line, 1).ok();
            let found: Option<Vec<&str>> =
                found.as_ref().map(|fields| fields.iter().map(String::as_str).collect());
            assert_eq!(found.as_deref(), wanted, "{}", String::from_utf8_lossy(line));
        }
    }

    proptest! {
        /// The csv crate is the judge: what it writes on one line we read, and as it does.
        #[test]
        fn line_of_the_csv_crate_reads_alike(
            wanted in prop::collection::vec("[a-zé,\" '\\t]{0,12}", 1..8),
        ) {
            let mut writer = csv::Writer::from_writer(Vec::new());
            writer.write_record(&wanted).unwrap();
            let bytes = writer.into_inner().unwrap();
            let line = bytes.strip_suffix(b"\n").unwrap();
            prop_assert_eq!(fields(line, 1).unwrap(), wanted);
        }

        /// What we take, the csv crate takes, and as we do.
        #[test]
        fn line_that_is_taken_reads_alike_in_the_csv_crate(line in "[a-c,\"é]{1,16}") {
            let mut reader =
                csv::ReaderBuilder::new().has_headers(false).from_reader(line.as_bytes());
            if let Ok(found) = fields(line.as_bytes(), 1) {
                let record = reader.records().next().unwrap().unwrap();
                prop_assert_eq!(record.iter().collect::<Vec<_>>(), found);
            }
        }
    }
}

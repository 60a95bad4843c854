//! One line, understood.

use std::collections::BTreeMap;
use std::time::Duration;

use writ_model::Timestamp;
use writ_store::state::{
    Cleared, Employment, Gates, HrState, Person, PersonState, PolicyAccepted, Screening,
};

use super::{Column, Problem, Record};
use crate::limits;

/// What a line says of a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Where it stands in the file.
    pub line: usize,
    /// The person.
    pub id: String,
    /// The name for signing in; nobody else's.
    pub user_name: String,
    /// The name that people read.
    pub display_name: String,
    /// May be empty.
    pub email: String,
    /// Employee or contractor.
    pub employment: Employment,
    /// What HR says.
    pub state: HrState,
    /// The manager's person id.
    pub manager: Option<String>,
    /// The organisational unit.
    pub team: String,
    /// The job.
    pub job_code: String,
    /// May be empty.
    pub cost_center: String,
    /// The moment from which the person may do nothing.
    pub valid_until: Option<Timestamp>,
    /// Evidence for the gates.
    pub gates: Gates,
}

impl Row {
    /// The person as the line describes a new one: requested, whatever HR says.
    pub fn person(&self, epoch: u32, now: Timestamp) -> Person {
        Person {
            id: self.id.clone(),
            epoch,
            state: PersonState::Requested,
            why: None,
            since: now,
            hr_state: self.state,
            user_name: self.user_name.clone(),
            display_name: self.display_name.clone(),
            email: self.email.clone(),
            employment: self.employment,
            manager: self.manager.clone(),
            team: self.team.clone(),
            job_code: self.job_code.clone(),
            cost_center: self.cost_center.clone(),
            valid_until: self.valid_until,
            gates: self.gates.clone(),
            gates_from: None,
            moved_at: None,
            reapprovals: BTreeMap::new(),
            absent_since: None,
            receipt: None,
            created: now,
        }
    }
}

/// Understands a line.
///
/// # Errors
/// Everything that is wrong with it.
pub(super) fn read(record: &Record) -> Result<Row, Vec<Problem>> {
    let mut reader = Reader { record, problems: Vec::new() };
    let row = reader.row();
    if reader.problems.is_empty() { Ok(row) } else { Err(reader.problems) }
}

/// Collects problems. What it gives for a wrong field is never used.
struct Reader<'a> {
    record: &'a Record,
    problems: Vec<Problem>,
}

impl Reader<'_> {
    fn row(&mut self) -> Row {
        let employment = self.one_of(
            Column::Employment,
            &[("employee", Employment::Employee), ("contractor", Employment::Contractor)],
        );
        let row = Row {
            line: self.record.line,
            id: self.name(
                Column::PersonId,
                is_person_id,
                "1 to 64 of a-z, 0-9, `.`, `_`, `-`, not a sign first",
            ),
            user_name: self.name(
                Column::UserName,
                is_user_name,
                "1 to 128 of a-z, A-Z, 0-9 and `+=,.@_-`",
            ),
            display_name: self.required(Column::DisplayName),
            email: self.email(),
            employment,
            state: self.one_of(
                Column::State,
                &[
                    ("requested", HrState::Requested),
                    ("active", HrState::Active),
                    ("leave", HrState::Leave),
                    ("terminated", HrState::Terminated),
                ],
            ),
            manager: Some(self.text(Column::Manager)).filter(|manager| !manager.is_empty()),
            team: self.required(Column::Team),
            job_code: self.required(Column::JobCode),
            cost_center: self.text(Column::CostCenter),
            valid_until: self.until(Column::ValidUntil),
            gates: self.gates(),
        };
        // A leaver's line needs to say no more than that.
        if row.employment == Employment::Contractor
            && row.state != HrState::Terminated
            && self.text(Column::ValidUntil).is_empty()
        {
            self.refuse(Column::ValidUntil, "a contractor must have one");
        }
        row
    }

    fn gates(&mut self) -> Gates {
        Gates {
            nda: self.from(Column::Nda),
            policy: self.policy(),
            training_until: self.until(Column::TrainingUntil),
            screening: self.screening(),
        }
    }

    fn policy(&mut self) -> Option<PolicyAccepted> {
        let text = self.text(Column::Policy);
        if text.is_empty() {
            return None;
        }
        let read = text.split_once('@').filter(|(version, _)| !version.is_empty());
        let read = read.and_then(|(version, at)| Some((version.to_owned(), moment(at)?)));
        if read.is_none() {
            self.refuse(Column::Policy, "it must be VERSION@DATE, such as 2026-1@2026-03-02");
        }
        read.map(|(version, at)| PolicyAccepted { version, at })
    }

    fn screening(&mut self) -> Screening {
        let text = self.text(Column::Screening);
        match text.as_str() {
            "" | "pending" => return Screening::Pending,
            "not_required" => return Screening::NotRequired,
            _ => {}
        }
        let at = text.strip_prefix("cleared@").and_then(moment);
        if at.is_none() {
            let wanted = "it must be `pending`, `not_required` or cleared@DATE";
            self.refuse(Column::Screening, wanted);
        }
        at.map_or(Screening::Pending, |at| Screening::Cleared(Cleared { at }))
    }

    /// The field; empty if the delivery has no such column.
    fn text(&mut self, column: Column) -> String {
        let text = self.record.get(column).unwrap_or_default();
        if text.len() > limits::FIELD_MAX_BYTES {
            self.refuse(column, format!("it is over {} bytes", limits::FIELD_MAX_BYTES));
        } else if text.chars().any(char::is_control) {
            self.refuse(column, "it holds a control character");
        } else if text.trim() != text {
            self.refuse(column, "blanks stand around it");
        }
        text.to_owned()
    }

    fn required(&mut self, column: Column) -> String {
        let text = self.text(column);
        if text.is_empty() {
            self.refuse(column, "it is empty");
        }
        text
    }

    fn name(&mut self, column: Column, fits: fn(&str) -> bool, wanted: &str) -> String {
        let text = self.required(column);
        if !text.is_empty() && !fits(&text) {
            self.refuse(column, format!("it must be {wanted}"));
        }
        text
    }

    fn email(&mut self) -> String {
        let text = self.text(Column::Email);
        let whole = |(local, domain): (&str, &str)| !local.is_empty() && !domain.is_empty();
        if !text.is_empty() && !text.split_once('@').is_some_and(whole) {
            self.refuse(Column::Email, "it is no address");
        }
        text
    }

    fn one_of<T: Fallback>(&mut self, column: Column, values: &[(&str, T)]) -> T {
        let text = self.text(column);
        match values.iter().find(|(name, _)| *name == text) {
            Some((_, value)) => *value,
            None => {
                let names: Vec<&str> = values.iter().map(|(name, _)| *name).collect();
                self.refuse(column, format!("it must be one of {}", names.join(", ")));
                T::FALLBACK
            }
        }
    }

    /// A moment since which something holds; a date means its beginning.
    fn from(&mut self, column: Column) -> Option<Timestamp> {
        let text = self.text(column);
        self.time(column, &text, moment(&text))
    }

    /// A moment until which something holds; a date means its end.
    fn until(&mut self, column: Column) -> Option<Timestamp> {
        const DAY: Duration = Duration::from_secs(24 * 3600);
        let text = self.text(column);
        let end = if is_date(&text) { DAY } else { Duration::ZERO };
        self.time(column, &text, moment(&text).map(|at| at.plus(end)))
    }

    fn time(&mut self, column: Column, text: &str, at: Option<Timestamp>) -> Option<Timestamp> {
        if at.is_none() && !text.is_empty() {
            let wanted =
                "it is no date such as 2026-11-30, nor a time such as 2026-11-30T16:00:00Z";
            self.refuse(column, wanted);
        }
        at
    }

    fn refuse(&mut self, column: Column, reason: impl Into<String>) {
        let problem = column.problem(self.record.line, reason);
        // A field that is read twice is wrong once.
        if !self.problems.contains(&problem) {
            self.problems.push(problem);
        }
    }
}

/// What stands in for a word that is wrong; the row is then not used.
trait Fallback: Copy {
    const FALLBACK: Self;
}

impl Fallback for Employment {
    const FALLBACK: Employment = Employment::Employee;
}

impl Fallback for HrState {
    const FALLBACK: HrState = HrState::Requested;
}

fn is_person_id(text: &str) -> bool {
    let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._-".contains(&b);
    text.len() <= limits::PERSON_ID_MAX_BYTES
        && text.bytes().all(fits)
        && text.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric())
}

fn is_user_name(text: &str) -> bool {
    let fits = |b: u8| b.is_ascii_alphanumeric() || b"+=,.@_-".contains(&b);
    text.len() <= 128 && text.bytes().all(fits)
}

fn is_date(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.len() == 10
        && bytes.iter().zip(0..).all(|(byte, at)| match at {
            4 | 7 => *byte == b'-',
            _ => byte.is_ascii_digit(),
        })
}

/// `2026-11-30` (its beginning, UTC) or `2026-11-30T16:00:00Z`.
fn moment(text: &str) -> Option<Timestamp> {
    let whole = if is_date(text) { format!("{text}T00:00:00Z") } else { text.to_owned() };
    let shaped = whole.is_ascii() && whole.len() == 20 && whole.ends_with('Z');
    Timestamp::parse_iso(&whole).ok().filter(|at| shaped && at.iso() == whole)
}

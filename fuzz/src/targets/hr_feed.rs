//! The HR feed. The first byte chooses the format; a good line that is written again, in either format,
//! reads as it did.

use serde_json::{Map, Value};
use writ_people::feed::parse;
use writ_people::{Format, Row};
use writ_store::state::Screening;

const HEADER: &str = "person_id,user_name,display_name,email,employment,state,manager,team,job_code,\
    cost_center,valid_until,nda,policy,training_until,screening";

pub(crate) fn run(input: &[u8]) {
    let Some((first, bytes)) = input.split_first() else { return };
    let format = if first % 2 == 0 { Format::Csv } else { Format::Json };
    let Ok(feed) = parse(bytes, format) else { return };
    assert!(feed.problems.iter().all(|problem| problem.line > 0 && !problem.reason.is_empty()));
    assert!(feed.rows.len() <= feed.lines && (feed.rows.len() == feed.lines || feed.is_damaged()));
    for row in &feed.rows {
        // Alone, a person's manager is not in the file.
        let wanted = Row { line: 2, manager: None, ..row.clone() };
        let Some(fields) = fields(&wanted) else { continue };
        let quoted: Vec<String> =
            fields.iter().map(|field| format!("\"{}\"", field.replace('"', "\"\""))).collect();
        let csv = format!("{HEADER}\n{}\n", quoted.join(","));
        let members = HEADER.split(',').map(str::to_owned).zip(fields.into_iter().map(Value::from));
        let json = format!("[\n{}]", Value::from(members.collect::<Map<_, _>>()));
        for (text, format) in [(csv, Format::Csv), (json, Format::Json)] {
            let again = parse(text.as_bytes(), format).expect("it is a delivery");
            assert_eq!(again.rows, std::slice::from_ref(&wanted), "{text}");
        }
    }
}

/// The fields in the header's order; `None` where a time has five digits in its year.
fn fields(row: &Row) -> Option<[String; 15]> {
    let mut whole = true;
    let mut time = |at: Option<writ_model::Timestamp>| {
        let text = at.map(writ_model::Timestamp::iso).unwrap_or_default();
        whole &= matches!(text.len(), 0 | 20);
        text
    };
    let gates = &row.gates;
    let fields = [
        row.id.clone(),
        row.user_name.clone(),
        row.display_name.clone(),
        row.email.clone(),
        row.employment.as_str().to_owned(),
        row.state.as_str().to_owned(),
        String::new(),
        row.team.clone(),
        row.job_code.clone(),
        row.cost_center.clone(),
        time(row.valid_until),
        time(gates.nda),
        gates.policy.as_ref().map_or_else(String::new, |accepted| {
            format!("{}@{}", accepted.version, time(Some(accepted.at)))
        }),
        time(gates.training_until),
        match gates.screening {
            Screening::Cleared(cleared) => format!("cleared@{}", time(Some(cleared.at))),
            Screening::NotRequired => "not_required".to_owned(),
            Screening::Pending => "pending".to_owned(),
        },
    ];
    whole.then_some(fields)
}

//! The readers of the feed.

use std::fmt::Write as _;

use proptest::prelude::*;
use writ_people::feed::parse;
use writ_people::{Feed, Format, Refused, Row, limits};

const HEADER: &str = "person_id,user_name,display_name,email,employment,state,manager,team,job_code,\
    cost_center,valid_until,nda,policy,training_until,screening";
const COLUMNS: usize = 15;

fn csv(lines: &[&str]) -> Result<Feed, Refused> {
    parse(format!("{HEADER}\n{}\n", lines.join("\n")).as_bytes(), Format::Csv)
}

/// Ids of the good lines, and `line column` of the problems.
fn told(feed: &Feed) -> (Vec<&str>, Vec<String>) {
    let problem =
        |p: &writ_people::Problem| format!("{} {}", p.line, p.column.as_deref().unwrap_or("-"));
    let ids = feed.rows.iter().map(|row| row.id.as_str()).collect();
    (ids, feed.problems.iter().map(problem).collect())
}

#[test]
fn line_that_is_wrong_is_named_and_hides_no_other() {
    let good = "z,z,Z,,employee,terminated,gone,t,j,,,,,,";
    let cases = [
        ("a,a,A,,employee,active,,t,j,,,,,,,", "-", "16 fields"),
        ("A,a,A,,employee,active,,t,j,,,,,,", "person_id", "a-z"),
        (".a,a,A,,employee,active,,t,j,,,,,,", "person_id", "a-z"),
        (",a,A,,employee,active,,t,j,,,,,,", "person_id", "empty"),
        ("a,ä,A,,employee,active,,t,j,,,,,,", "user_name", "1 to 128"),
        ("a,a,,,employee,active,,t,j,,,,,,", "display_name", "empty"),
        ("a,a, A,,employee,active,,t,j,,,,,,", "display_name", "blanks"),
        ("a,a,A\u{7},,employee,active,,t,j,,,,,,", "display_name", "control"),
        ("a,a,A,a@,employee,active,,t,j,,,,,,", "email", "address"),
        ("a,a,A,,boss,active,,t,j,,,,,,", "employment", "employee, contractor"),
        ("a,a,A,,employee,Active,,t,j,,,,,,", "state", "requested, active"),
        ("a,a,A,,employee,active,nobody,t,j,,,,,,", "manager", "no person"),
        ("a,a,A,,employee,active,a,t,j,,,,,,", "manager", "circle"),
        ("a,a,A,,employee,active,,,j,,,,,,", "team", "empty"),
        ("a,a,A,,contractor,active,,t,j,,,,,,", "valid_until", "contractor"),
        ("a,a,A,,employee,active,,t,j,,2026-02-30,,,,", "valid_until", "no date"),
        ("a,a,A,,employee,active,,t,j,,30.11.2026,,,,", "valid_until", "no date"),
        ("a,a,A,,employee,active,,t,j,,,2026-1-1,,,", "nda", "no date"),
        ("a,a,A,,employee,active,,t,j,,,,2026-01-01,,", "policy", "VERSION@DATE"),
        ("a,a,A,,employee,active,,t,j,,,,,soon,", "training_until", "no date"),
        ("a,a,A,,employee,active,,t,j,,,,,,cleared", "screening", "cleared@DATE"),
        ("a,a,\"A,,employee,active,,t,j,,,,,,", "-", "quote"),
    ];
    for (line, column, reason) in cases {
        let feed = csv(&[line, good]).unwrap();
        assert_eq!(told(&feed), (vec!["z"], vec![format!("2 {column}")]), "{line}");
        assert!(feed.problems[0].reason.contains(reason), "{line}: {}", feed.problems[0]);
        assert!(feed.is_damaged());
    }
    let long =
        format!("a,a,{},,employee,active,,t,j,,,,,,", "x".repeat(limits::FIELD_MAX_BYTES + 1));
    assert_eq!(told(&csv(&[&long, good]).unwrap()), (vec!["z"], vec!["2 display_name".to_owned()]));
    let longer = "x".repeat(limits::LINE_MAX_BYTES + 1);
    assert_eq!(told(&csv(&[&longer, good]).unwrap()), (vec!["z"], vec!["2 -".to_owned()]));
    let bytes = [HEADER.as_bytes(), b"\na,a,\xff,,employee,active,,t,j,,,,,,\n", good.as_bytes()];
    let feed = parse(&bytes.concat(), Format::Csv).unwrap();
    assert_eq!(told(&feed), (vec!["z"], vec!["2 -".to_owned()]));
}

#[test]
fn lines_that_contradict_each_other_are_all_wrong() {
    let line = |id: &str, name: &str, manager: &str| {
        format!("{id},{name},N,,employee,active,{manager},t,j,,,,,,")
    };
    let (a, b, c) = (line("a", "a", ""), line("a", "b", ""), line("c", "c", ""));
    let feed = csv(&[&a, &b, &c]).unwrap();
    assert_eq!(told(&feed), (vec!["c"], vec!["2 person_id".to_owned(), "3 person_id".to_owned()]));
    let same = line("b", "A", "");
    let feed = csv(&[&a, &same, &c]).unwrap();
    assert_eq!(told(&feed), (vec!["c"], vec!["2 user_name".to_owned(), "3 user_name".to_owned()]));
    // Who reports to somebody in the circle is not in it.
    let circle =
        [line("a", "a", "b"), line("b", "b", "d"), line("d", "d", "a"), line("0", "c", "a")];
    let circle: Vec<&str> = circle.iter().map(String::as_str).collect();
    let feed = csv(&circle).unwrap();
    assert_eq!(told(&feed).0, ["0"]);
    // A leaver's name may have a new bearer, and a leaver's manager may be gone.
    let left = "o,c,N,,employee,terminated,gone,t,j,,,,,,";
    assert_eq!(told(&csv(&[&c, left]).unwrap()).0, ["c", "o"]);
    let contractor = "o,o,N,,contractor,terminated,,t,j,,,,,,";
    assert_eq!(told(&csv(&[contractor]).unwrap()).0, ["o"]);
}

#[test]
fn file_that_is_no_delivery_is_refused() {
    let cases: [(&str, Format, &str); 10] = [
        ("", Format::Csv, "nobody is in it"),
        (" \n\n", Format::Csv, "nobody is in it"),
        ("\u{feff}\n", Format::Csv, "nobody is in it"),
        (HEADER, Format::Csv, "nobody is in it"),
        ("person_id\na\n", Format::Csv, "`user_name`: the column is missing"),
        ("person_id,person_id\n", Format::Csv, "there twice"),
        ("person_id,salary\n", Format::Csv, "no column `salary`"),
        ("[]", Format::Json, "nobody is in it"),
        ("{}", Format::Json, "a JSON array"),
        (HEADER, Format::Json, "a JSON array"),
    ];
    for (text, format, part) in cases {
        let refused = parse(text.as_bytes(), format).unwrap_err().to_string();
        assert!(refused.contains(part), "{text}: {refused}");
    }
    let many = "x\n".repeat(limits::FEED_MAX_ROWS + 1);
    let refused = parse(format!("{HEADER}\n{many}").as_bytes(), Format::Csv).unwrap_err();
    assert_eq!(refused, Refused::TooManyRows { max: limits::FEED_MAX_ROWS });
    let large = vec![b'x'; limits::FEED_MAX_BYTES + 1];
    let refused = parse(&large, Format::Csv).unwrap_err();
    assert_eq!(refused, Refused::TooLarge { max: limits::FEED_MAX_BYTES });
}

#[test]
fn element_that_is_wrong_is_named_and_hides_no_other() {
    let good = r#"{"person_id": "z", "user_name": "z", "display_name": "Z [\"{,]", "employment": "employee",
        "state": "terminated", "team": "t", "job_code": "j", "manager": null}"#;
    let cases = [
        ("7", "-", "object"),
        ("\"a", "-", "object"),
        ("{\"person_id\": 7}", "person_id", "text"),
        ("{\"person_id\": [{\"a\": 1}]}", "person_id", "text"),
        ("{\"person_id\": \"a\", \"person_id\": \"b\"}", "person_id", "twice"),
        ("{\"salary\": \"a\"}", "-", "no column `salary`"),
        ("{\"person_id\": \"a}", "-", "object"),
    ];
    for (element, column, reason) in cases {
        let text = format!("[\n{good},\n{element}\n]\n");
        let feed = parse(text.as_bytes(), Format::Json).unwrap();
        assert_eq!(told(&feed), (vec!["z"], vec![format!("4 {column}")]), "{element}");
        assert!(feed.problems[0].reason.contains(reason), "{element}: {}", feed.problems[0]);
    }
    // Before a good one, also where a quote or a brace is missing.
    for element in ["7", "{\"person_id\": 7}", "{\"person_id\": \"a}\n", "{\"person_id\": \"a\""] {
        let text = format!("[\n{element},\n{good}]");
        let feed = parse(text.as_bytes(), Format::Json).unwrap();
        assert_eq!(told(&feed).0, ["z"], "{element}");
    }
    for text in
        [format!("[{good}"), format!("[{good},"), format!("[{good}]]"), format!("[{good},]")]
    {
        let feed = parse(text.as_bytes(), Format::Json).unwrap();
        assert!(feed.is_damaged(), "{text}");
    }
}

/// Fields that are often good and sometimes not, without line breaks.
fn fields() -> impl Strategy<Value = Vec<String>> {
    let text = || prop_oneof![4 => "[a-c]", 2 => Just(String::new()), 1 => "[a-zé,\" \\\\]{0,9}"];
    let word = |words: &'static [&'static str]| prop_oneof![9 => prop::sample::select(words).prop_map(str::to_owned), 1 => "[a-z]{0,3}"];
    let date = || word(&["", "2026-01-01", "2099-12-31", "2026-02-03T04:05:06Z", "2026-13-01"]);
    let first = ("[a-z]{1,3}", "[a-z]{1,4}", text(), word(&["", "a@b"]));
    let second = (
        word(&["employee", "contractor"]),
        word(&["requested", "active", "leave", "terminated"]),
        word(&["", "", "a"]),
        text(),
        text(),
        text(),
    );
    let third = (
        date(),
        date(),
        word(&["", "1@2026-01-01"]),
        date(),
        word(&["", "pending", "cleared@2026-01-01"]),
    );
    (first, second, third).prop_map(|(a, b, c)| {
        vec![a.0, a.1, a.2, a.3, b.0, b.1, b.2, b.3, b.4, b.5, c.0, c.1, c.2, c.3, c.4]
    })
}

fn as_csv(people: &[Vec<String>]) -> Vec<u8> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(HEADER.split(',')).unwrap();
    people.iter().for_each(|person| writer.write_record(person).unwrap());
    writer.into_inner().unwrap()
}

fn as_json(people: &[Vec<String>]) -> Vec<u8> {
    let mut text = String::from("[");
    for (person, at) in people.iter().zip(0..) {
        let members = HEADER.split(',').zip(person);
        let members: serde_json::Map<String, serde_json::Value> =
            members.map(|(name, value)| (name.to_owned(), value.as_str().into())).collect();
        let comma = if at == 0 { "" } else { "," };
        write!(text, "{comma}\n{}", serde_json::Value::from(members)).unwrap();
    }
    text.push_str("\n]\n");
    text.into_bytes()
}

proptest! {
    #[test]
    fn same_people_read_alike_from_csv_and_json(people in prop::collection::vec(fields(), 1..8)) {
        prop_assert!(people.iter().all(|person| person.len() == COLUMNS));
        let csv = parse(&as_csv(&people), Format::Csv).unwrap();
        // Element n stands on line n + 1, as a line after the header does.
        let json = parse(&as_json(&people), Format::Json).unwrap();
        prop_assert_eq!(csv, json);
    }

    #[test]
    fn bytes_of_any_kind_stop_no_reader(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        for format in [Format::Csv, Format::Json] {
            let whole = [HEADER.as_bytes(), b"\n", &bytes[..]].concat();
            for input in [&bytes, &whole] {
                let Ok(feed) = parse(input, format) else { continue };
                prop_assert!(feed.rows.len() + feed.problems.len() >= 1);
            }
        }
    }

    /// Whatever stands on other lines, a good termination is read.
    #[test]
    fn termination_is_read_whatever_stands_beside_it(
        before in "[ -~é]{1,60}", after in "[ -~é]{1,60}",
    ) {
        let good = "zz,zz,Z,,employee,terminated,,t,j,,,,,,";
        let feed = csv(&[&before, good, &after]).unwrap();
        let is = |row: &&Row| row.id == "zz";
        prop_assert!(feed.rows.iter().find(is).is_some());
    }
}

/// The examples of docs/hr-feed.md, which somebody will copy.
#[test]
fn examples_of_the_documentation_read_alike() {
    let page = include_str!("../../../../docs/hr-feed.md");
    let example = |kind: &str| {
        let (_, after) = page.split_once(&format!("```{kind}\n")).unwrap();
        after.split_once("```").unwrap().0.as_bytes().to_vec()
    };
    let feeds = [("csv", Format::Csv), ("json", Format::Json)].map(|(kind, format)| {
        let mut feed = parse(&example(kind), format).unwrap();
        assert!(!feed.is_damaged(), "{:?}", feed.problems);
        feed.rows.iter_mut().for_each(|row| row.line = 0);
        feed.rows
    });
    assert_eq!(feeds[0].len(), 4);
    assert_eq!(feeds[0], feeds[1]);
}

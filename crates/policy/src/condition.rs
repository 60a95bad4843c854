//! The `Condition` element: operators, set prefixes, and what a missing key means.
//!
//! Source: "IAM JSON policy elements: Condition operators" and "Set operators for multivalued
//! context keys".

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::context::{Context, Key};
use crate::error::Problem;
use crate::pattern::{ArnPattern, Pattern, Syntax};
use crate::value::{Moment, Network, Number, parse_bool};

/// How two ordered values must stand to each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    Equal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Order {
    fn holds<T: Ord>(self, left: &T, right: &T) -> bool {
        match self {
            Order::Equal => left == right,
            Order::Less => left < right,
            Order::LessOrEqual => left <= right,
            Order::Greater => left > right,
            Order::GreaterOrEqual => left >= right,
        }
    }
}

/// What kind of values an operator compares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Family {
    Text { folded: bool, wildcards: bool },
    Numeric(Order),
    Date(Order),
    Bool,
    Binary,
    Ip,
    Arn,
    Null,
}

/// The 27 operators: name, what they compare, whether they are negated.
const OPERATORS: [(&str, Family, bool); 27] = [
    ("StringEquals", Family::Text { folded: false, wildcards: false }, false),
    ("StringNotEquals", Family::Text { folded: false, wildcards: false }, true),
    ("StringEqualsIgnoreCase", Family::Text { folded: true, wildcards: false }, false),
    ("StringNotEqualsIgnoreCase", Family::Text { folded: true, wildcards: false }, true),
    ("StringLike", Family::Text { folded: false, wildcards: true }, false),
    ("StringNotLike", Family::Text { folded: false, wildcards: true }, true),
    ("NumericEquals", Family::Numeric(Order::Equal), false),
    ("NumericNotEquals", Family::Numeric(Order::Equal), true),
    ("NumericLessThan", Family::Numeric(Order::Less), false),
    ("NumericLessThanEquals", Family::Numeric(Order::LessOrEqual), false),
    ("NumericGreaterThan", Family::Numeric(Order::Greater), false),
    ("NumericGreaterThanEquals", Family::Numeric(Order::GreaterOrEqual), false),
    ("DateEquals", Family::Date(Order::Equal), false),
    ("DateNotEquals", Family::Date(Order::Equal), true),
    ("DateLessThan", Family::Date(Order::Less), false),
    ("DateLessThanEquals", Family::Date(Order::LessOrEqual), false),
    ("DateGreaterThan", Family::Date(Order::Greater), false),
    ("DateGreaterThanEquals", Family::Date(Order::GreaterOrEqual), false),
    ("Bool", Family::Bool, false),
    ("BinaryEquals", Family::Binary, false),
    ("IpAddress", Family::Ip, false),
    ("NotIpAddress", Family::Ip, true),
    ("ArnEquals", Family::Arn, false),
    ("ArnLike", Family::Arn, false),
    ("ArnNotEquals", Family::Arn, true),
    ("ArnNotLike", Family::Arn, true),
    ("Null", Family::Null, false),
];

/// The prefix for keys with several values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Quantifier {
    /// No prefix. AWS leaves open what a key with several values then means; one value that
    /// matches is enough here, as with `ForAnyValue`.
    Plain,
    All,
    Any,
}

/// An operator as written, with prefix and suffix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Operator {
    family: Family,
    name: &'static str,
    negated: bool,
    quantifier: Quantifier,
    if_exists: bool,
}

impl Operator {
    /// Reads `[ForAllValues:|ForAnyValue:]Name[IfExists]`. Names are case-sensitive.
    pub(crate) fn parse(text: &str) -> Result<Operator, Problem> {
        let (quantifier, rest) = match text.split_once(':') {
            Some(("ForAllValues", rest)) => (Quantifier::All, rest),
            Some(("ForAnyValue", rest)) => (Quantifier::Any, rest),
            _ => (Quantifier::Plain, text),
        };
        let (base, if_exists) = match rest.strip_suffix("IfExists") {
            Some(base) => (base, true),
            None => (rest, false),
        };
        let found = OPERATORS.iter().find(|(name, ..)| *name == base);
        match found {
            Some((_, Family::Null, _)) if if_exists => {}
            Some(&(name, family, negated)) => {
                return Ok(Operator { family, name, negated, quantifier, if_exists });
            }
            None => {}
        }
        Err(Problem::UnknownOperator(text.chars().take(128).collect()))
    }

    /// True for operators that look at each value, so that a multi-valued key wants a prefix.
    pub(crate) fn is_plain(self) -> bool {
        self.quantifier == Quantifier::Plain && self.family != Family::Null
    }
}

impl fmt::Display for Operator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.quantifier {
            Quantifier::Plain => "",
            Quantifier::All => "ForAllValues:",
            Quantifier::Any => "ForAnyValue:",
        })?;
        f.write_str(self.name)?;
        f.write_str(if self.if_exists { "IfExists" } else { "" })
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Operands {
    Text(Box<[Pattern]>),
    Numbers(Box<[Number]>),
    Moments(Box<[Moment]>),
    /// Also those of `Null`.
    Bools(Box<[bool]>),
    /// Canonical base64 without padding.
    Binary(Box<[Box<str>]>),
    Networks(Box<[Network]>),
    Arns(Box<[ArnPattern]>),
}

/// One operator on one key with its values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Condition {
    operator: Operator,
    key: Key,
    operands: Operands,
}

impl Condition {
    /// Compiles the values. The error comes with the index of the value that has it.
    pub(crate) fn compile(
        operator: Operator,
        key: &str,
        values: &[&str],
        variables: bool,
    ) -> Result<Condition, (usize, Problem)> {
        let operands = match operator.family {
            Family::Text { wildcards, .. } => {
                let syntax = Syntax { wildcards, variables };
                Operands::Text(each(values, |v| Pattern::parse(v, syntax))?)
            }
            Family::Numeric(_) => Operands::Numbers(typed(values, "a number", Number::parse)?),
            Family::Date(_) => {
                let expected = "an ISO 8601 date or seconds since 1970";
                Operands::Moments(typed(values, expected, Moment::parse)?)
            }
            Family::Bool | Family::Null => {
                Operands::Bools(typed(values, "`true` or `false`", parse_bool)?)
            }
            Family::Binary => Operands::Binary(typed(values, "base64", canonical_base64)?),
            Family::Ip => {
                let expected = "an IP address or a range in CIDR form";
                Operands::Networks(typed(values, expected, Network::parse)?)
            }
            Family::Arn => {
                Operands::Arns(each(values, |v| ArnPattern::parse(v, variables, false))?)
            }
        };
        Ok(Condition { operator, key: Key::new(key), operands })
    }

    pub(crate) fn key(&self) -> &Key {
        &self.key
    }

    pub(crate) fn operator(&self) -> Operator {
        self.operator
    }

    /// True if the request has what this condition asks for.
    pub(crate) fn holds(&self, context: &Context) -> bool {
        let values = context.lookup(&self.key).unwrap_or_default();
        // "A null data set, such as an empty string", in AWS's words.
        let null = values.iter().all(|v| v.is_empty());
        if let (Family::Null, Operands::Bools(expected)) = (self.operator.family, &self.operands) {
            return expected.contains(&null);
        }
        if values.is_empty() && self.operator.if_exists {
            return true;
        }
        let mut one = values.iter().map(|value| self.accepts(value, context));
        match self.operator.quantifier {
            Quantifier::All => null || one.all(|accepted| accepted),
            Quantifier::Any => !null && one.any(|accepted| accepted),
            Quantifier::Plain if values.is_empty() => self.operator.negated,
            Quantifier::Plain => one.any(|accepted| accepted),
        }
    }

    /// Any of the operands for a positive operator, none of them for a negated one.
    fn accepts(&self, value: &str, context: &Context) -> bool {
        self.matches_any(value, context) != self.operator.negated
    }

    fn matches_any(&self, value: &str, context: &Context) -> bool {
        match (&self.operands, self.operator.family) {
            (Operands::Text(patterns), Family::Text { folded: true, .. }) => {
                patterns.iter().any(|p| p.matches_folded(value, context))
            }
            (Operands::Text(patterns), _) => patterns.iter().any(|p| p.matches(value, context)),
            (Operands::Numbers(numbers), Family::Numeric(order)) => {
                Number::parse(value).is_some_and(|v| numbers.iter().any(|n| order.holds(&v, n)))
            }
            (Operands::Moments(moments), Family::Date(order)) => {
                Moment::parse(value).is_some_and(|v| moments.iter().any(|m| order.holds(&v, m)))
            }
            (Operands::Bools(bools), _) => parse_bool(value).is_some_and(|v| bools.contains(&v)),
            (Operands::Binary(binaries), _) => {
                let value = value.trim_end_matches('=');
                binaries.iter().any(|b| **b == *value)
            }
            (Operands::Networks(networks), _) => {
                Network::parse(value).is_some_and(|v| networks.iter().any(|n| n.contains(v)))
            }
            (Operands::Arns(arns), _) => {
                let is_arn = value.starts_with("arn:") && value.matches(':').take(5).count() == 5;
                is_arn && arns.iter().any(|arn| arn.matches(value, context))
            }
            (Operands::Numbers(_) | Operands::Moments(_), _) => false,
        }
    }
}

fn each<T>(
    values: &[&str],
    parse: impl Fn(&str) -> Result<T, Problem>,
) -> Result<Box<[T]>, (usize, Problem)> {
    values.iter().enumerate().map(|(at, value)| parse(value).map_err(|p| (at, p))).collect()
}

fn typed<T>(
    values: &[&str],
    expected: &'static str,
    parse: impl Fn(&str) -> Option<T>,
) -> Result<Box<[T]>, (usize, Problem)> {
    each(values, |value| parse(value).ok_or_else(|| Problem::value(value, expected)))
}

fn canonical_base64(text: &str) -> Option<Box<str>> {
    STANDARD.decode(text).ok().map(|_| text.trim_end_matches('=').into())
}

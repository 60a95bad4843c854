//! The typed values of conditions: numbers, moments, networks.

use std::cmp::Ordering;
use std::net::IpAddr;

/// An integer or decimal number, exact to 12 places after the point.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Number(i128);

impl Number {
    const PLACES: usize = 12;

    /// Reads an optional sign, digits, and at most [`Number::PLACES`] decimals.
    pub(crate) fn parse(text: &str) -> Option<Number> {
        let (negative, digits) = match text.strip_prefix(['-', '+']) {
            Some(digits) => (text.starts_with('-'), digits),
            None => (false, text),
        };
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        let all_digits = |t: &str| t.bytes().all(|b| b.is_ascii_digit());
        let dangling = fraction.is_empty() && (whole.is_empty() || digits.contains('.'));
        let shaped = !dangling && all_digits(whole) && all_digits(fraction);
        if !shaped || whole.len() > 24 || fraction.len() > Number::PLACES {
            return None;
        }
        let padding = Number::PLACES - fraction.len();
        let shifted = whole.bytes().chain(fraction.bytes());
        let mantissa = shifted.fold(0i128, |n, b| n * 10 + i128::from(b - b'0'));
        let scale = (0..padding).fold(1i128, |n, _| n * 10);
        let magnitude = mantissa * scale;
        Some(Number(if negative { -magnitude } else { magnitude }))
    }
}

/// A moment in milliseconds since 1970, which may lie before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Moment(i64);

impl Moment {
    /// Reads a W3C form of ISO 8601 (`YYYY`, `YYYY-MM`, `YYYY-MM-DD`, with `Thh:mm`, seconds,
    /// fraction and zone) or seconds since 1970. Four digits alone are a year.
    pub(crate) fn parse(text: &str) -> Option<Moment> {
        let digits = text.strip_prefix('-').unwrap_or(text);
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
        let numeric = !whole.is_empty()
            && !fraction.is_empty()
            && whole.bytes().chain(fraction.bytes()).all(|b| b.is_ascii_digit());
        if numeric && text.len() != 4 {
            let seconds: i64 = whole.parse().ok()?;
            let ms = seconds.checked_mul(1000)?.checked_add(thousandths(fraction))?;
            return Some(Moment(if text.starts_with('-') { -ms } else { ms }));
        }
        parse_iso(text)
    }
}

fn thousandths(fraction: &str) -> i64 {
    let digits = fraction.bytes().chain(std::iter::repeat(b'0')).take(3);
    digits.fold(0, |n, b| n * 10 + i64::from(b - b'0'))
}

/// Takes `count` digits off the front.
fn digits(text: &str, count: usize) -> Option<(i64, &str)> {
    let (head, tail) = text.split_at_checked(count)?;
    let number = head.bytes().all(|b| b.is_ascii_digit()).then(|| head.parse().ok())??;
    Some((number, tail))
}

fn parse_iso(text: &str) -> Option<Moment> {
    let (year, rest) = digits(text, 4)?;
    let Some(rest) = rest.strip_prefix('-') else {
        return rest.is_empty().then(|| civil(year, 1, 1))?;
    };
    let (month, rest) = digits(rest, 2)?;
    let Some(rest) = rest.strip_prefix('-') else {
        return rest.is_empty().then(|| civil(year, month, 1))?;
    };
    let (day, rest) = digits(rest, 2)?;
    let Moment(midnight) = civil(year, month, day)?;
    if rest.is_empty() {
        return Some(Moment(midnight));
    }
    let (hour, rest) = digits(rest.strip_prefix(['T', 't', ' '])?, 2)?;
    let (minute, rest) = digits(rest.strip_prefix(':')?, 2)?;
    let (second, rest) = match rest.strip_prefix(':') {
        Some(rest) => digits(rest, 2)?,
        None => (0, rest),
    };
    let (ms, zone) = match rest.strip_prefix('.') {
        Some(rest) => {
            let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
            let (fraction, zone) = rest.split_at_checked(end)?;
            (if fraction.is_empty() { None } else { Some(thousandths(fraction)) }?, zone)
        }
        None => (0, rest),
    };
    if hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let offset = zone_minutes(zone)?;
    let of_day = ((hour * 60 + minute - offset) * 60 + second) * 1000 + ms;
    Some(Moment(midnight + of_day))
}

/// Minutes east of UTC; no zone means UTC.
fn zone_minutes(zone: &str) -> Option<i64> {
    if matches!(zone, "" | "Z" | "z") {
        return Some(0);
    }
    let (hour, rest) = digits(zone.strip_prefix(['+', '-'])?, 2)?;
    let rest = rest.strip_prefix(':').unwrap_or(rest);
    let (minute, rest) = if rest.is_empty() { (0, rest) } else { digits(rest, 2)? };
    if !rest.is_empty() || hour > 23 || minute > 59 {
        return None;
    }
    let minutes = hour * 60 + minute;
    Some(if zone.starts_with('-') { -minutes } else { minutes })
}

/// Midnight of a day of the proleptic Gregorian calendar (the algorithm counts years from March).
fn civil(year: i64, month: i64, day: i64) -> Option<Moment> {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days_in_month = match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 if leap => 29,
        2 => 28,
        _ => return None,
    };
    if day < 1 || day > days_in_month {
        return None;
    }
    let from_march = if month > 2 { year } else { year - 1 };
    let era = from_march.div_euclid(400);
    let year_of_era = from_march.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    let days = era * 146_097 + day_of_era - 719_468;
    Some(Moment(days * 86_400_000))
}

/// A range of IP addresses in CIDR form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Network {
    first: u128,
    prefix: u32,
    width: u32,
}

impl Network {
    /// Reads `10.0.0.0/8`, `2001:db8::/32`, or an address alone, which is a range of one. Bits after
    /// the prefix are ignored, as AWS does.
    pub(crate) fn parse(text: &str) -> Option<Network> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => {
                let plain = !prefix.is_empty() && prefix.bytes().all(|b| b.is_ascii_digit());
                (address, Some(plain.then(|| prefix.parse::<u32>().ok())??))
            }
            None => (text, None),
        };
        let (first, width) = bits(address.parse().ok()?);
        let prefix = prefix.unwrap_or(width);
        (prefix <= width).then_some(Network { first, prefix, width })
    }

    /// True if the range holds the address (or the whole range) `other`.
    pub(crate) fn contains(self, other: Network) -> bool {
        if self.width != other.width || other.prefix < self.prefix {
            return false;
        }
        let shift = self.width - self.prefix;
        let cut = |n: u128| n.checked_shr(shift).unwrap_or(0);
        cut(self.first).cmp(&cut(other.first)) == Ordering::Equal
    }
}

/// An IPv4 address mapped into IPv6 counts as the IPv4 address that it is.
fn bits(address: IpAddr) -> (u128, u32) {
    match address.to_canonical() {
        IpAddr::V4(v4) => (u128::from(v4.to_bits()), 32),
        IpAddr::V6(v6) => (v6.to_bits(), 128),
    }
}

/// `true` or `false`, in any case.
pub(crate) fn parse_bool(text: &str) -> Option<bool> {
    if text.eq_ignore_ascii_case("true") {
        Some(true)
    } else if text.eq_ignore_ascii_case("false") {
        Some(false)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn number_compares_exactly() {
        let n = |text| Number::parse(text).unwrap();
        assert!(n("9007199254740993") > n("9007199254740992"));
        assert_eq!(n("1.50"), n("+1.5"));
        assert!(n("-2") < n("-1.999999999999"));
        assert_eq!(n("-0"), n("0"));
        for text in ["", "-", ".", "1.", "1e3", "0x1", " 1", "1,5", "NaN", "1.0000000000001"] {
            assert_eq!(Number::parse(text), None, "{text}");
        }
    }

    #[test]
    fn moment_reads_every_documented_form() {
        for (text, seconds) in [
            ("1970", 0),
            ("1970-02", 31 * 86_400),
            ("2013-06-30", 1_372_550_400),
            ("2013-06-30T00:00Z", 1_372_550_400),
            ("2013-06-30T00:00:00Z", 1_372_550_400),
            ("2013-06-30T02:00:00+02:00", 1_372_550_400),
            ("2013-06-29T22:00:00.000-0200", 1_372_550_400),
            ("2000-02-29", 951_782_400),
            ("1372550400", 1_372_550_400),
            ("1372550400.0", 1_372_550_400),
            ("1969-12-31T23:59:59Z", -1),
            ("-1", -1),
        ] {
            assert_eq!(Moment::parse(text), Some(Moment(seconds * 1000)), "{text}");
        }
        let bad =
            ["", "now", "2013-13", "2013-02-29", "2013-06-30T25:00Z", "2013-06-30T", "2013-6-3"];
        for text in bad {
            assert_eq!(Moment::parse(text), None, "{text}");
        }
    }

    #[test]
    fn network_holds_its_addresses() {
        let held = |range: &str, address: &str| {
            Network::parse(range).unwrap().contains(Network::parse(address).unwrap())
        };
        assert!(held("10.0.0.0/8", "10.255.0.1"));
        assert!(!held("10.0.0.0/8", "11.0.0.1"));
        assert!(held("0.0.0.0/0", "1.2.3.4"));
        assert!(!held("0.0.0.0/0", "::1"));
        assert!(held("203.0.113.7", "203.0.113.7"));
        assert!(held("2001:DB8::/32", "2001:db8:1234::1"));
        assert!(!held("::/0", "1.2.3.4"));
        assert!(held("10.0.0.0/8", "::ffff:10.1.1.1"));
        for text in ["", "10.0.0.0/33", "10.0.0/8", "x", "10.0.0.0/", "10.0.0.0/+8", "::/129"] {
            assert_eq!(Network::parse(text), None, "{text}");
        }
    }
}

//! `writ request`, `approve`, `deny`, `withdraw`, `revoke`, `requests`, `grants` and `ticket`: how people of the operating
//! side ask each other for access, and agree.
//!
//! Nothing here has a right of its own: what counts is what people sign, and what they sign is printed first.

pub mod ask;
mod bundle;
pub mod decide;
pub mod describe;
pub mod list;
pub mod ticket;
mod who;

use anyhow::{Context as _, Result, bail};
use serde::de::DeserializeOwned;
use serde_json::Value;
use writ_console::caller::{CALL, READ};
use writ_model::Ulid;

pub use who::WhoArgs;

use crate::front::access::api::{GRANTS, REQUESTS};

/// What `writ withdraw` and `writ revoke` take.
#[derive(clap::Args)]
pub struct IdArgs {
    /// The request's id, as `writ requests` shows it.
    id: Ulid,
    #[command(flatten)]
    who: WhoArgs,
}

/// Takes a pending request back.
#[expect(clippy::print_stdout, reason = "this is what the command is for")]
pub fn withdraw(args: &IdArgs) -> Result<()> {
    let path = format!("{REQUESTS}/{}/withdraw", args.id);
    args.who.call(CALL, "POST", &path, b"")?;
    println!("{} is withdrawn", args.id);
    Ok(())
}

/// Ends a grant.
#[expect(clippy::print_stdout, reason = "this is what the command is for")]
pub fn revoke(args: &IdArgs) -> Result<()> {
    let path = format!("{GRANTS}/{}/revoke", args.id);
    let reply: Value = json(&args.who.call(CALL, "POST", &path, b"")?)?;
    println!("{} has ended: nothing rests on it any more", args.id);
    if reply.get("keyd") != Some(&Value::Bool(true)) {
        println!("keyd does not answer now; it is told again until it has taken it");
    }
    Ok(())
}

pub(crate) fn read<T: DeserializeOwned>(who: &WhoArgs, target: &str) -> Result<T> {
    json(&who.call(READ, "GET", target, b"")?)
}

pub(crate) fn json<T: DeserializeOwned>(reply: &[u8]) -> Result<T> {
    serde_json::from_slice(reply).context("the reply cannot be read")
}

/// A duration such as `90s`, `45m`, `1h` or `1h30m`, in seconds.
pub fn seconds(text: &str) -> Result<u64> {
    let mut total = 0u64;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = rest.split_at(digits);
        let mut units = unit.chars();
        let scale = match units.next() {
            Some('s') => 1,
            Some('m') => 60,
            Some('h') => 3600,
            _ => bail!("`{text}` is no duration: write 45m, 1h or 1h30m"),
        };
        let number: u64 = number.parse().with_context(|| format!("`{text}` is no duration"))?;
        total = total.saturating_add(number.saturating_mul(scale));
        rest = units.as_str();
    }
    if total == 0 {
        bail!("`{text}` is no time at all: write 45m, 1h or 1h30m");
    }
    Ok(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read() {
        for (text, wanted) in [("90s", 90), ("45m", 2700), ("1h", 3600), ("1h30m", 5400)] {
            assert_eq!(seconds(text).unwrap(), wanted, "{text}");
        }
        for text in ["", "1", "h", "1d", "0h", "1h30", "-1h"] {
            assert!(seconds(text).is_err(), "{text}");
        }
    }
}

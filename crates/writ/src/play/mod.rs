//! `writ play`: opens a recording with the reader's own key, verifies it, and shows or exports it.
//!
//! What comes over the wire is sealed; the key that opens it is made here and goes nowhere. Nothing is shown before
//! the chain of the whole recording, and its end as keyd has signed it, have been verified.

mod fetch;
mod screen;

use std::fs::File;
use std::io::{BufWriter, IsTerminal as _, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use writ_bastion::cast::{self, CastVersion, Wanted};
use writ_bastion::told::{self, Told};
use writ_model::Ulid;
use writ_proof::recording::RecordingKey;

use crate::access::WhoArgs;
use fetch::Fetched;

/// What `writ play` takes.
#[derive(clap::Args)]
pub struct PlayArgs {
    /// The session, as `writ sessions` shows it.
    session: Ulid,
    /// How many times faster than it happened.
    #[arg(long, value_name = "N", default_value = "1", value_parser = factor)]
    speed: f64,
    /// Show no pause that is longer than this many seconds.
    #[arg(long, value_name = "SECONDS", value_parser = factor)]
    idle_limit: Option<f64>,
    /// Write an asciicast into this file instead of playing; `asciinema play` shows it.
    #[arg(long, value_name = "FILE")]
    export: Option<PathBuf>,
    /// The version of the asciicast: 2, or 3 with the recording's checkpoints as comments.
    #[arg(long, value_name = "2|3", default_value = "2", value_parser = clap::value_parser!(u8).range(2..=3))]
    cast: u8,
    /// Tell in words what happened, instead of playing. What has no terminal is always told in words.
    #[arg(long)]
    list: bool,
    /// Also what the operator typed. It may hold passwords.
    #[arg(long)]
    input: bool,
    /// One channel; the first with a terminal or a command without it.
    #[arg(long, value_name = "N")]
    channel: Option<u32>,
    #[command(flatten)]
    who: WhoArgs,
}

fn factor(text: &str) -> Result<f64, String> {
    let number: f64 = text.parse().map_err(|_| format!("`{text}` is no number"))?;
    if number.is_finite() && (0.01..=10_000.0).contains(&number) {
        Ok(number)
    } else {
        Err("it is between 0.01 and 10000".to_owned())
    }
}

/// Does what the command line says.
///
/// # Errors
/// What is wrong and what to do.
#[expect(clippy::print_stderr, reason = "what it plays has standard output to itself")]
pub fn run(args: &PlayArgs) -> Result<()> {
    // Before anything is signed and told.
    if let Some(path) = args.export.as_ref().filter(|path| path.symlink_metadata().is_ok()) {
        bail!("`{}` exists: name another file", path.display());
    }
    let Fetched { mut file, key, session, verified } = fetch::fetch(&args.who, args.session)?;
    eprintln!(
        "{} on {}, {}; {} frames, verified: {}",
        session.person,
        session.host,
        session.start.iso(),
        verified.frames,
        verified.by
    );
    let told = told::tell(&mut file, &key)?;
    if let Some(path) = &args.export {
        return export(args, &mut file, &key, path);
    }
    if args.list || told.terminal.is_none() && args.channel.is_none() {
        return list(&told);
    }
    play(args, &mut file, &key, &told)
}

fn wanted(args: &PlayArgs, channel: Option<u32>) -> Wanted {
    let version = if args.cast == 3 { CastVersion::V3 } else { CastVersion::V2 };
    Wanted { version, channel: args.channel.or(channel), input: args.input }
}

#[expect(clippy::print_stdout, reason = "this is what the command is for")]
fn export(args: &PlayArgs, file: &mut File, key: &RecordingKey, path: &Path) -> Result<()> {
    let named = || format!("cannot write `{}`", path.display());
    let out = File::options().write(true).create_new(true).open(path).with_context(named)?;
    let mut out = BufWriter::new(out);
    let done = cast::export(file, key, wanted(args, None), &mut out)?;
    out.flush().with_context(named)?;
    if done.channel.is_none() {
        std::fs::remove_file(path).with_context(named)?;
        bail!("it has no terminal and no command to show: leave out --export and read it in words");
    }
    let lossy = if done.lossy { "; bytes that are no UTF-8 were replaced" } else { "" };
    println!("written to {}: {} events{lossy}", path.display(), done.events);
    println!("it lies there in the clear: delete it when you are done");
    Ok(())
}

/// What happened, in words. What a host or an operator wrote is shown without what would act on a terminal.
#[expect(clippy::print_stdout, reason = "this is what the command is for")]
fn list(told: &Told) -> Result<()> {
    if told.lines.is_empty() {
        println!("nothing was done in it");
    }
    for line in &told.lines {
        let (seconds, ms) = (line.ms / 1000, line.ms % 1000);
        println!("{seconds:>6}.{ms:03}  [{}]  {}", line.channel, screen::plain(&line.text));
    }
    Ok(())
}

/// Plays on this terminal, at its own pace. Nothing of it is written anywhere in the clear.
fn play(args: &PlayArgs, file: &mut File, key: &RecordingKey, told: &Told) -> Result<()> {
    let wanted = Wanted { version: CastVersion::V2, ..wanted(args, told.terminal) };
    let out = std::io::stdout().lock();
    let mut player = Player {
        is_terminal: out.is_terminal(),
        out,
        filter: screen::Filter::default(),
        line: Vec::new(),
        at: 0.0,
        speed: args.speed,
        idle_limit: args.idle_limit.unwrap_or(f64::INFINITY),
    };
    let played = cast::export(file, key, wanted, &mut player);
    player.restore()?;
    played?;
    Ok(())
}

/// Takes an asciicast and plays it.
struct Player<W> {
    out: W,
    is_terminal: bool,
    filter: screen::Filter,
    /// The line so far.
    line: Vec<u8>,
    at: f64,
    speed: f64,
    idle_limit: f64,
}

impl<W: Write> Write for Player<W> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        for byte in bytes {
            if *byte != b'\n' {
                self.line.push(*byte);
                continue;
            }
            let line = std::mem::take(&mut self.line);
            self.event(&line)?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.out.flush()
    }
}

impl<W: Write> Player<W> {
    /// Plays an event; the header is none.
    fn event(&mut self, line: &[u8]) -> std::io::Result<()> {
        let Ok((when, code, text)) = serde_json::from_slice::<(f64, String, String)>(line) else {
            return Ok(());
        };
        pause((when - self.at).clamp(0.0, self.idle_limit) / self.speed);
        self.at = when;
        match code.as_str() {
            "o" => self.out.write_all(self.filter.pass(&text).as_bytes())?,
            "i" => write!(self.out, "\x1b[7m{}\x1b[27m", screen::plain(&text))?,
            "m" => {
                let text = marker(&text);
                match self.is_terminal {
                    true => write!(self.out, "\r\n\x1b[7m {text} \x1b[0m\r\n")?,
                    false => write!(self.out, "\r\n{text}\r\n")?,
                }
            }
            _ => {}
        }
        self.out.flush()
    }

    /// Takes back what the recording has done to the terminal, and nothing else.
    fn restore(&mut self) -> std::io::Result<()> {
        if self.is_terminal {
            self.out.write_all(self.filter.undo().as_bytes())?;
        }
        self.out.flush()
    }
}

/// In words. A number alone is how a command ended: asciicast 2 has markers, and no exit.
fn marker(text: &str) -> String {
    match text.parse::<u32>() {
        Ok(status) => format!("exit status {status}"),
        Err(_) => screen::plain(text),
    }
}

fn pause(seconds: f64) {
    let pause = Duration::try_from_secs_f64(seconds).unwrap_or_default();
    if !pause.is_zero() {
        std::thread::sleep(pause);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cast_is_played_without_what_acts_on_the_terminal() {
        let mut player = Player {
            out: Vec::new(),
            is_terminal: true,
            filter: screen::Filter::default(),
            line: Vec::new(),
            at: 0.0,
            speed: 10_000.0,
            idle_limit: 0.01,
        };
        let cast = concat!(
            "{\"version\":2,\"width\":80,\"height\":24}\n",
            "[0.100,\"o\",\"hello \\u001b]0;title\\u0007\\r\\n\"]\n",
            "[0.100,\"r\",\"80x25\"]\n[90.000,\"i\",\"\\u0003\"]\n[90.1,\"m\",\"0\"]\n",
        );
        player.write_all(cast.as_bytes()).unwrap();
        let out = String::from_utf8(player.out).unwrap();
        let end = "\r\n\x1b[7m exit status 0 \x1b[0m\r\n";
        assert_eq!(out, format!("hello \r\n\x1b[7m\u{fffd}\x1b[27m{end}"));
    }

    #[test]
    fn end_of_a_recording_resets_only_what_it_switched_on() {
        for (is_terminal, cast, wanted) in [
            (true, "hello", "hello"),
            (true, "\\u001b[?25lhidden", "\x1b[?25lhidden\x1b[?25h"),
            (false, "\\u001b[?25lhidden", "\x1b[?25lhidden"),
        ] {
            let mut player = Player {
                out: Vec::new(),
                is_terminal,
                filter: screen::Filter::default(),
                line: Vec::new(),
                at: 0.0,
                speed: 10_000.0,
                idle_limit: 0.01,
            };
            player.write_all(format!("[0.1,\"o\",\"{cast}\"]\n").as_bytes()).unwrap();
            player.restore().unwrap();
            assert_eq!(String::from_utf8(player.out).unwrap(), wanted, "{cast}");
        }
    }
}

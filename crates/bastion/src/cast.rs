//! Recordings as asciicast, versions 2 and 3 (docs.asciinema.org/manual/asciicast).
//!
//! An export is a view: one channel's terminal, with what is not UTF-8 replaced. The evidence is the
//! recording, which is verified whole while it is exported; one without an end is refused.

mod text;

use std::io::{Read, Seek, SeekFrom, Write};

use serde_json::{Map, Value, json};
use writ_proof::cbor;
use writ_proof::recording::event::{Exit, Opened, SftpEvent, Window};
use writ_proof::recording::{Direction, Header, Kind, Mark, RecordingKey, Stored, Verifier};

use crate::error::Error;
use crate::limits::{CAST_COLS, CAST_ROWS, READ_CHUNK_BYTES};
use text::Text;

/// Which asciicast.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CastVersion {
    /// Times count from the start.
    V2,
    /// Times count from the event before; comments hold the recording's checkpoints.
    V3,
}

/// What to export.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted {
    /// Which asciicast.
    pub version: CastVersion,
    /// The channel; without one the first on which a terminal, a shell or a command was asked for.
    pub channel: Option<u32>,
    /// Whether to show what the operator typed. It may hold passwords.
    pub input: bool,
}

/// What came of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Exported {
    /// The channel.
    pub channel: Option<u32>,
    /// Events, without comments.
    pub events: u64,
    /// True if bytes that are no UTF-8 were replaced. The header says so too.
    pub lossy: bool,
}

/// Writes a recording as asciicast. Reads it twice: the header says what only the end tells.
pub fn export(
    recording: &mut (impl Read + Seek),
    key: &RecordingKey,
    wanted: Wanted,
    cast: &mut dyn Write,
) -> Result<Exported, Error> {
    let facts = translate(recording, key, wanted, Facts::default(), &mut |_| Ok(()))?;
    let mut last_ms = 0;
    let mut done = Exported { channel: facts.channel, events: 0, lossy: facts.lossy };
    write_line(cast, &header(wanted, &facts).to_string())?;
    let known = Facts { channel: facts.channel, ..Facts::default() };
    translate(recording, key, wanted, known, &mut |event| {
        let line = match (event.code, wanted.version) {
            (Code::Comment, CastVersion::V2) => return Ok(()),
            (Code::Comment, CastVersion::V3) => format!("# {}", event.text),
            (code, version) => {
                let ms = event.ms.max(last_ms);
                let shown = if version == CastVersion::V2 { ms } else { ms - last_ms };
                last_ms = ms;
                done.events += 1;
                let text = Value::String(event.text);
                let letter = code.letter(version);
                format!("[{}.{:03},\"{letter}\",{text}]", shown / 1000, shown % 1000)
            }
        };
        write_line(cast, &line)
    })?;
    Ok(done)
}

fn write_line(cast: &mut dyn Write, line: &str) -> Result<(), Error> {
    let written = cast.write_all(line.as_bytes()).and_then(|()| cast.write_all(b"\n"));
    written.map_err(Error::io("write", "the asciicast"))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Code {
    Comment,
    Exit,
    Input,
    Marker,
    Output,
    Resize,
}

impl Code {
    /// Version 2 has no exit: it becomes a marker.
    fn letter(self, version: CastVersion) -> char {
        match (self, version) {
            (Code::Exit, CastVersion::V3) => 'x',
            (Code::Input, _) => 'i',
            (Code::Output, _) => 'o',
            (Code::Resize, _) => 'r',
            (Code::Comment | Code::Exit | Code::Marker, _) => 'm',
        }
    }
}

struct Event {
    /// Since the session's start, rounded, so that no error adds up.
    ms: u64,
    code: Code,
    text: String,
}

/// What the header says.
#[derive(Debug, Clone, Default)]
struct Facts {
    channel: Option<u32>,
    recording: Option<Header>,
    window: Option<Window>,
    terminal: Option<String>,
    command: Option<String>,
    last_ms: u64,
    lossy: bool,
}

fn header(wanted: Wanted, facts: &Facts) -> Value {
    let window = facts.window.unwrap_or(Window { cols: CAST_COLS, rows: CAST_ROWS });
    // A client that does not know its size says 0.
    let size = |value: u32, usual: u32| match value {
        0 => usual,
        value => value.min(u32::from(u16::MAX)),
    };
    let (cols, rows) = (size(window.cols, CAST_COLS), size(window.rows, CAST_ROWS));
    let mut all = Map::new();
    let terminal = facts.terminal.as_deref().unwrap_or("dumb");
    match wanted.version {
        CastVersion::V2 => {
            all.insert("version".to_owned(), json!(2));
            all.insert("width".to_owned(), json!(cols));
            all.insert("height".to_owned(), json!(rows));
            let seconds = format!("{}.{:03}", facts.last_ms / 1000, facts.last_ms % 1000);
            let duration = serde_json::from_str(&seconds).unwrap_or(Value::Null);
            all.insert("duration".to_owned(), duration);
            all.insert("env".to_owned(), json!({ "TERM": terminal }));
        }
        CastVersion::V3 => {
            all.insert("version".to_owned(), json!(3));
            let term = json!({ "cols": cols, "rows": rows, "type": terminal });
            all.insert("term".to_owned(), term);
        }
    }
    if let Some(recording) = &facts.recording {
        all.insert("timestamp".to_owned(), json!(recording.start.secs()));
        let lossy = if facts.lossy { "; lossy: bytes that are no UTF-8 are replaced" } else { "" };
        let (human, host) = (recording.human.as_str(), &recording.host);
        let title = format!("{human} on {host}, session {}{lossy}", recording.session);
        all.insert("title".to_owned(), json!(title));
    }
    if let Some(command) = &facts.command {
        all.insert("command".to_owned(), json!(command));
    }
    Value::Object(all)
}

type Emit<'a> = dyn FnMut(Event) -> Result<(), Error> + 'a;

/// Reads and verifies the recording, and calls `emit` with what happened on the channel.
fn translate(
    recording: &mut (impl Read + Seek),
    key: &RecordingKey,
    wanted: Wanted,
    mut facts: Facts,
    emit: &mut Emit<'_>,
) -> Result<Facts, Error> {
    let reading = "the recording";
    facts.channel = facts.channel.or(wanted.channel);
    let mut translator = Translator {
        wanted,
        facts,
        output: Text::default(),
        input: Text::default(),
        errors: Text::default(),
    };
    recording.seek(SeekFrom::Start(0)).map_err(Error::io("read", reading))?;
    let mut verifier = Verifier::new();
    let mut chunk = vec![0; READ_CHUNK_BYTES];
    loop {
        let read = recording.read(&mut chunk).map_err(Error::io("read", reading))?;
        if read == 0 {
            break;
        }
        let mut failure = None;
        let each = &mut |header: &Header, frame: &Stored<'_>| {
            if failure.is_none() {
                failure = translator.frame(header, frame, key, emit).err();
            }
            Ok(())
        };
        verifier.push(chunk.get(..read).unwrap_or_default(), each)?;
        if let Some(error) = failure {
            return Err(error);
        }
    }
    verifier.finish()?;
    translator.flush(emit)?;
    Ok(translator.facts)
}

struct Translator {
    wanted: Wanted,
    facts: Facts,
    output: Text,
    input: Text,
    errors: Text,
}

impl Translator {
    fn frame(
        &mut self,
        header: &Header,
        frame: &Stored<'_>,
        key: &RecordingKey,
        emit: &mut Emit<'_>,
    ) -> Result<(), Error> {
        self.facts.recording.get_or_insert_with(|| header.clone());
        let ms = frame.monotonic_ns.saturating_add(500_000) / 1_000_000;
        self.facts.last_ms = ms;
        if let Some(mark) = frame.mark()? {
            return emit(Event { ms, code: Code::Comment, text: comment(&mark) });
        }
        let content = frame.open(key)?;
        if frame.kind == Kind::Open {
            self.opened(frame.channel, &cbor_of(&content)?);
        }
        if self.facts.channel != Some(frame.channel) {
            return Ok(());
        }
        let (code, text) = match frame.kind {
            Kind::Data => match self.data(frame.direction, &content) {
                Some(shown) => shown,
                None => return Ok(()),
            },
            Kind::Window => {
                let window: Window = cbor_of(&content)?;
                (Code::Resize, format!("{}x{}", window.cols, window.rows))
            }
            Kind::Exit => match cbor_of(&content)? {
                Exit::Status(status) => (Code::Exit, status.to_string()),
                // As shells count: the format has a number only.
                Exit::Signal(name) => (Code::Marker, format!("ended by signal {name}")),
            },
            Kind::Open => match cbor_of(&content)? {
                Opened::Refused((what, why)) => (Code::Marker, format!("refused: {what}: {why}")),
                _ => return Ok(()),
            },
            Kind::Sftp => (Code::Marker, told(&cbor_of(&content)?)),
            Kind::Gap => (Code::Marker, "gap: the host's agent is silent".to_owned()),
            _ => return Ok(()),
        };
        emit(Event { ms, code, text })
    }

    /// Remembers what the header shows. The first size of the terminal is the header's.
    fn opened(&mut self, channel: u32, opened: &Opened) {
        let shows = matches!(opened, Opened::Terminal(_) | Opened::Shell | Opened::Exec(_));
        if shows {
            self.facts.channel.get_or_insert(channel);
        }
        if self.facts.channel != Some(channel) {
            return;
        }
        match opened {
            Opened::Terminal(terminal) => {
                self.facts.window.get_or_insert(terminal.window);
                self.facts.terminal.get_or_insert_with(|| terminal.name.clone());
            }
            Opened::Exec(command) => {
                self.facts.command.get_or_insert_with(|| command.clone());
            }
            _ => {}
        }
    }

    fn data(&mut self, direction: Direction, content: &[u8]) -> Option<(Code, String)> {
        let (code, decoder) = match direction {
            Direction::FromHost => (Code::Output, &mut self.output),
            Direction::Errors => (Code::Output, &mut self.errors),
            Direction::ToHost if self.wanted.input => (Code::Input, &mut self.input),
            _ => return None,
        };
        let text = decoder.add(content);
        self.facts.lossy |= decoder.lossy;
        (!text.is_empty()).then_some((code, text))
    }

    /// Sequences that never became whole.
    fn flush(&mut self, emit: &mut Emit<'_>) -> Result<(), Error> {
        let ms = self.facts.last_ms;
        let rest = [
            (Code::Output, self.output.finish()),
            (Code::Output, self.errors.finish()),
            (Code::Input, self.input.finish()),
        ];
        for (code, text) in rest {
            if !text.is_empty() {
                self.facts.lossy = true;
                emit(Event { ms, code, text })?;
            }
        }
        Ok(())
    }
}

fn cbor_of<T: cbor::Decode>(content: &[u8]) -> Result<T, Error> {
    cbor::from_slice(content).map_err(|error| Error::Format(error.into()))
}

fn comment(mark: &Mark) -> String {
    let at = mark.at();
    let what = match mark {
        Mark::Checkpoint(_) => "checkpoint",
        Mark::End(_) => "end",
        Mark::Truncated(_) => "truncated",
    };
    format!("{what} frame {} after {} at {}", at.seq, at.head, at.wall.iso_millis())
}

fn told(event: &SftpEvent) -> String {
    match event {
        SftpEvent::Asked(asked) => format!("{} {}", asked.operation, asked.paths.join(" ")),
        SftpEvent::Denied(denial) => format!("refused: {}", denial.reason),
        SftpEvent::Transferred(file) => {
            let partial = if file.partial { ", cut off" } else { "" };
            let (read, written) = (file.read_bytes, file.written_bytes);
            format!("{}: {read} bytes read, {written} written{partial}", file.path)
        }
    }
}

#[cfg(test)]
#[path = "tests/cast.rs"]
mod tests;

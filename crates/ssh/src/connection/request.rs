//! Requests in a session channel (RFC 4254 section 6), read strictly and written.

use writ_proof::ssh::SshReader;

use crate::error::Error;
use crate::limits;
use crate::wire::{Message, printable};

/// A terminal's size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// Columns, in characters.
    pub columns: u32,
    /// Rows, in characters.
    pub rows: u32,
    /// Width in pixels; 0 if unknown.
    pub width: u32,
    /// Height in pixels; 0 if unknown.
    pub height: u32,
}

/// A terminal.
#[derive(Clone, PartialEq, Eq)]
pub struct Pty {
    /// `TERM`
    pub term: String,
    /// Its size.
    pub size: Size,
    /// Its modes, encoded (RFC 4254 section 8).
    pub modes: Vec<u8>,
}

/// A request in a session channel. No `Debug`: a command or a variable may hold a secret.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum SessionRequest {
    /// `env`: sets a variable.
    Env {
        /// The variable's name.
        name: String,
        /// Its value.
        value: String,
    },
    /// `exec`: runs a command.
    Exec(Vec<u8>),
    /// `exit-signal`: a signal ended the command.
    ExitSignal {
        /// The signal's name, without `SIG`.
        signal: String,
        /// True if there is a core file.
        core: bool,
        /// What happened, printable.
        text: String,
    },
    /// `exit-status`: the command ended.
    ExitStatus(u32),
    /// Another; this build does not know it.
    Other {
        /// Its name.
        name: String,
        /// Its data.
        data: Vec<u8>,
    },
    /// `pty-req`: a terminal.
    Pty(Pty),
    /// `shell`: starts the login shell.
    Shell,
    /// `signal`: sends a signal, named without `SIG`.
    Signal(String),
    /// `subsystem`: starts `sftp` or another.
    Subsystem(String),
    /// `window-change`: the terminal has another size.
    WindowChange(Size),
}

impl SessionRequest {
    /// Reads the data of a request.
    pub fn parse(name: &str, data: &[u8]) -> Result<SessionRequest, Error> {
        let mut reader = SshReader::new(data);
        let request = match name {
            "env" => SessionRequest::Env {
                name: short(reader.text()?)?,
                value: bounded(reader.text()?, limits::COMMAND_MAX_BYTES)?,
            },
            "exec" => {
                let command = reader.string()?;
                Error::limit("command bytes", command.len(), limits::COMMAND_MAX_BYTES)?;
                SessionRequest::Exec(command.to_vec())
            }
            "exit-signal" => {
                let (signal, core) = (short(reader.text()?)?, reader.boolean()?);
                let text = printable(reader.string()?);
                reader.string()?;
                SessionRequest::ExitSignal { signal, core, text }
            }
            "exit-status" => SessionRequest::ExitStatus(reader.number()?),
            "pty-req" => {
                let (term, size) = (short(reader.text()?)?, size(&mut reader)?);
                let modes = reader.string()?;
                Error::limit("terminal modes", modes.len(), limits::TERMINAL_MODES_MAX_BYTES)?;
                SessionRequest::Pty(Pty { term, size, modes: modes.to_vec() })
            }
            "shell" => SessionRequest::Shell,
            "signal" => SessionRequest::Signal(short(reader.text()?)?),
            "subsystem" => SessionRequest::Subsystem(short(reader.text()?)?),
            "window-change" => SessionRequest::WindowChange(size(&mut reader)?),
            _ => {
                return Ok(SessionRequest::Other { name: name.to_owned(), data: data.to_vec() });
            }
        };
        reader.finish()?;
        Ok(request)
    }

    /// Its name and data.
    pub fn encode(&self) -> (String, Vec<u8>) {
        let message = Message::default();
        let (name, message) = match self {
            SessionRequest::Env { name, value } => ("env", message.string(name).string(value)),
            SessionRequest::Exec(command) => ("exec", message.string(command)),
            SessionRequest::ExitSignal { signal, core, text } => {
                ("exit-signal", message.string(signal).boolean(*core).string(text).string(""))
            }
            SessionRequest::ExitStatus(status) => ("exit-status", message.number(*status)),
            SessionRequest::Other { name, data } => (name.as_str(), message.raw(data)),
            SessionRequest::Pty(pty) => {
                let message = put_size(message.string(&pty.term), pty.size);
                ("pty-req", message.string(&pty.modes))
            }
            SessionRequest::Shell => ("shell", message),
            SessionRequest::Signal(signal) => ("signal", message.string(signal)),
            SessionRequest::Subsystem(name) => ("subsystem", message.string(name)),
            SessionRequest::WindowChange(size) => ("window-change", put_size(message, *size)),
        };
        (name.to_owned(), message.done())
    }
}

fn short(text: &str) -> Result<String, Error> {
    bounded(text, 4 * limits::NAME_MAX_BYTES)
}

/// Text without NUL, which would end it early for whoever passes it to a C library.
fn bounded(text: &str, most: usize) -> Result<String, Error> {
    Error::limit("text bytes", text.len(), most)?;
    if text.contains('\0') {
        return Err(Error::Protocol("a text holds a NUL"));
    }
    Ok(text.to_owned())
}

fn size(reader: &mut SshReader<'_>) -> Result<Size, Error> {
    let (columns, rows) = (reader.number()?, reader.number()?);
    Ok(Size { columns, rows, width: reader.number()?, height: reader.number()? })
}

fn put_size(message: Message, size: Size) -> Message {
    message.number(size.columns).number(size.rows).number(size.width).number(size.height)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn session_request_round_trips_and_takes_nothing_after_it() {
        let size = Size { columns: 80, rows: 24, width: 0, height: 0 };
        let signal = "TERM".to_owned();
        for request in [
            SessionRequest::Env { name: "LANG".to_owned(), value: "C.UTF-8".to_owned() },
            SessionRequest::Exec(b"true\xff".to_vec()),
            SessionRequest::ExitSignal { signal: signal.clone(), core: true, text: String::new() },
            SessionRequest::ExitStatus(255),
            SessionRequest::Pty(Pty { term: "xterm".to_owned(), size, modes: vec![0] }),
            SessionRequest::Shell,
            SessionRequest::Signal(signal),
            SessionRequest::Subsystem("sftp".to_owned()),
            SessionRequest::WindowChange(size),
        ] {
            let (name, mut data) = request.encode();
            assert!(SessionRequest::parse(&name, &data).unwrap() == request, "{name}");
            data.push(0);
            assert!(SessionRequest::parse(&name, &data).is_err(), "{name}");
        }
        let other = SessionRequest::parse("x11-req", &[1, 2]).unwrap();
        assert!(other.encode() == ("x11-req".to_owned(), vec![1, 2]));
        let env = Message::default().string("A").string("a\0b").done();
        assert!(SessionRequest::parse("env", &env).is_err());
    }
}

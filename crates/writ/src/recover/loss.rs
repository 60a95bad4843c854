//! What a recovered log would not hold any more, by name.

use std::collections::BTreeMap;

use anyhow::Result;
use serde_json::Value;
use writ_proof::checkpoint::Checkpoint;
use writ_proof::note::Note;
use writ_proof::origin::LogName;
use writ_proof::replay::Replay;
use writ_trail::reader::Reader;

use super::pieces::Piece;

/// Events that are named; further ones are only counted.
const NAMED_MAX: usize = 1000;

/// What would be lost.
#[derive(Debug, Default)]
pub(super) struct Loss {
    /// Events by id, each described in one line.
    events: BTreeMap<String, String>,
    /// Positions of the write-ahead log that are known to be lost: from, and before.
    positions: Option<(u64, u64)>,
    /// Records beyond the log's end that are no events: heads and the like.
    others: u64,
    /// What could not be read while looking.
    unread: Vec<String>,
}

impl Loss {
    /// Compares what `replay` holds with the frames that do not join it, and with the record files
    /// that trail made from the log while it was whole.
    pub(super) fn of(replay: &Replay, left: &[Piece], reader: &Reader) -> Result<Loss> {
        let mut loss = Loss::default();
        let end = left.iter().map(|piece| piece.next_seq).max();
        loss.positions = end.map(|end| (replay.end().next_seq, end));
        for piece in left {
            let located = piece.located(&piece.read()?)?;
            for (entry, position) in located.frame.batch.entries.iter().zip(piece.first_seq..) {
                loss.record(&entry.record, &format!("position {position}"));
            }
        }
        for log in reader.logs()? {
            let known = replay.logs().get(&log).map_or(0, |frontier| frontier.size());
            for seq in known..reader.size(log)? {
                let place = format!("{} leaf {seq}", reader.origin(log));
                match reader.log(log).record(seq) {
                    Ok(record) => loss.record(&record, &place),
                    Err(error) => loss.unread.push(format!("{place}: {error}")),
                }
            }
        }
        Ok(loss)
    }

    fn record(&mut self, record: &[u8], place: &str) {
        let value: Value = serde_json::from_slice(record).unwrap_or_default();
        let text = |name: &str| value.get(name).and_then(Value::as_str).unwrap_or("-");
        let id = text("eventID");
        if id == "-" {
            self.others += 1;
            return;
        }
        self.events.entry(id.to_owned()).or_insert_with(|| {
            let (time, source) = (text("eventTime"), text("eventSource"));
            let (name, request) = (text("eventName"), text("requestID"));
            format!("{place}: {time} {source} {name}, request {request}, event {id}")
        });
    }

    /// True if nothing is lost.
    pub(super) fn is_nothing(&self) -> bool {
        self.events.is_empty()
            && self.positions.is_none()
            && self.others == 0
            && self.unread.is_empty()
    }

    /// The loss in words, a line each.
    pub(super) fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        if let Some((from, before)) = self.positions {
            lines.push(format!("positions {from} to {} of the log", before.saturating_sub(1)));
        }
        lines.extend(self.events.values().take(NAMED_MAX).cloned());
        if let Some(more) = self.events.len().checked_sub(NAMED_MAX).filter(|more| *more > 0) {
            lines.push(format!("and {more} events more"));
        }
        if self.others > 0 {
            lines.push(format!("{} records that are no calls (heads, boots)", self.others));
        }
        lines.extend(self.unread.iter().take(NAMED_MAX).map(|why| format!("not readable: {why}")));
        lines
    }

    /// In one line, for the ledger.
    pub(super) fn summary(&self) -> String {
        let positions = self.positions.map(|(from, before)| format!("{from}..{before}"));
        let (events, positions) = (self.events.len(), positions.unwrap_or_default());
        match self.is_nothing() {
            true => "nothing".to_owned(),
            false => format!("{events} known events; positions {positions}"),
        }
    }
}

/// Logs of which keyd has signed a checkpoint that is larger than what `replay` holds: trail and keyd
/// refuse to go on from there.
pub(super) fn beyond_signed(replay: &Replay, reader: &Reader) -> Result<Vec<String>> {
    let mut beyond = Vec::new();
    for log in [LogName::Checkpoint, LogName::Operator] {
        let Some(note) = reader.checkpoint(log)? else { continue };
        let signed = Checkpoint::of(&Note::from_bytes(&note)?)?.size;
        let held = replay.logs().get(&log).map_or(0, |frontier| frontier.size());
        if held < signed {
            beyond.push(format!("{}: {held} leaves, {signed} are signed", reader.origin(log)));
        }
    }
    Ok(beyond)
}

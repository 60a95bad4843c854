//! Frames and beats of a connected agent.

use writ_proof::hostlog::log::{Event, HostLost};
use writ_proof::hostlog::{Beat, Frame, Frames, Gap, Item, Payload, Position, ToAgent};
use writ_proof::roster::HostName;

use super::{Hosts, Turn};
use crate::alarm::Alarm;
use crate::error::WatchError;

/// Why frames are not taken.
struct Fault {
    alarm: Alarm,
    why: String,
}

impl Hosts {
    /// Takes frames into the log, without those that it holds already. Answers whether there is something to
    /// acknowledge.
    pub(super) fn frames(
        &mut self,
        host: &HostName,
        frames: &Frames,
        turn: &mut Turn,
    ) -> Result<bool, WatchError> {
        self.alive(host);
        let held = self.held(host);
        if frames.from.next_seq > held.next_seq {
            let why =
                format!("frames from {} on, and {} are held", frames.from.next_seq, held.next_seq);
            self.rebase(Alarm::HistoryRewritten, host, &why, turn)?;
            return Ok(false);
        }
        let mut place = frames.from;
        for item in &frames.items {
            match self.item(host, held, &mut place, item)? {
                Ok(()) => {}
                Err(fault) => {
                    self.rebase(fault.alarm, host, &fault.why, turn)?;
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }

    fn item(
        &mut self,
        host: &HostName,
        held: Position,
        place: &mut Position,
        item: &Item,
    ) -> Result<Result<(), Fault>, WatchError> {
        let fault = |alarm, why: String| Ok(Err(Fault { alarm, why }));
        let next = match item {
            Item::Frame(bytes) => place.after(bytes),
            Item::Lost(lost) => match place.behind(lost) {
                Ok(next) => next,
                Err(error) => return fault(Alarm::Protocol, error.to_string()),
            },
        };
        let here = std::mem::replace(place, next);
        if [here, next].iter().any(|at| at.next_seq == held.next_seq && at.head != held.head) {
            let why = format!("what leads to {} is not what is held", held.next_seq);
            return fault(Alarm::HistoryRewritten, why);
        }
        if next.next_seq <= held.next_seq {
            // It came before; heads are compared where what is held ends.
            return Ok(Ok(()));
        }
        if here.next_seq < held.next_seq {
            return fault(
                Alarm::HistoryRewritten,
                "frames that are held are said to be lost".to_owned(),
            );
        }
        match item {
            Item::Frame(bytes) => match self.read(host, here.next_seq, bytes) {
                Ok(frame) => {
                    self.book.lock().append(Event::Frame(bytes.clone()))?;
                    self.seen(host, &frame)?;
                }
                Err(why) => return fault(Alarm::Protocol, why),
            },
            Item::Lost(lost) if !lost.is_signed(host, &self.keys(host)) => {
                let why = "frames are said to be lost, and the host's key has not signed that";
                return fault(Alarm::Protocol, why.to_owned());
            }
            Item::Lost(lost) => {
                let event = HostLost { host: host.clone(), lost: *lost };
                self.book.lock().append(Event::Lost(event))?;
                let why = format!(
                    "{} frames from {} on, up to class {}: {:?}",
                    lost.count,
                    lost.first,
                    lost.class.as_str(),
                    lost.reason
                );
                self.raise(Alarm::Gap, Some(host), &why)?;
            }
        }
        if !self.live.get_mut(host).is_none_or(|live| live.reached(next)) {
            let why = format!("its head at {} is not the one that it had announced", next.next_seq);
            // The frame is kept: it is what the host says now.
            self.raise(Alarm::HistoryRewritten, Some(host), &why)?;
        }
        Ok(Ok(()))
    }

    /// A frame that is this host's and has its place here.
    fn read(&self, host: &HostName, seq: u64, bytes: &[u8]) -> Result<Frame, String> {
        let frame = Frame::from_bytes(bytes).map_err(|error| error.to_string())?;
        let epoch = self.book.lock().facts().hosts.get(host).map_or(0, |facts| facts.epoch);
        if frame.host != *host {
            return Err(format!("a frame of host `{}`", frame.host));
        }
        if frame.seq != seq {
            return Err(format!("a frame of number {} in place {seq}", frame.seq));
        }
        if frame.epoch > epoch {
            return Err(format!("a frame of epoch {}, and {epoch} is the newest", frame.epoch));
        }
        if !frame.is_signed(&self.keys(host)) {
            return Err(format!("frame {seq} lacks the signature of the host's key"));
        }
        Ok(frame)
    }

    pub(super) fn keys(&self, host: &HostName) -> Vec<[u8; 32]> {
        self.book.lock().facts().hosts.get(host).map_or_else(Vec::new, |facts| facts.keys.clone())
    }

    fn seen(&mut self, host: &HostName, frame: &Frame) -> Result<(), WatchError> {
        let (at, now) = (self.env.now(), self.env.monotonic());
        // What follows from frames is durable with them, before they are acknowledged.
        self.book.detect_in_turn(|detectors| detectors.host_frame(frame, at, now))?;
        match &frame.payload {
            Payload::Canary(_) => {
                let now = self.env.monotonic();
                if let Some(live) = self.live.get_mut(host) {
                    live.canary(now);
                }
                Ok(())
            }
            Payload::Gap(Gap { count, class, reason, .. }) => {
                let why = format!(
                    "{count} events of source `{}`, up to class {}: {reason:?}",
                    frame.source,
                    class.as_str()
                );
                self.raise(Alarm::Gap, Some(host), &why)
            }
            _ => Ok(()),
        }
    }

    pub(super) fn beat(
        &mut self,
        host: &HostName,
        beat: &Beat,
        turn: &mut Turn,
    ) -> Result<(), WatchError> {
        self.alive(host);
        if let Err(error) = beat.check() {
            return self.refuse(Alarm::Protocol, Some(host), &error.to_string(), turn);
        }
        let held = self.held(host);
        let differs = beat.end.next_seq == held.next_seq && beat.end.head != held.head;
        if beat.end.next_seq < held.next_seq || differs {
            let why =
                format!("its beat names an end at {} that is not what is held", beat.end.next_seq);
            return self.rebase(Alarm::HistoryRewritten, host, &why, turn);
        }
        let now = self.env.monotonic();
        let Some(live) = self.live.get_mut(host) else { return Ok(()) };
        live.announce(beat.end);
        for (alarm, what) in live.take_beat(beat, now) {
            self.raise(alarm, Some(host), &what)?;
        }
        // The agent hears that it is heard.
        turn.replies.push(ToAgent::Ack(held));
        Ok(())
    }

    fn alive(&mut self, host: &HostName) {
        let now = self.env.monotonic();
        if let Some(live) = self.live.get_mut(host) {
            live.heard(now);
        }
    }
}

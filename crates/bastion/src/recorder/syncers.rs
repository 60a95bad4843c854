//! Threads that make several files durable side by side.
//!
//! One fsync after the other costs a commit of the file system's journal each; those that wait at the same time
//! share one.

use std::io;
use std::sync::mpsc::{Receiver, Sender, channel};

use super::disk::DiskFile;
use crate::error::Error;
use crate::limits::SYNC_EACH_MAX;

/// A file on its way, by its session.
type Sent = (u64, Box<dyn DiskFile>);
/// The same on its way back, with what came of it.
type Synced = (u64, Box<dyn DiskFile>, io::Result<()>);

/// See the module. Dropping it ends the threads.
pub(super) struct Syncers {
    threads: Vec<Sender<Sent>>,
    synced: Receiver<Synced>,
}

impl Syncers {
    pub(super) fn start() -> Result<Syncers, Error> {
        let (back, synced) = channel();
        let start = |_| {
            let (files, mine) = channel::<Sent>();
            let back = back.clone();
            let work = move || {
                for (id, mut file) in mine {
                    let result = file.sync();
                    // Whoever sent it waits, or the recorder is gone.
                    back.send((id, file, result)).ok();
                }
            };
            super::thread("recorder-sync", work).map(|_| files)
        };
        let threads = (0..SYNC_EACH_MAX).map(start).collect::<Result<_, _>>()?;
        Ok(Syncers { threads, synced })
    }

    /// Makes all of the files durable; a file that does not come back is lost, and its session with it.
    pub(super) fn sync(&self, files: Vec<Sent>) -> Vec<Synced> {
        let mut under_way = 0;
        for (file, thread) in files.into_iter().zip(self.threads.iter().cycle()) {
            under_way += usize::from(thread.send(file).is_ok());
        }
        (0..under_way).map_while(|_| self.synced.recv().ok()).collect()
    }
}

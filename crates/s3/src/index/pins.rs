//! Objects that are being read: their files stay until the last reader has let go.
//!
//! A reader looks an object up and pins it in one shared section; whoever clears garbage lists it in
//! an exclusive one. So a file that is listed unpinned is one that no later lookup can find.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use writ_model::Nonce;

/// How many readers each segment has.
#[derive(Default)]
pub(super) struct Pins {
    section: RwLock<()>,
    counts: Mutex<HashMap<Nonce, usize>>,
}

/// Keeps the files of one object while it lives.
pub struct Pin {
    pins: Arc<Pins>,
    segments: Vec<Nonce>,
}

impl Pins {
    /// Looks something up, with what must be pinned of it.
    pub(super) fn pinning<T, E>(
        self: &Arc<Self>,
        look_up: impl FnOnce() -> Result<(T, Vec<Nonce>), E>,
    ) -> Result<(T, Pin), E> {
        let _shared = self.section.read().unwrap_or_else(PoisonError::into_inner);
        let (found, segments) = look_up()?;
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        for segment in &segments {
            *counts.entry(*segment).or_default() += 1;
        }
        Ok((found, Pin { pins: Arc::clone(self), segments }))
    }

    /// Lists files and keeps those that nobody reads.
    pub(super) fn unpinned<E>(
        &self,
        list: impl FnOnce() -> Result<Vec<String>, E>,
    ) -> Result<Vec<String>, E> {
        let _exclusive = self.section.write().unwrap_or_else(PoisonError::into_inner);
        let mut files = list()?;
        let counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let pinned = |file: &String| {
            let id = file.split('.').next().unwrap_or_default();
            let mut bytes = [0; 16];
            hex::decode_to_slice(id, &mut bytes).is_ok() && counts.contains_key(&Nonce(bytes))
        };
        files.retain(|file| !pinned(file));
        Ok(files)
    }
}

impl Drop for Pin {
    fn drop(&mut self) {
        let mut counts = self.pins.counts.lock().unwrap_or_else(PoisonError::into_inner);
        for segment in &self.segments {
            if let Some(count) = counts.get_mut(segment) {
                *count -= 1;
                if *count == 0 {
                    counts.remove(segment);
                }
            }
        }
    }
}

//! The one module with unsafe code: locked memory for keys, and descriptors that were inherited.
//!
//! An [`Arena`] is a fixed number of 32-byte slots in memory that is not swapped and not dumped:
//! `memfd_secret` where the kernel has it (then not even root reads it through `/proc/PID/mem`),
//! else locked anonymous memory. What the machine refuses is reported, never hidden.

use std::os::fd::{FromRawFd, OwnedFd, RawFd};
use std::ptr::NonNull;
use std::sync::{Arc, Mutex, PoisonError};

use memfd_secret::MemfdSecret;
use rustix::io::{FdFlags, fcntl_getfd, fcntl_setfd};
use rustix::mm::{Advice, MapFlags, ProtFlags};
use zeroize::Zeroize;

/// The size of every slot: an AES-256 key, an HMAC key, a seed.
pub const SLOT_BYTES: usize = 32;

/// Takes over descriptor `number`, which this process inherited, and marks it close-on-exec.
///
/// Call it once for each number, before anything else opens descriptors.
///
/// # Errors
/// `EBADF` if no such descriptor is open.
#[expect(unsafe_code, reason = "an inherited descriptor is known by its number alone")]
pub fn inherited_fd(number: RawFd) -> std::io::Result<OwnedFd> {
    // SAFETY: the borrow is only used to ask whether the descriptor is open.
    let borrowed = unsafe { std::os::fd::BorrowedFd::borrow_raw(number) };
    let flags = fcntl_getfd(borrowed)?;
    fcntl_setfd(borrowed, flags | FdFlags::CLOEXEC)?;
    // SAFETY: it is open (checked above) and, by this function's contract, nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

/// How well an arena's memory is guarded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Guard {
    /// `on`, or why `memfd_secret` is not used.
    pub memfd_secret: String,
    /// `on`, or why the memory could not be locked.
    pub locked: String,
}

/// Slots for secrets. Cheap to clone; the memory lives as long as any slot.
#[derive(Clone)]
pub struct Arena {
    memory: Arc<Memory>,
}

impl Arena {
    /// Maps and locks memory for `slots` secrets.
    ///
    /// # Errors
    /// When the machine gives no memory at all. A refusal to lock is in [`Arena::guard`] instead.
    pub fn new(slots: usize) -> std::io::Result<Arena> {
        let bytes = slots.max(1) * SLOT_BYTES;
        let (mapping, guard) = Mapping::new(bytes)?;
        let free = (0..slots.max(1)).rev().collect();
        Ok(Arena { memory: Arc::new(Memory { mapping, guard, free: Mutex::new(free) }) })
    }

    /// Moves `secret` into a slot and wipes the source; `None`, and the source still wiped, when full.
    pub fn put(&self, secret: &mut [u8; SLOT_BYTES]) -> Option<Slot> {
        let index = self.memory.free.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let slot = index.map(|index| Slot { memory: Arc::clone(&self.memory), index });
        if let Some(slot) = &slot {
            self.memory.write(slot.index, secret);
        }
        secret.zeroize();
        slot
    }

    /// How the memory is guarded.
    pub fn guard(&self) -> &Guard {
        &self.memory.guard
    }
}

/// One secret in an arena: no `Debug`, no `Clone`, wiped when dropped.
pub struct Slot {
    memory: Arc<Memory>,
    index: usize,
}

impl Slot {
    /// The secret, in place.
    pub fn expose(&self) -> &[u8; SLOT_BYTES] {
        self.memory.read(self.index)
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.memory.write(self.index, &[0; SLOT_BYTES]);
        self.memory.free.lock().unwrap_or_else(PoisonError::into_inner).push(self.index);
    }
}

struct Memory {
    mapping: Mapping,
    guard: Guard,
    /// Slots that no `Slot` names. INVARIANT: an index is here or in exactly one `Slot`.
    free: Mutex<Vec<usize>>,
}

impl Memory {
    #[expect(unsafe_code, reason = "slots are disjoint parts of one raw mapping")]
    fn write(&self, index: usize, secret: &[u8; SLOT_BYTES]) {
        // SAFETY: `index` is below the number of slots and owned by exactly one `Slot`, which is
        // being made or dropped, so no reference to these bytes is alive.
        unsafe {
            let target = self.mapping.base().as_ptr().add(index * SLOT_BYTES);
            std::ptr::copy_nonoverlapping(secret.as_ptr(), target, SLOT_BYTES);
        }
    }

    #[expect(unsafe_code, reason = "slots are disjoint parts of one raw mapping")]
    fn read(&self, index: usize) -> &[u8; SLOT_BYTES] {
        // SAFETY: in bounds, initialised by `write`, and not written while the borrowed `Slot` lives.
        unsafe { &*self.mapping.base().as_ptr().add(index * SLOT_BYTES).cast() }
    }
}

enum Mapping {
    Secret { base: NonNull<u8>, _owner: Box<MemfdSecret> },
    Anonymous { base: NonNull<u8>, bytes: usize },
}

#[expect(unsafe_code, reason = "the pointers name memory that the mapping owns")]
// SAFETY: the memory is plain bytes; `Memory` gives out disjoint slots with one owner each.
unsafe impl Send for Mapping {}
#[expect(unsafe_code, reason = "the pointers name memory that the mapping owns")]
// SAFETY: as above; shared slots are only read.
unsafe impl Sync for Mapping {}

impl Mapping {
    fn new(bytes: usize) -> std::io::Result<(Mapping, Guard)> {
        match MemfdSecret::new(bytes) {
            Ok(mut secret) => {
                let base = NonNull::new(secret.as_mut_slice().as_mut_ptr());
                let base =
                    base.ok_or_else(|| std::io::Error::other("the kernel mapped nothing"))?;
                let guard = Guard { memfd_secret: "on".to_owned(), locked: "on".to_owned() };
                Ok((Mapping::Secret { base, _owner: Box::new(secret) }, guard))
            }
            Err(refused) => Mapping::anonymous(bytes, &refused.to_string()),
        }
    }

    #[expect(unsafe_code, reason = "mapping and locking memory")]
    fn anonymous(bytes: usize, refused: &str) -> std::io::Result<(Mapping, Guard)> {
        let rights = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: a fresh private mapping at an address of the kernel's choice.
        let base = unsafe {
            rustix::mm::mmap_anonymous(std::ptr::null_mut(), bytes, rights, MapFlags::PRIVATE)?
        };
        // SAFETY: the range was mapped just now.
        let locked = unsafe { rustix::mm::mlock(base, bytes) };
        // SAFETY: as above; the advice changes nothing but core dumps.
        let dumps = unsafe { rustix::mm::madvise(base, bytes, Advice::LinuxDontDump) };
        let locked = match (locked, dumps) {
            (Ok(()), Ok(())) => "on".to_owned(),
            (Err(error), _) => format!("refused: {error}"),
            (Ok(()), Err(error)) => format!("on, but core dumps may hold it: {error}"),
        };
        let base =
            NonNull::new(base.cast()).ok_or_else(|| std::io::Error::other("mapped nothing"))?;
        let guard = Guard { memfd_secret: format!("refused: {refused}"), locked };
        Ok((Mapping::Anonymous { base, bytes }, guard))
    }

    fn base(&self) -> NonNull<u8> {
        match self {
            Mapping::Secret { base, .. } | Mapping::Anonymous { base, .. } => *base,
        }
    }
}

impl Drop for Mapping {
    #[expect(unsafe_code, reason = "unmapping what `anonymous` mapped")]
    fn drop(&mut self) {
        if let Mapping::Anonymous { base, bytes } = *self {
            // SAFETY: no `Slot` is left, so nothing refers to the range any more.
            let unmapped = unsafe { rustix::mm::munmap(base.as_ptr().cast(), bytes) };
            debug_assert!(unmapped.is_ok());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arena_gives_back_what_was_put_and_wipes_the_source() {
        let arena = Arena::new(3).unwrap();
        let mut secret = [7; SLOT_BYTES];
        let slot = arena.put(&mut secret).unwrap();
        assert_eq!(secret, [0; SLOT_BYTES]);
        assert_eq!(slot.expose(), &[7; SLOT_BYTES]);
    }

    #[test]
    fn arena_when_full_refuses_and_reuses_dropped_slots() {
        let arena = Arena::new(2).unwrap();
        let first = arena.put(&mut [1; SLOT_BYTES]).unwrap();
        let second = arena.put(&mut [2; SLOT_BYTES]).unwrap();
        assert!(arena.put(&mut [3; SLOT_BYTES]).is_none());
        drop(first);
        let third = arena.put(&mut [3; SLOT_BYTES]).unwrap();
        assert_eq!((second.expose()[0], third.expose()[0]), (2, 3));
    }

    #[test]
    fn anonymous_memory_works_where_memfd_secret_is_refused() {
        let (mapping, guard) = Mapping::anonymous(4096, "by the test").unwrap();
        assert_eq!(guard.memfd_secret, "refused: by the test");
        let memory = Memory { mapping, guard, free: Mutex::new(vec![0]) };
        memory.write(0, &[9; SLOT_BYTES]);
        assert_eq!(memory.read(0), &[9; SLOT_BYTES]);
    }
}

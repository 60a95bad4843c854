//! The sandbox: after its start keyd opens nothing, listens on nothing and starts nothing.
//!
//! Each measure is reported with `on`, or with the reason why this machine refuses it; none is
//! silently left out. Landlock binds only the calling thread and those that it starts, so it comes
//! before the threads; the system-call filter binds all threads, so it comes after them.

use std::collections::BTreeMap;

use landlock::{
    ABI, Access as _, AccessFs, AccessNet, CompatLevel, Compatible as _, Ruleset, RulesetAttr as _,
    RulesetStatus,
};
use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};
use rustix::thread::set_no_new_privs;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, apply_filter_all_threads,
};

/// A measure and `on`, or why not.
pub(crate) type Measure = (String, String);

/// The system calls that keyd makes after its start; everything else fails with `EPERM`.
///
/// Memory is never made executable: `mmap` and `mprotect` are let through without `PROT_EXEC` only.
const ALLOWED: &[i64] = &[
    // Channels: packets, descriptors of restarted peers, sealed memfds for large packets.
    libc::SYS_recvmsg,
    libc::SYS_sendmsg,
    libc::SYS_setsockopt,
    libc::SYS_memfd_create,
    libc::SYS_fcntl,
    libc::SYS_fstat,
    libc::SYS_statx,
    libc::SYS_pread64,
    libc::SYS_close,
    // The head file, and a last word on standard error.
    libc::SYS_write,
    libc::SYS_fdatasync,
    // Memory.
    libc::SYS_brk,
    libc::SYS_madvise,
    libc::SYS_mremap,
    libc::SYS_munmap,
    // Threads, clocks, randomness.
    libc::SYS_clock_gettime,
    libc::SYS_clock_nanosleep,
    libc::SYS_futex,
    libc::SYS_getrandom,
    libc::SYS_sched_yield,
    // Signals, and the end.
    libc::SYS_exit,
    libc::SYS_exit_group,
    libc::SYS_getpid,
    libc::SYS_gettid,
    libc::SYS_restart_syscall,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_sigaltstack,
    libc::SYS_tgkill,
];

/// Measures that bind this thread and all that it starts; call it before any other thread exists.
pub(crate) fn before_threads() -> Vec<Measure> {
    let nothing = Rlimit { current: Some(0), maximum: Some(0) };
    vec![
        shown("no new privileges", set_no_new_privs(true)),
        shown("no core dumps", setrlimit(Resource::Core, nothing)),
        shown("not dumpable", set_dumpable_behavior(DumpableBehavior::NotDumpable)),
        ("landlock".to_owned(), landlock()),
    ]
}

/// The system-call filter, for all threads; call it when all threads exist.
pub(crate) fn after_threads() -> Measure {
    let apply =
        |program: BpfProgram| apply_filter_all_threads(&program).map_err(|error| error.to_string());
    shown("seccomp", filter().and_then(apply))
}

fn shown<E: std::fmt::Display>(name: &str, result: Result<(), E>) -> Measure {
    let value = result.map_or_else(|error| format!("refused: {error}"), |()| "on".to_owned());
    (name.to_owned(), value)
}

/// No file, no directory and no port: a ruleset that handles everything and allows nothing.
fn landlock() -> String {
    let restrict = || {
        Ruleset::default()
            .set_compatibility(CompatLevel::BestEffort)
            .handle_access(AccessFs::from_all(ABI::V5))?
            .handle_access(AccessNet::from_all(ABI::V5))?
            .create()?
            .restrict_self()
    };
    match restrict() {
        Ok(status) => match status.ruleset {
            RulesetStatus::FullyEnforced => "on".to_owned(),
            RulesetStatus::PartiallyEnforced => "on, as far as this kernel knows it".to_owned(),
            RulesetStatus::NotEnforced => "refused: this kernel has no Landlock".to_owned(),
        },
        Err(error) => format!("refused: {error}"),
    }
}

fn filter() -> Result<BpfProgram, String> {
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> =
        ALLOWED.iter().map(|number| (*number, Vec::new())).collect();
    for number in [libc::SYS_mmap, libc::SYS_mprotect] {
        let exec = u64::try_from(libc::PROT_EXEC).map_err(|error| error.to_string())?;
        let condition =
            SeccompCondition::new(2, SeccompCmpArgLen::Dword, SeccompCmpOp::MaskedEq(exec), 0);
        let rule = condition.and_then(|condition| SeccompRule::new(vec![condition]));
        rules.insert(number, vec![rule.map_err(|error| error.to_string())?]);
    }
    let arch = std::env::consts::ARCH.try_into().map_err(|_| "an unknown processor".to_owned())?;
    let refused = SeccompAction::Errno(u32::try_from(libc::EPERM).unwrap_or(1));
    SeccompFilter::new(rules, refused, SeccompAction::Allow, arch)
        .and_then(TryInto::try_into)
        .map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filter_compiles_and_holds_no_call_that_opens_or_starts_anything() {
        assert!(!filter().unwrap().is_empty());
        for number in [
            libc::SYS_openat,
            libc::SYS_socket,
            libc::SYS_connect,
            libc::SYS_execve,
            libc::SYS_clone,
            libc::SYS_clone3,
            libc::SYS_ptrace,
            libc::SYS_process_vm_readv,
        ] {
            assert!(!ALLOWED.contains(&number), "{number}");
        }
    }
}

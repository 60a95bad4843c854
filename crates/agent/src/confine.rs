//! What the agent's processes give up. The one that is started keeps its own folder, reading what resolves names,
//! and connecting; the reader keeps the rights that its sources need, and reaches nobody.
//!
//! All of it but the filter of system calls binds the calling thread and those that it starts: it comes before all
//! others. What this machine refuses is reported to watch, and nothing is silently left out.

use std::collections::BTreeMap;
use std::path::Path;

use landlock::{
    ABI, Access as _, AccessFs, AccessNet, CompatLevel, Compatible as _, RestrictionStatus,
    Ruleset, RulesetAttr as _, RulesetCreatedAttr as _, RulesetError, RulesetStatus, Scope,
    path_beneath_rules,
};
use rustix::thread::{
    CapabilitySet, CapabilitySets, capabilities, set_capabilities, set_no_new_privs,
};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, apply_filter_all_threads,
};
use writ_proof::hostlog::SourceReport;

use crate::config::Config;
use crate::identity::KEPT_FOLDER;
use crate::source::cut;
use crate::state::SPOOL_FOLDER;

/// The newest rules of Landlock that are asked for; a kernel that knows fewer enforces those.
const KNOWN: ABI = ABI::V6;

/// What resolving the name of a host reads.
const RESOLVER: [&str; 6] =
    ["/etc", "/run/systemd/resolve", "/lib", "/lib64", "/usr/lib", "/usr/share/zoneinfo"];

/// System calls that neither process makes: into others' memory, into the kernel, around the file system's names.
const REFUSED: &[i64] = &[
    libc::SYS_acct,
    libc::SYS_add_key,
    libc::SYS_bpf,
    libc::SYS_chroot,
    libc::SYS_clock_adjtime,
    libc::SYS_clock_settime,
    libc::SYS_delete_module,
    libc::SYS_finit_module,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fsopen,
    libc::SYS_init_module,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_io_uring_setup,
    libc::SYS_kcmp,
    libc::SYS_kexec_file_load,
    libc::SYS_kexec_load,
    libc::SYS_keyctl,
    libc::SYS_mount,
    libc::SYS_mount_setattr,
    libc::SYS_move_mount,
    libc::SYS_open_by_handle_at,
    libc::SYS_open_tree,
    libc::SYS_perf_event_open,
    libc::SYS_personality,
    libc::SYS_pidfd_getfd,
    libc::SYS_pivot_root,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_ptrace,
    libc::SYS_quotactl,
    libc::SYS_reboot,
    libc::SYS_request_key,
    libc::SYS_setdomainname,
    libc::SYS_sethostname,
    libc::SYS_setns,
    libc::SYS_settimeofday,
    libc::SYS_swapoff,
    libc::SYS_swapon,
    libc::SYS_umount2,
    libc::SYS_unshare,
    libc::SYS_userfaultfd,
];

/// By these a program becomes another one.
const EXEC: &[i64] = &[libc::SYS_execve, libc::SYS_execveat];

/// Kinds of sockets that resolving a name and connecting take. Not `AF_UNIX`: root's services listen there.
const SHIPPER_SOCKETS: &[i32] = &[libc::AF_INET, libc::AF_INET6, libc::AF_NETLINK];

/// Kinds of sockets that reach the kernel alone.
const READER_SOCKETS: &[i32] = &[libc::AF_NETLINK];

/// A second way to call each number on x86-64 (`__X32_SYSCALL_BIT`), where a kernel has it.
const X32: i64 = 0x4000_0000;

/// What became of a measure: the reason if this machine refuses it.
type Fault = Option<String>;

/// Confines the process that ships.
pub(crate) fn shipper(dir: &Path) -> Vec<SourceReport> {
    let refused = [REFUSED, EXEC].concat();
    vec![
        report("shipper: capabilities", keep(CapabilitySet::empty())),
        report("shipper: Landlock", enforced(only_own(dir))),
        report("shipper: system calls", filter(&refused, SHIPPER_SOCKETS)),
    ]
}

/// Confines the reader, when its sources are open.
///
/// Where sessions are followed there is no Landlock: by its rules a process that it binds cannot ask how one outside was
/// logged in (`ptrace` access, landlock(7)).
pub(crate) fn reader(config: &Config) -> Vec<SourceReport> {
    let mut reports = vec![report("reader: capabilities", keep(needed(config)))];
    if config.sessions.is_none() {
        reports.push(report("reader: Landlock", enforced(only_read())));
    }
    // The canary is an exec.
    let exec: &[i64] = if config.audit.read && config.audit.canary { &[] } else { EXEC };
    reports.push(report("reader: system calls", filter(&[REFUSED, exec].concat(), READER_SOCKETS)));
    reports
}

/// What the sources of a configuration take.
fn needed(config: &Config) -> CapabilitySet {
    let mut needed = CapabilitySet::DAC_READ_SEARCH;
    if config.audit.read {
        needed |= CapabilitySet::AUDIT_CONTROL | CapabilitySet::AUDIT_READ;
    }
    if config.sessions.is_some() {
        // To see how somebody logged in, to put it into a group (before Linux 6.6), and to end it.
        needed |= CapabilitySet::SYS_PTRACE | CapabilitySet::SYS_NICE | CapabilitySet::KILL;
    }
    needed
}

/// Writing to what changes in its own folder; reading that folder and what resolves names; connecting. It cannot put
/// another key of watch in place, by which the reader would take its word for what to read.
fn only_own(dir: &Path) -> Result<RestrictionStatus, RulesetError> {
    let read = AccessFs::ReadFile | AccessFs::ReadDir;
    // Files, and no links: the next start, which has all rights for a moment, would follow them.
    let write = AccessFs::WriteFile | AccessFs::Truncate | AccessFs::MakeReg | AccessFs::RemoveFile;
    let own = read | write;
    Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(KNOWN))?
        .handle_access(AccessNet::BindTcp)?
        .scope(Scope::AbstractUnixSocket | Scope::Signal)?
        .create()?
        .add_rules(path_beneath_rules([dir.join(KEPT_FOLDER), dir.join(SPOOL_FOLDER)], own))?
        .add_rules(path_beneath_rules([dir], read))?
        .add_rules(path_beneath_rules(RESOLVER, read))?
        .restrict_self()
}

/// Reading everything, and nothing else; the canary's output goes nowhere.
fn only_read() -> Result<RestrictionStatus, RulesetError> {
    Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_write(KNOWN))?
        .handle_access(AccessNet::from_all(KNOWN))?
        .create()?
        .add_rules(path_beneath_rules(["/dev/null"], AccessFs::WriteFile))?
        .restrict_self()
}

fn report(name: &str, fault: Fault) -> SourceReport {
    SourceReport { name: name.to_owned(), fault: fault.map(cut) }
}

/// Keeps these capabilities, of those that there are, and lets no program that is started have more.
fn keep(wanted: CapabilitySet) -> Fault {
    let keep = || {
        set_no_new_privs(true)?;
        let kept = capabilities(None)?.permitted & wanted;
        let inheritable = CapabilitySet::empty();
        set_capabilities(None, CapabilitySets { effective: kept, permitted: kept, inheritable })
    };
    keep().err().map(|error: rustix::io::Errno| error.to_string())
}

fn enforced(status: Result<RestrictionStatus, RulesetError>) -> Fault {
    match status.map(|status| status.ruleset) {
        Ok(RulesetStatus::FullyEnforced) => None,
        Ok(RulesetStatus::PartiallyEnforced) => Some("this kernel knows a part of it".to_owned()),
        Ok(RulesetStatus::NotEnforced) => Some("this kernel has none".to_owned()),
        Err(error) => Some(error.to_string()),
    }
}

/// Refuses the calls, and sockets of other kinds, with `EPERM`; for all threads.
fn filter(refused: &[i64], sockets: &[i32]) -> Fault {
    let program = program(refused, sockets);
    program
        .and_then(|program| apply_filter_all_threads(&program).map_err(|error| error.to_string()))
        .err()
}

fn program(refused: &[i64], sockets: &[i32]) -> Result<BpfProgram, String> {
    let other = |kind: &i32| {
        let kind = u64::try_from(*kind).unwrap_or(u64::MAX);
        SeccompCondition::new(0, SeccompCmpArgLen::Dword, SeccompCmpOp::Ne, kind)
    };
    let others: Result<Vec<SeccompCondition>, _> = sockets.iter().map(other).collect();
    let others = others.and_then(SeccompRule::new).map_err(|error| error.to_string())?;
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = BTreeMap::new();
    for number in refused {
        rules.extend([(*number, Vec::new()), (*number | X32, Vec::new())]);
    }
    // Limits of other processes.
    let other = SeccompCondition::new(0, SeccompCmpArgLen::Dword, SeccompCmpOp::Ne, 0)
        .and_then(|other| SeccompRule::new(vec![other]))
        .map_err(|error| error.to_string())?;
    for (number, rule) in [(libc::SYS_socket, others), (libc::SYS_prlimit64, other)] {
        rules.extend([(number, vec![rule.clone()]), (number | X32, vec![rule])]);
    }
    let arch = std::env::consts::ARCH.try_into().map_err(|_| "an unknown processor".to_owned())?;
    let deny = SeccompAction::Errno(u32::try_from(libc::EPERM).unwrap_or(1));
    SeccompFilter::new(rules, SeccompAction::Allow, deny, arch)
        .and_then(TryInto::try_into)
        .map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

    /// This machine's kernel has no Landlock, or not all of it.
    fn is_missing(status: &RestrictionStatus) -> bool {
        status.ruleset != RulesetStatus::FullyEnforced
    }

    #[test]
    fn filters_compile() {
        assert!(!program(REFUSED, READER_SOCKETS).unwrap().is_empty());
        assert!(!program(&[REFUSED, EXEC].concat(), SHIPPER_SOCKETS).unwrap().is_empty());
    }

    /// Landlock and capabilities bind the thread that asks for it; the filter of system calls would bind the test's process.
    #[test]
    fn reader_without_sessions_writes_nothing_and_connects_to_nobody() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("log");
        std::fs::File::create(&file).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let confined = move || {
            keep(CapabilitySet::DAC_READ_SEARCH);
            if is_missing(&only_read().unwrap()) {
                return;
            }
            assert!(std::fs::File::open(&file).is_ok());
            assert!(std::fs::File::create(&file).is_err());
            assert!(std::fs::remove_file(&file).is_err());
            assert!(TcpStream::connect(address).is_err());
        };
        std::thread::spawn(confined).join().unwrap();
    }

    #[test]
    fn shipper_makes_files_in_two_folders_and_neither_links_nor_anything_elsewhere() {
        let dir = tempfile::tempdir().unwrap();
        for folder in [KEPT_FOLDER, SPOOL_FOLDER] {
            std::fs::create_dir(dir.path().join(folder)).unwrap();
        }
        let key = dir.path().join("watch.key");
        std::fs::File::create(&key).unwrap();
        let elsewhere = tempfile::tempdir().unwrap().path().join("file");
        let confined = move || {
            keep(CapabilitySet::empty());
            if is_missing(&only_own(dir.path()).unwrap()) {
                return;
            }
            for folder in [KEPT_FOLDER, SPOOL_FOLDER] {
                let (file, next) = (dir.path().join(folder).join("a"), dir.path().join("b"));
                std::fs::File::create(&file).unwrap();
                std::fs::rename(&file, file.with_extension("new")).unwrap();
                assert!(std::fs::rename(file.with_extension("new"), next).is_err());
                assert!(std::os::unix::fs::symlink("/etc/passwd", &file).is_err());
                std::fs::remove_file(file.with_extension("new")).unwrap();
            }
            assert!(std::fs::File::open(&key).is_ok());
            assert!(std::fs::File::create(&key).is_err());
            assert!(std::fs::remove_file(&key).is_err());
            assert!(std::fs::File::create(&elsewhere).is_err());
            // Nobody outside can be signalled, its parent neither.
            let parent = rustix::process::getppid().unwrap();
            let signalled = rustix::process::test_kill_process(parent);
            assert_eq!(signalled, Err(rustix::io::Errno::PERM));
        };
        std::thread::spawn(confined).join().unwrap();
    }
}

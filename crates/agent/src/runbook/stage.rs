//! The last step before a runbook's program: a process of this binary that gives away what it does not need, and
//! becomes the program.
//!
//! It is started with the program's file as standard input, the pipe for the answer as standard output and nothing as
//! standard error. What it leaves the program: descriptor 3, an empty environment, the folder `/`, its user, no new
//! privileges, limits, and no file that it could write.

use std::convert::Infallible;
use std::fs::File;
use std::io::Write as _;
use std::os::fd::{AsFd as _, AsRawFd as _};
use std::os::unix::process::CommandExt as _;
use std::path::Path;

use landlock::{
    ABI, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible as _, Ruleset, RulesetAttr as _,
    RulesetCreatedAttr as _, RulesetError, path_beneath_rules,
};
use rustix::fs::{Mode, OFlags};
use rustix::io::{FdFlags, fcntl_dupfd_cloexec, fcntl_getfd, fcntl_setfd};
use rustix::process::{Resource, Rlimit, Signal, set_parent_process_death_signal, setrlimit};
use rustix::thread::{set_no_new_privs, set_thread_gid, set_thread_groups, set_thread_uid};

/// The descriptor on which a program writes its answer.
pub const ANSWER_FD: i32 = 3;

/// The newest rules of Landlock that are asked for; a kernel that knows fewer enforces those.
const KNOWN: ABI = ABI::V5;
/// Files that one program may have open.
const OPEN_FILES_MAX: u64 = 64;
const MIB: u64 = 1024 * 1024;

/// What a program runs with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Its user and group.
    pub user: (u32, u32),
    /// Processor time, in seconds.
    pub seconds: u32,
    /// Memory, in MiB.
    pub memory_mib: u32,
    /// It changes the platform: it may write to what is there (a supervisor's pipe), and connect.
    pub acts: bool,
    /// A cgroup of its own, if this machine gives one.
    pub cgroup: Option<String>,
}

/// Becomes the program; `name` is what it is called by.
///
/// # Errors
/// Something that the program must not run without is not to be had. Nothing has run then.
pub fn become_program(
    limits: &Limits,
    name: &str,
    arguments: &[String],
) -> std::io::Result<Infallible> {
    if let Some(cgroup) = &limits.cgroup {
        let path = Path::new(cgroup).join("cgroup.procs");
        File::options().write(true).open(path)?.write_all(b"0")?;
    }
    let program = fcntl_dupfd_cloexec(rustix::stdio::stdin(), ANSWER_FD + 1)?;
    let answer = fcntl_dupfd_cloexec(rustix::stdio::stdout(), ANSWER_FD)?;
    if answer.as_raw_fd() != ANSWER_FD {
        return Err(std::io::Error::other("descriptor 3 is taken"));
    }
    fcntl_setfd(answer.as_fd(), fcntl_getfd(&answer)? - FdFlags::CLOEXEC)?;
    let null = rustix::fs::open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())?;
    rustix::stdio::dup2_stdin(&null)?;
    rustix::stdio::dup2_stdout(&null)?;
    rustix::stdio::dup2_stderr(&null)?;
    bound(limits)?;
    let (uid, gid) = limits.user;
    if rustix::process::geteuid().as_raw() != uid || rustix::process::getegid().as_raw() != gid {
        set_thread_groups(&[])?;
        set_thread_gid(rustix::process::Gid::from_raw(gid))?;
        set_thread_uid(rustix::process::Uid::from_raw(uid))?;
    }
    // After the change of user, which takes it back (prctl(2), PR_SET_PDEATHSIG).
    set_parent_process_death_signal(Some(Signal::KILL))?;
    set_no_new_privs(true)?;
    confine(limits.acts).map_err(std::io::Error::other)?;
    // By the descriptor that was hashed: whatever has its name by now is not run.
    let path = format!("/proc/self/fd/{}", program.as_raw_fd());
    #[expect(clippy::disallowed_methods, reason = "this process becomes the program")]
    let mut command = std::process::Command::new(path);
    command.arg0(name).args(arguments).env_clear().current_dir("/");
    Err(command.exec())
}

/// What it may use up. RLIMIT_DATA and not RLIMIT_AS: a program's own file takes address space, and no memory.
fn bound(limits: &Limits) -> std::io::Result<()> {
    let memory = u64::from(limits.memory_mib).saturating_mul(MIB);
    let bounds = [
        (Resource::Core, 0),
        (Resource::Cpu, u64::from(limits.seconds).saturating_add(1)),
        (Resource::Data, memory),
        (Resource::Fsize, 0),
        (Resource::Memlock, 0),
        (Resource::Nofile, OPEN_FILES_MAX),
        (Resource::Stack, memory.min(8 * MIB)),
    ];
    for (resource, most) in bounds {
        setrlimit(resource, Rlimit { current: Some(most), maximum: Some(most) })?;
    }
    Ok(())
}

/// Landlock: nothing is created, removed, renamed or linked; what only reads opens no file for writing and connects to
/// nobody. A kernel without it enforces the rest of the limits.
fn confine(acts: bool) -> Result<(), RulesetError> {
    let writes: BitFlags<AccessFs> = AccessFs::from_write(KNOWN);
    let handled = if acts { writes & !BitFlags::from(AccessFs::WriteFile) } else { writes };
    let rules =
        Ruleset::default().set_compatibility(CompatLevel::BestEffort).handle_access(handled)?;
    let rules = if acts {
        rules
    } else {
        rules.handle_access(AccessNet::BindTcp | AccessNet::ConnectTcp)?
    };
    let null = if acts { &[][..] } else { &["/dev/null"] };
    rules
        .create()?
        .add_rules(path_beneath_rules(null, BitFlags::from(AccessFs::WriteFile)))?
        .restrict_self()?;
    Ok(())
}

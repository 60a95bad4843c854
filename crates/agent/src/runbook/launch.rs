//! Starting a runbook's program, and holding it to its time and its output.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Pid, Signal, kill_process_group};
use writ_model::{Env, Ulid};
use writ_proof::hash::Hash;
use writ_proof::limits::RUNBOOK_OUTPUT_MAX_BYTES;
use writ_proof::runbook::{Cause, Class, Ended, Entry, Outcome, RunOrder};

use super::{Limits, Orders, ended};

/// How often a run is looked after, and front asked whether it goes on.
const LOOK: Duration = Duration::from_millis(100);
const ASK: Duration = Duration::from_millis(250);
/// Where a unified hierarchy of cgroups may be.
const CGROUPS: [&str; 2] = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"];
/// Processes of one run.
const PROCESSES_MAX: &str = "64";
/// A program in bytes, at most.
const PROGRAM_MAX_BYTES: u64 = 1024 * 1024 * 1024;

/// Why it was not run.
type Refused = Cause;

/// Runs the order's program to its end.
pub(super) fn run(order: &RunOrder, entry: &Entry, orders: &dyn Orders, env: &dyn Env) -> Ended {
    let started = match start(order, entry) {
        Ok(started) => started,
        Err(cause) => return ended(Outcome::Refused, Some(cause)),
    };
    let own = Duration::from_secs(u64::from(entry.seconds));
    let until = env.monotonic() + own.min(order.not_after.since(env.now()));
    let over = AtomicBool::new(false);
    let wanted = AtomicBool::new(true);
    let (how, output) = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::SeqCst) {
                if !orders.goes_on(order.run) {
                    wanted.store(false, Ordering::SeqCst);
                    return;
                }
                std::thread::sleep(ASK);
            }
        });
        let held = hold(started, &wanted, until, env);
        over.store(true, Ordering::SeqCst);
        held
    });
    match how {
        How::Ended(status) if status.success() => answer(entry, &output),
        // What a program wrote that did not do its work is nobody's.
        How::Ended(status) => {
            tracing::info!(code = status.code(), signal = status.signal(), "the program failed");
            ended(Outcome::Failed, None)
        }
        How::Flooded => ended(Outcome::Refused, Some(Cause::OutputRefused)),
        How::Late => ended(Outcome::Timeout, None),
        How::Lost => ended(Outcome::Failed, None),
        How::Unwanted => ended(Outcome::Killed, Some(Cause::GrantEnded)),
    }
}

/// What came out, by the entry's schema; what does not keep it stays here, all of it.
fn answer(entry: &Entry, output: &[u8]) -> Ended {
    match entry.output.read(output) {
        Ok(answer) => Ended { answer: Some(answer.to_json()), ..ended(Outcome::Ok, None) },
        Err(refused) => {
            let cause = Some(Cause::OutputRefused);
            Ended { field: refused.field, ..ended(Outcome::Refused, cause) }
        }
    }
}

/// How a program ended.
enum How {
    Ended(ExitStatus),
    /// It wrote more than any answer is.
    Flooded,
    Late,
    /// The system does not say.
    Lost,
    Unwanted,
}

/// A program that runs.
struct Started {
    child: Child,
    answer: File,
    cgroup: Option<PathBuf>,
}

fn start(order: &RunOrder, entry: &Entry) -> Result<Started, Refused> {
    let arguments = order.arguments(entry).map_err(|_| Cause::BadOrder)?;
    let program = open(Path::new(&entry.program.path), entry.program.digest)?;
    let user = user(&entry.run_as).ok_or(Cause::NoIsolation)?;
    let cgroup = cgroup(order.run, entry.memory_mib);
    let limits = Limits {
        user,
        seconds: entry.seconds,
        memory_mib: entry.memory_mib,
        acts: entry.class != Class::Health,
        cgroup: cgroup.as_ref().map(|path| path.display().to_string()),
    };
    let started = spawn(&limits, &entry.program.path, &arguments, program);
    match started {
        Ok((child, answer)) => Ok(Started { child, answer, cgroup }),
        Err(error) => {
            tracing::error!(%error, "the program cannot be started");
            remove(cgroup.as_deref());
            Err(Cause::NoIsolation)
        }
    }
}

/// Opens the program and makes sure that it is the one that people have signed.
fn open(path: &Path, digest: Hash) -> Result<File, Refused> {
    let refused = |error: std::io::Error| {
        tracing::error!(path = %path.display(), %error, "the program cannot be read");
        Cause::OtherProgram
    };
    let mut file = File::open(path).map_err(refused)?;
    let mut hasher = writ_proof::hash::Hasher::new();
    let mut chunk = vec![0; 256 * 1024];
    let mut left = PROGRAM_MAX_BYTES;
    loop {
        let count = file.read(&mut chunk).map_err(refused)?;
        let Some(read) = chunk.get(..count).filter(|read| !read.is_empty()) else { break };
        left = left.checked_sub(read.len() as u64).ok_or(Cause::OtherProgram)?;
        hasher.update(read);
    }
    if hasher.finish() == digest {
        return Ok(file);
    }
    tracing::error!(path = %path.display(), "the program is not the one that people have signed");
    Err(Cause::OtherProgram)
}

/// The one place of the agent that starts what it has not started itself at its own start.
#[expect(clippy::disallowed_methods, reason = "runbooks are programs; this is where they start")]
fn spawn(
    limits: &Limits,
    name: &str,
    arguments: &[String],
    program: File,
) -> std::io::Result<(Child, File)> {
    let (answer, writes) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
    // The program writes as it likes: only this end does not wait.
    let flags = rustix::fs::fcntl_getfl(&writes)? - rustix::fs::OFlags::NONBLOCK;
    rustix::fs::fcntl_setfl(&writes, flags)?;
    let (uid, gid) = limits.user;
    let mut command = Command::new("/proc/self/exe");
    command.arg0("writ").args(["agent", "stage"]);
    command.args(["--user", &uid.to_string(), "--group", &gid.to_string()]);
    command.args(["--seconds", &limits.seconds.to_string()]);
    command.args(["--memory-mib", &limits.memory_mib.to_string()]);
    if limits.acts {
        command.arg("--acts");
    }
    if let Some(cgroup) = &limits.cgroup {
        command.args(["--cgroup", cgroup]);
    }
    command.args(["--name", name, "--"]).args(arguments);
    command.env_clear().current_dir("/").process_group(0);
    command.stdin(Stdio::from(OwnedFd::from(program)));
    command.stdout(Stdio::from(writes)).stderr(Stdio::null());
    Ok((command.spawn()?, answer.into()))
}

/// Waits for the end of the program, and for what it answers.
fn hold(
    mut started: Started,
    wanted: &AtomicBool,
    until: Duration,
    env: &dyn Env,
) -> (How, Vec<u8>) {
    let mut output = Vec::new();
    let mut open = true;
    let how = loop {
        if !wanted.load(Ordering::SeqCst) {
            break How::Unwanted;
        }
        if env.monotonic() >= until {
            break How::Late;
        }
        if open {
            open = read(&mut started.answer, &mut output);
        } else {
            std::thread::sleep(LOOK.min(Duration::from_millis(10)));
        }
        if output.len() > RUNBOOK_OUTPUT_MAX_BYTES {
            break How::Flooded;
        }
        match started.child.try_wait() {
            Ok(None) => {}
            Ok(Some(status)) => {
                // Whatever it had written is in the pipe.
                while open && read_now(&mut started.answer, &mut output) > 0 {
                    if output.len() > RUNBOOK_OUTPUT_MAX_BYTES {
                        break;
                    }
                }
                break How::Ended(status);
            }
            Err(error) => {
                tracing::error!(%error, "the program's end is not known");
                break How::Lost;
            }
        }
    };
    // Also after its own end: what it has left behind goes with it.
    kill(&mut started.child, started.cgroup.as_deref());
    let how = match how {
        How::Ended(_) if output.len() > RUNBOOK_OUTPUT_MAX_BYTES => How::Flooded,
        how => how,
    };
    (how, output)
}

/// Reads what there is; false at the end of the pipe.
fn read(answer: &mut File, output: &mut Vec<u8>) -> bool {
    let timeout = Timespec::try_from(LOOK).unwrap_or_default();
    let mut fds = [PollFd::from_borrowed_fd(answer.as_fd(), PollFlags::IN)];
    // An interrupted wait is a short one.
    if poll(&mut fds, Some(&timeout)).unwrap_or(0) == 0 {
        return true;
    }
    let mut chunk = [0; 4096];
    match answer.read(&mut chunk) {
        Ok(0) => false,
        Ok(count) => {
            output.extend_from_slice(chunk.get(..count).unwrap_or_default());
            true
        }
        Err(error) => error.kind() == std::io::ErrorKind::WouldBlock,
    }
}

fn read_now(answer: &mut File, output: &mut Vec<u8>) -> usize {
    let mut chunk = [0; 4096];
    let count = answer.read(&mut chunk).unwrap_or(0);
    output.extend_from_slice(chunk.get(..count).unwrap_or_default());
    count
}

fn kill(child: &mut Child, cgroup: Option<&Path>) {
    if let Some(cgroup) = cgroup {
        put(&cgroup.join("cgroup.kill"), "1").ok();
    }
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    if let Some(pid) = pid {
        // Its group may be gone already.
        kill_process_group(pid, Signal::KILL).ok();
    }
    child.wait().ok();
    remove(cgroup);
}

/// Kills what a run of an earlier life of this process has left. Without cgroups the kernel has done it: the program
/// dies with the process that started it.
pub(super) fn kill_left(run: Ulid) {
    for base in CGROUPS {
        let path = folder(Path::new(base), run);
        if path.is_dir() {
            put(&path.join("cgroup.kill"), "1").ok();
            remove(Some(&path));
        }
    }
}

/// A cgroup of the run's own, where this machine has the unified hierarchy and lets us.
fn cgroup(run: Ulid, memory_mib: u32) -> Option<PathBuf> {
    let base =
        CGROUPS.iter().map(Path::new).find(|base| base.join("cgroup.controllers").exists())?;
    let path = folder(base, run);
    if let Err(error) = std::fs::create_dir(&path) {
        tracing::warn!(%error, "this machine gives the run no cgroup: its process group stands in");
        return None;
    }
    // A hierarchy may have no such controllers; the limits of the process hold all the same.
    let memory = u64::from(memory_mib).saturating_mul(1024 * 1024).to_string();
    put(&path.join("memory.max"), &memory).ok();
    put(&path.join("memory.swap.max"), "0").ok();
    put(&path.join("pids.max"), PROCESSES_MAX).ok();
    Some(path)
}

/// Writes into a file of the kernel.
fn put(path: &Path, text: &str) -> std::io::Result<()> {
    File::options().write(true).open(path)?.write_all(text.as_bytes())
}

fn folder(base: &Path, run: Ulid) -> PathBuf {
    base.join(format!("writ-run-{run}"))
}

fn remove(cgroup: Option<&Path>) {
    let Some(cgroup) = cgroup else { return };
    for _ in 0..50 {
        if std::fs::remove_dir(cgroup).is_ok() || !cgroup.exists() {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    tracing::warn!(cgroup = %cgroup.display(), "a run's cgroup is still in use");
}

/// User and group of a name, by `/etc/passwd`.
fn user(name: &str) -> Option<(u32, u32)> {
    let all = std::fs::read_to_string("/etc/passwd").ok()?;
    let line = all.lines().find(|line| line.split(':').next() == Some(name))?;
    let mut fields = line.split(':').skip(2);
    Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
}

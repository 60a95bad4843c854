//! What the tests need beside Rust and gcc: installed into `target/tools` where that is possible.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Result, bail};

use crate::run::{cargo, check, exists, output, target};

/// The clients that judge us, pinned.
const PYTHON_PACKAGES: [&str; 5] =
    ["aiosmtpd==1.4.6", "asciinema==2.4.0", "asyncssh==2.24.1", "awscli==1.46.3", "boto3==1.44.5"];
const UV: &str = "uv==0.13.9";
const NEXTEST: &str = "0.9.143";
const DENY: &str = "0.20.2";
const MUTANTS: &str = "27.1.0";

/// Succeeds if OpenSSH's stand-in for a hardware key is there.
const SK_DUMMY: &str = "open('/usr/lib/openssh/regress/misc/sk-dummy/sk-dummy.so')";

/// Debian packages, each with a command that succeeds when it is there.
const DEBIAN: [(&str, &[&str]); 10] = [
    ("chromium", &["chromium", "--version"]), // a real browser, for passkeys
    ("g++", &["c++", "--version"]),           // libFuzzer
    ("git", &["git", "--version"]),           // tidy asks it for the list of files
    ("iproute2", &["ip", "-V"]),              // a namespace with an address of its own
    ("openssh-client", &["ssh-keygen", "-l", "-f", "/dev/null"]),
    ("openssh-sftp-server", &["/usr/lib/openssh/sftp-server", "-Q", "requests"]),
    ("openssh-server", &["/usr/sbin/sshd", "-V"]), // a real host for our SSH client
    ("openssh-tests", &["python3", "-c", SK_DUMMY]), // a token without hardware
    ("runit", &["/usr/bin/sv", "-h"]),             // a supervisor of services, for runbooks
    ("python3-venv", &["python3", "-c", "import ensurepip"]),
];

/// Where tools are installed.
pub(crate) fn folder() -> PathBuf {
    target().join("tools")
}

/// The Python environment with the AWS CLI, boto3, asyncssh, aiosmtpd and asciinema.
pub(crate) fn venv() -> PathBuf {
    folder().join("venv")
}

/// Installs what is missing.
pub(crate) fn provide() -> Result<()> {
    debian()?;
    python()?;
    install("cargo-nextest", NEXTEST)
}

/// Installs what the long tests need besides.
pub(crate) fn provide_long() -> Result<()> {
    for (name, version) in [("cargo-deny", DENY), ("cargo-mutants", MUTANTS)] {
        install(name, version)?;
    }
    Ok(())
}

/// `PATH` with our tools first.
pub(crate) fn path() -> std::ffi::OsString {
    let mut all = vec![folder().join("bin")];
    all.extend(std::env::var_os("PATH").iter().flat_map(std::env::split_paths));
    std::env::join_paths(all).unwrap()
}

fn debian() -> Result<()> {
    let missing: Vec<&str> =
        DEBIAN.iter().filter(|(_, probe)| !answers(probe)).map(|(package, _)| *package).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let line = format!("apt-get install -y {}", missing.join(" "));
    if output(Command::new("id").arg("-u"))?.trim() != "0" {
        bail!("these packages are missing; install them as root:\n  {line}");
    }
    check(Command::new("apt-get").args(["update", "-q"]))?;
    check(Command::new("apt-get").args(["install", "-y", "-q"]).args(missing))
}

/// True if the program starts; ssh-keygen has no command that changes nothing and succeeds, so any
/// exit code will do, but for Python, which tells by it whether a module is there.
fn answers(probe: &[&str]) -> bool {
    let Some((program, arguments)) = probe.split_first() else { return false };
    let quiet = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    quiet.is_ok_and(|status| status.success() || *program != "python3")
}

fn python() -> Result<()> {
    // Inside, so that it goes when the folder goes; with its place, which the programs in it name.
    let stamp = venv().join("packages");
    let wanted = format!("{}\n{}", venv().display(), PYTHON_PACKAGES.join("\n"));
    if std::fs::read_to_string(&stamp).is_ok_and(|have| have == wanted) {
        return Ok(());
    }
    std::fs::create_dir_all(folder())?;
    let uv = if exists("uv") { PathBuf::from("uv") } else { bootstrap_uv()? };
    check(Command::new(&uv).args(["venv", "--quiet", "--clear"]).arg(venv()))?;
    check(
        Command::new(&uv)
            .args(["pip", "install", "--quiet", "--python"])
            .arg(venv().join("bin/python"))
            .args(PYTHON_PACKAGES),
    )?;
    std::fs::write(&stamp, wanted)?;
    Ok(())
}

fn bootstrap_uv() -> Result<PathBuf> {
    let folder = folder().join("uv");
    // What is left of another place would name that place.
    check(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&folder))?;
    check(Command::new(folder.join("bin/pip")).args(["install", "--quiet", UV]))?;
    Ok(folder.join("bin/uv"))
}

/// Installs a cargo subcommand, unless one is there already.
fn install(name: &str, version: &str) -> Result<()> {
    if exists(name) || folder().join("bin").join(name).is_file() {
        return Ok(());
    }
    println!("installing {name} {version} into target/tools (a few minutes, once)");
    check(
        cargo(&["install", "--locked", "--quiet", name, "--version", version, "--root"])
            .arg(folder())
            .env("CARGO_TARGET_DIR", folder().join("build")),
    )
}

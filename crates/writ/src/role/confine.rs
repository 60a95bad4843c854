//! Landlock for the processes that keep files: each opens what lies in its own folders and nothing else,
//! and connects to others only where that is its work. What they listen on they inherit.
//!
//! It binds the calling thread and those that it starts, so it comes before all others. keyd, which
//! opens nothing, has a stricter sandbox of its own.

use std::path::PathBuf;

use landlock::{
    ABI, Access as _, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible as _, Ruleset,
    RulesetAttr as _, RulesetCreatedAttr as _, RulesetError, RulesetStatus, path_beneath_rules,
};

/// The newest rules that are asked for; a kernel that knows fewer enforces those.
const KNOWN: ABI = ABI::V5;

/// trail tells by it whether the machine was started anew.
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// What resolving the name of a host reads.
const RESOLVER: [&str; 6] =
    ["/etc", "/run/systemd/resolve", "/lib", "/lib64", "/usr/lib", "/usr/share/zoneinfo"];

/// Whom a process connects to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// Nobody.
    Nobody,
    /// Addresses that its configuration names.
    Others,
}

/// Confines this process to `folders`, and to reading `readable`; says what this machine makes of it.
pub fn confine(folders: &[PathBuf], readable: &[PathBuf], reach: Reach) -> String {
    match restrict(folders, readable, reach) {
        Ok(RulesetStatus::FullyEnforced) => "on".to_owned(),
        Ok(RulesetStatus::PartiallyEnforced) => "on, as far as this kernel knows it".to_owned(),
        Ok(RulesetStatus::NotEnforced) => "refused: this kernel has no Landlock".to_owned(),
        Err(error) => format!("refused: {error}"),
    }
}

fn restrict(
    folders: &[PathBuf],
    others: &[PathBuf],
    reach: Reach,
) -> Result<RulesetStatus, RulesetError> {
    let everything: BitFlags<AccessFs> = AccessFs::from_all(KNOWN);
    // Nothing that lies in a folder of data is a program.
    let own = everything & !BitFlags::from(AccessFs::Execute);
    let read = AccessFs::ReadFile | AccessFs::ReadDir;
    let mut net = BitFlags::from(AccessNet::BindTcp);
    let mut readable = vec![BOOT_ID];
    match reach {
        Reach::Nobody => net |= AccessNet::ConnectTcp,
        Reach::Others => readable.extend(RESOLVER),
    }
    let status = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(everything)?
        .handle_access(net)?
        .create()?
        .add_rules(path_beneath_rules(folders, own))?
        .add_rules(path_beneath_rules(readable, read))?
        .add_rules(path_beneath_rules(others, read))?
        .restrict_self()?;
    Ok(status.ruleset)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::net::TcpListener;

    use super::*;

    /// Landlock binds the thread that asks for it, so the test needs no process of its own.
    #[test]
    fn confined_thread_reaches_its_own_folder_alone() {
        let (own, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let shared = tempfile::tempdir().unwrap();
        let told = shared.path().join("file");
        fs::File::create(&told).unwrap();
        let elsewhere = other.path().join("file");
        fs::File::create(&elsewhere).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let folders = vec![own.path().to_owned()];
        let inside = own.path().join("file");
        let confined = move || {
            let said = confine(&folders, &[shared.path().to_owned()], Reach::Nobody);
            if said.starts_with("refused") {
                return;
            }
            fs::File::create(&inside).unwrap();
            fs::rename(&inside, inside.with_extension("new")).unwrap();
            assert!(fs::File::open(&told).is_ok());
            assert!(fs::File::create(&told).is_err());
            assert!(fs::remove_file(&told).is_err());
            assert!(fs::File::open(&elsewhere).is_err());
            assert!(fs::remove_file(&elsewhere).is_err());
            assert!(fs::File::open("/etc/passwd").is_err());
            if said == "on" {
                assert!(std::net::TcpStream::connect(address).is_err());
                assert!(TcpListener::bind("127.0.0.1:0").is_err());
            }
        };
        std::thread::spawn(confined).join().unwrap();
    }
}

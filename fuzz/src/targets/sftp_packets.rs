//! SFTP packets of an operator, and of a host that may lie: whatever either says, what reaches the host
//! is within the rights.

use writ_bastion::sftp::{Caps, Output, Right, Rights, Sftp};
use writ_proof::ssh::{SshReader, put_string};

fn packet(body: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    put_string(&mut bytes, body);
    bytes
}

fn ready() -> Option<Sftp> {
    let mut rights = Rights::default();
    for right in Right::ALL {
        assert!(rights.add(right, ["/w/**".parse().ok()?]));
    }
    let caps = Caps { file_max_bytes: 1000, session_max_bytes: 2000, files: 5 };
    let mut sftp = Sftp::new(rights, caps);
    sftp.from_operator(&packet(&[1, 0, 0, 0, 3])).ok()?;
    sftp.from_host(&packet(&[2, 0, 0, 0, 3])).ok()?;
    let mut home = vec![104, 0, 0, 0, 0, 0, 0, 0, 1];
    put_string(&mut home, b"/h");
    home.extend_from_slice(&[0; 8]);
    sftp.from_host(&packet(&home)).ok()?;
    Some(sftp)
}

fn check(output: &Output) {
    let mut reader = SshReader::new(&output.to_host);
    while let Ok(packet) = reader.string() {
        let mut request = SshReader::new(packet);
        let (Ok(kind), Ok(_)) = (request.byte(), request.number()) else { panic!("no request") };
        // Whatever takes a path and is no question about it.
        let paths = match kind {
            3 | 9 | 11 | 13 | 14 | 15 | 17 | 19 => 1,
            18 => 2,
            _ => 0,
        };
        for _ in 0..paths {
            let Ok(path) = request.string() else { panic!("a path is missing") };
            assert!(path == b"/w" || path.starts_with(b"/w/"), "outside: {path:?}");
        }
    }
    assert!(reader.finish().is_ok(), "half a packet goes to the host");
}

pub(crate) fn run(input: &[u8]) {
    let Some(mut sftp) = ready() else { panic!("the greeting does not work") };
    let mut rest = input;
    while let Some(([side, high, low], after)) = rest.split_first_chunk::<3>() {
        let length = usize::from(u16::from_be_bytes([*high, *low])).min(after.len());
        let (body, after) = after.split_at(length);
        rest = after;
        // Two bits: who speaks, and whether the bytes are a packet already.
        let bytes = if side & 2 == 0 { packet(body) } else { body.to_vec() };
        let mut done =
            if side & 1 == 0 { sftp.from_operator(&bytes) } else { sftp.from_host(&bytes) };
        loop {
            let Ok(output) = done else { return };
            check(&output);
            if !output.more {
                break;
            }
            done = sftp.go_on();
        }
    }
    let _read = sftp.finish();
}

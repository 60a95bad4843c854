//! Lines of sshd in a host's log, of which whoever knocks chooses parts.

use writ_proof::hostlog::sshd::accepted;

pub(crate) fn run(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let Some(read) = accepted(&text) else { return };
    // What is told of a login stands in one line.
    let (id, authority) = read.certificate.map_or(("", ""), |one| (one.id, one.authority));
    for part in [read.method, read.user, read.from, id, authority] {
        assert!(text.contains(part) && !part.contains('\n'), "{part:?} of {text:?}");
    }
    // What sshd says of a certificate itself comes last.
    assert!(text.lines().any(|line| line.strip_suffix('\r').unwrap_or(line).ends_with(authority)));
    assert!(!read.user.contains(' ') && !read.from.contains(' '));
}

//! The cost of the symmetric core: one Encrypt and one Decrypt of a blob, without any channel.

use writ_keyd::bench::Core;

fn main() {
    divan::main();
}

#[divan::bench(args = [32, 4096])]
fn encrypt(bencher: divan::Bencher<'_, '_>, bytes: usize) {
    let core = Core::default();
    let plain = vec![7; bytes];
    bencher.counter(divan::counter::BytesCount::new(bytes)).bench(|| core.encrypt(&plain));
}

#[divan::bench(args = [32, 4096])]
fn decrypt(bencher: divan::Bencher<'_, '_>, bytes: usize) {
    let core = Core::default();
    let blob = core.encrypt(&vec![7; bytes]);
    bencher.counter(divan::counter::BytesCount::new(bytes)).bench(|| core.decrypt(&blob));
}

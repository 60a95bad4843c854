//! A flood of failed logins is seen, and fills nothing.

use std::sync::Arc;

use writ_model::Timestamp;
use writ_model::env::TestEnv;
use writ_proof::append::AppendItem;

use super::*;
use crate::ports::{Ledger, PortFuture};

/// Takes events, or nothing for as long as it is told so.
#[derive(Default)]
struct Book {
    full: std::sync::atomic::AtomicBool,
    items: Mutex<Vec<AppendItem>>,
}

impl Ledger for Book {
    fn append(&self, items: Vec<AppendItem>) -> PortFuture<'_, Result<(), String>> {
        Box::pin(async move {
            if self.full.load(std::sync::atomic::Ordering::SeqCst) {
                return Err("no room".to_owned());
            }
            self.items.lock().unwrap().extend(items);
            Ok(())
        })
    }
}

fn teller(book: &Arc<Book>) -> Teller {
    Teller {
        ledger: Arc::clone(book) as Arc<dyn Ledger>,
        site: "test-site".parse().unwrap(),
        region: "us-east-1".parse().unwrap(),
        env: Arc::new(TestEnv::new(Timestamp::from_millis(1_800_000_000_000), 7)),
    }
}

#[tokio::test]
async fn attempts_are_counted_by_address_and_told_in_one_event_each() {
    let (book, strangers) = (Arc::new(Book::default()), Strangers::default());
    let teller = teller(&book);
    for number in 0..10_000 {
        strangers.note("192.0.2.1", Some("SHA256:x"), &format!("attempt {number}"));
    }
    strangers.note("192.0.2.2", None, "no key");
    book.full.store(true, std::sync::atomic::Ordering::SeqCst);
    strangers.tell(&teller).await;
    assert!(book.items.lock().unwrap().is_empty());
    strangers.note("192.0.2.1", Some("SHA256:x"), "the last one");
    book.full.store(false, std::sync::atomic::Ordering::SeqCst);
    strangers.tell(&teller).await;
    assert_eq!(book.items.lock().unwrap().len(), 2);
    strangers.tell(&teller).await;
    assert_eq!(book.items.lock().unwrap().len(), 2, "what was told is not told again");
}

#[tokio::test]
async fn addresses_beyond_the_limit_are_counted_together() {
    let (book, strangers) = (Arc::new(Book::default()), Strangers::default());
    for number in 0..1000 {
        strangers.note(&format!("192.0.2.{number}"), None, "no key");
    }
    assert_eq!(strangers.lock().others, 1000 - STRANGERS_MAX as u64);
    strangers.tell(&teller(&book)).await;
    assert_eq!(book.items.lock().unwrap().len(), STRANGERS_MAX + 1);
}

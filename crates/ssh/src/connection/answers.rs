//! Answers in the order of their questions (RFC 4254 sections 4 and 5.4), however they are found.

use std::collections::VecDeque;

use crate::error::Error;
use crate::limits;

/// Identifies a question of the peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ticket(u64);

/// The peer's questions that have no answer yet, or whose turn has not come.
#[derive(Default)]
pub(crate) struct Answers {
    next: u64,
    waiting: VecDeque<(Ticket, Option<Vec<u8>>)>,
}

impl Answers {
    /// Notes a question.
    pub(crate) fn ask(&mut self) -> Result<Ticket, Error> {
        Error::limit("unanswered requests", self.waiting.len(), limits::ANSWERS_MAX - 1)?;
        let ticket = Ticket(self.next);
        self.next += 1;
        self.waiting.push_back((ticket, None));
        Ok(ticket)
    }

    /// Takes an answer, and gives those whose turn has come.
    pub(crate) fn answer(&mut self, ticket: Ticket, message: Vec<u8>) -> Vec<Vec<u8>> {
        if let Some((_, slot)) = self.waiting.iter_mut().find(|(waiting, _)| *waiting == ticket) {
            slot.get_or_insert(message);
        }
        let mut due = Vec::new();
        while let Some((_, Some(_))) = self.waiting.front() {
            due.extend(self.waiting.pop_front().and_then(|(_, message)| message));
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_go_out_in_the_order_of_the_questions() {
        let mut answers = Answers::default();
        let (first, second, third) =
            (answers.ask().unwrap(), answers.ask().unwrap(), answers.ask().unwrap());
        assert!(answers.answer(second, vec![2]).is_empty());
        assert!(answers.answer(second, vec![9]).is_empty());
        assert_eq!(answers.answer(first, vec![1]), [vec![1], vec![2]]);
        assert_eq!(answers.answer(third, vec![3]), [vec![3]]);
        assert!(answers.answer(third, vec![4]).is_empty());
        for _ in 0..limits::ANSWERS_MAX {
            answers.ask().unwrap();
        }
        assert!(answers.ask().is_err());
    }
}

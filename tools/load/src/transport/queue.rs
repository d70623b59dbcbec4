//! What waits to go up on a line, and what of it is under way.

use std::collections::VecDeque;

/// What is taken for the largest body when the server does not say.
const SIZE_BYTES: usize = 4096;

/// Messages on their way up: batches, or JSON texts.
#[derive(Debug)]
pub(super) struct Queue {
    waiting: VecDeque<Vec<u8>>,
    waiting_bytes: usize,
    /// The body of the request that is under way.
    sending: Vec<u8>,
    is_json: bool,
    /// Most bytes of a body; a larger message goes alone, for the server to refuse.
    size_bytes: usize,
}

impl Queue {
    pub(super) fn new(is_json: bool) -> Self {
        Self {
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            sending: Vec::new(),
            is_json,
            size_bytes: SIZE_BYTES,
        }
    }

    /// The server takes so many bytes at once.
    pub(super) fn set_size(&mut self, size_bytes: Option<usize>) {
        self.size_bytes = size_bytes.unwrap_or(SIZE_BYTES);
    }

    pub(super) fn push(&mut self, message: Vec<u8>) {
        self.waiting_bytes += message.len();
        self.waiting.push_back(message);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Bytes that wait or are under way.
    pub(super) fn bytes(&self) -> usize {
        self.waiting_bytes + self.sending.len()
    }

    /// What is under way.
    pub(super) fn sending(&self) -> &[u8] {
        &self.sending
    }

    /// What was under way has come.
    pub(super) fn taken(&mut self) {
        self.sending = Vec::new();
    }

    /// The first message goes.
    pub(super) fn start_one(&mut self) {
        self.sending = self.pop().unwrap_or_default();
    }

    /// As much goes as one request may carry: batches end to end are a batch, JSON goes one by one.
    pub(super) fn start(&mut self) {
        self.start_one();
        while let Some(next) = self.waiting.front() {
            if self.is_json || self.sending.len() + next.len() > self.size_bytes {
                break;
            }
            let Some(next) = self.pop() else { break };
            self.sending.extend_from_slice(&next);
        }
    }

    fn pop(&mut self) -> Option<Vec<u8>> {
        let next = self.waiting.pop_front()?;
        self.waiting_bytes -= next.len();
        Some(next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(is_json: bool) -> Queue {
        let mut queue = Queue::new(is_json);
        queue.set_size(Some(5));
        for message in [&b"ab"[..], b"cd", b"e", b"f", b"too large", b"g"] {
            queue.push(message.to_vec());
        }
        queue
    }

    fn drain(mut queue: Queue) -> Vec<String> {
        let mut bodies = Vec::new();
        while !queue.is_empty() {
            let before = queue.bytes();
            queue.start();
            assert_eq!(queue.bytes(), before, "what is under way counts");
            bodies.push(String::from_utf8(queue.sending().to_vec()).unwrap());
            queue.taken();
        }
        assert_eq!(queue.bytes(), 0);
        bodies
    }

    #[test]
    fn batches_go_together_and_texts_one_by_one() {
        assert_eq!(drain(filled(false)), ["abcde", "f", "too large", "g"]);
        assert_eq!(drain(filled(true)), ["ab", "cd", "e", "f", "too large", "g"]);
    }

    #[test]
    fn nothing_is_an_empty_body() {
        let mut queue = Queue::new(false);
        queue.start();
        assert!(queue.sending().is_empty() && queue.is_empty());
    }
}

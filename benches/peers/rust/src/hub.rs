//! Rooms for servers with a task for each connection: a member has a channel, from which its task writes.

use slab::Slab;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// All rooms. `M` is what goes through the channels: cheap to clone. `E` is a room's own.
pub struct Hub<M, E = ()> {
    rooms: Mutex<HashMap<String, Arc<Room<M, E>>>>,
}

/// A room, which lasts as long as the process.
pub struct Room<M, E> {
    members: Mutex<Slab<UnboundedSender<M>>>,
    own: Mutex<E>,
}

/// A place in a room, given back when it is dropped.
pub struct Seat<M, E = ()> {
    room: Arc<Room<M, E>>,
    number: usize,
}

impl<M, E> Default for Hub<M, E> {
    fn default() -> Self {
        Self { rooms: Mutex::default() }
    }
}

impl<M: Clone, E: Default> Hub<M, E> {
    /// The room of this name; it is made if need be.
    pub fn room(&self, name: &str) -> Arc<Room<M, E>> {
        let mut rooms = lock(&self.rooms);
        if let Some(room) = rooms.get(name) {
            return Arc::clone(room);
        }
        let room = Arc::new(Room { members: Mutex::default(), own: Mutex::default() });
        rooms.insert(name.to_owned(), Arc::clone(&room));
        room
    }

    /// Enters a room.
    pub fn enter(&self, name: &str) -> (Seat<M, E>, UnboundedReceiver<M>) {
        let (sender, receiver) = unbounded_channel();
        let room = self.room(name);
        let number = lock(&room.members).insert(sender);
        (Seat { room, number }, receiver)
    }
}

impl<M: Clone, E> Room<M, E> {
    /// Makes a message and gives it to everyone in the room, if somebody is.
    pub fn say(&self, make: impl FnOnce(&mut E) -> M) {
        let members = lock(&self.members);
        if members.is_empty() {
            return;
        }
        let message = make(&mut lock(&self.own));
        for (_, sender) in &*members {
            // Who is about to leave gets nothing more.
            let _ = sender.send(message.clone());
        }
    }
}

impl<M: Clone, E> Seat<M, E> {
    /// Gives a message to everyone in the room; to oneself only with `echo`.
    pub fn relay(&self, message: &M, echo: bool) {
        for (number, sender) in &*lock(&self.room.members) {
            if number != self.number || echo {
                let _ = sender.send(message.clone());
            }
        }
    }

    /// Gives a message to oneself.
    pub fn to_self(&self, message: M) {
        if let Some(sender) = lock(&self.room.members).get(self.number) {
            let _ = sender.send(message);
        }
    }

    /// What the room has of its own.
    pub fn own<T>(&self, look: impl FnOnce(&mut E) -> T) -> T {
        look(&mut lock(&self.room.own))
    }
}

impl<M, E> Drop for Seat<M, E> {
    fn drop(&mut self) {
        lock(&self.room.members).remove(self.number);
    }
}

/// One thread: nobody ever waits here.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

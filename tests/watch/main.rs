//! Spectators on real sockets: what a browser's `EventSource`, a reader by hand and an operator see.
//! Nothing here sleeps; whatever is waited for has a deadline.

mod answers;
mod backend;
mod delay;
mod directory;
mod end;
mod live;
mod member;
mod publish;
mod resume;
mod server;
mod slow;
mod state;
mod stream;
mod stuck;
mod theatre;
mod unanswered;

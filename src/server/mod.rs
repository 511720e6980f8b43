//! The HTTP listener: actix's HTTP/1 on connections that can be taken over.
//!
//! actix copies every body to a buffer of the connection before it writes it. For a JSON response that costs nothing; for a
//! thousand watchers of a 200 KB picture it is most of the work and 200 MB. So an endless response takes its connection over
//! after the head was sent ([`Takeover`]) and writes shared bytes to the socket itself. docs/decisions/0002-takeover.md has
//! the measurements.

mod behind;
mod connection;
mod connections;
mod listener;
mod tls;

pub use self::{
    connection::{Io, Patience, Secure, TakenOver, Takeover, TakeoverBody, Turn},
    connections::{Cause, Connections, Place, TICK},
    listener::{Only, Options, Port, bind, listen, tune},
    tls::Tls,
};

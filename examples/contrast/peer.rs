//! The slow peer: another service, somewhere else, that takes its time.
//!
//! A thread for each connection, which reads a request, sleeps, and answers with the path it was asked for. It lives
//! as long as the program.

use std::io::{self, BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

#[derive(Clone, Copy)]
pub(crate) struct Peer {
    address: SocketAddr,
}

impl Peer {
    /// Starts a peer that answers after `delay`.
    pub(crate) fn start(delay: Duration) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        thread::Builder::new().name("slow peer".into()).spawn(move || {
            for stream in listener.incoming().filter_map(Result::ok) {
                thread::spawn(move || {
                    // A client that goes away ends its connection, and with it this thread.
                    drop(answer(&stream, delay));
                });
            }
        })?;
        Ok(Self { address })
    }

    pub(crate) fn address(self) -> SocketAddr {
        self.address
    }
}

fn answer(stream: &TcpStream, delay: Duration) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    let mut path = String::new();
    loop {
        line.clear();
        if reader.read_line(&mut line)? == 0 {
            return Ok(());
        }
        if let Some(rest) = line.strip_prefix("GET ") {
            path = rest.split(' ').next().unwrap_or_default().to_owned();
        }
        if line.trim_end().is_empty() {
            thread::sleep(delay);
            let mut stream = stream;
            write!(stream, "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{path}", path.len())?;
        }
    }
}

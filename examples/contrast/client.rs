//! A tiny HTTP/1.1 client on a blocking socket: one connection, kept open.
//!
//! The measuring side must not share a line of code, let alone a thread, with what it measures. A `GET` whose answer
//! has a `content-length` is all it can do; asking and receiving can be done by two threads.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// A service that is silent for so long is broken, not slow.
const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) struct Client {
    stream: BufReader<TcpStream>,
    line: String,
    body: Vec<u8>,
}

impl Client {
    pub(crate) fn connect(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(Self { stream: BufReader::new(stream), line: String::new(), body: Vec::new() })
    }

    /// Asks, and waits for the body of the answer.
    pub(crate) fn get(&mut self, path: &str) -> io::Result<&str> {
        send(self.stream.get_mut(), path)?;
        self.receive()
    }

    /// The body of the next answer; they come in the order of the requests.
    ///
    /// # Errors
    /// When the connection breaks, the service is silent for 20 s, or the answer is not a `200`.
    pub(crate) fn receive(&mut self) -> io::Result<&str> {
        let status = self.next_line()?.to_owned();
        let mut length = 0;
        loop {
            let line = self.next_line()?;
            if line.is_empty() {
                break;
            }
            if let Some((name, value)) = line.split_once(':') {
                if name.eq_ignore_ascii_case("content-length") {
                    length = value.trim().parse().map_err(|_| invalid("the answer's length is no number"))?;
                }
            }
        }
        self.body.resize(length, 0);
        self.stream.read_exact(&mut self.body)?;
        let body = std::str::from_utf8(&self.body).map_err(|_| invalid("the answer is not text"))?;
        if !status.starts_with("HTTP/1.1 200 ") {
            return Err(invalid(&format!("the answer is \"{status}\": {body}")));
        }
        Ok(body)
    }

    /// A second handle to the connection, to [`send`] on while another thread receives.
    pub(crate) fn sender(&self) -> io::Result<TcpStream> {
        self.stream.get_ref().try_clone()
    }

    fn next_line(&mut self) -> io::Result<&str> {
        self.line.clear();
        match self.stream.read_line(&mut self.line) {
            Ok(0) => Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the service closed the connection")),
            Ok(_) => Ok(self.line.trim_end()),
            Err(e) if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                Err(io::Error::new(io::ErrorKind::TimedOut, "the service was silent for 20 s"))
            }
            Err(e) => Err(e),
        }
    }
}

/// Asks, without waiting.
pub(crate) fn send(stream: &mut TcpStream, path: &str) -> io::Result<()> {
    stream.write_all(format!("GET {path} HTTP/1.1\r\nhost: contrast\r\n\r\n").as_bytes())
}

pub(crate) fn invalid(text: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, text)
}

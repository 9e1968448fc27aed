//! HTTP/1.1 by hand: what a server framework makes right, a fault must be able to make wrong.

use std::io;

use reqwest::{
    Method, StatusCode,
    header::{CONNECTION, CONTENT_LENGTH, HOST, HeaderMap, HeaderName, HeaderValue, TRANSFER_ENCODING},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

/// A request's head is no longer than this.
const MOST_HEAD: usize = 64 * 1024;

/// Headers that belong to one connection, and those that are written anew.
const OWN: [HeaderName; 4] = [CONNECTION, CONTENT_LENGTH, HOST, TRANSFER_ENCODING];

/// A request without a body: reading a project takes no other.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) method: Method,
    pub(super) path_and_query: String,
    pub(super) headers: HeaderMap,
}

/// A connection of a client.
#[derive(Debug)]
pub(super) struct Connection {
    stream: TcpStream,
    /// What came and is not read yet.
    buffer: Vec<u8>,
}

fn invalid(message: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, message)
}

impl Connection {
    pub(super) fn new(stream: TcpStream) -> Self {
        let _ = stream.set_nodelay(true);
        Self { stream, buffer: Vec::new() }
    }

    /// The next request; `None` once the client has closed the connection.
    pub(super) async fn read(&mut self) -> io::Result<Option<Request>> {
        let end = loop {
            if let Some(end) = self.buffer.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
                break end;
            }
            if self.buffer.len() > MOST_HEAD {
                return Err(invalid("the request's head has no end"));
            }
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Ok(None);
            }
        };
        let rest = self.buffer.split_off(end + 4);
        let head = std::mem::replace(&mut self.buffer, rest);
        parse(&head).map(Some)
    }

    /// Waits until the client ends the connection.
    pub(super) async fn ended(&mut self) {
        let mut buffer = [0; 256];
        while matches!(self.stream.read(&mut buffer).await, Ok(count) if count > 0) {}
    }

    pub(super) async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes).await
    }

    /// Ends the connection with RST instead of FIN.
    pub(super) fn reset(self) -> io::Result<()> {
        self.stream.set_zero_linger()
    }
}

fn parse(head: &[u8]) -> io::Result<Request> {
    let text = std::str::from_utf8(head).map_err(|_| invalid("the request's head is not UTF-8"))?;
    let mut lines = text.trim_end().split("\r\n");
    let mut words = lines.next().unwrap_or_default().split(' ');
    let (Some(method), Some(target)) = (words.next(), words.next()) else {
        return Err(invalid("the request's first line is not one"));
    };
    let method = Method::from_bytes(method.as_bytes()).map_err(|_| invalid("the request has no method"))?;
    let mut headers = HeaderMap::new();
    for line in lines {
        let (name, value) = line.split_once(':').ok_or_else(|| invalid("a header without a colon"))?;
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| invalid("a header's name is not one"))?;
        let value = HeaderValue::from_str(value.trim()).map_err(|_| invalid("a header's value is not one"))?;
        headers.append(name, value);
    }
    if headers.get(CONTENT_LENGTH).is_some_and(|length| length != "0") || headers.contains_key(TRANSFER_ENCODING) {
        return Err(invalid("the fault proxy takes requests without a body"));
    }
    for name in &OWN {
        headers.remove(name);
    }
    Ok(Request { method, path_and_query: target.to_owned(), headers })
}

/// An answer with its whole body.
#[derive(Debug, Clone)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
}

impl Answer {
    /// The head, which promises a body of `length` bytes.
    pub(super) fn head(&self, length: usize) -> Vec<u8> {
        let reason = self.status.canonical_reason().unwrap_or("Fault");
        let mut head = format!("HTTP/1.1 {} {reason}\r\n", self.status.as_u16()).into_bytes();
        for (name, value) in self.headers.iter().filter(|(name, _)| !OWN.contains(name)) {
            head.extend([name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"].concat());
        }
        head.extend_from_slice(format!("content-length: {length}\r\n\r\n").as_bytes());
        head
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_are_read_and_written() {
        let request = parse(b"GET /rest/v1/a?b=c HTTP/1.1\r\nHost: x\r\napikey: secret\r\n\r\n").unwrap();
        assert_eq!((request.method, request.path_and_query.as_str()), (Method::GET, "/rest/v1/a?b=c"));
        assert_eq!((request.headers.len(), &request.headers["apikey"]), (1, &HeaderValue::from_static("secret")));
        assert!(parse(b"POST / HTTP/1.1\r\ncontent-length: 2\r\n\r\n").is_err());
        let answer = Answer { status: StatusCode::OK, headers: request.headers, body: Vec::new() };
        assert_eq!(answer.head(7), b"HTTP/1.1 200 OK\r\napikey: secret\r\ncontent-length: 7\r\n\r\n");
    }
}

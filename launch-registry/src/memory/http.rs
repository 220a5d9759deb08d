//! As much of HTTP/1.1 (RFC 9112) as registry clients speak.

use std::borrow::Cow;
use std::io;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use url::form_urlencoded;

/// Heads of requests are no longer than this.
const HEAD: u64 = 64 * 1024;
const PIECE: usize = 64 * 1024;

pub(super) type Stream = BufReader<TcpStream>;

/// The first part of a request.
#[derive(Debug, Default)]
pub(super) struct Head {
    pub(super) method: String,
    pub(super) path: String,
    pub(super) query: Vec<(String, String)>,
    /// Path and query as they came.
    target: String,
    headers: Vec<(String, String)>,
}

impl Head {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let found = self
            .headers
            .iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    pub(super) fn headers(&self) -> impl Iterator<Item = (&str, &str)> {
        let pairs = self.headers.iter();
        pairs.map(|(name, value)| (name.as_str(), value.as_str()))
    }

    pub(super) fn target(&self) -> &str {
        &self.target
    }

    pub(super) fn query(&self, name: &str) -> Option<&str> {
        self.query
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    fn parse(text: &str) -> Option<Self> {
        let mut lines = text.lines();
        let mut words = lines.next()?.split(' ');
        let (method, target) = (words.next()?.to_owned(), words.next()?);
        words
            .next()
            .filter(|version| version.starts_with("HTTP/1."))?;
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let query = form_urlencoded::parse(query.as_bytes())
            .into_owned()
            .collect();
        let headers = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
            .collect();
        Some(Self {
            method,
            path: path.to_owned(),
            query,
            target: target.to_owned(),
            headers,
        })
    }
}

/// Reads up to the empty line. `None` at the end of the connection, and for what is not
/// HTTP, such as the hello of a TLS client.
pub(super) async fn read_head(stream: &mut Stream) -> io::Result<Option<Head>> {
    if stream
        .fill_buf()
        .await?
        .first()
        .is_none_or(|first| !first.is_ascii_uppercase())
    {
        return Ok(None);
    }
    let mut text = Vec::new();
    let mut limited = stream.take(HEAD);
    while !text.ends_with(b"\r\n\r\n") {
        if limited.read_until(b'\n', &mut text).await? == 0 {
            return Ok(None);
        }
    }
    Ok(Head::parse(&String::from_utf8_lossy(&text)))
}

/// The body of a request, piece by piece.
#[derive(Debug)]
pub(super) struct Body<'a> {
    stream: &'a mut Stream,
    left: u64,
    is_chunked: bool,
    is_done: bool,
}

impl<'a> Body<'a> {
    pub(super) async fn open(stream: &'a mut Stream, head: &Head) -> io::Result<Self> {
        if head
            .header("expect")
            .is_some_and(|text| text.eq_ignore_ascii_case("100-continue"))
        {
            stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await?;
        }
        let coding = head.header("transfer-encoding").unwrap_or_default();
        let is_chunked = coding.eq_ignore_ascii_case("chunked");
        let length = head.header("content-length").map_or(Ok(0), str::parse);
        let left = length.map_err(io::Error::other)?;
        Ok(Self {
            stream,
            left,
            is_chunked,
            is_done: !is_chunked && left == 0,
        })
    }

    pub(super) async fn next(&mut self) -> io::Result<Option<Bytes>> {
        if self.is_chunked && self.left == 0 && !self.is_done {
            self.next_chunk().await?;
        }
        if self.is_done {
            return Ok(None);
        }
        let wanted = usize::try_from(self.left).unwrap_or(PIECE).min(PIECE);
        let mut piece = BytesMut::with_capacity(wanted);
        if (&mut *self.stream)
            .take(wanted as u64)
            .read_buf(&mut piece)
            .await?
            == 0
        {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.left -= piece.len() as u64;
        if self.left == 0 {
            if self.is_chunked {
                self.line().await?;
            } else {
                self.is_done = true;
            }
        }
        Ok(Some(piece.freeze()))
    }

    async fn next_chunk(&mut self) -> io::Result<()> {
        let line = self.line().await?;
        let size = line.split(';').next().unwrap_or_default().trim();
        self.left = u64::from_str_radix(size, 16).map_err(io::Error::other)?;
        if self.left == 0 {
            self.is_done = true;
            while !self.line().await?.trim().is_empty() {}
        }
        Ok(())
    }

    async fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        (&mut *self.stream).take(HEAD).read_line(&mut line).await?;
        Ok(line)
    }

    /// All of it, up to `cap` bytes.
    pub(super) async fn collect(&mut self, cap: usize) -> io::Result<Vec<u8>> {
        let mut all = Vec::new();
        while let Some(piece) = self.next().await? {
            if all.len() + piece.len() > cap {
                return Err(io::ErrorKind::FileTooLarge.into());
            }
            all.extend_from_slice(&piece);
        }
        Ok(all)
    }

    /// How long it says it is; 0 if it does not.
    pub(super) fn length(&self) -> u64 {
        if self.is_chunked { 0 } else { self.left }
    }

    /// Whether the connection stands at the next request.
    pub(super) fn is_done(&self) -> bool {
        self.is_done
    }
}

/// Ends a connection whose request was answered before its end: the answer is lost to a
/// client whose bytes meet a closed connection (RFC 9112 section 9.6).
pub(super) async fn linger(stream: &mut Stream) -> io::Result<()> {
    stream.get_mut().shutdown().await?;
    let mut rest = vec![0; PIECE];
    let drain = async {
        while stream.read(&mut rest).await? > 0 {}
        io::Result::Ok(())
    };
    tokio::time::timeout(LINGER, drain).await.unwrap_or(Ok(()))
}

/// How long the rest of a request is listened to.
const LINGER: Duration = Duration::from_secs(2);

/// An answer.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    headers: Vec<(Cow<'static, str>, String)>,
    body: Bytes,
}

impl Answer {
    pub(super) fn new(status: u16) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: Bytes::new(),
        }
    }

    pub(super) fn header(
        mut self,
        name: impl Into<Cow<'static, str>>,
        value: &(impl ToString + ?Sized),
    ) -> Self {
        self.headers.push((name.into(), value.to_string()));
        self
    }

    /// Sets the body alone.
    pub(super) fn content(self, body: Bytes) -> Self {
        Self { body, ..self }
    }

    pub(super) fn body(self, kind: &str, body: impl Into<Bytes>) -> Self {
        Self {
            body: body.into(),
            ..self
        }
        .header("Content-Type", kind)
    }

    /// The specification's error format, with one of its codes.
    pub(super) fn error(status: u16, code: &str, message: &str) -> Self {
        let errors = serde_json::json!({ "errors": [{ "code": code, "message": message }] });
        Self::new(status).body("application/json", errors.to_string())
    }

    /// Writes it; with HEAD, everything but the body.
    pub(super) async fn write(
        &self,
        stream: &mut Stream,
        head: &Head,
        keep: bool,
    ) -> io::Result<()> {
        let mut text = format!("HTTP/1.1 {} -\r\n", self.status);
        for (name, value) in &self.headers {
            text.extend([&**name, ": ", value, "\r\n"]);
        }
        // RFC 9110 section 8.6: none with 204.
        if self.status != 204 {
            text.extend(["Content-Length: ", &self.body.len().to_string(), "\r\n"]);
        }
        text.push_str(if keep {
            "\r\n"
        } else {
            "Connection: close\r\n\r\n"
        });
        stream.write_all(text.as_bytes()).await?;
        if head.method != "HEAD" {
            stream.write_all(&self.body).await?;
        }
        stream.flush().await
    }
}

//! The output of a training job: its streams in `CloudWatch` Logs, one after the other.
//!
//! A job has a stream for each of its hosts, `<job>/algo-<n>-<time>`, and another when it is
//! restarted. A watcher that comes back counts bytes, so the order must always be the same:
//! all of the first host, live, then the others, each under a line with its name.

use bytes::Bytes;
use serde_json::{Value, json};

use super::aws::{Aws, Service};
use crate::managed::Fault;

const GROUP: &str = "/aws/sagemaker/TrainingJobs";
/// After so many empty reads, new streams are looked for: a job may have been restarted.
const LOOK_AGAIN: u32 = 8;

/// How far the output of a job was read.
#[derive(Debug, Default)]
pub(super) struct Cursor {
    streams: Vec<Stream>,
    at: usize,
    /// Where the current stream goes on.
    token: Option<String>,
    empty: u32,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Stream {
    /// The number of the host; hosts are `algo-1`, `algo-2`, …
    host: u32,
    name: String,
}

impl Stream {
    fn of(name: &str) -> Self {
        let number = name.rsplit_once("/algo-").map_or("", |(_, rest)| rest);
        let number = number.split('-').next().unwrap_or_default();
        Self {
            host: number.parse().unwrap_or(u32::MAX),
            name: name.to_owned(),
        }
    }

    /// `algo-2`, above the output of hosts but the first.
    fn title(&self) -> String {
        format!("==> algo-{} <==\n", self.host)
    }
}

impl Cursor {
    /// The next output of `job`, if there is some now.
    pub(super) async fn read(
        &mut self,
        aws: &Aws,
        job: &str,
        ended: bool,
    ) -> Result<Option<Bytes>, Fault> {
        loop {
            if self.streams.get(self.at).is_none() || self.empty >= LOOK_AGAIN {
                self.list(aws, job).await?;
            }
            let Some(stream) = self.streams.get(self.at).cloned() else {
                self.empty += 1;
                return Ok(None);
            };
            if let Some(piece) = self.page(aws, &stream).await? {
                self.empty = 0;
                return Ok(Some(piece));
            }
            self.empty += 1;
            if ended && self.at + 1 == self.streams.len() {
                self.list(aws, job).await?;
            }
            let next = self.streams.get(self.at + 1);
            let goes_on = next.is_some_and(|next| ended || next.host == stream.host);
            if !goes_on {
                return Ok(None);
            }
            (self.at, self.token) = (self.at + 1, None);
        }
    }

    /// Finds all streams; those known keep their places.
    async fn list(&mut self, aws: &Aws, job: &str) -> Result<(), Fault> {
        self.empty = 0;
        let mut found = Vec::new();
        let mut token = Value::Null;
        loop {
            let mut body = json!({"logGroupName": GROUP, "logStreamNamePrefix": format!("{job}/")});
            if !token.is_null() {
                body["nextToken"] = token;
            }
            let answer = match aws.call(Service::Logs, "DescribeLogStreams", &body).await {
                // The first job of an account makes the group.
                Err(Fault::Absent) => break,
                answer => answer?,
            };
            let names = answer["logStreams"].as_array().into_iter().flatten();
            let names = names.filter_map(|stream| stream["logStreamName"].as_str());
            found.extend(names.map(Stream::of));
            token = answer["nextToken"].clone();
            if token.is_null() {
                break;
            }
        }
        found.sort();
        let read = self.streams.len().min(self.at + 1);
        self.streams.truncate(read);
        let new = found
            .into_iter()
            .filter(|stream| !self.streams.contains(stream));
        let new: Vec<_> = new.collect();
        self.streams.extend(new);
        Ok(())
    }

    /// The next events of a stream.
    async fn page(&mut self, aws: &Aws, stream: &Stream) -> Result<Option<Bytes>, Fault> {
        loop {
            let mut body = json!({
                "logGroupName": GROUP,
                "logStreamName": stream.name,
                "startFromHead": true,
            });
            if let Some(token) = &self.token {
                body["nextToken"] = json!(token);
            }
            let answer = match aws.call(Service::Logs, "GetLogEvents", &body).await {
                Err(Fault::Absent) => return Ok(None),
                answer => answer?,
            };
            let is_first = self.token.is_none();
            let text = lines(&answer);
            let next = answer["nextForwardToken"].as_str().map(str::to_owned);
            // The service may answer an empty page before the end; at the end, the token
            // stays the same.
            let moved = next.is_some() && next != self.token;
            if text.is_empty() {
                if is_first && !moved {
                    return Ok(None);
                }
                if !is_first {
                    self.token = next.or(self.token.take());
                    if !moved {
                        return Ok(None);
                    }
                    continue;
                }
                // An empty first page: the token is kept only with output, so that the
                // title stays above it.
                return Ok(None);
            }
            let title = (is_first && self.at > 0).then(|| stream.title());
            self.token = next;
            return Ok(Some((title.unwrap_or_default() + &text).into()));
        }
    }
}

/// The messages of a page, each a line.
fn lines(page: &Value) -> String {
    let events = page["events"].as_array().into_iter().flatten();
    let mut text = String::new();
    for message in events.filter_map(|event| event["message"].as_str()) {
        text.push_str(message);
        if !message.ends_with('\n') {
            text.push('\n');
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_in_the_order_of_their_numbers_and_restarts_in_that_of_time() {
        let names = [
            "j/algo-10-5",
            "j/algo-2-5",
            "j/algo-1-9",
            "j/algo-1-5",
            "j/other",
        ];
        let mut streams: Vec<Stream> = names.into_iter().map(Stream::of).collect();
        streams.sort();
        let sorted: Vec<&str> = streams.iter().map(|stream| stream.name.as_str()).collect();
        assert_eq!(
            sorted,
            [
                "j/algo-1-5",
                "j/algo-1-9",
                "j/algo-2-5",
                "j/algo-10-5",
                "j/other"
            ]
        );
        assert_eq!(streams[2].title(), "==> algo-2 <==\n");
    }

    #[test]
    fn every_event_is_a_line() {
        let page = json!({"events": [{"message": "a"}, {"message": "b\r\n"}, {"message": "c"}]});
        assert_eq!(lines(&page), "a\nb\r\nc\n");
    }
}

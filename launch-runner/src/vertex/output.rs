//! The output of a custom job: its entries in Cloud Logging.

use std::collections::HashSet;

use bytes::Bytes;
use serde_json::{Value, json};

use super::api::Api;
use crate::managed::Fault;

/// How many entries a page may have.
const PAGE: u32 = 1000;

/// How far the output of a job was read.
///
/// Entries are ordered by the time they were written, but become visible in the order they
/// were received. So each question is for what was received since the last one, and what
/// was told already is known by its id.
#[derive(Debug, Default)]
pub(super) struct Cursor {
    /// The latest time of receipt seen, and the ids of entries received then.
    latest: String,
    told: HashSet<String>,
    /// A question that has more pages.
    asked: Option<(Value, String)>,
    /// The latest time of receipt, and its ids, of the pages of this question.
    next: (String, HashSet<String>),
}

impl Cursor {
    /// The next output of the job with this id, if there is some now.
    pub(super) async fn read(&mut self, api: &Api, id: &str) -> Result<Option<Bytes>, Fault> {
        loop {
            let (query, page) = self.asked.take().unwrap_or_else(|| {
                self.next = (self.latest.clone(), self.told.clone());
                (self.query(api, id), String::new())
            });
            let mut paged = query.clone();
            if !page.is_empty() {
                paged["pageToken"] = json!(page);
            }
            let answer = api.entries(&paged).await;
            if answer.is_err() {
                self.asked = Some((query.clone(), page));
            }
            let answer = answer?;
            let text = self.take(&answer);
            match answer["nextPageToken"].as_str() {
                Some(next) if !next.is_empty() => self.asked = Some((query, next.to_owned())),
                _ => (self.latest, self.told) = std::mem::take(&mut self.next),
            }
            if !text.is_empty() {
                return Ok(Some(text.into()));
            }
            if self.asked.is_none() {
                return Ok(None);
            }
        }
    }

    fn query(&self, api: &Api, id: &str) -> Value {
        let mut filter = format!("resource.type=\"ml_job\" AND resource.labels.job_id=\"{id}\"");
        if !self.latest.is_empty() {
            filter += &format!(" AND receiveTimestamp>=\"{}\"", self.latest);
        }
        json!({
            "resourceNames": [format!("projects/{}", api.location.project)],
            "filter": filter,
            "orderBy": "timestamp asc",
            "pageSize": PAGE,
        })
    }

    /// The text of entries that were not told yet.
    fn take(&mut self, answer: &Value) -> String {
        let mut text = String::new();
        for entry in answer["entries"].as_array().into_iter().flatten() {
            let id = entry["insertId"].as_str().unwrap_or_default();
            if self.told.contains(id) {
                continue;
            }
            let received = entry["receiveTimestamp"].as_str().unwrap_or_default();
            let (latest, ids) = &mut self.next;
            if received > latest.as_str() {
                received.clone_into(latest);
                ids.clear();
            }
            if received == latest {
                ids.insert(id.to_owned());
            }
            text += &line(entry);
        }
        text
    }
}

/// What a program wrote; Vertex AI wraps it where it found more to say.
fn line(entry: &Value) -> String {
    let payload = &entry["jsonPayload"];
    let text = entry["textPayload"]
        .as_str()
        .or(payload["message"].as_str());
    let mut line = match text {
        Some(text) => text.to_owned(),
        None if payload.is_null() => String::new(),
        None => payload.to_string(),
    };
    if !line.ends_with('\n') {
        line.push('\n');
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(id: &str, received: &str, text: &str) -> Value {
        json!({"insertId": id, "receiveTimestamp": received, "textPayload": text})
    }

    #[test]
    fn entries_are_told_once() {
        let mut cursor = Cursor::default();
        let first = json!({"entries": [entry("a", "1", "one"), entry("b", "2", "two")]});
        assert_eq!(cursor.take(&first), "one\ntwo\n");
        (cursor.latest, cursor.told) = std::mem::take(&mut cursor.next);
        assert_eq!(cursor.latest, "2");
        let late = json!({"entries": [entry("c", "2", "late"), entry("b", "2", "two")]});
        assert_eq!(cursor.take(&late), "late\n");
    }

    #[test]
    fn payloads_are_text_or_hold_it() {
        assert_eq!(line(&json!({"jsonPayload": {"message": "x\n"}})), "x\n");
        assert_eq!(line(&json!({"jsonPayload": {"a": 1}})), "{\"a\":1}\n");
        assert_eq!(line(&json!({"textPayload": ""})), "\n");
    }
}

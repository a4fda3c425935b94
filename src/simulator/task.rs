//! The life of one task as a pure function of time.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};

use super::fault::Outcome;

/// How long the phases last.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Schedule {
    pub(crate) queued: Duration,
    pub(crate) running: Duration,
}

impl Schedule {
    /// When FME has told its own id: a little later than the order.
    fn fme_known(self) -> Duration {
        (self.queued / 4).min(Duration::from_millis(250))
    }

    fn finished(self) -> Duration {
        self.queued + self.running
    }
}

/// The task's file, once it is made.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Made {
    pub(crate) at: Timestamp,
    /// What `FileSize` says.
    pub(crate) file_size: u64,
}

/// Whether the file is there yet.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) enum File {
    #[default]
    InTheMaking,
    Made(Made),
    /// The generator failed, which ends the task badly.
    Failed(Timestamp),
}

/// What the status says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Status {
    Queued,
    InProgress,
    FinishedOk,
    FinishedNok,
    Rejected,
    Cancelled,
}

impl Status {
    /// The word on the wire.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Queued => "Queued",
            Self::InProgress => "In_progress",
            Self::FinishedOk => "Finished_ok",
            Self::FinishedNok => "Finished_nok",
            Self::Rejected => "Rejected",
            Self::Cancelled => "Cancelled",
        }
    }

    /// Counts for the duplicate rule.
    pub(crate) fn is_open(self) -> bool {
        matches!(self, Self::Queued | Self::InProgress)
    }
}

/// All words that `?status=` understands.
pub(crate) const STATUS_WORDS: [&str; 6] =
    ["Rejected", "Queued", "In_progress", "Finished_ok", "Finished_nok", "Cancelled"];

/// A task of a user.
#[derive(Debug, Clone)]
pub(crate) struct Task {
    pub(crate) user_id: String,
    pub(crate) datasets: Vec<Value>,
    pub(crate) registered: Timestamp,
    pub(crate) fme_id: u32,
    pub(crate) schedule: Schedule,
    pub(crate) outcome: Outcome,
    pub(crate) cancelled: Option<Timestamp>,
    pub(crate) file: File,
    pub(crate) download_url: String,
}

/// What is visible of a task at a moment.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct View {
    pub(crate) status: Status,
    pub(crate) fme_known: bool,
    pub(crate) finalized: Option<Timestamp>,
    /// Link and size, when there is a file to fetch.
    pub(crate) file_size: Option<u64>,
    pub(crate) message: Option<&'static str>,
}

impl Task {
    /// The task at a moment; `None` when the service has lost it.
    pub(crate) fn at(&self, now: Timestamp) -> Option<View> {
        let Some(cancelled) = self.cancelled else { return self.undisturbed(now) };
        // What was known when it was cancelled stays, the link of a finished task included.
        let before = self.undisturbed(cancelled)?;
        let fme_known = before.fme_known || self.fme_knows(now);
        Some(View { status: Status::Cancelled, finalized: Some(cancelled), fme_known, ..before })
    }

    fn fme_knows(&self, now: Timestamp) -> bool {
        self.age(now) >= self.schedule.fme_known() && self.outcome != Outcome::FmeRefuses
    }

    fn age(&self, now: Timestamp) -> Duration {
        Duration::try_from(now.duration_since(self.registered)).unwrap_or_default()
    }

    /// The task at a moment as if nobody had cancelled it.
    fn undisturbed(&self, now: Timestamp) -> Option<View> {
        let age = self.age(now);
        let queue_end = self.registered + self.schedule.queued;
        let fme_known = self.fme_knows(now);
        let view = |status, finalized| View { status, fme_known, finalized, file_size: None, message: None };
        if age < self.schedule.queued || matches!(self.outcome, Outcome::StuckQueued | Outcome::FmeRefuses) {
            return Some(view(Status::Queued, None));
        }
        match self.outcome {
            Outcome::Vanishes => return None,
            Outcome::Rejected => {
                let message = Some("The request was rejected");
                return Some(View { message, ..view(Status::Rejected, Some(queue_end)) });
            }
            Outcome::Cancelled => return Some(view(Status::Cancelled, Some(queue_end))),
            _ => {}
        }
        let planned = self.registered + self.schedule.finished();
        let (finished, size) = match self.file {
            _ if age < self.schedule.finished() => return Some(view(Status::InProgress, None)),
            _ if self.outcome == Outcome::FinishedNok => (planned, None),
            File::InTheMaking => return Some(view(Status::InProgress, None)),
            File::Failed(at) => (planned.max(at), None),
            File::Made(made) => (planned.max(made.at), Some(made.file_size)),
        };
        let ended = view(Status::FinishedNok, Some(finished));
        Some(match size {
            None => View { message: Some("There was an error processing the download"), ..ended },
            Some(_) => View {
                status: if self.outcome == Outcome::QueuedWithUrl {
                    Status::Queued
                } else {
                    Status::FinishedOk
                },
                file_size: size,
                message: Some("Download process finished successfully"),
                ..ended
            },
        })
    }

    /// The task as `@datarequest_status_get` writes it, by a clock that is so far ahead.
    pub(crate) fn json(&self, view: &View, clock: SignedDuration) -> Value {
        let mut object = Map::new();
        let mut put = |name: &str, value: Value| object.insert(name.to_owned(), value);
        put("Datasets", json!(self.datasets));
        put("RegistrationDateTime", json!(iso(self.registered + clock)));
        put("Status", json!(view.status.word()));
        put("UserID", json!(self.user_id));
        if view.fme_known {
            put("FMETaskId", json!(self.fme_id));
        }
        if let Some(finalized) = view.finalized {
            put("FinalizationDateTime", json!(iso(finalized + clock)));
        }
        if let Some(message) = view.message {
            put("Message", json!(message));
        }
        if let Some(size) = view.file_size {
            put("DownloadURL", json!(self.download_url));
            put("FileSize", json!(size));
        }
        Value::Object(object)
    }
}

/// `2026-11-22T09:05:19.290220+00:00`.
pub(crate) fn iso(time: Timestamp) -> String {
    format!("{}+00:00", time.strftime("%Y-%m-%dT%H:%M:%S.%6f"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn task(outcome: Outcome) -> Task {
        let registered: Timestamp = "2026-11-22T09:05:17.197615Z".parse().unwrap();
        Task {
            user_id: "n00015mf".to_owned(),
            datasets: Vec::new(),
            registered,
            fme_id: 42078,
            schedule: Schedule { queued: Duration::from_secs(2), running: Duration::from_secs(3) },
            outcome,
            cancelled: None,
            file: File::Made(Made { at: registered + Duration::from_secs(1), file_size: 1747 }),
            download_url: "http://h/clmsdatadownload/results/42078.zip".to_owned(),
        }
    }

    fn life(task: &Task) -> Vec<String> {
        [0, 1, 3, 5, 1000]
            .into_iter()
            .map(|age| {
                task.at(task.registered + Duration::from_secs(age))
                    .map_or("gone", |view| view.status.word())
                    .to_owned()
            })
            .collect()
    }

    #[test]
    fn every_outcome_has_its_life() {
        for (outcome, words) in [
            (Outcome::FinishedOk, ["Queued", "Queued", "In_progress", "Finished_ok", "Finished_ok"]),
            (Outcome::FinishedNok, ["Queued", "Queued", "In_progress", "Finished_nok", "Finished_nok"]),
            (Outcome::Rejected, ["Queued", "Queued", "Rejected", "Rejected", "Rejected"]),
            (Outcome::Cancelled, ["Queued", "Queued", "Cancelled", "Cancelled", "Cancelled"]),
            (Outcome::StuckQueued, ["Queued"; 5]),
            (Outcome::FmeRefuses, ["Queued"; 5]),
            (Outcome::QueuedWithUrl, ["Queued", "Queued", "In_progress", "Queued", "Queued"]),
            (Outcome::Vanishes, ["Queued", "Queued", "gone", "gone", "gone"]),
        ] {
            assert_eq!(life(&task(outcome)), words, "{outcome:?}");
        }
    }

    #[test]
    fn fields_appear_late() {
        let task = task(Outcome::FinishedOk);
        let at = |milliseconds| task.at(task.registered + Duration::from_millis(milliseconds)).unwrap();
        assert!(!at(100).fme_known && at(300).fme_known);
        assert_eq!(at(4900).file_size, None);
        let end = at(5000);
        assert_eq!(end.file_size, Some(1747));
        let json = task.json(&end, SignedDuration::ZERO);
        assert_eq!(json["FinalizationDateTime"], "2026-11-22T09:05:22.197615+00:00");
        assert_eq!(json["Message"], "Download process finished successfully");
    }

    #[test]
    fn a_task_ends_no_earlier_than_its_file_is_made() {
        let mut task = task(Outcome::FinishedOk);
        task.file = File::InTheMaking;
        let late = task.registered + Duration::from_secs(100);
        assert_eq!(task.at(late).unwrap().status, Status::InProgress);
        task.file = File::Failed(late);
        assert_eq!(task.at(late).unwrap().status, Status::FinishedNok);
        task.file = File::Made(Made { at: late, file_size: 5 });
        assert_eq!(task.at(late).unwrap().finalized, Some(late));
    }

    #[test]
    fn a_cancelled_task_keeps_what_it_had() {
        let mut task = task(Outcome::FinishedOk);
        let late = task.registered + Duration::from_secs(100);
        task.cancelled = Some(late);
        let view = task.at(late).unwrap();
        assert_eq!(
            (view.status, view.finalized, view.file_size),
            (Status::Cancelled, Some(late), Some(1747))
        );
        task.cancelled = Some(task.registered + Duration::from_secs(1));
        let view = task.at(late).unwrap();
        assert_eq!((view.status, view.file_size), (Status::Cancelled, None));
        assert!(view.fme_known);
    }

    #[test]
    fn queued_with_url_has_the_link() {
        let task = task(Outcome::QueuedWithUrl);
        let view = task.at(task.registered + Duration::from_secs(9)).unwrap();
        let json = task.json(&view, SignedDuration::ZERO);
        assert_eq!(json["Status"], "Queued");
        assert!(json["DownloadURL"].is_string() && json["FinalizationDateTime"].is_string());
    }
}

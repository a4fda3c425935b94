//! A task of the download queue, as `@datarequest_status_get` and `@datarequest_search` give it.

use jiff::Timestamp;
use serde_json::Value;
use url::Url;

use super::ids::{DatasetUid, FileId, TaskId};
use super::wire;

/// `Status` of a task. Only letters count, in any case: children of CDSE tasks say `QUEUED`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TaskStatus {
    /// Waits, or was refused by the packer and waits for good, or is done and nobody noted it ([`Task::outcome`]).
    Queued,
    /// Being packed.
    InProgress,
    /// Done; the link may have expired since.
    FinishedOk,
    /// The packer failed.
    FinishedNok,
    /// Refused by the packer.
    Rejected,
    /// Cancelled by the user or the operators.
    Cancelled,
    /// A text this release does not know, kept as it came (empty when there was none).
    Unknown(String),
}

impl TaskStatus {
    fn parse(text: &str) -> Self {
        let letters: String = text.chars().filter(char::is_ascii_alphanumeric).collect();
        match letters.to_ascii_lowercase().as_str() {
            "queued" => Self::Queued,
            "inprogress" => Self::InProgress,
            "finishedok" => Self::FinishedOk,
            "finishednok" => Self::FinishedNok,
            "rejected" => Self::Rejected,
            "cancelled" | "canceled" => Self::Cancelled,
            _ => Self::Unknown(text.to_owned()),
        }
    }

    /// The service's spelling.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Queued => "Queued",
            Self::InProgress => "In_progress",
            Self::FinishedOk => "Finished_ok",
            Self::FinishedNok => "Finished_nok",
            Self::Rejected => "Rejected",
            Self::Cancelled => "Cancelled",
            Self::Unknown(text) => text,
        }
    }
}

/// One ordered thing inside a task. Cut-outs have no `file_id`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskDataset {
    /// The dataset it was ordered from.
    pub dataset: Option<DatasetUid>,
    /// The pre-packaged file, `None` for a cut-out.
    pub file: Option<FileId>,
    /// Title of the dataset when it was ordered.
    pub title: Option<String>,
}

/// What a task's fields say together; the status alone is not to be trusted (CLMS-API 8.3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TaskOutcome {
    /// Not done yet: poll on.
    Open,
    /// Done, the file is (or was) at this address.
    Finished {
        /// Where the outer zip is.
        url: Url,
    },
    /// Said to be done, but without a usable link: only a new order helps.
    FinishedWithoutLink,
    /// Failed or was rejected.
    Failed,
    /// Cancelled. A late report of the packer can still turn it into a finished one.
    Cancelled,
}

/// A task of the queue. Fields the service leaves out are `None`.
#[derive(Debug, Clone, PartialEq)]
pub struct Task {
    /// The status as the service words it; decide by [`Task::outcome`].
    pub status: TaskStatus,
    /// What was ordered, in the order of the request.
    pub datasets: Vec<TaskDataset>,
    /// The usable links (normally none or one).
    pub download_urls: Vec<Url>,
    /// Bytes of the outer zip.
    pub file_size: Option<u64>,
    /// When the task was registered.
    pub registered: Option<Timestamp>,
    /// When it ended; the 72 hours of the link count from here.
    pub finalized: Option<Timestamp>,
    /// The packer's words.
    pub message: Option<String>,
    /// Number of the job in the packer (FME), also the number in the link.
    pub fme_task_id: Option<u64>,
}

impl Task {
    /// Reads a task whose links are whole; `None` only when the value is no object. Odd fields become `None`.
    pub fn from_json(value: &Value) -> Option<Self> {
        Self::read(value, None)
    }

    /// [`Task::from_json`]; links without a host are links at `base`.
    pub(super) fn read(value: &Value, base: Option<&Url>) -> Option<Self> {
        let fields = value.as_object()?;
        let get = |name: &str| wire::field(fields, name);
        Some(Self {
            status: TaskStatus::parse(&wire::text(get("Status")).unwrap_or_default()),
            // Children of CDSE tasks hold the one dataset without a list around it.
            datasets: wire::list(get("Datasets")).into_iter().filter_map(task_dataset).collect(),
            download_urls: texts_inside(get("DownloadURL"))
                .filter_map(|text| link(text.trim(), base))
                .collect(),
            file_size: wire::whole_number(get("FileSize")),
            registered: wire::moment(get("RegistrationDateTime")),
            finalized: wire::moment(get("FinalizationDateTime")),
            message: wire::trimmed(get("Message")),
            fme_task_id: wire::whole_number(get("FMETaskId")),
        })
    }

    /// The task in an answer about one: the answer itself, or what it wraps (under the task's id, in a list of one).
    /// `None` where nothing in it is of a task, as in a report of an error that comes with a status of success.
    pub(super) fn of_answer(answer: &Value, id: &TaskId, base: Option<&Url>) -> Option<Self> {
        let is_task = |value: &&Value| {
            let has =
                |name: &str| value.as_object().is_some_and(|fields| wire::field(fields, name).is_some());
            let is_report = value.get("msg").is_some();
            has("Datasets")
                || has("DownloadURL")
                || has("RegistrationDateTime")
                || (has("Status") && !is_report)
        };
        let inner = ["task", "item", "data"].into_iter().find_map(|name| answer.get(name));
        let listed = || {
            let list = answer.as_array()?;
            let is_it = |task: &&Value| {
                let named = task.as_object().and_then(|fields| wire::field(fields, "TaskID"));
                named.and_then(TaskId::from_json).as_ref() == Some(id)
            };
            list.iter().find(is_it).or_else(|| list.first().filter(|_| list.len() == 1))
        };
        let inner = answer.get(id.as_str()).or(inner).or_else(listed);
        Self::read(inner.into_iter().chain([answer]).find(is_task)?, base)
    }

    /// What to do about the task.
    ///
    /// A `Queued` task with a link is finished: about one in fourteen stays so after a race in the service. One that is
    /// still `In_progress` is where it has its end or its size, too: a link alone may be known before its file is there.
    /// `Cancelled` with a link stays cancelled: the operators or the user said so.
    pub fn outcome(&self) -> TaskOutcome {
        match &self.status {
            TaskStatus::Cancelled => TaskOutcome::Cancelled,
            TaskStatus::FinishedNok | TaskStatus::Rejected => TaskOutcome::Failed,
            TaskStatus::InProgress if self.finalized.is_none() && self.file_size.is_none() => {
                TaskOutcome::Open
            }
            status => match self.download_urls.first() {
                Some(url) => TaskOutcome::Finished { url: url.clone() },
                None if *status == TaskStatus::FinishedOk => TaskOutcome::FinishedWithoutLink,
                None => TaskOutcome::Open,
            },
        }
    }

    /// True when the task is an order of exactly this one file.
    pub fn is_order_of(&self, dataset: &DatasetUid, file: &FileId) -> bool {
        matches!(self.datasets.as_slice(), [only] if only.dataset.as_ref().is_some_and(|id| id.is(dataset)) && only.file.as_ref().is_some_and(|id| id.is(file)))
    }
}

/// The texts of a field that is one text, a list of texts, or an object around one.
fn texts_inside(value: Option<&Value>) -> impl Iterator<Item = &str> {
    let texts: Vec<&Value> = match value {
        Some(Value::Array(list)) => list.iter().collect(),
        Some(Value::Object(fields)) => fields.values().collect(),
        other => other.into_iter().collect(),
    };
    texts.into_iter().filter_map(Value::as_str)
}

/// A link of the service, `None` when it is none.
fn link(text: &str, base: Option<&Url>) -> Option<Url> {
    let url = match base {
        Some(base) if text.starts_with('/') => base.join(text),
        _ => Url::parse(text),
    };
    url.ok().filter(|url| matches!(url.scheme(), "http" | "https"))
}

fn task_dataset(value: &Value) -> Option<TaskDataset> {
    let fields = value.as_object()?;
    Some(TaskDataset {
        dataset: wire::field(fields, "DatasetID").and_then(DatasetUid::from_json),
        file: wire::field(fields, "FileID").and_then(FileId::from_json),
        title: wire::trimmed(wire::field(fields, "DatasetTitle")),
    })
}

/// What an error is called that comes in place of a history.
const WORDS: [&str; 5] = ["msg", "message", "error", "error_description", "detail"];

/// The tasks of `@datarequest_search`: an object keyed by task id, or a list of tasks that name their ids. Entries that
/// are no tasks are left out and counted.
pub(super) fn tasks_from_json(value: &Value, base: Option<&Url>) -> Option<(Vec<(TaskId, Task)>, usize)> {
    if let Some(list) = value.as_array() {
        let id = |task: &Value| TaskId::from_json(wire::field(task.as_object()?, "TaskID")?);
        let named = |task: &Value| Some((id(task)?, Task::read(task, base)?));
        let tasks: Vec<_> = list.iter().filter_map(named).collect();
        // A list of strangers is no history: who takes it for an empty one orders again.
        let odd = list.len() - tasks.len();
        return (odd == 0 || !tasks.is_empty()).then_some((tasks, odd));
    }
    let fields = value.as_object()?;
    // a history with something around it
    if let Some(inner) = ["items", "tasks", "data"].into_iter().find_map(|name| fields.get(name)) {
        return tasks_from_json(inner, base);
    }
    // what begins with an @ is about the answer, not about tasks
    let entries =
        || fields.iter().filter(|(name, _)| !name.starts_with('@') && !WORDS.contains(&name.as_str()));
    let tasks: Vec<_> =
        entries().filter_map(|(id, task)| Some((TaskId::parse(id)?, Task::read(task, base)?))).collect();
    let odd = entries().count() - tasks.len();
    // An empty history may come with a count or a date. An error is none, nor is one that holds what nobody understands.
    let holds = |value: &Value| value.is_object() || value.as_array().is_some_and(|list| !list.is_empty());
    let says =
        |name: &str| fields.get(name).is_some_and(|said| holds(said) || wire::text(Some(said)).is_some());
    let is_error = wire::text(fields.get("status"))
        .is_some_and(|status| status.eq_ignore_ascii_case("error"))
        || WORDS.into_iter().any(says);
    let is_history = !tasks.is_empty() || !(is_error || entries().any(|(_, value)| holds(value)));
    is_history.then_some((tasks, odd))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::clms::wire::tests::any_json;
    use proptest::prelude::*;
    use serde_json::json;

    proptest! {
        #[test]
        fn no_json_makes_a_task_panic(value in any_json()) {
            if let Some(task) = Task::from_json(&value) {
                task.outcome();
            }
            tasks_from_json(&value, None);
        }
    }

    fn task(value: Value) -> Task {
        Task::from_json(&value).unwrap()
    }

    #[test]
    fn a_queued_task_with_a_link_is_finished() {
        let task =
            task(json!({"Status": "Queued", "DownloadURL": "https://h/results/1.zip", "FileSize": "12"}));
        assert_eq!(
            task.outcome(),
            TaskOutcome::Finished { url: Url::parse("https://h/results/1.zip").unwrap() }
        );
        assert_eq!(task.file_size, Some(12));
    }

    #[test]
    fn a_task_in_progress_is_finished_when_it_has_more_than_a_link() {
        for (field, value, is_open) in [
            ("FileSize", json!(null), true),
            ("FileSize", json!(12), false),
            ("FinalizationDateTime", json!("2026-11-22T09:00:00"), false),
        ] {
            let task = task(json!({"Status": "In_progress", "DownloadURL": "https://h/1.zip", field: value}));
            assert_eq!(task.outcome() == TaskOutcome::Open, is_open, "{task:?}");
        }
    }

    #[test]
    fn links_come_as_text_list_or_null() {
        let url = Url::parse("https://h/1.zip").unwrap();
        for link in [json!("https://h/1.zip"), json!(["https://h/1.zip"]), json!([null, " https://h/1.zip "])]
        {
            let task = task(json!({"Status": "Finished_ok", "DownloadURL": link}));
            assert_eq!(task.download_urls.as_slice(), std::slice::from_ref(&url));
        }
        for link in [json!(null), json!(""), json!([]), json!("file:///etc/passwd"), json!("not a url")] {
            let task = task(json!({"Status": "Finished_ok", "DownloadURL": link}));
            assert_eq!(task.outcome(), TaskOutcome::FinishedWithoutLink);
        }
    }

    #[test]
    fn links_without_a_host_are_links_of_the_service() {
        let base = Url::parse("https://land.copernicus.eu/api").unwrap();
        let first = |link: Value| {
            let task =
                Task::read(&json!({"Status": "Finished_ok", "DownloadURL": link}), Some(&base)).unwrap();
            task.download_urls.first().map(Url::to_string)
        };
        for (link, whole) in [
            (json!("/results/1.zip"), Some("https://land.copernicus.eu/results/1.zip")),
            (json!("//fme.example/results/1.zip"), Some("https://fme.example/results/1.zip")),
            (json!({"title": "package", "href": "https://h/1.zip"}), Some("https://h/1.zip")),
            (json!(" https://h/a b/ü.zip\n"), Some("https://h/a%20b/%C3%BC.zip")),
            (json!("pending"), None),
            (json!("file:///etc/passwd"), None),
        ] {
            assert_eq!(first(link.clone()).as_deref(), whole, "{link}");
        }
    }

    #[test]
    fn a_history_comes_as_an_object_or_as_a_list() {
        let ids = |value: Value| {
            let (tasks, odd) = tasks_from_json(&value, None)?;
            Some((tasks.into_iter().map(|(id, _)| id.to_string()).collect::<Vec<_>>(), odd))
        };
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        assert_eq!(ids(json!({"1": {}, "": {}, "2": null})), Some((names(&["1"]), 2)));
        assert_eq!(ids(json!([{"TaskID": 1}, {"TaskID": "2"}, {}])), Some((names(&["1", "2"]), 1)));
        assert_eq!((ids(json!([])), ids(json!({}))), (Some((vec![], 0)), Some((vec![], 0))));
        assert_eq!((ids(json!([{}])), ids(json!("x"))), (None, None));
        for empty in [
            json!({"@id": "https://h/@datarequest_search"}),
            json!({"@id": "x", "@components": {"actions": {}}}),
        ] {
            assert_eq!(ids(empty.clone()), Some((vec![], 0)), "{empty}");
        }
        assert_eq!(
            ids(json!({"items_total": 0, "status": "ok", "msg": "", "next": null})),
            Some((vec![], 3))
        );
        for none in [
            json!({"status": "error", "msg": "try later"}),
            json!({"@id": "x", "message": "try later"}),
            json!({"detail": "not now"}),
            json!({"error": {"code": 7}}),
            json!({"status": "Error", "count": 0}),
            json!({"": {"Status": "Queued"}}),
            json!({"results": [{"TaskID": 1}]}),
        ] {
            assert_eq!(ids(none.clone()), None, "what is no history is no empty one: {none}");
        }
        assert_eq!(ids(json!({"items": [{"taskId": 7}]})), Some((names(&["7"]), 0)));
        assert_eq!(ids(json!({"tasks": {"8": {}}})), Some((names(&["8"]), 0)));
    }

    #[test]
    fn a_task_is_found_in_what_is_wrapped_around_it() {
        let id = TaskId::parse("7").unwrap();
        let status =
            |answer: Value| Task::of_answer(&answer, &id, None).map(|task| task.status.as_str().to_owned());
        let task = json!({"Status": "Finished OK", "Datasets": []});
        for answer in
            [json!(task), json!([task]), json!({"7": task}), json!({"task": task, "status": "ok", "msg": ""})]
        {
            assert_eq!(status(answer.clone()).as_deref(), Some("Finished_ok"), "{answer}");
        }
        let (mut ours, other) = (task.clone(), json!({"Status": "Rejected", "TaskID": 8}));
        ours["TaskID"] = json!(7);
        assert_eq!(status(json!([other, ours])).as_deref(), Some("Finished_ok"));
        for none in [
            json!({}),
            json!([]),
            json!([other, task]),
            json!(null),
            json!({"status": "error", "msg": "try later"}),
        ] {
            assert_eq!(status(none.clone()), None, "{none}");
        }
    }

    #[test]
    fn children_of_cdse_tasks_are_understood() {
        let child = task(
            json!({"Status": "QUEUED", "Datasets": {"DatasetID": "d", "OutputFormat": "Geotiff"}, "cdse_task_role": "child"}),
        );
        assert_eq!(child.status, TaskStatus::Queued);
        assert_eq!(child.datasets.len(), 1);
        assert_eq!(child.outcome(), TaskOutcome::Open);
        assert!(!child.is_order_of(&DatasetUid::parse("d").unwrap(), &FileId::parse("f").unwrap()));
    }

    #[test]
    fn datasets_whose_positions_have_become_keys_are_a_list() {
        let ordered = json!({"DatasetID": "d", "FileID": "f"});
        let task = task(json!({"Datasets": {"0": ordered}}));
        assert!(task.is_order_of(&DatasetUid::parse("d").unwrap(), &FileId::parse("f").unwrap()));
    }

    #[test]
    fn only_a_task_of_that_one_file_is_its_order() {
        let (dataset, file) = (DatasetUid::parse("d").unwrap(), FileId::parse("f").unwrap());
        let ordered = json!({"DatasetID": "d", "FileID": "f"});
        assert!(task(json!({"Datasets": [ordered]})).is_order_of(&dataset, &file));
        assert!(
            !task(json!({"Datasets": [ordered, {"DatasetID": "d", "FileID": "g"}]}))
                .is_order_of(&dataset, &file)
        );
        assert!(!task(json!({})).is_order_of(&dataset, &file));
    }

    #[test]
    fn ends_are_told_apart() {
        for (status, outcome) in [
            ("Finished_nok", TaskOutcome::Failed),
            ("FINISHED NOK", TaskOutcome::Failed),
            ("Rejected", TaskOutcome::Failed),
            ("Cancelled", TaskOutcome::Cancelled),
            ("In_progress", TaskOutcome::Open),
            ("Brand_new", TaskOutcome::Open),
        ] {
            assert_eq!(task(json!({"Status": status})).outcome(), outcome, "{status}");
        }
        let cancelled = task(json!({"Status": "Cancelled", "DownloadURL": "https://h/1.zip"}));
        assert_eq!(cancelled.outcome(), TaskOutcome::Cancelled);
        assert_eq!(task(json!({"Status": "Brand_new"})).status.as_str(), "Brand_new");
    }
}

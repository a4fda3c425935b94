//! Which of the user's tasks can serve a product, so that nothing is ordered twice: a pure choice.

use std::time::Duration;

use jiff::Timestamp;

use crate::clms::{DatasetUid, FileId, Task, TaskId, TaskOutcome, TaskStatus};

/// An open task without a job at the packer after this time never gets one.
const STUCK: Duration = Duration::from_secs(3600);

/// What is wanted and what may be trusted.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// Dataset of the product.
    pub dataset: &'a DatasetUid,
    /// File of the product.
    pub file: &'a FileId,
    /// Tasks known to be useless.
    pub burned: &'a [TaskId],
    /// Age up to which a finished task's link is trusted (the API never says that it expired).
    pub link_trust: Duration,
    /// The present time.
    pub now: Timestamp,
}

/// True when the task brings exactly this product and nothing else.
///
/// A task of several packages would need all of them unpacked to find ours, so it is left alone.
pub fn is_for(task: &Task, dataset: &DatasetUid, file: &FileId) -> bool {
    matches!(task.datasets.as_slice(), [only]
        if only.file.as_ref().is_some_and(|id| id.is(file)) && only.dataset.as_ref().is_none_or(|uid| uid.is(dataset)))
}

/// True when the task names another product: ours would not be all that it brings. One that does not say what it is for
/// contradicts nobody who knows its id.
pub fn is_for_another(task: &Task, dataset: &DatasetUid, file: &FileId) -> bool {
    task.datasets.iter().any(|part| {
        part.file.as_ref().is_some_and(|id| !id.is(file))
            || part.dataset.as_ref().is_some_and(|uid| !uid.is(dataset))
    })
}

/// The task to adopt: the freshest finished one with a trusted link, else the oldest that is still open, else a finished one
/// of unknown age.
pub fn choose(tasks: &[(TaskId, Task)], wanted: &Wanted<'_>) -> Option<TaskId> {
    let ours = || {
        tasks
            .iter()
            .filter(|(id, task)| is_for(task, wanted.dataset, wanted.file) && !wanted.burned.contains(id))
    };
    let finished = || ours().filter(|(_, task)| matches!(task.outcome(), TaskOutcome::Finished { .. }));
    // the link is younger than the order: where only its date is known, it counts
    let ended = |task: &Task| task.finalized.or(task.registered);
    let fresh = finished()
        .filter_map(|(id, task)| Some((ended(task)?, id)))
        .filter(|(finalized, _)| age(*finalized, wanted.now) <= wanted.link_trust)
        .max();
    if let Some((_, id)) = fresh {
        return Some(id.clone());
    }
    let open = ours()
        .filter(|(_, task)| task.outcome() == TaskOutcome::Open)
        // refused by the packer and queued for good (CLMS-API 8.3): it got no job there
        .filter(|(_, task)| {
            task.status == TaskStatus::InProgress
                || task.fme_task_id.is_some()
                || task.registered.is_none_or(|then| age(then, wanted.now) < STUCK)
        })
        .min_by_key(|(id, task)| (task.registered, id));
    // a look at its link costs less than an order
    let undated = || finished().filter(|(_, task)| ended(task).is_none()).max_by_key(|(id, _)| id);
    open.or_else(undated).map(|(id, _)| id.clone())
}

/// Two open tasks that are the same: the reason for the service's DUPLICATED answer to everything.
pub fn twins(tasks: &[(TaskId, Task)]) -> Vec<(TaskId, TaskId)> {
    let open: Vec<_> = tasks.iter().filter(|(_, task)| task.outcome() == TaskOutcome::Open).collect();
    let mut pairs = Vec::new();
    for (index, (id, task)) in open.iter().enumerate() {
        for (other_id, other) in &open[index + 1..] {
            let same = !task.datasets.is_empty()
                && task
                    .datasets
                    .iter()
                    .zip(&other.datasets)
                    .all(|(a, b)| a.file.is_some() && a.file == b.file);
            if same && task.datasets.len() == other.datasets.len() {
                pairs.push((id.clone(), other_id.clone()));
            }
        }
    }
    pairs
}

/// How long ago `then` was; zero when the server's clock is ahead.
fn age(then: Timestamp, now: Timestamp) -> Duration {
    Duration::try_from(now.duration_since(then)).unwrap_or_default()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    const FILE: &str = "e5cdc7fa-428c-5b49-85a5-d2aaaa828c50";
    const DATASET: &str = "60aaab78b96e59968ca47ffc97003ec9";

    fn task(id: &str, fields: Value) -> (TaskId, Task) {
        let mut task = json!({"Datasets": [{"DatasetID": DATASET, "FileID": FILE}],
            "RegistrationDateTime": "2026-11-22T09:00:00+00:00", "FMETaskId": 7});
        task.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        (TaskId::parse(id).unwrap(), Task::from_json(&task).unwrap())
    }

    fn finished(id: &str, at: &str) -> (TaskId, Task) {
        task(
            id,
            json!({"Status": "Finished_ok", "DownloadURL": "http://127.0.0.1/1.zip", "FinalizationDateTime": at}),
        )
    }

    fn chosen(tasks: &[(TaskId, Task)], burned: &[&str]) -> Option<String> {
        let burned: Vec<_> = burned.iter().map(|id| TaskId::parse(id).unwrap()).collect();
        choose(
            tasks,
            &Wanted {
                dataset: &DatasetUid::parse(DATASET).unwrap(),
                file: &FileId::parse(FILE).unwrap(),
                burned: &burned,
                link_trust: Duration::from_secs(24 * 3600),
                now: "2026-11-22T12:00:00Z".parse().unwrap(),
            },
        )
        .map(|id| id.to_string())
    }

    #[test]
    fn finished_and_fresh_goes_before_open_and_open_before_nothing() {
        let tasks = [
            finished("1", "2026-11-20T12:00:00+00:00"),
            task("2", json!({"Status": "In_progress"})),
            finished("3", "2026-11-22T09:00:00+00:00"),
            finished("4", "2026-11-22T08:00:00"),
            task("5", json!({"Status": "Cancelled"})),
        ];
        assert_eq!(chosen(&tasks, &[]).as_deref(), Some("3"));
        assert_eq!(chosen(&tasks, &["3"]).as_deref(), Some("4"));
        assert_eq!(chosen(&tasks, &["3", "4"]).as_deref(), Some("2"));
        assert_eq!(chosen(&tasks, &["2", "3", "4"]), None);
    }

    #[test]
    fn a_queued_task_with_a_link_is_finished() {
        let (id, task) = task(
            "9",
            json!({"Status": "Queued", "DownloadURL": "http://127.0.0.1/1.zip",
                "FinalizationDateTime": "2026-11-22T11:00:00+00:00"}),
        );
        assert_eq!(chosen(&[(id, task)], &[]).as_deref(), Some("9"));
    }

    #[test]
    fn a_finished_task_without_its_end_is_as_old_as_its_order() {
        let (id, task) = task("9", json!({"Status": "Finished_ok", "DownloadURL": "http://127.0.0.1/1.zip"}));
        assert_eq!(chosen(&[(id, task)], &[]).as_deref(), Some("9"));
        let (id, task) = self::task(
            "9",
            json!({"Status": "Finished_ok", "DownloadURL": "http://127.0.0.1/1.zip",
                "RegistrationDateTime": "2026-11-20T09:00:00", "FinalizationDateTime": null}),
        );
        assert_eq!(chosen(&[(id, task)], &[]), None);
    }

    #[test]
    fn tasks_of_other_or_several_products_are_left_alone() {
        let other =
            task("1", json!({"Status": "Queued", "Datasets": [{"DatasetID": DATASET, "FileID": "other"}]}));
        let several = task(
            "2",
            json!({"Status": "Queued", "Datasets": [{"DatasetID": DATASET, "FileID": FILE},
                {"DatasetID": DATASET, "FileID": "other"}]}),
        );
        let cut_out = task("3", json!({"Status": "Queued", "Datasets": {"DatasetID": DATASET}}));
        assert_eq!(chosen(&[other, several, cut_out], &[]), None);
    }

    #[test]
    fn a_task_is_for_another_product_only_where_it_says_so() {
        for (datasets, other) in [
            (json!([]), false),
            (json!(null), false),
            (json!([{"DatasetID": DATASET, "FileID": FILE}]), false),
            (json!([{"DatasetID": DATASET, "FileID": null}]), false),
            (json!([{"DatasetID": DATASET.to_uppercase()}]), false),
            (json!({"0": {"FileID": FILE}}), false),
            (json!([{"DatasetID": DATASET, "FileID": "other"}]), true),
            (json!({"0": {"FileID": "other"}}), true),
            (json!([{"DatasetID": "other"}]), true),
            (
                json!([{"DatasetID": DATASET, "FileID": FILE}, {"DatasetID": DATASET, "FileID": "other"}]),
                true,
            ),
        ] {
            let (_, task) = task("1", json!({"Datasets": datasets}));
            let (dataset, file) = (DatasetUid::parse(DATASET).unwrap(), FileId::parse(FILE).unwrap());
            assert_eq!(is_for_another(&task, &dataset, &file), other, "{datasets}");
        }
    }

    #[test]
    fn a_task_that_the_packer_never_took_is_not_waited_for() {
        let old = task("1", json!({"Status": "Queued", "FMETaskId": null}));
        let fresh = task(
            "2",
            json!({"Status": "Queued", "FMETaskId": null, "RegistrationDateTime": "2026-11-22T11:59:00Z"}),
        );
        assert_eq!(chosen(std::slice::from_ref(&old), &[]), None);
        assert_eq!(chosen(&[old, fresh], &[]).as_deref(), Some("2"));
    }

    #[test]
    fn a_task_in_progress_is_with_the_packer_whatever_number_it_has() {
        for number in [json!(null), json!(0), json!("job-7")] {
            let (id, task) = task("1", json!({"Status": "In_progress", "FMETaskId": number}));
            assert_eq!(chosen(&[(id, task)], &[]).as_deref(), Some("1"), "{number}");
        }
    }

    #[test]
    fn a_finished_task_of_unknown_age_is_better_than_an_order() {
        let link = "http://127.0.0.1/1.zip";
        let undated = task(
            "1",
            json!({"Status": "Finished_ok", "DownloadURL": link, "RegistrationDateTime": "yesterday"}),
        );
        let open = task("2", json!({"Status": "In_progress"}));
        assert_eq!(chosen(std::slice::from_ref(&undated), &[]).as_deref(), Some("1"));
        assert_eq!(chosen(&[undated.clone(), open], &[]).as_deref(), Some("2"));
        assert_eq!(chosen(&[undated], &["1"]), None);
    }

    #[test]
    fn twins_are_named() {
        let tasks = [
            task("1", json!({"Status": "Queued"})),
            finished("2", "2026-11-22T09:00:00+00:00"),
            task("3", json!({"Status": "In_progress"})),
        ];
        let pairs = twins(&tasks);
        assert_eq!(pairs, [(TaskId::parse("1").unwrap(), TaskId::parse("3").unwrap())]);
    }
}

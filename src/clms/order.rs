//! The answer to `@datarequest_post`.

use serde_json::{Value, json};

use super::ids::{DatasetUid, FileId, TaskId};
use super::wire;

/// Text of the 400 answer to a duplicate (rule 30 of CLMS-API 3.1); the rest of the sentence may change.
const DUPLICATE_WORDS: [&str; 2] = ["the same thing", "twice"];
/// Text of the 500 answer when the packer refused every task (rule 31).
const ALL_FAILED_WORDS: &str = "all requests failed";

/// What became of an order that the service answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OrderOutcome {
    /// Taken; this is its task. The service races with itself: reconcile with [`tasks`](super::Client::tasks).
    Accepted(TaskId),
    /// Answered 201 without a task id. The task, if there is one, shows up among the tasks.
    AcceptedWithoutId,
    /// The packer refused it. Its task stays `Queued` for good and should be cancelled.
    Refused {
        /// The task left behind, when the service names it.
        task: Option<TaskId>,
        /// The service's words.
        msg: String,
    },
    /// Two open tasks of the user are the same (not necessarily this order): cancel one of them.
    Duplicate,
}

/// The body of an order of one pre-packaged file.
pub(super) fn order_body(dataset: &DatasetUid, file: &FileId) -> Value {
    json!({"Datasets": [{"DatasetID": dataset, "FileID": file}]})
}

/// Reads the answer; `None` when status and body together are none of the four outcomes.
pub(super) fn order_outcome(status: u16, body: &Value) -> Option<OrderOutcome> {
    let msg = body.get("msg").and_then(Value::as_str).unwrap_or_default();
    match status {
        200..=299 => {
            let first = |key: &str| {
                let entries = match wire::field(body.as_object()?, key)? {
                    Value::Array(entries) => entries.iter().collect(),
                    single => vec![single],
                };
                let id = |entry: &Value| {
                    let named = entry.as_object().and_then(|fields| wire::field(fields, "TaskID"));
                    TaskId::from_json(named.unwrap_or(entry))
                };
                entries.into_iter().find_map(id)
            };
            // Without the key the answer is not the service's: the order's fate is open.
            wire::field(body.as_object()?, "TaskIds")?;
            Some(match (first("TaskIds"), first("ErrorTaskIds")) {
                (Some(task), _) => OrderOutcome::Accepted(task),
                (None, Some(task)) => {
                    OrderOutcome::Refused { task: Some(task), msg: "the packer refused the task".to_owned() }
                }
                (None, None) => OrderOutcome::AcceptedWithoutId,
            })
        }
        400 if DUPLICATE_WORDS.iter().all(|words| msg.contains(words)) => Some(OrderOutcome::Duplicate),
        500 if msg.contains(ALL_FAILED_WORDS) => {
            Some(OrderOutcome::Refused { task: None, msg: msg.to_owned() })
        }
        _ => None,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::clms::wire::tests::any_json;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn no_json_makes_an_outcome_panic(status in 200u16..600, value in any_json()) {
            order_outcome(status, &value);
        }
    }

    #[test]
    fn the_outcomes() {
        let id = |text: &str| TaskId::parse(text).unwrap();
        let cases = [
            (
                201,
                json!({"TaskIds": [{"TaskID": "14909741217"}], "ErrorTaskIds": []}),
                Some(OrderOutcome::Accepted(id("14909741217"))),
            ),
            (201, json!({"TaskIds": [{"TaskID": 7}]}), Some(OrderOutcome::Accepted(id("7")))),
            (201, json!({"TaskIds": ["8"], "ErrorTaskIds": null}), Some(OrderOutcome::Accepted(id("8")))),
            (201, json!({"TaskIds": {"TaskID": "6"}}), Some(OrderOutcome::Accepted(id("6")))),
            (201, json!({"taskIds": [{"taskId": 5}]}), Some(OrderOutcome::Accepted(id("5")))),
            (201, json!({"TaskIds": [], "ErrorTaskIds": []}), Some(OrderOutcome::AcceptedWithoutId)),
            (
                201,
                json!({"TaskIds": [], "ErrorTaskIds": [{"TaskID": "9"}]}),
                Some(OrderOutcome::Refused {
                    task: Some(id("9")),
                    msg: "the packer refused the task".into(),
                }),
            ),
            (
                500,
                json!({"status": "error", "msg": "Error, all requests failed"}),
                Some(OrderOutcome::Refused { task: None, msg: "Error, all requests failed".into() }),
            ),
            (
                400,
                json!({"msg": "You have requested to download the same thing at least twice. Please check."}),
                Some(OrderOutcome::Duplicate),
            ),
            (400, json!({"msg": "Error, the FileID is not valid"}), None),
            (500, json!({"message": "boom", "type": "TypeError"}), None),
            (200, json!({}), None),
        ];
        for (status, body, outcome) in cases {
            assert_eq!(order_outcome(status, &body), outcome, "{body}");
        }
    }

    #[test]
    fn the_body_names_dataset_and_file() {
        let body = order_body(&DatasetUid::parse("d").unwrap(), &FileId::parse("f").unwrap());
        assert_eq!(body, json!({"Datasets": [{"DatasetID": "d", "FileID": "f"}]}));
    }
}

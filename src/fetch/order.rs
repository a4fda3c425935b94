//! Gets a task for a product: adopts one of ours, else orders, and makes sure that no order is lost or made twice.

use std::time::Duration;

use jiff::Timestamp;

use crate::clms::{ClmsError, OrderOutcome, Task, TaskId, TaskOutcome};
use crate::tally::Tally;

use super::adopt::{Wanted, choose, is_for, twins};
use super::counters;
use super::failure::{Failure, FailureKind};
use super::job::{Event, Job};
use super::patience::Patience;
use super::service::Service;

/// Orders that may be sent for one step when the service answers nothing useful.
const ORDER_ATTEMPTS: u32 = 3;
/// Unusable answers to searches in a row (a web page, broken JSON) after which there is no order: a slip of a proxy passes.
const NONSENSE: u32 = 4;
/// The same for refusals of tokens that the service has just given.
const REFUSALS: u32 = 6;

/// Performs [`Step::Order`](super::job::Step::Order). The caller sees to it that only one runs at a time per account.
///
/// However it ends, dropped or not, `job` says whether an order may be under way (`sent`): the next attempt looks for it.
/// `save` makes that durable before an order leaves: a crash right after it is then reconciled, not repeated.
pub async fn order(
    service: &dyn Service,
    job: &mut Job,
    link_trust: Duration,
    patience: Patience,
    orders: &Tally<counters::OrderOutcome>,
    save: impl Fn(&Job) -> Result<(), Failure> + Send + Sync,
) -> Event {
    match try_order(service, job, link_trust, &patience, orders, save).await {
        Ok(event) => event,
        Err(failure) => Event::Failed(failure),
    }
}

async fn try_order(
    service: &dyn Service,
    job: &mut Job,
    link_trust: Duration,
    patience: &Patience,
    orders: &Tally<counters::OrderOutcome>,
    save: impl Fn(&Job) -> Result<(), Failure> + Send + Sync,
) -> Result<Event, Failure> {
    if job.replaces.is_some() && job.sent.is_none() {
        burn_finished(service, job).await?;
    }
    // an order of the last attempt may still be on its way into the service's books
    let age = job.sent.map(|sent| Duration::from_millis(super::now().saturating_sub(sent)));
    let wait = age.map_or(Duration::ZERO, |age| patience.reconcile.saturating_sub(age));
    if let Some(task) = look_for(service, job, link_trust, patience, wait).await? {
        orders.one(counters::OrderOutcome::Adopted);
        tracing::info!(path = job.path, data_id = %job.data_id(), task_id = %task, "adopting a task of this account");
        return Ok(Event::Ordered(task));
    }
    let mut last = Failure::new(FailureKind::Service, String::new());
    let shows_none = |reason: String| {
        let message = format!("the order was sent, and the service shows no task: {reason}; try again later");
        Failure::new(FailureKind::Service, message)
    };
    for attempt in 1..=ORDER_ATTEMPTS {
        let sent = Some(super::now());
        save(&Job { sent, ..job.clone() })?;
        job.sent = sent;
        let outcome = service.order(&job.dataset, &job.file).await;
        orders.one(counted(&outcome));
        tracing::debug!(path = job.path, data_id = %job.data_id(), attempt, ?outcome, "order sent");
        // the answer may be worth nothing while the order stands: look before sending another
        let (stands, failed) = match outcome {
            Ok(OrderOutcome::Accepted(task)) => return Ok(Event::Ordered(task)),
            Ok(OrderOutcome::Refused { task, msg }) => {
                let task = withdraw(service, job, task).await;
                let message = format!("the service refused the order: {msg}; try again later");
                return Ok(Event::Refused { task, failure: Failure::new(FailureKind::Service, message) });
            }
            Ok(OrderOutcome::Duplicate) => {
                job.sent = None;
                return duplicate(service, job, link_trust).await.map(Event::Ordered);
            }
            Ok(OrderOutcome::AcceptedWithoutId) => {
                (true, shows_none("it answers without a task id".to_owned()))
            }
            Err(ClmsError::UnknownOutcome { reason, answered }) => (answered, shows_none(reason)),
            // nobody has looked at the order; whether a token is good again shows in the search
            Err(error @ ClmsError::TokenRefused { .. }) => {
                job.sent = None;
                (false, failure(&error))
            }
            Err(error) => {
                job.sent = None;
                return Err(failure(&error));
            }
        };
        let wait = job.sent.map_or(Duration::ZERO, |_| patience.reconcile);
        if let Some(task) = look_for(service, job, link_trust, patience, wait).await? {
            return Ok(Event::Ordered(task));
        }
        last = failed;
        // the service has said yes: what it does not show yet is looked for again by the next attempt
        if stands {
            break;
        }
        job.sent = None;
    }
    Err(last)
}

/// What metrics call the answer to an order.
fn counted(outcome: &Result<OrderOutcome, ClmsError>) -> counters::OrderOutcome {
    match outcome {
        Ok(OrderOutcome::Accepted(_)) => counters::OrderOutcome::Accepted,
        Ok(OrderOutcome::Refused { .. }) => counters::OrderOutcome::Refused,
        Ok(OrderOutcome::Duplicate) => counters::OrderOutcome::Duplicate,
        Ok(OrderOutcome::AcceptedWithoutId) | Err(ClmsError::UnknownOutcome { .. }) => {
            counters::OrderOutcome::Unknown
        }
        Err(ClmsError::Refused { .. }) => counters::OrderOutcome::Refused,
        Err(_) => counters::OrderOutcome::Failed,
    }
}

/// Searches the account's tasks for ours, at once and then again and again for as long as `wait`. Until then a service that
/// is away is borne: an order may be under way.
async fn look_for(
    service: &dyn Service,
    job: &Job,
    link_trust: Duration,
    patience: &Patience,
    wait: Duration,
) -> Result<Option<TaskId>, Failure> {
    let began = tokio::time::Instant::now();
    let mut pause = patience.search_pause;
    let mut nonsense = 0;
    loop {
        let answer = service.tasks().await;
        let left = wait.saturating_sub(began.elapsed());
        match answer {
            Ok(tasks) => {
                nonsense = 0;
                let found = adoptable(&tasks, job, link_trust);
                if found.is_some() || left.is_zero() {
                    return Ok(found);
                }
                tokio::time::sleep(pause.min(left)).await;
            }
            Err(error) if error.is_transient() && error.retry_after().unwrap_or_default() < left => {
                let asked = error.retry_after().unwrap_or_default();
                tokio::time::sleep(pause.min(left).max(asked)).await;
            }
            Err(error) => {
                nonsense += 1;
                let borne = match error {
                    // a firewall's or a half-started server's word, not the service's
                    ClmsError::BadAnswer { .. }
                    | ClmsError::Refused { status: 403 | 404 | 408 | 409 | 425, .. } => NONSENSE,
                    ClmsError::TokenRefused { .. } => REFUSALS,
                    _ => 0,
                };
                if nonsense >= borne {
                    return Err(failure(&error));
                }
                tokio::time::sleep(pause).await;
            }
        }
        pause *= 2;
    }
}

/// A package that was made before somebody asked for a newer one is no newer one.
async fn burn_finished(service: &dyn Service, job: &mut Job) -> Result<(), Failure> {
    let tasks = service.tasks().await.map_err(|error| failure(&error))?;
    let old = tasks.into_iter().filter(|(_, task)| {
        is_for(task, &job.dataset, &job.file) && matches!(task.outcome(), TaskOutcome::Finished { .. })
    });
    let old: Vec<TaskId> = old.map(|(id, _)| id).filter(|id| !job.burned.contains(id)).collect();
    job.burned.extend(old);
    Ok(())
}

fn adoptable(tasks: &[(TaskId, Task)], job: &Job, link_trust: Duration) -> Option<TaskId> {
    let wanted = Wanted {
        dataset: &job.dataset,
        file: &job.file,
        burned: &job.burned,
        link_trust,
        now: Timestamp::now(),
    };
    choose(tasks, &wanted)
}

/// A refused order leaves a task that stays queued for good and poisons later orders: cancel it.
async fn withdraw(service: &dyn Service, job: &Job, named: Option<TaskId>) -> Option<TaskId> {
    let task = match named {
        Some(task) => Some(task),
        None => service.tasks().await.ok().and_then(|tasks| {
            tasks
                .into_iter()
                .filter(|(_, task)| is_for(task, &job.dataset, &job.file))
                .filter(|(_, task)| task.fme_task_id.is_none() && task.download_urls.is_empty())
                .filter(|(_, task)| task.outcome() == TaskOutcome::Open)
                .max_by_key(|(_, task)| task.registered)
                .map(|(id, _)| id)
        }),
    };
    if let Some(task) = &task
        && let Err(error) = service.cancel(task).await
    {
        tracing::warn!(%task, %error, "a refused task could not be withdrawn");
    }
    task
}

/// The service refuses every order while two of the user's open tasks are the same: wait for ours if it is one
/// of them, else say which.
async fn duplicate(service: &dyn Service, job: &Job, link_trust: Duration) -> Result<TaskId, Failure> {
    let tasks = service.tasks().await.map_err(|error| failure(&error))?;
    if let Some(task) = adoptable(&tasks, job, link_trust) {
        return Ok(task);
    }
    let message = match twins(&tasks).first() {
        Some((one, other)) => format!(
            "the service refuses every order while two identical tasks are open ({one} and {other}): \
             cancel one of them with 'clmsfs cancel --task {other}' or on land.copernicus.eu"
        ),
        None => "the service says that this was ordered already, but shows no such task; \
                 look at your downloads on land.copernicus.eu"
            .to_owned(),
    };
    Err(Failure::new(FailureKind::Service, message))
}

/// The failure that an error of the service means for a fetch.
pub fn failure(error: &ClmsError) -> Failure {
    let kind = match error {
        ClmsError::NoCredentials
        | ClmsError::CredentialsRefused { .. }
        | ClmsError::TokenRefused { .. }
        | ClmsError::KeyFile { .. } => FailureKind::Credentials,
        ClmsError::Unreachable { .. } | ClmsError::RateLimited { .. } => FailureKind::Offline,
        _ => FailureKind::Service,
    };
    let asked = error.retry_after().unwrap_or_default();
    let asked = u64::try_from(asked.as_millis()).unwrap_or(u64::MAX);
    Failure { asked, ..Failure::new(kind, error.to_string()) }
}

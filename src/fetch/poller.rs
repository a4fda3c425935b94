//! One poller for all tasks: short first, then growing, jittered, and quiet when the service asks for it.
//!
//! Few tasks are asked for one by one; many with one `@datarequest_search`. A service that cannot be reached
//! makes everybody wait longer, it does not end a wait: the order stands and will be found again.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::clms::{ClmsError, Task, TaskId};

use super::service::Service;

/// From this many open tasks on, one search is cheaper than single questions.
const SEARCH_FROM: usize = 3;

/// Longest `Retry-After` that is obeyed.
const LONGEST_WAIT: Duration = Duration::from_secs(3600);

/// What the poller has heard of a task.
#[derive(Debug, Clone)]
pub enum News {
    /// The task as it is now.
    Task(Box<Task>),
    /// The service does not know it.
    Vanished,
    /// No answer this time; the question will be repeated.
    Delayed(ClmsError),
    /// The service refuses us; asking again will not help.
    Refused(ClmsError),
}

/// How often to ask.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// Shortest interval.
    pub min: Duration,
    /// Longest interval.
    pub max: Duration,
}

impl Pace {
    /// Interval for a task that has been waited for since `age`: an eighth of the age, so that a small product
    /// is seen within two seconds and a queue of hours costs less than a request a minute.
    pub fn interval(&self, age: Duration) -> Duration {
        (age / 8).clamp(self.min, self.max.max(self.min))
    }
}

/// Handle to the poller; it ends when all handles are gone.
#[derive(Debug, Clone)]
pub struct Poller {
    watch: mpsc::UnboundedSender<Watch>,
}

#[derive(Debug)]
struct Watch {
    task: TaskId,
    news: mpsc::UnboundedSender<News>,
}

impl Poller {
    /// Starts the poller.
    pub fn start(service: Arc<dyn Service>, pace: Pace) -> Self {
        let (watch, inbox) = mpsc::unbounded_channel();
        tokio::spawn(run(service, pace, inbox));
        Self { watch }
    }

    /// Follows a task until the returned receiver is dropped.
    pub fn follow(&self, task: &TaskId) -> mpsc::UnboundedReceiver<News> {
        let (news, receiver) = mpsc::unbounded_channel();
        // a poller that is gone drops the sender, which ends the receiver: the caller sees it
        let _ = self.watch.send(Watch { task: task.clone(), news });
        receiver
    }
}

struct Followed {
    since: Instant,
    due: Instant,
    news: Vec<mpsc::UnboundedSender<News>>,
}

impl Followed {
    fn tell(&mut self, news: &News) {
        self.news.retain(|listener| listener.send(news.clone()).is_ok());
    }
}

async fn run(service: Arc<dyn Service>, pace: Pace, mut inbox: mpsc::UnboundedReceiver<Watch>) {
    let mut followed: HashMap<TaskId, Followed> = HashMap::new();
    let mut quiet_until = Instant::now();
    let mut failures: u32 = 0;
    loop {
        for follow in followed.values_mut() {
            follow.news.retain(|listener| !listener.is_closed());
        }
        followed.retain(|_, follow| !follow.news.is_empty());
        let due = followed.values().map(|follow| follow.due).min().map(|due| due.max(quiet_until));
        let watch = match due {
            None => inbox.recv().await.map(Some),
            Some(due) => tokio::select! {
                watch = inbox.recv() => watch.map(Some),
                () = tokio::time::sleep_until(due) => Some(None),
            },
        };
        match watch {
            None => return,
            Some(Some(watch)) => {
                let now = Instant::now();
                let entry =
                    followed.entry(watch.task).or_insert(Followed { since: now, due: now, news: Vec::new() });
                entry.due = now;
                entry.news.push(watch.news);
            }
            Some(None) => match ask(service.as_ref(), &mut followed, pace).await {
                Ok(()) => failures = 0,
                Err(wait) => {
                    failures = failures.saturating_add(1);
                    let growing = pace.min.saturating_mul(1 << failures.min(10)).min(pace.max.max(pace.min));
                    let wait = wait.unwrap_or_default().min(LONGEST_WAIT);
                    quiet_until = Instant::now() + wait.max(growing);
                }
            },
        }
    }
}

/// Asks for what is due and spreads the answers. `Err` asks everybody to be quiet, for that long if it is known.
async fn ask(
    service: &dyn Service,
    followed: &mut HashMap<TaskId, Followed>,
    pace: Pace,
) -> Result<(), Option<Duration>> {
    let now = Instant::now();
    let mut questions: Vec<TaskId> =
        followed.iter().filter(|(_, follow)| follow.due <= now).map(|(task, _)| task.clone()).collect();
    if followed.len() >= SEARCH_FROM {
        let tasks = match service.tasks().await {
            Ok(tasks) => tasks,
            Err(error) => return delay(followed, &error),
        };
        for (id, task) in tasks {
            if let Some(follow) = followed.get_mut(&id) {
                questions.retain(|question| *question != id);
                follow.tell(&News::Task(Box::new(task)));
                follow.due = Instant::now() + jittered(pace.interval(follow.since.elapsed()));
            }
        }
    }
    // one by one: few tasks, or those that the search did not show
    for id in questions {
        let answer = service.task(&id).await;
        let Some(follow) = followed.get_mut(&id) else { continue };
        match answer {
            Ok(Some(task)) => follow.tell(&News::Task(Box::new(task))),
            Ok(None) => follow.tell(&News::Vanished),
            // about this task alone: the others are none the worse
            Err(error @ (ClmsError::Refused { .. } | ClmsError::BadAnswer { .. })) => {
                follow.tell(&News::Delayed(error));
            }
            Err(error) => return delay(followed, &error),
        }
        follow.due = Instant::now() + jittered(pace.interval(follow.since.elapsed()));
    }
    Ok(())
}

fn delay(followed: &mut HashMap<TaskId, Followed>, error: &ClmsError) -> Result<(), Option<Duration>> {
    let wait = match error {
        ClmsError::RateLimited { retry_after } => *retry_after,
        _ => None,
    };
    let refused = matches!(
        error,
        ClmsError::CredentialsRefused { .. } | ClmsError::NoCredentials | ClmsError::KeyFile { .. }
    );
    let news = if refused { News::Refused(error.clone()) } else { News::Delayed(error.clone()) };
    for follow in followed.values_mut() {
        follow.tell(&news);
    }
    Err(wait)
}

/// ±10 %, so that many mounts do not ask in step.
fn jittered(interval: Duration) -> Duration {
    interval.mul_f64(rand::random_range(0.9..=1.1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_grows_from_half_a_second_to_a_minute() {
        let pace = Pace { min: Duration::from_millis(500), max: Duration::from_secs(75) };
        assert_eq!(pace.interval(Duration::ZERO), Duration::from_millis(500));
        assert!(pace.interval(Duration::from_secs(15)) < Duration::from_secs(2));
        assert_eq!(pace.interval(Duration::from_secs(7200)), Duration::from_secs(75));
    }
}

//! One poller for all tasks: short first, then growing, jittered, and quiet when the service asks for it.
//!
//! Few young tasks are asked for one by one; many, or several old ones, with one `@datarequest_search`, so that a long wait
//! costs less than a request a minute however many tasks wait. No question waits for the answer to another. A service that cannot be reached makes everybody wait
//! longer, it does not end a wait: the order stands and will be found again.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use crate::clms::{ClmsError, Task, TaskId};

use super::service::Service;

/// From this many questions on, one search is cheaper than single ones.
const SEARCH_FROM: usize = 3;
/// The same for tasks that nobody expects to end at any moment.
const SEARCH_FROM_OLD: usize = 2;
/// A small product is ready within the first minutes: so long the pause between two questions is
const EAGER: Duration = Duration::from_secs(180);
/// at most this.
const EAGER_PAUSE: Duration = Duration::from_secs(1);
/// A search that takes longer than this does not hold up the questions for single tasks.
const SLOW: Duration = Duration::from_secs(10);
/// Longest `Retry-After` that is obeyed.
const LONGEST_WAIT: Duration = Duration::from_secs(3600);
/// Shortest pause after a service has limited the rate; it grows with every time, and shrinks again while all is well.
const LIMITED_PAUSE: Duration = Duration::from_secs(2);
/// How fast it shrinks with every answer.
const RELIEF: f64 = 0.95;

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
    /// Interval for a task that has been waited for since `age`: a second at most in the first minutes, so that a small
    /// product is readable two seconds after it is finished; then it grows by an eighth of the age, so that a queue of
    /// hours costs less than a request a minute.
    pub fn interval(&self, age: Duration) -> Duration {
        let eager = (age / 16).min(EAGER_PAUSE);
        let patient = age.saturating_sub(EAGER) / 8;
        (eager + patient).clamp(self.min, self.longest())
    }

    fn longest(&self) -> Duration {
        self.max.max(self.min)
    }

    /// Pause after so many failures in a row.
    fn after(&self, failures: u32) -> Duration {
        self.min.saturating_mul(1 << failures.min(10)).min(self.longest().max(LIMITED_PAUSE))
    }
}

/// Handle to the poller; it ends when all handles are gone.
#[derive(Debug, Clone)]
pub struct Poller {
    watch: mpsc::UnboundedSender<Watch>,
    pace: Arc<watch::Sender<Pace>>,
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
        let (pace, paces) = watch::channel(pace);
        tokio::spawn(run(service, paces, inbox));
        Self { watch, pace: Arc::new(pace) }
    }

    /// Asks in another rhythm from now on.
    pub fn set_pace(&self, pace: Pace) {
        self.pace.send_replace(pace);
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
    /// When the question was sent that is not answered yet.
    asked: Option<Instant>,
    /// Unusable answers about this task in a row.
    failures: u32,
    news: Vec<mpsc::UnboundedSender<News>>,
}

impl Followed {
    fn tell(&mut self, news: &News) {
        self.news.retain(|listener| listener.send(news.clone()).is_ok());
    }

    fn is_old(&self) -> bool {
        self.since.elapsed() > EAGER
    }

    /// Notes that the question was answered, and when the next one is due.
    fn answered(&mut self, pace: &Pace, floor: Duration) {
        self.failures = 0;
        self.due = Instant::now() + jittered(pace.interval(self.since.elapsed()).max(floor));
    }

    /// Notes that the question was answered with nothing useful, which is about this task alone.
    fn failed(&mut self, pace: &Pace) {
        self.failures = self.failures.saturating_add(1);
        let pause = pace.interval(self.since.elapsed()).max(pace.after(self.failures));
        self.due = Instant::now() + jittered(pause);
    }
}

/// What comes back.
enum Answer {
    /// To the question for one task.
    Task(TaskId, Result<Option<Task>, ClmsError>),
    /// To a search on behalf of these.
    Search(Vec<TaskId>, Result<Vec<(TaskId, Task)>, ClmsError>),
    /// The search for these takes long.
    SearchIsSlow(Vec<TaskId>),
}

struct Run {
    service: Arc<dyn Service>,
    pace: Pace,
    followed: HashMap<TaskId, Followed>,
    /// Questions under way: none of them waits for another one.
    questions: FuturesUnordered<BoxFuture<'static, Answer>>,
    /// Questions for single tasks under way.
    singles: usize,
    searching: bool,
    quiet_until: Instant,
    failures: u32,
    /// When the service last answered something useful.
    last_use: Instant,
    /// Shortest pause that the service seems to bear.
    floor: Duration,
}

async fn run(
    service: Arc<dyn Service>,
    mut paces: watch::Receiver<Pace>,
    mut inbox: mpsc::UnboundedReceiver<Watch>,
) {
    let pace = *paces.borrow_and_update();
    let mut run = Run {
        service,
        pace,
        followed: HashMap::new(),
        questions: FuturesUnordered::new(),
        singles: 0,
        searching: false,
        quiet_until: Instant::now(),
        failures: 0,
        last_use: Instant::now(),
        floor: Duration::ZERO,
    };
    loop {
        for follow in run.followed.values_mut() {
            follow.news.retain(|listener| !listener.is_closed());
        }
        run.followed.retain(|_, follow| !follow.news.is_empty());
        let due = run.next_question();
        tokio::select! {
            watch = inbox.recv() => match watch {
                None => return,
                Some(watch) => run.follow(watch),
            },
            Ok(()) = paces.changed() => run.set_pace(*paces.borrow_and_update()),
            Some(answer) = run.questions.next(), if !run.questions.is_empty() => run.take(answer),
            () = tokio::time::sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => run.ask(),
        }
    }
}

impl Run {
    fn follow(&mut self, watch: Watch) {
        let now = Instant::now();
        let new = || Followed { since: now, due: now, asked: None, failures: 0, news: Vec::new() };
        let entry = self.followed.entry(watch.task).or_insert_with(new);
        entry.due = now;
        entry.news.push(watch.news);
    }

    /// Nothing that is followed waits longer than the new pace wants.
    fn set_pace(&mut self, pace: Pace) {
        self.pace = pace;
        let now = Instant::now();
        for follow in self.followed.values_mut() {
            follow.due = follow.due.min(now + pace.interval(now - follow.since));
        }
    }

    /// When something is to be asked, `None` while nothing is.
    fn next_question(&self) -> Option<Instant> {
        let waiting = self.followed.values().filter(|follow| follow.asked.is_none());
        waiting.map(|follow| follow.due).min().map(|due| due.max(self.quiet_until))
    }

    /// Asks for what is due, without waiting for the answers.
    fn ask(&mut self) {
        let questions = self.due();
        let old = questions.iter().all(|id| self.followed.get(id).is_some_and(Followed::is_old));
        let many = questions.len() >= if old { SEARCH_FROM_OLD } else { SEARCH_FROM };
        if many && !self.searching {
            self.search(questions);
        } else {
            self.ask_singly(questions);
        }
    }

    fn search(&mut self, wanted: Vec<TaskId>) {
        self.searching = true;
        for id in &wanted {
            self.note_asked(id);
        }
        let (service, those) = (Arc::clone(&self.service), wanted.clone());
        self.questions.push(Box::pin(async move { Answer::Search(wanted, service.tasks().await) }));
        self.questions.push(Box::pin(async move {
            tokio::time::sleep(SLOW).await;
            Answer::SearchIsSlow(those)
        }));
    }

    /// Asks for a few, those first that are due longest; the others a little later.
    fn ask_singly(&mut self, mut wanted: Vec<TaskId>) {
        wanted.sort_by_key(|id| self.followed.get(id).map(|follow| follow.due));
        let room = SEARCH_FROM.saturating_sub(self.singles).min(wanted.len());
        for id in wanted.split_off(room) {
            if let Some(follow) = self.followed.get_mut(&id) {
                follow.asked = None;
                follow.due = Instant::now() + jittered(self.pace.after(1));
            }
        }
        for id in wanted {
            self.note_asked(&id);
            self.singles += 1;
            let service = Arc::clone(&self.service);
            self.questions.push(Box::pin(async move {
                let answer = service.task(&id).await;
                Answer::Task(id, answer)
            }));
        }
    }

    fn note_asked(&mut self, id: &TaskId) {
        if let Some(follow) = self.followed.get_mut(id) {
            follow.asked = Some(Instant::now());
        }
    }

    /// Tells what was answered; a failure that is about all makes all wait.
    fn take(&mut self, answer: Answer) {
        match answer {
            Answer::Task(id, answer) => {
                self.singles -= 1;
                self.take_task(&id, answer);
            }
            Answer::Search(wanted, Ok(tasks)) => {
                self.searching = false;
                let left = self.spread(tasks, wanted);
                self.served();
                self.ask_singly(left);
            }
            Answer::Search(wanted, Err(error)) => {
                self.searching = false;
                if is_about_the_search(&error) {
                    // a search that cannot be used says nothing about the tasks: a few are asked for all the same
                    tracing::debug!(%error, "the search of tasks is of no use; asking for single ones");
                    self.ask_singly(wanted);
                } else {
                    self.trouble(&wanted, error);
                }
            }
            Answer::SearchIsSlow(wanted) => {
                let wait = |id: &TaskId| {
                    let asked = self.followed.get(id).and_then(|follow| follow.asked);
                    asked.is_some_and(|asked| asked.elapsed() >= SLOW)
                };
                let left: Vec<_> = wanted.into_iter().filter(wait).collect();
                if self.searching && !left.is_empty() {
                    tracing::debug!("the search of tasks takes long; asking for single ones meanwhile");
                    self.ask_singly(left);
                }
            }
        }
    }

    fn take_task(&mut self, id: &TaskId, answer: Result<Option<Task>, ClmsError>) {
        let Some(follow) = self.followed.get_mut(id) else { return };
        let asked = follow.asked.take();
        match answer {
            Ok(task) => {
                follow.tell(&task.map_or(News::Vanished, |task| News::Task(Box::new(task))));
                follow.answered(&self.pace, self.floor);
                self.served();
            }
            // about this task alone: the others are none the worse
            Err(error @ (ClmsError::Refused { .. } | ClmsError::BadAnswer { .. })) => {
                follow.failed(&self.pace);
                follow.tell(&News::Delayed(error));
                self.served();
            }
            // others were answered meanwhile
            Err(error @ ClmsError::Unreachable { .. }) if asked.is_some_and(|at| at < self.last_use) => {
                follow.failed(&self.pace);
                follow.tell(&News::Delayed(error));
            }
            Err(error) => self.trouble(std::slice::from_ref(id), error),
        }
    }

    /// Notes that the service is there.
    fn served(&mut self) {
        self.last_use = Instant::now();
        self.failures = 0;
        let floor = self.floor.mul_f64(RELIEF);
        self.floor = if floor > self.pace.min { floor } else { Duration::ZERO };
    }

    /// Notes a failure that is about all.
    fn trouble(&mut self, asked: &[TaskId], error: ClmsError) {
        for id in asked {
            if let Some(follow) = self.followed.get_mut(id) {
                follow.asked = None;
            }
        }
        self.failures = self.failures.saturating_add(1);
        if matches!(error, ClmsError::RateLimited { .. }) {
            self.floor = (self.floor * 2).max(LIMITED_PAUSE).min(self.pace.longest());
        }
        let wait = error.retry_after().unwrap_or_default().min(LONGEST_WAIT);
        let pause = wait.max(self.pace.after(self.failures)).max(self.floor);
        self.quiet_until = self.quiet_until.max(Instant::now() + pause);
        self.tell_all(error);
    }

    /// Tells what a search has brought, and gives back what it says nothing of.
    fn spread(&mut self, tasks: Vec<(TaskId, Task)>, mut wanted: Vec<TaskId>) -> Vec<TaskId> {
        for (id, task) in tasks {
            if let Some(follow) = self.followed.get_mut(&id) {
                wanted.retain(|question| *question != id);
                follow.asked = None;
                follow.tell(&News::Task(Box::new(task)));
                follow.answered(&self.pace, self.floor);
            }
        }
        wanted
    }

    /// The tasks to ask for: what is due, and with a young one the other young ones that are soon, with an old one the
    /// other old ones. So they fall into step, and one search answers for all.
    fn due(&self) -> Vec<TaskId> {
        let now = Instant::now();
        let free = || self.followed.iter().filter(|(_, follow)| follow.asked.is_none());
        let is_due = |old: bool| free().any(|(_, follow)| follow.due <= now && follow.is_old() == old);
        let due = [is_due(false), is_due(true)];
        let is_asked = |follow: &Followed| {
            let ahead = match due[usize::from(follow.is_old())] {
                true => self.pace.interval(follow.since.elapsed()) / 2,
                false => Duration::ZERO,
            };
            follow.due <= now + ahead
        };
        let asked = free().filter(|(_, follow)| is_asked(follow));
        asked.map(|(task, _)| task.clone()).collect()
    }

    fn tell_all(&mut self, error: ClmsError) {
        let refused = matches!(
            error,
            ClmsError::CredentialsRefused { .. } | ClmsError::NoCredentials | ClmsError::KeyFile { .. }
        );
        let news = if refused { News::Refused(error) } else { News::Delayed(error) };
        for follow in self.followed.values_mut() {
            follow.tell(&news);
        }
    }
}

/// True for failures that a question for a single task need not share.
fn is_about_the_search(error: &ClmsError) -> bool {
    let is_its_own =
        matches!(error, ClmsError::Server { .. } | ClmsError::Refused { .. } | ClmsError::BadAnswer { .. });
    is_its_own && error.retry_after().is_none()
}

/// ±10 %, so that many mounts do not ask in step.
fn jittered(interval: Duration) -> Duration {
    interval.mul_f64(rand::random_range(0.9..=1.1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_is_short_for_minutes_and_then_grows() {
        let pace = Pace { min: Duration::from_millis(500), max: Duration::from_secs(75) };
        assert_eq!(pace.interval(Duration::ZERO), Duration::from_millis(500));
        for age in 0..=180 {
            assert!(pace.interval(Duration::from_secs(age)) <= Duration::from_secs(1), "{age} s");
        }
        assert!(pace.interval(Duration::from_secs(300)) < Duration::from_secs(20));
        assert_eq!(pace.interval(Duration::from_secs(1200)), Duration::from_secs(75));
        // the user's own limits hold
        let pace = Pace { min: Duration::from_secs(20), max: Duration::from_secs(30) };
        assert_eq!(pace.interval(Duration::ZERO), Duration::from_secs(20));
        assert_eq!(pace.interval(Duration::from_secs(7200)), Duration::from_secs(30));
    }
}

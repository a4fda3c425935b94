//! The service: tasks with lives, scripted answers, and a note of every call.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use jiff::Timestamp;
use serde_json::json;
use tokio::time::Instant;
use url::Url;

use super::Gate;
use crate::clms::{ClmsError, DatasetUid, Download, FileId, OrderOutcome, Task, TaskId};
use crate::fetch::engine::Target;
use crate::fetch::service::Service;

/// What the service says of a task at one moment.
#[derive(Debug, Clone)]
pub(crate) enum Stage {
    Queued,
    Running,
    Done,
    /// Done, with this announced size.
    Sized(u64),
    DoneWithoutLink,
    /// Done; which file it is for is not said.
    DoneWithoutFile,
    QueuedWithLink,
    Nok,
    Rejected,
    Cancelled,
    /// Not known to the service.
    Vanished,
    /// Queued until then, done from then on.
    DoneAt(Instant),
    /// Queued until then, running from then on.
    RunningFrom(Instant),
    /// The question is answered with an error.
    Fails(ClmsError),
    /// The question is not answered for so long, then with this error; searches are.
    Slow(Duration, ClmsError),
}

/// How an order is answered.
#[derive(Debug, Clone)]
pub(crate) enum OrderAnswer {
    Accept,
    /// Accepted, but the answer names another task.
    AcceptAs(TaskId),
    /// The answer is lost; the task may exist all the same.
    Lost {
        registered: bool,
    },
    /// 201 without an id; the task may exist all the same.
    WithoutId {
        registered: bool,
    },
    /// Refused; the task stays behind, named or not.
    Refused {
        named: bool,
    },
    Duplicate,
    Fails(ClmsError),
}

/// How a download is answered.
#[derive(Debug, Clone)]
pub(crate) enum Delivery {
    Whole,
    /// Breaks off after so many bytes of the file.
    BreaksAt(usize),
    /// Ignores ranges, and breaks off after so many bytes.
    WithoutRanges(Option<usize>),
    /// Does not say how long the file is.
    UnknownLength,
    /// Announces more bytes than it sends.
    Short,
    /// Sends more bytes than it announces.
    Long,
    Html,
    Lost,
    /// Lost until then, whole from then on.
    LostUntil(Instant),
    Fails(ClmsError),
}

/// A call of the service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Call {
    Order,
    Search,
    Poll(TaskId),
    Cancel(TaskId),
    Download { url: String, from: u64 },
}

#[derive(Debug)]
struct Record {
    id: TaskId,
    dataset: DatasetUid,
    file: FileId,
    finalized: Timestamp,
    /// The last one stays.
    stages: VecDeque<Stage>,
}

impl Record {
    fn stage(&mut self) -> Stage {
        let stage = match self.stages.len() {
            0 => Stage::Queued,
            1 => self.stages[0].clone(),
            _ => self.stages.pop_front().unwrap(),
        };
        match stage {
            Stage::DoneAt(then) if Instant::now() >= then => Stage::Done,
            Stage::RunningFrom(then) if Instant::now() >= then => Stage::Running,
            Stage::DoneAt(_) | Stage::RunningFrom(_) => Stage::Queued,
            stage => stage,
        }
    }

    fn task(&self, stage: &Stage) -> Task {
        let mut task = json!({
            "Status": match stage {
                Stage::Running => "In_progress",
                Stage::Done | Stage::Sized(_) | Stage::DoneWithoutLink | Stage::DoneWithoutFile => {
                    "Finished_ok"
                }
                Stage::Nok => "Finished_nok",
                Stage::Rejected => "Rejected",
                Stage::Cancelled => "Cancelled",
                _ => "Queued",
            },
            "Datasets": [{"DatasetID": self.dataset, "FileID": self.file}],
            "RegistrationDateTime": Timestamp::now().to_string(),
        });
        if let Stage::DoneWithoutFile = stage {
            task["Datasets"][0]["FileID"] = json!(null);
        }
        if let Stage::Done | Stage::Sized(_) | Stage::DoneWithoutFile | Stage::QueuedWithLink = stage {
            task["DownloadURL"] = json!(format!("http://127.0.0.1/{}.zip", self.id));
            task["FinalizationDateTime"] = json!(self.finalized.to_string());
        }
        if let Stage::Sized(size) = stage {
            task["FileSize"] = json!(size);
        }
        Task::from_json(&task).unwrap()
    }
}

#[derive(Debug)]
pub(crate) struct World {
    tasks: Vec<Record>,
    issued: u64,
    /// What becomes of the tasks that are ordered; the last life is that of all further ones.
    pub(crate) lives: VecDeque<Vec<Stage>>,
    pub(crate) orders: VecDeque<OrderAnswer>,
    /// Answers to the next searches that are errors.
    pub(crate) searches: VecDeque<Option<ClmsError>>,
    /// How long a search takes.
    pub(crate) slow_searches: Duration,
    pub(crate) downloads: VecDeque<Delivery>,
    /// What all further downloads are.
    pub(crate) last_download: Delivery,
    /// How the downloads of these files fail, whatever the script says.
    pub(crate) verdicts: HashMap<FileId, ClmsError>,
    pub(crate) package: Vec<u8>,
    calls: Vec<Call>,
}

/// The service.
#[derive(Debug)]
pub(crate) struct FakeService {
    world: Mutex<World>,
    pub(crate) order_gate: Gate,
    pub(crate) poll_gate: Gate,
    pub(crate) download_gate: Gate,
    /// Passed after the first half of every download.
    pub(crate) half_gate: Gate,
    pub(crate) cancel_gate: Gate,
}

/// Something that starts like a zip.
pub(crate) fn package(bytes: usize) -> Vec<u8> {
    let mut package = b"PK\x03\x04".to_vec();
    package.extend((4..bytes).map(|byte| byte as u8));
    package
}

impl Default for FakeService {
    fn default() -> Self {
        let world = World {
            tasks: Vec::new(),
            issued: 0,
            lives: VecDeque::from([vec![Stage::Queued, Stage::Running, Stage::Done]]),
            orders: VecDeque::new(),
            searches: VecDeque::new(),
            slow_searches: Duration::ZERO,
            downloads: VecDeque::new(),
            last_download: Delivery::Whole,
            verdicts: HashMap::new(),
            package: package(1000),
            calls: Vec::new(),
        };
        Self {
            world: Mutex::new(world),
            order_gate: Gate::default(),
            poll_gate: Gate::default(),
            download_gate: Gate::default(),
            half_gate: Gate::default(),
            cancel_gate: Gate::default(),
        }
    }
}

impl FakeService {
    pub(crate) fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap()
    }

    /// A task of the account that was ordered before.
    pub(crate) fn has_task(&self, target: &Target, stages: &[Stage], finalized: Timestamp) -> TaskId {
        self.world().register(&target.dataset, &target.file, stages.to_vec(), finalized)
    }

    pub(crate) fn calls(&self) -> Vec<Call> {
        self.world().calls.clone()
    }

    fn count(&self, wanted: impl Fn(&Call) -> bool) -> usize {
        self.world().calls.iter().filter(|call| wanted(call)).count()
    }

    pub(crate) fn orders(&self) -> usize {
        self.count(|call| *call == Call::Order)
    }

    pub(crate) fn polls(&self) -> usize {
        self.count(|call| matches!(call, Call::Poll(_)))
    }

    pub(crate) fn searches(&self) -> usize {
        self.count(|call| *call == Call::Search)
    }

    pub(crate) fn cancels(&self) -> Vec<TaskId> {
        let cancelled = |call| match call {
            Call::Cancel(task) => Some(task),
            _ => None,
        };
        self.calls().into_iter().filter_map(cancelled).collect()
    }

    /// Offsets at which downloads began.
    pub(crate) fn downloads(&self) -> Vec<u64> {
        let from = |call| match call {
            Call::Download { from, .. } => Some(from),
            _ => None,
        };
        self.calls().into_iter().filter_map(from).collect()
    }
}

impl World {
    fn register(
        &mut self,
        dataset: &DatasetUid,
        file: &FileId,
        stages: Vec<Stage>,
        finalized: Timestamp,
    ) -> TaskId {
        self.issued += 1;
        let id = TaskId::parse(&(1000 + self.issued).to_string()).unwrap();
        let stages = stages.into();
        let (dataset, file) = (dataset.clone(), file.clone());
        self.tasks.push(Record { id: id.clone(), dataset, file, finalized, stages });
        id
    }

    /// A new task of the account.
    fn ordered(&mut self, dataset: &DatasetUid, file: &FileId) -> TaskId {
        let life = if self.lives.len() > 1 { self.lives.pop_front() } else { self.lives.front().cloned() };
        self.register(dataset, file, life.unwrap_or_default(), Timestamp::now())
    }

    fn order(&mut self, dataset: &DatasetUid, file: &FileId) -> Result<OrderOutcome, ClmsError> {
        match self.orders.pop_front().unwrap_or(OrderAnswer::Accept) {
            OrderAnswer::Accept => Ok(OrderOutcome::Accepted(self.ordered(dataset, file))),
            OrderAnswer::AcceptAs(task) => Ok(OrderOutcome::Accepted(task)),
            OrderAnswer::Lost { registered } => {
                if registered {
                    self.ordered(dataset, file);
                }
                Err(ClmsError::UnknownOutcome { reason: "the answer broke off".to_owned(), answered: false })
            }
            OrderAnswer::WithoutId { registered } => {
                if registered {
                    self.ordered(dataset, file);
                }
                Ok(OrderOutcome::AcceptedWithoutId)
            }
            OrderAnswer::Refused { named } => {
                let task = self.register(dataset, file, vec![Stage::Queued], Timestamp::now());
                Ok(OrderOutcome::Refused {
                    task: named.then_some(task),
                    msg: "all requests failed".to_owned(),
                })
            }
            OrderAnswer::Duplicate => Ok(OrderOutcome::Duplicate),
            OrderAnswer::Fails(error) => Err(error),
        }
    }

    fn status(&mut self, id: &TaskId) -> Result<Option<Task>, ClmsError> {
        let Some(record) = self.tasks.iter_mut().find(|record| record.id == *id) else { return Ok(None) };
        match record.stage() {
            Stage::Vanished => Ok(None),
            Stage::Fails(error) | Stage::Slow(_, error) => Err(error),
            stage => Ok(Some(record.task(&stage))),
        }
    }

    /// How long the next answer about a task takes.
    fn slow(&self, id: &TaskId) -> Duration {
        let record = self.tasks.iter().find(|record| record.id == *id);
        match record.and_then(|record| record.stages.front()) {
            Some(Stage::Slow(time, _)) => *time,
            _ => Duration::ZERO,
        }
    }

    fn list(&mut self) -> Vec<(TaskId, Task)> {
        let shown = self.tasks.iter_mut().map(|record| (record.stage(), record));
        shown
            .filter(|(stage, _)| !matches!(stage, Stage::Vanished))
            .map(|(stage, record)| (record.id.clone(), record.task(&stage)))
            .collect()
    }

    fn deliver(&mut self, url: &Url) -> (Delivery, Vec<u8>) {
        let of_task = self.tasks.iter().find(|task| url.path() == format!("/{}.zip", task.id));
        if let Some(error) = of_task.and_then(|task| self.verdicts.get(&task.file)) {
            return (Delivery::Fails(error.clone()), Vec::new());
        }
        let delivery = self.downloads.pop_front().unwrap_or_else(|| self.last_download.clone());
        (delivery, self.package.clone())
    }
}

impl Service for FakeService {
    fn order<'a>(
        &'a self,
        dataset: &'a DatasetUid,
        file: &'a FileId,
    ) -> BoxFuture<'a, Result<OrderOutcome, ClmsError>> {
        Box::pin(async move {
            let outcome = {
                let mut world = self.world();
                world.calls.push(Call::Order);
                world.order(dataset, file)
            };
            // the service has it, the answer is still on its way
            self.order_gate.pass().await;
            outcome
        })
    }

    fn task<'a>(&'a self, task: &'a TaskId) -> BoxFuture<'a, Result<Option<Task>, ClmsError>> {
        Box::pin(async move {
            self.world().calls.push(Call::Poll(task.clone()));
            self.poll_gate.pass().await;
            let slow = self.world().slow(task);
            tokio::time::sleep(slow).await;
            self.world().status(task)
        })
    }

    fn tasks(&self) -> BoxFuture<'_, Result<Vec<(TaskId, Task)>, ClmsError>> {
        Box::pin(async move {
            let slow = {
                let mut world = self.world();
                world.calls.push(Call::Search);
                world.slow_searches
            };
            tokio::time::sleep(slow).await;
            let mut world = self.world();
            match world.searches.pop_front().flatten() {
                Some(error) => Err(error),
                None => Ok(world.list()),
            }
        })
    }

    fn cancel<'a>(&'a self, task: &'a TaskId) -> BoxFuture<'a, Result<(), ClmsError>> {
        Box::pin(async move {
            self.world().calls.push(Call::Cancel(task.clone()));
            self.cancel_gate.pass().await;
            Ok(())
        })
    }

    fn download<'a>(&'a self, url: &'a Url, from: u64) -> BoxFuture<'a, Result<Download, ClmsError>> {
        Box::pin(async move {
            self.world().calls.push(Call::Download { url: url.to_string(), from });
            self.download_gate.pass().await;
            let (delivery, package) = self.world().deliver(url);
            let length = package.len() as u64;
            let (start, total, bytes, broken) = match delivery {
                Delivery::Whole => (from, Some(length), package, false),
                Delivery::LostUntil(then) if Instant::now() >= then => (from, Some(length), package, false),
                Delivery::BreaksAt(end) => {
                    (from, Some(length), package[..end.clamp(from as usize, package.len())].to_vec(), true)
                }
                Delivery::WithoutRanges(None) => (0, Some(length), package, false),
                Delivery::WithoutRanges(Some(end)) => {
                    (0, Some(length), package[..end.min(package.len())].to_vec(), true)
                }
                Delivery::UnknownLength => (from, None, package, false),
                Delivery::Short => (from, Some(length + 10), package, false),
                Delivery::Long => (from, Some(length - 10), package, false),
                Delivery::Html => (0, None, b"<!DOCTYPE html><p>Sorry".to_vec(), false),
                Delivery::Lost | Delivery::LostUntil(_) => {
                    return Err(ClmsError::LinkLost { reason: "status 404".to_owned() });
                }
                Delivery::Fails(error) => return Err(error),
            };
            let rest = bytes.get(start as usize..).unwrap_or_default().to_vec();
            let (first, second) = rest.split_at(rest.len() / 2);
            let (first, second) = (Bytes::copy_from_slice(first), Bytes::copy_from_slice(second));
            let mut gate = self.half_gate.0.subscribe();
            let middle = async move {
                gate.wait_for(|open| *open).await.map_err(std::io::Error::other)?;
                Ok(second)
            };
            let end = broken.then(|| Err(std::io::Error::other("connection reset")));
            let stream = futures_util::stream::iter([Ok(first)])
                .chain(futures_util::stream::once(middle))
                .chain(futures_util::stream::iter(end));
            Ok(Download::from_stream(url, start, total, stream))
        })
    }
}

pub(crate) fn unreachable() -> ClmsError {
    ClmsError::Unreachable { host: "land.copernicus.eu".to_owned(), reason: "no route".to_owned() }
}

pub(crate) fn nonsense() -> ClmsError {
    ClmsError::BadAnswer { host: "land.copernicus.eu".to_owned(), what: "no JSON".to_owned() }
}

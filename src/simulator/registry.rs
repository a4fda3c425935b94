//! The tasks of all users.

use std::{collections::BTreeMap, sync::Arc};

use jiff::Timestamp;
use serde_json::{Map, Value};

use super::{
    fault::OrderEffect,
    package::Outer,
    task::{File, Schedule, Task, View},
};

/// A task with what the file host needs to know of it.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) task: Task,
    /// Names of the products in it, for counters and fault rules.
    pub(crate) products: Vec<String>,
    /// What is wrong with it and with its file.
    pub(crate) effects: Vec<OrderEffect>,
    pub(crate) outer: Option<Arc<Outer>>,
}

/// Tasks by id; FME's numbers are handed out here.
#[derive(Debug)]
pub(crate) struct Registry {
    tasks: BTreeMap<String, Entry>,
    next_fme_id: u32,
}

impl Default for Registry {
    fn default() -> Self {
        Self { tasks: BTreeMap::new(), next_fme_id: 42_001 }
    }
}

impl Registry {
    /// FME's number for a new job; it also names the link.
    pub(crate) fn next_fme_id(&mut self) -> u32 {
        let id = self.next_fme_id;
        self.next_fme_id += 1;
        id
    }

    /// Registers a task under a new random id of 1 to 11 digits.
    pub(crate) fn add(&mut self, entry: Entry) -> String {
        loop {
            let id = rand::random_range(0..100_000_000_000_u64).to_string();
            if !self.tasks.contains_key(&id) {
                self.tasks.insert(id.clone(), entry);
                return id;
            }
        }
    }

    pub(crate) fn get(&self, id: &str) -> Option<&Entry> {
        self.tasks.get(id)
    }

    pub(crate) fn get_mut(&mut self, id: &str) -> Option<&mut Entry> {
        self.tasks.get_mut(id)
    }

    /// Notes how the making of a task's file ended.
    pub(crate) fn set_file(&mut self, id: &str, file: File, outer: Option<Arc<Outer>>) {
        if let Some(entry) = self.tasks.get_mut(id) {
            entry.task.file = file;
            entry.outer = outer;
        }
    }

    /// Gives the open tasks of all users another pace, counted from when they were ordered.
    pub(crate) fn repace(&mut self, schedule: Schedule, now: Timestamp) {
        for entry in self.tasks.values_mut() {
            if entry.task.at(now).is_some_and(|view| view.status.is_open()) {
                entry.task.schedule = schedule;
            }
        }
    }

    pub(crate) fn by_fme_id(&self, fme_id: u32) -> Option<&Entry> {
        self.tasks.values().find(|entry| entry.task.fme_id == fme_id)
    }

    /// The user's tasks that are visible at a moment.
    fn of_user<'a>(
        &'a self,
        user_id: &'a str,
        now: Timestamp,
    ) -> impl Iterator<Item = (&'a String, &'a Entry, View)> {
        self.tasks
            .iter()
            .filter(move |(_, entry)| entry.task.user_id == user_id)
            .filter_map(move |(id, entry)| Some((id, entry, entry.task.at(now)?)))
    }

    /// `@datarequest_search`: the user's tasks by id, of one status or of all, as `write` puts them.
    pub(crate) fn search(
        &self,
        user_id: &str,
        status: Option<&str>,
        now: Timestamp,
        write: impl Fn(&Task, &View) -> Value,
    ) -> Map<String, Value> {
        self.of_user(user_id, now)
            .filter(|(_, _, view)| status.is_none_or(|status| view.status.word() == status))
            .map(|(id, entry, view)| (id.clone(), write(&entry.task, &view)))
            .collect()
    }

    /// Everything stored in the user's open tasks, for the duplicate rule.
    pub(crate) fn open_datasets(&self, user_id: &str, now: Timestamp) -> Vec<Value> {
        self.of_user(user_id, now)
            .filter(|(_, _, view)| view.status.is_open())
            .flat_map(|(_, entry, _)| entry.task.datasets.clone())
            .collect()
    }
}

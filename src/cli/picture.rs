//! What a mount is doing, as lines of text: for `status`, `jobs` and the live view. Nothing here prints.

use super::output::{budget, cut, size, table_lines, wrapped};
use crate::control::status::{JobStatus, Status};
use crate::fetch::state::{ProductState, Progress};
use crate::text::printable;

/// Characters of a bar without its ends.
const BAR: usize = 20;
/// Lines of a failure's reason in a view of limited height.
const REASON: usize = 2;

/// Everything, without limit of height; `width` is that of a terminal, if there is one.
pub(super) fn status(status: &Status, now: u64, width: Option<usize>) -> Vec<String> {
    let mut lines = summary(status, now, width);
    if status.jobs.is_empty() {
        lines.push("jobs     none".to_owned());
    } else {
        lines.push(String::new());
        lines.extend(jobs(&status.jobs, now, width));
    }
    lines
}

/// The same in so many lines of a terminal: what readers wait for comes first, and what does not fit is counted.
pub(super) fn fitting(status: &Status, now: u64, width: usize, height: usize) -> Vec<String> {
    let mut lines = summary(status, now, Some(width));
    if status.jobs.is_empty() {
        lines.push("jobs     none".to_owned());
        lines.truncate(height);
        return lines;
    }
    lines.push(String::new());
    let (heading, blocks) = blocks(&status.jobs, now, Some(width), REASON);
    lines.push(heading);
    let mut hidden = blocks.len();
    for (number, block) in blocks.into_iter().enumerate() {
        // the last line is kept for the count of what does not fit
        let is_last = number + 1 == status.jobs.len();
        if lines.len() + block.len() + usize::from(!is_last) > height {
            break;
        }
        lines.extend(block);
        hidden -= 1;
    }
    if hidden > 0 {
        lines.push(format!("… and {hidden} more: clmsfs jobs"));
    }
    lines.truncate(height);
    lines
}

/// A table of jobs, and below each what it does or waits for.
pub(super) fn jobs(jobs: &[JobStatus], now: u64, width: Option<usize>) -> Vec<String> {
    let (heading, blocks) = blocks(jobs, now, width, usize::MAX);
    std::iter::once(heading).chain(blocks.into_iter().flatten()).collect()
}

fn summary(status: &Status, now: u64, width: Option<usize>) -> Vec<String> {
    let (cache, totals) = (&status.cache, &status.totals);
    let read = match status.catalog_fetched {
        Some(fetched) => format!(", read {} ago", span(now.saturating_sub(fetched) / 1000)),
        None if status.datasets == 0 => ": the service has not given it yet".to_owned(),
        None => String::new(),
    };
    let share = if cache.limit > 0 { cache.used as f64 / cache.limit as f64 } else { 0.0 };
    let mut details = Vec::new();
    if cache.reserved > 0 {
        details.push(format!("{} reserved", size(cache.reserved)));
    }
    if cache.pinned > 0 {
        details.push(format!("{} pinned ({})", cache.pinned, size(cache.pinned_bytes)));
    }
    details.extend(cache.disk_free.map(|free| format!("{} free on its disk", size(free))));
    details.push(printable(&cache.directory));
    let waiting: usize = status.jobs.iter().map(|job| job.waiting).sum();
    let page = status
        .web
        .as_ref()
        .map(|address| format!("page     {}  (the link that opens it: clmsfs web)", printable(address)));
    let lines = [
        format!(
            "mount    {}  (pid {}, clmsfs {}, for {})",
            printable(&status.mountpoint),
            status.pid,
            printable(&status.version),
            span(now.saturating_sub(status.since) / 1000)
        ),
        format!("service  {}", printable(&status.api)),
        format!("catalog  {} datasets, {} products{read}", status.datasets, status.products),
        format!(
            "cache    {} {} of {} used by {} products",
            bar(share),
            size(cache.used),
            budget(cache.limit),
            cache.entries
        ),
        format!("         {}", details.join(", ")),
        format!(
            "so far   {} fetched, {} failed, {} downloaded",
            totals.published,
            totals.failed,
            size(totals.downloaded)
        ),
        format!(
            "readers  {}",
            if waiting == 0 { "none waits".to_owned() } else { format!("{waiting} waiting") }
        ),
    ];
    let (mount, others) = lines.split_at(1);
    let lines = mount.iter().cloned().chain(page).chain(others.iter().cloned());
    lines.map(|line| fitted(line, width)).collect()
}

/// The heading of the table of jobs, and for each job its row and the lines below it.
fn blocks(jobs: &[JobStatus], now: u64, width: Option<usize>, reason: usize) -> (String, Vec<Vec<String>>) {
    let mut jobs: Vec<&JobStatus> = jobs.iter().collect();
    jobs.sort_by_key(|job| {
        (job.progress.state == ProductState::Failed, std::cmp::Reverse(job.waiting), job.began)
    });
    let row = |job: &&JobStatus| {
        let progress = &job.progress;
        vec![
            job.path.clone(),
            progress.state.to_string(),
            progress.fraction.map(percent).filter(|_| progress.state.is_under_way()).unwrap_or_default(),
            progress.eta.map(span).filter(|_| progress.state.is_under_way()).unwrap_or_default(),
            if job.waiting > 0 { job.waiting.to_string() } else { String::new() },
            span(now.saturating_sub(job.began) / 1000),
        ]
    };
    let rows: Vec<_> = jobs.iter().map(row).collect();
    let mut table = table_lines(&["PRODUCT", "STATE", "DONE", "LEFT", "READERS", "AGE"], &rows, 0, width);
    let heading = table.remove(0);
    let blocks = table.into_iter().zip(jobs).map(|(row, job)| {
        let mut lines = vec![row];
        lines.extend(below(job, now, width, reason));
        lines
    });
    (heading, blocks.collect())
}

/// What stands below a job's row: what it does, what it waits for, or why it failed.
fn below(job: &JobStatus, now: u64, width: Option<usize>, reason: usize) -> Vec<String> {
    let progress = &job.progress;
    let indented = |line: String| fitted(format!("  {line}"), width);
    let mut lines = Vec::new();
    // who waits for its turn does nothing yet, and says so below
    let begins = progress.fraction.is_none() && progress.bytes.is_none() && is_done_here(progress.state);
    let waits = progress.error.is_some() && (begins || progress.state == ProductState::Failed);
    if !waits {
        lines.push(indented(doing(progress, now)));
    }
    if let Some(error) = &progress.error {
        let mut reasons =
            wrapped(&printable(error), width.map_or(usize::MAX, |width| width.saturating_sub(2)));
        if reasons.len() > reason {
            reasons.truncate(reason);
            if let Some(last) = reasons.last_mut() {
                last.push_str(" …");
            }
        }
        lines.extend(reasons.into_iter().map(indented));
    }
    if progress.state == ProductState::Failed && job.renewal {
        lines.push(indented("what is here is served; clmsfs fetch --refresh tries again".to_owned()));
    } else if progress.state == ProductState::Failed {
        let wait = progress.retry_at.map_or(0, |at| at.saturating_sub(now).div_ceil(1000));
        lines.push(indented(if wait > 0 {
            format!("in {} the next open tries again, clmsfs fetch does at once", span(wait))
        } else {
            "the next open tries again".to_owned()
        }));
    }
    lines
}

/// True for the states in which this machine has the work.
fn is_done_here(state: ProductState) -> bool {
    matches!(state, ProductState::Downloading | ProductState::Extracting | ProductState::Converting)
}

/// What a fetch that is under way does now.
fn doing(progress: &Progress, now: u64) -> String {
    let time = span(now.saturating_sub(progress.since) / 1000);
    let mut words = match progress.state {
        ProductState::Ordered => vec![format!("for {time}: the service is asked for it")],
        ProductState::Queued => vec![format!("for {time} in the service's queue")],
        ProductState::Running => vec![format!("for {time} in preparation at the service")],
        ProductState::Downloading => transfer(progress),
        ProductState::Extracting => vec![format!("for {time} being unpacked")],
        ProductState::Converting => vec![format!("for {time} being converted")],
        ProductState::Cold | ProductState::Ready | ProductState::Failed => Vec::new(),
    };
    words.extend(progress.task.as_ref().map(|task| format!("task {}", printable(task))));
    let bar = progress.fraction.map(|fraction| bar(fraction) + " ").unwrap_or_default();
    bar + &words.join(", ")
}

/// `1.2 MB of 3.4 MB`, `2.0 MB/s`.
fn transfer(progress: &Progress) -> Vec<String> {
    let Some((done, total)) = progress.bytes else { return vec!["no byte has come yet".to_owned()] };
    let total = total.map(|total| format!(" of {}", size(total))).unwrap_or_default();
    let speed = progress.speed.map(|speed| format!("{}/s", size(speed)));
    std::iter::once(format!("{}{total}", size(done))).chain(speed).collect()
}

fn percent(fraction: f64) -> String {
    format!("{:.0} %", fraction * 100.0)
}

/// `[#######.............]`: letters that every terminal has.
fn bar(fraction: f64) -> String {
    let filled = ((fraction.clamp(0.0, 1.0) * BAR as f64) as usize).min(BAR);
    format!("[{}{}]", "#".repeat(filled), ".".repeat(BAR - filled))
}

/// Seconds as people say them, in two units at most.
pub(super) fn span(seconds: u64) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match seconds {
        0..60 => format!("{seconds}s"),
        60..600 if !seconds.is_multiple_of(60) => format!("{minutes}m {}s", seconds % 60),
        60..3600 => format!("{minutes}m"),
        3600..86_400 if !minutes.is_multiple_of(60) => format!("{hours}h {}m", minutes % 60),
        3600..86_400 => format!("{hours}h"),
        _ => format!("{days}d"),
    }
}

fn fitted(line: String, width: Option<usize>) -> String {
    match width {
        Some(width) => cut(&line, width),
        None => line,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use console::measure_text_width;

    use super::*;
    use crate::control::status::{CacheStatus, Totals};

    const NOW: u64 = 10_000_000;

    fn job(path: &str, state: ProductState, change: impl FnOnce(&mut JobStatus)) -> JobStatus {
        let progress =
            Progress { since: NOW - 90_000, task: Some("1001".to_owned()), ..Progress::bare(state) };
        let mut job = JobStatus {
            path: path.to_owned(),
            key: "key".to_owned(),
            data_id: "dataset/file".to_owned(),
            uid: 0,
            began: NOW - 240_000,
            waiting: 0,
            renewal: false,
            progress,
        };
        change(&mut job);
        job
    }

    fn mount(jobs: Vec<JobStatus>) -> Status {
        Status {
            version: "0.1.0".to_owned(),
            pid: 4711,
            mountpoint: "/home/ada/clms".to_owned(),
            since: NOW - 3_720_000,
            api: "https://land.copernicus.eu/api".to_owned(),
            datasets: 123,
            products: 4567,
            unpacked: 0,
            catalog_fetched: Some(NOW - 7_200_000),
            web: None,
            cache: CacheStatus {
                directory: "/var/cache/clmsfs".to_owned(),
                limit: 50_000_000_000,
                used: 12_500_000_000,
                entries_bytes: 12_000_000_000,
                reserved: 400_000_000,
                entries: 24,
                pinned: 2,
                pinned_bytes: 1_200_000_000,
                disk_free: Some(120_000_000_000),
            },
            jobs,
            totals: Totals { fetches: 14, published: 12, failed: 1, downloaded: 3_400_000_000 },
        }
    }

    fn many() -> Vec<JobStatus> {
        let long = "high_resolution_layer_imperviousness/imd_2018_010m_e44n29_03035_v020_with_a_long_name";
        let mut jobs = vec![
            job("data/broken", ProductState::Failed, |job| {
                job.progress.error = Some("the service refused the order: ".to_owned() + &"no ".repeat(60));
                job.progress.retry_at = Some(NOW + 20_000);
            }),
            job(long, ProductState::Downloading, |job| {
                job.waiting = 3;
                job.progress.fraction = Some(0.42);
                job.progress.bytes = Some((42_000_000, Some(100_000_000)));
                job.progress.speed = Some(2_000_000);
                job.progress.eta = Some(29);
            }),
            job("data/queued", ProductState::Queued, |job| {
                job.progress.error =
                    Some("waiting for the service: land.copernicus.eu cannot be reached".to_owned());
            }),
        ];
        jobs.extend((0..20).map(|n| job(&format!("data/p{n}"), ProductState::Converting, |_| {})));
        jobs
    }

    #[test]
    fn everything_is_said() {
        let text = status(&mount(many()), NOW, None).join("\n");
        for wanted in [
            "mount    /home/ada/clms  (pid 4711, clmsfs 0.1.0, for 1h 2m)",
            "catalog  123 datasets, 4567 products, read 2h ago",
            "cache    [#####...............] 12.5 GB of 50GB used by 24 products",
            "         400.0 MB reserved, 2 pinned (1.2 GB), 120.0 GB free on its disk, /var/cache/clmsfs",
            "readers  3 waiting",
            "  [########............] 42.0 MB of 100.0 MB, 2.0 MB/s, task 1001",
            "  for 1m 30s in the service's queue, task 1001\n  waiting for the service: land.copernicus.eu cannot",
            "in 20s the next open tries again, clmsfs fetch does at once",
        ] {
            assert!(text.contains(wanted), "{wanted:?} is not in\n{text}");
        }
        let row = text.lines().find(|line| line.starts_with("high_resolution")).unwrap();
        let cells: Vec<_> = row.split_whitespace().skip(1).collect();
        assert_eq!(cells, ["downloading", "42", "%", "29s", "3", "4m"]);
        assert!(status(&mount(Vec::new()), NOW, None).join("\n").ends_with("jobs     none"));
    }

    #[test]
    fn a_terminal_is_never_overrun_and_who_waits_comes_first() {
        let mount = mount(many());
        for (width, height) in [(79, 24), (40, 10), (200, 60), (20, 3), (79, 9)] {
            let lines = fitting(&mount, NOW, width, height);
            assert!(lines.len() <= height, "{height}: {}", lines.len());
            for line in &lines {
                assert!(measure_text_width(line) <= width, "{width}: {line}");
            }
        }
        let lines = fitting(&mount, NOW, 79, 24);
        assert!(lines.len() >= 22, "room is left empty: {lines:#?}");
        let heading = lines.iter().position(|line| line.starts_with("PRODUCT")).unwrap();
        assert!(lines[heading + 1].contains("downloading"), "{lines:#?}");
        assert!(
            lines[heading + 1].starts_with("high_resolution") && lines[heading + 1].contains("long_name")
        );
        let shown = lines[heading + 1..].iter().filter(|line| line.contains("converting ")).count() + 2;
        assert_eq!(*lines.last().unwrap(), format!("… and {} more: clmsfs jobs", 23 - shown));
        // Without limits nothing is left out.
        let all = status(&mount, NOW, Some(80)).join("\n");
        assert!(all.contains("data/p19") && all.contains("data/broken"));
        assert!(all.lines().all(|line| measure_text_width(line) <= 80), "{all}");
    }

    #[test]
    fn a_renewal_that_failed_is_tried_again_by_no_open() {
        let jobs = vec![job("data/p", ProductState::Failed, |job| {
            job.renewal = true;
            job.progress.retry_at = Some(NOW + 20_000);
        })];
        let text = status(&mount(jobs), NOW, None).join("\n");
        assert!(text.ends_with("\n  what is here is served; clmsfs fetch --refresh tries again"), "{text}");
    }

    #[test]
    fn foreign_words_do_not_play_with_the_terminal() {
        let jobs = vec![job("data/a\u{1b}[2J", ProductState::Failed, |job| {
            job.progress.error = Some("bad\u{1b}]0;title\u{7}".to_owned());
        })];
        let text = status(&mount(jobs), NOW, Some(80)).join("");
        assert!(text.chars().all(crate::text::is_harmless), "{text:?}");
    }

    #[test]
    fn spans_are_short() {
        let told = [0, 59, 60, 61, 599, 600, 3599, 3600, 3660, 86_399, 86_400, 900_000].map(span);
        assert_eq!(
            told,
            ["0s", "59s", "1m", "1m 1s", "9m 59s", "10m", "59m", "1h", "1h 1m", "23h 59m", "1d", "10d"]
        );
    }
}

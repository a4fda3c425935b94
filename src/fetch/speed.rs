//! How fast a download is: over the last seconds, not over its whole life, which may have had pauses.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// What is looked at.
const WINDOW: Duration = Duration::from_secs(10);
/// Less than this says nothing yet.
const LEAST: Duration = Duration::from_millis(500);

/// Marks of how far a download was, and when.
#[derive(Debug, Default)]
pub(super) struct Speed {
    marks: VecDeque<(Instant, u64)>,
}

impl Speed {
    /// Notes that `done` bytes are here, and tells bytes in a second where that can be known.
    pub(super) fn note(&mut self, at: Instant, done: u64) -> Option<u64> {
        // a host without ranges has started over
        if self.marks.back().is_some_and(|(_, before)| *before > done) {
            self.marks.clear();
        }
        self.marks.push_back((at, done));
        // one mark beyond the window stays, so that what comes in large pieces has a speed, too
        while self.marks.get(1).is_some_and(|(then, _)| at.duration_since(*then) >= WINDOW) {
            self.marks.pop_front();
        }
        let (since, before) = *self.marks.front()?;
        let time = at.duration_since(since);
        (time >= LEAST).then(|| ((done - before) as f64 / time.as_secs_f64()).round() as u64)
    }
}

/// Seconds until the rest has come at this speed.
pub(super) fn seconds_left(done: u64, total: Option<u64>, speed: Option<u64>) -> Option<u64> {
    let rest = total?.checked_sub(done)?;
    Some(rest.div_ceil(speed.filter(|speed| *speed > 0)?))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_last_seconds_count_and_a_new_start_begins_anew() {
        let begin = Instant::now();
        let mut speed = Speed::default();
        let mut note = |seconds: u64, done| speed.note(begin + Duration::from_secs(seconds), done);
        assert_eq!(note(0, 500), None, "what was here before is no speed");
        assert_eq!(note(2, 2500), Some(1000));
        // Slow for a minute: the fast beginning is forgotten.
        assert_eq!(note(62, 2560), Some(1));
        assert_eq!(note(72, 2570), Some(1));
        assert_eq!(note(73, 0), None);
        assert_eq!(note(74, 7), Some(7));
    }

    #[test]
    fn what_is_left_takes_as_long_as_it_takes_at_this_speed() {
        assert_eq!(seconds_left(100, Some(1000), Some(300)), Some(3));
        assert_eq!(seconds_left(1000, Some(1000), Some(300)), Some(0));
        for (done, total, speed) in
            [(1, None, Some(1)), (1, Some(2), None), (1, Some(2), Some(0)), (3, Some(2), Some(1))]
        {
            assert_eq!(seconds_left(done, total, speed), None);
        }
    }
}

//! A screen of our own for a live view, beside the one with the shell's lines, which comes back as it was.

use std::io::{self, IsTerminal, Read, Write};

use console::Term;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// The other screen, without cursor.
const ENTER: &str = "\x1b[?1049h\x1b[?25l";
/// The shell's screen, with its cursor.
const LEAVE: &str = "\x1b[?25h\x1b[?1049l";

/// Whether standard output is a terminal that knows what a screen is.
pub(super) fn is_possible() -> bool {
    let is_able = std::env::var("TERM").is_ok_and(|term| !term.is_empty() && term != "dumb");
    is_able && std::io::stdout().is_terminal()
}

/// The screen, as long as it lives.
pub(super) struct Screen {
    /// How the keyboard was before, where it is ours.
    keyboard: Option<libc::termios>,
}

impl Screen {
    /// Takes the terminal.
    ///
    /// # Errors
    /// It cannot be written to.
    pub(super) fn enter() -> io::Result<Self> {
        write(ENTER)?;
        Ok(Self { keyboard: quiet_keyboard() })
    }

    /// Columns and rows as they are now.
    pub(super) fn size() -> (usize, usize) {
        let (rows, columns) = Term::stdout().size();
        (columns.into(), rows.into())
    }

    /// Shows these lines in place of those before.
    ///
    /// # Errors
    /// The terminal is gone.
    pub(super) fn show(&self, lines: &[String]) -> io::Result<()> {
        write(&frame(lines))
    }

    /// Gives the terminal back to the shell until the process is continued, as Ctrl-Z wants it.
    ///
    /// # Errors
    /// The terminal is gone.
    pub(super) fn pause(&mut self) -> io::Result<()> {
        self.leave();
        // SAFETY: raise takes a number; the process stands still here until it is continued.
        unsafe { libc::raise(libc::SIGSTOP) };
        write(ENTER)?;
        self.keyboard = quiet_keyboard();
        Ok(())
    }

    fn leave(&mut self) {
        if let Some(before) = self.keyboard.take() {
            // SAFETY: `before` is what tcgetattr gave for the same descriptor.
            unsafe { libc::tcsetattr(libc::STDIN_FILENO, libc::TCSADRAIN, &raw const before) };
        }
        let _ = write(LEAVE);
    }

    /// Whether keys come to us and to nobody else.
    pub(super) fn has_keyboard(&self) -> bool {
        self.keyboard.is_some()
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        self.leave();
    }
}

/// One picture after another without a moment of emptiness: each line is written over the one before, then the rest of it is
/// erased; terminals that can (mode 2026) show it at once.
fn frame(lines: &[String]) -> String {
    let mut text = String::from("\x1b[?2026h\x1b[H");
    for (number, line) in lines.iter().enumerate() {
        if number > 0 {
            text.push_str("\r\n");
        }
        text.push_str(line);
        text.push_str("\x1b[K");
    }
    text.push_str("\x1b[J\x1b[?2026l");
    text
}

fn write(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}

/// Keys are not shown and come at once; Ctrl-C and Ctrl-Z stay what they are. Returns how it was before; `None` where the
/// keyboard is not ours: standard input leads elsewhere, or the process is in the background.
fn quiet_keyboard() -> Option<libc::termios> {
    let mut before = std::mem::MaybeUninit::<libc::termios>::uninit();
    // SAFETY: numbers only; errors are values that are never equal to a process group.
    let is_ours = unsafe { libc::tcgetpgrp(libc::STDIN_FILENO) == libc::getpgrp() };
    // SAFETY: `before` is a valid place for the answer.
    if !is_ours || unsafe { libc::tcgetattr(libc::STDIN_FILENO, before.as_mut_ptr()) } != 0 {
        return None;
    }
    // SAFETY: tcgetattr has filled it in.
    let before = unsafe { before.assume_init() };
    let mut quiet = before;
    quiet.c_lflag &= !(libc::ECHO | libc::ICANON);
    // SAFETY: `quiet` is a valid setting.
    unsafe { libc::tcsetattr(libc::STDIN_FILENO, libc::TCSADRAIN, &raw const quiet) };
    Some(before)
}

/// What ends a live view: Ctrl-C, a signal, the key q.
pub(super) struct End {
    signals: [Signal; 3],
}

impl End {
    /// Listens from now on.
    ///
    /// # Errors
    /// Signals cannot be caught.
    pub(super) fn new() -> io::Result<Self> {
        let signals = [
            signal(SignalKind::interrupt())?,
            signal(SignalKind::terminate())?,
            signal(SignalKind::hangup())?,
        ];
        Ok(Self { signals })
    }

    /// Returns when somebody wants the end.
    pub(super) async fn wanted(&mut self, has_keyboard: bool) {
        let [interrupt, terminate, hang_up] = &mut self.signals;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hang_up.recv() => {}
            () = key_q(), if has_keyboard => {}
        }
    }
}

/// Returns when q is pressed.
async fn key_q() {
    loop {
        let pressed = tokio::task::spawn_blocking(|| {
            let mut key = [0];
            io::stdin().lock().read_exact(&mut key).map(|()| key[0])
        });
        match pressed.await {
            Ok(Ok(b'q' | b'Q')) => return,
            Ok(Ok(_)) => {}
            // nothing more will come; the signals are left
            _ => std::future::pending().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_erases_the_one_before_line_by_line() {
        let text = frame(&["one".to_owned(), "two".to_owned()]);
        assert_eq!(text, "\x1b[?2026h\x1b[Hone\x1b[K\r\ntwo\x1b[K\x1b[J\x1b[?2026l");
        assert!(!text.contains("\x1b[2J"), "an empty screen between two pictures flickers");
    }
}

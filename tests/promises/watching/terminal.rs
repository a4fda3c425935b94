//! A terminal with a program in it: a pseudo terminal, and an emulation of what a person would see there.

use std::ffi::CStr;
use std::fs::File;
use std::io::{Read, Write};
use std::num::NonZero;
use std::os::fd::{AsRawFd, FromRawFd};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};

use crate::support::wait;

/// What has come so far.
struct Seen {
    emulation: vt100::Parser,
    bytes: Vec<u8>,
}

/// A terminal. Dropped, the program in it is hung up.
pub(crate) struct Terminal {
    controller: File,
    child: Child,
    seen: Arc<Mutex<Seen>>,
}

impl Terminal {
    /// Starts a command in a terminal of that size; it must begin with `setsid --ctty`.
    pub(crate) fn start(mut command: Command, columns: u16, rows: u16) -> Self {
        // SAFETY: a number only; the descriptor is new and nobody else's.
        let controller = unsafe { libc::posix_openpt(libc::O_RDWR | libc::O_NOCTTY | libc::O_CLOEXEC) };
        assert!(controller >= 0, "no terminal: {}", std::io::Error::last_os_error());
        // SAFETY: see above.
        let controller = unsafe { File::from_raw_fd(controller) };
        let mut name = [0; 64];
        // SAFETY: the descriptor is a terminal's, `name` has the length that is given.
        let ready = unsafe {
            libc::grantpt(controller.as_raw_fd()) == 0
                && libc::unlockpt(controller.as_raw_fd()) == 0
                && libc::ptsname_r(controller.as_raw_fd(), name.as_mut_ptr(), name.len()) == 0
        };
        assert!(ready, "no terminal: {}", std::io::Error::last_os_error());
        // SAFETY: ptsname_r has ended it with NUL.
        let path = unsafe { CStr::from_ptr(name.as_ptr()) }.to_str().unwrap().to_owned();
        resize(&controller, columns, rows);
        let end = || {
            let mut options = File::options();
            std::os::unix::fs::OpenOptionsExt::custom_flags(&mut options, libc::O_NOCTTY);
            Stdio::from(options.read(true).write(true).open(&path).unwrap())
        };
        command.stdin(end()).stdout(end()).stderr(end()).env("TERM", "xterm-256color");
        let child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        // our copies of the other end: without them the terminal ends with the program
        drop(command);
        let seen = Arc::new(Mutex::new(Seen {
            emulation: vt100::Parser::new(some(rows), some(columns), 0),
            bytes: Vec::new(),
        }));
        let (mut reader, shared) = (controller.try_clone().unwrap(), Arc::clone(&seen));
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(length @ 1..) = reader.read(&mut buffer) {
                let mut seen = shared.lock().unwrap();
                seen.emulation.process(&buffer[..length]);
                seen.bytes.extend(&buffer[..length]);
            }
        });
        Self { controller, child, seen }
    }

    /// The id of the program.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// What a person sees.
    pub(crate) fn text(&self) -> String {
        self.look(|screen| screen.contents())
    }

    /// Looks at the screen.
    pub(crate) fn look<T>(&self, look: impl FnOnce(&vt100::Screen) -> T) -> T {
        look(self.seen.lock().unwrap().emulation.screen())
    }

    /// Every byte that was written to the terminal.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        self.seen.lock().unwrap().bytes.clone()
    }

    /// How often that was written.
    pub(crate) fn count(&self, what: &[u8]) -> usize {
        self.bytes().windows(what.len()).filter(|window| *window == what).count()
    }

    /// Presses keys.
    pub(crate) fn press(&mut self, keys: &[u8]) {
        self.controller.write_all(keys).unwrap();
    }

    /// Gives the window another size.
    pub(crate) fn resize(&self, columns: u16, rows: u16) {
        self.seen.lock().unwrap().emulation.screen_mut().set_size(some(rows), some(columns));
        resize(&self.controller, columns, rows);
    }

    /// Whether typed letters are shown: the shell's terminal does, a live view does not.
    pub(crate) fn echoes(&self) -> bool {
        let mut settings = std::mem::MaybeUninit::<libc::termios>::zeroed();
        // SAFETY: `settings` is a valid place for the answer, and all zeros are a valid value of it.
        let settings = unsafe {
            assert_eq!(libc::tcgetattr(self.controller.as_raw_fd(), settings.as_mut_ptr()), 0);
            settings.assume_init()
        };
        settings.c_lflag & libc::ECHO != 0
    }

    /// Waits for the program's end.
    #[track_caller]
    pub(crate) fn ended(&mut self) -> ExitStatus {
        let child = &mut self.child;
        wait::until("the end of the program in the terminal", || child.try_wait().unwrap())
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn some(number: u16) -> NonZero<u16> {
    NonZero::new(number).expect("a terminal has rows and columns")
}

fn resize(controller: &File, columns: u16, rows: u16) {
    let size = libc::winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: the descriptor is a terminal's, `size` what the call wants.
    let set = unsafe { libc::ioctl(controller.as_raw_fd(), libc::TIOCSWINSZ, &raw const size) };
    assert_eq!(set, 0, "{}", std::io::Error::last_os_error());
}

//! Links that lead nowhere and files that are not what they should be.

use super::row::{Row, Sees};
use super::rows;

/// A file that is damaged however often it is fetched.
const DAMAGED: Row = Row {
    sees: Sees::Errno(libc::EIO),
    words: &["damaged 2 times"],
    check: Some(|scene| assert_eq!(scene.simulator.requests().downloads("broken"), 3)),
    ..Row::PLAIN
};

rows! {
    one_percent: Row {
        fault: "package truncated at 1 %",
        scenario: "[[fault]]\nfile = 'broken'\ntruncated = 0.01",
        ..DAMAGED
    };
    half: Row {
        fault: "package truncated at 50 %",
        scenario: "[[fault]]\nfile = 'broken'\ntruncated = 0.5",
        ..DAMAGED
    };
    almost_all: Row {
        fault: "package truncated at 99 %",
        scenario: "[[fault]]\nfile = 'broken'\ntruncated = 0.99",
        ..DAMAGED
    };
    corrupt: Row {
        fault: "corrupt zip",
        scenario: "[[fault]]\nfile = 'broken'\ncorrupt = true",
        ..DAMAGED
    };
    wrong_checksum: Row {
        fault: "wrong CRC in the zip's directory",
        scenario: "[[fault]]\nfile = 'broken'\nwrong_crc = true",
        ..DAMAGED
    };
    wrong_size: Row {
        fault: "wrong FileSize",
        scenario: "[[fault]]\nfile = 'broken'\nwrong_file_size = true",
        ..Row::PLAIN
    };
    link_expired: Row {
        fault: "link expired, once",
        scenario: "[[fault]]\nfile = 'broken'\nexpired_link = true\ntimes = 1",
        orders: 2,
        ..Row::PLAIN
    };
    link_lost_twice: Row {
        fault: "link lost with each order",
        scenario: "[[fault]]\nfile = 'broken'\nexpired_link = true",
        sees: Sees::Errno(libc::EIO),
        words: &["ordered 2 times"],
        orders: 2,
        ..Row::PLAIN
    };
    page_once: Row {
        fault: "web page in place of the package, once",
        scenario: "[[fault]]\nfile = 'broken'\nnot_a_zip = true\ntimes = 1",
        orders: 2,
        ..Row::PLAIN
    };
    page: Row {
        fault: "web page in place of the package, always",
        scenario: "[[fault]]\nfile = 'broken'\nnot_a_zip = true",
        sees: Sees::Errno(libc::EIO),
        words: &["web page"],
        orders: 2,
        ..Row::PLAIN
    };
}

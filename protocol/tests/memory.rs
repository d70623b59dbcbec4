//! A small message that promises a lot is refused without making room for it. The only test of its
//! binary, because it looks at the memory of the whole process.
#![expect(clippy::unwrap_used, reason = "in a test a panic is the report")]
#![cfg(target_os = "linux")]

use madang_protocol::codec;

/// Most address space this process ever had, in KiB.
fn peak_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmPeak:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// Little enough for any server, and far below everything promised here.
const ALLOWED_KIB: u64 = 8 << 10;

fn refuse_all(count: &[u8]) {
    let with = |front: &[u8], tail: &[u8]| [front, count, tail].concat();
    let client = [
        with(&[6, 3, 11], &[]),
        with(&[6, 3, 11], &[1, b'a', 0]),
        with(&[6, 3, 11, 1], b"a"),
        with(&[6, 3, 11, 1, 1, b'a', 4], b"a"),
        with(&[6, 3, 11, 1, 1, b'a', 5], b"a"),
        with(&[3, 3, 7, 0, 0, 1, 0], &[1]),
        with(&[3, 3, 7, 0, 0, 1, 1], b"a"),
        with(&[3, 3, 7, 0, 1], b"a"),
        with(&[0, 1, 1], &[]),
        with(&[0, 1, 1, 0], b"a"),
        with(&[1, 1, 0], b"a"),
        with(&[1, 1, 1, 1, b'a'], &[]),
        with(&[10, 3, 12], &[]),
        with(&[10, 3, 12], &[2, 0]),
        with(&[10, 3, 12, 1, 0, 1, 1], &[]),
        with(&[10, 3, 12, 1, 1, 0, 7, 1, 1, 1], &[0]),
        with(&[10, 3, 12, 1, 1, 0, 7, 1, 1, 0, 4], b"a"),
        with(&[10, 3, 12, 1, 1, 0, 7, 1, 1, 0, 5], b"a"),
    ];
    for bytes in client {
        assert!(codec::decode_client(&bytes).is_err(), "{bytes:?}");
    }
    let server = [
        with(&[17, 3, 0], &[]),
        with(&[15], &[]),
        with(&[9, 3, 7, 0], &[]),
        with(&[18, 3, 0, 5, 6, 7], &[1]),
        with(&[19, 3, 0, 5, 6, 7, 8], &[1]),
        with(&[22, 3, 12, 5], &[]),
        with(&[22, 3, 12, 5, 0], &[]),
    ];
    for bytes in server {
        assert!(codec::decode_server(&bytes).is_err(), "{bytes:?}");
    }
}

#[test]
fn a_dozen_bytes_claim_no_memory() {
    refuse_all(&[5]); // The allocator and the error path take what they need once.
    let before = peak_kib();
    for claimed in [1_u64 << 20, 1 << 24, 1 << 32, 1 << 40, 1 << 60, u64::MAX >> 1, u64::MAX] {
        let count = [&[253][..], &claimed.to_le_bytes()].concat();
        refuse_all(&count);
    }
    let grown = peak_kib() - before;
    assert!(grown <= ALLOWED_KIB, "decoding made the process {grown} KiB larger");

    let large = vec![1_u8; 256 << 20];
    let seen = peak_kib() - before;
    assert!(seen > ALLOWED_KIB, "the measure does not see {} bytes", large.len());
}

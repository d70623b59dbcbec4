//! The thread that writes recordings: one file for each room and epoch, in one directory.
//!
//! No file stays open between two writes, so that any number of rooms costs no descriptors. Whatever
//! the disk says is logged and counted, and nothing else notices; files are never removed.

use super::Packet;
use crate::metrics::{Block, Counter};
use crossbeam_channel::{Receiver, RecvTimeoutError};
use madang_engine::room::record::{RecordEnd, RecordEvent, RecordHeader, RecordItem, to_line};
use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// What names of recordings end in.
pub const SUFFIX: &str = ".madang.jsonl";

/// Lines wait at most so long for others.
const FLUSH_EVERY: Duration = Duration::from_millis(500);
/// Or until they are so many bytes.
const BUFFER_BYTES: usize = 64 << 10;
/// Bytes of every file that are kept for saying why it ends.
const END_BYTES: u64 = 512;
/// Failures are logged at most this often.
const SAY_EVERY: Duration = Duration::from_secs(1);

/// Where to, and how much.
#[derive(Clone, Debug)]
pub struct RecordSettings {
    /// The directory; made when it is needed first.
    pub dir: PathBuf,
    /// Most bytes of a file.
    pub file_bytes_max: u64,
    /// Most recordings in the directory; beyond it rooms are not recorded.
    pub files_max: usize,
}

/// Writes until everybody who could send is gone.
pub(super) fn run(
    settings: RecordSettings,
    packets: &Receiver<Packet>,
    in_flight: &AtomicUsize,
    block: Arc<Block>,
) {
    let mut writer = Writer {
        settings,
        files: BTreeMap::new(),
        block,
        counts: Counts::default(),
        said: None,
        unsaid: 0,
    };
    let mut flush_at = Instant::now() + FLUSH_EVERY;
    loop {
        match packets.recv_deadline(flush_at) {
            Ok(packet) => {
                let bytes = packet.bytes;
                writer.take(packet);
                in_flight.fetch_sub(bytes, Ordering::Relaxed);
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => break,
        }
        if Instant::now() >= flush_at {
            writer.flush_all();
            flush_at = Instant::now() + FLUSH_EVERY;
        }
        writer.count();
    }
    for channel in writer.files.keys().copied().collect::<Vec<_>>() {
        writer.end(channel, &RecordEnd::Stopped);
    }
    writer.count();
}

struct Writer {
    settings: RecordSettings,
    /// Recordings that go on, by the numbers of their rooms.
    files: BTreeMap<u32, RoomFile>,
    block: Arc<Block>,
    counts: Counts,
    /// When something was last logged, and what was not since.
    said: Option<Instant>,
    unsaid: u64,
}

/// A recording that goes on.
struct RoomFile {
    path: PathBuf,
    room: Box<str>,
    /// Lines that are not in the file yet.
    buffer: Vec<u8>,
    /// Bytes that are.
    written: u64,
}

#[derive(Default)]
struct Counts {
    begun: u64,
    bytes: u64,
    /// By reason, as [`Why`].
    cut: [u64; 4],
}

/// Why a room is not, or no longer, recorded.
#[derive(Clone, Copy)]
enum Why {
    Behind,
    Size,
    Files,
    Disk,
}

impl Writer {
    fn take(&mut self, packet: Packet) {
        for channel in packet.cut {
            self.cut(channel, Why::Behind, "the recorder was behind");
        }
        for RecordItem { channel, event } in packet.items {
            match event {
                RecordEvent::Begun(header) => self.begin(channel, *header),
                RecordEvent::Ended(end) => self.end(channel, &end),
                event => self.append(channel, &event),
            }
        }
    }

    fn begin(&mut self, channel: u32, header: RecordHeader) {
        // Rooms of one number follow one another; the end of the earlier one was lost.
        self.cut(channel, Why::Behind, "its end was lost");
        let room = header.room.clone();
        let made = self.make(&header);
        let line = to_line(&RecordEvent::Begun(Box::new(header)));
        match made {
            Ok(path) => {
                self.counts.begun += 1;
                let file = RoomFile { path, room, buffer: line, written: 0 };
                self.files.insert(channel, file);
                self.flush(channel);
            }
            Err((why, error)) => self.lost(&room, why, &error),
        }
    }

    /// Makes the file of a recording, if it may have one.
    fn make(&self, header: &RecordHeader) -> Result<PathBuf, (Why, String)> {
        let dir = &self.settings.dir;
        let disk = |error: io::Error| (Why::Disk, format!("{}: {error}", dir.display()));
        fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(disk)?;
        let is_recording = |name: &std::ffi::OsStr| name.to_string_lossy().ends_with(SUFFIX);
        let files = fs::read_dir(dir).map_err(disk)?;
        let files = files.filter_map(Result::ok).filter(|entry| is_recording(&entry.file_name()));
        if files.take(self.settings.files_max).count() >= self.settings.files_max {
            let most = self.settings.files_max;
            return Err((Why::Files, format!("{} holds {most} recordings", dir.display())));
        }
        let path = dir.join(file_name(header));
        let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
        made.map(|_| path).map_err(disk)
    }

    fn append(&mut self, channel: u32, event: &RecordEvent<'_>) {
        let Some(file) = self.files.get_mut(&channel) else { return };
        let line = to_line(event);
        let bytes = file.written + (file.buffer.len() + line.len()) as u64;
        if bytes + END_BYTES > self.settings.file_bytes_max {
            self.cut(channel, Why::Size, "it is as large as it may be");
            return;
        }
        file.buffer.extend_from_slice(&line);
        if file.buffer.len() >= BUFFER_BYTES {
            self.flush(channel);
        }
    }

    /// Ends a recording, if there is one.
    fn end(&mut self, channel: u32, end: &RecordEnd) {
        let Some(file) = self.files.get_mut(&channel) else { return };
        let line = to_line(&RecordEvent::Ended(end.clone()));
        let bytes = file.written + (file.buffer.len() + line.len()) as u64;
        if bytes > self.settings.file_bytes_max {
            self.cut(channel, Why::Size, "its end does not fit");
            return;
        }
        file.buffer.extend_from_slice(&line);
        self.flush(channel);
        self.files.remove(&channel);
    }

    /// Ends a recording whose room goes on, if there is one.
    fn cut(&mut self, channel: u32, why: Why, words: &str) {
        let Some(file) = self.files.get_mut(&channel) else { return };
        let room = file.room.clone();
        file.buffer.extend(to_line(&RecordEvent::Ended(RecordEnd::Cut(words.into()))));
        // A failure of the disk on top of this is said as well.
        self.flush(channel);
        self.files.remove(&channel);
        self.lost(&room, why, words);
    }

    fn flush_all(&mut self) {
        for channel in self.files.keys().copied().collect::<Vec<_>>() {
            self.flush(channel);
        }
    }

    /// Writes what waits. A recording that cannot be written ends.
    fn flush(&mut self, channel: u32) {
        let Some(file) = self.files.get_mut(&channel).filter(|file| !file.buffer.is_empty()) else {
            return;
        };
        match write(file) {
            Ok(bytes) => self.counts.bytes += bytes,
            Err(error) => {
                let words = format!("{}: {error}", file.path.display());
                let room = file.room.clone();
                mend(file);
                self.files.remove(&channel);
                self.lost(&room, Why::Disk, &words);
            }
        }
    }

    /// Counts and logs that a room is not recorded.
    fn lost(&mut self, room: &str, why: Why, words: &str) {
        self.counts.cut[why as usize] += 1;
        if self.said.is_some_and(|said| said.elapsed() < SAY_EVERY) {
            self.unsaid += 1;
            return;
        }
        let others = std::mem::take(&mut self.unsaid);
        tracing::warn!(room, why = words, others, "a room is not recorded any further");
        self.said = Some(Instant::now());
    }

    fn count(&self) {
        let [behind, size, files, disk] = self.counts.cut;
        for (counter, value) in [
            (Counter::RecordingsOpen, self.files.len() as u64),
            (Counter::Recordings, self.counts.begun),
            (Counter::RecordedBytes, self.counts.bytes),
            (Counter::RecordingsCutBehind, behind),
            (Counter::RecordingsCutSize, size),
            (Counter::RecordingsCutFiles, files),
            (Counter::RecordingsCutDisk, disk),
        ] {
            self.block.set(counter, value);
        }
    }
}

fn open(file: &RoomFile) -> io::Result<File> {
    // Not made anew: who takes a file away wants no rest of it.
    OpenOptions::new().append(true).open(&file.path)
}

fn write(file: &mut RoomFile) -> io::Result<u64> {
    open(file)?.write_all(&file.buffer)?;
    let bytes = file.buffer.len() as u64;
    file.written += bytes;
    file.buffer.clear();
    if file.buffer.capacity() > 2 * BUFFER_BYTES {
        file.buffer = Vec::new();
    }
    Ok(bytes)
}

/// After a write that failed: leaves whole lines, and says that there are no more. As far as the disk lets it.
fn mend(file: &RoomFile) {
    let mended = open(file).and_then(|mut open| {
        open.set_len(file.written)?;
        let end = RecordEnd::Cut("the disk did not take more".into());
        open.write_all(&to_line(&RecordEvent::Ended(end)))
    });
    if let Err(error) = mended {
        tracing::debug!(%error, "a recording has no end");
    }
}

/// `20261121T044722Z-arena.7-0a1b2c3d4e5f6071.madang.jsonl`
fn file_name(header: &RecordHeader) -> String {
    // Names of rooms have no others; this is for the day on which they do.
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-._~:@".contains(c);
    let room: String = header.room.chars().map(|c| if is_plain(c) { c } else { '_' }).collect();
    format!("{}-{room}-{}{SUFFIX}", utc(header.at_ms), header.epoch)
}

/// A time in UTC to the second, so that names in their order are times in theirs.
fn utc(at_ms: u64) -> String {
    let seconds = at_ms / 1000;
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    // Days are counted from 0000-03-01, so that a leap day ends its year.
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let (month, next) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    let year = era * 400 + year_of_era + next;
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_days_of_the_calendar() {
        for (seconds, text) in [
            (0, "19700101T000000Z"),
            (951_782_399, "20000228T235959Z"),
            (951_782_400, "20000229T000000Z"),
            (951_868_800, "20000301T000000Z"),
            (1_704_067_199, "20231231T235959Z"),
            (4_107_542_400, "21000301T000000Z"),
        ] {
            assert_eq!(utc(seconds * 1000), text);
        }
    }
}

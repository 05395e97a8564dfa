//! The file. It begins with a line that tells which generation of it this is; each line after that is a group of records,
//! behind its checksum. All who have it open take turns by a lock beside it.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, BufRead as _, BufReader, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::record::Record;
use crate::rows::Rows;

/// While another process has its turn.
const PAUSE: Duration = Duration::from_millis(1);

/// Records of one line of a new generation.
const GROUP: usize = 256;

/// The file is written anew when it holds this many times the records that are needed …
const SLACK: usize = 4;

/// … and is not short.
const SHORT: usize = 4096;

#[derive(Debug)]
pub(crate) struct Journal {
    folder: PathBuf,
    lock: File,
    /// How far the rows follow the file; none before it was read, or when it is not known what is in it.
    read: Option<Read>,
}

#[derive(Debug)]
struct Read {
    file: File,
    generation: u64,
    bytes: u64,
    records: usize,
}

/// A turn with the file, which ends when this is dropped.
pub(crate) struct Turn<'a> {
    journal: &'a mut Journal,
    rows: &'a mut Rows,
}

impl Journal {
    pub(crate) fn open(folder: &Path) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        let lock = OpenOptions::new().create(true).truncate(false).write(true).open(folder.join("lock"))?;
        Ok(Self { folder: folder.to_owned(), lock, read: None })
    }

    /// Waits for a turn, and brings the rows up to date with what others have written.
    pub(crate) fn turn<'a>(&'a mut self, rows: &'a mut Rows, patience: Duration) -> io::Result<Turn<'a>> {
        let started = Instant::now();
        while let Err(error) = self.lock.try_lock() {
            match error {
                TryLockError::WouldBlock if started.elapsed() < patience => std::thread::sleep(PAUSE),
                TryLockError::WouldBlock => return Err(io::ErrorKind::TimedOut.into()),
                TryLockError::Error(error) => return Err(error),
            }
        }
        let turn = Turn { journal: self, rows };
        turn.catch_up()
    }

    fn path(&self) -> PathBuf {
        self.folder.join("journal")
    }
}

impl<'a> Turn<'a> {
    pub(crate) fn rows(&mut self) -> &mut Rows {
        self.rows
    }

    fn catch_up(mut self) -> io::Result<Self> {
        let file = match OpenOptions::new().read(true).append(true).open(self.journal.path()) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                *self.rows = Rows::default();
                self.write_anew(1)?;
                return Ok(self);
            }
            Err(error) => return Err(error),
        };
        let mut reader = BufReader::new(&file);
        let mut first = String::new();
        reader.read_line(&mut first)?;
        let generation: u64 = first
            .strip_prefix("jaas journal 1, generation ")
            .and_then(|number| number.trim_end().parse().ok())
            .ok_or_else(|| corrupt("its first line is not that of a journal"))?;
        let known = self.journal.read.take().filter(|read| read.generation == generation);
        let (mut bytes, mut records) = match &known {
            Some(read) => (read.bytes, read.records),
            None => {
                *self.rows = Rows::default();
                // Whoever wrote it may have died before the folder was on the disk too.
                sync_folder(&self.journal.folder)?;
                (first.len() as u64, 0)
            }
        };
        let mut news = Vec::new();
        reader.seek(SeekFrom::Start(bytes))?;
        reader.read_to_end(&mut news)?;
        let mut rest = &news[..];
        while !rest.is_empty() {
            let line = rest.iter().position(|byte| *byte == b'\n').map(|end| &rest[..=end]);
            match line.and_then(parse) {
                Some(group) => {
                    group.iter().for_each(|record| self.rows.apply(record));
                    records += group.len();
                    let line = line.map_or(0, <[u8]>::len);
                    bytes += line as u64;
                    rest = &rest[line..];
                }
                // Nobody was told that the last group is there before it was there as a whole.
                None if line.is_none_or(|line| line.len() == rest.len()) => {
                    tracing::warn!(bytes = rest.len(), "the journal's last line is not whole and is cut off");
                    file.set_len(bytes)?;
                    break;
                }
                None => return Err(corrupt(&format!("the line at byte {bytes} does not fit its checksum"))),
            }
        }
        if !news.is_empty() {
            // Whoever wrote it may have died before it was on the disk, and it is relied on from now on.
            file.sync_all()?;
        }
        self.journal.read = Some(Read { file, generation, bytes, records });
        Ok(self)
    }

    /// Makes durable what was changed in the rows, wholly or not at all.
    pub(crate) fn commit(&mut self) -> io::Result<()> {
        let changes = self.rows.take_changes();
        let erased = self.rows.take_erased();
        let Some(mut read) = self.journal.read.take() else { return Err(corrupt("it was not read")) };
        if erased {
            // What was erased must go from the disk too, so the line is not appended at all.
            return self.write_anew(read.generation + 1);
        }
        if !changes.is_empty() {
            let line = line(&changes)?;
            if let Err(error) = read.file.write_all(&line).and_then(|()| read.file.sync_data()) {
                // Take back what may be there in part, or in memory only; if that fails too, it is read as it is.
                let taken_back = read.file.set_len(read.bytes).and_then(|()| read.file.sync_all());
                return Err(taken_back.err().unwrap_or(error));
            }
            read.bytes += line.len() as u64;
            read.records += changes.len();
        }
        let (generation, records) = (read.generation, read.records);
        self.journal.read = Some(read);
        if records > SHORT && records / SLACK > self.rows.needed() {
            // All is safe already; a full disk must not keep events from being accepted as long as lines fit.
            if let Err(error) = self.write_anew(generation + 1) {
                tracing::warn!(%error, "the journal could not be written anew; it goes on growing");
            }
        }
        Ok(())
    }

    /// Writes what is needed into a new file, which takes the place of the old one.
    fn write_anew(&mut self, generation: u64) -> io::Result<()> {
        let path = self.journal.folder.join("journal.new");
        let mut file = File::create(&path)?;
        let mut written = format!("jaas journal 1, generation {generation}\n").into_bytes();
        let records: Vec<Record> = self.rows.snapshot().collect();
        for group in records.chunks(GROUP) {
            written.extend(line(group)?);
        }
        file.write_all(&written)?;
        file.sync_all()?;
        fs::rename(&path, self.journal.path())?;
        sync_folder(&self.journal.folder)?;
        let file = OpenOptions::new().read(true).append(true).open(self.journal.path())?;
        let (bytes, records) = (written.len() as u64, records.len());
        self.journal.read = Some(Read { file, generation, bytes, records });
        Ok(())
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        if let Err(error) = self.journal.lock.unlock() {
            tracing::error!(%error, "the journal's lock could not be given back");
        }
    }
}

fn line(group: &[Record]) -> io::Result<Vec<u8>> {
    let json = serde_json::to_vec(group)?;
    let mut line = format!("{:08x} ", crc32fast::hash(&json)).into_bytes();
    line.extend(json);
    line.push(b'\n');
    Ok(line)
}

fn parse(line: &[u8]) -> Option<Vec<Record>> {
    let (sum, json) = line.strip_suffix(b"\n")?.split_at_checked(9)?;
    let sum = u32::from_str_radix(str::from_utf8(sum).ok()?.strip_suffix(' ')?, 16).ok()?;
    if crc32fast::hash(json) != sum { None } else { serde_json::from_slice(json).ok() }
}

fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

fn corrupt(why: &str) -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        format!("the journal is damaged: {why}; restore it from a backup"),
    )
}

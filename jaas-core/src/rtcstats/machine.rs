//! From the bytes of a file to its entries, without reading any input itself: both readers are built on it.

use std::io::{self, BufRead, Read};
use std::mem;

use flate2::bufread::GzDecoder;

use super::DEFAULT_MAX_LINE;
use super::entry::{self, Entry};
use super::error::{RtcstatsError, RtcstatsErrorKind};
use super::lines::{Line, Lines};

/// How much is read, and decompressed, in one step.
const PIECE: usize = 32 * 1024;

/// The first bytes of gzip (RFC 1952).
const MAGIC: [u8; 2] = [0x1f, 0x8b];

/// Asks for input, and returns entries.
#[derive(Debug)]
pub(super) struct Machine {
    source: Source,
    lines: Lines,
    strict: bool,
    /// Why the file ended, not yet returned.
    parting: Option<RtcstatsError>,
    ended: bool,
}

/// What to do next.
#[derive(Debug)]
pub(super) enum Step {
    /// Return this to the caller.
    Item(Result<Entry, RtcstatsError>),
    /// Step again; a bounded piece of work was done.
    Again,
    /// Fill [`room`](Machine::room), or part of it, and report how much.
    Input,
    /// The file is at its end.
    End,
}

#[derive(Debug)]
enum Source {
    /// The first bytes have not arrived.
    Unknown(Input),
    Plain(Input),
    Gzip {
        /// Of one member; the next member gets a new decoder.
        decoder: Box<GzDecoder<Input>>,
        output: Box<[u8]>,
        /// A member has ended: another member, zeros, or the end follows.
        between: bool,
        /// Zeros have arrived, with which block devices and tapes fill up: only zeros may follow.
        padded: bool,
    },
}

impl Machine {
    pub(super) fn new() -> Self {
        Self {
            source: Source::Unknown(Input::new()),
            lines: Lines::new(DEFAULT_MAX_LINE),
            strict: false,
            parting: None,
            ended: false,
        }
    }

    pub(super) fn set_max_line(&mut self, max: usize) {
        self.lines.set_max(max);
    }

    pub(super) fn set_strict(&mut self) {
        self.strict = true;
    }

    /// Where input goes, when a step asked for it.
    pub(super) fn room(&mut self) -> &mut [u8] {
        self.source.input().room()
    }

    /// Reports how many bytes were put into the room; none means that the input has ended.
    pub(super) fn filled(&mut self, len: usize) {
        self.source.input().filled(len);
    }

    /// Reports that the input failed.
    pub(super) fn failed(&mut self, error: io::Error) -> RtcstatsError {
        self.ended = true;
        RtcstatsError::io(self.lines.number(), error)
    }

    pub(super) fn step(&mut self) -> Step {
        if let Some(error) = self.parting.take() {
            return self.end(Err(error));
        }
        if self.ended {
            return Step::End;
        }
        let item = match self.lines.next() {
            None => return self.more(),
            Some(Line::TooLong) => Err(self.too_long()),
            Some(Line::Whole(line)) => match text(line) {
                Ok("") => return Step::Again,
                Ok(text) => {
                    let text = text.into();
                    let number = self.lines.number();
                    Entry::from_line(number, text).map_err(|error| entry::broken(number, &error))
                }
                Err(why) => Err(self.broken(why)),
            },
        };
        if item.is_err() && self.strict {
            self.ended = true;
        }
        Step::Item(item)
    }

    /// Moves a piece on to the lines.
    fn more(&mut self) -> Step {
        match &mut self.source {
            Source::Unknown(input) => {
                if input.pending().len() < MAGIC.len() && !input.ended {
                    return Step::Input;
                }
                self.source = Source::by_magic(mem::take(input));
                Step::Again
            }
            Source::Plain(input) => {
                let pending = input.pending();
                if pending.is_empty() {
                    return if input.ended { self.last(None) } else { Step::Input };
                }
                self.lines.push(pending);
                let len = pending.len();
                input.consume(len);
                Step::Again
            }
            Source::Gzip { decoder, between: between @ true, padded, .. } => {
                let input = decoder.get_mut();
                let pending = input.pending();
                let zeros = pending.iter().take_while(|byte| **byte == 0).count();
                *padded |= zeros > 0;
                match pending.get(zeros) {
                    None if input.ended => self.last(None),
                    None => {
                        let len = pending.len();
                        input.consume(len);
                        Step::Input
                    }
                    Some(_) if *padded => self.last(Some(io::ErrorKind::InvalidData.into())),
                    Some(_) => {
                        *between = false;
                        **decoder = GzDecoder::new(mem::take(input));
                        Step::Again
                    }
                }
            }
            Source::Gzip { decoder, output, between, .. } => match decoder.read(output) {
                Ok(0) => {
                    *between = true;
                    Step::Again
                }
                Ok(len) => {
                    self.lines.push(&output[..len]);
                    Step::Again
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => Step::Input,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => Step::Again,
                Err(error) => self.last(Some(error)),
            },
        }
    }

    /// Returns the text after the last line break, and then why the file ended, if the end was not clean.
    fn last(&mut self, error: Option<io::Error>) -> Step {
        let rest = self.lines.rest();
        let number = self.lines.number();
        let entry = match rest.as_deref().map(text) {
            None | Some(Ok("")) => None,
            Some(Ok(text)) => Some(Entry::from_line(number, text.into())),
            Some(Err(why)) if error.is_none() => return self.end(Err(self.broken(why))),
            Some(Err(_)) => None,
        };
        match (entry, error) {
            (None, None) => {
                self.ended = true;
                Step::End
            }
            (Some(Ok(entry)), error) => {
                self.parting = error.map(|error| ended(number, Some(error)));
                self.ended = self.parting.is_none();
                Step::Item(Ok(entry))
            }
            (Some(Err(error)), None) if !error.is_eof() => self.end(Err(entry::broken(number, &error))),
            (_, error) => self.end(Err(ended(number, error))),
        }
    }

    fn end(&mut self, item: Result<Entry, RtcstatsError>) -> Step {
        self.ended = true;
        Step::Item(item)
    }

    fn too_long(&self) -> RtcstatsError {
        let (number, max) = (self.lines.number(), self.lines.max());
        RtcstatsError::new(
            RtcstatsErrorKind::LineTooLong,
            number,
            format!(
                "line {number} is longer than {max} bytes and was skipped; raise `max_line` to accept it"
            ),
        )
    }

    fn broken(&self, why: &str) -> RtcstatsError {
        let number = self.lines.number();
        RtcstatsError::new(
            RtcstatsErrorKind::BrokenLine,
            number,
            format!("line {number} is not an entry: {why}"),
        )
    }
}

impl Source {
    fn by_magic(input: Input) -> Self {
        if input.pending().starts_with(&MAGIC) {
            let (decoder, output) = (Box::new(GzDecoder::new(input)), vec![0; PIECE].into_boxed_slice());
            Self::Gzip { decoder, output, between: false, padded: false }
        } else {
            Self::Plain(input)
        }
    }

    fn input(&mut self) -> &mut Input {
        match self {
            Self::Unknown(input) | Self::Plain(input) => input,
            Self::Gzip { decoder, .. } => decoder.get_mut(),
        }
    }
}

/// Bytes that were read and not yet decompressed.
#[derive(Debug, Default)]
struct Input {
    bytes: Box<[u8]>,
    begin: usize,
    end: usize,
    ended: bool,
}

impl Input {
    fn new() -> Self {
        Self { bytes: vec![0; PIECE].into_boxed_slice(), ..Self::default() }
    }

    fn pending(&self) -> &[u8] {
        &self.bytes[self.begin..self.end]
    }

    fn room(&mut self) -> &mut [u8] {
        if self.begin == self.end {
            (self.begin, self.end) = (0, 0);
        }
        &mut self.bytes[self.end..]
    }

    fn filled(&mut self, len: usize) {
        self.ended = len == 0;
        self.end = (self.end + len).min(self.bytes.len());
    }
}

impl Read for Input {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let len = self.fill_buf()?.read(into)?;
        self.consume(len);
        Ok(len)
    }
}

/// Would block when nothing is pending, so that the decoder can be resumed when more has arrived.
impl BufRead for Input {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.pending().is_empty() && !self.ended {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        Ok(self.pending())
    }

    fn consume(&mut self, len: usize) {
        self.begin = (self.begin + len).min(self.end);
    }
}

/// Returns a line as text, without a byte-order mark, white space, or the carriage return of a Windows line break.
fn text(line: &[u8]) -> Result<&str, &'static str> {
    let text = std::str::from_utf8(line).map_err(|_| "it is not UTF-8")?;
    Ok(text.trim_start_matches('\u{feff}').trim_matches([' ', '\t', '\r']))
}

/// Returns why the file ended, when the end was not clean; without a cause it ended in the middle of a line.
fn ended(line: u64, error: Option<io::Error>) -> RtcstatsError {
    let Some(error) = error else {
        let message =
            format!("the statistics file ends in the middle of line {line}; was the download complete?");
        return RtcstatsError::new(RtcstatsErrorKind::Truncated, line, message);
    };
    if error.kind() == io::ErrorKind::UnexpectedEof {
        let message = format!(
            "the compressed file ends too early, in or after line {line}; was the download complete?"
        );
        return RtcstatsError::new(RtcstatsErrorKind::Truncated, line, message);
    }
    let message = format!("the compressed data is damaged in or after line {line}; download it again");
    RtcstatsError::new(RtcstatsErrorKind::Corrupt, line, message).with_source(error)
}

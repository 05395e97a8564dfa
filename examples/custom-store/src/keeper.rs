//! The thread that owns the journal. Whatever was asked while the last group was written goes into the next one, so that
//! many events share the wait for the disk.

use std::io;
use std::path::Path;
use std::thread;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use crate::journal::Journal;
use crate::rows::Rows;

/// How much may share one write.
const GROUP: usize = 256;

/// Looks at the rows and changes them; what it answers is called once that is on the disk.
pub(crate) type Command = Box<dyn FnOnce(&mut Rows) -> Answer + Send>;
pub(crate) type Answer = Box<dyn FnOnce() + Send>;

/// Opens the journal and keeps it, in a thread that ends when nobody can ask any more.
pub(crate) async fn start(
    folder: &Path,
    queue: usize,
    patience: Duration,
) -> io::Result<mpsc::Sender<Command>> {
    let (sender, commands) = mpsc::channel(queue);
    let (opened, when_opened) = oneshot::channel();
    let folder = folder.to_owned();
    thread::Builder::new().name("jaas journal".to_owned()).spawn(move || {
        let mut rows = Rows::default();
        let opening = Journal::open(&folder).and_then(|mut journal| {
            journal.turn(&mut rows, patience).map(drop)?;
            Ok(journal)
        });
        let (journal, told) = match opening {
            Ok(journal) => (Some(journal), Ok(())),
            Err(error) => (None, Err(error)),
        };
        if let (Ok(()), Some(journal)) = (opened.send(told), journal) {
            keep(journal, rows, commands, patience);
        }
    })?;
    when_opened.await.unwrap_or_else(|_| Err(io::ErrorKind::Interrupted.into()))?;
    Ok(sender)
}

fn keep(mut journal: Journal, mut rows: Rows, mut commands: mpsc::Receiver<Command>, patience: Duration) {
    while let Some(first) = commands.blocking_recv() {
        let mut group = vec![first];
        while group.len() < GROUP
            && let Ok(next) = commands.try_recv()
        {
            group.push(next);
        }
        // Answers are dropped when nothing is written, and then those who ask are told that.
        match write(&mut journal, &mut rows, group, patience) {
            Ok(answers) => answers.into_iter().for_each(|answer| answer()),
            Err(error) => tracing::error!(%error, "the journal cannot be read or written"),
        }
    }
}

fn write(
    journal: &mut Journal,
    rows: &mut Rows,
    group: Vec<Command>,
    patience: Duration,
) -> io::Result<Vec<Answer>> {
    let mut turn = journal.turn(rows, patience)?;
    let answers = group.into_iter().map(|command| command(turn.rows())).collect();
    turn.commit()?;
    Ok(answers)
}

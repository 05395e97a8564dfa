//! Writing files into a folder.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

/// What is left of an upload that was cut off is removed when nothing was written to it for this long.
const LEFT_BEHIND: Duration = Duration::from_secs(24 * 60 * 60);

/// A folder that files are written into, one part at a time, and each part is synced before the next.
///
/// Without both, gigabytes wait in memory for the disk, and a database on the same disk waits behind them for seconds at
/// each commit.
#[derive(Clone)]
pub(super) struct Folder {
    root: PathBuf,
    turn: Arc<Semaphore>,
}

impl Folder {
    /// This folder, which is created if needed.
    pub(super) fn create(folder: &Path) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        Ok(Self { root: folder.canonicalize()?, turn: Arc::new(Semaphore::new(1)) })
    }

    pub(super) fn path(&self) -> &Path {
        &self.root
    }

    /// Begins a file at this path below the folder.
    pub(super) async fn begin(&self, below: &str) -> io::Result<FolderUpload> {
        let path = self.root.join(below);
        let staged = blocking(move || Staged::create(path)).await?;
        Ok(FolderUpload { folder: self.clone(), staged: Arc::new(staged) })
    }
}

/// A file that is written beside its place.
pub(super) struct FolderUpload {
    folder: Folder,
    staged: Arc<Staged>,
}

impl FolderUpload {
    /// Appends a part, and syncs it.
    pub(super) async fn write(&self, part: Vec<Bytes>) -> io::Result<()> {
        self.in_turn(move |staged, _| {
            let mut file = &staged.file;
            part.iter().try_for_each(|bytes| file.write_all(bytes))?;
            file.sync_data()
        })
        .await
    }

    /// Moves the file to its place. When this returns, it survives a crash of the machine.
    pub(super) async fn commit(&self) -> io::Result<()> {
        self.in_turn(|staged, root| {
            staged.file.sync_all()?;
            fs::rename(&staged.beside, &staged.path)?;
            sync_folders(&staged.path, root)
        })
        .await
    }

    /// Removes what was written.
    pub(super) async fn abort(&self) -> io::Result<()> {
        self.in_turn(|staged, _| fs::remove_file(&staged.beside)).await
    }

    /// Does a step when no other is done in the folder. A step whose future is dropped keeps its turn until it ends.
    async fn in_turn(
        &self,
        step: impl FnOnce(&Staged, &Path) -> io::Result<()> + Send + 'static,
    ) -> io::Result<()> {
        let (staged, folder) = (self.staged.clone(), self.folder.clone());
        let turn = folder.turn.clone().acquire_owned().await.map_err(io::Error::other)?;
        blocking(move || {
            let _turn = turn;
            step(&staged, &folder.root)
        })
        .await
    }
}

struct Staged {
    file: File,
    beside: PathBuf,
    path: PathBuf,
}

impl Staged {
    fn create(path: PathBuf) -> io::Result<Self> {
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        let mut number = 1;
        loop {
            let beside = numbered(&path, number);
            match OpenOptions::new().write(true).create_new(true).open(&beside) {
                Ok(file) => return Ok(Self { file, beside, path }),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                    remove_if_left_behind(&beside);
                    number += 1;
                }
                Err(error) => return Err(error),
            }
        }
    }
}

/// The file with this number beside its place. `object_store` numbers the files of its uploads in the same way, and does
/// not list them.
fn numbered(path: &Path, number: u32) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!("#{number}"));
    name.into()
}

/// Removes a file that an upload has left behind which was cut off.
fn remove_if_left_behind(beside: &Path) {
    let modified = fs::metadata(beside).and_then(|metadata| metadata.modified());
    // An upload that still runs writes to it all the time.
    let age = modified.ok().and_then(|at| at.elapsed().ok());
    if age.is_some_and(|age| age > LEFT_BEHIND) {
        // Nothing depends on it: the next upload tries again.
        let _ = fs::remove_file(beside);
    }
}

/// Syncs the folders that may have been created for a file, and that have its name.
#[cfg(unix)]
fn sync_folders(path: &Path, root: &Path) -> io::Result<()> {
    let mut folders = path.ancestors().skip(1).take_while(|folder| folder.starts_with(root));
    folders.try_for_each(|folder| File::open(folder)?.sync_all())
}

/// Folders cannot be synced on other systems.
#[cfg(not(unix))]
fn sync_folders(_: &Path, _: &Path) -> io::Result<()> {
    Ok(())
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    spawn_blocking(work).await.map_err(io::Error::other)?
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
        let mut names: Vec<_> = entries.map(|name| name.into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[tokio::test]
    async fn two_uploads_of_one_file_do_not_mix() {
        let temporary = tempfile::tempdir().unwrap();
        let folder = Folder::create(temporary.path()).unwrap();
        let (first, second) = (folder.begin("room/a").await.unwrap(), folder.begin("room/a").await.unwrap());
        first.write(vec!["first".into(), " of two".into()]).await.unwrap();
        second.write(vec!["second".into()]).await.unwrap();
        assert_eq!(
            names(&temporary.path().join("room")),
            ["a#1", "a#2"],
            "nothing is visible before it is whole"
        );
        first.commit().await.unwrap();
        assert_eq!(fs::read(temporary.path().join("room/a")).unwrap(), b"first of two");
        second.commit().await.unwrap();
        assert_eq!(fs::read(temporary.path().join("room/a")).unwrap(), b"second");
        assert_eq!(names(&temporary.path().join("room")), ["a"]);
    }

    #[tokio::test]
    async fn what_a_crash_has_left_behind_is_removed_after_a_day() {
        let temporary = tempfile::tempdir().unwrap();
        let folder = Folder::create(temporary.path()).unwrap();
        let new = temporary.path().join("a#1");
        let old = temporary.path().join("a#2");
        fs::write(&new, "new").unwrap();
        File::create(&old).unwrap().set_modified(SystemTime::UNIX_EPOCH).unwrap();
        let upload = folder.begin("a").await.unwrap();
        assert_eq!(names(temporary.path()), ["a#1", "a#3"]);
        upload.abort().await.unwrap();
        assert_eq!(names(temporary.path()), ["a#1"], "another archiver may be writing it");
    }
}

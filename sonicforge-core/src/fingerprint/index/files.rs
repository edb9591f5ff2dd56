//! The few things an index asks of a folder, so that a test can stand in for the disk.

use std::fmt::Debug;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::segment::Bytes;

/// A folder of files. Names hold no separators.
pub(super) trait Files: Send + Sync + Debug {
    /// What to call it in messages.
    fn place(&self) -> PathBuf;
    /// A new and empty file; one of this name that was there is gone.
    fn create(&self, name: &str) -> io::Result<Box<dyn Appended>>;
    /// A file that is there, cut to `len`, to be written on.
    fn append(&self, name: &str, len: u64) -> io::Result<Box<dyn Appended>>;
    /// All of a file.
    fn read(&self, name: &str) -> io::Result<Vec<u8>>;
    /// All of a file that never changes again.
    fn map(&self, name: &str) -> io::Result<Bytes>;
    /// Puts a file in the place of another, at once.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;
    fn remove(&self, name: &str) -> io::Result<()>;
    fn list(&self) -> io::Result<Vec<String>>;
    /// Returns when what was created, renamed and removed is on the disk.
    fn sync_folder(&self) -> io::Result<()>;
    /// Held until it is dropped: nobody else writes. `None` when somebody else does, after `wait`.
    fn lock(&self, wait: Duration) -> io::Result<Option<Box<dyn Send + Sync + Debug>>>;
}

/// A file that is only written at its end.
pub(super) trait Appended: Send + Sync + Debug {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()>;
    /// Returns when what was written is on the disk.
    fn sync(&mut self) -> io::Result<()>;
    fn truncate(&mut self, len: u64) -> io::Result<()>;
}

/// A folder of the file system.
#[derive(Debug)]
pub(super) struct Folder(PathBuf);

/// Whose lock it is.
const LOCK: &str = "lock";

impl Folder {
    /// Makes it when it is not there and `create` is set.
    pub fn open(path: &Path, create: bool) -> io::Result<Self> {
        if create && !path.is_dir() {
            fs::create_dir_all(path)?;
            if let Some(parent) = path.parent().filter(|p| !p.as_os_str().is_empty()) {
                sync_folder(parent)?;
            }
        }
        Ok(Self(path.to_path_buf()))
    }
}

impl Files for Folder {
    fn place(&self) -> PathBuf {
        self.0.clone()
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn Appended>> {
        Ok(Box::new(OpenOptions::new().write(true).create(true).truncate(true).open(self.0.join(name))?))
    }

    fn append(&self, name: &str, len: u64) -> io::Result<Box<dyn Appended>> {
        let mut file = OpenOptions::new().write(true).open(self.0.join(name))?;
        file.set_len(len)?;
        file.seek(io::SeekFrom::End(0))?;
        Ok(Box::new(file))
    }

    fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        fs::read(self.0.join(name))
    }

    fn map(&self, name: &str) -> io::Result<Bytes> {
        let file = File::open(self.0.join(name))?;
        if file.metadata()?.len() == 0 {
            return Ok(Arc::new(Vec::new()));
        }
        // SAFETY: segments are written once, before anything names them, and never again; if a stranger cuts the file short while
        // it is mapped the process is killed by the system, as with every map.
        let map = unsafe { memmap2::Mmap::map(&file)? };
        Ok(Arc::new(map))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.0.join(from), self.0.join(to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.0.join(name))
    }

    fn list(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.0)? {
            names.extend(entry?.file_name().into_string().ok());
        }
        names.sort();
        Ok(names)
    }

    fn sync_folder(&self) -> io::Result<()> {
        sync_folder(&self.0)
    }

    fn lock(&self, wait: Duration) -> io::Result<Option<Box<dyn Send + Sync + Debug>>> {
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(self.0.join(LOCK))?;
        let began = Instant::now();
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Some(Box::new(file))),
                Err(fs::TryLockError::WouldBlock) if began.elapsed() < wait => {
                    std::thread::sleep(Duration::from_millis(10).min(wait));
                }
                Err(fs::TryLockError::WouldBlock) => return Ok(None),
                Err(fs::TryLockError::Error(e)) => return Err(e),
            }
        }
    }
}

impl Appended for File {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.write_all(bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.sync_data()
    }

    fn truncate(&mut self, len: u64) -> io::Result<()> {
        self.set_len(len)?;
        self.seek(io::SeekFrom::End(0)).map(|_| ())
    }
}

#[cfg(unix)]
fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// Windows keeps its own log of names.
#[cfg(not(unix))]
fn sync_folder(_: &Path) -> io::Result<()> {
    Ok(())
}

/// Many small writes as few large ones.
pub(super) struct Buffered<'a> {
    file: &'a mut dyn Appended,
    waiting: Vec<u8>,
}

impl<'a> Buffered<'a> {
    pub fn new(file: &'a mut dyn Appended) -> Self {
        Self { file, waiting: Vec::with_capacity(1 << 20) }
    }
}

impl Write for Buffered<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.waiting.len() + bytes.len() > 1 << 20 {
            self.flush()?;
        }
        self.waiting.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if !self.waiting.is_empty() {
            self.file.write(&self.waiting)?;
            self.waiting.clear();
        }
        Ok(())
    }
}

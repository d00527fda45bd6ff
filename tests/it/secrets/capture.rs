//! Captures every file that is created below a directory, even if it is removed.
//!
//! Each new file gets a hard link outside the directory at once, and its content is recorded each time it is closed after
//! writing. Not captured: a file that is created and removed, or truncated, before the watching thread handles it (well under
//! a millisecond on an idle machine), and content that is overwritten while a file stays open.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    thread::JoinHandle,
};

use inotify::{EventMask, Inotify, WatchDescriptor, WatchMask};

/// Maximum size of a file recorded at every close, in bytes; of a larger one only the last state is captured.
const COPIED: u64 = 4 << 20;
/// Creating a file of this name ends the watch.
const END: &str = "the-end-of-the-watch";

pub(super) struct Capture {
    directory: PathBuf,
    thread: JoinHandle<Watch>,
}

/// A captured file.
pub(super) struct CapturedFile {
    pub path: PathBuf,
    pub content: Vec<u8>,
    /// Only its owner can read it.
    pub private: bool,
}

impl Capture {
    /// Watches `directory`; hard links go into `aside`, which is on the same file system and not below it.
    pub(super) fn start(directory: &Path, aside: &Path) -> Self {
        let mut watch = Watch {
            inotify: Inotify::init().unwrap(),
            directories: BTreeMap::new(),
            aside: aside.to_owned(),
            linked: BTreeMap::new(),
            written: BTreeSet::new(),
        };
        watch.add_directory(directory);
        Self {
            directory: directory.to_owned(),
            thread: std::thread::spawn(move || watch.run()),
        }
    }

    /// Returns everything captured since the start.
    pub(super) fn finish(self) -> Vec<CapturedFile> {
        fs::write(self.directory.join(END), "").unwrap();
        let mut watch = self.thread.join().unwrap();
        watch.add_directory(&self.directory);
        let last = watch.linked.iter().map(|(id, path)| {
            let aside = watch.aside.join(id.to_string());
            CapturedFile {
                path: path.clone(),
                content: fs::read(&aside).unwrap_or_default(),
                private: is_private(&aside),
            }
        });
        let written = watch
            .written
            .iter()
            .map(|(path, content, private)| CapturedFile {
                path: path.clone(),
                content: content.clone(),
                private: *private,
            });
        last.chain(written).collect()
    }
}

struct Watch {
    inotify: Inotify,
    directories: BTreeMap<i32, PathBuf>,
    aside: PathBuf,
    /// Every file by inode, with the path it was first seen at.
    linked: BTreeMap<u64, PathBuf>,
    /// Contents of files when they were closed, and whether they were private.
    written: BTreeSet<(PathBuf, Vec<u8>, bool)>,
}

impl Watch {
    fn run(mut self) -> Self {
        let mut buffer = vec![0; 1 << 16];
        loop {
            let events = self.inotify.read_events_blocking(&mut buffer).unwrap();
            let events: Vec<_> = events.map(|event| event.to_owned()).collect();
            for event in events {
                assert!(!event.mask.contains(EventMask::Q_OVERFLOW), "events lost");
                let directory = self.directories.get(&event.wd.get_watch_descriptor_id());
                let (Some(directory), Some(name)) = (directory, &event.name) else {
                    continue;
                };
                let path = directory.join(name);
                if name == END {
                    return self;
                } else if event.mask.contains(EventMask::ISDIR) {
                    self.add_directory(&path);
                } else if event.mask.contains(EventMask::CLOSE_WRITE) {
                    self.record_content(&path);
                } else {
                    self.link(&path);
                }
            }
        }
    }

    /// Watches a directory, then lists it, so that no file is missed.
    fn add_directory(&mut self, directory: &Path) {
        let mask = WatchMask::CREATE
            | WatchMask::MOVED_TO
            | WatchMask::CLOSE_WRITE
            | WatchMask::ONLYDIR
            | WatchMask::DONT_FOLLOW;
        // A file that is already gone had no content that was not captured.
        let watch: Result<WatchDescriptor, _> = self.inotify.watches().add(directory, mask);
        let Ok(watch) = watch else {
            return;
        };
        self.directories
            .insert(watch.get_watch_descriptor_id(), directory.to_owned());
        for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => self.add_directory(&entry.path()),
                Ok(_) => self.link(&entry.path()),
                Err(_) => {}
            }
        }
    }

    fn link(&mut self, path: &Path) {
        let Ok(about) = path.symlink_metadata() else {
            return;
        };
        let aside = self.aside.join(about.ino().to_string());
        if about.is_file() && fs::hard_link(path, aside).is_ok() {
            self.linked.insert(about.ino(), path.to_owned());
        }
    }

    fn record_content(&mut self, path: &Path) {
        let short = path
            .symlink_metadata()
            .is_ok_and(|about| about.is_file() && about.len() <= COPIED);
        if short && let Ok(content) = fs::read(path) {
            let private = is_private(path);
            self.written.insert((path.to_owned(), content, private));
        }
    }
}

fn is_private(path: &Path) -> bool {
    path.symlink_metadata()
        .is_ok_and(|about| about.mode() & 0o777 & !0o700 == 0)
}

#[test]
fn removed_and_overwritten_files_are_captured() {
    let root = tempfile::tempdir().unwrap();
    let (below, aside) = (root.path().join("below"), root.path().join("aside"));
    fs::create_dir_all(below.join("old")).unwrap();
    fs::create_dir(&aside).unwrap();
    fs::write(below.join("old/file"), "from before").unwrap();
    let capture = Capture::start(&below, &aside);
    let seen = |count: usize| {
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(30);
        while fs::read_dir(&aside).unwrap().count() < count {
            assert!(std::time::Instant::now() < deadline, "{count} files");
            std::thread::yield_now();
        }
    };
    fs::create_dir_all(below.join("new/deep")).unwrap();
    fs::write(below.join("new/deep/file"), "soon removed").unwrap();
    seen(2);
    fs::remove_dir_all(below.join("new")).unwrap();
    fs::write(below.join("file"), "one").unwrap();
    seen(3);
    fs::write(below.join("next"), "").unwrap();
    // Events are ordered: the first content is recorded by now.
    seen(4);
    fs::write(below.join("file"), "two").unwrap();
    let mut captured: Vec<String> = capture
        .finish()
        .into_iter()
        .map(|one| String::from_utf8(one.content).unwrap())
        .collect();
    captured.sort();
    captured.dedup();
    assert_eq!(captured, ["", "from before", "one", "soon removed", "two"]);
}

use std::{
    os::unix::fs::{PermissionsExt, symlink},
    time::SystemTime,
};

use super::*;

const PLAN: &str = r#"{"tasks": [{"id": 1, "status": "pending"}]}"#;
const LONG: Duration = Duration::from_secs(60);

fn plan() -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("tasks.json");
    fs::write(&path, PLAN).unwrap();
    (directory, path)
}

fn done(path: &Path, timeout: Duration) -> Result<Vec<StatusChange>, WriteError> {
    write_status(path, "master", "1", &Status::Done, timeout)
}

/// Returns the names in the folder of the plan.
fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).unwrap().map(Result::unwrap);
    let mut names: Vec<String> = entries
        .map(|entry| entry.file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

fn make_old(path: &Path) {
    let old = SystemTime::now() - Duration::from_secs(30);
    fs::File::open(path).unwrap().set_modified(old).unwrap();
}

#[test]
fn keeps_mode_and_leaves_no_other_files() {
    let (directory, path) = plan();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    assert_eq!(done(&path, LONG).unwrap().len(), 1);
    assert!(fs::read_to_string(&path).unwrap().contains("\"done\""));
    let mode = fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o640);
    assert_eq!(names(directory.path()), ["tasks.json"]);
}

#[test]
fn unchanged_status_writes_nothing() {
    let (_directory, path) = plan();
    done(&path, LONG).unwrap();
    let before = fs::metadata(&path).unwrap();
    assert_eq!(done(&path, LONG).unwrap(), []);
    assert!(same(&fs::metadata(&path).unwrap(), &before));
}

#[test]
fn writes_through_symbolic_link() {
    let (directory, path) = plan();
    let link = directory.path().join("link.json");
    symlink("tasks.json", &link).unwrap();
    done(&link, LONG).unwrap();
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    assert!(fs::read_to_string(&path).unwrap().contains("\"done\""));
    assert_eq!(names(directory.path()), ["link.json", "tasks.json"]);
    // Programs given the link lock the name of the link.
    fs::create_dir(directory.path().join("link.json.lock")).unwrap();
    assert!(matches!(
        write_status(&link, "master", "1", &Status::Review, Duration::ZERO),
        Err(WriteError::Locked(_))
    ));
}

#[test]
fn waits_for_lock_then_names_holder() {
    let (_directory, path) = plan();
    let lock = path.with_extension("json.lock");
    fs::write(&lock, r#"{"pid": 4242, "timestamp": 1}"#).unwrap();
    let refused = done(&path, Duration::ZERO).unwrap_err().to_string();
    assert!(
        refused.contains("tasks.json is locked by process 4242")
            && refused.contains("tasks.json.lock"),
        "{refused}"
    );
    fs::remove_file(&lock).unwrap();
    fs::create_dir(&lock).unwrap();
    let refused = done(&path, Duration::ZERO).unwrap_err().to_string();
    assert!(refused.contains("another program"), "{refused}");
    assert_eq!(fs::read_to_string(&path).unwrap(), PLAN);
    assert!(lock.exists(), "another's lock is not removed");

    let waiting = std::thread::spawn({
        let path = path.clone();
        move || done(&path, LONG)
    });
    fs::remove_dir(&lock).unwrap();
    assert_eq!(waiting.join().unwrap().unwrap().len(), 1);
}

#[test]
fn takes_over_stale_locks() {
    for form in ["file", "directory", "directory with content"] {
        let (directory, path) = plan();
        let lock = path.with_extension("json.lock");
        match form {
            "file" => fs::write(&lock, "").unwrap(),
            "directory" => fs::create_dir(&lock).unwrap(),
            _ => {
                fs::create_dir(&lock).unwrap();
                fs::write(lock.join("x"), "").unwrap();
            }
        }
        make_old(&lock);
        assert_eq!(done(&path, Duration::ZERO).unwrap().len(), 1, "{form}");
        let left = names(directory.path());
        // Files in it are kept.
        let aside = usize::from(form == "directory with content");
        assert_eq!(left.len(), 1 + aside, "{form}: {left:?}");
        assert!(!lock.exists());
    }
}

#[test]
fn never_overwrites_unlocked_changes() {
    let (_directory, path) = plan();
    let (_, before) = load_with_metadata(&path).unwrap();
    fs::write(&path, "{\"tasks\": [ ]}").unwrap();
    let unchanged = || same(&fs::metadata(&path).unwrap(), &before);
    assert!(!replace(&path, &before, b"lost", unchanged).unwrap());
    assert_eq!(fs::read_to_string(&path).unwrap(), "{\"tasks\": [ ]}");
}

#[test]
fn detects_lost_lock_and_keeps_it() {
    let (_directory, path) = plan();
    let place = path.with_extension("json.lock");
    let lock = Lock::take(&path, Duration::ZERO).unwrap();
    assert!(lock.is_ours());
    fs::rename(&place, place.with_extension("stale")).unwrap();
    assert!(!lock.is_ours());
    fs::create_dir(&place).unwrap();
    drop(lock);
    assert!(place.exists());
}

#[test]
fn rejects_non_files_without_waiting() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    fs::create_dir(at("directory")).unwrap();
    nix::unistd::mkfifo(&at("pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(at("socket")).unwrap();
    symlink("loop", at("loop")).unwrap();
    symlink("/dev/zero", at("device")).unwrap();
    for (name, message) in [
        ("directory", "is a directory, not a file"),
        ("pipe", "is a pipe, not a file"),
        ("socket", "is a socket, not a file"),
        ("device", "is a device, not a file"),
        ("loop", "symbolic link loop"),
        ("nothing", "file not found"),
    ] {
        let error = done(&at(name), Duration::ZERO).unwrap_err().to_string();
        assert!(error.contains(message) && error.contains(name), "{error}");
    }
}

#[test]
fn deleted_plan_is_not_recreated() {
    let (directory, path) = plan();
    let lock = path.with_extension("json.lock");
    fs::create_dir(&lock).unwrap();
    let waiting = std::thread::spawn({
        let path = path.clone();
        move || done(&path, LONG)
    });
    fs::remove_file(&path).unwrap();
    fs::remove_dir(&lock).unwrap();
    let error = waiting.join().unwrap().unwrap_err().to_string();
    assert!(
        error.contains("file not found") || error.contains("No such file"),
        "{error}"
    );
    assert_eq!(names(directory.path()), [] as [&str; 0]);
}

//! Durability: acknowledged writes and running jobs survive a killed server and a full disk.

use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use futures::{StreamExt, TryStreamExt};
use k8s_openapi::api::{
    batch::v1::Job,
    core::v1::{ConfigMap, Pod},
};
use kube::{
    Api, Client, ResourceExt,
    api::{
        DeleteParams, ListParams, LogParams, ObjectList, Patch, PatchParams, PostParams,
        WatchEvent, WatchParams,
    },
};
use serde_json::json;

use crate::support::{PROGRAM, TIMEOUT};
use flightdeck_testing::{https_cluster, no_process_stays_below, skipped};

const WRITERS: u64 = 3;
const OBJECTS_EACH: u64 = 4;

/// Pseudo-random numbers (SplitMix64): the same sequence for the same seed.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % end
    }
}

/// The seed of a schedule. A failed test prints it, so that the schedule can be repeated.
struct Seed(u64);

impl Seed {
    fn choose() -> Self {
        let given = std::env::var("FLIGHTDECK_TEST_SEED").ok();
        let now = || std::time::UNIX_EPOCH.elapsed().unwrap().as_nanos() as u64;
        Self(given.map_or_else(now, |seed| seed.parse().unwrap()))
    }
}

impl Drop for Seed {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("repeat with FLIGHTDECK_TEST_SEED={}", self.0);
        }
    }
}

/// A `kube-embedded serve` process.
struct Server {
    child: Child,
    directory: PathBuf,
}

impl Server {
    fn spawn(directory: &Path) -> Self {
        Self::spawn_with(Command::new(PROGRAM), directory)
    }

    fn spawn_with(mut command: Command, directory: &Path) -> Self {
        let child = command
            .arg("serve")
            .arg(directory)
            .stdout(Stdio::piped())
            .stderr(
                fs::File::options()
                    .create(true)
                    .append(true)
                    .open(stderr_file(directory))
                    .unwrap(),
            )
            .spawn()
            .unwrap();
        Self {
            child,
            directory: directory.to_owned(),
        }
    }

    /// Waits until the server accepts connections, and returns a client of it.
    async fn client(&mut self) -> Client {
        let stdout = self.child.stdout.take().unwrap();
        let line = tokio::task::spawn_blocking(move || {
            let mut line = String::new();
            BufReader::new(stdout).read_line(&mut line).unwrap();
            line
        });
        let line = tokio::time::timeout(TIMEOUT, line).await.unwrap().unwrap();
        let stderr = || fs::read_to_string(stderr_file(&self.directory)).unwrap();
        assert!(
            line.ends_with("kubeconfig.yaml\n"),
            "{line:?}: {}",
            stderr()
        );
        https_cluster::client(Path::new(line.trim_end())).await
    }
}

/// Returns where the servers of a directory write their errors.
fn stderr_file(directory: &Path) -> PathBuf {
    directory.with_extension("stderr")
}

impl Drop for Server {
    /// Sends SIGKILL.
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn revision(object: &impl ResourceExt) -> u64 {
    object.resource_version().unwrap().parse().unwrap()
}

fn value(map: &ConfigMap) -> u64 {
    map.data.as_ref().unwrap()["value"].parse().unwrap()
}

/// A client that writes its own objects one after the other, and records what the server acknowledged.
struct Writer {
    id: u64,
    random: Random,
    /// Acknowledged value and resource version by name; `None` if deleted.
    known: BTreeMap<String, Option<(u64, u64)>>,
    /// A write without a response: it may have happened or not.
    pending: Option<(String, Option<u64>)>,
    writes: u64,
    highest: u64,
}

impl Writer {
    fn new(id: u64, seed: u64) -> Self {
        Self {
            id,
            random: Random(seed ^ id),
            known: BTreeMap::new(),
            pending: None,
            writes: 0,
            highest: 0,
        }
    }

    /// Writes until the server is killed.
    async fn write(mut self, maps: Api<ConfigMap>) -> Self {
        loop {
            self.writes += 1;
            let name = format!("w{}-{}", self.id, self.random.below(OBJECTS_EACH));
            let value = self.writes;
            let there = self.known.get(&name).is_some_and(Option::is_some);
            let data = json!({"metadata": {"name": name}, "data": {"value": value.to_string()}});
            let result = if there && self.random.below(4) == 0 {
                self.pending = Some((name.clone(), None));
                let deleted = maps.delete(&name, &DeleteParams::default()).await;
                deleted.map(|_| None)
            } else {
                self.pending = Some((name.clone(), Some(value)));
                let written = if there {
                    maps.patch(&name, &PatchParams::default(), &Patch::Merge(data))
                        .await
                } else {
                    let map = serde_json::from_value(data).unwrap();
                    maps.create(&PostParams::default(), &map).await
                };
                written.map(|map| Some((value, revision(&map))))
            };
            match result {
                Ok(state) => {
                    let version = state.map_or(self.highest, |(_, version)| version);
                    assert!(
                        version >= self.highest,
                        "{name}: {version} after {}",
                        self.highest
                    );
                    self.highest = version;
                    self.known.insert(name, state);
                    self.pending = None;
                }
                Err(kube::Error::Api(status)) => panic!("{name}: {status:?}"),
                Err(_) => return self,
            }
        }
    }

    /// Checks the current objects against the acknowledged ones, and records them.
    fn check(&mut self, now: &BTreeMap<String, (u64, u64)>) {
        let pending = self.pending.take();
        for n in 0..OBJECTS_EACH {
            let name = format!("w{}-{n}", self.id);
            let found = now.get(&name).copied();
            let known = self.known.get(&name).copied().flatten();
            let unconfirmed = pending.as_ref().filter(|(of, _)| *of == name);
            let happened =
                unconfirmed.is_some_and(|(_, value)| *value == found.map(|(value, _)| value));
            assert!(
                found == known || happened,
                "{name} was acknowledged as {known:?} (value, version), but is {found:?}; without response: {pending:?}"
            );
            self.known.insert(name, found);
        }
    }
}

/// The ConfigMaps as a watch reported them until the server was killed.
struct Mirror {
    /// Resource versions by name.
    maps: BTreeMap<String, u64>,
    /// The resource version of the last event.
    version: u64,
}

impl Mirror {
    fn of(list: &ObjectList<ConfigMap>) -> Self {
        Self {
            maps: versions(list),
            version: version(list),
        }
    }

    async fn follow(mut self, maps: Api<ConfigMap>) -> Self {
        let since = self.version.to_string();
        let Ok(events) = maps.watch(&WatchParams::default(), &since).await else {
            return self;
        };
        let mut events = events.boxed();
        while let Ok(Some(event)) = events.try_next().await {
            let (WatchEvent::Added(map) | WatchEvent::Modified(map) | WatchEvent::Deleted(map)) =
                &event
            else {
                panic!("{event:?}");
            };
            assert!(
                revision(map) > self.version,
                "a watch went back in time: {event:?}"
            );
            self.version = revision(map);
            if matches!(event, WatchEvent::Deleted(_)) {
                self.maps.remove(&map.name_any());
            } else {
                self.maps.insert(map.name_any(), self.version);
            }
        }
        self
    }

    /// Resumes the watch on a server that holds `list`. It continues without a gap, or fails with 410.
    async fn resume(self, maps: &Api<ConfigMap>, list: &ObjectList<ConfigMap>) {
        assert!(
            version(list) >= self.version,
            "the server is at {}, but a watch was at {}",
            version(list),
            self.version
        );
        let since = self.version.to_string();
        let events = maps.watch(&WatchParams::default(), &since).await.unwrap();
        let probe = json!({"metadata": {"generateName": "probe-"}, "data": {"value": "0"}});
        let probe = serde_json::from_value(probe).unwrap();
        let probe = maps.create(&PostParams::default(), &probe).await.unwrap();
        assert!(
            revision(&probe) > version(list),
            "resource versions increase"
        );
        let first = tokio::time::timeout(TIMEOUT, events.boxed().try_next()).await;
        match first.unwrap().unwrap() {
            Some(WatchEvent::Error(status)) => assert_eq!(status.code, 410),
            Some(WatchEvent::Added(map)) => {
                assert_eq!(map.name_any(), probe.name_any(), "another event came first");
                assert_eq!(self.maps, versions(list), "the watch resumed over a gap");
            }
            other => panic!("{other:?}"),
        }
        let name = probe.name_any();
        maps.delete(&name, &DeleteParams::default()).await.unwrap();
    }
}

fn versions(list: &ObjectList<ConfigMap>) -> BTreeMap<String, u64> {
    list.iter()
        .map(|map| (map.name_any(), revision(map)))
        .collect()
}

fn version(list: &ObjectList<ConfigMap>) -> u64 {
    list.metadata
        .resource_version
        .as_ref()
        .unwrap()
        .parse()
        .unwrap()
}

/// Returns a job that appends its name to `runs`, prints `lines` lines and exits with `code`.
fn job(name: &str, runs: &Path, lines: u64, code: u64) -> Job {
    let script = format!(
        "echo {name} >>'{}'; i=0; while [ $i -lt {lines} ]; do echo line $i; i=$((i+1)); sleep 0.01; done; exit {code}",
        runs.display()
    );
    let container = json!({"name": "main", "image": "x", "command": ["sh", "-c", script]});
    serde_json::from_value(json!({
        "metadata": {"name": name},
        "spec": {"backoffLimit": 0, "template": {"spec": {"restartPolicy": "Never", "containers": [container]}}},
    }))
    .unwrap()
}

async fn wait_for_end(jobs: &Api<Job>, name: &str) -> String {
    let ended = |job: Option<&Job>| {
        let status = job.and_then(|job| job.status.as_ref());
        let all = status
            .and_then(|status| status.conditions.as_ref())
            .into_iter()
            .flatten();
        let mut last = all.filter(|one| matches!(one.type_.as_str(), "Complete" | "Failed"));
        last.next().map(|condition| condition.type_.clone())
    };
    let waiting = kube::runtime::wait::await_condition(jobs.clone(), name, |job: Option<&Job>| {
        ended(job).is_some()
    });
    let Ok(job) = tokio::time::timeout(TIMEOUT, waiting).await else {
        panic!("{name} did not end: {:#?}", jobs.get(name).await);
    };
    ended(job.unwrap().as_ref()).unwrap()
}

/// Checks the exit state and the log of a job's only pod.
async fn check_job(client: &Client, name: &str, lines: u64, code: u64) {
    let ended = wait_for_end(&Api::default_namespaced(client.clone()), name).await;
    assert_eq!(
        ended,
        if code == 0 { "Complete" } else { "Failed" },
        "{name}"
    );
    let pods: Api<Pod> = Api::default_namespaced(client.clone());
    let selector = ListParams::default().labels(&format!("job-name={name}"));
    let found = pods.list(&selector).await.unwrap().items;
    assert_eq!(found.len(), 1, "{name} has one pod");
    let status = serde_json::to_value(&found[0].status).unwrap();
    let state = &status["containerStatuses"][0]["state"]["terminated"];
    assert_eq!(state["exitCode"], code, "{name}: {:#?}", found[0]);
    assert_eq!(status["containerStatuses"][0]["restartCount"], 0, "{name}");
    let log = pods
        .logs(&found[0].name_any(), &LogParams::default())
        .await
        .unwrap();
    let expected: String = (0..lines).map(|n| format!("line {n}\n")).collect();
    assert_eq!(log, expected, "{name}");
}

/// Kills the server twenty times, or `FLIGHTDECK_TEST_KILLS` times. A failure prints its `FLIGHTDECK_TEST_SEED`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_server_keeps_acknowledged_writes_and_jobs() {
    let seed = Seed::choose();
    let kills =
        std::env::var("FLIGHTDECK_TEST_KILLS").map_or(20_u64, |kills| kills.parse().unwrap());
    let mut random = Random(seed.0);
    let home = tempfile::tempdir().unwrap();
    let state = home.path().join("state");
    let runs = home.path().join("runs");
    let mut writers: Vec<Writer> = (0..WRITERS).map(|id| Writer::new(id, seed.0)).collect();
    let mut jobs: BTreeMap<String, (u64, u64)> = BTreeMap::new();
    let (mut mirror, mut newest) = (None::<Mirror>, 0);
    for kill in 0..=kills {
        if random.below(5) == 0 {
            // Kill it while it starts.
            let server = Server::spawn(&state);
            tokio::time::sleep(Duration::from_millis(random.below(150))).await;
            drop(server);
        }
        let mut server = Server::spawn(&state);
        let client = server.client().await;
        let maps: Api<ConfigMap> = Api::default_namespaced(client.clone());
        let list = maps.list(&ListParams::default()).await.unwrap();
        let now: BTreeMap<_, _> = list
            .iter()
            .filter(|map| map.name_any().starts_with('w'))
            .map(|map| (map.name_any(), (value(map), revision(map))))
            .collect();
        for writer in &mut writers {
            writer.check(&now);
            newest = newest.max(writer.highest);
        }
        assert!(
            version(&list) >= newest,
            "the server is at {}, but {newest} was acknowledged",
            version(&list)
        );
        newest = version(&list);
        if let Some(mirror) = mirror.take() {
            mirror.resume(&maps, &list).await;
        }
        if kill == kills {
            for (name, (lines, code)) in &jobs {
                check_job(&client, name, *lines, *code).await;
            }
            let ran = fs::read_to_string(&runs).unwrap();
            let mut ran: Vec<_> = ran.lines().collect();
            ran.sort_unstable();
            assert!(jobs.keys().eq(ran.iter()), "each job ran once: {ran:?}");
            drop(server);
            no_process_stays_below(home.path());
            break;
        }
        let list = maps.list(&ListParams::default()).await.unwrap();
        let watching = tokio::spawn(Mirror::of(&list).follow(maps.clone()));
        let writing: Vec<_> = writers
            .drain(..)
            .map(|writer| tokio::spawn(writer.write(maps.clone())))
            .collect();
        let name = format!("job-{kill}");
        let (lines, code) = (random.below(12), random.below(3));
        let api: Api<Job> = Api::default_namespaced(client.clone());
        api.create(&PostParams::default(), &job(&name, &runs, lines, code))
            .await
            .unwrap();
        jobs.insert(name, (lines, code));
        tokio::time::sleep(Duration::from_millis(random.below(200))).await;
        drop(server);
        for writer in writing {
            writers.push(writer.await.unwrap());
        }
        mirror = Some(watching.await.unwrap());
    }
    let load: u64 = writers.iter().map(|writer| writer.writes).sum();
    assert!(load > kills, "too few writes: {load}");
    eprintln!("{kills} kills, {load} writes, {} jobs", jobs.len());
}

/// Returns a ConfigMap of 300 KB.
fn large(name: &str) -> ConfigMap {
    let data = json!({"metadata": {"name": name}, "data": {"fill": "x".repeat(300_000)}});
    serde_json::from_value(data).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn full_disk_refuses_writes_until_space_is_freed() {
    let raise = |pid: u32| {
        let mut prlimit = Command::new("prlimit");
        prlimit.arg(format!("--pid={pid}")).arg("--fsize=unlimited");
        prlimit.status()
    };
    if Command::new("prlimit").arg("--version").output().is_err() {
        return skipped(
            "full_disk_refuses_writes_until_space_is_freed",
            "prlimit is not installed",
        );
    }
    let home = tempfile::tempdir().unwrap();
    let state = home.path().join("state");
    // Limits the files of the server to 3 MB.
    let mut limited = Command::new("sh");
    let script = r#"trap "" XFSZ; ulimit -S -f 6000; exec "$0" "$@""#;
    limited.args(["-c", script, PROGRAM]);
    let mut server = Server::spawn_with(limited, &state);
    let maps: Api<ConfigMap> = Api::default_namespaced(server.client().await);
    let post = PostParams::default();
    let mut taken = Vec::new();
    let refused = loop {
        let name = format!("m{}", taken.len());
        match maps.create(&post, &large(&name)).await {
            Ok(_) => taken.push(name),
            Err(kube::Error::Api(status)) => break status,
            Err(error) => panic!("{error}"),
        }
        assert!(taken.len() < 40, "the limit has no effect");
    };
    assert_eq!(
        (refused.code, refused.reason.as_str()),
        (500, "InternalError")
    );
    for word in ["cannot commit", "objects.redb", "free some disk space"] {
        assert!(refused.message.contains(word), "{}", refused.message);
    }
    let names = async |maps: &Api<ConfigMap>| -> Vec<String> {
        let list = maps.list(&ListParams::default()).await.unwrap();
        list.iter()
            .map(ResourceExt::name_any)
            .filter(|name| name.starts_with('m'))
            .collect()
    };
    taken.sort();
    assert_eq!(names(&maps).await, taken, "refused writes are not stored");
    assert!(raise(server.child.id()).unwrap().success());
    maps.create(&post, &large("more")).await.unwrap();
    taken.push("more".to_owned());
    drop(server);
    let mut server = Server::spawn(&state);
    let maps: Api<ConfigMap> = Api::default_namespaced(server.client().await);
    assert_eq!(names(&maps).await, taken);
}

#[test]
fn damaged_store_is_named_with_what_to_do() {
    let directory = tempfile::tempdir().unwrap();
    let store = directory.path().join("objects.redb");
    fs::write(&store, "scribbles").unwrap();
    let output = Command::new(PROGRAM)
        .arg("serve")
        .arg(directory.path())
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    for part in [
        "objects.redb is damaged",
        "restore a backup, or move it aside",
    ] {
        assert!(stderr.contains(part), "{stderr}");
    }
    assert_eq!(fs::read(store).unwrap(), b"scribbles");
}

//! Log ends that the controller archives in ConfigMaps when it deletes a pod, imported into the ledger.

use std::{collections::HashSet, io::Read, sync::Arc};

use flate2::read::MultiGzDecoder;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{Api, ResourceExt, api::ListParams};
use serde::Deserialize;

use super::blocking;
use crate::ClusterContext;
use flightdeck_core::{
    log::{LogLine, LogSource},
    runs::{Run, Stage, naming},
};
use flightdeck_host::{cluster::logs::parse_archived_log, ledger::Ledger};

/// Maximum unpacked size of an archived log in bytes; the controller archives a quarter of that.
const UNPACKED_LIMIT: u64 = 1024 * 1024;
/// Label of the ConfigMaps with archived logs (see the controller).
const LOG_ARCHIVES: &str = "flightdeck.dev/archive=log";

/// A finished attempt of a stage, as archived beside its log.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct StageEnd {
    stage: Stage,
    #[serde(default)]
    context_version: i32,
    #[serde(default)]
    attempt: i32,
    #[serde(default)]
    pod_name: Option<String>,
    /// Earlier lines were dropped.
    #[serde(default)]
    truncated: bool,
}

/// Imports the archived logs of pods that are gone. Logs failures, which only leave the ledger incomplete.
pub(super) async fn import(
    context: &ClusterContext,
    ledger: &Ledger,
    run: &Run,
    live: &[Arc<LogSource>],
) {
    let api = Api::<ConfigMap>::namespaced(context.client.clone(), &context.namespace);
    let labels = format!("{LOG_ARCHIVES},{}={}", naming::LABEL_RUN_UID, run.uid());
    let mut archives = match api.list(&ListParams::default().labels(&labels)).await {
        Ok(archives) => archives.items,
        Err(error) => {
            tracing::warn!(run = run.name(), %error, "cannot list archived logs");
            return;
        }
    };
    archives.sort_by_key(|map| (map.creation_timestamp(), map.name_any()));
    let live: HashSet<String> = live.iter().map(|source| source.pod.clone()).collect();
    let (ledger, run) = (ledger.clone(), run.clone());
    let imported = blocking(move || {
        let mut logs = Vec::new();
        for map in &archives {
            let Some((end, containers)) = stage_logs(map) else {
                let (run, map) = (run.name(), map.name_any());
                tracing::warn!(run, map, "cannot parse an archived log");
                continue;
            };
            let gone = end.pod_name.is_none_or(|pod| !live.contains(&pod));
            let containers = containers.into_iter().filter(|_| gone);
            logs.extend(containers.map(|lines| (lines, end.truncated)));
        }
        if !logs.is_empty() {
            // Without the record, the log has no name once the run is deleted.
            ledger.record(&run)?;
        }
        // Creation timestamps have a resolution of one second; the lines are more precise.
        logs.sort_by_key(|(lines, _)| lines.first().map(|line| line.at));
        logs.iter()
            .try_for_each(|(lines, truncated)| ledger.complete(run.uid(), lines, *truncated))
    });
    if let Err(error) = imported.await {
        tracing::warn!(%error, "cannot import an archived log");
    }
}

/// Returns the attempt of an archive, and the lines of each of its containers.
fn stage_logs(map: &ConfigMap) -> Option<(StageEnd, Vec<Vec<LogLine>>)> {
    let end: StageEnd = serde_json::from_str(map.data.as_ref()?.get("end.json")?).ok()?;
    let mut logs = Vec::new();
    for (key, bytes) in map.binary_data.iter().flatten() {
        let stem = key
            .strip_prefix("log")
            .and_then(|key| key.strip_suffix(".gz"));
        let Some(stem) = stem else { continue };
        // The only container of a pod has the name of the stage.
        let container = stem.strip_prefix('-').unwrap_or_else(|| end.stage.as_str());
        let source = LogSource {
            pod: end.pod_name.clone().unwrap_or_else(|| map.name_any()),
            pod_uid: String::new(),
            container: container.to_owned(),
            restart: 0,
            stage: Some(end.stage),
            context_version: end.context_version,
            attempt: end.attempt,
        };
        let mut text = Vec::new();
        let unpacked = MultiGzDecoder::new(bytes.0.as_slice())
            .take(UNPACKED_LIMIT)
            .read_to_end(&mut text);
        // Use what was read up to the damage.
        if let Err(error) = unpacked {
            tracing::warn!(map = map.name_any(), key, %error, "an archived log is damaged");
        }
        logs.push(parse_archived_log(&Arc::new(source), &text));
    }
    logs.sort_by_key(|lines: &Vec<LogLine>| lines.first().map(|line| line.at));
    Some((end, logs))
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, io::Write};

    use flate2::{Compression, write::GzEncoder};
    use k8s_openapi::ByteString;
    use serde_json::json;

    use super::*;

    fn packed(text: &str) -> ByteString {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(text.as_bytes()).unwrap();
        ByteString(encoder.finish().unwrap())
    }

    fn archive(end: &serde_json::Value, logs: &[(&str, ByteString)]) -> ConfigMap {
        ConfigMap {
            data: Some(BTreeMap::from([("end.json".into(), end.to_string())])),
            binary_data: Some(
                logs.iter()
                    .map(|(key, log)| ((*key).into(), log.clone()))
                    .collect(),
            ),
            ..ConfigMap::default()
        }
    }

    #[test]
    fn reads_each_container_of_a_stage() {
        let end = json!({ "stage": "publish", "contextVersion": 2, "attempt": 1, "podName": "x-publish-1", "exitCode": 0, "truncated": true });
        let logs = [
            (
                "log-push.gz",
                packed("2030-01-01T00:00:02Z pushed\n2030-01-01T00:00:02Z pushed\n"),
            ),
            ("log-bundle.gz", packed("2030-01-01T00:00:01.5Z bundled")),
        ];
        let (stage, logs) = stage_logs(&archive(&end, &logs)).unwrap();
        assert!(stage.truncated);
        let lines: Vec<(&str, &str, u32)> = logs
            .iter()
            .flatten()
            .map(|line| {
                (
                    line.source.container.as_str(),
                    line.text.as_str(),
                    line.ordinal,
                )
            })
            .collect();
        assert_eq!(
            lines,
            [
                ("bundle", "bundled", 0),
                ("push", "pushed", 0),
                ("push", "pushed", 1)
            ]
        );
        assert_eq!(
            (
                logs[0][0].source.context_version,
                logs[0][0].source.pod.as_str()
            ),
            (2, "x-publish-1")
        );
    }

    #[test]
    fn reads_damaged_log_up_to_the_damage() {
        let end = json!({ "stage": "agent", "podName": "x-agent-1" });
        let lines =
            (0..5_000).map(|index| format!("2030-01-01T00:00:02Z a line, number {index}\n"));
        let mut log = packed(&lines.collect::<String>());
        log.0.truncate(log.0.len() / 2);
        let (_, logs) =
            stage_logs(&archive(&end, &[("log.gz", log), ("other", packed("x"))])).unwrap();
        assert_eq!(logs.len(), 1);
        let is_prefix = |line: &LogLine| {
            let start = "a line, number ";
            line.text.starts_with(start) || start.starts_with(&line.text)
        };
        assert!(logs[0].iter().all(is_prefix));
        assert!((100..5_000).contains(&logs[0].len()));
        assert_eq!(
            logs[0].first().map(|line| line.source.container.as_str()),
            Some("agent")
        );
        assert!(stage_logs(&archive(&json!({ "stage": "unknown" }), &[])).is_none());
    }
}

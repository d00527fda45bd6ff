//! The table of all metrics: names, types, buckets and help.

use super::text::{Family, Kind};

/// All metrics in the order they are printed, with names and units following the Prometheus conventions.
pub(super) const FAMILIES: &[Family] = &[
    Family::new(
        "flightdeck_build_info",
        Kind::Gauge,
        "Always 1; the version is a label.",
    ),
    Family::new(
        "flightdeck_leader",
        Kind::Gauge,
        "1 while this process is the leader.",
    ),
    Family::new(
        "flightdeck_settings_valid",
        Kind::Gauge,
        "0 while a settings ConfigMap is invalid and older settings are in effect.",
    ),
    Family::new(
        "flightdeck_settings_loads_total",
        Kind::Counter,
        "Reads of settings ConfigMaps, by result (taken, refused).",
    ),
    Family::new(
        "flightdeck_runs",
        Kind::Gauge,
        "Existing runs, by kind and phase.",
    ),
    Family::new(
        "flightdeck_runs_waiting",
        Kind::Gauge,
        "Pending runs, by kind and the reason they wait.",
    ),
    Family::new(
        "flightdeck_stage_ends_total",
        Kind::Counter,
        "Ended attempts of stages, by kind, stage and reason.",
    ),
    Family::new(
        "flightdeck_stage_duration_seconds",
        Kind::Histogram(&[
            5.0, 15.0, 60.0, 300.0, 900.0, 1800.0, 3600.0, 7200.0, 14400.0,
        ]),
        "Duration of attempts, by kind and stage.",
    ),
    Family::new(
        "flightdeck_agent_cost_usd_total",
        Kind::Counter,
        "Cost reported by agents, by kind and agent.",
    ),
    Family::new(
        "flightdeck_agent_tokens_total",
        Kind::Counter,
        "Tokens reported by agents, by kind, agent and type.",
    ),
    Family::new(
        "flightdeck_agent_turns_total",
        Kind::Counter,
        "Turns reported by agents, by kind and agent.",
    ),
    Family::new(
        "flightdeck_reconciles_total",
        Kind::Counter,
        "Reconciliations, by kind and result (ok, or the category of the error).",
    ),
    Family::new(
        "flightdeck_reconcile_duration_seconds",
        Kind::Histogram(&[
            0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0,
        ]),
        "Duration of reconciliations, by kind.",
    ),
    Family::new(
        "flightdeck_reconcile_queue_length",
        Kind::Gauge,
        "Runs waiting to be reconciled, by kind.",
    ),
    Family::new(
        "flightdeck_reconciles_in_progress",
        Kind::Gauge,
        "Runs being reconciled, by kind.",
    ),
    Family::new(
        "flightdeck_api_requests_total",
        Kind::Counter,
        "Requests to the API server, by verb, resource and code (0: no response).",
    ),
    Family::new(
        "process_resident_memory_bytes",
        Kind::Gauge,
        "Resident memory.",
    ),
    Family::new(
        "process_start_time_seconds",
        Kind::Gauge,
        "Start time of the process, in seconds since 1970.",
    ),
];

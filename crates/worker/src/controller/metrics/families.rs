//! The table of everything that is counted: names, kinds, buckets and help.

use super::text::{Family, Kind};

/// Everything that is told, in the order it is printed. Names and units as Prometheus has them.
pub(super) const FAMILIES: &[Family] = &[
    Family::new(
        "flightdeck_build_info",
        Kind::Gauge,
        "Always 1; the version is a label.",
    ),
    Family::new(
        "flightdeck_leader",
        Kind::Gauge,
        "1 while this process leads.",
    ),
    Family::new(
        "flightdeck_settings_valid",
        Kind::Gauge,
        "0 while a ConfigMap of settings is refused and older settings hold.",
    ),
    Family::new(
        "flightdeck_settings_loads_total",
        Kind::Counter,
        "Times a ConfigMap of settings was read, by result (taken, refused).",
    ),
    Family::new(
        "flightdeck_runs",
        Kind::Gauge,
        "Runs there are, by kind and phase.",
    ),
    Family::new(
        "flightdeck_runs_waiting",
        Kind::Gauge,
        "Pending runs by kind and what they wait for.",
    ),
    Family::new(
        "flightdeck_stage_ends_total",
        Kind::Counter,
        "Attempts of stages that ended, by kind, stage and reason.",
    ),
    Family::new(
        "flightdeck_stage_duration_seconds",
        Kind::Histogram(&[
            5.0, 15.0, 60.0, 300.0, 900.0, 1800.0, 3600.0, 7200.0, 14400.0,
        ]),
        "From start to end of an attempt, by kind and stage.",
    ),
    Family::new(
        "flightdeck_agent_cost_usd_total",
        Kind::Counter,
        "What agents said they cost, by kind and agent.",
    ),
    Family::new(
        "flightdeck_agent_tokens_total",
        Kind::Counter,
        "Tokens that agents said they used, by kind, agent and type.",
    ),
    Family::new(
        "flightdeck_agent_turns_total",
        Kind::Counter,
        "Turns that agents said they took, by kind and agent.",
    ),
    Family::new(
        "flightdeck_reconciles_total",
        Kind::Counter,
        "Reconciliations by kind and result (ok, or what helps against the error).",
    ),
    Family::new(
        "flightdeck_reconcile_duration_seconds",
        Kind::Histogram(&[
            0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0,
        ]),
        "How long a reconciliation took, by kind.",
    ),
    Family::new(
        "flightdeck_reconcile_queue_length",
        Kind::Gauge,
        "Runs that are to be reconciled and have not been begun, by kind.",
    ),
    Family::new(
        "flightdeck_reconciles_in_progress",
        Kind::Gauge,
        "Runs that are being reconciled now, by kind.",
    ),
    Family::new(
        "flightdeck_api_requests_total",
        Kind::Counter,
        "Requests to the API server by verb, resource and code (0: no answer).",
    ),
    Family::new(
        "process_resident_memory_bytes",
        Kind::Gauge,
        "Resident memory.",
    ),
    Family::new(
        "process_start_time_seconds",
        Kind::Gauge,
        "When the process began, in seconds since 1970.",
    ),
];

# Run all checks of CI.
check:
    bash .ci/run

# Rewrite generated files: CRDs, screenshots, tables, snapshots.
update:
    UPDATE=1 INSTA_UPDATE=always cargo test

# Run the benchmarks.
bench:
    cargo bench

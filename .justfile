# What must hold before a change lands.
check:
    bash .ci/run

# Rewrite what is generated: CRDs, screenshots, tables, snapshots.
update:
    UPDATE=1 INSTA_UPDATE=always cargo test

# Measure what a person waits for.
bench:
    cargo bench

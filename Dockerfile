# The image of the controller, and of the prep and publish stages of every run: flightdeck, git, git-lfs and ssh.
#
#   docker build --tag registry.example/flightdeck:0.1.0 .      (or podman, buildah, nerdctl, kaniko)
#   flightdeck manifests all --image registry.example/flightdeck:0.1.0 | kubectl apply --server-side -f -
#
# An agent's image also needs flightdeck, which starts the agent: COPY --from=registry.example/flightdeck:0.1.0
# /usr/local/bin/flightdeck /usr/local/bin/flightdeck.

FROM docker.io/library/rust:1.95-slim-bookworm AS build
WORKDIR /src
COPY Cargo.toml Cargo.lock ./
COPY src src
COPY crates crates
COPY benches benches
COPY config config
COPY templates templates
COPY themes themes
RUN cargo build --locked --profile dist --bin flightdeck

FROM docker.io/library/debian:bookworm-slim
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates git git-lfs openssh-client \
    && rm -rf /var/lib/apt/lists/* \
    # ssh requires an entry for the user in /etc/passwd.
    && useradd --uid 1000 --user-group --create-home --shell /usr/sbin/nologin flightdeck
COPY LICENSE /usr/share/doc/flightdeck/LICENSE
COPY --from=build /src/target/dist/flightdeck /usr/local/bin/flightdeck
# Numeric, so that a cluster can verify that it is not root.
USER 1000:1000
ENTRYPOINT ["flightdeck"]

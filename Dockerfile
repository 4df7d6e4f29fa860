# The image of `laterna`: one binary on a glibc, no shell needed at run time, no root.
#   docker build .                                                                        compiles it
#   docker build --target from-binary --build-arg BINARY=dist/laterna .                   takes a finished one
# It must not carry configuration, plugins or secrets: they are mounted.
#
# The stages stand in this order because the classic builder runs them all up to its target: `from-binary` needs
# neither the compiler's image nor a compilation.
ARG BUILD_IMAGE=rust:1.95-bookworm
ARG RUN_IMAGE=debian:bookworm-slim

# Certificates of authorities are compiled into the binary, so none are installed.
FROM ${RUN_IMAGE} AS run
RUN groupadd --gid 65532 laterna \
    && useradd --uid 65532 --gid 65532 --no-create-home --home-dir /var/lib/laterna --shell /usr/sbin/nologin laterna \
    && install --directory --owner=65532 --group=65532 --mode=0700 /var/lib/laterna \
    && install --directory /plugins /etc/laterna
WORKDIR /var/lib/laterna
USER 65532:65532
# Compiled components; the one place that is written to.
VOLUME /var/lib/laterna
# Orchestrators probe /livez (every projection's loop turns) and /readyz (each makes progress) at `host.health`; this asks the
# first of them.
HEALTHCHECK --interval=15s --timeout=10s --start-period=60s --retries=3 \
    CMD ["laterna", "--config", "/etc/laterna/laterna.toml", "health"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["laterna"]
CMD ["run", "--config", "/etc/laterna/laterna.toml"]

FROM run AS from-binary
ARG BINARY=dist/laterna
COPY ${BINARY} /usr/local/bin/laterna

FROM ${BUILD_IMAGE} AS build
WORKDIR /src
COPY . .
RUN cargo build --locked --release --package laterna --bin laterna --features jemalloc

FROM run
COPY --from=build /src/target/release/laterna /usr/local/bin/laterna

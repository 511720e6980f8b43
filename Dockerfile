# The sidecar alone, as one program without root. Build: docker build -t mtx-sidecar .
FROM rust:1-bookworm AS build
RUN apt-get update && apt-get install -y --no-install-recommends cmake nasm && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY Cargo.toml Cargo.lock build.rs sidecar.yml mediamtx.yml ./
COPY src src
COPY static static
COPY benches benches
COPY tests tests
RUN cargo build --release --locked --bin mtx-sidecar

FROM debian:bookworm-slim
# -p: the base image has a /media of its own.
RUN useradd --system --uid 10001 --home-dir /data sidecar && mkdir -p /data /media /config \
    && chown sidecar /data && chmod 700 /data
COPY --from=build /src/target/release/mtx-sidecar /usr/local/bin/
USER sidecar
WORKDIR /config
ENV SIDECAR__DATA_DIR=/data SIDECAR__MEDIA__ROOTS=/media
VOLUME /data
EXPOSE 9995 9554 1234/udp
HEALTHCHECK --interval=10s --timeout=5s --start-period=5s CMD ["mtx-sidecar", "health"]
ENTRYPOINT ["mtx-sidecar"]
CMD ["serve"]

# An image with both programs and nothing else: no shell, no package manager, an
# unprivileged user.
#
#   docker build --build-arg VERSION=$(git describe --tags --always) -t digestgate .
#   docker run -p 8080:8080 -p 8443:8443 -v digestgate:/var/lib/digestgate \
#     -v $PWD/config.yaml:/etc/digestgate/config.yaml:ro digestgate serve -c /etc/digestgate/config.yaml
#
# Who releases images pins both base images by digest as well.
ARG GO_VERSION=1.26.8

# The programs are compiled on the machine that builds, for the one that runs.
FROM --platform=$BUILDPLATFORM golang:${GO_VERSION}-bookworm AS build
ARG TARGETOS
ARG TARGETARCH
ARG VERSION=dev
WORKDIR /src
# No cgo, so that nothing of a system is needed; no other toolchain than this one.
ENV CGO_ENABLED=0 GOTOOLCHAIN=local GOFLAGS=-mod=readonly
COPY go.mod go.sum ./
RUN go mod download
COPY cmd/ cmd/
COPY gate/ gate/
COPY policy/ policy/
COPY scanner/ scanner/
COPY store/ store/
COPY webhooks/ webhooks/
RUN GOOS=$TARGETOS GOARCH=$TARGETARCH \
    go build -trimpath -ldflags "-s -w -X main.version=$VERSION" -o /out/digestgate ./cmd/digestgate
# Trivy's analysers need the experiment; it would change encoding/json in the
# other program, which is built without.
RUN GOOS=$TARGETOS GOARCH=$TARGETARCH GOEXPERIMENT=jsonv2 \
    go build -trimpath -ldflags "-s -w -X main.version=$VERSION" -o /out/digestgate-analyzer ./cmd/digestgate-analyzer
# A new volume takes over the owner of what it is mounted on.
RUN mkdir -m 0700 /out/data

# Certificates of authorities, time zones, /tmp, and the user nonroot (65532).
FROM gcr.io/distroless/static-debian12:nonroot
ARG VERSION=dev
LABEL org.opencontainers.image.title="digestgate" \
      org.opencontainers.image.description="The gate between container registries and Kubernetes" \
      org.opencontainers.image.source="https://github.com/digestgate/digestgate" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}"
# The analyser is looked for beside digestgate.
COPY --from=build /out/digestgate /out/digestgate-analyzer /usr/local/bin/
COPY --from=build --chown=65532:65532 /out/data /var/lib/digestgate
COPY LICENSE /usr/share/doc/digestgate/LICENSE
USER 65532:65532
VOLUME /var/lib/digestgate
# Webhooks and API; admission; metrics and health, which stay inside.
EXPOSE 8080 8443 9090
ENTRYPOINT ["/usr/local/bin/digestgate"]
CMD ["serve"]

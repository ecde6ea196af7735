# An image with both programs and nothing else: no shell, no package manager, an
# unprivileged user. "make image" makes the same files without Docker (tools/image); a test
# compares them.
#
#   docker build --build-arg VERSION=$(git describe --tags --always) \
#     --build-arg REVISION=$(git rev-parse HEAD) -t digestgate .
#   docker run -p 8080:8080 -p 8443:8443 -v digestgate:/var/lib/digestgate \
#     -v $PWD/config.yaml:/etc/digestgate/config.yaml:ro digestgate serve -c /etc/digestgate/config.yaml
#
# Who releases images pins the image of Go by digest as well.
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
COPY tools/image/go.mod tools/image/go.sum tools/image/
RUN go mod download && cd tools/image && go mod download
COPY cmd/ cmd/
COPY gate/ gate/
COPY policy/ policy/
COPY scanner/ scanner/
COPY store/ store/
COPY webhooks/ webhooks/
RUN GOOS=$TARGETOS GOARCH=$TARGETARCH \
    go build -trimpath -ldflags "-s -w -X main.version=$VERSION" -o /out/$TARGETOS-$TARGETARCH/digestgate ./cmd/digestgate
# Trivy's analysers need the experiment; it would change encoding/json in the
# other program, which is built without.
RUN GOOS=$TARGETOS GOARCH=$TARGETARCH GOEXPERIMENT=jsonv2 \
    go build -trimpath -ldflags "-s -w -X main.version=$VERSION" -o /out/$TARGETOS-$TARGETARCH/digestgate-analyzer ./cmd/digestgate-analyzer
# Certificates of authorities and time zones from pinned Debian packages, the user
# nonroot (65532), /tmp, the data directory, and the programs.
COPY tools/image/ tools/image/
COPY LICENSE ./
RUN cd tools/image && \
    go run . tree -programs /out -platform $TARGETOS/$TARGETARCH -license /src/LICENSE -out /image

FROM scratch
ARG VERSION=dev
ARG REVISION=unknown
ARG CREATED=1970-01-01T00:00:00Z
LABEL org.opencontainers.image.title="digestgate" \
      org.opencontainers.image.description="The gate between container registries and Kubernetes" \
      org.opencontainers.image.source="https://github.com/digestgate/digestgate" \
      org.opencontainers.image.url="https://github.com/digestgate/digestgate" \
      org.opencontainers.image.documentation="https://github.com/digestgate/digestgate/tree/main/docs" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.created="${CREATED}" \
      org.opencontainers.image.base.name="scratch"
COPY --from=build /image/root/ /
# The directories digestgate and nonroot, each in a folder, because a builder gives the
# folder that it copies to a mode of its own choice. A new volume takes over the owner of
# what it is mounted on.
COPY --from=build --chown=65532:65532 /image/own/lib/ /var/lib/
COPY --from=build --chown=65532:65532 /image/own/home/ /home/
ENV PATH=/usr/local/bin
WORKDIR /
USER 65532:65532
VOLUME /var/lib/digestgate
# Webhooks and API; admission; metrics and health, which stay inside.
EXPOSE 8080/tcp 8443/tcp 9090/tcp
ENTRYPOINT ["/usr/local/bin/digestgate"]
CMD ["serve"]

package archive

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"strconv"
	"strings"

	"github.com/digestgate/digestgate/gate"
)

// Transport answers the requests of a registry's API (opencontainers/
// distribution-spec, "Pull") from the archive. In every repository every tag is the
// image of digest d. It is safe for concurrent use until the archive is closed.
func (a *Archive) Transport(d gate.Digest) http.RoundTripper { return transport{a, d} }

type transport struct {
	archive *Archive
	root    gate.Digest
}

// RoundTrip implements http.RoundTripper.
func (t transport) RoundTrip(req *http.Request) (*http.Response, error) {
	if err := req.Context().Err(); err != nil {
		return nil, err
	}
	path := strings.TrimPrefix(req.URL.Path, "/v2/")
	if path == "" {
		return answer(req, http.StatusOK, io.NopCloser(strings.NewReader("{}")), 2), nil
	}
	if i := strings.LastIndex(path, "/blobs/"); i >= 0 {
		return t.serve(req, gate.Digest(path[i+len("/blobs/"):]), "BLOB_UNKNOWN", false)
	}
	if i := strings.LastIndex(path, "/manifests/"); i >= 0 {
		d := gate.Digest(path[i+len("/manifests/"):])
		if !d.Valid() {
			d = t.root
		}
		return t.serve(req, d, "MANIFEST_UNKNOWN", true)
	}
	return refused(req, "UNSUPPORTED"), nil
}

func (t transport) serve(req *http.Request, d gate.Digest, unknown string, manifest bool) (*http.Response, error) {
	r, size, err := t.archive.open(d)
	if errors.Is(err, fs.ErrNotExist) {
		return refused(req, unknown), nil
	}
	if err != nil {
		return nil, err
	}
	contentType := "application/octet-stream"
	if manifest && size <= maxDocumentBytes {
		raw, err := small(r, size, nil)
		if err != nil {
			return nil, err
		}
		contentType, r = mediaType(raw), io.NopCloser(bytes.NewReader(raw))
	}
	if req.Method == http.MethodHead {
		r.Close()
		r = http.NoBody
	}
	res := answer(req, http.StatusOK, body{req.Context(), r}, size)
	res.Header.Set("Content-Type", contentType)
	if manifest {
		res.Header.Set("Docker-Content-Digest", string(d))
	}
	return res, nil
}

// mediaType is a document's own word, or what its form says.
func mediaType(raw []byte) string {
	var doc struct {
		MediaType string          `json:"mediaType"`
		Manifests json.RawMessage `json:"manifests"`
	}
	switch _ = json.Unmarshal(raw, &doc); {
	case doc.MediaType != "":
		return doc.MediaType
	case doc.Manifests != nil:
		return typeIndex
	}
	return typeManifest
}

func refused(req *http.Request, code string) *http.Response {
	text := `{"errors":[{"code":"` + code + `"}]}`
	res := answer(req, http.StatusNotFound, io.NopCloser(strings.NewReader(text)), int64(len(text)))
	res.Header.Set("Content-Type", "application/json")
	return res
}

func answer(req *http.Request, status int, body io.ReadCloser, size int64) *http.Response {
	return &http.Response{
		Status: http.StatusText(status), StatusCode: status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: http.Header{"Content-Length": {strconv.FormatInt(size, 10)}}, Body: body, ContentLength: size, Request: req,
	}
}

// body ends with its request.
type body struct {
	ctx context.Context
	io.ReadCloser
}

func (b body) Read(p []byte) (int, error) {
	if err := b.ctx.Err(); err != nil {
		return 0, err
	}
	return b.ReadCloser.Read(p)
}

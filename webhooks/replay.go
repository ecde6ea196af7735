package webhooks

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/textproto"
	"os"
	"strings"

	"github.com/digestgate/digestgate/gate"
)

// Recording is a delivery that was kept in a file.
type Recording struct {
	Header http.Header
	Body   []byte
}

// maxRecording bounds a recorded body, far above what a server takes, so that
// the server's own limit can be tried.
const maxRecording = 64 << 20

// ReadRecording reads a body and the headers that came with it. headersPath ""
// means the file beside the body that has ".headers.txt" instead of its
// extension, if there is one, and otherwise a JSON content type alone. A
// headers file may begin with a request line; lines without a colon end it.
func ReadRecording(bodyPath, headersPath string) (Recording, error) {
	body, err := readFile(bodyPath)
	if err != nil {
		return Recording{}, fmt.Errorf("reading a recorded delivery: %w", err)
	}
	rec := Recording{Header: http.Header{"Content-Type": {"application/json"}}, Body: body}
	optional := headersPath == ""
	if optional {
		headersPath = strings.TrimSuffix(bodyPath, ".json") + ".headers.txt"
	}
	text, err := readFile(headersPath)
	switch {
	case optional && errors.Is(err, os.ErrNotExist):
		return rec, nil
	case err != nil:
		return Recording{}, fmt.Errorf("reading the headers of a recorded delivery: %w", err)
	}
	rec.Header = parseHeaders(text)
	return rec, nil
}

func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxRecording+1))
	if err == nil && len(data) > maxRecording {
		return nil, fmt.Errorf("%q is larger than %s: %w", path, gate.ByteSize(maxRecording), gate.ErrTooLarge)
	}
	return data, err
}

// parseHeaders reads header lines. Those of the connection and of the body's
// length belong to the recording's connection and are left out.
func parseHeaders(text []byte) http.Header {
	h := http.Header{}
	lines := bufio.NewScanner(bytes.NewReader(text))
	for first := true; lines.Scan(); first = false {
		line := strings.TrimSpace(lines.Text())
		if first && strings.Contains(line, " HTTP/") {
			continue
		}
		name, value, ok := strings.Cut(line, ":")
		if !ok || !headerPattern.MatchString(name) {
			break
		}
		switch name = textproto.CanonicalMIMEHeaderKey(name); name {
		case "Host", "Connection", "Content-Length", "Transfer-Encoding", "Accept-Encoding":
		default:
			h.Add(name, strings.TrimSpace(value))
		}
	}
	return h
}

// Delivery is the recording as a receiver sees it.
func (r Recording) Delivery() Delivery { return Delivery(r) }

// Request is the recording as a request to an endpoint, signed by auth, which
// may be nil to send the recorded headers as they are.
func (r Recording) Request(ctx context.Context, url string, auth *Authenticator) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(r.Body))
	if err != nil {
		// The cause would repeat the URL, which may hold a token.
		return nil, fmt.Errorf("replaying a delivery: the URL is not one: %w", gate.ErrInvalid)
	}
	req.Header = r.Header.Clone()
	if auth != nil {
		auth.Sign(req, r.Body)
	}
	return req, nil
}

// Replayed is what an endpoint answered to a recording.
type Replayed struct {
	Status int
	Answer Answer // of a 202
	Detail string // of a refusal
}

// Post sends a recorded delivery to a running server, signed by auth (nil: as
// it was recorded). Its errors are for the person who replays; they name the
// server but not the path, which may hold a token.
func Post(ctx context.Context, client *http.Client, url string, rec Recording, auth *Authenticator) (Replayed, error) {
	req, err := rec.Request(ctx, url, auth)
	if err != nil {
		return Replayed{}, err
	}
	// A redirect would turn the delivery into a GET, and take the secret along.
	direct := *client
	direct.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	res, err := direct.Do(req)
	if err != nil {
		return Replayed{}, fmt.Errorf("replaying to %q: %w", req.URL.Host, errors.Unwrap(err))
	}
	defer res.Body.Close()
	text, err := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	if err != nil {
		return Replayed{}, fmt.Errorf("reading the answer to a replay: %w", err)
	}
	out := Replayed{Status: res.StatusCode}
	if res.StatusCode == http.StatusAccepted {
		if err := json.Unmarshal(text, &out.Answer); err != nil {
			return out, fmt.Errorf("reading the answer to a replay: %w: %w", err, gate.ErrInvalid)
		}
		return out, nil
	}
	if res.StatusCode/100 == 3 {
		out.Detail = "it redirects"
		if to, err := res.Location(); err == nil {
			out.Detail += " to " + to.Scheme + "://" + to.Host
		}
		out.Detail += "; a delivery is not sent on, so name the server that it leads to"
		return out, nil
	}
	var p struct{ Detail string }
	if json.Unmarshal(text, &p) != nil {
		p.Detail = gate.Printable(string(text), 400)
	}
	out.Detail = p.Detail
	return out, nil
}

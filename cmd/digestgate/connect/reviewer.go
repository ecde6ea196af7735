package connect

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/admission"
)

// Answerer answers one review.
type Answerer func(ctx context.Context, body []byte) ([]byte, error)

// Reviewer asks the admission listener of a running server.
func Reviewer(server, caFile string) (Answerer, error) {
	transport, err := Trusting(caFile)
	if err != nil {
		return nil, err
	}
	url := strings.TrimSuffix(server, "/")
	if !strings.Contains(url, admission.BasePath) {
		url += admission.BasePath
	}
	client := &http.Client{Timeout: 30 * time.Second, Transport: transport}
	return func(ctx context.Context, body []byte) ([]byte, error) {
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
		if err != nil {
			return nil, err
		}
		req.Header.Set("Content-Type", "application/json")
		res, err := client.Do(req)
		if err != nil {
			return nil, ConnectError(err, server, caFile, "admission", "admission.tls.certFile")
		}
		defer res.Body.Close()
		out, err := io.ReadAll(io.LimitReader(res.Body, 16<<20))
		if err == nil && res.StatusCode != http.StatusOK {
			var p struct{ Detail string }
			if json.Unmarshal(out, &p) != nil || p.Detail == "" {
				p.Detail = strings.TrimSpace(string(out))
			}
			err = fmt.Errorf("the server answered %d: %s", res.StatusCode, gate.Printable(p.Detail, 500))
			if res.StatusCode == http.StatusNotFound {
				err = fmt.Errorf("%w; is %s the admission listener of digestgate?", err, gate.Printable(server, 200))
			}
			if PlainToTLS(res.StatusCode, out) {
				err = fmt.Errorf("%w; write https:// instead of http://", err)
			}
		}
		return out, err
	}, nil
}

package cabundle

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/outbound"
)

const (
	// callTimeout bounds one request; an API server answers them in milliseconds.
	callTimeout = 10 * time.Second
	// maxAnswer is above what etcd stores of one object.
	maxAnswer = 4 << 20
)

// errMoved: another client changed the object since it was read.
var errMoved = errors.New("the object was changed meanwhile")

// client reads and patches one object of an API server: two requests, and no informer.
type client struct {
	config  Config
	address string

	mu       sync.Mutex
	http     *http.Client
	trusting [sha256.Size]byte // the content of CAFile that http trusts
}

func newClient(c Config) (*client, error) {
	address, err := c.Address()
	if err != nil {
		return nil, err
	}
	return &client{config: c, address: address}, nil
}

// configuration is what is read of a ValidatingWebhookConfiguration.
type configuration struct {
	Metadata struct {
		ResourceVersion string            `json:"resourceVersion"`
		Annotations     map[string]string `json:"annotations"`
	} `json:"metadata"`
	Webhooks []struct {
		Name         string `json:"name"`
		ClientConfig struct {
			CABundle []byte `json:"caBundle"`
		} `json:"clientConfig"`
	} `json:"webhooks"`
}

// operation is one of a JSON patch (RFC 6902).
type operation struct {
	Op    string `json:"op"`
	Path  string `json:"path"`
	Value any    `json:"value"`
}

// get reads the object. ErrNotFound when there is none of that name.
func (c *client) get(ctx context.Context, name string) (configuration, error) {
	var conf configuration
	answer, err := c.do(ctx, http.MethodGet, name, nil)
	if err != nil {
		return conf, err
	}
	if err := json.Unmarshal(answer, &conf); err != nil {
		return conf, fmt.Errorf("reading the answer of the API server: %v: %w", err, gate.ErrInvalid)
	}
	return conf, nil
}

// patch changes the object if it is still the one that was read; errMoved otherwise.
func (c *client) patch(ctx context.Context, name, version string, ops []operation) error {
	body, err := json.Marshal(append([]operation{{"test", "/metadata/resourceVersion", version}}, ops...))
	if err != nil {
		return err
	}
	_, err = c.do(ctx, http.MethodPatch, name, body)
	return err
}

func (c *client) do(ctx context.Context, method, name string, body []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	hc, err := c.client()
	if err != nil {
		return nil, err
	}
	token, err := gate.ReadSmallFile(c.config.TokenPath())
	if err != nil {
		return nil, fmt.Errorf("reading the token of the service account (kubernetes.tokenFile): %w", err)
	}
	address := "https://" + c.address + "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations/" + url.PathEscape(name)
	if method == http.MethodPatch {
		address += "?fieldManager=digestgate"
	}
	req, err := http.NewRequestWithContext(ctx, method, address, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(token)))
	req.Header.Set("Accept", "application/json")
	if body != nil {
		req.Header.Set("Content-Type", "application/json-patch+json")
	}
	res, err := hc.Do(req)
	if err != nil {
		return nil, fmt.Errorf("asking the API server: %w", err)
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err != nil {
		return nil, fmt.Errorf("reading the answer of the API server: %w", err)
	}
	return answer, refused(res.StatusCode, method, answer)
}

// refused is the error of an answer.
func refused(status int, method string, answer []byte) error {
	var said struct {
		Message string `json:"message"`
	}
	_ = json.Unmarshal(answer, &said)
	text := gate.Printable(said.Message, 300)
	switch {
	case status == http.StatusOK:
		return nil
	case status == http.StatusNotFound:
		return fmt.Errorf("the API server has no such webhook configuration: %s: %w", text, gate.ErrNotFound)
	case method == http.MethodPatch && (status == http.StatusConflict || status == http.StatusUnprocessableEntity):
		return fmt.Errorf("%w: %s", errMoved, text)
	}
	return fmt.Errorf("the API server answered %d: %s", status, text)
}

// client trusts what CAFile holds now.
func (c *client) client() (*http.Client, error) {
	ca, err := gate.ReadSmallFile(c.config.CAPath())
	if err != nil {
		return nil, fmt.Errorf("reading the authority of the API server (kubernetes.caFile): %w", err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if sum := sha256.Sum256(ca); c.http == nil || sum != c.trusting {
		pool := x509.NewCertPool()
		if !pool.AppendCertsFromPEM(ca) {
			return nil, fmt.Errorf("reading the authority of the API server %q (kubernetes.caFile): no certificate in it: %w", c.config.CAPath(), gate.ErrInvalid)
		}
		c.closeIdle()
		c.http = outbound.NewClient(outbound.ClientOptions{
			Purpose: outbound.Cluster, Hosts: []string{c.address}, Timeout: callTimeout, TLS: &tls.Config{RootCAs: pool},
		})
		c.trusting = sum
	}
	return c.http, nil
}

// closeIdle closes connections that nothing uses; mu is held.
func (c *client) closeIdle() {
	if c.http != nil {
		c.http.CloseIdleConnections()
	}
}

func (c *client) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closeIdle()
}

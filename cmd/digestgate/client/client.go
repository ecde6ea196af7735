package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/digestgate/digestgate/cmd/digestgate/app"
	"github.com/digestgate/digestgate/cmd/digestgate/connect"
	"github.com/digestgate/digestgate/gate"
)

// Client calls the API of a running server.
type Client struct {
	Server string
	Token  string
	caFile string // whose authorities its certificate is checked with; "": those of the system
	HTTP   *http.Client
}

// clientFlags are how a command finds its server.
type clientFlags struct{ server, tokenFile, caFile string }

func (f *clientFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.server, "server", "", "URL of the server, such as http://127.0.0.1:8080 (also DIGESTGATE_SERVER)")
	cmd.Flags().StringVar(&f.caFile, "ca-file", "", "certificates that an https server's is checked with (default: those of the system)")
	cmd.Flags().StringVar(&f.tokenFile, "token-file", "", "file with the API token (also DIGESTGATE_TOKEN_FILE, or the token itself in DIGESTGATE_TOKEN)")
}

func (f *clientFlags) client(environ []string) (*Client, error) {
	get := func(name string) string {
		for _, pair := range environ {
			if v, ok := strings.CutPrefix(pair, app.EnvPrefix+name+"="); ok {
				return v
			}
		}
		return ""
	}
	transport, err := connect.Trusting(f.caFile)
	if err != nil {
		return nil, err
	}
	c := &Client{Server: f.server, caFile: f.caFile, HTTP: &http.Client{Timeout: 30 * time.Second, Transport: transport}}
	if c.Server == "" {
		c.Server = get("SERVER")
	}
	if c.Server == "" {
		return nil, errors.New("which server? give --server URL or set DIGESTGATE_SERVER")
	}
	if u, err := url.Parse(c.Server); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, fmt.Errorf("--server %s is not a URL: give the one of the server's http listener, such as http://127.0.0.1:8080", gate.Quoted(c.Server, 200))
	}
	c.Server = strings.TrimSuffix(c.Server, "/")
	if c.Token, err = f.token(get); err != nil {
		return nil, err
	}
	return c, nil
}

// token is that of --token-file, else that of the environment. Two variables with
// different tokens are refused: one of them would be ignored silently.
func (f *clientFlags) token(get func(name string) string) (string, error) {
	if f.tokenFile != "" {
		return readAPIToken(f.tokenFile, "--token-file")
	}
	value, err := singleToken([]byte(get("TOKEN")), "DIGESTGATE_TOKEN")
	file := get("TOKEN_FILE")
	if file == "" || err != nil {
		return value, err
	}
	held, err := readAPIToken(file, "DIGESTGATE_TOKEN_FILE")
	if err == nil && value != "" && value != held {
		return "", fmt.Errorf("DIGESTGATE_TOKEN and DIGESTGATE_TOKEN_FILE (%s) are both set and hold different tokens: unset one of them, or give --token-file", gate.Quoted(file, 200))
	}
	return held, err
}

func readAPIToken(file, from string) (string, error) {
	raw, err := gate.ReadSmallFile(file)
	if err != nil {
		return "", fmt.Errorf("reading the API token that %s names: %w", from, err)
	}
	value, err := singleToken(raw, fmt.Sprintf("the file %s that %s names", gate.Quoted(file, 200), from))
	if err == nil && value == "" {
		err = fmt.Errorf("the file %s that %s names is empty: write the API token into it (the log of the server names the file that it is in)", gate.Quoted(file, 200), from)
	}
	return value, err
}

// singleToken is a token without the white space around it. A token that cannot be
// sent in a header is refused.
func singleToken(raw []byte, where string) (string, error) {
	value, err := gate.SecretText(raw)
	if err == nil && bytes.ContainsFunc(value, func(r rune) bool { return r <= ' ' || r >= 0x7f }) {
		err = errors.New("it contains white space, several lines or a character outside ASCII, which no token does; put only the token there, on one line")
	}
	if err != nil {
		return "", fmt.Errorf("reading the API token in %s: %w", where, err)
	}
	return string(value), nil
}

// problem is a refusal of the API (RFC 9457).
type problem struct {
	Status int    `json:"status"`
	Detail string `json:"detail"`
	Errors []struct {
		Message  string `json:"message"`
		Location string `json:"location"`
	} `json:"errors"`
	advice string // what to do at the keyboard
}

func (p *problem) Error() string {
	text := fmt.Sprintf("the server answered %d: %s", p.Status, gate.Printable(p.Detail, 500))
	for _, e := range p.Errors {
		text += "\n  "
		// "body.scope.tags[0]", "query.cursor" or "path.name"; "body" alone is all of it.
		if _, key, ok := strings.Cut(e.Location, "."); ok {
			text += gate.Printable(key, 60) + ": "
		}
		text += gate.Printable(e.Message, 500)
	}
	return text + p.advice
}

// Call sends in (nil: nothing) and decodes the answer into out.
func (c *Client) Call(ctx context.Context, method, path string, in, out any) error {
	var body io.Reader
	if in != nil {
		raw, err := json.Marshal(in)
		if err != nil {
			return err
		}
		body = bytes.NewReader(raw)
	}
	req, err := http.NewRequestWithContext(ctx, method, c.Server+"/api/v1"+path, body)
	if err != nil {
		return fmt.Errorf("calling %q: %w", c.Server, err)
	}
	req.Header.Set("Authorization", "Bearer "+c.Token)
	if in != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	res, err := c.HTTP.Do(req)
	if err != nil {
		return connect.ConnectError(err, c.Server, c.caFile, "http", "http.tls.certFile")
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(res.Body, 64<<20))
	if err != nil {
		return fmt.Errorf("reading the server's answer: %w", err)
	}
	if res.StatusCode >= 300 {
		p := &problem{}
		if json.Unmarshal(raw, p) != nil || p.Detail == "" {
			p.Detail = strings.TrimSpace(string(raw))
			p.advice = "; is " + gate.Printable(c.Server, 200) + " the http listener of digestgate?"
		}
		p.Status = res.StatusCode
		if connect.PlainToTLS(p.Status, raw) {
			p.advice = "; write https:// instead of http://"
		}
		if p.Status == http.StatusUnauthorized {
			p.advice = "; give the API token with --token-file or DIGESTGATE_TOKEN (the log of the server names the file that it is in)"
		}
		return p
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(raw, out); err != nil {
		return fmt.Errorf("reading the answer of %s: %w; is it the http listener of digestgate?", gate.Printable(c.Server, 200), err)
	}
	return nil
}

package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/digestgate/digestgate/cmd/digestgate/app"
	"github.com/digestgate/digestgate/gate"
)

// healthAnswers is how long a server may take for an answer about its health: /readyz
// itself waits 2 s for its checks.
const healthAnswers = 3 * time.Second

// NewHealthCommand asks the private listener of the server on the same machine, or in the
// same container.
func NewHealthCommand(o *app.Options) *cobra.Command {
	var live, ready bool
	var server string
	var timeout time.Duration
	cmd := &cobra.Command{
		Use:   "health",
		Short: "Ask the server on this machine, or in this container, whether it is ready",
		Long: `Ask the private listener of the server on this machine whether it is ready
(/readyz), and print its checks: a line with fail makes the server unready, one with
warn does not. --live asks only whether the process serves (/livez).

The address is listen.private of the configuration, on the loopback address when it
names all addresses. --url names another. It is plain HTTP, needs no token, and no
proxy is used. A mistake in another key of the configuration is a note and not a
failure, because the server may still run with what it read before.

Exit status: 0 ready (or live); 1 not, no answer in time, or nothing to ask.`,
		Example: "  HEALTHCHECK CMD [\"digestgate\", \"health\", \"--live\"]",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if live && ready {
				return errors.New("--live and --ready ask two different questions; give one of them")
			}
			if timeout <= 0 {
				return fmt.Errorf("--timeout %s leaves no time to answer; want a duration above 0, such as 3s", timeout)
			}
			bases, err := healthBases(o, server, cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), timeout)
			defer cancel()
			path, not := "/readyz", "not ready"
			if live {
				path, not = "/livez", "not live"
			}
			status, text, err := askHealth(ctx, bases, path)
			if err != nil {
				return fmt.Errorf("%s: %w", not, err)
			}
			for line := range strings.Lines(text) {
				fmt.Fprintln(cmd.OutOrStdout(), gate.Printable(strings.TrimSpace(line), 500))
			}
			switch {
			case status == http.StatusOK:
				return nil
			case live || !strings.Contains(text, "fail  "):
				return fmt.Errorf("%s: the server answered %d to %s; is this the private listener of digestgate (listen.private)?", not, status, path)
			}
			return fmt.Errorf("%s: each line that begins with fail says why", not)
		},
	}
	cmd.Flags().BoolVar(&live, "live", false, "ask only whether the process serves")
	cmd.Flags().BoolVar(&ready, "ready", false, "ask whether it is ready (the default)")
	cmd.Flags().StringVar(&server, "url", "", "URL of the private listener, such as http://127.0.0.1:9090 (default: from listen.private)")
	cmd.Flags().DurationVar(&timeout, "timeout", healthAnswers, "how long the server may take to answer")
	return cmd
}

// healthBases are the URLs at which the private listener may be found, in the order in
// which to try them.
func healthBases(o *app.Options, given string, notes io.Writer) ([]string, error) {
	if given != "" {
		u, err := url.Parse(given)
		if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			return nil, fmt.Errorf("--url %s is not a URL: give the one of the private listener, such as http://127.0.0.1:9090", gate.Quoted(given, 200))
		}
		return []string{strings.TrimSuffix(given, "/")}, nil
	}
	l := o.Source().Read()
	if l.Places.Err() != nil {
		fmt.Fprintln(notes, "note: the configuration has problems, which digestgate config check lists; listen.private is taken as far as it was read")
	}
	return privateURLs(l.Listen.Private)
}

// privateURLs turn the address that a server listens on into URLs to call it by. A server
// that listens on all addresses is called on the loopback ones.
func privateURLs(address string) ([]string, error) {
	if address == "" {
		return nil, errors.New("listen.private is empty, so that nothing answers about health; set it, or name a listener with --url")
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, fmt.Errorf("listen.private: %s is not host:port", gate.Quoted(address, 200))
	}
	number, err := net.LookupPort("tcp", port)
	if err != nil {
		return nil, fmt.Errorf("listen.private: %s: port %s is not a number from 1 to 65535", gate.Quoted(address, 200), gate.Quoted(port, 60))
	}
	if number == 0 {
		return nil, fmt.Errorf("listen.private is %s: the system chooses the port at each start; name the one in the log with --url", gate.Quoted(address, 200))
	}
	hosts := []string{host}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		hosts = []string{"127.0.0.1", "::1"}
	}
	var urls []string
	for _, h := range hosts {
		urls = append(urls, "http://"+net.JoinHostPort(h, port))
	}
	return urls, nil
}

// askHealth asks the first of the URLs where a connection is made.
func askHealth(ctx context.Context, bases []string, path string) (status int, text string, err error) {
	client := &http.Client{
		Transport:     &http.Transport{DisableKeepAlives: true}, // and no proxy
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	var problems []error
	for _, base := range bases {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, base+path, nil)
		if err != nil {
			return 0, "", err
		}
		res, err := client.Do(req)
		if err != nil {
			problems = append(problems, err)
			continue
		}
		defer res.Body.Close()
		raw, err := io.ReadAll(io.LimitReader(res.Body, 64<<10))
		return res.StatusCode, string(raw), err
	}
	return 0, "", fmt.Errorf("asking the private listener: %w; is the server running, and is listen.private that of its configuration?", errors.Join(problems...))
}

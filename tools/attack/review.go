package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// admissionFlags are what attacks on admission, or beside it, have in common.
type admissionFlags struct {
	*flag.FlagSet
	target, beside *string
	image          *string
	pid            *int
	length         *time.Duration
}

func newFlags(name, target string) *admissionFlags {
	set := flag.NewFlagSet(name, flag.ContinueOnError)
	return &admissionFlags{
		FlagSet: set,
		target:  set.String("target", target, "what is attacked, on loopback"),
		beside:  set.String("review", "https://127.0.0.1:8443/admission/validate", "where the reviews beside the attack go"),
		image:   set.String("image", "registry.example.com/team/app@sha256:"+strings.Repeat("ab", 32), "the image of those reviews"),
		pid:     set.Int("pid", 0, "process of the target"),
		length:  set.Duration("for", 10*time.Second, "how long the attack lasts, at most a minute"),
	}
}

// parse also bounds the attack and checks both targets.
func (f *admissionFlags) parse(args []string) (*url.URL, error) {
	if err := f.Parse(args); err != nil {
		return nil, err
	}
	*f.length = min(*f.length, time.Minute)
	if _, err := loopback(*f.beside); err != nil {
		return nil, err
	}
	return loopback(*f.target)
}

// run plays an attack and prints what it cost: memory and processor time of the
// target, and the reviews beside it.
func (f *admissionFlags) run(ctx context.Context, out io.Writer, attack func(context.Context) (string, error)) error {
	mem, err := watch(*f.pid)
	if err != nil {
		return err
	}
	before := processorTime(*f.pid)
	ctx, cancel := context.WithTimeout(ctx, *f.length+30*time.Second)
	defer cancel()
	stop := make(chan struct{})
	known, fresh := make(chan string), make(chan string)
	kept := client()
	ask(kept, *f.beside, review("default", "app", *f.image, "")) // it connects before the attack begins
	go func() {
		known <- reviewsBeside("on one connection opened before the attack", kept, *f.beside, *f.image, stop)
	}()
	go func() { fresh <- reviewsBeside("each on a new connection", nil, *f.beside, *f.image, stop) }()
	what, err := attack(ctx)
	close(stop)
	fmt.Fprintf(out, "%s\n%s\n%s\n%s\nprocessor time of the target: %s; load of the machine: %s\n", what, <-known, <-fresh, mem.stop(),
		(processorTime(*f.pid) - before).Round(10*time.Millisecond), load())
	return err
}

// client is one caller with connections of its own.
func client() *http.Client {
	return &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{
		TLSClientConfig:   &tls.Config{InsecureSkipVerify: true}, //nolint:gosec // loopback
		ForceAttemptHTTP2: true,
	}}
}

// reviewsBeside sends a review every 100 ms and says how long the answers took;
// without a client each has a connection of its own.
func reviewsBeside(how string, kept *http.Client, target, image string, stop <-chan struct{}) string {
	var all []time.Duration
	answers := map[string]int{}
	body := review("default", "app", image, "")
	for {
		c := kept
		if c == nil {
			c = client()
		}
		start := time.Now()
		answers[ask(c, target, body)]++
		all = append(all, time.Since(start))
		if kept == nil {
			c.CloseIdleConnections()
		}
		select {
		case <-stop:
			slices.Sort(all)
			return fmt.Sprintf("reviews beside, %s: %d, half of them within %s, the slowest %s; answers %v",
				how, len(all), all[len(all)/2].Round(time.Millisecond), all[len(all)-1].Round(time.Millisecond), answers)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// ask sends one review and returns the code of the answer, or what went wrong.
func ask(c *http.Client, target string, body []byte) string {
	resp, err := c.Post(target+"?timeout=10s", "application/json", bytes.NewReader(body))
	if err != nil {
		return "failed"
	}
	defer resp.Body.Close()
	var answer struct {
		Response struct {
			Allowed bool
			Status  struct{ Reason, Message string }
		}
	}
	if json.NewDecoder(resp.Body).Decode(&answer) != nil {
		return fmt.Sprint("HTTP ", resp.StatusCode)
	}
	if answer.Response.Allowed {
		return "allowed"
	}
	return answer.Response.Status.Reason
}

// review is an AdmissionReview of a Pod; inside is put into its spec as it is.
func review(namespace, name, image, inside string) []byte {
	return fmt.Appendf(nil, `{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{"uid":"11111111-2222-3333-4444-555555555555",`+
		`"kind":{"group":"","version":"v1","kind":"Pod"},"resource":{"group":"","version":"v1","resource":"pods"},"name":%q,"namespace":%q,`+
		`"operation":"CREATE","userInfo":{"username":"dev"},"dryRun":false,"object":{"apiVersion":"v1","kind":"Pod","metadata":{"name":%q},`+
		`"spec":{%s"containers":[{"name":"c","image":%q}]}}}}`, name, namespace, name, inside, image)
}

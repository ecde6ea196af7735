package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// stall is a registry that accepts connections and never answers, and reviews of
// tags that it would have to be asked for, all at once. Beside them one image that
// is known is asked for by digest, one review after the other.
func stall(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("stall", flag.ContinueOnError)
	target := flags.String("target", "https://127.0.0.1:8443/admission/validate", "where reviews are sent")
	image := flags.String("image", "", "an image by digest that is admitted, as host/repository@sha256:...")
	silent := flags.String("silent", "127.0.0.1:5999", "where the registry listens; configure a registry with this host and plainHTTP")
	reviews := flags.Int("reviews", 300, "reviews that wait at once, 5,000 at most")
	length := flags.Duration("length", 10*time.Second, "how long, a minute at most")
	pid := flags.Int("pid", 0, "process of digestgate, for its memory; 0: not shown")
	if err := flags.Parse(args); err != nil {
		return err
	}
	u, err := loopback(*target)
	if err != nil {
		return err
	}
	if *image == "" || *reviews > 5000 || *length > time.Minute {
		return errors.New("give -image an image by digest that is admitted, and keep to the limits of -reviews and -length")
	}
	if _, err := loopback("http://" + *silent); err != nil {
		return err
	}
	hole, err := net.Listen("tcp", *silent)
	if err != nil {
		return fmt.Errorf("listening as the registry: %w", err)
	}
	defer hole.Close()
	var calls atomic.Int64
	go acceptOnly(hole, &calls)
	ctx, cancel := context.WithTimeout(ctx, *length)
	defer cancel()
	if *pid != 0 {
		m, err := watch(*pid)
		if err != nil {
			return err
		}
		defer func() { fmt.Fprintln(out, m.stop()) }()
	}
	client := &http.Client{Transport: &http.Transport{
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, ForceAttemptHTTP2: true, //nolint:gosec // loopback
	}}
	defer client.CloseIdleConnections()
	held, wait := hold(ctx, client, u.String(), *silent, *reviews)
	beside, took := besides(ctx, client, u.String(), *image)
	cancel()
	wait()
	fmt.Fprintf(out, "stall: %d reviews of tags of %s, %d calls arrived there; answers within %s: %s\n", *reviews, *silent, calls.Load(), *length, held)
	fmt.Fprintf(out, "beside: %d reviews of the known image: %s\n", len(took), beside)
	if slices.Sort(took); len(took) > 0 {
		fmt.Fprintf(out, "beside: half of them within %s, the slowest took %s\n",
			took[len(took)/2].Round(time.Millisecond), took[len(took)-1].Round(time.Millisecond))
	}
	return nil
}

// acceptOnly takes connections, reads nothing, and never answers.
func acceptOnly(l net.Listener, calls *atomic.Int64) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		calls.Add(1)
		defer conn.Close()
	}
}

// hold sends reviews that have to wait, again a second after they are answered,
// until ctx ends, and returns once most have been sent. wait returns when they have ended.
func hold(ctx context.Context, c *http.Client, target, silent string, n int) (answers *tally, wait func()) {
	answers = &tally{}
	var running, begun sync.WaitGroup
	begun.Add(n)
	for i := range n {
		running.Go(func() {
			begun.Done()
			for round := 0; ctx.Err() == nil; round++ {
				image := fmt.Sprintf("%s/stall/app:v%d-%d", silent, i, round)
				if answer := send(ctx, c, target, image); ctx.Err() == nil {
					answers.add(answer)
				}
				select {
				case <-ctx.Done():
				case <-time.After(time.Second):
				}
			}
		})
	}
	begun.Wait()
	select { // until they have come in
	case <-ctx.Done():
	case <-time.After(time.Second):
	}
	return answers, running.Wait
}

// besides asks for the known image until ctx ends.
func besides(ctx context.Context, c *http.Client, target, image string) (answers *tally, took []time.Duration) {
	answers = &tally{}
	for ctx.Err() == nil {
		began := time.Now()
		answer := send(ctx, c, target, image)
		if ctx.Err() != nil {
			break
		}
		answers.add(answer)
		took = append(took, time.Since(began))
		select {
		case <-ctx.Done():
		case <-time.After(20 * time.Millisecond):
		}
	}
	return answers, took
}

// send asks for one image and returns the word of the answer: "admitted", a CODE,
// or the HTTP status.
func send(ctx context.Context, c *http.Client, target, image string) string {
	object := map[string]any{
		"apiVersion": "v1", "kind": "Pod", "metadata": map[string]string{"name": "stall", "namespace": "default"},
		"spec": map[string]any{"containers": []map[string]string{{"name": "app", "image": image}}},
	}
	body, err := json.Marshal(map[string]any{
		"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
		"request": map[string]any{
			"uid": "00000000-0000-0000-0000-000000000000", "operation": "CREATE", "namespace": "default", "name": "stall",
			"kind":     map[string]string{"group": "", "version": "v1", "kind": "Pod"},
			"resource": map[string]string{"group": "", "version": "v1", "resource": "pods"},
			"userInfo": map[string]string{"username": "attack"}, "object": object,
		},
	})
	if err != nil {
		return err.Error()
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, target+"?timeout=10s", bytes.NewReader(body))
	if err != nil {
		return err.Error()
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := c.Do(req)
	if err != nil {
		return "no answer"
	}
	defer res.Body.Close()
	var answer struct {
		Response struct {
			Allowed bool
			Status  struct{ Reason string }
		}
	}
	if res.StatusCode != http.StatusOK || json.NewDecoder(res.Body).Decode(&answer) != nil {
		return fmt.Sprintf("HTTP %d", res.StatusCode)
	}
	if answer.Response.Allowed {
		return "admitted"
	}
	return answer.Response.Status.Reason
}

// tally counts answers by word.
type tally struct {
	mu     sync.Mutex
	counts map[string]int
}

func (t *tally) add(word string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.counts == nil {
		t.counts = map[string]int{}
	}
	t.counts[word]++
}

func (t *tally) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return fmt.Sprint(t.counts)
}

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/store/storetest/stock"
)

// callers is how many API servers call; each has a connection of HTTP/2 of its own.
const callers = 3

// perReview is how many images a review names.
const perReview = 3

// outstanding bounds the reviews that wait for an answer at a time.
const outstanding = 4_000

// A target is a server that reviews are sent to.
type target struct {
	url     string
	clients [callers]*http.Client
	process *process
	always  bool // it says yes to everything
}

func newTarget(srv *server, address string, p *process) *target {
	t := &target{url: "https://" + address + "/admission/validate?timeout=10s", process: p}
	for i := range t.clients {
		t.clients[i] = &http.Client{Timeout: 15 * time.Second, Transport: &http.Transport{TLSClientConfig: tlsConfig(srv.roots), ForceAttemptHTTP2: true}}
	}
	return t
}

// An outcome is what became of reviews: how long they took from the time at which they were
// to be sent, and what was said.
type outcome struct {
	took    []time.Duration
	answers map[string]int
	spent   time.Duration // processor time of the server
	length  time.Duration
}

func (o *outcome) add(more outcome) {
	o.took = append(o.took, more.took...)
	o.spent += more.spent
	o.length += more.length
	if o.answers == nil {
		o.answers = map[string]int{}
	}
	for code, n := range more.answers {
		o.answers[code] += n
	}
}

// refused is how many reviews were neither allowed nor denied by a policy.
func (o *outcome) refused() int {
	n := 0
	for code, k := range o.answers {
		if code != allowed && code != deniedByPolicy {
			n += k
		}
	}
	return n
}

// What is said of reviews: yes, the code of a refusal, or that a yes was wrong.
const allowed, deniedByPolicy, wrongly = "allowed", string(gate.CodePolicy), "WRONGLY ALLOWED"

// A review is one that is sent, and whether the starter set denies it.
type review struct {
	body []byte
	deny bool
}

// reviews makes the bodies of reviews that ask for n different images, spread over the
// stock.
func reviews(s *stock.Stock, n int) []review {
	step := s.Images() / n
	if step%stock.Combinations == 0 {
		step-- // or all would be of one base and application
	}
	out := make([]review, (n+perReview-1)/perReview)
	for i := range out {
		var containers bytes.Buffer
		for k := range perReview {
			if k > 0 {
				containers.WriteByte(',')
			}
			image := (i*perReview + k) % n * step
			out[i].deny = out[i].deny || s.Critical(image)
			fmt.Fprintf(&containers, `{"name":"c%d","image":"%s/%s@%s","ports":[{"containerPort":8080}],"resources":{"limits":{"memory":"256Mi"}}}`,
				k, harborHost, s.Repository(image), s.Digest(image))
		}
		out[i].body = fmt.Appendf(nil, `{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{"uid":"11111111-2222-3333-4444-%012d",`+
			`"kind":{"group":"","version":"v1","kind":"Pod"},"resource":{"group":"","version":"v1","resource":"pods"},"name":"app-%d","namespace":"team-%d",`+
			`"operation":"CREATE","userInfo":{"username":"system:serviceaccount:kube-system:replicaset-controller","groups":["system:serviceaccounts"]},"dryRun":false,`+
			`"object":{"apiVersion":"v1","kind":"Pod","metadata":{"name":"app-%d","namespace":"team-%d","labels":{"app":"app"}},"spec":{"containers":[%s]}}}}`,
			i, i, i%20, i, i%20, containers.Bytes())
	}
	return out
}

// send sends one review and says what was answered.
func (t *target) send(ctx context.Context, i int, r review) string {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, t.url, bytes.NewReader(r.body))
	if err != nil {
		return "failed"
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := t.clients[i%callers].Do(req)
	if err != nil {
		return "failed"
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return "failed"
	}
	if bytes.Contains(text, []byte(`"allowed":true`)) {
		if r.deny && !t.always {
			return wrongly
		}
		return allowed
	}
	var answer struct {
		Response struct {
			Status struct{ Reason, Message string }
		}
	}
	if json.Unmarshal(text, &answer) != nil || answer.Response.Status.Reason == "" {
		return fmt.Sprint("HTTP ", resp.StatusCode)
	}
	return answer.Response.Status.Reason
}

// atRate sends reviews at a fixed rate, whatever the answers do, for a length of time. The
// time of each counts from when it was to be sent, so that a server that stalls is not
// spared the reviews that would have come meanwhile.
func (t *target) atRate(ctx context.Context, all []review, rate int, length time.Duration, from int) outcome {
	total := int(length.Seconds() * float64(rate))
	out := outcome{answers: map[string]int{}, took: make([]time.Duration, 0, total), length: length}
	before := t.process.spent()
	var mu sync.Mutex
	var wg sync.WaitGroup
	slots := make(chan struct{}, outstanding)
	began := time.Now()
	for i := range total {
		due := began.Add(time.Duration(i) * time.Second / time.Duration(rate))
		if wait := time.Until(due); wait > 0 {
			time.Sleep(wait)
		}
		if ctx.Err() != nil {
			break
		}
		select {
		case slots <- struct{}{}:
		default: // it would not have been answered in time either
			mu.Lock()
			out.answers["not sent"]++
			mu.Unlock()
			continue
		}
		wg.Go(func() {
			said := t.send(ctx, i, all[(from+i)%len(all)])
			took := time.Since(due)
			<-slots
			mu.Lock()
			defer mu.Unlock()
			out.took = append(out.took, took)
			out.answers[said]++
		})
	}
	wg.Wait()
	out.spent = t.process.spent() - before
	return out
}

// once sends each review once, some at a time.
func (t *target) once(ctx context.Context, all []review) outcome {
	out := outcome{answers: map[string]int{}}
	began, before := time.Now(), t.process.spent()
	var mu sync.Mutex
	var wg sync.WaitGroup
	next := make(chan int)
	for range 8 {
		wg.Go(func() {
			for i := range next {
				start := time.Now()
				said := t.send(ctx, i, all[i])
				mu.Lock()
				out.answers[said]++
				out.took = append(out.took, time.Since(start))
				mu.Unlock()
			}
		})
	}
	for i := range all {
		next <- i
	}
	close(next)
	wg.Wait()
	out.spent, out.length = t.process.spent()-before, time.Since(began)
	return out
}

// compared is the cell of a figure: ours against the always-allow server.
func compared(ours, theirs outcome) string {
	slices.Sort(ours.took)
	slices.Sort(theirs.took)
	p99, base := percentile(ours.took, 99), percentile(theirs.took, 99)
	cell := fmt.Sprintf("p50 %s, p99 %s; always-allow %s, %s; ratio of p99 %.1f; %d of %d refused", short(percentile(ours.took, 50)), short(p99),
		short(percentile(theirs.took, 50)), short(base), float64(p99)/float64(max(base, 1)), ours.refused(), total(ours))
	if n := total(ours); n > 0 {
		cell += fmt.Sprintf("; %s of processor time a review", short(ours.spent/time.Duration(n)))
	}
	if n := ours.answers[wrongly]; n > 0 {
		cell += fmt.Sprintf("; %d WRONGLY ALLOWED", n)
	}
	return cell
}

func total(o outcome) int {
	n := 0
	for _, k := range o.answers {
		n += k
	}
	return n
}

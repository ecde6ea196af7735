package demo

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"time"

	admissionv1 "k8s.io/api/admission/v1"

	"github.com/digestgate/digestgate/cmd/digestgate/connect"
	"github.com/digestgate/digestgate/cmd/digestgate/show"
	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/admission"
	"github.com/digestgate/digestgate/gate/pipeline"
	"github.com/digestgate/digestgate/gate/view"
)

// demoTimeout bounds each wait for the worker.
const demoTimeout = 2 * time.Minute

func (d *demo) play(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 2*demoTimeout)
	defer cancel()
	d.title("2. Three images are built and pushed (and a fourth, without an event)")
	var err error
	if d.images, err = PushImages(d.registry); err != nil {
		return err
	}
	d.say("  shop/web:1.0             %s  Debian 12 without its security updates", d.images.vulnerable.Short())
	d.say("  shop/api:2.0, :latest    %s  Debian 12 up to date, and this program", d.images.clean.Short())
	d.say("  shop/worker:3.1          %s  an index: linux/amd64 up to date, linux/arm64 not", d.images.Index.Short())
	d.say("  shop/tool:0.1            %s  pushed without an event", d.images.unseen.Short())

	for _, step := range []func(context.Context) error{d.deliver, d.analyse, d.quota, d.findings, d.admission, d.neverSeen} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

// delivery is a push event as Harbor 2 sends it, in either of its formats.
func (d *demo) delivery(repo, tag string, digest gate.Digest, cloudEvents bool) (string, []byte) {
	data := map[string]any{
		"resources":  []any{map[string]any{"digest": digest, "tag": tag, "resource_url": d.image(repo + ":" + tag)}},
		"repository": map[string]any{"name": repo[5:], "namespace": repo[:4], "repo_full_name": repo, "repo_type": "private", "date_created": time.Now().Unix()},
	}
	contentType, event := "application/json", map[string]any{"type": "PUSH_ARTIFACT", "occur_at": time.Now().Unix(), "operator": "robot$ci", "event_data": data}
	if cloudEvents {
		contentType = "application/cloudevents+json"
		event = map[string]any{"specversion": "1.0", "id": "66e18103-09c1-41f6-982f-37df223f3eeb", "source": "/projects/2/webhook/policies/15",
			"type": "harbor.artifact.pushed", "datacontenttype": "application/json", "time": time.Now().UTC().Format(time.RFC3339), "operator": "robot$ci", "data": data}
	}
	body, err := json.Marshal(event)
	if err != nil {
		panic(err) // maps of strings and numbers always marshal
	}
	return contentType, body
}

// deliver sends the events; the API's worker is fast, so that a repeated one is
// a duplicate or known already.
func (d *demo) deliver(ctx context.Context) error {
	d.title("3. Harbor sends the push events, some of them several times")
	for _, e := range []struct {
		repo, tag   string
		digest      gate.Digest
		cloudEvents bool
		first       bool
	}{
		{"shop/web", "1.0", d.images.vulnerable, false, true},
		{"shop/web", "1.0", d.images.vulnerable, false, false},
		{"shop/api", "2.0", d.images.clean, true, true},
		{"shop/api", "latest", d.images.clean, true, false},
		{"shop/api", "2.0", d.images.clean, false, false},
		{"shop/worker", "3.1", d.images.Index, true, true},
		{"shop/worker", "3.1", d.images.Index, false, false},
	} {
		contentType, body := d.delivery(e.repo, e.tag, e.digest, e.cloudEvents)
		status, answer, err := d.post(ctx, d.url("http")+"/webhooks/"+RegistryName, contentType, "demo-secret-0123456789", body)
		if err != nil {
			return err
		}
		var out struct{ State gate.PushState }
		if err := json.Unmarshal(answer, &out); err != nil {
			return fmt.Errorf("reading the answer to a delivery: %w", err)
		}
		ok := status == http.StatusAccepted && (!e.first || out.State == gate.PushQueued)
		d.expect(ok, "%s:%s  ->  %d %s", e.repo, e.tag, status, out.State)
	}
	status, _, err := d.post(ctx, d.url("http")+"/webhooks/"+RegistryName, "application/json", "wrong-secret", []byte("{}"))
	d.expect(status == http.StatusUnauthorized, "a delivery with a wrong secret  ->  %d", status)
	return err
}

func (d *demo) post(ctx context.Context, url, contentType, secret string, body []byte) (int, []byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	req.Header.Set("Content-Type", contentType)
	req.Header.Set("Authorization", secret)
	res, err := d.http.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	return res.StatusCode, answer, err
}

// get asks the API.
func (d *demo) get(ctx context.Context, path string, out any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, d.url("http")+"/api/v1"+path, nil)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+d.app.Token.Value)
	res, err := d.http.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("asking for %s: the server answered %s", path, res.Status)
	}
	return json.NewDecoder(res.Body).Decode(out)
}

// analyse waits for the worker and shows its progress.
func (d *demo) analyse(ctx context.Context) error {
	d.title("4. The worker analyses each digest once, in child processes")
	began := time.Now()
	for _, digest := range append([]gate.Digest{d.images.vulnerable, d.images.clean}, d.images.Children...) {
		job, err := d.await(ctx, digest)
		if err != nil {
			return err
		}
		took := job.FinishedAt.Sub(job.StartedAt).Round(time.Millisecond)
		d.expect(job.State == gate.JobDone, "%s  %s after %s; %d layers, %d of them known before, %.1f MB pulled",
			digest.Short(), job.State, took, job.Progress.LayersTotal, job.Progress.LayersKnown, float64(job.Progress.Bytes)/1e6)
		if job.Error != "" {
			d.say("      %s", gate.Printable(job.Error, 400))
		}
	}
	d.say("  all analyses after %s", time.Since(began).Round(100*time.Millisecond))
	return nil
}

// await waits until the newest analysis of a digest has ended.
func (d *demo) await(ctx context.Context, digest gate.Digest) (gate.Job, error) {
	shown := ""
	var last gate.Job
	err := pipeline.Await(ctx, d.app.Store.Changed, time.Second, func(ctx context.Context) (bool, error) {
		e, err := d.entry(ctx, digest)
		if err != nil || e.Job == nil {
			return false, err
		}
		last = *e.Job
		if now := show.DescribeProgress(last.Progress); last.State == gate.JobRunning && now != shown {
			shown = now
			d.say("     %s  %s", digest.Short(), shown)
		}
		return !last.State.Live(), nil
	})
	if err != nil && ctx.Err() != nil {
		err = fmt.Errorf("waiting for the analysis of %s: %w", digest.Short(), errors.Join(gate.ErrTimeout, err))
	}
	return last, err
}

func (d *demo) quota(ctx context.Context) error {
	d.title("5. The quota is charged for digests, not for events")
	var q view.QuotaView
	if err := d.get(ctx, "/quota", &q); err != nil {
		return err
	}
	d.expect(q.Used == 4, "%d of %d used in %s (seven deliveries, three pushes, four images)", q.Used, q.Limit, q.Period)
	d.expect(q.Avoided == 4, "%d requests were answered without a charge", q.Avoided)
	return nil
}

func (d *demo) findings(ctx context.Context) error {
	d.title("6. Findings and verdicts")
	for _, want := range []struct {
		name     string
		digest   gate.Digest
		decision []gate.Outcome
	}{
		{"shop/web:1.0", d.images.vulnerable, []gate.Outcome{gate.OutcomeDeny}},
		// This program warns of itself (rule gaps) where it was built without a version.
		{"shop/api:2.0", d.images.clean, []gate.Outcome{gate.OutcomeAllow, gate.OutcomeWarn}},
		{"shop/worker:3.1", d.images.Index, []gate.Outcome{gate.OutcomeDeny}},
	} {
		var v view.ImageDetail
		if err := d.get(ctx, "/images/"+string(want.digest), &v); err != nil {
			return err
		}
		got := gate.OutcomeNone
		if v.Verdict != nil {
			got = v.Verdict.Decision
		}
		c := v.Counts
		d.expect(slices.Contains(want.decision, got), "%-16s %-5s  %d critical, %d high, %d medium, %d low, %d unknown", want.name, got, c.Critical, c.High, c.Medium, c.Low, c.Unknown)
		if v.Verdict == nil {
			continue
		}
		for _, r := range v.Verdict.Reasons {
			d.say("        %s %s: %s", r.Action, r.Rule, gate.Printable(r.Msg, 160))
		}
	}
	return nil
}

// admission asks what an API server would ask.
func (d *demo) admission(ctx context.Context) error {
	d.title("7. Kubernetes asks: may these Pods run?")
	for _, want := range []struct {
		image string
		code  gate.Code // "" for admitted
	}{
		{d.image("shop/api:2.0"), ""},
		{d.image("shop/api@" + string(d.images.clean)), ""},
		{d.image("shop/web:1.0"), gate.CodePolicy},
		{d.image("shop/worker:3.1"), gate.CodePolicy},
		{d.image("shop/worker@" + string(d.images.Children[0])), ""},
		{"docker.io/library/nginx:latest", gate.CodeRegistryNotTrusted},
		{"sha256:" + d.images.clean.Hex(), gate.CodeRefAmbiguous},
	} {
		if err := d.review(ctx, want.image, want.code); err != nil {
			return err
		}
	}
	return nil
}

// neverSeen shows that an unknown image is denied, scanned and then admitted.
func (d *demo) neverSeen(ctx context.Context) error {
	d.title("8. An image without a push event is denied, scanned, and then admitted")
	image := d.image("shop/tool:0.1")
	if err := d.review(ctx, image, gate.CodeUnscanned); err != nil {
		return err
	}
	if _, err := d.await(ctx, d.images.unseen); err != nil {
		return err
	}
	return d.review(ctx, image, "")
}

// review sends a real AdmissionReview of a Pod over TLS and shows the answer.
func (d *demo) review(ctx context.Context, image string, want gate.Code) error {
	pod, err := json.Marshal(map[string]any{
		"apiVersion": "v1", "kind": "Pod", "metadata": map[string]any{"name": "demo", "namespace": "shop"},
		"spec": map[string]any{"containers": []any{map[string]any{"name": "app", "image": image}}},
	})
	if err != nil {
		return err
	}
	body, err := admission.WrapObject(pod)
	if err != nil {
		return err
	}
	ask, err := connect.Reviewer(d.url("admission"), d.caFile())
	if err != nil {
		return err
	}
	raw, err := ask(ctx, body)
	if err != nil {
		return err
	}
	var out admissionv1.AdmissionReview
	if err := json.Unmarshal(raw, &out); err != nil || out.Response == nil {
		return fmt.Errorf("reading the answer of admission: %w", errors.Join(err, gate.ErrReviewInvalid))
	}
	if out.Response.Allowed {
		d.expect(want == "", "%s  ->  admitted", image)
		return nil
	}
	d.expect(string(out.Response.Result.Reason) == string(want), "%s  ->  refused, %d", image, out.Response.Result.Code)
	d.say("        %s", out.Response.Result.Message)
	return nil
}

package app

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/notify"
	"github.com/digestgate/digestgate/gate/outbound"
)

// TestNotifiers: every folder of gate/notify that is a kind of target is in the table.
func TestNotifiers(t *testing.T) {
	entries, err := os.ReadDir("../../../gate/notify")
	if err != nil {
		t.Fatal(err)
	}
	var folders []string
	for _, e := range entries {
		if e.IsDir() && e.Name() != "text" && e.Name() != "post" && e.Name() != "testdata" {
			folders = append(folders, e.Name())
		}
	}
	types := notify.Types(Notifiers())
	slices.Sort(types)
	if !slices.Equal(folders, types) {
		t.Errorf("folders %q, the table has %q", folders, types)
	}
}

// request is what a receiver got.
type request struct {
	header http.Header
	url    url.URL
	body   []byte
}

// receiver is a chat or a webhook of others.
type receiver struct {
	*httptest.Server
	mu     sync.Mutex
	got    []request
	status int
	header http.Header
	answer string
}

func newReceiver(t *testing.T) *receiver {
	t.Helper()
	r := &receiver{status: http.StatusOK}
	r.Server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		body, _ := io.ReadAll(req.Body)
		r.mu.Lock()
		defer r.mu.Unlock()
		r.got = append(r.got, request{req.Header.Clone(), *req.URL, body})
		for k, v := range r.header {
			w.Header()[k] = v
		}
		w.WriteHeader(r.status)
		_, _ = io.WriteString(w, r.answer)
	}))
	t.Cleanup(r.Close)
	return r
}

// takenAnswer is what each kind of target answers when it has taken a message.
var takenAnswer = map[string]string{
	"slack": "ok", "dingtalk": `{"errcode":0,"errmsg":"ok"}`, "wecom": `{"errcode":0,"errmsg":"ok"}`, "feishu": `{"StatusCode":0,"StatusMessage":"success","code":0,"data":{},"msg":"success"}`,
}

func (r *receiver) open(t *testing.T, name string, secret string) notify.Sender {
	t.Helper()
	v, found := notify.Find(Notifiers(), name)
	if !found {
		t.Fatal(name)
	}
	s, err := v.Open(notify.Access{
		URL: r.URL + "/hook/t0p-s3cret?key=t0p-s3cret", Secret: []byte(secret), Timeout: 5 * time.Second,
		TLS: r.Client().Transport.(*http.Transport).TLSClientConfig, Source: "https://gate.example.com",
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func posted() []notify.Vendor {
	return slices.DeleteFunc(Notifiers(), func(v notify.Vendor) bool { return v.Mail })
}

// letterOf is the sample with hostile texts, as the target gets it.
func letterOf(t *testing.T, v notify.Vendor) notify.Letter {
	t.Helper()
	at := time.Unix(1_800_000_000, 0)
	l, err := notify.Render(t.Context(), v, "", notify.Sample("ops", "https://gate.example.com", at), at)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// TestPosts: each kind of target gets one valid JSON body with the texts of a hostile
// image, in which nothing is a mention, a link, or more than a text.
func TestPosts(t *testing.T) {
	for _, v := range posted() {
		t.Run(v.Type, func(t *testing.T) {
			r := newReceiver(t)
			r.answer = takenAnswer[v.Type]
			l := letterOf(t, v)
			answer, err := r.open(t, v.Type, "secret-of-16-bytes").Send(t.Context(), l)
			if err != nil || answer.Status != 200 || len(r.got) != 1 {
				t.Fatalf("got %+v, %v, %d requests", answer, err, len(r.got))
			}
			got := r.got[0]
			var body map[string]any
			if err := json.Unmarshal(got.body, &body); err != nil {
				t.Fatalf("%v in %s", err, got.body)
			}
			if got.header.Get("Idempotency-Key") != l.ID {
				t.Errorf("headers %v", got.header)
			}
			texts := stringsOf(body)
			for _, text := range texts {
				for _, bad := range []string{"<!channel>", "@all", "](http", "http://example.com", "\u202e", "\r"} {
					if strings.Contains(text, bad) && v.Markup != "json" {
						t.Errorf("%q is in %q", bad, text)
					}
				}
			}
			whole := strings.Join(texts, "\n")
			if want := map[string]string{
				"webhook": "CVE-2026-1", "cloudevents": "io.digestgate.notification.v1", "slack": "&lt;!channel&gt;＠all［a］(http：//example.com)", "feishu": "&#60;!channel&#62;＠all&#91;a&#93;(http：//example.com)",
			}[v.Type]; !strings.Contains(whole, want) {
				t.Errorf("no %q in %s", want, whole)
			}
			if v.Template != "" && len(l.Text) > v.Limit {
				t.Errorf("%d bytes of text, more than %d", len(l.Text), v.Limit)
			}
			signed(t, v.Type, got, l)
		})
	}
}

// signed checks the signature as the vendor's documentation has it.
func signed(t *testing.T, kind string, got request, l notify.Letter) {
	t.Helper()
	mac := func(key, text string) string {
		h := hmac.New(sha256.New, []byte(key))
		h.Write([]byte(text))
		return base64.StdEncoding.EncodeToString(h.Sum(nil))
	}
	const secret = "secret-of-16-bytes"
	switch kind {
	case "webhook", "cloudevents":
		at := got.header.Get("Webhook-Timestamp")
		if want := "v1," + mac(secret, l.ID+"."+at+"."+string(got.body)); at != "1800000000" || got.header.Get("Webhook-Signature") != want || got.header.Get("Webhook-Id") != l.ID {
			t.Errorf("signature %v, want %s", got.header, want)
		}
	case "dingtalk":
		q := got.url.Query()
		if q.Get("timestamp") != "1800000000000" || q.Get("sign") != mac(secret, "1800000000000\n"+secret) || q.Get("key") != "t0p-s3cret" {
			t.Errorf("query %v", q)
		}
	case "feishu":
		var b struct{ Timestamp, Sign string }
		if err := json.Unmarshal(got.body, &b); err != nil || b.Timestamp != "1800000000" || b.Sign != mac("1800000000\n"+secret, "") {
			t.Errorf("got %+v, %v", b, err)
		}
	}
}

func stringsOf(v any) (list []string) {
	switch v := v.(type) {
	case string:
		return []string{v}
	case []any:
		for _, e := range v {
			list = append(list, stringsOf(e)...)
		}
	case map[string]any:
		for _, e := range v {
			list = append(list, stringsOf(e)...)
		}
	}
	return list
}

// TestPostBodies: the shapes are those of the vendors' documentation.
func TestPostBodies(t *testing.T) {
	for kind, keys := range map[string][]string{
		"slack":       {"text", "blocks.0.type=section", "blocks.0.text.type=mrkdwn", "blocks.0.text.text", "blocks.0.text.verbatim=true"},
		"dingtalk":    {"msgtype=markdown", "markdown.title", "markdown.text", "at.isAtAll=false"},
		"feishu":      {"msg_type=interactive", "card.header.title.tag=plain_text", "card.elements.0.tag=markdown", "card.elements.0.content", "card.header.template=red"},
		"wecom":       {"msgtype=markdown", "markdown.content"},
		"teams":       {"type=message", "attachments.0.contentType=application/vnd.microsoft.card.adaptive", "attachments.0.content.type=AdaptiveCard", "attachments.0.content.version=1.4", "attachments.0.content.body.1.type=TextBlock"},
		"cloudevents": {"specversion=1.0", "id", "source=https://gate.example.com", "type=io.digestgate.notification.v1", "time=2027-01-15T08:00:00Z", "datacontenttype=application/json", "data.items.0.what", "data.title"},
		"webhook":     {"id", "target=ops", "title", "items.1.vulnerability=CVE-2026-1", "totals.denied=1", "totals.new.critical=1"},
	} {
		t.Run(kind, func(t *testing.T) {
			v, _ := notify.Find(Notifiers(), kind)
			r := newReceiver(t)
			r.answer = takenAnswer[kind]
			if _, err := r.open(t, kind, "").Send(t.Context(), letterOf(t, v)); err != nil {
				t.Fatal(err)
			}
			var body any
			if err := json.Unmarshal(r.got[0].body, &body); err != nil {
				t.Fatal(err)
			}
			for _, key := range keys {
				path, want, exact := strings.Cut(key, "=")
				at := body
				for part := range strings.SplitSeq(path, ".") {
					switch x := at.(type) {
					case map[string]any:
						at = x[part]
					case []any:
						var i int
						if _, err := fmt.Sscan(part, &i); err == nil && i < len(x) {
							at = x[i]
						}
					default:
						at = nil
					}
				}
				if at == nil || exact && fmt.Sprint(at) != want {
					t.Errorf("%s: got %v in %s", key, at, r.got[0].body)
				}
			}
			if kind == "cloudevents" && !strings.HasPrefix(r.got[0].header.Get("Content-Type"), "application/cloudevents+json") {
				t.Errorf("content type %q", r.got[0].header.Get("Content-Type"))
			}
		})
	}
}

// TestPostAnswers: what an answer means, for each kind of target; its body is never told.
func TestPostAnswers(t *testing.T) {
	const inside = "t0p-s3cret of a server inside"
	for name, c := range map[string]struct {
		kinds  string
		status int
		answer string
		after  string
		final  bool
		wait   time.Duration
		want   string // "" for taken
	}{
		"refused_with_200":    {"dingtalk wecom", 200, `{"errcode":310000,"errmsg":"` + inside + `"}`, "", false, 0, "code 310000"},
		"feishu_with_200":     {"feishu", 200, `{"code":19021,"msg":"` + inside + `"}`, "", false, 0, "code 19021"},
		"former_feishu":       {"feishu", 200, `{"StatusCode":0}`, "", false, 0, ""},
		"too_often_dingtalk":  {"dingtalk", 200, `{"errcode":130101}`, "", false, 10 * time.Minute, "code 130101"},
		"too_often_wecom":     {"wecom", 200, `{"errcode":45009}`, "", false, time.Minute, "code 45009"},
		"too_often_feishu":    {"feishu", 200, `{"code":9499}`, "", false, time.Minute, "code 9499"},
		"content_wecom":       {"wecom", 200, `{"errcode":40058}`, "", true, 0, "refuses this message"},
		"no_code":             {"dingtalk wecom feishu", 200, inside, "", false, 0, "not like a target of this type"},
		"empty":               {"dingtalk wecom feishu", 200, "", "", false, 0, "not like a target of this type"},
		"accepted":            {"webhook cloudevents teams", 202, "", "", false, 0, ""},
		"no_content":          {"webhook slack", 204, "", "", false, 0, ""},
		"bad_request":         {"webhook cloudevents slack teams dingtalk wecom feishu", 400, inside, "", true, 0, "status 400"},
		"too_large":           {"webhook teams", 413, inside, "", true, 0, "status 413"},
		"gone":                {"slack webhook", 410, inside, "", false, 0, "status 410"},
		"failing":             {"webhook cloudevents slack teams dingtalk wecom feishu", 500, inside, "", false, 0, "status 500"},
		"too_many":            {"webhook cloudevents slack teams dingtalk wecom feishu", 429, inside, "17", false, 17 * time.Second, "status 429"},
		"away_for_long":       {"webhook", 503, inside, "999999999999", false, time.Hour, "status 503"},
		"retry_after_garbage": {"webhook", 429, inside, "soon", false, 0, "status 429"},
	} {
		for kind := range strings.FieldsSeq(c.kinds) {
			t.Run(name+"_"+kind, func(t *testing.T) {
				v, _ := notify.Find(Notifiers(), kind)
				r := newReceiver(t)
				r.status, r.answer = c.status, c.answer
				if c.after != "" {
					r.header = http.Header{"Retry-After": {c.after}}
				}
				answer, err := r.open(t, kind, "").Send(t.Context(), letterOf(t, v))
				if answer.Status != c.status {
					t.Errorf("status %d", answer.Status)
				}
				if c.want == "" {
					if err != nil {
						t.Errorf("got %v", err)
					}
					return
				}
				var f *notify.Failure
				if !errors.As(err, &f) || !strings.Contains(f.Reason, c.want) || f.Final != c.final || f.After != c.wait {
					t.Fatalf("got %+v, want %q, final %t, wait %s", err, c.want, c.final, c.wait)
				}
				if strings.Contains(f.Reason, "t0p-s3cret") {
					t.Errorf("the reason tells a secret: %s", f.Reason)
				}
			})
		}
	}
}

// TestPostSecrets: no failure tells the address, and no redirect takes the message along.
func TestPostSecrets(t *testing.T) {
	away := newReceiver(t)
	closed := httptest.NewTLSServer(nil)
	closed.Close()
	for name, c := range map[string]struct {
		change func(*receiver, *notify.Access)
		want   string
	}{
		"redirect": {func(r *receiver, _ *notify.Access) {
			r.status, r.header = 307, http.Header{"Location": {away.URL + "/t0p-s3cret"}}
		}, "a redirect"},
		"same_host": {func(r *receiver, _ *notify.Access) {
			r.status, r.header = 308, http.Header{"Location": {"/t0p-s3cret"}}
		}, "a redirect"},
		"refused":     {func(_ *receiver, a *notify.Access) { a.URL = closed.URL + "/t0p-s3cret" }, "the connection to it failed"},
		"not_trusted": {func(_ *receiver, a *notify.Access) { a.TLS = nil }, "not trusted"},
		"no_host":     {func(_ *receiver, a *notify.Access) { a.URL = "https://t0p.invalid/t0p-s3cret" }, "not found"},
		"at_run_time": {func(_ *receiver, a *notify.Access) { a.Allow = new(outbound.Allow) }, "refusing to connect"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newReceiver(t)
			a := notify.Access{URL: r.URL + "/t0p-s3cret", Timeout: 5 * time.Second, TLS: r.Client().Transport.(*http.Transport).TLSClientConfig}
			c.change(r, &a)
			v, _ := notify.Find(Notifiers(), "webhook")
			s, err := v.Open(a)
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			_, err = s.Send(context.Background(), letterOf(t, v))
			var f *notify.Failure
			if !errors.As(err, &f) || !strings.Contains(f.Reason, c.want) || strings.Contains(f.Reason, "t0p-s3cret") {
				t.Errorf("got %v, want %q", err, c.want)
			}
			if len(away.got) != 0 {
				t.Errorf("%d requests elsewhere", len(away.got))
			}
		})
	}
	for kind, list := range map[string][]string{
		"slack":   {"", "http://hooks.example.com/t0p-s3cret", "hooks.example.com/t0p-s3cret", "https://u:t0p-s3cret@hooks.example.com/", "https://169.254.169.254/t0p-s3cret", "https://[fe80::1]/t0p-s3cret", "https:///t0p-s3cret", "ftp://x/t0p-s3cret", "https://x/" + strings.Repeat("t0p-s3cret", 300), "https://%zz/t0p-s3cret"},
		"webhook": {"ftp://hooks.example.com/t0p-s3cret", "http://169.254.169.254/t0p-s3cret", "http://100.100.100.200/t0p-s3cret"},
	} {
		v, _ := notify.Find(Notifiers(), kind)
		for _, raw := range list {
			if _, err := v.Open(notify.Access{URL: raw}); !errors.Is(err, gate.ErrInvalid) || strings.Contains(err.Error(), "t0p-s3cret") {
				t.Errorf("%s %q: got %v", kind, raw, err)
			}
		}
	}
}

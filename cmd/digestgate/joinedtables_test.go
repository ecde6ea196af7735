package main

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sigstore/sigstore/pkg/signature"

	"github.com/digestgate/digestgate/cmd/digestgate/demo"
	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/view"
	"github.com/digestgate/digestgate/scanner/registry/fake"
)

const tablesPolicy = `package digestgate

deny contains {"rule": "exploited", "msg": v.id} if {
	some v in input.findings.vulnerabilities
	v.knownExploited
}

deny contains {"rule": "likely", "msg": v.id} if {
	some v in input.findings.vulnerabilities
	v.epss > 0.9
}

deny contains {"rule": "ended", "msg": input.image.endOfLife.date} if input.image.endOfLife.state == "ended"
`

func catalogue(day int, ids ...string) string {
	var list []string
	for _, id := range ids {
		list = append(list, fmt.Sprintf(`{"cveID": %q, "dateAdded": "2024-11-01", "dueDate": "2024-11-20", "knownRansomwareCampaignUse": "Unknown"}`, id))
	}
	return fmt.Sprintf(`{"title": "x", "catalogVersion": "2025.01.%02d", "dateReleased": "2025-01-%02dT15:00:00.0000Z", "count": %d, "vulnerabilities": [%s]}`, day, day, len(ids), strings.Join(list, ","))
}

// attested is what "cosign attest --type openvex --key" pushes for an image.
func attested(t *testing.T, reg *fake.Registry, repo string, d gate.Digest, key signature.Signer, predicate string) {
	t.Helper()
	const payloadType = "application/vnd.in-toto+json"
	payload := fmt.Sprintf(`{"_type": "https://in-toto.io/Statement/v0.1", "predicateType": "https://openvex.dev/ns/v0.2.0", "subject": [{"name": %q, "digest": {"sha256": %q}}], "predicate": %s}`, repo, d.Hex(), predicate)
	sig, err := key.SignMessage(strings.NewReader(fmt.Sprintf("DSSEv1 %d %s %d %s", len(payloadType), payloadType, len(payload), payload)))
	if err != nil {
		t.Fatal(err)
	}
	envelope, err := json.Marshal(map[string]any{
		"payloadType": payloadType, "payload": base64.StdEncoding.EncodeToString([]byte(payload)), "signatures": []any{map[string]string{"sig": base64.StdEncoding.EncodeToString(sig)}},
	})
	if err == nil {
		_, err = reg.PutArtifact(repo, fake.CosignTag(d, "att"), fake.Artifact{Layers: []fake.Blob{{
			MediaType: "application/vnd.dsse.envelope.v1+json", Content: envelope, Annotations: map[string]string{"predicateType": "https://openvex.dev/ns/v0.2.0"},
		}}})
	}
	if err != nil {
		t.Fatal(err)
	}
}

func publicKey(t *testing.T, file string) signature.Signer {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(&k.PublicKey)
	if err == nil {
		err = os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	s, err := signature.LoadECDSASignerVerifier(k, crypto.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestJoinedTables: tables come from a URL and from files; a change decides again what it
// touches and nothing else; worse content changes nothing and is told; a VEX document is
// explained first, counts beside an image when its source has signed it, and sources follow
// the configuration without a restart.
func TestJoinedTables(t *testing.T) {
	t.Parallel()
	feeds := http.NewServeMux()
	feeds.HandleFunc("/epss.csv", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, "#model_version:v2025.03.14,score_date:2025-01-01T00:00:00+0000\ncve,epss,percentile\nCVE-2024-45490,0.5,0.9\nCVE-2024-45491,0.4,0.8\n")
	})
	server := httptest.NewServer(feeds)
	t.Cleanup(server.Close)
	s := newServer(t, "")
	file := func(name, text string) string {
		t.Helper()
		path := filepath.Join(s.dir, name)
		if err := os.WriteFile(path+".new", []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(path+".new", path); err != nil {
			t.Fatal(err)
		}
		return path
	}
	const others = "CVE-2021-0001"
	kev := file("kev.json", catalogue(1, others))
	eol := file("eol.json", `{"schema_version": "1.2.0", "generated_at": "2025-01-01T00:00:00+00:00", "total": 1, "result": [{"name": "debian", "aliases": [], "releases": [{"name": "12", "isEol": false, "eolFrom": "2099-06-10"}]}]}`)
	policy := file("policy.rego", tablesPolicy)
	key := publicKey(t, filepath.Join(s.dir, "acme.pub"))
	edit := func(old, text string) {
		t.Helper()
		before := read(t, s.config)
		if !strings.Contains(before, old) {
			t.Fatalf("the configuration has no %q", old)
		}
		file("config.yaml", strings.Replace(before, old, text, 1))
	}
	edit("stale: allow}", fmt.Sprintf("stale: allow, epss: %q, kev: %q, eol: %q, vex: []}\npolicy: {paths: [%q]}", server.URL+"/epss.csv", kev, eol, policy))
	s.start()
	status := func() map[gate.TableKind]gate.TableStatus {
		t.Helper()
		var v gate.AdvisoryData
		if err := s.client().Call(t.Context(), http.MethodGet, "/advisories", nil, &v); err != nil {
			t.Fatal(err)
		}
		out := map[gate.TableKind]gate.TableStatus{}
		for _, st := range v.Tables {
			out[st.Kind] = st
		}
		return out
	}
	eventually(t, "all tables", time.Minute, func() bool {
		st := status()
		return st[gate.TableEPSS].InForce.Rows == 2 && st[gate.TableKEV].InForce.Rows == 1 && st[gate.TableEOL].InForce.Rows == 1
	})

	affected := s.pushDebian("team/app", "v1", demo.Released, nil)
	images := []gate.Digest{affected}
	for i := range 3 {
		images = append(images, s.pushDebian("team/app", fmt.Sprint("u", i), demo.Updated, map[string]string{"n": fmt.Sprint(i)}))
	}
	for i, d := range images {
		s.deliver(hookSecret, "team/app", fmt.Sprint("t", i), d)
	}
	review := s.reviewer(s)
	name := func(d gate.Digest) string { return s.registry.Host + "/team/app@" + string(d) }
	judged := func(v view.ImageDetail) bool { return v.Verdict != nil }
	at := map[gate.Digest]time.Time{}
	for _, d := range images {
		at[d] = s.until(d, time.Minute, judged).Verdict.EvaluatedAt
		if got := review(name(d)); !got.allowed {
			t.Fatalf("at first: %s", got)
		}
	}
	decided := func(want gate.Outcome) func(view.ImageDetail) bool {
		return func(v view.ImageDetail) bool { return v.Verdict != nil && v.Verdict.Decision == want }
	}
	refused := func(when string) {
		t.Helper()
		eventually(t, when+": it is refused", time.Minute, func() bool { return review(name(affected)).code == "POLICY" })
		s.until(affected, time.Minute, decided(gate.OutcomeDeny))
		for _, d := range images[1:] {
			if v := s.until(d, time.Minute, judged); !v.Verdict.EvaluatedAt.Equal(at[d]) || v.Verdict.Decision != gate.OutcomeAllow {
				t.Errorf("%s: an image without the vulnerability was decided again: %+v", when, v.Verdict)
			}
		}
	}
	file("kev.json", catalogue(2, others, "CVE-2024-45490"))
	refused("a list with the vulnerability")

	for what, text := range map[string]string{"malformed": `{"catalogVersion": "x"`, "older": catalogue(1, others), "shrunken": `{"count": 2, "vulnerabilities": []}`} {
		file("kev.json", text)
		eventually(t, what+": the reason is shown", time.Minute, func() bool { return status()[gate.TableKEV].Problem != "" })
		if st := status()[gate.TableKEV]; st.InForce.Rows != 2 {
			t.Errorf("%s: in force are %d rows", what, st.InForce.Rows)
		}
		refused(what)
		file("kev.json", catalogue(2, others, "CVE-2024-45490"))
		eventually(t, what+": mended", time.Minute, func() bool { return status()[gate.TableKEV].Problem == "" })
	}

	// What a document would hide is shown first, and hides nothing.
	document := fmt.Sprintf(`{"@context": "https://openvex.dev/ns/v0.2.0", "@id": "acme-1", "author": "Acme Security", "timestamp": %q, "version": 1, "statements": [
 {"vulnerability": {"name": "CVE-2024-45490"}, "status": "not_affected", "justification": "vulnerable_code_not_in_execute_path",
  "products": [{"@id": "pkg:oci/app@%s", "subcomponents": [{"@id": "pkg:deb/debian/libexpat1@2.5.0-1"}]}]}]}`, time.Now().Add(-time.Hour).UTC().Format(time.RFC3339), affected)
	token := s.tokenFile()
	code, out, errs := command(t, "advisories", "vex", "--explain", file("acme.json", document), "--server", s.urls["http"], "--token-file", token)
	if code != 0 || !strings.Contains(out, "CVE-2024-45490") || !strings.Contains(out, "libexpat1") {
		t.Errorf("explain: exit %d: %s%s", code, out, errs)
	}
	refused("explained")

	// Beside the image, first by another author, then by the source, which the
	// configuration names without a restart.
	edit("vex: []", fmt.Sprintf(`vex: [{name: acme, images: true, key: %q, repositories: ["hub/team/**"], maxAge: 240h}]`, filepath.Join(s.dir, "acme.pub")))
	s.said(0, `msg="configuration reloaded"`, "advisories.vex")
	rescan := func() {
		t.Helper()
		if err := s.client().Call(t.Context(), http.MethodPost, "/scans", map[string]any{"images": []string{name(affected)}, "force": true}, nil); err != nil {
			t.Fatal(err)
		}
	}
	attested(t, s.registry, "team/app", affected, publicKey(t, filepath.Join(s.dir, "mallory.pub")), document)
	pulls := s.registry.Count(http.MethodGet, "/manifests/sha256-"+affected.Hex()+".att")
	rescan()
	findings := func() (v view.FindingsDetail) {
		t.Helper()
		if err := s.client().Call(t.Context(), http.MethodGet, "/images/"+string(affected)+"/findings", nil, &v); err != nil {
			t.Fatal(err)
		}
		return v
	}
	eventually(t, "the document by another author is refused", time.Minute, func() bool {
		b := findings().Beside
		return b != nil && len(b.Documents) == 0 && fmt.Sprint(b.Refused) == "map[a document beside an image is not signed by a source of advisories.vex:1]"
	})
	refused("by another author")
	if b := status()[gate.TableVEX].Beside; b == nil || len(b.Refused) != 1 || b.Documents != 0 {
		t.Errorf("status: %+v", b)
	}
	attested(t, s.registry, "team/app", affected, key, document)
	rescan()
	eventually(t, "signed by the source it is admitted", time.Minute, func() bool { return review(name(affected)).allowed })
	eventually(t, "what the document hides is shown", time.Minute, func() bool { return len(findings().Hidden) == 1 })
	if v := findings(); len(v.Hidden) != 1 || v.Hidden[0].Statement.Source != "acme" || len(v.Beside.Documents) != 1 {
		t.Errorf("findings: hidden %+v, beside %+v", v.Hidden, v.Beside)
	}
	if s.registry.Count(http.MethodGet, "/manifests/sha256-"+affected.Hex()+".att") != pulls+2 {
		t.Error("a review has looked beside the image")
	}
	var shown bytes.Buffer
	code, text, errs := command(t, "advisories", "status", "--server", s.urls["http"], "--token-file", token)
	fmt.Fprint(&shown, text)
	if code != 0 || !strings.Contains(shown.String(), "1 documents") || !strings.Contains(shown.String(), "not signed by a source") {
		t.Errorf("advisories status: exit %d: %s%s", code, text, errs)
	}

	// Without the source nothing is hidden any more, and nothing is read for that.
	edit("vex: [{name: acme", "vex: [{name: zeta")
	eventually(t, "another name, another source", time.Minute, func() bool { return review(name(affected)).code == "POLICY" })
}

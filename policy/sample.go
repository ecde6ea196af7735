package policy

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/digestgate/digestgate/gate"
)

// sampleNow is a fixed time, so that samples are the same every day.
func sampleNow() time.Time { return time.Date(2026, 11, 2, 10, 0, 0, 0, time.UTC) }

// sample is a question with its large values, built by the same code as real
// inputs are.
type sample struct {
	name      string
	question  gate.Question
	inventory *gate.Inventory
	findings  *gate.Findings
	tables    Tables // nil for none
}

func (s sample) input() ast.Value {
	return inputWith(&s.question, s.inventory, s.findings, s.tables)
}

// wholeInput is the input of a question with all that rules can see.
func wholeInput(q *gate.Question, inv *gate.Inventory, f *gate.Findings) ast.Value {
	return inputWith(q, inv, f, nil)
}

// inputWith is wholeInput with tables.
func inputWith(q *gate.Question, inv *gate.Inventory, f *gate.Findings, t Tables) ast.Value {
	d := newDocument(everything(), allOfThem())
	fs := d.facts(newMaterial(basicsOf(inv, f), inv, f, &joint{tables: t, where: whereabouts(q), at: q.Now}))
	return d.compose(q, fs, inForce(q, originOf(f)), t)
}

// cleanSample is an image in which nothing was found, seen outside admission.
func cleanSample() sample {
	now := sampleNow()
	digest := gate.Digest("sha256:2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae")
	risks := map[gate.Risk]gate.RiskStatus{}
	for _, r := range gate.Risks() {
		risks[r] = gate.RiskStatus{Coverage: gate.NotLookedAt, Reason: gate.ReasonNotSupported}
	}
	for _, r := range gate.SupportedRisks() {
		risks[r] = gate.RiskStatus{Coverage: gate.Complete}
	}
	return sample{
		name: "a clean image",
		question: gate.Question{
			Event: gate.EventPush, Now: now, Digest: digest, Host: "harbor.example.com",
			Location:   gate.Location{Registry: "harbor-prod", Repository: "library/web"},
			Tags:       []string{"1.4.2"},
			State:      gate.StateScanned,
			Advisories: gate.Generation{Number: 7, Content: digest, UpdatedAt: now.Add(-5 * time.Hour)},
		},
		inventory: &gate.Inventory{
			Format: gate.InventoryFormat, Digest: digest, AnalyzerSet: "sample", AnalyzedAt: now.Add(-time.Hour),
			Isolation: gate.Isolation{Level: "strict"},
			Platform:  gate.Platform{OS: "linux", Architecture: "amd64"},
			Created:   now.Add(-24 * time.Hour), Size: 31 << 20,
			Config: gate.ImageConfig{
				User: "10001:10001", Entrypoint: []string{"/usr/local/bin/web"}, Cmd: []string{}, Env: []string{"PATH=/usr/local/bin:/usr/bin:/bin"},
				ExposedPorts: []string{"8080/tcp"}, Volumes: []string{}, WorkingDir: "/", Labels: map[string]string{"org.opencontainers.image.source": "https://git.example.com/web"},
			},
			History: []gate.History{{Created: now.Add(-24 * time.Hour), CreatedBy: "COPY web /usr/local/bin/web"}},
			Layers:  []gate.Layer{{Digest: digest, DiffID: digest, Size: 31 << 20}},
			OS:      gate.OS{Family: "debian", Name: "12.5"}, DistributionFiles: true, PackageDatabase: true,
			Packages:     []gate.Package{{Name: "libssl3", Version: "3.0.14", Release: "1~deb12u2", Arch: "amd64", SrcName: "openssl", Licenses: []string{"Apache-2.0"}, PURL: "pkg:deb/debian/libssl3@3.0.14-1~deb12u2?arch=amd64", Layer: digest}},
			Applications: []gate.Application{{Type: "gobinary", FilePath: "usr/local/bin/web", Packages: []gate.Package{{Name: "golang.org/x/net", Version: "0.40.0", PURL: "pkg:golang/golang.org/x/net@0.40.0"}}}},
			Risks:        risks,
		},
		findings: &gate.Findings{
			Digest: digest, Generation: 7, Advisories: digest, UpdatedAt: now.Add(-5 * time.Hour), Matcher: "sample", MatchedAt: now.Add(-time.Hour),
		},
	}
}

// admissionSample has one finding of each kind and a request.
func admissionSample() sample {
	s := cleanSample()
	now := s.question.Now
	published := now.Add(-30 * 24 * time.Hour)
	s.name, s.tables = "an image with findings, at admission", sampleTables{}
	s.question.Event = gate.EventAdmission
	s.question.Request = &gate.Request{
		Cluster: "default", Namespace: "shop",
		Kind: "Pod", Name: "web-5d9c", Operation: "CREATE", User: "system:serviceaccount:kube-system:replicaset-controller", Container: "web",
	}
	s.findings.Vulnerabilities = []gate.Vulnerability{{
		ID: "CVE-2026-0001", Package: "libssl3", Type: "debian", InstalledVersion: "3.0.14-1~deb12u2", FixedVersion: "3.0.15-1~deb12u1",
		Status: "fixed", Severity: gate.SeverityCritical, SeveritySource: "debian", CVSS: 9.8, Title: "openssl: sample", URL: "https://avd.example.com/CVE-2026-0001",
		PublishedAt: &published, FirstSeen: now.Add(-time.Hour), PURL: "pkg:deb/debian/libssl3@3.0.14-1~deb12u2", Source: gate.SourceTrivyDB,
	}}
	s.inventory.Secrets = []gate.Secret{{Rule: "aws-access-key-id", Category: "AWS", Severity: "CRITICAL", Title: "AWS Access Key ID", Path: "app/.env", StartLine: 3, EndLine: 3}}
	return s
}

// bareSample is an image of which as little is known as can be: every field
// has its stand-in.
func bareSample() sample {
	s := cleanSample()
	s.name = "an image of which nothing is known"
	s.question.Event = gate.EventCheck
	s.question.Tags, s.question.Host = nil, ""
	s.question.Location = gate.Location{}
	s.question.Advisories = gate.Generation{}
	s.inventory = &gate.Inventory{}
	s.findings = &gate.Findings{Vulnerabilities: []gate.Vulnerability{{ID: "CVE-0", CVSS: -1, Severity: gate.SeverityUnknown}}}
	return s
}

// crowdedSample has n vulnerabilities and packages of every severity, about
// what a large old image has.
func crowdedSample(n int) sample {
	s := admissionSample()
	s.name = fmt.Sprintf("an image with %d vulnerabilities", n)
	s.question.Event = gate.EventRescan
	one := s.findings.Vulnerabilities[0]
	s.findings.Vulnerabilities = make([]gate.Vulnerability, n)
	s.inventory.Packages = make([]gate.Package, n)
	for i := range n {
		v := one
		v.ID = fmt.Sprintf("CVE-2026-%05d", i)
		v.Package = fmt.Sprintf("lib%d", i/4)
		v.Severity = gate.Severities()[i%5]
		if i%2 == 0 {
			v.FixedVersion = ""
		}
		s.findings.Vulnerabilities[i] = v
		s.inventory.Packages[i] = gate.Package{Name: v.Package, Version: "1.0", PURL: fmt.Sprintf("pkg:deb/debian/lib%d@1.0", i)}
	}
	return s
}

// trialSamples are the inputs on which a candidate set is tried.
func trialSamples() []sample {
	return []sample{cleanSample(), admissionSample(), bareSample(), crowdedSample(500)}
}

// SampleInput is a total input as JSON: a starting point for `policy eval`. It
// has one vulnerability, one secret and a request.
func SampleInput() []byte {
	v, err := ast.JSON(admissionSample().input())
	if err != nil {
		panic(fmt.Sprintf("policy: the sample input is not JSON: %v", err))
	}
	data, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		panic(fmt.Sprintf("policy: the sample input is not JSON: %v", err))
	}
	return append(data, '\n')
}

package ubuntu_test

import (
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/scanner/advisory/format"
	"github.com/digestgate/digestgate/scanner/advisory/format/formattest"
	"github.com/digestgate/digestgate/scanner/advisory/format/ubuntu"
)

// read recognises a document and reads it, as scanner/advisory does.
func read(r io.Reader, _ format.Limits, sink format.Sink) error {
	data, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	var fields map[string]json.RawMessage
	_ = json.Unmarshal(data, &fields) // what is none has no fields
	return ubuntu.Read(data, ubuntu.Recognise(func(f string) bool { _, ok := fields[f]; return ok }), sink)
}

const (
	tracker = `{"Candidate":"CVE-2020-1234","Priority":"medium","Patches":{"xen":{"bionic":{"Status":"released","Note":"4.9.2-0ubuntu1"},"focal":{"Status":"deferred","Note":"2021-01-01"},"jammy":{"Status":"not-affected"},"noble":{"Status":"DNE"},"upstream":{"Status":"needed"}}}}`
	api     = `{"id":"CVE-2024-5535","priority":"low","packages":[{"name":"openssl","statuses":[{"release_codename":"jammy","status":"released","description":"3.0.2-0ubuntu1.17"},{"release_codename":"xenial","status":"released","description":"1.0.2g-1ubuntu4.20+esm12","pocket":"esm-infra"}]}]}`
	notice  = `{"id":"USN-1-1","cves_ids":["CVE-2024-5535","https://bugs"],"release_packages":{"jammy":[{"name":"openssl","version":"3.0.2-0ubuntu1.17","is_source":true},{"name":"libssl3","version":"3.0.2","is_source":false}]}}`
)

func TestRead(t *testing.T) {
	for name, c := range map[string]struct {
		in   string
		want []string
	}{
		"tracker": {tracker, []string{": CVE-2020-1234", "  [Ubuntu 18.04] xen source fixed 4.9.2-0ubuntu1", "  [Ubuntu 20.04] xen source deferred", "  [Ubuntu 22.04] xen source not affected"}},
		"api":     {api, []string{": CVE-2024-5535", "  [Ubuntu 22.04] openssl source fixed 3.0.2-0ubuntu1.17", "  [Ubuntu 16.04-ESM] openssl source fixed 1.0.2g-1ubuntu4.20+esm12"}},
		"notice":  {notice, []string{"USN-1-1: CVE-2024-5535", "  [Ubuntu 22.04] openssl source fixed 3.0.2-0ubuntu1.17"}},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := formattest.Collect(read, c.in, format.Limits{})
			if diff := cmp.Diff(c.want, r.Lines()); err != nil || diff != "" || len(r.Gaps) > 0 {
				t.Errorf("%v, gaps %v; entries (-want +got):\n%s", err, r.Gaps, diff)
			}
		})
	}
	// A status that nobody knows, and a release without a version, are gaps.
	for _, in := range []string{strings.Replace(tracker, "deferred", "mended", 1), strings.Replace(tracker, "4.9.2-0ubuntu1", "", 1), strings.Replace(tracker, "4.9.2-0ubuntu1", "(see notes)", 1)} {
		if r, err := formattest.Collect(read, in, format.Limits{}); err != nil || len(r.Gaps) != 1 {
			t.Errorf("got %+v, %v; want one gap", r.Gaps, err)
		}
	}
	for _, in := range []string{"", "{}", `{"Candidate":"../x","Patches":{}}`, `{"Candidate":7,"Patches":{}}`, `{"cves":[{"id":""}],"total_results":1}`, `{"notices":[{}],"total_results":1}`} {
		if _, err := formattest.Collect(read, in, format.Limits{}); !errors.Is(err, gate.ErrInvalid) {
			t.Errorf("%q: got %v, want ErrInvalid", in, err)
		}
	}
}

func FuzzRead(f *testing.F) {
	formattest.Fuzz(f, read, tracker, api, notice, `{"notices":[null],"total_results":1}`)
}

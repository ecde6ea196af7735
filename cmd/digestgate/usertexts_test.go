package main

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/digestgate/digestgate/cmd/digestgate/app"
)

// What is typed wrongly is named as it was typed, and nothing is passed over.
func TestWhatIsTypedWrongly(t *testing.T) {
	for _, pair := range os.Environ() {
		if name, _, _ := strings.Cut(pair, "="); strings.HasPrefix(name, app.EnvPrefix) {
			t.Setenv(name, "")
		}
	}
	none := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/admission/validate" {
			http.Error(w, "digestgate: REVIEW_INVALID", http.StatusBadRequest)
			return
		}
		w.WriteHeader(http.StatusNotFound)
		_, _ = w.Write([]byte(`{"detail":"nothing is served at this path","status":404,"title":"Not Found"}` + "\n"))
	}))
	t.Cleanup(none.Close)
	dir := t.TempDir()
	file := func(name, text string) string {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	pod := file("pod", "apiVersion: v1\nkind: Pod\nmetadata: {name: x}\nspec: {containers: [{name: a, image: a.example.com/b}]}\n")
	review := file("review", "apiVersion: admission.k8s.io/v1\nkind: AdmissionReview\n")
	api := []string{"--server", none.URL}
	for _, c := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"config", "check", "--data-dir", "2026"}, 0, `the configuration is usable`},
		{[]string{"config", "print", "--data-dir", "a: b"}, 0, `dataDir: .*/a: b`},
		{[]string{"serve", "--roles", "foo"}, 1, `^  --roles: roles\[0\]: "foo" is not one of`},
		{[]string{"serve", "--roles", "api]"}, 1, `^  --roles: roles\[0\]: "api\]" is not one of`},
		{append([]string{"images", "a.example.com/b:1", "--state", "scanned", "--limit", "3"}, api...), 1, `^digestgate: --state, --limit: for the list only, and IMAGE asks for one`},
		{append([]string{"jobs", "1-a", "--kind", "analyze"}, api...), 1, `^digestgate: --kind: for the list only, and JOB asks for one`},
		{append([]string{"jobs", "a.example.com/b:1"}, api...), 1, `^digestgate: "a.example.com/b:1" is not the id of a job, it looks like an image: `},
		{append([]string{"cancel", "a.example.com/b:1"}, api...), 1, `^digestgate: cancelling "a.example.com/b:1": "a.example.com/b:1" is not the id of a job`},
		{append([]string{"admit", "-f", pod, "--cluster", "prod"}, api...), 1, `^digestgate: --cluster and --server exclude each other: `},
		{[]string{"admit", "-f", pod, "--ca-file", pod}, 1, `^digestgate: --ca-file is for --server`},
		{[]string{"admit", "-f", pod, "--cluster", "prod", "--data-dir", filepath.Join(dir, "data")}, 1, `^digestgate: --cluster "prod" is none of admission.clusters`},
		{append([]string{"admit", "-f", review}, api...), 1, `^digestgate: reviewing AdmissionReview \(object 1\): the server answered 400: digestgate: REVIEW_INVALID$`},
		{[]string{"admit", "-f", pod, "--server", none.URL + "/admission/validate/x"}, 1, `the server answered 404: nothing is served at this path; is `},
		{[]string{"policy", "test", "--run", "["}, 1, `^digestgate: --run "\[": error parsing regexp`},
		{[]string{"replay", pod, "--registry", "x"}, 1, `with a webhook; there is none in the configuration`},
		{[]string{"store", "copy", "--from", "a", "--to", "redis://h:1"}, 1, `--from: the store's URL has no scheme; want sqlite:///PATH or redis://`},
	} {
		code, out, errs := command(t, c.args...)
		if code != c.code || !regexp.MustCompile("(?m)"+c.want).MatchString(out+errs) {
			t.Errorf("%q: exit %d, want %d and %q\n%s%s", c.args, code, c.code, c.want, out, errs)
		}
	}
}

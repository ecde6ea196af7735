package cabundle

import (
	"encoding/json"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// apiServer is an HTTPS server that keeps one object as an API server does: versions, JSON
// patches with a test. What a real one makes of the requests is tested in tools/charttest.
type apiServer struct {
	mu       sync.Mutex
	name     string // of the object; "" is none
	version  int
	object   map[string]any
	token    string
	patches  int
	before   func(s *apiServer) // called with mu held before a patch is applied
	forbids  bool
	managers []string
}

func newAPIServer(t *testing.T, name string, bundles ...[]byte) (*apiServer, Config) {
	t.Helper()
	s := &apiServer{name: name, version: 1, token: "first"}
	var hooks []any
	for i, b := range bundles {
		conf := map[string]any{"service": map[string]any{"name": "digestgate"}}
		if b != nil {
			conf["caBundle"] = b
		}
		hooks = append(hooks, map[string]any{"name": "h" + strconv.Itoa(i), "clientConfig": conf, "failurePolicy": "Fail"})
	}
	s.object = normal(t, map[string]any{"metadata": map[string]any{"name": name}, "webhooks": hooks})
	server := httptest.NewUnstartedServer(s)
	server.EnableHTTP2 = true
	server.StartTLS()
	t.Cleanup(server.Close)
	dir := t.TempDir()
	c := Config{Server: server.URL, TokenFile: filepath.Join(dir, "token"), CAFile: filepath.Join(dir, "ca.crt")}
	put(t, c.TokenFile, "first\n")
	put(t, c.CAFile, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})))
	return s, c
}

func put(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func normal(t *testing.T, o map[string]any) (out map[string]any) {
	t.Helper()
	b, err := json.Marshal(o)
	if err == nil {
		err = json.Unmarshal(b, &out)
	}
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// ServeHTTP answers as an API server.
func (s *apiServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	answer := func(status int, message string) {
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(map[string]any{"kind": "Status", "message": message})
	}
	name, ok := strings.CutPrefix(r.URL.Path, "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations/")
	switch {
	case r.Header.Get("Authorization") != "Bearer "+s.token:
		answer(http.StatusUnauthorized, "Unauthorized")
	case s.forbids:
		answer(http.StatusForbidden, "cannot get resource")
	case !ok || name != s.name:
		answer(http.StatusNotFound, "not found")
	case r.Method == http.MethodGet:
		s.write(w)
	case r.Method == http.MethodPatch && r.Header.Get("Content-Type") == "application/json-patch+json":
		if s.before != nil {
			s.before(s)
		}
		var ops []operation
		if err := json.NewDecoder(r.Body).Decode(&ops); err != nil {
			answer(http.StatusBadRequest, err.Error())
			return
		}
		if ops[0].Op != "test" || ops[0].Value != strconv.Itoa(s.version) {
			answer(http.StatusUnprocessableEntity, "the server rejected our request due to an error in our request")
			return
		}
		s.managers = append(s.managers, r.URL.Query().Get("fieldManager"))
		for _, op := range ops[1:] {
			s.apply(op)
		}
		s.patches++
		s.version++
		s.write(w)
	default:
		answer(http.StatusMethodNotAllowed, r.Method)
	}
}

func (s *apiServer) apply(op operation) {
	var at any = s.object
	parts := strings.Split(strings.TrimPrefix(op.Path, "/"), "/")
	for i, part := range parts {
		part = strings.ReplaceAll(part, "~1", "/")
		switch here := at.(type) {
		case map[string]any:
			if i == len(parts)-1 {
				here[part] = op.Value
				return
			}
			at = here[part]
		case []any:
			n, _ := strconv.Atoi(part)
			at = here[n]
		}
	}
}

func (s *apiServer) write(w http.ResponseWriter) {
	s.object["metadata"].(map[string]any)["resourceVersion"] = strconv.Itoa(s.version)
	_ = json.NewEncoder(w).Encode(s.object)
}

// conf is the object as the keeper reads it.
func (s *apiServer) conf(t *testing.T) (c configuration) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	b, err := json.Marshal(s.object)
	if err == nil {
		err = json.Unmarshal(b, &c)
	}
	if err != nil {
		t.Fatal(err)
	}
	return c
}

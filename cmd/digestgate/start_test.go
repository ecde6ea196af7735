package main

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/digestgate/digestgate/store/redis/redistest"
)

// TestFirstLines: the log of a server begins with what runs, read from where;
// and a store whose file is gone makes /readyz red and is in the log.
func TestFirstLines(t *testing.T) {
	t.Parallel()
	s := &server{t: t, dir: t.TempDir()}
	s.config = filepath.Join(s.dir, "config.yaml")
	text := "dataDir: " + s.dir + "/data\nroles: [webhooks, api, admission]\n" +
		"listen: {http: '127.0.0.1:0', admission: '127.0.0.1:0', private: '127.0.0.1:0'}\n" +
		"registries: [{name: hub, type: dockerhub, host: docker.io, region: eu}]\nadmission: {mode: warn, namespaces: {a: {mode: audit}}}\n"
	if err := os.WriteFile(s.config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	s.start()
	first, _, _ := strings.Cut(s.log.String(), "\n")
	for _, want := range []string{
		`msg="digestgate starts" version=` + version, "config=" + s.config, `roles="[webhooks api admission]"`,
		`store="sqlite ` + s.dir + `/data/digestgate.db"`, `mode="warn, another one in 1 namespaces"`, "registries=[hub]",
	} {
		if !strings.Contains(first, want) {
			t.Errorf("the first line does not say %s: %s", want, first)
		}
	}
	for _, want := range []string{
		`msg="about the configuration" key=registries[0].region at=` + s.config + ":4", "key=roles",
		"the first data is to be downloaded from advisories.repositories", "the role worker is left out", "the role scheduler is left out", `msg="digestgate serves" duration=`,
	} {
		eventually(t, "the log says "+want, time.Minute, func() bool { return strings.Contains(s.log.String(), want) })
	}
	s.wantReady(http.StatusOK)
	db := filepath.Join(s.dir, "data", "digestgate.db")
	if err := os.Rename(db, db+".away"); err != nil {
		t.Fatal(err)
	}
	s.wantReady(http.StatusServiceUnavailable, "fail  store", db)
	eventually(t, "the log says that the file is gone", time.Minute, func() bool {
		return strings.Contains(s.log.String(), "the store's files are gone")
	})
	if err := os.Rename(db+".away", db); err != nil {
		t.Fatal(err)
	}
	s.wantReady(http.StatusOK)
	if code := s.end(syscall.SIGTERM); code != 0 {
		t.Errorf("it ended with %d", code)
	}
}

func (s *server) wantReady(want int, parts ...string) {
	s.t.Helper()
	status, text, _ := s.ready()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			s.t.Errorf("/readyz does not say %q", part)
		}
	}
	if status != want || s.t.Failed() {
		s.t.Errorf("/readyz: got %d, want %d:\n%s", status, want, text)
	}
}

// TestStrangeKeyInRedis: a key of another type makes /readyz red, also where
// admission is served, and is in the log.
func TestStrangeKeyInRedis(t *testing.T) {
	t.Parallel()
	server := redistest.Plain(t, redistest.Options{})
	f := newFleet(t, server.URL(), "")
	s := f.process("", 3, "serve", "--roles", "webhooks,api,admission")
	s.start()
	if !strings.Contains(s.log.String(), `msg="this process leaves a part of the work to others" role=worker`) {
		t.Error("the log does not say that others must analyse")
	}
	s.wantReady(http.StatusOK)
	const key = "{fleet}:delayed"
	if err := server.Do("set", key, "x").Err(); err != nil {
		t.Fatal(err)
	}
	s.wantReady(http.StatusServiceUnavailable, "fail  store", key, "zset")
	eventually(t, "the log names the key", time.Minute, func() bool {
		return strings.Contains(s.log.String(), `msg="a key in redis holds a value of another type, written by another program" redisKey={fleet}:delayed`)
	})
	if err := server.Do("del", key).Err(); err != nil {
		t.Fatal(err)
	}
	s.wantReady(http.StatusOK)
}

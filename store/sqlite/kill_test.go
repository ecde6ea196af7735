package sqlite_test

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/store/sqlite"
	"github.com/digestgate/digestgate/store/storetest"
)

// childEnv makes the test binary a process that writes to the store it names
// until it is killed, and prints a line for everything that was acknowledged.
const childEnv = "DIGESTGATE_STORE_CHILD"

func digestOf(name string) gate.Digest {
	sum := sha256.Sum256([]byte(name))
	return gate.Digest("sha256:" + hex.EncodeToString(sum[:]))
}

var loc = gate.Location{Registry: "harbor", Repository: "library/app"}

func child(path string) int {
	s, err := sqlite.Open(context.Background(), path, sqlite.Options{})
	if err != nil {
		fmt.Println("error", err)
		return 1
	}
	var mu sync.Mutex
	say := func(what, name string) {
		mu.Lock()
		defer mu.Unlock()
		fmt.Println(what, name) // unbuffered: said means written to the pipe
	}
	prefix := fmt.Sprint(os.Getpid())
	for i := range 4 {
		go func() { fmt.Println("error", write(s, say, fmt.Sprint(prefix, "/", i))) }()
	}
	select {} // until killed
}

// write makes images and takes them through the whole life of a job.
func write(s *sqlite.Store, say func(what, name string), prefix string) error {
	ctx := context.Background()
	claim := gate.ClaimRequest{Worker: prefix, Lease: 50 * time.Millisecond, Period: gate.Period{Key: "p"}, MaxAttempts: 1000}
	for i := 0; ; i++ {
		name := fmt.Sprint(prefix, "/", i)
		job, _, err := s.Enqueue(ctx, gate.JobRequest{Kind: gate.JobAnalyze, Location: loc, Digest: digestOf(name), Trigger: gate.TriggerPush})
		if err != nil {
			return err
		}
		say("queued", job.ID+" "+name)
		if _, err := s.AddLocation(ctx, digestOf(name), loc); err != nil {
			return err
		}
		say("located", name)
		if _, err := s.PutTag(ctx, gate.TagKey{Location: loc, Tag: strings.ReplaceAll(name, "/", "-")}, digestOf(name), time.Now(), ""); err != nil {
			return err
		}
		say("tagged", name)
		job, err = s.Claim(ctx, claim)
		if errors.Is(err, gate.ErrNoJob) {
			continue
		}
		if err != nil {
			return err
		}
		if err := finish(s, job, say); err != nil && !errors.Is(err, gate.ErrFenced) {
			return err
		}
	}
}

func finish(s *sqlite.Store, job gate.Job, say func(what, name string)) error {
	ctx := context.Background()
	if err := s.Fence(ctx, job.Digest, job.Epoch); err != nil {
		return err
	}
	if err := s.Serve(ctx, job.Lease()); err != nil {
		return err
	}
	say("served", string(job.Digest))
	if err := storetest.PutInventory(ctx, s, job.Epoch, &gate.Inventory{Format: 1, Digest: job.Digest, AnalyzerSet: "set"}); err != nil {
		return err
	}
	say("scanned", string(job.Digest))
	if _, err := s.Finish(ctx, job.Lease(), gate.Result{}); err != nil {
		return err
	}
	say("done", job.ID)
	return nil
}

// TestKill kills a writing process several times and looks for everything that
// it was told is stored.
func TestKill(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store.db")
	said := map[string][]string{}
	for range 4 {
		kill(t, path, said, 300)
	}
	// An hour later all leases of the killed have run out.
	s := open(t, path, sqlite.Options{Clock: func() time.Time { return time.Now().Add(time.Hour) }})
	verify(t, s, said)

	// What the dead held goes on: everything that was queued gets done.
	claim := gate.ClaimRequest{Worker: "heir", Lease: time.Minute, Period: gate.Period{Key: "p"}, MaxAttempts: 1000}
	for {
		job, err := s.Claim(t.Context(), claim)
		if errors.Is(err, gate.ErrNoJob) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if err := finish(s, job, func(string, string) {}); err != nil {
			t.Fatal(err)
		}
	}
	for _, line := range said["queued"] {
		id, _, _ := strings.Cut(line, " ")
		if job, err := s.Job(t.Context(), id); err != nil || job.State != gate.JobDone {
			t.Fatalf("job %q in the end: got %q, %v", id, job.State, err)
		}
	}
	use, err := s.Quota(t.Context(), "p")
	if err != nil {
		t.Fatal(err)
	}
	charged := int64(0)
	for _, line := range said["queued"] {
		_, name, _ := strings.Cut(line, " ")
		charge, err := s.Charged(t.Context(), digestOf(name))
		if err != nil {
			t.Fatal(err)
		}
		if charge.Period == "p" {
			charged++
		}
	}
	if want := int64(len(said["queued"])); charged != want || use.Used < want {
		t.Fatalf("%d of %d digests are charged, %d used", charged, want, use.Used)
	}
	t.Logf("%d queued, %d served, %d scanned, %d done before the kills", len(said["queued"]), len(said["served"]), len(said["scanned"]), len(said["done"]))
}

// kill starts a child and kills it once it has said enough.
func kill(t *testing.T, path string, said map[string][]string, lines int) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"="+path)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	r := bufio.NewReader(out)
	for n := 0; ; n++ {
		if n == lines {
			if err := cmd.Process.Kill(); err != nil { // SIGKILL
				t.Fatal(err)
			}
		}
		line, err := r.ReadString('\n')
		if errors.Is(err, io.EOF) {
			break // a last line without its end was not acknowledged in full
		}
		if err != nil {
			t.Fatal(err)
		}
		what, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		if what == "error" {
			t.Fatalf("the child: %s", rest)
		}
		said[what] = append(said[what], rest)
	}
	if err := cmd.Wait(); err == nil {
		t.Fatal("the child ended by itself")
	}
}

func verify(t *testing.T, s *sqlite.Store, said map[string][]string) {
	t.Helper()
	read := func(d gate.Digest, tags ...gate.TagKey) (gate.Record, gate.ReadResult) {
		t.Helper()
		res, err := s.Read(t.Context(), gate.ReadRequest{Digests: []gate.Digest{d}, Tags: tags})
		if err != nil {
			t.Fatal(err)
		}
		return res.Digests[d].Record, res
	}
	for _, line := range said["queued"] {
		id, _, _ := strings.Cut(line, " ")
		if _, err := s.Job(t.Context(), id); err != nil {
			t.Fatalf("acknowledged job: %v", err)
		}
	}
	for _, name := range said["located"] {
		if r, _ := read(digestOf(name)); len(r.Locations) != 1 {
			t.Fatalf("acknowledged location of %s is lost", name)
		}
	}
	for _, name := range said["tagged"] {
		key := gate.TagKey{Location: loc, Tag: strings.ReplaceAll(name, "/", "-")}
		if _, res := read(digestOf(name), key); res.Tags[key].Digest != digestOf(name) {
			t.Fatalf("acknowledged tag %s is lost", name)
		}
	}
	for _, d := range said["served"] {
		if charge, err := s.Charged(t.Context(), gate.Digest(d)); err != nil || charge.Period != "p" || !charge.Served {
			t.Fatalf("acknowledged charge of %s: got %+v, %v", d, charge, err)
		}
	}
	for _, d := range said["scanned"] {
		if inv, err := s.Inventory(t.Context(), gate.Digest(d)); err != nil || inv.AnalyzerSet != "set" {
			t.Fatalf("acknowledged inventory of %s: %v", d, err)
		}
	}
	for _, id := range said["done"] {
		if job, err := s.Job(t.Context(), id); err != nil || job.State != gate.JobDone {
			t.Fatalf("acknowledged result of %s: got %q, %v", id, job.State, err)
		}
	}
}

package catalog_test

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/catalog"
	"github.com/digestgate/digestgate/store/sqlite"
)

// TestFollow: a change is listed soon, without anybody asking for it.
func TestFollow(t *testing.T) {
	s := newSite(t, sqlite.Options{})
	ctx, stop := context.WithCancel(s.ctx)
	var following sync.WaitGroup
	following.Go(func() { s.catalog.Follow(ctx) })
	defer following.Wait()
	defer stop()
	for _, name := range []string{"a", "b", "c"} {
		d := s.image(name, loc("app"))
		for len(s.images(gate.ImageFilter{Keyword: string(d)})) == 0 {
			if t.Context().Err() != nil {
				t.Fatalf("%s is not listed", name)
			}
			time.Sleep(time.Millisecond) // the catalog promises milliseconds and signals nobody
		}
	}
}

func TestFollowsAcrossRestarts(t *testing.T) {
	s := newSite(t, sqlite.Options{})
	source := &counting{Store: s.store}
	s.follow(source)
	a := s.image("a", loc("app"))
	s.catchUp()

	b := s.image("b", loc("app"))
	s.follow(source)
	if got := len(s.images(gate.ImageFilter{})); got != 1 {
		t.Errorf("before following: %d images, want what the file holds", got)
	}
	s.catchUp()
	s.one(a)
	s.one(b)
	if source.scans != 1 {
		t.Errorf("the store was scanned %d times, want once at the first start", source.scans)
	}
}

// TestRebuildsWhenTheFeedIsShort: what the feed no longer holds is found by a
// scan, and what disappeared meanwhile is gone.
func TestRebuildsWhenTheFeedIsShort(t *testing.T) {
	s := newSite(t, sqlite.Options{FeedRetention: 10})
	source := &counting{Store: s.store}
	s.follow(source)
	old := s.image("old", loc("app"))
	s.tag(loc("app"), "v1", old)
	s.catchUp()
	s.tag(loc("app"), "v1", "")
	for i := range 1200 { // the store tidies its feed every 1,000 changes
		s.no(s.store.PutManifest(s.ctx, gate.Manifest{Digest: digest("aa"), Kind: gate.KindImage, Size: int64(i + 1)}))
	}
	_, err := s.store.AddLocation(s.ctx, digest("aa"), loc("app"))
	s.no(err)
	s.catchUp()
	if source.scans != 2 {
		t.Fatalf("the store was scanned %d times, want a second time for the rebuild", source.scans)
	}
	if got := s.one(old).Places; len(got) != 1 || len(got[0].Tags) != 0 {
		t.Errorf("places of the old image: got %+v, want one without tags", got)
	}
	if got, err := s.catalog.Scanned(s.ctx, "", 10); err != nil || len(got) != 0 {
		t.Errorf("scanned: got %v, %v, want none", got, err)
	}
	s.one(digest("aa"))
}

// TestRebuildFailsWhole: a scan that breaks off leaves the lists as they were.
func TestRebuildFailsWhole(t *testing.T) {
	s := newSite(t, sqlite.Options{})
	a := s.image("a", loc("app"))
	source := &counting{Store: s.store, fail: errors.New("the network is down")}
	s.follow(source)
	if err := s.catalog.CatchUp(s.ctx); !errors.Is(err, gate.ErrStoreUnavailable) {
		t.Fatalf("CatchUp: got %v, want ErrStoreUnavailable", err)
	}
	if got := s.images(gate.ImageFilter{}); len(got) != 0 {
		t.Errorf("after a broken scan: got %d images", len(got))
	}
	source.fail = nil
	s.catchUp()
	s.one(a)
}

func TestUnreadableFileIsBuiltAgain(t *testing.T) {
	overwrite := func(at int64, n int) func(t *testing.T, path string) {
		return func(t *testing.T, path string) {
			f, err := os.OpenFile(path, os.O_RDWR, 0)
			if err != nil {
				t.Fatal(err)
			}
			garbage := make([]byte, n)
			for i := range garbage {
				garbage[i] = 0xa5
			}
			if _, err := f.WriteAt(garbage, at); err != nil {
				t.Fatal(err)
			}
			if err := f.Close(); err != nil {
				t.Fatal(err)
			}
		}
	}
	execute := func(statement string) func(t *testing.T, path string) {
		return func(t *testing.T, path string) {
			db, err := sql.Open("sqlite", path)
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close()
			if _, err := db.Exec(statement); err != nil {
				t.Fatal(err)
			}
		}
	}
	for name, damage := range map[string]func(t *testing.T, path string){
		"damaged_header": overwrite(0, 100),
		"damaged_pages":  overwrite(4096, 60_000),
		"other_version":  execute("PRAGMA user_version = 1"),
		"later_version":  execute("PRAGMA user_version = 99"),
		"cut_off": func(t *testing.T, path string) {
			if err := os.Truncate(path, 5000); err != nil {
				t.Fatal(err)
			}
		},
		"half_made": func(t *testing.T, path string) {
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
			execute("CREATE TABLE meta (name TEXT)")(t, path)
		},
		"removed": func(t *testing.T, path string) {
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, sqlite.Options{})
			source := &counting{Store: s.store}
			s.follow(source)
			for i := range 100 {
				s.image(string(rune('0'+i)), loc("app"))
			}
			s.catchUp()
			s.no(s.catalog.Close())
			damage(t, filepath.Join(s.dir, "catalog.db"))
			s.catalog = s.open(s.dir, source)
			s.catchUp()
			if source.scans != 2 {
				t.Errorf("the store was scanned %d times, want twice", source.scans)
			}
			if got := len(s.images(gate.ImageFilter{Limit: 200})); got != 100 {
				t.Errorf("got %d images, want 100", got)
			}
		})
	}
	t.Run("nothing_can_be_written", func(t *testing.T) {
		s := newSite(t, sqlite.Options{})
		dir := filepath.Join(s.dir, "missing")
		if c, err := catalog.Open(s.ctx, dir, s.store, nopLog()); !errors.Is(err, gate.ErrResource) {
			t.Errorf("Open(%q): got %v, %v, want ErrResource", dir, c, err)
		}
	})
}

// reading counts how often a catalog reads what has changed.
type reading struct {
	*sqlite.Store
	reads atomic.Int64
}

func (r *reading) Jobs(ctx context.Context, ids []string) (map[string]gate.Job, error) {
	r.reads.Add(1)
	return r.Store.Jobs(ctx, ids)
}

// TestChangesInARowAreAppliedTogether: a change after a pause is listed at once; those
// that follow it are applied a few times, and not one by one.
func TestChangesInARowAreAppliedTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, sqlite.Options{})
		source := &reading{Store: s.store}
		s.no(s.catalog.Close())
		s.catalog = s.open(s.dir, source)
		ctx, stop := context.WithCancel(s.ctx)
		done := make(chan struct{})
		go func() { defer close(done); s.catalog.Follow(ctx) }()
		synctest.Wait()
		time.Sleep(time.Minute)
		synctest.Wait()
		for round := range 3 {
			began := time.Now()
			s.image(fmt.Sprint("first", round))
			synctest.Wait()
			if got := len(s.images(gate.ImageFilter{Limit: 200})); got != round*40+1 || time.Since(began) > 0 {
				t.Errorf("round %d: %d images after %s, want the first one at once", round, got, time.Since(began))
			}
			before := source.reads.Load()
			for i := range 39 {
				time.Sleep(5 * time.Millisecond)
				s.image(fmt.Sprint(round, i))
			}
			time.Sleep(100 * time.Millisecond)
			synctest.Wait()
			if got := len(s.images(gate.ImageFilter{Limit: 200})); got != (round+1)*40 {
				t.Errorf("round %d: %d images after 100 ms", round, got)
			}
			if reads := source.reads.Load() - before; reads > 4 {
				t.Errorf("round %d: 39 changes within 195 ms were read %d times", round, reads)
			}
			time.Sleep(time.Minute)
		}
		stop()
		<-done
		s.no(s.catalog.Close())
		s.no(s.store.Close())
	})
}

// TestDamageIsFoundBesideTheWork: a page that no list and no write needs is damaged. The
// start does not read it; the check beside it does, says so once, and everything is
// listed again from the store.
func TestDamageIsFoundBesideTheWork(t *testing.T) {
	s := newSite(t, sqlite.Options{})
	source := &counting{Store: s.store}
	s.follow(source)
	for i := range 200 {
		s.image(fmt.Sprint("i", i), loc("app"))
	}
	s.catchUp()
	s.no(s.catalog.Close())
	s.damage("images_kind")

	var said sayings
	var err error
	s.catalog, err = catalog.Open(s.ctx, s.dir, source, slog.New(slog.NewTextHandler(&said, nil)))
	s.no(err)
	defer s.catalog.Close()
	if said.count("damaged") != 0 {
		t.Errorf("the start has read the whole file: %q", said.String())
	}
	ctx, stop := context.WithCancel(s.ctx)
	var work sync.WaitGroup
	work.Go(func() { s.catalog.Follow(ctx) })
	for said.count("catalog built") == 0 && ctx.Err() == nil {
		if got := len(s.images(gate.ImageFilter{Limit: 200})); got != 200 && said.count("damaged") == 0 {
			t.Errorf("got %d images before the damage was found, want 200", got)
		}
	}
	stop()
	work.Wait()
	if got := len(s.images(gate.ImageFilter{Limit: 200, Kind: gate.KindImage})); got != 200 {
		t.Errorf("got %d images, want 200", got)
	}
	if n := said.count("the catalog is damaged"); n != 1 || source.scans != 2 {
		t.Errorf("the damage was said %d times and the store scanned %d times, want once and twice: %s", n, source.scans, said.String())
	}
}

// TestListThatMeetsDamage: a list that comes upon a damaged page answers from the store.
func TestListThatMeetsDamage(t *testing.T) {
	s := newSite(t, sqlite.Options{})
	for i := range 200 {
		s.image(fmt.Sprint("i", i), loc("app"))
	}
	s.catchUp()
	s.no(s.catalog.Close())
	s.damage("images_kind")
	s.catalog = s.open(s.dir, s.store)
	if got := len(s.images(gate.ImageFilter{Limit: 200, Kind: gate.KindImage})); got != 200 {
		t.Errorf("got %d images, want 200", got)
	}
}

// damage overwrites the first page of a table or an index of the catalog, which is closed.
func (s *site) damage(name string) {
	s.Helper()
	path := filepath.Join(s.dir, "catalog.db")
	root := s.rootPage(path, name)
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	s.no(err)
	_, err = f.WriteAt(bytes.Repeat([]byte{0xa5}, 4096), int64(root-1)*4096)
	s.no(errors.Join(err, f.Close()))
}

// rootPage is where the tree of a table or an index begins in a file.
func (s *site) rootPage(path, name string) (page int) {
	s.Helper()
	db, err := sql.Open("sqlite", path)
	s.no(err)
	defer db.Close()
	s.no(db.QueryRow("SELECT rootpage FROM sqlite_master WHERE name = ?", name).Scan(&page))
	return page
}

// sayings is a log that can be read while it is written.
type sayings struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (s *sayings) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(p)
}

func (s *sayings) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

func (s *sayings) count(what string) int { return strings.Count(s.String(), what) }

// TestAnotherStoreIsNoticed: the file of one store is not continued with the
// feed of another, whose numbers fit and whose content does not.
func TestAnotherStoreIsNoticed(t *testing.T) {
	s := newSite(t, sqlite.Options{})
	s.image("a", loc("app"))
	s.catchUp()
	s.no(s.catalog.Close())

	other := newSite(t, sqlite.Options{})
	for _, name := range []string{"x", "y", "z"} {
		other.image(name, loc("app"))
	}
	other.catalog = other.open(s.dir, other.store)
	other.catchUp()
	want := []string{"z", "y", "x"}
	if got := names(other.images(gate.ImageFilter{}), "a", "x", "y", "z"); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q: those of the new store", got, want)
	}
}

func TestTwoCatalogsInOneProcess(t *testing.T) {
	s := newSite(t, sqlite.Options{})
	second := s.open(memoryDir(t), s.store)
	d := s.image("a", loc("app"))
	s.catchUp()
	if list, _, err := second.Images(s.ctx, gate.ImageFilter{}); err != nil || len(list) != 0 {
		t.Errorf("the second catalog: got %v, %v before it follows", list, err)
	}
	s.no(second.CatchUp(s.ctx))
	list, _, err := second.Images(s.ctx, gate.ImageFilter{})
	s.no(err)
	if diff := cmp.Diff(s.images(gate.ImageFilter{}), list); diff != "" || len(list) != 1 || list[0].Digest != d {
		t.Errorf("the catalogs differ (-first +second):\n%s", diff)
	}
}

// TestListsWhileFollowing: lists are whole while the projection is written and
// even rebuilt; the race detector watches.
func TestListsWhileFollowing(t *testing.T) {
	s := newSite(t, sqlite.Options{})
	for i := range 20 {
		s.image(string(rune('a'+i)), loc("app"))
	}
	s.catchUp()
	ctx, stop := context.WithCancel(s.ctx)
	var work sync.WaitGroup
	work.Go(func() { s.catalog.Follow(ctx) })
	work.Go(func() {
		defer stop()
		for i := range 100 {
			s.scanned(digest(string(rune('a' + i%20))))
			s.tag(loc("app"), string(rune('a'+i%20)), digest(string(rune('a'+i%7))))
		}
	})
	for range 2 {
		work.Go(func() {
			for ctx.Err() == nil {
				if got := len(s.images(gate.ImageFilter{})); got != 20 {
					t.Errorf("got %d images, want 20", got)
				}
				if _, _, err := s.catalog.Jobs(s.ctx, gate.JobFilter{}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	work.Wait()
	s.catchUp()
	if got, err := s.catalog.Scanned(s.ctx, "", 50); err != nil || len(got) != 20 {
		t.Errorf("scanned: got %d, %v, want 20", len(got), err)
	}
}

func TestEndedContextIsATimeout(t *testing.T) {
	s := newSite(t, sqlite.Options{})
	ended, stop := context.WithCancel(s.ctx)
	stop()
	_, _, images := s.catalog.Images(ended, gate.ImageFilter{})
	_, places := s.catalog.Places(ended, digest("a"))
	_, _, jobs := s.catalog.Jobs(ended, gate.JobFilter{})
	_, step := s.catalog.Step(ended)
	_, opened := catalog.Open(ended, s.dir, s.store, nopLog())
	for name, err := range map[string]error{"images": images, "places": places, "jobs": jobs, "step": step, "open": opened} {
		if gate.CodeOf(err) != gate.CodeTimeout {
			t.Errorf("%s: got %v, want a timeout", name, err)
		}
	}
}

func TestClosedCatalogIsAResource(t *testing.T) {
	s := newSite(t, sqlite.Options{})
	s.no(s.catalog.Close())
	if _, _, err := s.catalog.Images(s.ctx, gate.ImageFilter{}); !errors.Is(err, gate.ErrResource) {
		t.Errorf("Images: got %v, want ErrResource", err)
	}
	if err := s.catalog.CatchUp(s.ctx); !errors.Is(err, gate.ErrResource) {
		t.Errorf("CatchUp: got %v, want ErrResource", err)
	}
}

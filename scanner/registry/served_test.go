package registry

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/scanner/registry/fake"
)

// twoImages is a registry with two images, of which the second is forbidden.
func twoImages(t *testing.T, change ...func(*Config, *Options)) (r rig, good, bad gate.Digest, clock *clock) {
	t.Helper()
	clock = newClock()
	change = append(change, func(_ *Config, o *Options) { o.Now = clock.now })
	r = newRig(t, fake.Options{}, change...)
	good, _ = r.push(t, "good", 10)
	img, err := fake.RandomImage(7, v1.Platform{}, 30)
	if err != nil {
		t.Fatal(err)
	}
	if bad, err = r.Push(r.loc.Repository, "bad", img); err != nil {
		t.Fatal(err)
	}
	for _, ref := range []string{"bad", string(bad)} {
		r.forbid("team/app", ref)
	}
	return r, good, bad, clock
}

func (r rig) forbid(repo, ref string) {
	r.Fail(fake.Fault{Path: "/v2/" + repo + "/manifests/" + ref, Status: 403, Body: []byte(`{"errors":[{"code":"DENIED","message":"x"}]}`)})
}

func (r rig) resolve(t *testing.T, ref string) error {
	t.Helper()
	_, err := r.client.Resolve(t.Context(), r.loc, ref)
	return err
}

func wantRefused(t *testing.T, what string, err error) {
	t.Helper()
	if class, _ := gate.Classify(err); class.Err != gate.ErrRegistryRefused || !strings.Contains(err.Error(), "the registry refuses this image: blocked by its own policy or removed") {
		t.Errorf("%s: got %v, want the image refused", what, err)
	}
}

func wantCredentials(t *testing.T, what string, err error) {
	t.Helper()
	if class, _ := gate.Classify(err); class.Err != gate.ErrRegistryAuth || !strings.Contains(err.Error(), "check username, passwordFile") {
		t.Errorf("%s: got %v, want the credentials blamed", what, err)
	}
}

// TestForbiddenManifest: a 403 is about the image where another one of the
// repository was read with the same credentials within the hour, and about the
// credentials otherwise.
func TestForbiddenManifest(t *testing.T) {
	t.Run("nothing_read_before", func(t *testing.T) {
		r, _, bad, _ := twoImages(t)
		wantCredentials(t, "by digest", r.resolve(t, string(bad)))
		wantCredentials(t, "by tag", r.resolve(t, "bad"))
	})
	t.Run("another_read_before", func(t *testing.T) {
		r, good, bad, clock := twoImages(t)
		if err := r.resolve(t, "good"); err != nil {
			t.Fatal(err)
		}
		clock.advance(servedFor - time.Second)
		wantRefused(t, "by digest", r.resolve(t, string(bad)))
		wantRefused(t, "by tag", r.resolve(t, "bad"))
		_, err := r.client.Head(t.Context(), r.loc, "bad")
		wantRefused(t, "Head", err)
		_, err = r.client.Image(t.Context(), r.loc, bad)
		wantRefused(t, "Image", err)
		if err := r.resolve(t, string(good)); err != nil {
			t.Errorf("the other image: %v", err)
		}
	})
	t.Run("more_than_an_hour_ago", func(t *testing.T) {
		r, _, bad, clock := twoImages(t)
		if err := r.resolve(t, "good"); err != nil {
			t.Fatal(err)
		}
		clock.advance(servedFor)
		wantCredentials(t, "then", r.resolve(t, string(bad)))
	})
	t.Run("in_another_repository", func(t *testing.T) {
		r, _, _, _ := twoImages(t)
		if err := r.resolve(t, "good"); err != nil {
			t.Fatal(err)
		}
		r.forbid("team/other", "1")
		_, err := r.client.Resolve(t.Context(), gate.Location{Registry: "test", Repository: "team/other"}, "1")
		wantCredentials(t, "other repository", err)
	})
	t.Run("the_same_one", func(t *testing.T) {
		r, good, _, _ := twoImages(t)
		if err := errors.Join(r.resolve(t, "good"), r.resolve(t, string(good))); err != nil {
			t.Fatal(err)
		}
		r.Reset()
		r.Fail(fake.Fault{Path: anyManifest, Status: 403})
		wantCredentials(t, "by tag", r.resolve(t, "good"))
		wantCredentials(t, "by digest", r.resolve(t, string(good)))
	})
	t.Run("with_other_credentials", func(t *testing.T) {
		var password string
		r, _, bad, _ := twoImages(t, func(c *Config, _ *Options) {
			password = file(t, "first")
			c.Username, c.PasswordFile = "robot", password
		})
		if err := r.resolve(t, "good"); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(password, []byte("second"), 0o600); err != nil {
			t.Fatal(err)
		}
		wantCredentials(t, "after a rotation", r.resolve(t, string(bad)))
	})
	t.Run("a_blob", func(t *testing.T) {
		r, good, _, _ := twoImages(t)
		img, err := r.client.Image(t.Context(), r.loc, good)
		if err != nil {
			t.Fatal(err)
		}
		r.Fail(fake.Fault{Path: anyBlob, Status: 403})
		_, err = r.blob(t.Context(), img.Layers[0].Digest, img.Layers[0].Size)
		wantCredentials(t, "a layer", err)
	})
	t.Run("no_longer_refused", func(t *testing.T) {
		r, _, bad, _ := twoImages(t)
		if err := r.resolve(t, "good"); err != nil {
			t.Fatal(err)
		}
		wantRefused(t, "first", r.resolve(t, string(bad)))
		r.Reset()
		if err := r.resolve(t, string(bad)); err != nil {
			t.Errorf("after the policy has changed: %v", err)
		}
	})
}

// TestRefusedInAQuietRepository: once refused, an image stays so while the other
// one can be read, however long ago that was; and no longer.
func TestRefusedInAQuietRepository(t *testing.T) {
	r, good, bad, clock := twoImages(t)
	if err := r.resolve(t, "good"); err != nil {
		t.Fatal(err)
	}
	wantRefused(t, "first", r.resolve(t, string(bad)))
	for n := range 3 {
		clock.advance(2 * servedFor)
		before := r.Count(http.MethodGet, string(good))
		wantRefused(t, "hours later", r.resolve(t, string(bad)))
		if got := r.Count(http.MethodGet, string(good)) - before; got != 1 {
			t.Errorf("try %d: the other image was asked for %d times, want once", n, got)
		}
	}
	clock.advance(2 * servedFor)
	r.Fail(fake.Fault{Path: "/v2/team/app/manifests/" + string(good), Status: 403})
	wantCredentials(t, "when the other one is forbidden too", r.resolve(t, string(bad)))
}

func TestServedIsBounded(t *testing.T) {
	s := &served{now: time.Now}
	for n := range 3 * maxServed {
		repo := fmt.Sprintf("team/r%d", n)
		s.note(repo, "1", "sha256:a", credentialsID{})
		s.refuse(repo, "2")
	}
	if len(s.repositories) > maxServed {
		t.Errorf("%d repositories are remembered, want at most %d", len(s.repositories), maxServed)
	}
	for n := range 3 * maxRefusedRefs {
		s.note("team/app", "1", "sha256:a", credentialsID{})
		s.refuse("team/app", fmt.Sprint(n))
		s.refuse("team/app", fmt.Sprint(n))
	}
	if n := len(s.repositories["team/app"].refused); n > maxRefusedRefs {
		t.Errorf("%d references are remembered, want at most %d", n, maxRefusedRefs)
	}
	// With the longest names they take no more than is said, which is truthful.
	weighed(t, maxServedBytes, func() func() int {
		s := &served{now: time.Now}
		for n := range 3 * maxServed {
			repo := fmt.Sprintf("team/%0250d", n)
			for tag := range 40 {
				s.note(repo, fmt.Sprintf("%0128d", tag), gate.Digest(fmt.Sprintf("sha256:%064d", tag)), credentialsID{})
				s.refuse(repo, fmt.Sprintf("%0127dx", tag))
			}
		}
		return func() int { return s.bytes }
	})
}

// weighed fills something with more than fits, and fails when it says that it takes
// more than the bound, or takes more than twice that.
func weighed(t *testing.T, bound int, fill func() (weight func() int)) {
	t.Helper()
	heap := func() int {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int(m.HeapAlloc)
	}
	before := heap()
	weight := fill()
	grown, says := heap()-before, weight()
	t.Logf("says %d KiB of %d, the heap grew by %d", says>>10, bound>>10, grown>>10)
	if says > bound || says < bound/8 || grown > 2*says || grown < says/2 {
		t.Errorf("full, it says that it takes %d bytes, of %d, and the heap grew by %d", says, bound, grown)
	}
}

func TestTokensAreBounded(t *testing.T) {
	for _, size := range []int{1 << 10, 900_000} {
		weighed(t, maxTokensBytes, func() func() int {
			tok := &tokens{now: time.Now, byScope: map[string]token{}}
			for n := range 3*maxTokens - 10 { // at 3*maxTokens it has just been emptied
				tok.put(fmt.Sprintf("repository:%0255d:pull", n), token{value: fmt.Sprintf("%0*d", size, n)})
			}
			tok.put("again", token{value: "1"})
			tok.put("again", token{value: "2"})
			return func() int {
				sum := 0
				for scope, kept := range tok.byScope {
					sum += tokenBytes(scope, kept)
				}
				if sum != tok.bytes || len(tok.byScope) > maxTokens {
					t.Errorf("%d tokens take %d bytes, %d are counted", len(tok.byScope), sum, tok.bytes)
				}
				return sum
			}
		})
	}
}

// TestRefusalSaysWhatToDo: in the words of the product.
func TestRefusalSaysWhatToDo(t *testing.T) {
	for kind, want := range map[string]string{"harbor": "deployment security", "jfrog": "Xray", "distribution": "its policies"} {
		r := newRig(t, fake.Options{}, func(c *Config, _ *Options) { c.Type = kind })
		r.Fail(fake.Fault{Path: anyManifest, Status: 412})
		err := r.resolve(t, "1")
		wantRefused(t, kind, err)
		if !strings.Contains(fmt.Sprint(err), want) || strings.Contains(fmt.Sprint(err), "%!") {
			t.Errorf("%s: got %v, want %q in it", kind, err, want)
		}
	}
	r := newRig(t, fake.Options{})
	d, _ := r.PutBlob([]byte("layer"))
	r.Fail(fake.Fault{Path: anyBlob, Status: 451})
	_, err := r.blob(t.Context(), d, 5)
	wantRefused(t, "a layer", err)
	r.Fail(fake.Fault{Path: "/v2/**/tags/list", Status: 409})
	if _, err := r.client.Tags(t.Context(), r.loc); !errors.Is(err, gate.ErrRegistryUnavailable) {
		t.Errorf("a list is not an image: got %v", err)
	}
}

// TestIdentityOfAHelper: what a helper gives changes while the account stays the
// same, so that its name counts, and nothing is run for it.
func TestIdentityOfAHelper(t *testing.T) {
	runs := helper(t, `echo '{"Username":"AWS","Secret":"x"}'`)
	identity := func(c Config) credentialsID {
		s := &session{secrets: newCredentialSource(c, time.Now)}
		return s.identity("team/app")
	}
	test, other := Config{}, Config{}
	test.Credentials.Helper, other.Credentials.Helper = "test", "other"
	if a, b, none := identity(test), identity(other), identity(Config{}); a == b || a == none || a != identity(test) {
		t.Errorf("got %x, %x and %x, want three", a[:4], b[:4], none[:4])
	}
	if text, err := os.ReadFile(runs); err == nil {
		t.Errorf("the helper was run: %q", text)
	}
}

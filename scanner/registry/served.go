package registry

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/digestgate/digestgate/gate"
)

const (
	// servedFor is how long a manifest that was read proves that the credentials
	// are good for its repository.
	servedFor = time.Hour
	// maxServed bounds the repositories that are remembered, maxServedBytes their
	// memory: about 1 KiB each, and up to 16 KiB with refused references.
	maxServed      = 1000
	maxServedBytes = 4 << 20
	// maxRefusedRefs bounds the refused references of one repository.
	maxRefusedRefs = 64
)

// served remembers which manifests a registry has served, to tell a refusal of one
// image (Artifactory with a policy of Xray, which answers 403 also for what is
// gone) from one of the credentials: a 403 on one manifest, where another one of
// the same repository was read with the same credentials within the hour, is about
// the image. Safe for concurrent use.
type served struct {
	now func() time.Time

	mu           sync.Mutex
	repositories map[string]*servedRepository
	bytes        int // of all of them, about
}

// What a remembered repository (two manifests with a digest and a tag each) and a
// refused reference take in addition to their names, with their places in a map.
const (
	servedRepositoryBytes = 1024
	servedRefBytes        = 64
)

// servedRepository holds the last two different manifests, so that a refused one
// that was read before has another beside it.
type servedRepository struct {
	last    [2]servedManifest // newest first
	refused map[string]bool   // references that were found to be refused
}

type servedManifest struct {
	digest gate.Digest
	tag    string // by which it was read last, "" for a digest
	by     credentialsID
	at     time.Time
}

// credentialsID tells credentials apart without keeping them.
type credentialsID [sha256.Size]byte

// identity is that of the credentials of a repository. What a helper gives changes
// by the hour for the same account, so that the helper's name stands for it; and it
// is not run for this.
func (s *session) identity(repo string) credentialsID {
	l, helper, err := s.secrets.source(repo)
	if err != nil {
		return credentialsID{}
	}
	return sha256.Sum256([]byte(helper + "\x00" + l.user + "\x00" + l.password))
}

func (m servedManifest) names(ref string) bool { return string(m.digest) == ref || m.tag == ref }

// note remembers a manifest that was read.
func (s *served) note(repo, ref string, d gate.Digest, by credentialsID) {
	m := servedManifest{digest: d, by: by, at: s.now()}
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.repositories[repo]
	if r == nil {
		if s.bytes += len(repo) + servedRepositoryBytes; s.repositories == nil || len(s.repositories) >= maxServed || s.bytes > maxServedBytes {
			s.repositories, s.bytes = map[string]*servedRepository{}, len(repo)+servedRepositoryBytes
		}
		r = &servedRepository{refused: map[string]bool{}}
		s.repositories[repo] = r
	}
	if r.last[0].digest == d {
		m.tag = r.last[0].tag
	} else {
		r.last[1] = r.last[0]
	}
	if string(d) != ref {
		m.tag = ref
	}
	r.last[0] = m
	if r.refused[ref] {
		delete(r.refused, ref)
		s.bytes -= len(ref) + servedRefBytes
	}
}

// another finds a manifest besides ref that was read with the same credentials;
// fresh says within the hour, known that ref was found to be refused before.
func (s *served) another(repo, ref string, by credentialsID) (other gate.Digest, fresh, known bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.repositories[repo]
	if r == nil {
		return "", false, false
	}
	for _, m := range r.last {
		if m.digest != "" && m.by == by && !m.names(ref) {
			return m.digest, s.now().Sub(m.at) < servedFor, r.refused[ref]
		}
	}
	return "", false, false
}

func (s *served) refuse(repo, ref string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.repositories[repo]
	if r == nil {
		return
	}
	if r.refused[ref] {
		return
	}
	if s.bytes += len(ref) + servedRefBytes; s.bytes > maxServedBytes {
		for _, other := range s.repositories {
			s.forget(other)
		}
	} else if len(r.refused) >= maxRefusedRefs {
		s.forget(r)
	}
	r.refused[ref] = true
}

// forget drops the refused references of a repository; it is called with mu held.
func (s *served) forget(r *servedRepository) {
	for ref := range r.refused {
		s.bytes -= len(ref) + servedRefBytes
	}
	clear(r.refused)
}

// judgeForbidden turns a 403 on a manifest into gate.ErrRegistryRefused where
// another manifest shows that the credentials are good. In a repository in which
// nothing else is read for an hour the other one is read again for it, once a
// reference was found to be refused; otherwise a job would change its mind
// with every try.
func (s *session) judgeForbidden(ctx context.Context, repo, ref string, err error) error {
	var answer *answerError
	if !errors.As(err, &answer) || !answer.forbidden {
		return err
	}
	by := s.identity(repo)
	other, fresh, known := s.served.another(repo, ref, by)
	if other == "" || !fresh && !known {
		return err
	}
	if !fresh {
		m, again := s.fetchManifest(ctx, repo, string(other))
		if again != nil {
			return err
		}
		s.served.note(repo, string(other), m.digest, by)
	}
	s.served.refuse(repo, ref)
	return s.refusal(answer.said + ", while it serves other images of the repository")
}

// imageRefused reports whether a status says that this image is refused: 412 by a
// policy of Harbor's (src/server/middleware/vulnerable, contenttrust), 423 and 409
// while it is locked or quarantined, 451 by law (RFC 7725).
func imageRefused(status int) bool {
	switch status {
	case http.StatusConflict, http.StatusPreconditionFailed, http.StatusLocked, http.StatusUnavailableForLegalReasons:
		return true
	}
	return false
}

// refusal words the refusal of one image, with what to do about it in the product
// at hand.
func (s *session) refusal(said string) error {
	where := "its policies"
	switch s.cfg.Type {
	case "harbor", "harbor-v1":
		where = "the project's deployment security and the result of Harbor's own scan"
	case "jfrog":
		where = "the Xray policies with \"block download\" that watch the repository"
	}
	return &wordedError{fmt.Sprintf("%s: %s: blocked by its own policy or removed; look at %s, then allow the image there or push it again", said, gate.ErrRegistryRefused, where), gate.ErrRegistryRefused}
}

package admission

import (
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/digestgate/digestgate/gate"
)

// cluster is a caller with the hash of its token; the token itself is not
// kept.
type cluster struct {
	name     string
	hasToken bool
	hash     [sha256.Size]byte
}

type clusters []cluster

var tokenPattern = regexp.MustCompile(`^[A-Za-z0-9._~-]{16,256}$`)

// loadClusters reads the tokens; every problem is reported.
func loadClusters(configured []ClusterConfig, readFile func(string) ([]byte, error)) (clusters, error) {
	var list clusters
	var errs []error
	seen := map[string]bool{}
	for i, c := range configured {
		key := fmt.Sprintf("clusters[%d]", i)
		switch {
		case !isLabel(c.Name):
			errs = append(errs, fmt.Errorf("%s.name: want lower-case letters, digits and hyphens, got %q: %w", key, c.Name, gate.ErrInvalid))
			continue
		case seen[c.Name]:
			errs = append(errs, fmt.Errorf("%s.name: %q occurs twice: %w", key, c.Name, gate.ErrInvalid))
			continue
		case c.TokenFile == "" && c.Name != DefaultCluster:
			errs = append(errs, fmt.Errorf("%s.tokenFile: only the cluster %q may do without a token: %w", key, DefaultCluster, gate.ErrInvalid))
			continue
		}
		seen[c.Name] = true
		entry := cluster{name: c.Name}
		if c.TokenFile != "" {
			b, err := readFile(c.TokenFile)
			if err != nil {
				errs = append(errs, fmt.Errorf("%s.tokenFile: reading %q: %w", key, c.TokenFile, errors.Join(err, gate.ErrInvalid)))
				continue
			}
			token := strings.TrimSpace(string(b))
			if !tokenPattern.MatchString(token) {
				errs = append(errs, fmt.Errorf("%s.tokenFile: %q must hold 16 to 256 characters out of A-Z a-z 0-9 . _ ~ -: %w", key, c.TokenFile, gate.ErrInvalid))
				continue
			}
			entry.hasToken, entry.hash = true, sha256.Sum256([]byte(token))
		}
		list = append(list, entry)
	}
	return list, errors.Join(errs...)
}

// find is the cluster that a path and its token belong to. It compares with
// every cluster in constant time, so that neither names nor tokens can be
// found by measuring. token is "" for the path without one.
func (l clusters) find(name, token string) (string, bool) {
	hash := sha256.Sum256([]byte(token))
	found := -1
	for i, c := range l {
		same := subtle.ConstantTimeCompare(hash[:], c.hash[:])
		if !c.hasToken {
			same = subtle.ConstantTimeByteEq(byte(min(len(token), 1)), 0)
		}
		named := subtle.ConstantTimeCompare([]byte(name), []byte(c.name))
		found = subtle.ConstantTimeSelect(same&named, i, found)
	}
	if found < 0 {
		return "", false
	}
	return l[found].name, true
}

package cabundle

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/digestgate/digestgate/gate/certificate"
)

const (
	// Annotation is where the object says when each authority was last in use: JSON, the
	// beginning of the SHA-256 of the certificate to a time.
	Annotation = "digestgate.dev/authorities"
	// stampEvery is how often a process says that its authority is in use: each time API
	// servers read the object again.
	stampEvery = time.Hour
	// overlap is how long an authority stays that no process uses any more. It is far above
	// the hour within which a process that runs has said so, and any rolling update.
	overlap = 24 * time.Hour
)

// mark identifies a certificate.
func mark(der []byte) string {
	sum := sha256.Sum256(der)
	return hex.EncodeToString(sum[:8])
}

// authority is one certificate of a bundle.
type authority struct {
	mark string
	text []byte // PEM
	cert *x509.Certificate
}

// own reports whether a process of digestgate made it.
func (a authority) own() bool { return a.cert.Subject.CommonName == certificate.AuthorityName }

// parse reads the certificates of a PEM text; what cannot be read is left out: an API server
// that meets it trusts nothing of the bundle.
func parse(text []byte) (list []authority) {
	for {
		var block *pem.Block
		if block, text = pem.Decode(text); block == nil {
			return list
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if block.Type != "CERTIFICATE" || err != nil {
			continue
		}
		list = append(list, authority{mark(block.Bytes), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: block.Bytes}), cert})
	}
}

// stamps are times of use by mark.
type stamps map[string]time.Time

func readStamps(text string) stamps {
	s := stamps{}
	if json.Unmarshal([]byte(text), &s) != nil {
		return stamps{} // another client wrote it; counted from now
	}
	return s
}

func (s stamps) text() string {
	b, err := json.Marshal(s)
	if err != nil {
		return "{}" // times beyond the year 9999
	}
	return string(b)
}

// merged is what a bundle and its stamps become when the authorities of used are in use now.
// The order of what stays is kept, and new ones are added at the end, so that two processes
// do not move each other's.
func merged(bundles [][]byte, old stamps, used [][]byte, now time.Time) (bundle []byte, after stamps) {
	now = now.UTC().Truncate(time.Second)
	inUse := map[string]bool{}
	var all []authority
	for _, text := range bundles {
		all = append(all, parse(text)...)
	}
	for _, text := range used {
		for _, a := range parse(text) {
			inUse[a.mark] = true
			all = append(all, a)
		}
	}
	after = stamps{}
	seen := map[string]bool{}
	var texts [][]byte
	for _, a := range all {
		if seen[a.mark] {
			continue
		}
		seen[a.mark] = true
		last, stamped := old[a.mark]
		switch {
		case inUse[a.mark]:
			if !stamped || now.Sub(last).Abs() >= stampEvery {
				last = now
			}
			after[a.mark] = last
		case a.own() && stamped && now.Sub(last) > overlap, a.own() && now.After(a.cert.NotAfter):
			continue
		case a.own() && !stamped, last.After(now.Add(stampEvery)):
			after[a.mark] = now
		case a.own():
			after[a.mark] = last
		}
		texts = append(texts, a.text)
	}
	return bytes.Join(texts, nil), after
}

// changes are the operations that bring an object to what it must hold; none when it does.
func changes(conf configuration, used [][]byte, now time.Time) (ops []operation) {
	if len(conf.Webhooks) == 0 {
		return nil
	}
	var bundles [][]byte
	for _, w := range conf.Webhooks {
		bundles = append(bundles, w.ClientConfig.CABundle)
	}
	old := readStamps(conf.Metadata.Annotations[Annotation])
	bundle, after := merged(bundles, old, used, now)
	for i, w := range conf.Webhooks {
		if !bytes.Equal(w.ClientConfig.CABundle, bundle) {
			ops = append(ops, operation{"add", "/webhooks/" + strconv.Itoa(i) + "/clientConfig/caBundle", bundle})
		}
	}
	if maps.EqualFunc(old, after, time.Time.Equal) {
		return ops
	}
	if conf.Metadata.Annotations == nil {
		return append(ops, operation{"add", "/metadata/annotations", map[string]string{Annotation: after.text()}})
	}
	return append(ops, operation{"add", "/metadata/annotations/" + strings.ReplaceAll(Annotation, "/", "~1"), after.text()})
}

// trusts reports whether every webhook has the authority.
func trusts(conf configuration, text []byte) bool {
	wanted := parse(text)
	if len(wanted) == 0 || len(conf.Webhooks) == 0 {
		return false
	}
	for _, w := range conf.Webhooks {
		has := parse(w.ClientConfig.CABundle)
		for _, a := range wanted {
			if !slices.ContainsFunc(has, func(b authority) bool { return a.mark == b.mark }) {
				return false
			}
		}
	}
	return true
}

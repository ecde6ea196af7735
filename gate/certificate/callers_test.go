package certificate

import (
	"bytes"
	"os"
	"testing"
	"time"
)

// doubters believe an authority once they are told to.
type doubters struct {
	believe bool
	asked   [][]byte
	serving [][]byte
}

func (d *doubters) Trusted(authority []byte) bool {
	d.asked = append(d.asked, authority)
	return d.believe
}

func (d *doubters) Serving(authority []byte) { d.serving = append(d.serving, authority) }

// TestCertificate_callers: another authority serves when those who call believe it, and the
// earlier certificate serves until then, unless it has expired.
func TestCertificate_callers(t *testing.T) {
	dir, now, callers := t.TempDir(), time.Now(), &doubters{}
	c, err := New(Options{DataDir: dir, Names: []string{"x"}, Callers: callers, Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	first := c.CABundle()
	replace := func() {
		t.Helper()
		if err := os.Remove(AuthorityFile(dir)); err != nil {
			t.Fatal(err)
		}
	}
	replace()
	for range 3 {
		if c.Refresh() || !bytes.Equal(c.CABundle(), first) {
			t.Fatal("the new authority serves before it is believed")
		}
	}
	if len(callers.asked) != 3 || bytes.Equal(callers.asked[0], first) || !bytes.Equal(callers.asked[0], callers.asked[2]) {
		t.Errorf("asked about %d authorities, want the new one three times", len(callers.asked))
	}
	callers.believe = true
	if !c.Refresh() || !bytes.Equal(c.CABundle(), callers.asked[0]) || len(callers.serving) != 1 || !bytes.Equal(callers.serving[0], c.CABundle()) {
		t.Error("the authority that is believed does not serve, or that was not told")
	}
	t.Run("an_expired_certificate_does_not_wait", func(t *testing.T) {
		callers.believe = false
		replace()
		now = c.Expiry().Add(time.Hour)
		if !c.Refresh() || !c.Expiry().After(now) {
			t.Error("an expired certificate stays in use")
		}
	})
	t.Run("a_renewal_asks_nobody", func(t *testing.T) {
		asked := len(callers.asked)
		now = c.Expiry().Add(-renewBefore + time.Hour)
		if !c.Refresh() || len(callers.asked) != asked {
			t.Error("a certificate of the same authority waits for those who believe it already")
		}
	})
}

package certificate

import (
	"context"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"
)

// TestCertificate_run: a new pair serves within a minute by itself.
func TestCertificate_run(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		s := selfManaged{names: []string{"x"}, now: time.Now}
		ca := own(t, dir)
		one, err := s.issue(ca)
		if err != nil {
			t.Fatal(err)
		}
		swap(t, dir, "v1", one)
		c, err := New(Options{TLS: Config{
			CertFile: filepath.Join(dir, "data", "tls.crt"), KeyFile: filepath.Join(dir, "data", "tls.key"),
		}})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { c.Run(ctx); close(done) }()
		time.Sleep(48 * time.Hour) // fake: the daily look at the expiry
		two, err := s.issue(ca)
		if err != nil {
			t.Fatal(err)
		}
		swap(t, dir, "v2", two)
		time.Sleep(time.Minute)
		synctest.Wait()
		if !c.Expiry().Equal(two.leaf.NotAfter) {
			t.Errorf("after a minute: expires %s, want %s", c.Expiry(), two.leaf.NotAfter)
		}
		cancel()
		<-done
	})
}

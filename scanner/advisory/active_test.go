package advisory_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/agree"
	"github.com/digestgate/digestgate/gate/agree/agreetest"
	"github.com/digestgate/digestgate/scanner/advisory"
)

// TestAgreement: advisory data keeps the contract of everything that is in force.
func TestAgreement(t *testing.T) {
	content := func(n int) agree.Content {
		return agree.Content{Digest: gate.Digest(fmt.Sprintf("sha256:%064x", n)), UpdatedAt: clock.Add(time.Duration(n) * time.Hour)}
	}
	first := content(1)
	at := first.UpdatedAt.Format(time.RFC3339)
	agreetest.Run(t, agreetest.Harness{
		Kind: advisory.Kind(), Content: content,
		// As versions before gate/agree stored and remembered it.
		Stored:     fmt.Sprintf(`{"number":7,"content":%q,"updatedAt":%q,"activatedAt":"2026-11-01T10:00:00Z"}`, first.Digest, at),
		Remembered: fmt.Sprintf(`{"content":%q,"updatedAt":%q,"number":7,"seen":7}`, first.Digest, at),
	})
}

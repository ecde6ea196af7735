package app

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/certificate"
	"github.com/digestgate/digestgate/gate/cluster/cabundle"
)

// believedWithin is how long a start waits for API servers to believe its authority. A
// process that cannot reach its API server serves then all the same: others may have put the
// authority in, and API servers that do not believe it call another replica.
const believedWithin = 30 * time.Second

// callers are the API servers, as the certificate of admission has to know them.
type callers struct {
	keeper *cabundle.Keeper // nil: an operator puts ca.crt into the webhook configuration
	app    *App
}

// Trusted implements certificate.Callers.
func (c callers) Trusted(authority []byte) bool {
	return c.keeper == nil || c.keeper.Trusted(authority)
}

// Serving implements certificate.Callers.
func (c callers) Serving(authority []byte) {
	if c.keeper != nil {
		c.keeper.Serving(authority)
	}
	if err := c.app.writeAuthority(authority); err != nil {
		c.app.Log.Error("certificate authority not written", "error", err)
	}
}

// admissionCertificate is the certificate of the listener that API servers call.
func (a *App) admissionCertificate() (*certificate.Certificate, error) {
	c := a.Config.Admission
	if c.WebhookConfiguration != "" {
		var err error
		a.keeper, err = cabundle.New(cabundle.Options{
			Config: a.Config.Kubernetes.Config, Name: c.WebhookConfiguration, Log: a.Log, Now: time.Now, Registerer: a.Metrics,
		})
		if err != nil {
			return nil, fmt.Errorf("admission.webhookConfiguration: %w", err)
		}
	}
	served, err := certificate.New(certificate.Options{
		TLS: c.TLS, DataDir: a.Config.DataDir, Names: admissionNames(a.Config), Callers: callers{a.keeper, a},
		Log: a.Log, Now: time.Now, Registerer: a.Metrics,
	})
	if err != nil {
		return nil, fmt.Errorf("admission.tls: %w", err)
	}
	a.certificates = append(a.certificates, served)
	a.admitting = served
	if bundle := served.CABundle(); len(bundle) > 0 {
		if err := a.writeAuthority(bundle); err != nil {
			return nil, err
		}
	}
	return served, nil
}

// awaitCallers returns when API servers believe the certificate that is about to serve, or
// after a while, with a warning.
func (a *App) awaitCallers(ctx context.Context) {
	ctx, cancel := context.WithTimeoutCause(ctx, believedWithin, fmt.Errorf("not within %s", believedWithin))
	defer cancel()
	err := during(a.Log, waitCallers, func() error { return a.keeper.Await(ctx, a.admitting.CABundle()) })
	if err != nil {
		a.Log.Warn("webhook configuration does not have the authority of this process yet", "name", a.Config.Admission.WebhookConfiguration, "error", err)
	}
}

// writeAuthority writes the certificate of the authority without its key, for the caBundle
// of a webhook configuration.
func (a *App) writeAuthority(bundle []byte) error {
	if err := os.WriteFile(filepath.Join(a.Config.DataDir, "tls", "ca.crt"), bundle, 0o644); err != nil {
		return fmt.Errorf("writing the certificate authority: %w", errors.Join(gate.ErrResource, err))
	}
	return nil
}

package app

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/outbound"
	"github.com/digestgate/digestgate/webhooks"
	"github.com/digestgate/digestgate/webhooks/acr"
	"github.com/digestgate/digestgate/webhooks/azure"
	"github.com/digestgate/digestgate/webhooks/cloudevents"
	"github.com/digestgate/digestgate/webhooks/distribution"
	"github.com/digestgate/digestgate/webhooks/dockerhub"
	"github.com/digestgate/digestgate/webhooks/ecr"
	"github.com/digestgate/digestgate/webhooks/gar"
	"github.com/digestgate/digestgate/webhooks/ghcr"
	"github.com/digestgate/digestgate/webhooks/gitlab"
	"github.com/digestgate/digestgate/webhooks/harbor"
	"github.com/digestgate/digestgate/webhooks/harborv1"
	"github.com/digestgate/digestgate/webhooks/jfrog"
	"github.com/digestgate/digestgate/webhooks/quay"
	"github.com/digestgate/digestgate/webhooks/swr"
	"github.com/digestgate/digestgate/webhooks/tcr"
	"github.com/digestgate/digestgate/webhooks/zot"
)

// Receivers is the one table of registries that can send events.
func Receivers() []webhooks.Receiver {
	return []webhooks.Receiver{
		acr.Receiver(),
		azure.Receiver(),
		cloudevents.Receiver(),
		distribution.Receiver(),
		dockerhub.Receiver(),
		ecr.Receiver(),
		gar.Receiver(),
		ghcr.Receiver(),
		gitlab.Receiver(),
		harbor.Receiver(),
		harborv1.Receiver(),
		jfrog.Receiver(),
		quay.Receiver(),
		swr.Receiver(),
		tcr.Receiver(),
		zot.Receiver(),
	}
}

// Endpoints are those of the registries that send events.
func Endpoints(registries []RegistryConfig, now func() time.Time, log *slog.Logger) ([]webhooks.Endpoint, error) {
	byType := map[string]webhooks.Receiver{}
	for _, r := range Receivers() {
		byType[r.Type] = r
	}
	var list []webhooks.Endpoint
	for i, r := range registries {
		if !r.Webhook.Enabled() {
			continue
		}
		receiver, ok := byType[r.Type]
		if !ok {
			return nil, fmt.Errorf("registries[%d].webhook: events of registries of type %q are not supported yet; remove the block, images are found at admission: %w", i, r.Type, gate.ErrInvalid)
		}
		auth, err := webhooks.NewAuthenticator(r.Webhook, now, log, webhooks.WithClient(IssuerClient(r.Webhook)))
		if err != nil {
			return nil, fmt.Errorf("registries[%d].%w", i, err)
		}
		list = append(list, webhooks.Endpoint{Name: r.Name, Receiver: webhooks.Translate(receiver, r.Webhook), Auth: auth})
	}
	return list, nil
}

// IssuerClient reads the keys of a token's issuer: its host may be a private
// one, because the configuration names it; where its keys are, it says itself.
func IssuerClient(c webhooks.Config) *http.Client {
	var hosts []string
	if u, err := url.Parse(c.Issuer); err == nil && u.Host != "" {
		hosts = []string{u.Host}
	}
	return outbound.NewClient(outbound.ClientOptions{Purpose: outbound.Issuer, Hosts: hosts, Timeout: 5 * time.Second})
}

// wantsCertificates reports whether a listener for these registries has to ask
// for client certificates.
func wantsCertificates(registries []RegistryConfig) bool {
	return slices.ContainsFunc(registries, func(r RegistryConfig) bool { return r.Webhook.Auth == webhooks.AuthMTLS })
}

package cluster

import (
	"errors"
	"net"

	"github.com/go-logr/logr"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// discard is a log for what client-go says of its own accord; what matters of it is said
// by us, once.
func discard() logr.Logger { return logr.Discard() }

func notFound(err error) bool { return apierrors.IsNotFound(err) }

// reason is why a question failed, for people who may not be the operators: nothing of
// what the server wrote.
func reason(err error) string {
	var timeout net.Error
	switch {
	case apierrors.IsForbidden(err), apierrors.IsUnauthorized(err):
		return "digestgate may not read namespaces"
	case errors.As(err, &timeout) && timeout.Timeout():
		return "it took too long"
	}
	return "it cannot be reached"
}

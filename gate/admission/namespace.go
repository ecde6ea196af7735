package admission

import (
	"context"

	"github.com/digestgate/digestgate/gate"
)

// Namespaces says what is known of the namespaces of clusters. It is used by many
// goroutines at once.
type Namespaces interface {
	// Read reports whether the policies in force can see labels or annotations of
	// namespaces. Nothing is asked for otherwise.
	Read() bool
	// Namespace returns the labels and annotations, which are not modified, or why they
	// are not known, a phrase for people. It waits for a second at most, and not after
	// ctx has ended.
	Namespace(ctx context.Context, cluster, name string) (labels, annotations map[string]string, unknown string)
}

// describe adds to a question what is known of its namespace. What nobody was asked for is
// not known either: policies may come into force between this and the evaluation.
func (r *Reviewer) describe(t *span, q *gate.Request) {
	switch {
	case r.namespaces == nil:
		q.NamespaceUnknown = "no cluster is watched here"
	case !r.namespaces.Read():
		q.NamespaceUnknown = "the policies have changed in this moment"
	default:
		q.NamespaceLabels, q.NamespaceAnnotations, q.NamespaceUnknown = r.namespaces.Namespace(t.ctx, q.Cluster, q.Namespace)
	}
}

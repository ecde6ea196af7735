package admission

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/digestgate/digestgate/gate"
)

// knownSpaces answer for namespaces by what a test has of them.
type knownSpaces struct {
	read   bool
	labels map[string]string
	why    string
	asked  []string
}

func (s *knownSpaces) Read() bool { return s.read }

func (s *knownSpaces) Namespace(_ context.Context, cluster, name string) (labels, annotations map[string]string, unknown string) {
	s.asked = append(s.asked, cluster+"/"+name)
	return s.labels, nil, s.why
}

// TestReview_namespace: what is known of the namespace goes to the policies, and what
// nobody asked for is unknown to them, since they may read it a moment later.
func TestReview_namespace(t *testing.T) {
	team := map[string]string{"team": "a"}
	for _, c := range []struct {
		name   string
		spaces *knownSpaces
		want   gate.Request
		asked  []string
	}{
		{"known", &knownSpaces{read: true, labels: team}, gate.Request{NamespaceLabels: team}, []string{"default/shop"}},
		{"unknown", &knownSpaces{read: true, why: "it is dark"}, gate.Request{NamespaceUnknown: "it is dark"}, []string{"default/shop"}},
		{"not read", &knownSpaces{labels: team}, gate.Request{NamespaceUnknown: "the policies have changed in this moment"}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			known := &lookup{}
			r := NewReviewer(Default(), known, Options{Namespaces: c.spaces})
			answer(t, r, review(pod("reg.example.com/x/good:1"), nil))
			if len(known.asked) != 1 {
				t.Fatalf("the lookup was asked %d times", len(known.asked))
			}
			got := gate.Request{NamespaceLabels: known.asked[0].NamespaceLabels, NamespaceUnknown: known.asked[0].NamespaceUnknown}
			if diff := cmp.Diff(c.want, got, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("of the namespace (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(c.asked, c.spaces.asked); diff != "" {
				t.Errorf("asked for (-want +got):\n%s", diff)
			}
		})
	}
}

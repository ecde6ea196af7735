package admission

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	kjson "sigs.k8s.io/json"

	"github.com/digestgate/digestgate/gate"
)

// FuzzReview: no body makes a reviewer panic, answer what no API server would
// take, or admit a Pod of which it did not judge every image that Kubernetes'
// own decoder finds in it. The lookup refuses every image with "bad" in its name.
func FuzzReview(f *testing.F) {
	files, err := filepath.Glob("testdata/reviews/*.json")
	if err != nil || len(files) == 0 {
		f.Fatalf("no seeds: %v", err)
	}
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		if len(b) < 10_000 {
			f.Add(b)
		}
	}
	r := reviewer(&lookup{})
	f.Fuzz(func(t *testing.T, body []byte) {
		resp, err := r.Review(t.Context(), body, "default")
		if err != nil {
			if gate.CodeOf(err) != gate.CodeReviewInvalid || resp.Allowed {
				t.Fatalf("Review: %v, allowed %v", err, resp.Allowed)
			}
			return
		}
		var in admissionv1.AdmissionReview
		if kjson.UnmarshalCaseSensitivePreserveInts(body, &in) != nil || in.Request == nil {
			return // what we do not look at may be of a wrong type
		}
		out := verify(t, resp.JSON(), string(in.Request.UID))
		if !out.Allowed || resp.Outcome != OutcomeAllow && resp.Outcome != OutcomeWarn || in.Request.Kind.Kind != "Pod" {
			return
		}
		var p corev1.Pod
		if kjson.UnmarshalCaseSensitivePreserveInts(in.Request.Object.Raw, &p) != nil {
			return
		}
		for _, image := range imagesOf(&p) {
			ref, err := gate.ParseReference(image)
			if err != nil || !strings.HasPrefix(ref.String(), "reg.example.com/") || strings.HasSuffix(ref.Repository, "/bad") {
				t.Fatalf("admitted with image %q: %s\n%s", image, body, resp.JSON())
			}
		}
	})
}

// imagesOf lists a Pod's images.
func imagesOf(p *corev1.Pod) []string {
	var list []string
	for _, c := range p.Spec.Containers {
		list = append(list, c.Image)
	}
	for _, c := range p.Spec.InitContainers {
		list = append(list, c.Image)
	}
	for _, c := range p.Spec.EphemeralContainers {
		list = append(list, c.Image)
	}
	for _, v := range p.Spec.Volumes {
		if v.Image != nil {
			list = append(list, v.Image.Reference)
		}
	}
	return list
}

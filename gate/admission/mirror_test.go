package admission

import (
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/digestgate/digestgate/gate"
)

// mirror is the review of the mirror Pod that the kubelet of node-1 creates.
func mirror(change ...func(*admissionv1.AdmissionRequest)) *admissionv1.AdmissionReview {
	p := pod(bad)
	p.Annotations = map[string]string{mirrorAnnotation: "1f8a4c", "kubernetes.io/config.source": "file"}
	p.Spec.NodeName = "node-1"
	byKubelet := func(r *admissionv1.AdmissionRequest) {
		r.UserInfo.Username, r.UserInfo.Groups = "system:node:node-1", []string{"system:nodes", "system:authenticated"}
	}
	return review(p, nil, append([]func(*admissionv1.AdmissionRequest){byKubelet}, change...)...)
}

func mirrorPod(change func(*corev1.Pod)) func(*admissionv1.AdmissionRequest) {
	return func(r *admissionv1.AdmissionRequest) { change(r.Object.Object.(*corev1.Pod)) }
}

// TestReview_mirror: a mirror Pod passes with a warning and is counted; with
// anything less it is a Pod like any other.
func TestReview_mirror(t *testing.T) {
	reg := prometheus.NewRegistry()
	recorder, err := NewRecorder(reg)
	if err != nil {
		t.Fatal(err)
	}
	known := &lookup{}
	r := NewReviewer(Default(), known, Options{Recorder: recorder})
	got, resp := answer(t, r, mirror())
	if !got.Allowed || resp.Outcome != OutcomeMirror || len(got.Warnings) != 2 ||
		!strings.Contains(got.Warnings[0], "node-1") || !strings.Contains(got.Warnings[1], "POLICY") {
		t.Errorf("Review of a mirror Pod: got %s", resp.JSON())
	}
	if len(known.asked) != 1 || !known.asked[0].DryRun {
		t.Errorf("the lookup was asked %+v, want once and dry", known.asked)
	}
	if n := testutil.ToFloat64(recorder.reviews.WithLabelValues("mirror", "none", "enforce")); n != 1 {
		t.Errorf("mirror Pods counted: got %v, want 1", n)
	}

	less := map[string]func(*admissionv1.AdmissionRequest){
		"no_annotation":    mirrorPod(func(p *corev1.Pod) { delete(p.Annotations, mirrorAnnotation) }),
		"empty_annotation": mirrorPod(func(p *corev1.Pod) { p.Annotations[mirrorAnnotation] = "" }),
		"as_label": mirrorPod(func(p *corev1.Pod) {
			delete(p.Annotations, mirrorAnnotation)
			p.Labels[mirrorAnnotation] = "1"
		}),
		"no_node":          mirrorPod(func(p *corev1.Pod) { p.Spec.NodeName = "" }),
		"other_node":       mirrorPod(func(p *corev1.Pod) { p.Spec.NodeName = "node-2" }),
		"longer_node":      mirrorPod(func(p *corev1.Pod) { p.Spec.NodeName = "node-12" }),
		"other_user":       func(r *admissionv1.AdmissionRequest) { r.UserInfo.Username = "jane" },
		"user_is_the_node": func(r *admissionv1.AdmissionRequest) { r.UserInfo.Username = "node-1" },
		"service_account": func(r *admissionv1.AdmissionRequest) {
			r.UserInfo.Username = "system:serviceaccount:system:node:node-1"
		},
		"no_group":       func(r *admissionv1.AdmissionRequest) { r.UserInfo.Groups = []string{"system:authenticated"} },
		"like_the_group": func(r *admissionv1.AdmissionRequest) { r.UserInfo.Groups = []string{"system:nodes2"} },
		"no_groups":      func(r *admissionv1.AdmissionRequest) { r.UserInfo.Groups = nil },
		"update":         operation(admissionv1.Update),
		"subresource":    subResource("ephemeralcontainers"),
		"empty_node_and_user": func(r *admissionv1.AdmissionRequest) {
			r.UserInfo.Username = "system:node:"
			r.Object.Object.(*corev1.Pod).Spec.NodeName = ""
		},
	}
	for name, change := range less {
		t.Run(name, func(t *testing.T) {
			got, resp := answer(t, reviewer(&lookup{}), mirror(change))
			if got.Allowed || resp.Code != gate.CodePolicy {
				t.Errorf("Review: got %s, want POLICY", resp.JSON())
			}
		})
	}
	t.Run("template", func(t *testing.T) {
		d := workloads(bad)["Deployment"]
		v := review(d, nil, func(r *admissionv1.AdmissionRequest) {
			r.UserInfo.Username, r.UserInfo.Groups = "system:node:node-1", []string{"system:nodes"}
		})
		if got, resp := answer(t, reviewer(&lookup{}), v); got.Allowed {
			t.Errorf("Review: got %s", resp.JSON())
		}
	})
	t.Run("unknown_field", func(t *testing.T) {
		body := strings.Replace(string(encode(t, mirror())), `"nodeName": "node-1"`, `"nodeName": "node-1", "fooImage": "x"`, 1)
		resp, err := reviewer(&lookup{}).Review(t.Context(), []byte(body), "default")
		if err != nil || !resp.Allowed || resp.Outcome != OutcomeMirror || !strings.Contains(strings.Join(resp.Warnings, " "), "fooImage") {
			t.Errorf("Review: got %s, %v", resp.JSON(), err)
		}
	})
}

package admission

import (
	"context"
	"encoding/json"
	"flag"
	"os"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"
	admissionv1 "k8s.io/api/admission/v1"
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/refusal"
)

var update = flag.Bool("update", false, "write testdata again")

func TestMain(m *testing.M) {
	flag.Parse()
	goleak.VerifyTestMain(m)
}

const (
	goodHex = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	badHex  = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
	warnHex = "cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc"
	good    = "reg.example.com/team/good@sha256:" + goodHex
	bad     = "reg.example.com/team/bad@sha256:" + badHex
	warns   = "reg.example.com/team/warns@sha256:" + warnHex
	pending = "reg.example.com/team/pending:1.0"
)

// deciderFunc makes a decider of a function.
type deciderFunc func(context.Context, gate.Reference, gate.Request) gate.Answer

func (f deciderFunc) Decide(ctx context.Context, ref gate.Reference, req gate.Request) gate.Answer {
	return f(ctx, ref, req)
}

// lookup is a decider that knows the images above by their repository, and
// records what it was asked.
type lookup struct {
	mu    sync.Mutex
	asked []gate.Request
	refs  []gate.Reference
}

func (l *lookup) Decide(_ context.Context, ref gate.Reference, req gate.Request) gate.Answer {
	l.mu.Lock()
	l.asked, l.refs = append(l.asked, req), append(l.refs, ref)
	l.mu.Unlock()
	digest := func(hex string) gate.Digest {
		if ref.Digest != "" {
			return ref.Digest
		}
		return gate.Digest("sha256:" + hex)
	}
	switch {
	case ref.Host != "reg.example.com":
		return gate.Answer{Outcome: gate.OutcomeNone, Code: gate.CodeRegistryNotTrusted, Err: gate.ErrRegistryNotTrusted}
	case strings.HasSuffix(ref.Repository, "/good"):
		return gate.Answer{Outcome: gate.OutcomeAllow, Digest: digest(goodHex)}
	case strings.HasSuffix(ref.Repository, "/warns"):
		return gate.Answer{Outcome: gate.OutcomeWarn, Digest: digest(warnHex), Warnings: []string{"root-user: runs as root"}}
	case strings.HasSuffix(ref.Repository, "/bad"):
		return gate.Answer{Outcome: gate.OutcomeDeny, Code: gate.CodePolicy, Digest: digest(badHex), Reasons: []gate.Reason{
			{Action: gate.OutcomeDeny, Code: gate.CodePolicy, Rule: "fixable-critical", Msg: "CVE-2024-0001 in openssl has a fix: 3.0.2"},
			{Action: gate.OutcomeWarn, Rule: "root-user", Msg: "runs as root"},
			{Action: gate.OutcomeDeny, Code: gate.CodePolicy, Rule: "fixable-critical", Msg: "CVE-2024-0002 in zlib has a fix: 1.3"},
		}}
	case strings.HasSuffix(ref.Repository, "/pending"):
		return gate.Answer{Outcome: gate.OutcomeNone, Code: gate.CodePending, Err: gate.ErrPending,
			Text: refusal.Say(refusal.PendingRunningUsual, refusal.P{"seconds": 40})}
	}
	return gate.Answer{Outcome: gate.OutcomeNone, Code: gate.CodeUnscanned, Err: gate.ErrNotScanned}
}

func pod(images ...string) *corev1.Pod {
	p := &corev1.Pod{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"},
		ObjectMeta: metav1.ObjectMeta{Name: "web", Namespace: "shop", Labels: map[string]string{"app": "web"}},
		Spec:       podSpecOf(images...),
	}
	return p
}

func podSpecOf(images ...string) corev1.PodSpec {
	spec := corev1.PodSpec{RestartPolicy: corev1.RestartPolicyAlways, ServiceAccountName: "default"}
	for i, image := range images {
		spec.Containers = append(spec.Containers, corev1.Container{
			Name: "c" + string(rune('0'+i)), Image: image, ImagePullPolicy: corev1.PullIfNotPresent,
			Env:          []corev1.EnvVar{{Name: "image", Value: "not/an/image"}},
			VolumeMounts: []corev1.VolumeMount{{Name: "kube-api-access", MountPath: "/var/run/secrets", ReadOnly: true}},
		})
	}
	return spec
}

func template(images ...string) corev1.PodTemplateSpec {
	return corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app": "web"}}, Spec: podSpecOf(images...)}
}

// workloads are all kinds that hold a template.
func workloads(images ...string) map[string]runtime.Object {
	t := template(images...)
	meta := metav1.ObjectMeta{Name: "web", Namespace: "shop"}
	kind := func(version, kind string) metav1.TypeMeta { return metav1.TypeMeta{APIVersion: version, Kind: kind} }
	return map[string]runtime.Object{
		"Deployment":            &appsv1.Deployment{TypeMeta: kind("apps/v1", "Deployment"), ObjectMeta: meta, Spec: appsv1.DeploymentSpec{Template: t, Replicas: new(int32)}},
		"ReplicaSet":            &appsv1.ReplicaSet{TypeMeta: kind("apps/v1", "ReplicaSet"), ObjectMeta: meta, Spec: appsv1.ReplicaSetSpec{Template: t}},
		"StatefulSet":           &appsv1.StatefulSet{TypeMeta: kind("apps/v1", "StatefulSet"), ObjectMeta: meta, Spec: appsv1.StatefulSetSpec{Template: t}},
		"DaemonSet":             &appsv1.DaemonSet{TypeMeta: kind("apps/v1", "DaemonSet"), ObjectMeta: meta, Spec: appsv1.DaemonSetSpec{Template: t}},
		"Job":                   &batchv1.Job{TypeMeta: kind("batch/v1", "Job"), ObjectMeta: meta, Spec: batchv1.JobSpec{Template: t}},
		"CronJob":               &batchv1.CronJob{TypeMeta: kind("batch/v1", "CronJob"), ObjectMeta: meta, Spec: batchv1.CronJobSpec{JobTemplate: batchv1.JobTemplateSpec{Spec: batchv1.JobSpec{Template: t}}}},
		"ReplicationController": &corev1.ReplicationController{TypeMeta: kind("v1", "ReplicationController"), ObjectMeta: meta, Spec: corev1.ReplicationControllerSpec{Template: &t}},
		"PodTemplate":           &corev1.PodTemplate{TypeMeta: kind("v1", "PodTemplate"), ObjectMeta: meta, Template: t},
	}
}

// review is the review that an API server sends for an object.
func review(object, old runtime.Object, change ...func(*admissionv1.AdmissionRequest)) *admissionv1.AdmissionReview {
	gvk := object.GetObjectKind().GroupVersionKind()
	req := &admissionv1.AdmissionRequest{
		UID:       types.UID("3f2504e0-4f89-41d3-9a0c-0305e82c3301"),
		Kind:      metav1.GroupVersionKind{Group: gvk.Group, Version: gvk.Version, Kind: gvk.Kind},
		Resource:  metav1.GroupVersionResource{Group: gvk.Group, Version: gvk.Version, Resource: strings.ToLower(gvk.Kind) + "s"},
		Name:      "web",
		Namespace: "shop",
		Operation: admissionv1.Create,
		Object:    runtime.RawExtension{Object: object},
		DryRun:    new(bool),
		Options:   runtime.RawExtension{Object: &metav1.CreateOptions{TypeMeta: metav1.TypeMeta{APIVersion: "meta.k8s.io/v1", Kind: "CreateOptions"}}},
	}
	req.RequestKind, req.RequestResource = &req.Kind, &req.Resource
	req.UserInfo.Username, req.UserInfo.Groups = "jane", []string{"system:authenticated"}
	if old != nil {
		req.Operation, req.OldObject = admissionv1.Update, runtime.RawExtension{Object: old}
	}
	for _, c := range change {
		c(req)
	}
	return &admissionv1.AdmissionReview{
		TypeMeta: metav1.TypeMeta{APIVersion: "admission.k8s.io/v1", Kind: "AdmissionReview"},
		Request:  req,
	}
}

func encode(t testing.TB, v any) []byte {
	t.Helper()
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func readFile(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// answer sends a review through a reviewer, checks what an API server checks
// of the response (VerifyAdmissionResponse in k8s.io/apiserver), and decodes it.
func answer(t testing.TB, r *Reviewer, v *admissionv1.AdmissionReview) (*admissionv1.AdmissionResponse, Response) {
	t.Helper()
	resp, err := r.Review(t.Context(), encode(t, v), "default")
	if err != nil {
		t.Fatalf("Review: %v", err)
	}
	return verify(t, resp.JSON(), string(v.Request.UID)), resp
}

func verify(t testing.TB, body []byte, uid string) *admissionv1.AdmissionResponse {
	t.Helper()
	var got admissionv1.AdmissionReview
	decoder := json.NewDecoder(strings.NewReader(string(body)))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&got); err != nil {
		t.Fatalf("the response is no AdmissionReview: %v\n%s", err, body)
	}
	r := got.Response
	switch {
	case got.APIVersion != "admission.k8s.io/v1" || got.Kind != "AdmissionReview":
		t.Fatalf("the response is %s %s", got.APIVersion, got.Kind)
	case r == nil || string(r.UID) != uid:
		t.Fatalf("the response does not echo uid %q: %s", uid, body)
	case r.Patch != nil || r.PatchType != nil:
		t.Fatalf("the response has a patch: %s", body)
	case !r.Allowed && (r.Result == nil || r.Result.Code == 0 || r.Result.Message == "" || r.Result.Reason == ""):
		t.Fatalf("the refusal is incomplete: %s", body)
	case r.Result != nil && len(r.Result.Message) > 1024:
		t.Fatalf("the message has %d bytes", len(r.Result.Message))
	}
	total := 0
	for _, w := range r.Warnings {
		total += len(w)
		if len(w) > 256 || w == "" {
			t.Fatalf("a warning has %d bytes: %q", len(w), w)
		}
	}
	if total > 4096 {
		t.Fatalf("the warnings have %d bytes", total)
	}
	shown := append([]string{}, r.Warnings...)
	for _, v := range r.AuditAnnotations {
		shown = append(shown, v)
	}
	if r.Result != nil {
		shown = append(shown, r.Result.Message)
	}
	for _, s := range shown {
		if gate.Printable(s, len(s)) != s {
			t.Fatalf("text that is not printable: %q", s)
		}
	}
	return r
}

func reviewer(d Decider, change ...func(*Config)) *Reviewer {
	c := Default()
	for _, f := range change {
		f(&c)
	}
	return NewReviewer(c, d, Options{})
}

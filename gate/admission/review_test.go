package admission

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/digestgate/digestgate/gate"
)

type reviewCase struct {
	review  *admissionv1.AdmissionReview
	allowed bool
	code    gate.Code
	path    string // of the first refused image, in the message
	outcome Outcome
	asked   int // questions to the lookup
}

// reviewCases are the reviews in testdata/reviews, which -update writes anew
// with the types of k8s.io/api, as an API server would.
func reviewCases() map[string]reviewCase {
	const policy = gate.CodePolicy
	withInit := pod(good)
	withInit.Spec.InitContainers = []corev1.Container{{Name: "i0", Image: good}, {Name: "i1", Image: bad}}
	debugged := pod(good)
	debugged.Spec.EphemeralContainers = []corev1.EphemeralContainer{{EphemeralContainerCommon: corev1.EphemeralContainerCommon{Name: "debug", Image: bad}}}
	mounted := pod(good)
	mounted.Spec.Volumes = []corev1.Volume{
		{Name: "tmp", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}},
		{Name: "models", VolumeSource: corev1.VolumeSource{Image: &corev1.ImageVolumeSource{Reference: bad, PullPolicy: corev1.PullAlways}}},
	}
	owned := pod(bad)
	owned.OwnerReferences = []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: "ReplicaSet", Name: "x", UID: "1"}, {APIVersion: "v1", Kind: "Node", Name: "n", UID: "2"}}
	owned.Labels = map[string]string{"digestgate/skip": "true", "admission.stackrox.io/break-glass": "x", "pod-security.kubernetes.io/enforce": "privileged"}
	owned.Annotations = map[string]string{"verified": "true", "image-policy.k8s.io/break-glass": "true"}
	deleting := pod(bad)
	deleting.DeletionTimestamp = &metav1.Time{Time: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
	labelled := pod(bad)
	labelled.Labels["new"], labelled.Finalizers = "label", nil
	reordered := pod(bad, good)
	reordered.Spec.Containers[0], reordered.Spec.Containers[1] = reordered.Spec.Containers[1], reordered.Spec.Containers[0]
	many := pod(good)
	for i := range 200 {
		many.Spec.Containers = append(many.Spec.Containers, corev1.Container{Name: fmt.Sprint("m", i), Image: fmt.Sprintf("reg.example.com/a%d/good:1", i)})
	}
	unnamed := pod(good)
	unnamed.Name, unnamed.GenerateName = "", "web-5d4f-"
	crd := &metav1.PartialObjectMetadata{TypeMeta: metav1.TypeMeta{APIVersion: "example.com/v1", Kind: "Runner"}, ObjectMeta: metav1.ObjectMeta{Name: "web"}}
	old := workloads(bad)["Deployment"].DeepCopyObject()
	old.GetObjectKind().SetGroupVersionKind(old.GetObjectKind().GroupVersionKind().GroupKind().WithVersion("v1beta1"))

	cases := map[string]reviewCase{
		"pod_good":             {review(pod(good), nil), true, "", "", OutcomeAllow, 1},
		"pod_three_images":     {review(pod(good, "reg.example.com/x/good:1", "reg.example.com/y/good:2"), nil), true, "", "", OutcomeAllow, 3},
		"pod_unnamed":          {review(unnamed, nil), true, "", "", OutcomeAllow, 1},
		"pod_bad":              {review(pod(bad), nil), false, policy, "spec.containers[0].image", OutcomeDeny, 1},
		"pod_second_bad":       {review(pod(good, bad), nil), false, policy, "spec.containers[1].image", OutcomeDeny, 2},
		"pod_init_bad":         {review(withInit, nil), false, policy, "spec.initContainers[1].image", OutcomeDeny, 3},
		"pod_ephemeral_bad":    {review(debugged, pod(good), subResource("ephemeralcontainers")), false, policy, "spec.ephemeralContainers[0].image", OutcomeDeny, 2},
		"pod_volume_bad":       {review(mounted, nil), false, policy, "spec.volumes[1].image.reference", OutcomeDeny, 2},
		"pod_warns":            {review(pod(warns), nil), true, "", "", OutcomeWarn, 1},
		"pod_pending":          {review(pod(pending), nil), false, gate.CodePending, "spec.containers[0].image", OutcomeDeny, 1},
		"pod_untrusted":        {review(pod("evil.example.net/a:1"), nil), false, gate.CodeRegistryNotTrusted, "spec.containers[0].image", OutcomeDeny, 1},
		"pod_invalid_ref":      {review(pod("reg.example.com/a/../b"), nil), false, gate.CodeRefInvalid, "spec.containers[0].image", OutcomeDeny, 0},
		"pod_image_id":         {review(pod("sha256:"+goodHex), nil), false, gate.CodeRefAmbiguous, "spec.containers[0].image", OutcomeDeny, 0},
		"pod_empty_image":      {review(pod(good, ""), nil), false, gate.CodeRefInvalid, "spec.containers[1].image", OutcomeDeny, 1},
		"pod_forged_owner":     {review(owned, nil), false, policy, "spec.containers[0].image", OutcomeDeny, 1},
		"pod_deleting":         {review(deleting, pod(good)), false, policy, "spec.containers[0].image", OutcomeDeny, 1},
		"pod_dry_run":          {review(pod(bad), nil, dryRun), false, policy, "spec.containers[0].image", OutcomeDeny, 1},
		"pod_too_many":         {review(many, nil), false, gate.CodeTooLarge, "", OutcomeDeny, 0},
		"pod_exempt_namespace": {review(pod(bad), nil, namespace("kube-system")), true, "", "", OutcomeExempt, 0},
		"pod_like_exempt_1":    {review(pod(bad), nil, namespace("kube-system2")), false, policy, "spec.containers[0].image", OutcomeDeny, 1},
		"pod_like_exempt_3":    {review(pod(bad), nil, namespace("x-kube-system")), false, policy, "spec.containers[0].image", OutcomeDeny, 1},
		"update_image_bad":     {review(pod(bad), pod(good)), false, policy, "spec.containers[0].image", OutcomeDeny, 1},
		"update_labels_of_bad": {review(labelled, pod(bad)), true, "", "", OutcomeUnchanged, 1},
		"update_reordered":     {review(reordered, pod(bad, good)), true, "", "", OutcomeUnchanged, 2},
		"update_swapped":       {review(pod(good, bad), pod(bad, good)), false, policy, "spec.containers[1].image", OutcomeDeny, 2},
		"update_more_of_same":  {review(pod(bad, bad), pod(bad)), false, policy, "spec.containers[1].image", OutcomeDeny, 2},
		"update_without_old":   {review(pod(bad), nil, operation(admissionv1.Update)), false, policy, "spec.containers[0].image", OutcomeDeny, 1},
		"delete":               {review(pod(bad), nil, operation(admissionv1.Delete), noObject), true, "", "", OutcomeSkipped, 0},
		"connect":              {review(&corev1.PodExecOptions{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "PodExecOptions"}}, nil, operation(admissionv1.Connect), subResource("exec")), true, "", "", OutcomeSkipped, 0},
		"pod_status":           {review(pod(bad), pod(bad), subResource("status")), true, "", "", OutcomeSkipped, 0},
		"deployment_scale":     {review(crd, nil, operation(admissionv1.Update), subResource("scale")), true, "", "", OutcomeSkipped, 0},
		"unknown_subresource":  {review(pod(bad), nil, subResource("newthing")), false, policy, "spec.containers[0].image", OutcomeDeny, 1},
		"unknown_operation":    {review(pod(good), nil, operation("MERGE")), false, gate.CodeReviewInvalid, "", OutcomeDeny, 0},
		"create_without":       {review(pod(good), nil, noObject), false, gate.CodeReviewInvalid, "", OutcomeDeny, 0},
		"pod_without_spec":     {review(&metav1.PartialObjectMetadata{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"}}, nil), false, gate.CodeReviewInvalid, "", OutcomeDeny, 0},
		"pod_no_containers":    {review(pod(), nil), false, gate.CodeReviewInvalid, "", OutcomeDeny, 0},
		"other_kind_inside":    {review(workloads(good)["Deployment"], nil, kindOf("", "v1", "Pod")), false, gate.CodeReviewInvalid, "", OutcomeDeny, 0},
		"unknown_kind":         {review(crd, nil), false, gate.CodeObjectUnsupported, "", OutcomeDeny, 0},
		"old_version":          {review(old, nil), false, gate.CodeObjectUnsupported, "", OutcomeDeny, 0},
	}
	for kind, object := range workloads(good, bad) {
		cases["template_bad_"+strings.ToLower(kind)] = reviewCase{review(object, nil), false, policy, "containers[1].image", OutcomeDeny, 2}
	}
	for kind, object := range workloads(pending) {
		cases["template_pending_"+strings.ToLower(kind)] = reviewCase{review(object, nil), true, gate.CodePending, "", OutcomeWarn, 1}
	}
	cases["template_invalid_ref"] = reviewCase{review(workloads("Reg.example.com/a:1")["Deployment"], nil), false, gate.CodeRefInvalid, "spec.template.spec.containers[0].image", OutcomeDeny, 0}
	for kind, object := range workloads(" ") {
		cases["template_blank_"+strings.ToLower(kind)] = reviewCase{review(object, nil), true, gate.CodeRefInvalid, "", OutcomeWarn, 0}
	}
	cases["pod_blank_image"] = reviewCase{review(pod(" "), nil), false, gate.CodeRefInvalid, "spec.containers[0].image", OutcomeDeny, 0}
	cases["template_blank_and_bad"] = reviewCase{review(workloads("", bad)["Deployment"], nil), false, policy, "spec.template.spec.containers[1].image", OutcomeDeny, 1}
	cases["template_no_containers"] = reviewCase{review(workloads()["Job"], nil), false, gate.CodeReviewInvalid, "", OutcomeDeny, 0}
	cases["template_untrusted"] = reviewCase{review(workloads("evil.example.net/a")["CronJob"], nil), true, gate.CodeRegistryNotTrusted, "", OutcomeWarn, 1}
	return cases
}

func subResource(name string) func(*admissionv1.AdmissionRequest) {
	return func(r *admissionv1.AdmissionRequest) { r.SubResource, r.RequestSubResource = name, name }
}

func namespace(name string) func(*admissionv1.AdmissionRequest) {
	return func(r *admissionv1.AdmissionRequest) { r.Namespace = name }
}

func operation(op admissionv1.Operation) func(*admissionv1.AdmissionRequest) {
	return func(r *admissionv1.AdmissionRequest) { r.Operation = op }
}

func kindOf(group, version, kind string) func(*admissionv1.AdmissionRequest) {
	return func(r *admissionv1.AdmissionRequest) {
		r.Kind = metav1.GroupVersionKind{Group: group, Version: version, Kind: kind}
	}
}

func dryRun(r *admissionv1.AdmissionRequest) { yes := true; r.DryRun = &yes }

func noObject(r *admissionv1.AdmissionRequest) { r.Object = runtime.RawExtension{} }

func TestReview_recorded(t *testing.T) {
	for name, test := range reviewCases() {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join("testdata", "reviews", name+".json")
			if *update {
				if err := os.WriteFile(file, append(encode(t, test.review), '\n'), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			known := &lookup{}
			resp, err := reviewer(known).Review(t.Context(), readFile(t, file), "default")
			if err != nil {
				t.Fatal(err)
			}
			got := verify(t, resp.JSON(), string(test.review.Request.UID))
			if got.Allowed != test.allowed || resp.Code != test.code || resp.Outcome != test.outcome {
				t.Errorf("Review: got allowed %v, code %q, outcome %q, want %v, %q, %q\n%s",
					got.Allowed, resp.Code, resp.Outcome, test.allowed, test.code, test.outcome, resp.JSON())
			}
			if len(known.asked) != test.asked {
				t.Errorf("Review: asked the lookup %d times, want %d: %v", len(known.asked), test.asked, known.refs)
			}
			if !got.Allowed {
				want := "digestgate: " + string(test.code) + ": "
				if test.path != "" && strings.HasPrefix(test.path, "spec.") {
					want += test.path + `: "`
				}
				if !strings.HasPrefix(got.Result.Message, want) || !strings.Contains(got.Result.Message, test.path) {
					t.Errorf("Review: got message %q, want prefix %q", got.Result.Message, want)
				}
				if string(got.Result.Reason) != string(test.code) || int(got.Result.Code) != rowOf(test.code).status {
					t.Errorf("Review: got reason %q, code %d for %s", got.Result.Reason, got.Result.Code, test.code)
				}
			}
			if test.outcome == OutcomeWarn && len(got.Warnings) == 0 {
				t.Error("Review: got no warning")
			}
		})
	}
}

func TestReview_request(t *testing.T) {
	known := &lookup{}
	answer(t, reviewer(known), review(pod("reg.example.com/x/good:1"), nil, dryRun))
	want := []gate.Request{{
		Cluster: "default", Namespace: "shop", Kind: "Pod", Name: "web", Operation: "CREATE", User: "jane", Container: "c0", DryRun: true,
		NamespaceUnknown: "no cluster is watched here",
	}}
	if diff := cmp.Diff(want, known.asked); diff != "" {
		t.Errorf("the lookup was asked (-want +got):\n%s", diff)
	}
}

// TestReview_unchanged: an update that leaves its images passes without any
// effect of the lookup, which is still asked for warnings (A14).
func TestReview_unchanged(t *testing.T) {
	known := &lookup{}
	got, _ := answer(t, reviewer(known), review(pod(bad), pod(bad)))
	if !got.Allowed || len(got.Warnings) != 1 || !strings.Contains(got.Warnings[0], "POLICY") {
		t.Errorf("Review: got allowed %v with warnings %q", got.Allowed, got.Warnings)
	}
	if len(known.asked) != 1 || !known.asked[0].DryRun {
		t.Errorf("the lookup was asked %+v, want once and dry", known.asked)
	}
}

func TestReview_modes(t *testing.T) {
	for _, mode := range []Mode{ModeWarn, ModeAudit} {
		for name, test := range reviewCases() {
			t.Run(string(mode)+"_"+name, func(t *testing.T) {
				r := reviewer(&lookup{}, func(c *Config) {
					c.Namespaces = map[string]NamespaceConfig{test.review.Request.Namespace: {Mode: mode}}
				})
				got, resp := answer(t, r, test.review)
				if !got.Allowed {
					t.Fatalf("Review in mode %s: refused: %s", mode, resp.Message)
				}
				if resp.Outcome != test.outcome || resp.Code != test.code {
					t.Errorf("Review: got %s %q, want %s %q", resp.Outcome, resp.Code, test.outcome, test.code)
				}
				shown := len(got.Warnings) > 0
				if mode == ModeAudit && shown || mode == ModeWarn && test.outcome == OutcomeDeny && !shown {
					t.Errorf("Review in mode %s: got warnings %q", mode, got.Warnings)
				}
				if test.outcome == OutcomeDeny && !strings.HasPrefix(got.AuditAnnotations["message"], "digestgate: "+string(test.code)) {
					t.Errorf("Review in mode %s: got audit entry %q", mode, got.AuditAnnotations)
				}
			})
		}
	}
}

func TestReview_auditDigests(t *testing.T) {
	got, _ := answer(t, reviewer(&lookup{}), review(pod("reg.example.com/x/good:1", "reg.example.com/y/good:1", warns), nil))
	if want := "sha256:" + goodHex + " sha256:" + warnHex; got.AuditAnnotations["digests"] != want {
		t.Errorf("audit entry: got %q, want %q", got.AuditAnnotations["digests"], want)
	}
	if want := `digestgate: spec.containers[2].image: "` + warns + `": root-user: runs as root`; len(got.Warnings) != 1 || !strings.HasPrefix(got.Warnings[0], want[:60]) {
		t.Errorf("warnings: got %q, want %q", got.Warnings, want)
	}
}

// TestReview_undecodable: what cannot be answered is an error (A02, A04, A05).
func TestReview_undecodable(t *testing.T) {
	v1beta1 := strings.ReplaceAll(string(encode(t, review(pod(good), nil))), "admission.k8s.io/v1", "admission.k8s.io/v1beta1")
	tests := map[string]string{
		"empty": ``, "object": `{}`, "array": `[]`, "string": `"x"`, "nan": `NaN`, "truncated": `{"kind":"AdmissionReview"`,
		"two_documents": `{}{}`, "bom": "\ufeff{}", "not_utf8": "{\"kind\":\"\xff\"}", "pod": string(encode(t, pod(good))),
		"v1beta1":         v1beta1,
		"no_request":      `{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1"}`,
		"null_request":    `{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","request":null}`,
		"request_array":   `{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","request":[]}`,
		"no_uid":          `{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","request":{"operation":"CREATE"}}`,
		"empty_uid":       `{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","request":{"uid":""}}`,
		"number_uid":      `{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","request":{"uid":7}}`,
		"two_uids":        `{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","request":{"uid":"a","uid":"b"}}`,
		"two_requests":    `{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","request":{"uid":"a"},"request":{"uid":"b"}}`,
		"deeply_nested":   strings.Repeat("[", 100_000) + strings.Repeat("]", 100_000),
		"kind_other_case": `{"Kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","request":{"uid":"a"}}`,
	}
	for name, body := range tests {
		t.Run(name, func(t *testing.T) {
			resp, err := reviewer(&lookup{}).Review(t.Context(), []byte(body), "default")
			if gate.CodeOf(err) != gate.CodeReviewInvalid || resp.Allowed {
				t.Errorf("Review: got %+v, %v, want ErrReviewInvalid", resp, err)
			}
		})
	}
}

// TestReview_partial: a review with a uid is answered whatever else it lacks.
func TestReview_partial(t *testing.T) {
	tests := map[string]string{
		"nothing_else":   `{}`,
		"null_fields":    `{"kind":null,"resource":null,"userInfo":null,"object":null,"oldObject":null,"operation":null,"namespace":null,"dryRun":null}`,
		"wrong_types":    `{"kind":7,"operation":[],"namespace":{},"object":"x","userInfo":1,"dryRun":"yes"}`,
		"one_wrong_type": `{"namespace":{},"kind":{"version":"v1","kind":"Pod"},"operation":"CREATE","object":{"spec":{"containers":[{"name":"a","image":"` + good + `"}]}}}`,
		"invalid_delete": `{"dryRun":1,"operation":"DELETE"}`,
		"object_array":   `{"kind":{"version":"v1","kind":"Pod"},"operation":"CREATE","object":[1]}`,
		"object_spec":    `{"kind":{"version":"v1","kind":"Pod"},"operation":"CREATE","object":{"spec":7}}`,
	}
	for name, rest := range tests {
		t.Run(name, func(t *testing.T) {
			body := `{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","request":{"uid":"a\u002f\"b",` + rest[1:] + `}`
			body = strings.Replace(body, `",}`, `"}`, 1)
			resp, err := reviewer(&lookup{}).Review(t.Context(), []byte(body), "default")
			if err != nil {
				t.Fatal(err)
			}
			if got := verify(t, resp.JSON(), `a/"b`); got.Allowed || got.Result.Code != 400 {
				t.Errorf("Review: got %s", resp.JSON())
			}
		})
	}
	t.Run("minimal_and_good", func(t *testing.T) {
		body := `{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","request":{"uid":"u","operation":"CREATE","kind":{"group":"","version":"v1","kind":"Pod"},"object":{"spec":{"containers":[{"name":"a","image":"` + good + `"}]}}}}`
		resp, err := reviewer(&lookup{}).Review(t.Context(), []byte(body), "default")
		if err != nil || !resp.Allowed {
			t.Errorf("Review: got %+v, %v, want an allow", resp, err)
		}
	})
}

// TestReviewer_reconfigure: the next review is answered by the new modes and
// namespaces, one that is under way by those that it began with.
func TestReviewer_reconfigure(t *testing.T) {
	asked, answered := make(chan struct{}), make(chan struct{})
	known := &lookup{}
	r := reviewer(deciderFunc(func(ctx context.Context, ref gate.Reference, req gate.Request) gate.Answer {
		if req.Container == "c1" {
			close(asked)
			<-answered
		}
		return known.Decide(ctx, ref, req)
	}))
	underWay := make(chan Response)
	go func() {
		resp, err := r.Review(t.Context(), encode(t, review(pod(good, bad), nil)), "default")
		if err != nil {
			t.Error(err)
		}
		underWay <- resp
	}()
	<-asked
	c := Default()
	c.Mode, c.ExemptNamespaces = ModeWarn, []string{"shop"}
	c.Namespaces = map[string]NamespaceConfig{"strict": {Mode: ModeEnforce}}
	r.Reconfigure(c)
	close(answered)
	if resp := <-underWay; resp.Allowed || resp.Mode != ModeEnforce {
		t.Errorf("a review under way: got %+v, want it refused", resp)
	}
	for name, want := range map[string]Response{
		"shop": {Allowed: true, Outcome: OutcomeExempt}, "kube-system": {Allowed: true, Outcome: OutcomeDeny}, "strict": {Allowed: false, Outcome: OutcomeDeny},
	} {
		if _, resp := answer(t, r, review(pod(bad), nil, namespace(name))); resp.Allowed != want.Allowed || resp.Outcome != want.Outcome {
			t.Errorf("namespace %s: got %+v, want %+v", name, resp, want)
		}
	}
}

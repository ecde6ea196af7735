package admission

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/digestgate/digestgate/gate"
)

const twoDocuments = `# a comment
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: shop}
spec:
  containers:
    - {name: a, image: "` + bad + `"}
---
---
apiVersion: batch/v1
kind: CronJob
metadata: {name: night}
spec:
  jobTemplate: {spec: {template: {spec: {containers: [{name: a, image: "` + good + `"}]}}}}
`

func TestWrapObjects(t *testing.T) {
	reviews, err := WrapObjects([]byte(twoDocuments))
	if err != nil || len(reviews) != 2 {
		t.Fatalf("WrapObjects: got %d reviews, %v, want 2", len(reviews), err)
	}
	known := &lookup{}
	var allowed []bool
	for _, body := range reviews {
		resp, err := reviewer(known).Review(t.Context(), body, "default")
		if err != nil {
			t.Fatal(err)
		}
		allowed = append(allowed, resp.Allowed)
	}
	if diff := cmp.Diff([]bool{false, true}, allowed); diff != "" {
		t.Errorf("allowed (-want +got):\n%s", diff)
	}
	want := []gate.Request{
		{Cluster: "default", Namespace: "shop", Kind: "Pod", Name: "web", Operation: "CREATE", User: "digestgate admit", Container: "a"},
		{Cluster: "default", Namespace: "default", Kind: "CronJob", Name: "night", Operation: "CREATE", User: "digestgate admit", Container: "a"},
	}
	if diff := cmp.Diff(want, known.asked); diff != "" {
		t.Errorf("asked (-want +got):\n%s", diff)
	}
}

func TestWrapObject_review(t *testing.T) {
	body, err := WrapObject(readFile(t, "testdata/reviews/pod_bad.json"))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := reviewer(&lookup{}).Review(t.Context(), body, "default")
	if err != nil || resp.Code != gate.CodePolicy || resp.Images[0].Path != "spec.containers[0].image" {
		t.Errorf("Review of a wrapped review: got %+v, %v", resp, err)
	}
	verify(t, resp.JSON(), "3f2504e0-4f89-41d3-9a0c-0305e82c3301")
}

func TestWrapObject_refused(t *testing.T) {
	for name, in := range map[string]string{
		"empty": "", "comment": "# nothing", "scalar": "x", "list": "[1]", "no_kind": "apiVersion: v1", "no_version": "kind: Pod",
		"broken": "{", "two": twoDocuments, "odd_keys": "apiVersion: v1\nkind: Pod\nspec: {1: {2: 3}}\n",
		"aliases": "a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b]\nd: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c]\n" +
			"e: &e [*d,*d,*d,*d,*d,*d,*d,*d,*d]\nf: &f [*e,*e,*e,*e,*e,*e,*e,*e,*e]\ng: &g [*f,*f,*f,*f,*f,*f,*f,*f,*f]\nh: [*g,*g,*g,*g,*g,*g,*g,*g,*g]\n",
	} {
		t.Run(name, func(t *testing.T) {
			if got, err := WrapObject([]byte(in)); !errors.Is(err, gate.ErrReviewInvalid) {
				t.Errorf("WrapObject: got %.80s, %v, want ErrReviewInvalid", got, err)
			}
		})
	}
}

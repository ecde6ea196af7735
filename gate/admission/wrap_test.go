package admission

import (
	"encoding/json"
	"errors"
	"strings"
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

// eachObject collects.
func eachObject(text string) (reviews []WrappedReview, passed Passed, err error) {
	passed, err = EachObject(strings.NewReader(text), func(r WrappedReview) error {
		reviews = append(reviews, r)
		return nil
	})
	return reviews, passed, err
}

func TestEachObject(t *testing.T) {
	reviews, passed, err := eachObject(twoDocuments)
	if err != nil || len(reviews) != 2 || len(passed) > 0 {
		t.Fatalf("EachObject: got %d reviews, %v, want 2", len(reviews), err)
	}
	known := &lookup{}
	var allowed []bool
	for _, r := range reviews {
		resp, err := reviewer(known).Review(t.Context(), r.Body, "default")
		if err != nil {
			t.Fatal(err)
		}
		allowed = append(allowed, resp.Allowed)
	}
	if diff := cmp.Diff([]bool{false, true}, allowed); diff != "" {
		t.Errorf("allowed (-want +got):\n%s", diff)
	}
	const unwatched = "no cluster is watched here"
	want := []gate.Request{
		{Cluster: "default", Namespace: "shop", Kind: "Pod", Name: "web", Operation: "CREATE", User: "digestgate admit", Container: "a", NamespaceUnknown: unwatched},
		{Cluster: "default", Namespace: "default", Kind: "CronJob", Name: "night", Operation: "CREATE", User: "digestgate admit", Container: "a", NamespaceUnknown: unwatched},
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
		"broken": "{", "two": twoDocuments, "other_kind": "apiVersion: v1\nkind: Service\n", "empty_list": "apiVersion: v1\nkind: List\nitems: []\n", "odd_keys": "apiVersion: v1\nkind: Pod\nspec: {1: {2: 3}}\n",
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

// pods are objects of one image each, in different writings.
func TestEachObject_writings(t *testing.T) {
	const pod = `{"apiVersion":"v1","kind":"Pod","metadata":{"name":"NAME","namespace":"shop"},"spec":{"containers":[{"name":"a","image":"x"}]}}`
	named := func(name string) string { return strings.Replace(pod, "NAME", name, 1) }
	list := func(kind string, items ...string) string {
		return `{"apiVersion":"v1","kind":"` + kind + `","items":[` + strings.Join(items, ",") + `]}`
	}
	bare := `{"metadata":{"name":"a","namespace":"shop"},"spec":{"containers":[{"name":"a","image":"x"}]}}`
	service := "apiVersion: v1\nkind: Service\nmetadata: {name: web}\n"
	utf16le := func(s string) string {
		out := "\xff\xfe"
		for _, b := range []byte(s) {
			out += string([]byte{b, 0})
		}
		return out
	}
	for name, c := range map[string]struct {
		in     string
		about  []string
		passed Passed
	}{
		"other_kinds":          {manifests, []string{"Deployment shop/web"}, Passed{"Namespace": 1, "Service": 1, "ConfigMap": 1}},
		"list":                 {"apiVersion: v1\nkind: List\nitems:\n- " + named("a") + "\n- " + named("b"), []string{"Pod shop/a", "Pod shop/b"}, nil},
		"list_of_other_kinds":  {list("List", `{"apiVersion":"v1","kind":"Secret"}`, named("a"), `{"apiVersion":"v1","kind":"Secret"}`), []string{"Pod shop/a"}, Passed{"Secret": 2}},
		"list_in_a_list":       {list("List", list("List", named("a"))), []string{"Pod shop/a"}, nil},
		"pod_list":             {list("PodList", named("a")), []string{"Pod shop/a"}, nil},
		"pod_list_bare_items":  {list("PodList", bare), []string{"Pod shop/a"}, nil},
		"empty_list_and_pod":   {list("List") + named("a"), []string{"Pod shop/a"}, nil},
		"json_stream":          {named("a") + named("b") + "\n\n" + named("c"), []string{"Pod shop/a", "Pod shop/b", "Pod shop/c"}, nil},
		"json_lines":           {named("a") + "\n" + named("b") + "\n", []string{"Pod shop/a", "Pod shop/b"}, nil},
		"json_and_yaml":        {named("a") + named("b") + "\n---\n" + service + "---\n" + named("c"), []string{"Pod shop/a", "Pod shop/b", "Pod shop/c"}, Passed{"Service": 1}},
		"json_after_a_comment": {"# made by a tool\n\n" + named("a") + named("b"), []string{"Pod shop/a", "Pod shop/b"}, nil},
		"flow_mapping":         {"{apiVersion: v1, kind: Pod, metadata: {name: a}}", []string{"Pod default/a"}, nil},
		"marker_with_content":  {"--- " + named("a") + "\n--- # nothing\n---\n---\r\n" + service + "...\n", []string{"Pod shop/a"}, Passed{"Service": 1}},
		"directive":            {"%YAML 1.2\n---\n" + named("a") + "\n---\n" + service, []string{"Pod shop/a"}, Passed{"Service": 1}},
		"text_with_a_marker":   {"apiVersion: v1\nkind: ConfigMap\ndata:\n  a: |\n    x\n    ---\n    y\n---\n" + named("a"), []string{"Pod shop/a"}, Passed{"ConfigMap": 1}},
		"odd_keys_elsewhere":   {"apiVersion: v1\nkind: ConfigMap\ndata: {1: x, true: c}\n---\n" + named("a"), []string{"Pod shop/a"}, Passed{"ConfigMap": 1}},
		"byte_order_mark":      {"\xef\xbb\xbf" + named("a"), []string{"Pod shop/a"}, nil},
		"utf_16":               {utf16le(service + "---\n" + named("a")), []string{"Pod shop/a"}, Passed{"Service": 1}},
		"generated_name":       {`{"apiVersion":"batch/v1","kind":"Job","metadata":{"generateName":"night-"}}`, []string{"Job default/night-..."}, nil},
		"same_kind_elsewhere":  {`{"apiVersion":"batch.volcano.sh/v1alpha1","kind":"Job"}` + named("a"), []string{"Pod shop/a"}, Passed{"Job": 1}},
		"earlier_versions": {`{"apiVersion":"extensions/v1beta1","kind":"Deployment"}{"apiVersion":"batch/v1beta1","kind":"CronJob"}{"apiVersion":"apps/v1beta2","kind":"DaemonSet"}`,
			[]string{"Deployment default/...", "CronJob default/...", "DaemonSet default/..."}, nil},
		"only_other_kinds": {service, nil, Passed{"Service": 1}},
	} {
		t.Run(name, func(t *testing.T) {
			reviews, passed, err := eachObject(c.in)
			if err != nil {
				t.Fatal(err)
			}
			var about []string
			uids := map[string]bool{}
			for _, r := range reviews {
				about = append(about, r.About)
				var review struct{ Request struct{ UID string } }
				if err := json.Unmarshal(r.Body, &review); err != nil || uids[review.Request.UID] {
					t.Errorf("review of %s: %v, uid %q, others %v", r.About, err, review.Request.UID, uids)
				}
				uids[review.Request.UID] = true
			}
			if diff := cmp.Diff(c.about, about); diff != "" {
				t.Errorf("reviews (-want +got):\n%s", diff)
			}
			if c.passed == nil {
				c.passed = Passed{}
			}
			if diff := cmp.Diff(c.passed, passed); diff != "" {
				t.Errorf("passed over (-want +got):\n%s", diff)
			}
		})
	}
}

// manifests is what a chart renders.
const manifests = `# helm template output, as people have it
---
apiVersion: v1
kind: Namespace
metadata: {name: shop}
---
# Source: web/templates/service.yaml
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec: {ports: [{port: 80}]}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: c, namespace: shop}
data: {a: b}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec:
  selector: {matchLabels: {a: b}}
  template:
    metadata: {labels: {a: b}}
    spec:
      containers:
      - {name: c, image: "registry.example.com/team/good:1"}
`

func TestEachObject_says_what_is_wrong(t *testing.T) {
	for in, want := range map[string]string{
		"":                                       "there is no object in it",
		"---\n# a":                               "there is no object in it",
		"apiVersion: v1\nkind: List":             "there is no object in it",
		"apiVersion: v1\nkind: List\nitems: foo": "items of a List: want a list of objects, not a text",
		"apiVersion: v1\nkind: PodList\nitems: {a: 1}": "items of a PodList: want a list of objects, not a mapping",
		"a: 1\n---\nb: [": "reading document 1, which begins at line 1: this is not an object of Kubernetes",
		"kind: Service\n": "reading document 1, which begins at line 1: this is not an object of Kubernetes",
		`{"apiVersion":"v1","kind":"List","items":[{"apiVersion":"v1","kind":"Pod"},3]}`: "items[1]: want an object of Kubernetes, not a single value",
		`{"apiVersion":"v1","kind":"Pod"}{"apiVersion":`:                                 "reading document 2, which begins at line 1: the JSON ends in the middle",
		"\n\n[1]": "reading document 1, which begins at line 3: want an object of Kubernetes, not a list of values",
	} {
		if _, _, err := eachObject(in); !errors.Is(err, gate.ErrReviewInvalid) || !strings.Contains(err.Error(), want) {
			t.Errorf("EachObject(%q): got %v, want %q", in, err, want)
		}
	}
}

// A recorded review is sent as it was, also where it is odd.
func TestEachObject_leaves_a_review_as_it_is(t *testing.T) {
	const review = `{"apiVersion":"admission.k8s.io/v1", "kind":"AdmissionReview","request":{"uid":"u","uid":"v","n":12345678901234567890}}`
	reviews, passed, err := eachObject("\n" + review + review + "\n")
	if err != nil || len(passed) > 0 || len(reviews) != 2 || string(reviews[1].Body) != review {
		t.Errorf("EachObject: got %+v, %v", reviews, err)
	}
}

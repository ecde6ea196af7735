package admission

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/digestgate/digestgate/gate"
)

// updateOf is the review of an update between two objects, as JSON.
func updateOf(kind, subResource, object, old string) []byte {
	group, version, name := "", "v1", kind
	if g, rest, ok := strings.Cut(kind, "/"); ok {
		group, name = g, rest
	}
	return fmt.Appendf(nil, `{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{"uid":"u","operation":"UPDATE",
		"kind":{"group":%q,"version":%q,"kind":%q},"subResource":%q,"namespace":"shop","name":"p","userInfo":{"username":"dev"},
		"object":%s,"oldObject":%s}}`, group, version, name, subResource, object, old)
}

func podJSON(spec string) string { return `{"metadata":{"name":"p"},"spec":` + spec + `}` }

func deploymentJSON(spec string) string { return `{"spec":{"template":{"spec":` + spec + `}}}` }

// containersJSON are containers a, b, c… with images.
func containersJSON(images ...string) string {
	list := make([]string, len(images))
	for i, image := range images {
		list[i] = fmt.Sprintf(`{"name":"%c","image":%q}`, 'a'+i, image)
	}
	return `"containers":[` + strings.Join(list, ",") + `]`
}

type changeCase struct {
	object, old string // pod specs
	code        gate.Code
	path        string // of what is refused
	warned      []string
}

// changeCases are updates of a Pod.
func changeCases() map[string]changeCase {
	debug := func(image string) string {
		return `,"ephemeralContainers":[{"name":"dbg","image":"` + image + `","targetContainerName":"a"}]`
	}
	one := func(image string) string { return "{" + containersJSON(image) + "}" }
	with := func(image, more string) string { return "{" + containersJSON(image) + "," + more + "}" }
	return map[string]changeCase{
		"debug_good_into_bad": {"{" + containersJSON(bad) + debug(good) + "}", one(bad), "", "", []string{"POLICY: spec.containers[0].image"}},
		"debug_bad_into_good": {"{" + containersJSON(good) + debug(bad) + "}", one(good), gate.CodePolicy, "spec.ephemeralContainers[0].image", nil},
		"debug_bad_into_bad":  {"{" + containersJSON(bad) + debug(bad) + "}", one(bad), gate.CodePolicy, "spec.ephemeralContainers[0].image", []string{"POLICY: spec.containers[0].image"}},
		"debug_blank":         {"{" + containersJSON(good) + debug(" ") + "}", one(good), gate.CodeRefInvalid, "spec.ephemeralContainers[0].image", nil},
		"debug_into_pending":  {"{" + containersJSON(pending) + debug(good) + "}", one(pending), "", "", []string{"PENDING: spec.containers[0].image"}},
		"debug_into_invalid":  {"{" + containersJSON("a/../b") + debug(good) + "}", one("a/../b"), "", "", []string{"REF_INVALID: spec.containers[0].image"}},
		"mend_one_of_two":     {"{" + containersJSON(good, bad) + "}", "{" + containersJSON(bad, bad) + "}", "", "", []string{"POLICY: spec.containers[1].image"}},
		"spoil_one_of_two":    {"{" + containersJSON(bad, bad) + "}", "{" + containersJSON(good, bad) + "}", gate.CodePolicy, "spec.containers[0].image", nil},
		"init_to_container":   {`{"containers":[{"name":"a","image":"` + bad + `"}]}`, `{"initContainers":[{"name":"a","image":"` + bad + `"}],"containers":[{"name":"b","image":"` + good + `"}]}`, gate.CodePolicy, "spec.containers[0].image", nil},
		"renamed":             {`{"containers":[{"name":"x","image":"` + bad + `"}]}`, one(bad), gate.CodePolicy, "spec.containers[0].image", nil},
		"same_name_twice":     {`{"containers":[{"name":"a","image":"` + bad + `"},{"name":"a","image":"` + bad + `"}]}`, one(bad), gate.CodePolicy, "spec.containers[1].image", nil},
		"volume_kept": {with(good, `"tolerations":[{"operator":"Exists"}],"volumes":[{"name":"v","image":{"reference":"`+bad+`"}}]`),
			with(good, `"volumes":[{"name":"v","image":{"reference":"`+bad+`"}}]`), "", "", []string{"POLICY: spec.volumes[0].image.reference"}},
		"volume_swapped": {with(good, `"volumes":[{"name":"v","image":{"reference":"`+bad+`"}}]`),
			with(good, `"volumes":[{"name":"v","image":{"reference":"`+good+`"}}]`), gate.CodePolicy, "spec.volumes[0].image.reference", nil},

		"unknown_kept":          {with(good, `"fooImage":"x"`), with(good, `"fooImage":"x"`), "", "", []string{"spec.fooImage is not known"}},
		"unknown_kept_and_bad":  {with(bad, `"fooImage":"x"`), with(bad, `"fooImage":"x"`), "", "", []string{"spec.fooImage is not known", "POLICY"}},
		"unknown_other_order":   {with(good, `"foo":{ "image": "x", "n": 1 }`), with(good, `"foo":{"n":1,"image":"x"}`), "", "", []string{"spec.foo.image is not known"}},
		"unknown_beside_mended": {with(good, `"fooImage":"x"`), with(bad, `"fooImage":"x"`), "", "", []string{"spec.fooImage"}},
		"unknown_container": {`{"containers":[{"name":"b","image":"` + good + `"},{"name":"a","image":"` + good + `","sideImage":"x"}]}`,
			`{"containers":[{"name":"a","image":"` + good + `","sideImage":"x"},{"name":"b","image":"` + good + `"}]}`, "", "", []string{"spec.containers[1].sideImage"}},
		"unknown_volume":         {with(good, `"volumes":[{"name":"v","artifact":{"reference":"x"}}]`), with(good, `"volumes":[{"name":"v","artifact":{"reference":"x"}}]`), "", "", []string{"spec.volumes[0].artifact.reference"}},
		"unknown_exact_copy":     {with(good, `"foo":{"image":"x","image":"y"}`), with(good, `"foo":{"image":"x","image":"y"}`), "", "", nil},
		"unknown_new":            {with(good, `"fooImage":"x"`), one(good), gate.CodeObjectUnsupported, "spec.fooImage", nil},
		"unknown_changed":        {with(good, `"fooImage":"y"`), with(good, `"fooImage":"x"`), gate.CodeObjectUnsupported, "spec.fooImage", nil},
		"unknown_changed_inside": {with(good, `"foo":[{"image":"x"},{"image":"y"}]`), with(good, `"foo":[{"image":"x"},{"image":"x"}]`), gate.CodeObjectUnsupported, "spec.foo", nil},
		"unknown_moved": {`{"containers":[{"name":"a","image":"` + good + `"},{"name":"b","image":"` + good + `","sideImage":"x"}]}`,
			`{"containers":[{"name":"a","image":"` + good + `","sideImage":"x"},{"name":"b","image":"` + good + `"}]}`, gate.CodeObjectUnsupported, "spec.containers[1].sideImage", nil},
		"unknown_ambiguous": {with(good, `"foo":{"image":"x","image":"y"}`), with(good, `"foo":{"image":"y"}`), gate.CodeObjectUnsupported, "spec.foo", nil},
		"unknown_in_new":    {"{" + containersJSON(good) + `,"ephemeralContainers":[{"name":"dbg","image":"` + good + `","sideImage":"x"}]}`, one(good), gate.CodeObjectUnsupported, "spec.ephemeralContainers[0].sideImage", nil},
		"old_unreadable":    {one(bad), `{"containers":[1]}`, gate.CodePolicy, "spec.containers[0].image", nil},
		"both_unreadable":   {`{"containers":[],"containers":[]}`, `{"containers":[],"containers":[]}`, gate.CodeReviewInvalid, "", nil},
	}
}

// TestReview_perPlace: of an update only new or changed places can refuse.
func TestReview_perPlace(t *testing.T) {
	for name, test := range changeCases() {
		for _, sub := range []string{"", "ephemeralcontainers"} {
			t.Run(name+"_"+sub, func(t *testing.T) {
				resp, err := reviewer(&lookup{}).Review(t.Context(), updateOf("Pod", sub, podJSON(test.object), podJSON(test.old)), "default")
				if err != nil {
					t.Fatal(err)
				}
				verify(t, resp.JSON(), "u")
				if resp.Allowed != (test.code == "") || test.code != "" && resp.Code != test.code || !strings.Contains(resp.Message, test.path) {
					t.Errorf("Review: got %s, want code %q at %q", resp.JSON(), test.code, test.path)
				}
				for _, want := range test.warned {
					if !strings.Contains(strings.Join(resp.Warnings, "\n"), want) {
						t.Errorf("Review: got warnings %q, want one with %q", resp.Warnings, want)
					}
				}
			})
		}
	}
}

// TestReview_templatesStrict: a template is judged as a whole unless nothing
// in it changes.
func TestReview_templatesStrict(t *testing.T) {
	for name, test := range changeCases() {
		t.Run(name, func(t *testing.T) {
			resp, err := reviewer(&lookup{}).Review(t.Context(), updateOf("apps/Deployment", "", deploymentJSON(test.object), deploymentJSON(test.old)), "default")
			if err != nil {
				t.Fatal(err)
			}
			created, err := reviewer(&lookup{}).Review(t.Context(),
				[]byte(strings.Replace(string(updateOf("apps/Deployment", "", deploymentJSON(test.object), "null")), `"UPDATE"`, `"CREATE"`, 1)), "default")
			if err != nil {
				t.Fatal(err)
			}
			if resp.Outcome == OutcomeUnchanged {
				if test.code != "" || !resp.Allowed {
					t.Errorf("Review: got %s, want it judged", resp.JSON())
				}
				return
			}
			if resp.Allowed != created.Allowed || resp.Code != created.Code || resp.Message != created.Message {
				t.Errorf("Review of an update: got %s, want as for the creation %s", resp.JSON(), created.JSON())
			}
		})
	}
	for name, spec := range map[string]string{
		"bad":     "{" + containersJSON(bad) + "}",
		"unknown": "{" + containersJSON(good) + `,"fooImage":"x"}`,
	} {
		resp, err := reviewer(&lookup{}).Review(t.Context(), updateOf("apps/Deployment", "", deploymentJSON(spec), deploymentJSON(spec)), "default")
		if err != nil || !resp.Allowed || resp.Outcome != OutcomeUnchanged || len(resp.Warnings) != 1 {
			t.Errorf("Review of an unchanged template (%s): got %s, %v", name, resp.JSON(), err)
		}
	}
}

// TestReview_unchangedTooLarge: what is there already is not too large to stay.
func TestReview_unchangedTooLarge(t *testing.T) {
	list := make([]string, maxPlaces+1)
	for i := range list {
		list[i] = fmt.Sprintf(`{"name":"c%d","image":"reg.example.com/a%d/good:1"}`, i, i)
	}
	spec := `{"containers":[` + strings.Join(list, ",") + `]}`
	r := reviewer(&lookup{})
	resp, err := r.Review(t.Context(), updateOf("Pod", "", podJSON(spec), podJSON(spec)), "default")
	if err != nil || !resp.Allowed {
		t.Errorf("Review of an unchanged Pod with %d containers: got %s, %v", len(list), resp.Message, err)
	}
	resp, err = r.Review(t.Context(), updateOf("Pod", "", podJSON(spec), podJSON("{"+containersJSON(good)+"}")), "default")
	if err != nil || resp.Allowed || resp.Code != gate.CodeTooLarge {
		t.Errorf("Review of a Pod that gets %d containers: got %q %q, %v", len(list), resp.Code, resp.Message, err)
	}
}

// TestReview_keptHangs: what is kept costs a changed place no time but its
// small budget, has no effect, and holds its place until it has ended.
func TestReview_keptHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hang := make(chan struct{})
		known := &lookup{}
		d := deciderFunc(func(ctx context.Context, ref gate.Reference, req gate.Request) gate.Answer {
			if ref.Repository == "team/bad" {
				if !req.DryRun {
					t.Error("a kept image was looked up with effects")
				}
				<-hang
			} else if req.DryRun {
				t.Error("a changed image was looked up dry")
			}
			return known.Decide(ctx, ref, req)
		})
		r := reviewer(d)
		start := time.Now()
		resp, err := r.Review(t.Context(), updateOf("Pod", "", podJSON("{"+containersJSON(good, bad)+"}"), podJSON("{"+containersJSON(bad, bad)+"}")), "default")
		if took := time.Since(start); err != nil || !resp.Allowed || took != unchangedBudget || len(resp.Warnings) != 0 {
			t.Errorf("Review: got %s after %s, %v", resp.JSON(), took, err)
		}
		if len(r.slots) != 1 {
			t.Errorf("%d places are taken while a lookup hangs, want 1", len(r.slots))
		}
		close(hang)
		synctest.Wait()
		if len(r.slots) != 0 {
			t.Errorf("%d places are still taken", len(r.slots))
		}
	})
}

func TestSameJSON(t *testing.T) {
	deep := strings.Repeat("[", maxTree+10) + strings.Repeat("]", maxTree+10)
	tests := []struct {
		a, b string
		want bool
	}{
		{`{"a":1,"b":[true,null]}`, ` { "b" : [ true, null ], "a" : 1 }`, true},
		{`"\u0041"`, `"A"`, true},
		{`1`, `1.0`, false}, {`1`, `"1"`, false}, {`[]`, `{}`, false}, {`null`, `false`, false}, {`[1,2]`, `[2,1]`, false},
		{`{"a":1}`, `{"a":1,"b":2}`, false}, {`{"a":1,"a":1}`, `{"a":1}`, false}, {`{"a":1,"a":2}`, `{"a":1,"a":2}`, true},
		{deep, deep, true}, {deep, " " + deep, false},
		{`"` + strings.Repeat("x", maxCompared) + `"`, ` "` + strings.Repeat("x", maxCompared) + `"`, false},
	}
	for _, test := range tests {
		if got := sameJSON([]byte(test.a), []byte(test.b)); got != test.want {
			t.Errorf("sameJSON(%.60s, %.60s): got %v, want %v", test.a, test.b, got, test.want)
		}
	}
}

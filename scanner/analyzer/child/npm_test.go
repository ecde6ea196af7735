//go:build goexperiment.jsonv2

package child

import (
	"errors"
	"strings"
	"testing"
)

func TestParsePackageJSON(t *testing.T) {
	tests := map[string]struct {
		body string
		want string // the package's ID; "" means an error
		err  string
	}{
		"plain":                     {body: `{"name":"lodash","version":"4.17.20","license":"MIT"}`, want: "lodash@4.17.20"},
		"scope":                     {body: `{"name":"@babel/runtime","version":"7.0.0"}`, want: "@babel/runtime@7.0.0"},
		"byte_order_mark":           {body: "\ufeff" + `{"name":"a","version":"1.0.0"}`, want: "a@1.0.0"},
		"odd_fields":                {body: `{"name":"a","version":"1.0.0","dependencies":[],"workspaces":{"packages":"x"},"license":7,"scripts":null}`, want: "a@1.0.0"},
		"last_of_equal_keys":        {body: `{"name":"a","version":"9.0.0","version":"1.0.0"}`, want: "a@1.0.0"},
		"other_spelling_is_another": {body: `{"name":"a","version":"1.0.0","Version":"9.0.0"}`, want: "a@1.0.0"},
		"upper_case":                {body: `{"name":"JSONStream","version":"1.3.5"}`, want: "JSONStream@1.3.5"},
		"slash_in_name":             {body: `{"name":"rxjs/ajax","version":"1.0.0"}`, err: `no package can be published under its name "rxjs/ajax"`},
		"no_version":                {body: `{"name":"lodash"}`, err: `"lodash" has no version`},
		"version_is_number":         {body: `{"name":"lodash","version":4}`, err: `"lodash" has no version`},
		"no_name":                   {body: `{"version":"1.0.0"}`, err: "it has no name"},
		"only_type":                 {body: `{"type":"module"}`, err: "it has no name"},
		"placeholder":               {body: `{"name":"fsevents","mocked":true}`, err: "placeholder"},
		"mocked_with_more":          {body: `{"name":"lodash","mocked":true,"main":"lodash.js"}`, err: `"lodash" has no version`},
		"null":                      {body: `null`, err: "it has no name"},
		"array":                     {body: `[]`, err: "it is not a JSON object"},
		"empty":                     {body: ``, err: "it is not a JSON object"},
		"cut":                       {body: "{\n", err: "it is not a JSON object"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := parsePackageJSON(strings.NewReader(tt.body))
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) {
					t.Fatalf("parsePackageJSON(%s): got %v, %v, want the error %q", tt.body, got, err, tt.err)
				}
				if unread := strings.Contains(tt.err, "JSON"); errors.Is(err, errUnidentified) == unread && tt.err != "placeholder" {
					t.Errorf("parsePackageJSON(%s): %v is of the wrong kind", tt.body, err)
				}
				return
			}
			if err != nil || got.ID != tt.want {
				t.Errorf("parsePackageJSON(%s): got %+v, %v, want %s", tt.body, got, err, tt.want)
			}
		})
	}
}

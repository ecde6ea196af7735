package cloudevents_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/webhooks"
	"github.com/digestgate/digestgate/webhooks/cloudevents"
)

const (
	imageData  = `{"repository":"team/app","digest":"` + string(alpine) + `","tag":"1.0","action":"push"}`
	structured = `{"specversion":"1.0","id":"1","source":"s","type":"t","data":` + imageData + `}`
)

// TestModes: which mode an event is in follows from the headers alone.
func TestModes(t *testing.T) {
	binary := func(kv ...string) http.Header {
		h := http.Header{"Ce-Specversion": {"1.0"}, "Ce-Id": {"1"}}
		for i := 0; i < len(kv); i += 2 {
			h.Set(kv[i], kv[i+1])
		}
		return h
	}
	for name, c := range map[string]struct {
		header http.Header
		body   string
		want   gate.PushKind // "" for an error
		part   string
	}{
		"structured":                  {http.Header{"Content-Type": {"application/cloudevents+json"}}, structured, gate.PushArrived, ""},
		"structured_charset":          {http.Header{"Content-Type": {"Application/CloudEvents+JSON; charset=UTF-8"}}, structured, gate.PushArrived, ""},
		"structured_as_json":          {http.Header{"Content-Type": {"application/json"}}, structured, gate.PushArrived, ""},
		"content_type_decides":        {binary("Content-Type", "application/cloudevents+json"), structured, gate.PushArrived, ""},
		"binary":                      {binary("Content-Type", "application/json"), imageData, gate.PushArrived, ""},
		"binary_without_content_type": {binary(), imageData, gate.PushArrived, ""},
		"binary_body_structured":      {binary(), structured, gate.PushIgnored, "no action"},
		"data_without_headers":        {nil, imageData, "", "specversion"},
		"old_version":                 {binary("Ce-Specversion", "0.3"), imageData, "", "specversion"},
		"later_version":               {binary("Ce-Specversion", "1.0.2"), imageData, gate.PushArrived, ""},
		"version_twice":               {http.Header{"Ce-Specversion": {"1.0", "0.3"}}, imageData, "", "occurs 2 times"},
		"id_twice":                    {http.Header{"Ce-Specversion": {"1.0"}, "Ce-Id": {"1", "2"}}, imageData, "", "occurs 2 times"},
		"batch":                       {http.Header{"Content-Type": {"application/cloudevents-batch+json"}}, "[" + structured + "]", "", "wrong type"},
		"no_data":                     {nil, `{"specversion":"1.0","id":"1"}`, "", "no data"},
		"data_null":                   {nil, `{"specversion":"1.0","data":null}`, "", "no data"},
		"data_base64":                 {nil, `{"specversion":"1.0","data_base64":"e30="}`, "", "data_base64"},
		"data_as_text":                {nil, `{"specversion":"1.0","data":"{}"}`, "", "wrong type"},
		"no_action":                   {nil, `{"specversion":"1.0","data":{"repository":"a"}}`, gate.PushIgnored, "no action"},
		"unknown_action":              {nil, strings.Replace(structured, `"push"`, `"pull"`, 1), gate.PushIgnored, "neither push nor delete"},
		"delete":                      {nil, strings.Replace(structured, `"push"`, `"delete"`, 1), gate.PushDeleted, ""},
		"digest_twice":                {nil, strings.Replace(structured, `"tag"`, `"Digest":"x","tag"`, 1), "", "twice"},
	} {
		t.Run(name, func(t *testing.T) {
			if c.header == nil {
				c.header = http.Header{}
			}
			got, err := cloudevents.Receiver().Parse(webhooks.Delivery{Header: c.header, Body: []byte(c.body)})
			if c.want == "" {
				if !errors.Is(err, gate.ErrInvalid) || !strings.Contains(err.Error(), c.part) {
					t.Errorf("Parse: got %+v, %v, want ErrInvalid with %q", got, err, c.part)
				}
				return
			}
			if err != nil || len(got) != 1 || got[0].Kind != c.want || !strings.Contains(got[0].Reason, c.part) {
				t.Fatalf("Parse: got %+v, %v, want one %s with %q", got, err, c.want, c.part)
			}
			if c.want != gate.PushIgnored && (got[0].Digest != alpine || got[0].Tag != "1.0" || got[0].Repository != "team/app" || got[0].EventID != "1") {
				t.Errorf("Parse: got %+v", got[0])
			}
		})
	}
}

package admission

import (
	"fmt"
	"strconv"
	"sync"
)

// JSON is the AdmissionReview to send.
func (r *Response) JSON() []byte {
	size := 400 + len(r.uid) + 2*len(r.Message) + len(r.digests)
	for _, w := range r.Warnings {
		size += len(w) + 10
	}
	return r.appendJSON(make([]byte, 0, size))
}

// answerBytes is the size of answers that are written down where others were: a Write of
// net/http copies as much. Longer ones get room of their own, because HTTP/2 may still
// hold it when Write returns.
const answerBytes = 4 << 10

// answers are where answers are written down.
var answers = sync.Pool{New: func() any { b := make([]byte, 0, answerBytes); return &b }}

func (r *Response) appendJSON(b []byte) []byte {
	b = append(b, `{"kind":"AdmissionReview","apiVersion":"`+apiVersion+`","response":{"uid":`...)
	b = append(b, r.uid...)
	b = append(b, `,"allowed":`...)
	b = strconv.AppendBool(b, r.Allowed)
	if !r.Allowed {
		b = append(b, `,"status":{"metadata":{},"status":"Failure","message":`...)
		b = appendString(b, r.Message)
		b = append(b, `,"reason":`...)
		b = appendString(b, string(r.Code))
		if r.retry > 0 {
			b = fmt.Appendf(b, `,"details":{"retryAfterSeconds":%d}`, r.retry)
		}
		b = fmt.Appendf(b, `,"code":%d}`, r.status)
	}
	// The API server prefixes each key with the name of the webhook.
	b = append(b, `,"auditAnnotations":{"outcome":`...)
	b = appendString(b, string(r.Outcome))
	for _, entry := range [...]struct{ key, value string }{
		{"code", string(r.Code)}, {"message", r.Message}, {"digests", r.digests},
	} {
		if entry.value != "" {
			b = append(append(append(b, `,"`...), entry.key...), `":`...)
			b = appendString(b, entry.value)
		}
	}
	b = append(b, '}')
	for i, w := range r.Warnings {
		if i == 0 {
			b = append(b, `,"warnings":[`...)
		} else {
			b = append(b, ',')
		}
		b = appendString(b, w)
	}
	if len(r.Warnings) > 0 {
		b = append(b, ']')
	}
	return append(b, "}}"...)
}

// appendString writes a JSON string. For printable ASCII, and all our text is,
// Go's quoting is JSON's, and escapes quotation marks and backslashes only.
func appendString(b []byte, s string) []byte {
	start := len(b)
	b = append(append(b, '"'), s...) // to look at many bytes at once
	from := start + 1
	if !printable(b[from:]) {
		return strconv.AppendQuoteToASCII(b[:start], s)
	}
	end := plainEnd(b, from)
	if end == len(b) {
		return append(b, '"')
	}
	done := end - from
	b = b[:end]
	for i := done; i < len(s); i++ {
		if c := s[i]; c == '"' || c == '\\' {
			b = append(append(b, s[done:i]...), '\\', c)
			done = i + 1
		}
	}
	return append(append(b, s[done:]...), '"')
}

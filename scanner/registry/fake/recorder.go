package fake

import (
	"net/http"
	"slices"
	"strings"
	"time"
)

// Request is one request as it arrived.
type Request struct {
	Method        string
	Host          string
	Path          string
	Query         string
	Authorization string
	Range         string
	Referer       string
	At            time.Time
}

func (r *Registry) record(req *http.Request) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.requests = append(r.requests, Request{
		Method: req.Method, Host: req.Host, Path: req.URL.Path, Query: req.URL.RawQuery,
		Authorization: req.Header.Get("Authorization"), Range: req.Header.Get("Range"),
		Referer: req.Header.Get("Referer"), At: time.Now(),
	})
}

// Requests are all requests since the start or the last Reset, oldest first.
func (r *Registry) Requests() []Request {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.requests)
}

// Count is how many requests had the method ("" any) and a path that contains
// part.
func (r *Registry) Count(method, part string) int {
	n := 0
	for _, q := range r.Requests() {
		if (method == "" || q.Method == method) && strings.Contains(q.Path, part) {
			n++
		}
	}
	return n
}

// Reset forgets the requests and the faults.
func (r *Registry) Reset() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.requests, r.faults = nil, nil
}

// Package post sends messages as one JSON POST to an address, which is a secret: to a
// webhook, and to the chats that take one. What a vendor's own package adds is the body,
// the signature, and what an answer means.
package post

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/notify"
	"github.com/digestgate/digestgate/gate/outbound"
)

const (
	// maxAnswer is how much of an answer is read: a vendor's code and a word about it.
	maxAnswer = 64 << 10
	// maxAfter bounds how long a Retry-After is obeyed: DingTalk's block of ten minutes,
	// and room. What is longer is tried again, and answered again.
	maxAfter = time.Hour
	// maxURL is longer than any address of a chat.
	maxURL = 2048
)

// Kind is what a vendor adds to a POST.
type Kind struct {
	// Body makes the body. target is the address, which it may add a signature to.
	Body func(l notify.Letter, secret []byte, target *url.URL) (any, error)
	// ContentType is that of the body; "" is application/json.
	ContentType string
	// Header adds headers, such as a signature of the body; nil for none.
	Header func(h http.Header, l notify.Letter, secret, body []byte)
	// Code reads the vendor's own code out of the body of an answer of HTTP 200; ok is
	// false when there is none, which is a failure. nil: HTTP's status says everything.
	Code func(body []byte) (code int64, ok bool)
	// Slow are codes that say "too often", with how long to wait; Final those that say
	// that this message will never be taken.
	Slow  map[int64]time.Duration
	Final []int64
	// Host: chats are addressed at their vendor's over https only; a generic webhook may
	// be http.
	HTTPS bool
}

// Open makes the sender of a target.
func (k Kind) Open(a notify.Access) (notify.Sender, error) {
	u, err := ParseURL(a.URL, k.HTTPS)
	if err != nil {
		return nil, err
	}
	o := a.Outbound(outbound.Hook, endpoint(u))
	client := outbound.NewClient(outbound.ClientOptions{
		Purpose: o.Purpose, Hosts: o.Hosts, Allow: o.Allow, Timeout: a.Timeout, TLS: a.TLS, Resolver: a.Resolver, Dialed: a.Dialed,
	})
	// A message is for the address that was configured: it is sent nowhere else, also not
	// to another path of the same host.
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &sender{kind: k, url: u, secret: a.Secret, client: client}, nil
}

// ParseURL reads the address of a target. gate.ErrInvalid: it is none; the text does not
// have it.
func ParseURL(raw string, https bool) (*url.URL, error) {
	bad := func(format string, args ...any) (*url.URL, error) {
		return nil, fmt.Errorf("the address (not shown, it is a secret) %s: %w", fmt.Sprintf(format, args...), gate.ErrInvalid)
	}
	raw = strings.TrimSpace(raw)
	u, err := url.Parse(raw)
	switch {
	case raw == "":
		return bad("is empty: write the whole webhook address")
	case len(raw) > maxURL:
		return bad("is longer than %d bytes", maxURL)
	case err != nil || u.Host == "" || u.Hostname() == "" || u.Opaque != "":
		return bad("is not a URL: write the whole webhook address, with https://")
	case u.Scheme != "https" && (https || u.Scheme != "http"):
		if https {
			return bad("does not begin with https://: it is a credential and must not be sent in clear")
		}
		return bad("begins neither with https:// nor with http://")
	case u.User != nil:
		return bad("has a user name: put the secret in secretFile, or in the path")
	}
	if why := outbound.Never(u.Host); why != "" {
		return bad("names a host that digestgate never connects to: %s", why)
	}
	u.Fragment = ""
	return u, nil
}

// endpoint is the "host:port" of an address.
func endpoint(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	return outbound.Endpoint(net.JoinHostPort(u.Hostname(), port), "")
}

type sender struct {
	kind   Kind
	url    *url.URL
	secret []byte
	client *http.Client
}

// Address implements notify.Sender.
func (s *sender) Address() string { return endpoint(s.url) }

// Close implements notify.Sender.
func (s *sender) Close() { s.client.CloseIdleConnections() }

// Send implements notify.Sender.
func (s *sender) Send(ctx context.Context, l notify.Letter) (notify.Answer, error) {
	req, err := s.request(ctx, l)
	if err != nil {
		return notify.Answer{}, err
	}
	res, err := s.client.Do(req)
	if err != nil {
		return notify.Answer{}, failure(err)
	}
	defer res.Body.Close()
	answer := notify.Answer{Status: res.StatusCode}
	body, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err != nil && s.kind.Code != nil {
		return answer, failure(err)
	}
	return answer, s.judge(res, body)
}

func (s *sender) request(ctx context.Context, l notify.Letter) (*http.Request, error) {
	target := *s.url
	made, err := s.kind.Body(l, s.secret, &target)
	var body []byte
	if err == nil {
		if raw, ok := made.(json.RawMessage); ok {
			body = raw
		} else {
			body, err = json.Marshal(made)
		}
	}
	if err != nil {
		return nil, notify.NewFailure(err, true, 0, "the body of the message could not be made")
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, target.String(), bytes.NewReader(body))
	if err != nil {
		return nil, notify.NewFailure(nil, true, 0, "no request can be made for its address")
	}
	req.Header.Set("Content-Type", "application/json; charset=utf-8")
	if s.kind.ContentType != "" {
		req.Header.Set("Content-Type", s.kind.ContentType)
	}
	req.Header.Set("User-Agent", "digestgate")
	req.Header.Set("Idempotency-Key", l.ID)
	if s.kind.Header != nil {
		s.kind.Header(req.Header, l, s.secret, body)
	}
	return req, nil
}

// judge says whether an answer means that the message was taken.
func (s *sender) judge(res *http.Response, body []byte) error {
	status := res.StatusCode
	switch {
	case status >= 300 && status < 400:
		return notify.NewFailure(nil, false, 0, "it answered with HTTP status %d, a redirect, which is not followed: configure the final address", status)
	case status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable:
		after, _ := outbound.RetryAfter(res.Header.Get("Retry-After"), time.Now(), maxAfter)
		return notify.NewFailure(nil, false, after, "it answered with HTTP status %d: it has too many messages, or is not available", status)
	case status == http.StatusBadRequest, status == http.StatusRequestEntityTooLarge, status == http.StatusUnprocessableEntity, status == http.StatusUnsupportedMediaType:
		return notify.NewFailure(nil, true, 0, "it answered with HTTP status %d: it refuses this message", status)
	case status < 200 || status > 299:
		return notify.NewFailure(nil, false, 0, "it answered with HTTP status %d", status)
	}
	if s.kind.Code == nil {
		return nil
	}
	code, ok := s.kind.Code(body)
	switch {
	case !ok:
		return notify.NewFailure(nil, false, 0, "it answered with HTTP status %d, but not like a target of this type: check the address", status)
	case code == 0:
		return nil
	}
	for _, final := range s.kind.Final {
		if code == final {
			return notify.NewFailure(nil, true, 0, "it answered with code %d: it refuses this message", code)
		}
	}
	return notify.NewFailure(nil, false, s.kind.Slow[code], "it answered with code %d", code)
}

// ErrCode reads errcode, for [Kind].Code: the robots of DingTalk and WeCom answer HTTP 200
// also when they refuse.
func ErrCode(body []byte) (int64, bool) {
	var v struct {
		Code *int64 `json:"errcode"`
	}
	if json.Unmarshal(body, &v) != nil || v.Code == nil {
		return 0, false
	}
	return *v.Code, true
}

// failure says why there is no answer, without the address: an error of net/http has it.
func failure(err error) error {
	var blocked *outbound.BlockedError
	if errors.As(err, &blocked) {
		return notify.NewFailure(err, false, 0, "%s", blocked.Error())
	}
	return notify.NewFailure(err, false, 0, "%s", Reason(err))
}

// Reason is the class of a failed connection, as a sentence that has nothing of an address.
func Reason(err error) string {
	var (
		dns     *net.DNSError
		cert    *tls.CertificateVerificationError
		unknown x509.UnknownAuthorityError
		timeout interface{ Timeout() bool }
		record  tls.RecordHeaderError
		op      *net.OpError
	)
	switch {
	case errors.As(err, &dns):
		return "its host name was not found"
	case errors.As(err, &cert), errors.As(err, &unknown):
		return "its certificate is not trusted: name the file of its certificate authorities in caFile"
	case errors.As(err, &record):
		return "it does not speak TLS there"
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return "it did not answer in time"
	case errors.Is(err, context.Canceled):
		return "the attempt was cancelled"
	case errors.As(err, &op) && op.Op == "dial":
		return "the connection to it failed"
	}
	return "the connection broke before it answered"
}

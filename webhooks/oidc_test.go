package webhooks

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	jose "github.com/go-jose/go-jose/v4"

	"github.com/digestgate/digestgate/gate"
)

// issuer is an OpenID Connect issuer on loopback.
type issuer struct {
	*httptest.Server
	key   *ecdsa.PrivateKey
	kid   atomic.Value // string; the key's name
	away  atomic.Bool
	reads atomic.Int32 // of the keys
}

func newIssuer(t *testing.T) *issuer {
	t.Helper()
	i := &issuer{key: newKey(t)}
	i.kid.Store("k1")
	mux := http.NewServeMux()
	mux.HandleFunc("/.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		if i.away.Load() {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		_ = json.NewEncoder(w).Encode(map[string]string{"issuer": i.URL, "jwks_uri": i.URL + "/keys"})
	})
	mux.HandleFunc("/keys", func(w http.ResponseWriter, _ *http.Request) {
		i.reads.Add(1)
		if i.away.Load() {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		key := jose.JSONWebKey{Key: i.key.Public(), KeyID: i.kid.Load().(string), Algorithm: "ES256", Use: "sig"}
		_ = json.NewEncoder(w).Encode(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{key}})
	})
	i.Server = httptest.NewTLSServer(mux)
	t.Cleanup(i.Close)
	return i
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func token(t *testing.T, alg jose.SignatureAlgorithm, key any, kid string, claims map[string]any) string {
	t.Helper()
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: jose.JSONWebKey{Key: key, KeyID: kid}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := signer.Sign(payload)
	if err != nil {
		t.Fatal(err)
	}
	text, err := signed.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return text
}

const account = "push@project.iam.gserviceaccount.com"

func TestOIDC(t *testing.T) {
	i := newIssuer(t)
	clock := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	a, err := NewAuthenticator(Config{
		Auth: AuthOIDC, Issuer: i.URL, Audience: "https://gate.example.com/webhooks/gar", Emails: []string{account}, Subjects: []string{"1234"},
	}, func() time.Time { return clock }, quiet(), WithClient(i.Client()))
	if err != nil {
		t.Fatal(err)
	}
	claims := func(change func(map[string]any)) map[string]any {
		c := map[string]any{
			"iss": i.URL, "aud": "https://gate.example.com/webhooks/gar", "sub": "1234", "email": account, "email_verified": true,
			"iat": clock.Unix(), "exp": clock.Add(time.Hour).Unix(),
		}
		if change != nil {
			change(c)
		}
		return c
	}
	set := func(name string, value any) func(map[string]any) {
		return func(c map[string]any) { c[name] = value }
	}
	good := token(t, jose.ES256, i.key, "k1", claims(nil))
	public, err := json.Marshal(jose.JSONWebKey{Key: i.key.Public()})
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		header []string
		want   bool
	}{
		"good":             {[]string{"Bearer " + good}, true},
		"scheme_in_lower":  {[]string{"bearer " + good}, true},
		"audience_list":    {[]string{"Bearer " + token(t, jose.ES256, i.key, "k1", claims(set("aud", []string{"x", "https://gate.example.com/webhooks/gar"})))}, true},
		"verified_as_text": {[]string{"Bearer " + token(t, jose.ES256, i.key, "k1", claims(set("email_verified", "true")))}, true},
		"missing":          {nil, false},
		"two_headers":      {[]string{"Bearer " + good, "Bearer " + good}, false},
		"basic":            {[]string{"Basic " + good}, false},
		"no_scheme":        {[]string{good}, false},
		"garbage":          {[]string{"Bearer a.b.c"}, false},
		// {"alg":"none"} and the right claims.
		"alg_none":       {[]string{"Bearer eyJhbGciOiJub25lIn0." + good[len("x"):]}, false},
		"alg_hmac":       {[]string{"Bearer " + token(t, jose.HS256, public, "k1", claims(nil))}, false},
		"other_key":      {[]string{"Bearer " + token(t, jose.ES256, newKey(t), "k1", claims(nil))}, false},
		"other_issuer":   {[]string{"Bearer " + token(t, jose.ES256, i.key, "k1", claims(set("iss", "https://accounts.google.com")))}, false},
		"other_audience": {[]string{"Bearer " + token(t, jose.ES256, i.key, "k1", claims(set("aud", "https://other.example.com")))}, false},
		"no_audience":    {[]string{"Bearer " + token(t, jose.ES256, i.key, "k1", claims(set("aud", nil)))}, false},
		"expired":        {[]string{"Bearer " + token(t, jose.ES256, i.key, "k1", claims(set("exp", clock.Add(-time.Second).Unix())))}, false},
		"no_expiry":      {[]string{"Bearer " + token(t, jose.ES256, i.key, "k1", claims(set("exp", nil)))}, false},
		"not_yet":        {[]string{"Bearer " + token(t, jose.ES256, i.key, "k1", claims(set("nbf", clock.Add(time.Hour).Unix())))}, false},
		"other_email":    {[]string{"Bearer " + token(t, jose.ES256, i.key, "k1", claims(set("email", "evil@example.com")))}, false},
		"no_email":       {[]string{"Bearer " + token(t, jose.ES256, i.key, "k1", claims(set("email", nil)))}, false},
		"not_verified":   {[]string{"Bearer " + token(t, jose.ES256, i.key, "k1", claims(set("email_verified", false)))}, false},
		"other_subject":  {[]string{"Bearer " + token(t, jose.ES256, i.key, "k1", claims(set("sub", "4321")))}, false},
	} {
		t.Run(name, func(t *testing.T) {
			r := request(t, "/")
			r.Header["Authorization"] = c.header
			err := a.Check(r, "", nil)
			if (err == nil) != c.want || err != nil && !errors.Is(err, gate.ErrUnauthorized) {
				t.Errorf("Check: got %v, want success %t or ErrUnauthorized", err, c.want)
			}
		})
	}
	if n := i.reads.Load(); n != 1 {
		t.Errorf("the keys were read %d times, want once: bad tokens must not be a way to call the issuer", n)
	}
}

// TestOIDCIssuerAway: what cannot be checked is not refused for good, and a new
// key is found.
func TestOIDCIssuerAway(t *testing.T) {
	i := newIssuer(t)
	i.away.Store(true)
	clock := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	c := Config{Auth: AuthOIDC, Issuer: i.URL, Audience: "gate", Subjects: []string{"1234"}}
	a, err := NewAuthenticator(c, func() time.Time { return clock }, quiet(), WithClient(i.Client()))
	if err != nil {
		t.Fatal(err)
	}
	h, err := NewHandler([]Endpoint{{Name: "prod", Receiver: simple, Auth: a}}, takerFunc(queueAll), Options{})
	if err != nil {
		t.Fatal(err)
	}
	post := func(kid string, want int) {
		t.Helper()
		r := httptest.NewRequest(http.MethodPost, "/webhooks/prod", nil)
		r.Header.Set("Authorization", "Bearer "+token(t, jose.ES256, i.key, kid, map[string]any{
			"iss": i.URL, "aud": "gate", "sub": "1234", "exp": clock.Add(time.Hour).Unix(),
		}))
		r.Body = http.NoBody
		var w *httptest.ResponseRecorder
		// go-oidc ends a read of the keys just after those who waited for it, so
		// that the next request may still be given the old result.
		for range 1000 {
			w = httptest.NewRecorder()
			if h.ServeHTTP(w, r); w.Code == want {
				break
			}
			runtime.Gosched()
		}
		if w.Code != want {
			t.Errorf("key %q: got %d %s, want %d", kid, w.Code, w.Body, want)
		}
		if (want == 503) != (w.Header().Get("Retry-After") != "") {
			t.Errorf("key %q: Retry-After is %q", kid, w.Header().Get("Retry-After"))
		}
	}
	post("k1", 503)
	i.away.Store(false)
	post("k1", 503) // not asked again so soon
	clock = clock.Add(issuerEvery)
	post("k1", 400) // authenticated; the empty body is the next problem
	i.kid.Store("k2")
	post("k2", 401) // the keys were read just now
	clock = clock.Add(issuerEvery)
	post("k2", 400)
	i.kid.Store("k3")
	i.away.Store(true)
	clock = clock.Add(issuerEvery)
	post("k3", 503)
	post("k2", 400) // known keys serve on
	i.away.Store(false)
	clock = clock.Add(issuerEvery)
	post("k3", 400)
}

func TestOIDCRefusesPlainHTTP(t *testing.T) {
	plain := httptest.NewServer(http.NotFoundHandler())
	defer plain.Close()
	redirecting := httptest.NewTLSServer(http.RedirectHandler(plain.URL, http.StatusFound))
	defer redirecting.Close()
	a, err := NewAuthenticator(Config{Auth: AuthOIDC, Issuer: redirecting.URL, Audience: "a", Subjects: []string{"b"}}, time.Now, quiet(), WithClient(redirecting.Client()))
	if err != nil {
		t.Fatal(err)
	}
	r := request(t, "/")
	r.Header.Set("Authorization", "Bearer a.b.c")
	if err := a.Check(r, "", nil); !errors.Is(err, gate.ErrRegistryUnavailable) {
		t.Errorf("Check by a redirect to http: got %v, want ErrRegistryUnavailable", err)
	}
	if _, err := NewAuthenticator(Config{Auth: AuthOIDC, Issuer: "https://i.example.com", Audience: "a", Subjects: []string{"b"}}, time.Now, quiet()); !errors.Is(err, gate.ErrInvalid) {
		t.Errorf("NewAuthenticator without a client: got %v, want ErrInvalid", err)
	}
}

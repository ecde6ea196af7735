package fake

import (
	"crypto/subtle"
	"fmt"
	"net/http"
	"strings"
)

func (r *Registry) authorized(req *http.Request) bool {
	switch r.options.Auth {
	case AuthBasic:
		return r.knows(req)
	case AuthBearer:
		token, ok := strings.CutPrefix(req.Header.Get("Authorization"), "Bearer ")
		r.mu.Lock()
		defer r.mu.Unlock()
		return ok && r.tokens[token]
	}
	return true
}

// knows reports whether the request has the right user and password.
func (r *Registry) knows(req *http.Request) bool {
	user, password, ok := req.BasicAuth()
	right := subtle.ConstantTimeCompare([]byte(user), []byte(r.options.Username)) &
		subtle.ConstantTimeCompare([]byte(password), []byte(r.options.Password))
	return ok && right == 1
}

func (r *Registry) challenge(w http.ResponseWriter, _ *http.Request) {
	value := `Basic realm="registry"`
	if r.options.Auth == AuthBearer {
		realm := r.options.Realm
		if realm == "" {
			realm = r.URL + "/token"
		}
		value = fmt.Sprintf(`Bearer realm=%q,service="registry",scope="repository:any:pull"`, realm)
	}
	w.Header().Set("WWW-Authenticate", value)
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusUnauthorized)
	fmt.Fprint(w, `{"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]}`)
}

func (r *Registry) serveToken(w http.ResponseWriter, req *http.Request) {
	if !r.knows(req) && !(r.options.Anonymous && req.Header.Get("Authorization") == "") {
		w.WriteHeader(http.StatusUnauthorized)
		fmt.Fprint(w, `{"errors":[{"code":"UNAUTHORIZED"}]}`)
		return
	}
	expires := ""
	if r.options.ExpiresIn != "" {
		expires = `,"expires_in":` + r.options.ExpiresIn
	}
	w.Header().Set("Content-Type", "application/json")
	fmt.Fprintf(w, `{"token":%q%s}`, r.NewToken(), expires)
}

// NewToken issues a token as the token server would.
func (r *Registry) NewToken() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.issued++
	token := fmt.Sprintf("token-%d", r.issued)
	r.tokens[token] = true
	return token
}

// RevokeTokens makes every token issued so far invalid.
func (r *Registry) RevokeTokens() {
	r.mu.Lock()
	defer r.mu.Unlock()
	clear(r.tokens)
}

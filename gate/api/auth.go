package api

import (
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"
)

// header marks every answer, refusals included: it is data and not a page,
// whatever an image has put into it, and no cache may keep it.
func header(ctx huma.Context, next func(huma.Context)) {
	ctx.SetHeader("X-Content-Type-Options", "nosniff")
	ctx.SetHeader("Cache-Control", "no-store")
	next(ctx)
}

// authenticate refuses every operation without the token before its input is
// read. The same answer for a missing and a wrong token tells nothing.
func (s *server) authenticate(api huma.API) func(huma.Context, func(huma.Context)) {
	return func(ctx huma.Context, next func(huma.Context)) {
		scheme, token, _ := strings.Cut(ctx.Header("Authorization"), " ")
		headers := authorizations(ctx)
		if headers == 1 && strings.EqualFold(scheme, "Bearer") && token != "" && s.Authorized(token) {
			next(ctx)
			return
		}
		detail := "send the header Authorization: Bearer TOKEN with the admin token (its file is named in the log at start)"
		if headers > 1 {
			detail = "the request has two Authorization headers; send one"
		}
		ctx.SetHeader("WWW-Authenticate", `Bearer realm="digestgate"`)
		if ctx.Version().ProtoMajor == 1 {
			ctx.SetHeader("Connection", "close") // instead of waiting for the rest of the body
		}
		err := huma.WriteErr(api, ctx, http.StatusUnauthorized, detail)
		if err != nil {
			s.Log.Warn("answering a request", "error", err)
		}
	}
}

// authorizations is how many headers Authorization there are: of two it would be
// unclear which one a proxy in front has looked at.
func authorizations(ctx huma.Context) int {
	n := 0
	ctx.EachHeader(func(name, _ string) {
		if strings.EqualFold(name, "Authorization") {
			n++
		}
	})
	return n
}

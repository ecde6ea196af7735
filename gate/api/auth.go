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
		if strings.EqualFold(scheme, "Bearer") && token != "" && s.Authorized(token) {
			next(ctx)
			return
		}
		ctx.SetHeader("WWW-Authenticate", `Bearer realm="digestgate"`)
		err := huma.WriteErr(api, ctx, http.StatusUnauthorized,
			"send the header Authorization: Bearer TOKEN with the admin token (its file is named in the log at start)")
		if err != nil {
			s.Log.Warn("answering a request", "error", err)
		}
	}
}

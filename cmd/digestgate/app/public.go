package app

import (
	"errors"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/api"
	"github.com/digestgate/digestgate/gate/listener"
	"github.com/digestgate/digestgate/policy"
	"github.com/digestgate/digestgate/webhooks"
)

// public is the router of the listeners for registries, people and programs.
func (a *App) public(hooks http.Handler, withAPI bool) http.Handler {
	e := echo.New()
	e.HideBanner, e.HidePort = true, true
	refuse := a.httpError(a.served(hooks != nil, withAPI))
	e.HTTPErrorHandler = refuse
	e.IPExtractor = a.clientIP()
	if hooks != nil {
		// The handler looks at method and path itself, and its refusals have a text.
		hooks = fromClient(e.IPExtractor, hooks)
		// called by: registries, digestgate replay
		e.Any("/webhooks/*", echo.WrapHandler(hooks))
		e.Any("/webhooks", echo.WrapHandler(hooks))
	}
	if withAPI {
		api.Register(e, api.Options{
			Reader: a.Store, Lists: a.Catalog.Fresh(), Jobs: a.Store, Scans: a.Pipeline, Usage: a.Store, Quota: a.quota, Obstacles: a.explain.Obstacles,
			Stands:     a.Standing.Stands,
			Policies:   policy.NewActivations(a.Store, ProcessName(), a.Version),
			Advisories: a.desk(), Tables: a.shownTables, Notifications: a.notifications(),
			ScanTasks: a.tasks, Schedules: a.scheduleDesk(), ScanKnown: a.scanKnown,
			Registries: a.registryParts(), Version: a.Version, Authorized: a.Token.Matches, Now: time.Now, Log: a.Log,
		})
	}
	served := working(e)
	prefix := a.Config.HTTP.PathPrefix
	if prefix == "" {
		return served
	}
	under := http.StripPrefix(prefix, served)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == prefix || strings.HasPrefix(r.URL.Path, prefix+"/") {
			under.ServeHTTP(w, r)
			return
		}
		refuse(echo.ErrNotFound, e.NewContext(r, w))
	})
}

// working is next for which deliveries alone are worked on only once they have
// arrived, which the handler of the webhooks says itself: their senders are not
// known before.
func working(next http.Handler) http.Handler {
	whole := listener.Serving(next)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, webhooks.Prefix) {
			next.ServeHTTP(w, r)
			return
		}
		whole.ServeHTTP(w, r)
	})
}

// served says in words where what is served is.
func (a *App) served(hooks, withAPI bool) string {
	prefix, parts := a.Config.HTTP.PathPrefix, []string(nil)
	if withAPI {
		parts = append(parts, "the API begins with "+prefix+"/api/v1")
	}
	switch {
	case hooks:
		parts = append(parts, "deliveries go to "+prefix+"/webhooks/{registry}")
	case a.Config.Listen.Webhooks != "":
		parts = append(parts, "deliveries go to the listener of listen.webhooks")
	}
	return strings.Join(parts, ", ")
}

// fromClient gives a handler the address of the client instead of that of the
// proxy in front, for its log.
func fromClient(client echo.IPExtractor, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		peer, _, err := net.SplitHostPort(r.RemoteAddr)
		if address := client(r); err == nil && address != "" && address != peer {
			clone := *r // the header and the body are the same
			clone.RemoteAddr = address
			r = &clone
		}
		next.ServeHTTP(w, r)
	})
}

// clientIP believes X-Forwarded-For from the configured proxies only.
func (a *App) clientIP() echo.IPExtractor {
	if len(a.Config.HTTP.TrustedProxies) == 0 {
		return echo.ExtractIPDirect()
	}
	options := []echo.TrustOption{echo.TrustLoopback(false), echo.TrustLinkLocal(false), echo.TrustPrivateNet(false)}
	for _, cidr := range a.Config.HTTP.TrustedProxies {
		if _, network, err := net.ParseCIDR(cidr); err == nil { // Validate has checked it
			options = append(options, echo.TrustIPRange(network))
		}
	}
	return echo.ExtractIPFromXFFHeader(options...)
}

// httpError renders what no handler has answered: unknown paths and methods,
// and bugs.
func (a *App) httpError(served string) echo.HTTPErrorHandler {
	return func(err error, c echo.Context) { a.answerError(err, c, served) }
}

func (a *App) answerError(err error, c echo.Context, served string) {
	if c.Response().Committed {
		return
	}
	status, detail := http.StatusInternalServerError, "internal error; the log has the details"
	var he *echo.HTTPError
	if errors.As(err, &he) {
		status = he.Code
		detail = map[int]string{
			http.StatusNotFound:         "nothing is served at this path; " + served,
			http.StatusMethodNotAllowed: "this path does not take this method",
		}[status]
	} else {
		a.Log.Error("answering a request", "path", gate.Printable(c.Request().URL.Path, 200), "error", err)
	}
	c.Response().Header().Set(echo.HeaderContentType, "application/problem+json")
	body := map[string]any{"title": http.StatusText(status), "status": status, "detail": detail}
	if err := c.JSON(status, body); err != nil {
		a.Log.Debug("answering a request", "error", err)
	}
}

// Package api is the REST API under /api/v1: images, findings, scans, jobs,
// quota, policies and registries. Operations, validation, problem+json and the OpenAPI
// 3.1 document at /openapi.yaml come from huma; the package adds what is ours:
// authentication before anything is parsed, one table from failures to
// statuses, and views computed from records and the catalog. It decides nothing
// about an image.
//
// Handlers hold no state and are safe for concurrent use.
package api

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humaecho"
	"github.com/labstack/echo/v4"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/explain"
)

// Reader reads what is stored; see gate.Reader.
type Reader interface {
	Read(ctx context.Context, req gate.ReadRequest) (gate.ReadResult, error)
	Inventory(ctx context.Context, d gate.Digest) (*gate.Inventory, error)
	Findings(ctx context.Context, d gate.Digest) (*gate.Findings, error)
}

// Lists lists and filters; gate/catalog implements it.
type Lists interface {
	Images(ctx context.Context, f gate.ImageFilter) ([]gate.ListedImage, string, error)
	Places(ctx context.Context, d gate.Digest) ([]gate.Place, error)
	Accessories(ctx context.Context, d gate.Digest) ([]gate.Accessory, error)
	Jobs(ctx context.Context, f gate.JobFilter) ([]gate.Job, string, error)
	Waiting(ctx context.Context) (int64, error)
}

// Jobs reads and cancels jobs; see store.Scheduler.
type Jobs interface {
	Job(ctx context.Context, id string) (gate.Job, error)
	Cancel(ctx context.Context, id string) (gate.Job, error)
}

// Scans takes requests for scans; pipeline.Pipeline implements it.
type Scans interface {
	Request(image string) (gate.JobRequest, error)
	Scan(ctx context.Context, image string, force bool) (gate.Job, error)
}

// Usage returns what was charged; see store.Charges.
type Usage interface {
	Quota(ctx context.Context, period string) (gate.QuotaUse, error)
	Charged(ctx context.Context, d gate.Digest) (gate.Charge, error)
}

// Options are the parts that the API shows.
type Options struct {
	Reader Reader
	Lists  Lists
	Jobs   Jobs
	Scans  Scans
	Usage  Usage
	Quota  *gate.Quota
	// Obstacles says why jobs wait; nil leaves that out.
	Obstacles func() *explain.Obstacles
	// Policies may be nil.
	Policies Policies
	// Registries are shown, tested and synchronised on request.
	Registries RegistryParts
	Version    string
	// Authorized checks the bearer token in constant time.
	Authorized func(token string) bool
	Now        func() time.Time
	Log        *slog.Logger
}

// maxBody bounds every request body; the largest sensible one is a list of
// 1,000 references.
const maxBody = 1 << 20

type server struct{ Options }

// Register adds the API to an echo server. Everything under /api/v1 needs the
// token; its description at /openapi.yaml and /openapi.json does not: it is the
// same in every installation and holds nothing of this one but its version.
func Register(e *echo.Echo, o Options) {
	config := huma.DefaultConfig("digestgate", o.Version)
	config.DocsPath = ""
	config.SchemasPath = ""
	config.CreateHooks = nil // no $schema member in answers
	config.Info.Description = "The images that digestgate knows, and the work that it does on them."
	config.Components.SecuritySchemes = map[string]*huma.SecurityScheme{"token": {Type: "http", Scheme: "bearer"}}
	config.Security = []map[string][]string{{"token": {}}}
	config.RejectUnknownQueryParameters = true
	api := humaecho.New(e, config)
	s := &server{o}
	api.UseMiddleware(header, s.authenticate(api))

	huma.Register(api, operation(http.MethodGet, "/images", "list-images", "List images, newest first"), s.listImages)
	huma.Register(api, operation(http.MethodGet, "/images/{digest}", "get-image", "One image"), s.getImage)
	huma.Register(api, operation(http.MethodGet, "/images/{digest}/findings", "get-findings", "The findings of one image"), s.getFindings)
	scans := operation(http.MethodPost, "/scans", "create-scans", "Ask for scans")
	scans.DefaultStatus = http.StatusAccepted
	huma.Register(api, scans, s.createScans)
	huma.Register(api, operation(http.MethodGet, "/jobs", "list-jobs", "List jobs, the last changed first"), s.listJobs)
	huma.Register(api, operation(http.MethodGet, "/jobs/{id}", "get-job", "One job"), s.getJob)
	huma.Register(api, operation(http.MethodPost, "/jobs/{id}/cancel", "cancel-job", "Cancel a job"), s.cancelJob)
	huma.Register(api, operation(http.MethodGet, "/quota", "get-quota", "The quota of the running period"), s.getQuota)
	huma.Register(api, operation(http.MethodGet, "/policies", "get-policies", "The policies in force"), s.getPolicies)
	s.registerRegistries(api)
}

func operation(method, path, id, summary string) huma.Operation {
	return huma.Operation{OperationID: id, Method: method, Path: "/api/v1" + path, Summary: summary, MaxBodyBytes: maxBody}
}

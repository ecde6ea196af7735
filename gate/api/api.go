// Package api is the REST API under /api/v1: images, findings, scans, schedules, jobs,
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
	"github.com/digestgate/digestgate/gate/view"
)

// Reader reads what is stored; see gate.Reader.
type Reader interface {
	// Read returns records, jobs and tags; unknown ones are missing from the
	// result. gate.ErrStoreUnavailable: answered 503.
	Read(ctx context.Context, req gate.ReadRequest) (gate.ReadResult, error)
	// Inventory returns the inventory of a digest. gate.ErrNotFound: 404;
	// gate.ErrStoreUnavailable: 503.
	Inventory(ctx context.Context, d gate.Digest) (*gate.Inventory, error)
	// Findings returns the findings of a digest. gate.ErrNotFound: it is not
	// matched yet; gate.ErrStoreUnavailable: 503.
	Findings(ctx context.Context, d gate.Digest) (*gate.Findings, error)
}

// Lists lists and filters; gate/catalog implements it.
type Lists interface {
	// Images is a page of the images that f takes, and the cursor of the next page,
	// "" at the end. gate.ErrInvalid: the cursor is not one of this list, 400.
	Images(ctx context.Context, f gate.ImageFilter) ([]gate.ListedImage, string, error)
	// Places are the locations of a digest with their tags, none for an unknown one.
	Places(ctx context.Context, d gate.Digest) ([]gate.Place, error)
	// Accessories are the signatures and other artifacts that refer to a digest.
	Accessories(ctx context.Context, d gate.Digest) ([]gate.Accessory, error)
	// Jobs is a page of jobs, like Images.
	Jobs(ctx context.Context, f gate.JobFilter) ([]gate.Job, string, error)
	// Waiting counts the jobs that wait for quota.
	Waiting(ctx context.Context) (int64, error)
}

// Jobs reads and cancels jobs; see store.Scheduler.
type Jobs interface {
	// Job returns one job. gate.ErrNotFound: there is none with this id, or it ended
	// long ago; gate.ErrStoreUnavailable: 503.
	Job(ctx context.Context, id string) (gate.Job, error)
	// Cancel ends a live job. gate.ErrNotFound: like Job; gate.ErrConflict: it has
	// ended already, 409; gate.ErrStoreUnavailable: it may be cancelled or not, 503.
	Cancel(ctx context.Context, id string) (gate.Job, error)
}

// Scans takes requests for scans; pipeline.Pipeline implements it.
type Scans interface {
	// Request is the job that a scan of an image would be, without queuing it.
	// gate.ErrInvalid, gate.ErrReference and their like: the reference, 400.
	Request(image string) (gate.JobRequest, error)
	// Scan queues the scan of an image, also of one that is known when force is set.
	// Errors: those of Request; gate.ErrBusy: a job has too many tags;
	// gate.ErrStoreUnavailable: it may be queued or not, 503.
	Scan(ctx context.Context, image string, force bool) (gate.Job, error)
}

// Usage returns what was charged; see store.Charges.
type Usage interface {
	// Quota is what a period has used and avoided. gate.ErrStoreUnavailable: 503.
	Quota(ctx context.Context, period string) (gate.QuotaUse, error)
	// Charged is the charge of a digest, the zero Charge when there is none.
	// gate.ErrStoreUnavailable: 503.
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
	// Stands is the generation in which the findings of a record stand; see
	// [view.Views.Stands]. nil shows their own.
	Stands func(rec *gate.Record) (g gate.Generation, ok bool)
	// Policies may be nil.
	Policies Policies
	// Advisories may be nil.
	Advisories Advisories
	// Notifications may be nil.
	Notifications Notifications
	// Tables are what is joined to findings now, see view.Views; nil for none.
	Tables func() view.Tables
	// ScanTasks and Schedules are scans of many images, and what starts them; ScanKnown is
	// what they are checked against now.
	ScanTasks ScanTasks
	Schedules Schedules
	ScanKnown func() gate.ScanKnown
	// Histories, Holdings and Asked are those of view.Views. Without the first two
	// there are no operations for them.
	Histories view.Histories
	Holdings  view.Holdings
	Asked     func(ctx context.Context) ([]gate.Digest, error)
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

func (s *server) views() view.Views {
	return view.Views{
		Histories: s.Histories, Holdings: s.Holdings, Asked: s.Asked,
		Reader: s.Reader, Lists: s.Lists, Obstacles: s.Obstacles, Stands: s.Stands, Tables: s.Tables, Now: s.Now,
	}
}

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
	config.Transformers = append(config.Transformers, withoutValues)
	api := humaecho.New(e, config)
	s := &server{o}
	api.UseMiddleware(header, s.authenticate(api))

	huma.Register(api, operation(http.MethodGet, "/images", "list-images", "List images, newest first", "digestgate images, reports"), s.listImages)
	huma.Register(api, operation(http.MethodGet, "/images/{digest}", "get-image", "One image", "digestgate images and wait, pipelines"), s.getImage)
	huma.Register(api, operation(http.MethodGet, "/images/{digest}/findings", "get-findings", "The findings of one image", "digestgate findings, reports"), s.getFindings)
	s.registerScans(api)
	huma.Register(api, operation(http.MethodGet, "/jobs", "list-jobs", "List jobs, the last changed first", "digestgate jobs"), s.listJobs)
	huma.Register(api, operation(http.MethodGet, "/jobs/{id}", "get-job", "One job", "digestgate jobs and wait, pipelines"), s.getJob)
	huma.Register(api, operation(http.MethodPost, "/jobs/{id}/cancel", "cancel-job", "Cancel a job", "digestgate cancel"), s.cancelJob)
	huma.Register(api, operation(http.MethodGet, "/quota", "get-quota", "The quota of the running period", "digestgate quota, dashboards"), s.getQuota)
	huma.Register(api, operation(http.MethodGet, "/policies", "get-policies", "The policies in force", "operators with curl, audits"), s.getPolicies)
	s.registerHistory(api)
	s.registerAdvisories(api)
	s.registerNotifications(api)
	s.registerRegistries(api)
	s.registerSchedules(api)
}

// operation is one operation of the API. callers are the commands and programs that it
// is for; the description says them, so that a change is known to concern them.
func operation(method, path, id, summary, callers string) huma.Operation {
	return huma.Operation{
		OperationID: id, Method: method, Path: "/api/v1" + path, Summary: summary,
		Description: "Called by: " + callers + ".", MaxBodyBytes: maxBody,
	}
}

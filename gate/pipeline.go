package gate

import "context"

// Source reads manifests; scanner/registry implements it.
//
// Errors of all methods: ErrNotFound (the registry answered that it does not
// exist), ErrRegistryAuth, ErrRegistryUnavailable (perhaps in a
// RetryAfterError), ErrIntegrity, ErrRegistryNotTrusted (no such registry is
// configured), ErrUnassessable (a manifest that no rule covers, over a limit,
// or not parsable) and ErrTimeout.
type Source interface {
	// Resolve reads the manifest that ref (a digest or a tag) names at loc,
	// checks its hash, classifies it and expands an index (nested ones are
	// flattened; children without a platform have their config read).
	Resolve(ctx context.Context, loc Location, ref string) (Manifest, error)
	// Head asks which digest a tag names now, without reading the manifest.
	// The answer is the registry's word: it counts only for a digest that we
	// have read before.
	Head(ctx context.Context, loc Location, tag string) (Digest, error)
}

// AnalyzeRequest asks for one inventory.
type AnalyzeRequest struct {
	Digest   Digest
	Location Location
	// BeforePull is called once before the first layer byte is pulled, and not
	// at all when every layer was analysed before. Its error ends the analysis.
	BeforePull func(ctx context.Context) error
	// Progress is called often, from one goroutine at a time; it must be fast.
	Progress func(Progress)
	// Yield is asked between layers; true ends the analysis with ErrYielded.
	// Layers that are done stay in the cache.
	Yield func() bool
}

// Analyzer makes inventories; scanner/analyzer implements it. Cancelling ctx
// kills the child. Errors: those of Source, ErrScanFailed (the image made the
// child crash, hang, run out of memory or answer garbage), ErrUnassessable,
// ErrTooLarge, ErrResource, ErrYielded, and what BeforePull returned.
type Analyzer interface {
	Analyze(ctx context.Context, req AnalyzeRequest) (*Inventory, error)
	// Set identifies the analysers, their versions and their configuration.
	Set() string
}

// Matcher matches inventories against the active advisory generation;
// scanner/match implements it. Errors: ErrAdvisoriesUnavailable, ErrTimeout.
// A distribution release that the data does not know is not an error but
// Findings.Unassessable.
type Matcher interface {
	Match(ctx context.Context, inv *Inventory) (*Findings, error)
	// Generation is the active generation; ok is false when none is loaded.
	Generation() (g Generation, ok bool)
	// Version identifies the linked detectors; an upgrade matches again.
	Version() string
}

// Evaluator answers questions with the active policy set; policy implements
// it. It never returns an error: a policy that fails is a deny with
// CodePolicyError, an evaluation over its budget too.
type Evaluator interface {
	Evaluate(ctx context.Context, q Question) Decision
	// Revision identifies the active policies, exceptions and options.
	Revision() string
}

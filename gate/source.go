package gate

import "context"

// Source reads manifests; scanner/registry implements it.
//
// Errors of all methods: ErrNotFound (the registry answered that it does not
// exist), ErrRegistryAuth, ErrRegistryRefused (it refuses this image, and serves
// others), ErrRegistryUnavailable (perhaps in a RetryAfterError), ErrIntegrity, ErrRegistryNotTrusted (no such registry is
// configured), ErrUnassessable (a manifest that no rule covers, over a limit,
// or not parsable) and ErrTimeout. ErrUnassessable follows from bytes that have
// the digest, wherever they were served; every other error is about this location
// and this moment, and says nothing about a digest. That a registry's headers
// contradict the bytes is ErrIntegrity.
type Source interface {
	// Resolve reads the manifest that ref (a digest or a tag) names at loc,
	// checks its hash, classifies it and expands an index (nested ones are
	// flattened; children are listed as the index names them, and not read).
	// What it returns follows from hashed bytes and the configured platforms.
	Resolve(ctx context.Context, loc Location, ref string) (Manifest, error)
	// Head asks which digest a tag names now, without reading the manifest; for
	// a digest, whether it is there. The answer is the registry's word: it
	// counts only for a digest that we have read before.
	Head(ctx context.Context, loc Location, tag string) (Digest, error)
}

// AnalyzeRequest asks for one inventory.
type AnalyzeRequest struct {
	Digest   Digest
	Location Location
	// BeforePull is called once before the first layer byte is pulled, and not
	// at all when every layer was analysed before. Its error ends the analysis.
	// It returns before Analyze does.
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
	// Analyze makes the inventory of one image; see Analyzer for its errors.
	Analyze(ctx context.Context, req AnalyzeRequest) (*Inventory, error)
	// Set identifies the analysers, their versions and their configuration.
	Set() string
}

package policy

import (
	"log/slog"
	"runtime"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/agree"
)

// The budgets of an engine. They are not configurable: a policy that needs more
// is a policy that keeps pods from starting.
const (
	// DefaultBudget is how long a caller waits for one evaluation. Ten rules
	// over 5,000 vulnerabilities take about 50 ms; admission's own deadline is
	// at least 1.5 s below a webhook timeout of 10 s.
	DefaultBudget = 500 * time.Millisecond
	// DefaultReloadEvery is how often the files are looked at: soon enough for
	// a person who saves and tries, and a few stat and read calls for us.
	DefaultReloadEvery = 5 * time.Second
	// DefaultFollowEvery is how often a store is asked which policies are in force:
	// a revocation is to hold everywhere within 5 s (issue 4), the trial and the
	// compiler included.
	DefaultFollowEvery = agree.DefaultFollowEvery
	// timeMemo is how long a decision that depends on the time is kept
	// (DESIGN.md §2).
	timeMemo = 30 * time.Second
	// loadTimeout ends a Load that its caller has given up on.
	loadTimeout = 10 * time.Second
	// The caches are bounded by estimated bytes.
	inputCacheBytes  = 24 << 20
	memoCacheBytes   = 48 << 20
	judgedCacheBytes = 4 << 20
	sharedCacheBytes = 8 << 20
	joinedCacheBytes = 8 << 20
	markCacheBytes   = 16 << 20
	jointCacheBytes  = 8 << 20
)

// Options is everything an engine needs besides the policies themselves.
type Options struct {
	Config Config
	// Risks is scan.risks: what must have been looked at.
	Risks []gate.Risk
	// MaxAge and DenyStale are advisories.maxAge and whether advisories.stale
	// is "deny". MaxAge 0 means that no age is too old.
	MaxAge    time.Duration
	DenyStale bool
	// RefuseAge is advisories.refuseAge: data older than that refuses, whatever DenyStale
	// says. 0 means that none does.
	RefuseAge time.Duration
	// Accepted is until when the operators have accepted the age of data, by the digest of
	// its content or by the name of a bucket; the zero time for not. nil accepts nothing.
	Accepted func(name string) time.Time

	// Watched says that what is known of namespaces is handed to questions of admission
	// ([gate.Request.NamespaceLabels]). Without it sets that read it do not load.
	Watched bool

	// Store keeps the set in force; nil is the memory of this engine. Shared
	// says that other processes use it too: then only changes of the files here
	// put a set in force, and what others put in force is followed. Otherwise
	// the files here always are.
	Store  agree.Store
	Shared bool
	// Observe leaves the store as it is, for commands that only ask: what is in
	// force decides, or the files here when nothing is.
	Observe bool
	// Place names a shared store, and DataDir is where it is remembered over
	// restarts what was in force there; "" for nowhere.
	Place, DataDir string
	// Process and Program name this process and its version, for people.
	Process, Program string

	// Trial tries a candidate set before it is activated; see [ChildTrial].
	// Nil activates without a trial, which only tools that evaluate their
	// user's own policies on their user's own machine should do.
	Trial Trial
	// Budget is DefaultBudget when 0; Slots is the number of evaluations that
	// may run at once, 4 per processor when 0; ReloadEvery and FollowEvery are
	// DefaultReloadEvery and DefaultFollowEvery when 0.
	Budget      time.Duration
	Slots       int
	ReloadEvery time.Duration
	FollowEvery time.Duration
	// Now is the clock of [Status], time.Now when nil. Decisions use
	// gate.Question.Now.
	Now func() time.Time
	// Log is required; it gets loads, refused reloads and lost slots.
	Log *slog.Logger
}

// complete fills in the defaults.
func (o Options) complete() Options {
	if o.Budget == 0 {
		o.Budget = DefaultBudget
	}
	if o.Slots == 0 {
		o.Slots = 4 * runtime.GOMAXPROCS(0)
	}
	if o.ReloadEvery == 0 {
		o.ReloadEvery = DefaultReloadEvery
	}
	if o.FollowEvery == 0 {
		o.FollowEvery = DefaultFollowEvery
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Store == nil {
		o.Store = agree.NewOwnStore(o.Now)
	}
	return o
}

package gate

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Code is the machine-readable reason of a refusal, as admission answers it in
// status.reason (DESIGN.md §7). The set is closed.
type Code string

// The codes of a refusal.
const (
	CodeRefInvalid         Code = "REF_INVALID"
	CodeRefAmbiguous       Code = "REF_AMBIGUOUS"
	CodeDigestRequired     Code = "DIGEST_REQUIRED"
	CodeRegistryNotTrusted Code = "REGISTRY_NOT_TRUSTED"
	CodeUnscanned          Code = "UNSCANNED"
	CodePending            Code = "PENDING"
	CodeScanFailed         Code = "SCAN_FAILED"
	CodeUnassessable       Code = "UNASSESSABLE"
	CodeQuotaExhausted     Code = "QUOTA_EXHAUSTED"
	CodeStale              Code = "STALE"
	CodePolicy             Code = "POLICY"
	CodePolicyError        Code = "POLICY_ERROR"
	CodeInternal           Code = "INTERNAL"
	CodeObjectUnsupported  Code = "OBJECT_UNSUPPORTED"
	CodeReviewInvalid      Code = "REVIEW_INVALID"
	CodeTooLarge           Code = "TOO_LARGE"
	CodeStoreUnavailable   Code = "STORE_UNAVAILABLE"
	CodeTimeout            Code = "TIMEOUT"
	CodeBusy               Code = "BUSY"
)

// The closed set of failures. Every error that crosses a package border wraps
// one of them; [CodeOf], [Errors] and the tables of the servers are keyed by
// them, and an error that wraps none is a bug and reads as CodeInternal.
var (
	// ErrDigestInvalid: a text that should be a digest is not one.
	ErrDigestInvalid = errors.New("digest must be sha256: and 64 lower-case hexadecimal digits")
	// ErrRefInvalid: an image reference that a node would not accept either.
	ErrRefInvalid = errors.New("image reference is not valid")
	// ErrRefAmbiguous: a reference that a node may resolve to something else
	// than a registry would (a bare image ID).
	ErrRefAmbiguous = errors.New("image reference is ambiguous")
	// ErrDigestRequired: a tag where admission.requireDigest wants a digest.
	ErrDigestRequired = errors.New("image must be referenced by digest")
	// ErrRegistryNotTrusted: the host or repository is not configured.
	ErrRegistryNotTrusted = errors.New("registry is not configured")
	// ErrNotScanned: no inventory and no job.
	ErrNotScanned = errors.New("image has not been scanned")
	// ErrPending: a job is queued or running, or findings are not computed yet.
	ErrPending = errors.New("image is being scanned")
	// ErrScanFailed: the analysis ended without a usable inventory because of
	// the image itself; counts as an attempt.
	ErrScanFailed = errors.New("scan failed")
	// ErrUnassessable: no verdict is possible for this image, ever.
	ErrUnassessable = errors.New("image cannot be assessed")
	// ErrQuotaExhausted: the quota of the period is used up.
	ErrQuotaExhausted = errors.New("scan quota is used up")
	// ErrStale: the advisory data is older than the configuration allows.
	ErrStale = errors.New("advisory data is too old")
	// ErrPolicy: policies refused the image.
	ErrPolicy = errors.New("refused by policy")
	// ErrPolicyFailed: the policies gave no well-typed answer in their budget.
	ErrPolicyFailed = errors.New("policy evaluation failed")
	// ErrObjectUnsupported: a kind or version that admission does not know.
	ErrObjectUnsupported = errors.New("object kind is not supported")
	// ErrReviewInvalid: an AdmissionReview of the wrong shape.
	ErrReviewInvalid = errors.New("admission review is not valid")
	// ErrTooLarge: an input over its stated limit.
	ErrTooLarge = errors.New("input is too large")
	// ErrStoreUnavailable: the store did not answer; nothing is known.
	ErrStoreUnavailable = errors.New("store is unavailable")
	// ErrTimeout: no decision within the deadline.
	ErrTimeout = errors.New("deadline exceeded")
	// ErrBusy: too much concurrent work.
	ErrBusy = errors.New("too busy")
	// ErrNotFound: the thing asked for does not exist (a digest that the
	// registry does not have, an unknown job).
	ErrNotFound = errors.New("not found")
	// ErrRegistryAuth: the registry refused our credentials (401, 403).
	ErrRegistryAuth = errors.New("registry refused the credentials")
	// ErrRegistryRefused: the registry refuses this one image (409, 412, 423, 451,
	// or 403 where it serves other images of the repository): its own policy blocks
	// it, or it is gone.
	ErrRegistryRefused = errors.New("the registry refuses this image")
	// ErrRegistryUnavailable: DNS, TLS, connection, 429 or 5xx; not the image's
	// fault, so no attempt is burnt.
	ErrRegistryUnavailable = errors.New("registry is unavailable")
	// ErrIntegrity: bytes do not have the digest they were asked for by.
	ErrIntegrity = errors.New("content does not match its digest")
	// ErrAdvisoriesUnavailable: no advisory database is loaded.
	ErrAdvisoriesUnavailable = errors.New("no advisory database is loaded")
	// ErrFenced: the lease is lost; another claimant has a higher epoch. The
	// holder must stop and must not write.
	ErrFenced = errors.New("lease is lost")
	// ErrCancelled: a person or the API cancelled the job.
	ErrCancelled = errors.New("job is cancelled")
	// ErrYielded: a rescan gave its slot to more urgent work between layers.
	ErrYielded = errors.New("rescan yielded to more urgent work")
	// ErrNoJob: nothing can be claimed now.
	ErrNoJob = errors.New("no job to claim")
	// ErrConflict: a conditional write met another state than expected.
	ErrConflict = errors.New("state has changed")
	// ErrInvalid: input of the caller that is wrong; the text says how.
	ErrInvalid = errors.New("invalid input")
	// ErrUnauthorized: missing or wrong secret.
	ErrUnauthorized = errors.New("missing or wrong credentials")
	// ErrResource: this machine lacks something (disk full, memory); not the
	// image's fault, so no attempt is burnt.
	ErrResource = errors.New("local resource is exhausted")
)

// Fault says whose fault a failure is: where to look for what has to change. The set
// is closed.
type Fault string

// The faults.
const (
	FaultImage    Fault = "image"    // what the image holds
	FaultRegistry Fault = "registry" // what a registry answers, or that it does not
	FaultMachine  Fault = "machine"  // this one: disk, memory, time
	FaultStore    Fault = "store"
	FaultCaller   Fault = "caller" // what was written, asked for or cancelled
	// FaultUs is digestgate or its operators: limits, rules, data, claims and work in
	// progress.
	FaultUs Fault = "us"
)

// ErrorClass describes one sentinel to every audience: what admission answers, whose
// fault it is, and what becomes of a job that ends so.
type ErrorClass struct {
	Err  error
	Code Code
	// Fault is where to look for what has to change.
	Fault Fault
	// Retry: the job waits and is tried again without an attempt being burnt
	// (DESIGN.md §5 rule 3).
	Retry bool
	// AtOnce: it does not wait, because what ended it is over.
	AtOnce bool
	// Final: no repetition mends it, the job fails after this try. A fault of the
	// image that is final is in its hashed bytes.
	Final bool
	// Hope orders the errors of a place that has or should have a digest by what it
	// may still come to; 0 for those that are not a place's own.
	Hope int
	// Label is the value of the metric label "reason".
	Label string
}

// Errors is the one table of failures, in the order in which a chain that
// wraps several is read. Do not modify it.
func Errors() []ErrorClass { return errorClasses }

var errorClasses = []ErrorClass{
	{Err: ErrDigestInvalid, Code: CodeRefInvalid, Fault: FaultCaller, Label: "digest_invalid"},
	{Err: ErrRefInvalid, Code: CodeRefInvalid, Fault: FaultCaller, Label: "ref_invalid"},
	{Err: ErrRefAmbiguous, Code: CodeRefAmbiguous, Fault: FaultCaller, Label: "ref_ambiguous"},
	{Err: ErrDigestRequired, Code: CodeDigestRequired, Fault: FaultCaller, Label: "digest_required"},
	{Err: ErrRegistryNotTrusted, Code: CodeRegistryNotTrusted, Fault: FaultCaller, Final: true, Hope: 1, Label: "registry_not_trusted"},
	{Err: ErrNotScanned, Code: CodeUnscanned, Fault: FaultUs, Label: "not_scanned"},
	{Err: ErrPending, Code: CodePending, Fault: FaultUs, Label: "pending"},
	{Err: ErrQuotaExhausted, Code: CodeQuotaExhausted, Fault: FaultUs, Label: "quota_exhausted"},
	{Err: ErrUnassessable, Code: CodeUnassessable, Fault: FaultImage, Final: true, Label: "unassessable"},
	{Err: ErrIntegrity, Code: CodeScanFailed, Fault: FaultRegistry, Hope: 3, Label: "integrity"},
	{Err: ErrScanFailed, Code: CodeScanFailed, Fault: FaultImage, Label: "scan_failed"},
	{Err: ErrStale, Code: CodeStale, Fault: FaultUs, Label: "stale"},
	{Err: ErrPolicy, Code: CodePolicy, Fault: FaultImage, Label: "policy"},
	{Err: ErrPolicyFailed, Code: CodePolicyError, Fault: FaultUs, Label: "policy_error"},
	{Err: ErrObjectUnsupported, Code: CodeObjectUnsupported, Fault: FaultCaller, Label: "object_unsupported"},
	{Err: ErrReviewInvalid, Code: CodeReviewInvalid, Fault: FaultCaller, Label: "review_invalid"},
	{Err: ErrTooLarge, Code: CodeTooLarge, Fault: FaultImage, Final: true, Label: "too_large"}, // in a review it is the caller's, and no job
	{Err: ErrStoreUnavailable, Code: CodeStoreUnavailable, Fault: FaultStore, Retry: true, Label: "store_unavailable"},
	{Err: ErrRegistryAuth, Code: CodeUnscanned, Fault: FaultRegistry, Retry: true, Hope: 5, Label: "registry_auth"},
	{Err: ErrRegistryRefused, Code: CodeUnscanned, Fault: FaultRegistry, Retry: true, Hope: 4, Label: "registry_refused"},
	{Err: ErrRegistryUnavailable, Code: CodeTimeout, Fault: FaultRegistry, Retry: true, Hope: 5, Label: "registry_unavailable"},
	{Err: ErrAdvisoriesUnavailable, Code: CodePending, Fault: FaultUs, Retry: true, Label: "advisories_unavailable"},
	{Err: ErrResource, Code: CodeInternal, Fault: FaultMachine, Retry: true, Label: "resource"},
	{Err: ErrTimeout, Code: CodeTimeout, Fault: FaultMachine, Label: "timeout"},
	{Err: ErrBusy, Code: CodeBusy, Fault: FaultUs, Retry: true, AtOnce: true, Label: "busy"},
	{Err: ErrNotFound, Code: CodeUnscanned, Fault: FaultRegistry, Final: true, Hope: 2, Label: "not_found"},
	{Err: ErrFenced, Code: CodeInternal, Fault: FaultUs, Retry: true, Label: "fenced"},
	{Err: ErrCancelled, Code: CodeUnscanned, Fault: FaultCaller, Label: "cancelled"},
	{Err: ErrYielded, Code: CodePending, Fault: FaultUs, Retry: true, AtOnce: true, Label: "yielded"},
	{Err: ErrNoJob, Code: CodeInternal, Fault: FaultUs, Retry: true, Label: "no_job"},
	{Err: ErrConflict, Code: CodeInternal, Fault: FaultUs, Retry: true, Label: "conflict"},
	{Err: ErrInvalid, Code: CodeReviewInvalid, Fault: FaultCaller, Label: "invalid"},
	{Err: ErrUnauthorized, Code: CodeInternal, Fault: FaultCaller, Label: "unauthorized"},
}

// Any reports whether err wraps a failure of the table that f holds of, wherever it
// stands in the chain. What only ended a context is of no class here: whose deadline
// it was, the caller knows.
func Any(err error, f func(ErrorClass) bool) bool {
	for _, c := range errorClasses {
		if f(c) && errors.Is(err, c.Err) {
			return true
		}
	}
	return false
}

// Final reports whether no repetition mends err, so that a job fails after this try.
func Final(err error) bool {
	return errors.Is(err, ErrPermanent) || Any(err, func(c ErrorClass) bool { return c.Final })
}

// OfContent reports whether err says what the hashed bytes of a digest are like, so
// that it holds wherever they are read and the record of the digest may say so.
func OfContent(err error) bool {
	return Any(err, func(c ErrorClass) bool { return c.Fault == FaultImage && c.Final })
}

// Classify finds the first class of [Errors] that err wraps. Context errors
// count as ErrTimeout. ok is false for an error of no class, which is a bug.
func Classify(err error) (class ErrorClass, ok bool) {
	for _, c := range errorClasses {
		if errors.Is(err, c.Err) {
			return c, true
		}
	}
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		return Classify(ErrTimeout)
	}
	return ErrorClass{Err: err, Code: CodeInternal, Label: "internal"}, false
}

// CodeOf is the admission code for err; CodeInternal for an unknown error.
func CodeOf(err error) Code {
	c, _ := Classify(err)
	return c.Code
}

// Permanent marks an error that follows from hashed bytes, so that no repetition
// and no other place can change it: the job ends after this try. The class of err
// stays. errors.Is finds the mark as [ErrPermanent].
func Permanent(err error) error { return &permanentError{err} }

// ErrPermanent is the mark of [Permanent]. It is not a class of its own.
var ErrPermanent = errors.New("it follows from the content")

type permanentError struct{ error }

func (e *permanentError) Unwrap() error        { return e.error }
func (e *permanentError) Is(target error) bool { return target == ErrPermanent }

// Hope is the most that is left of a place that met err, by the table; 0 when err is
// not the place's own.
func Hope(err error) (most int) {
	for _, c := range errorClasses {
		if c.Hope > most && errors.Is(err, c.Err) {
			most = c.Hope
		}
	}
	return most
}

// RetryAfterError carries how long requests to a registry are paused. It wraps
// ErrRegistryUnavailable (429, 503) or ErrRegistryAuth.
type RetryAfterError struct {
	// After is how long it is not asked again.
	After time.Duration
	// Asked is the wait that the registry itself requested. It may be longer than
	// After, which is bounded. Zero when it named no time, or one that makes no sense.
	Asked time.Duration
	Err   error
}

func (e *RetryAfterError) Error() string {
	if e.Asked > 0 && e.Asked.Round(time.Second) != e.After.Round(time.Second) {
		return fmt.Sprintf("%v (it asked to wait %s and is asked again in %s)", e.Err, e.Asked.Round(time.Second), e.After)
	}
	if e.Asked > 0 {
		return fmt.Sprintf("%v (it asked to wait %s)", e.Err, e.After)
	}
	return fmt.Sprintf("%v (it is asked again in %s)", e.Err, e.After)
}

// Unwrap gives access to the sentinel.
func (e *RetryAfterError) Unwrap() error { return e.Err }

// RetryAfter is how long requests to what err is about are paused; ok is false when no
// answer asked for a pause.
func RetryAfter(err error) (after time.Duration, ok bool) {
	var wait *RetryAfterError
	if !errors.As(err, &wait) {
		return 0, false
	}
	return wait.After, true
}

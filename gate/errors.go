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
// one of them; [CodeOf], [Retryable] and the tables of the servers are keyed by
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

// ErrorClass describes one sentinel to every audience: what admission answers
// and whether the attempt counts against the image.
type ErrorClass struct {
	Err  error
	Code Code
	// Retry: the job waits and is tried again without an attempt being burnt
	// (DESIGN.md §5 rule 3).
	Retry bool
	// Label is the value of the metric label "reason".
	Label string
}

// Errors is the one table of failures, in the order in which a chain that
// wraps several is read. Do not modify it.
func Errors() []ErrorClass { return errorClasses }

var errorClasses = []ErrorClass{
	{ErrDigestInvalid, CodeRefInvalid, false, "digest_invalid"},
	{ErrRefInvalid, CodeRefInvalid, false, "ref_invalid"},
	{ErrRefAmbiguous, CodeRefAmbiguous, false, "ref_ambiguous"},
	{ErrDigestRequired, CodeDigestRequired, false, "digest_required"},
	{ErrRegistryNotTrusted, CodeRegistryNotTrusted, false, "registry_not_trusted"},
	{ErrNotScanned, CodeUnscanned, false, "not_scanned"},
	{ErrPending, CodePending, false, "pending"},
	{ErrQuotaExhausted, CodeQuotaExhausted, false, "quota_exhausted"},
	{ErrUnassessable, CodeUnassessable, false, "unassessable"},
	{ErrIntegrity, CodeScanFailed, false, "integrity"},
	{ErrScanFailed, CodeScanFailed, false, "scan_failed"},
	{ErrStale, CodeStale, false, "stale"},
	{ErrPolicy, CodePolicy, false, "policy"},
	{ErrPolicyFailed, CodePolicyError, false, "policy_error"},
	{ErrObjectUnsupported, CodeObjectUnsupported, false, "object_unsupported"},
	{ErrReviewInvalid, CodeReviewInvalid, false, "review_invalid"},
	{ErrTooLarge, CodeTooLarge, false, "too_large"},
	{ErrStoreUnavailable, CodeStoreUnavailable, true, "store_unavailable"},
	{ErrRegistryAuth, CodeUnscanned, true, "registry_auth"},
	{ErrRegistryRefused, CodeUnscanned, true, "registry_refused"},
	{ErrRegistryUnavailable, CodeTimeout, true, "registry_unavailable"},
	{ErrAdvisoriesUnavailable, CodePending, true, "advisories_unavailable"},
	{ErrResource, CodeInternal, true, "resource"},
	{ErrTimeout, CodeTimeout, false, "timeout"},
	{ErrBusy, CodeBusy, true, "busy"},
	{ErrNotFound, CodeUnscanned, false, "not_found"},
	{ErrFenced, CodeInternal, true, "fenced"},
	{ErrCancelled, CodeUnscanned, false, "cancelled"},
	{ErrYielded, CodePending, true, "yielded"},
	{ErrNoJob, CodeInternal, true, "no_job"},
	{ErrConflict, CodeInternal, true, "conflict"},
	{ErrInvalid, CodeReviewInvalid, false, "invalid"},
	{ErrUnauthorized, CodeInternal, false, "unauthorized"},
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

// RetryAfterError carries how long a registry is left alone. It wraps
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

package refusal

// Key names one sentence. It is the same in every language and every version.
type Key string

// The keys, by the code of the refusals that they are for.
const (
	And    Key = "and"
	Detail Key = "detail"

	// REF_INVALID, REF_AMBIGUOUS.
	RefInvalid   Key = "ref.invalid"
	RefAmbiguous Key = "ref.ambiguous"

	// DIGEST_REQUIRED.
	DigestRequired   Key = "digest.required"
	DigestRequiredOf Key = "digest.required_of"

	// REGISTRY_NOT_TRUSTED.
	RegistryUnknown       Key = "registry.unknown"
	RegistryNotConfigured Key = "registry.not_configured"
	RepositoryDenied      Key = "repository.denied"
	RepositoryUnlisted    Key = "repository.unlisted"

	// UNSCANNED.
	Unscanned            Key = "unscanned"
	UnscannedDryRun      Key = "unscanned.dry_run"
	UnscannedQueued      Key = "unscanned.queued"
	UnscannedQueuedUsual Key = "unscanned.queued_usual"
	UnscannedWaits       Key = "unscanned.waits"
	UnscannedCancelled   Key = "unscanned.cancelled"
	UnscannedFailed      Key = "unscanned.failed"
	UnscannedLeft        Key = "unscanned.left"
	BudgetNamespace      Key = "unscanned.budget_namespace"
	BudgetNewcomers      Key = "unscanned.budget_newcomers"
	BudgetAll            Key = "unscanned.budget_all"
	TagMissing           Key = "tag.missing"
	TagRefused           Key = "tag.refused"
	TagCredentials       Key = "tag.credentials"

	// PENDING.
	Pending             Key = "pending"
	PendingQueued       Key = "pending.queued"
	PendingQueuedUsual  Key = "pending.queued_usual"
	PendingRunning      Key = "pending.running"
	PendingRunningUsual Key = "pending.running_usual"
	PendingWaits        Key = "pending.waits"
	PendingMatch        Key = "pending.match"
	PendingAdvisories   Key = "pending.advisories"
	PendingRematch      Key = "pending.rematch"
	PendingFormer       Key = "pending.former"

	// SCAN_FAILED.
	ScanFailed       Key = "scan.failed"
	ScanFailedQueued Key = "scan.failed_queued"
	ScanFailedAfter  Key = "scan.failed_after"
	ScanFailedAgain  Key = "scan.failed_again"
	ScanUnrecorded   Key = "scan.unrecorded"
	ScanIncomplete   Key = "scan.incomplete"
	RiskFailed       Key = "risk.failed"
	RiskIncomplete   Key = "risk.incomplete"
	RiskUnrecorded   Key = "risk.unrecorded"
	GapsUnlisted     Key = "gaps.unlisted"
	GapsMore         Key = "gaps.more"
	LetThrough       Key = "let_through"

	// UNASSESSABLE.
	Unassessable          Key = "unassessable"
	UnassessableBecause   Key = "unassessable.because"
	UnassessableDigest    Key = "unassessable.digest"
	UnassessablePlatforms Key = "unassessable.platforms"
	UnassessableChild     Key = "unassessable.child"
	UnassessableKind      Key = "unassessable.kind"
	OrAllow               Key = "unassessable.or_allow"
	DatabaseUnread        Key = "database.unread"
	DatabaseMissing       Key = "database.missing"
	ReleaseUnknown        Key = "release.unknown"

	// QUOTA_EXHAUSTED, and what waits for the quota.
	QuotaUsed    Key = "quota.used"
	QuotaWaits   Key = "quota.waits"
	QuotaUntil   Key = "quota.until"
	QuotaForGood Key = "quota.for_good"
	QuotaRenewed Key = "quota.renewed"
	QuotaFirst   Key = "quota.first"

	// STALE.
	Stale        Key = "stale"
	StaleUndated Key = "stale.undated"
	StaleFuture  Key = "stale.future"
	StaleOld     Key = "stale.old"
	// StaleBucket is about a part of the data, StaleRefused about the limit from which all
	// is refused, StaleAccepted about what the operators have accepted until a date.
	StaleBucket   Key = "stale.bucket"
	StaleRefused  Key = "stale.refused"
	StaleAccepted Key = "stale.accepted"
	TableMissing  Key = "stale.table"

	// POLICY, POLICY_ERROR, INTERNAL.
	Policy          Key = "policy"
	PolicyError     Key = "policy.error"
	PolicyNoAnswer  Key = "policy.no_answer"
	Internal        Key = "internal"
	InternalRequest Key = "internal.request"
	InternalLogged  Key = "internal.logged"
	While           Key = "while"

	// OBJECT_UNSUPPORTED, REVIEW_INVALID, TOO_LARGE.
	ObjectUnsupported Key = "object.unsupported"
	ReviewInvalid     Key = "review.invalid"
	ReviewUser        Key = "review.user"
	TooLarge          Key = "too_large"
	TooLargeReview    Key = "too_large.review"
	TemplateBlank     Key = "template.blank"

	// STORE_UNAVAILABLE.
	StoreUnavailable Key = "store.unavailable"
	StoreFault       Key = "store.fault"
	StoreUnqueued    Key = "store.unqueued"
	TagUnwritten     Key = "tag.unwritten"

	// TIMEOUT.
	Timeout    Key = "timeout"
	TagUnknown Key = "tag.unknown"
	TagSilent  Key = "tag.silent"
	// NamespaceUnknown: the labels of the namespace are read by policies and not known.
	NamespaceUnknown Key = "namespace.unknown"

	// BUSY.
	Busy          Key = "busy"
	BusyScans     Key = "busy.scans"
	BusyTags      Key = "busy.tags"
	TagPushed     Key = "tag.pushed"
	RegistryMoved Key = "registry.moved"

	// Answers of the API that are about the server and not about an image.
	ServerStore    Key = "server.store"
	ServerTimeout  Key = "server.timeout"
	ServerResource Key = "server.resource"
	ServerBusy     Key = "server.busy"
	ServerInternal Key = "server.internal"

	// Causes: why a job waits or has failed, as a part of another text.
	Registry           Key = "cause.registry"
	RegistryElsewhere  Key = "cause.registry_elsewhere"
	CauseElsewhere     Key = "cause.elsewhere"
	CauseUnreadable    Key = "cause.unreadable"
	CauseKind          Key = "cause.kind"
	CauseCredentials   Key = "cause.credentials"
	CauseMissing       Key = "cause.missing"
	CauseRefused       Key = "cause.refused"
	CauseServed        Key = "cause.served"
	CauseNotConfigured Key = "cause.not_configured"
	CauseAsked         Key = "cause.asked"
	CauseAskedUntil    Key = "cause.asked_until"
	CauseName          Key = "cause.name"
	CauseCertificate   Key = "cause.certificate"
	CauseUnreachable   Key = "cause.unreachable"
	CauseFailing       Key = "cause.failing"
	CauseQuota         Key = "cause.quota"
	CausePulls         Key = "cause.pulls"
	CausePullsUntil    Key = "cause.pulls_until"
	CauseWorker        Key = "cause.worker"
	CauseResource      Key = "cause.resource"
	CauseAdvisories    Key = "cause.advisories"
	CauseStore         Key = "cause.store"
	CauseInternal      Key = "cause.internal"
	TriedAgain         Key = "cause.tried_again"
	AttemptFailed      Key = "cause.attempt_failed"
)

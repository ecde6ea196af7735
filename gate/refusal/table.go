package refusal

import "github.com/digestgate/digestgate/gate"

// Who has to do something before a refusal is over.
type Who string

// Who may have to.
const (
	Nobody         Who = "none"      // it is over by itself, or is a part of another text
	Author         Who = "author"    // of the object or the image: who deploys or pushes
	Operators      Who = "operators" // of digestgate
	RegistryOwners Who = "registry"  // those who run the registry
)

// Meaning is what a key is, in every language.
type Meaning struct {
	// Code is that of the refusals that say it; "" for a part of others.
	Code gate.Code
	// Params are its parameters.
	Params map[string]Kind
	Who    Who
	// Retries: a controller that retries gets further without anybody's doing.
	Retries bool
}

// table is the one table of refusals. It is not modified.
var table = map[Key]Meaning{
	And:    {Params: map[string]Kind{"one": Inner, "more": Inner}, Who: Nobody},
	Detail: {Params: map[string]Kind{"text": Found}, Who: Nobody},

	// REF_INVALID, REF_AMBIGUOUS.
	RefInvalid:   {Code: gate.CodeRefInvalid, Who: Author},
	RefAmbiguous: {Code: gate.CodeRefAmbiguous, Who: Author},

	// DIGEST_REQUIRED.
	DigestRequired:   {Code: gate.CodeDigestRequired, Who: Author},
	DigestRequiredOf: {Code: gate.CodeDigestRequired, Params: map[string]Kind{"repository": Name}, Who: Author},

	// REGISTRY_NOT_TRUSTED.
	RegistryUnknown:       {Code: gate.CodeRegistryNotTrusted, Who: Author},
	RegistryNotConfigured: {Code: gate.CodeRegistryNotTrusted, Params: map[string]Kind{"host": Quote}, Who: Author},
	RepositoryDenied:      {Code: gate.CodeRegistryNotTrusted, Params: map[string]Kind{"repository": Quote}, Who: Author},
	RepositoryUnlisted:    {Code: gate.CodeRegistryNotTrusted, Params: map[string]Kind{"repository": Quote}, Who: Author},

	// UNSCANNED.
	Unscanned:            {Code: gate.CodeUnscanned, Who: Author},
	UnscannedDryRun:      {Code: gate.CodeUnscanned, Who: Author},
	UnscannedQueued:      {Code: gate.CodeUnscanned, Who: Nobody, Retries: true},
	UnscannedQueuedUsual: {Code: gate.CodeUnscanned, Params: map[string]Kind{"seconds": Number}, Who: Nobody, Retries: true},
	UnscannedWaits:       {Code: gate.CodeUnscanned, Params: map[string]Kind{"why": Inner}, Who: Nobody, Retries: true},
	UnscannedCancelled:   {Code: gate.CodeUnscanned, Who: Author},
	UnscannedFailed:      {Code: gate.CodeUnscanned, Params: map[string]Kind{"why": Inner, "after": Time}, Who: Author},
	UnscannedLeft:        {Code: gate.CodeUnscanned, Params: map[string]Kind{"state": Name}, Who: Nobody},
	BudgetNamespace:      {Code: gate.CodeUnscanned, Params: map[string]Kind{"namespace": Quote, "limit": Number, "from": Time}, Who: Author},
	BudgetNewcomers:      {Code: gate.CodeUnscanned, Params: map[string]Kind{"namespace": Quote, "limit": Number, "from": Time}, Who: Author},
	BudgetAll:            {Code: gate.CodeUnscanned, Params: map[string]Kind{"limit": Number, "from": Time}, Who: Author},
	TagMissing:           {Code: gate.CodeUnscanned, Params: map[string]Kind{"registry": Quote, "tag": Quote, "repository": Quote}, Who: Author},
	TagRefused:           {Code: gate.CodeUnscanned, Params: map[string]Kind{"registry": Quote, "tag": Quote, "repository": Quote}, Who: RegistryOwners},
	TagCredentials:       {Code: gate.CodeUnscanned, Params: map[string]Kind{"registry": Quote}, Who: Operators},

	// PENDING.
	Pending:             {Code: gate.CodePending, Who: Nobody, Retries: true},
	PendingQueued:       {Code: gate.CodePending, Who: Nobody, Retries: true},
	PendingQueuedUsual:  {Code: gate.CodePending, Params: map[string]Kind{"seconds": Number}, Who: Nobody, Retries: true},
	PendingRunning:      {Code: gate.CodePending, Who: Nobody, Retries: true},
	PendingRunningUsual: {Code: gate.CodePending, Params: map[string]Kind{"seconds": Number}, Who: Nobody, Retries: true},
	PendingWaits:        {Code: gate.CodePending, Params: map[string]Kind{"why": Inner}, Who: Nobody, Retries: true},
	PendingMatch:        {Code: gate.CodePending, Who: Nobody, Retries: true},
	PendingAdvisories:   {Code: gate.CodePending, Who: Operators, Retries: true},
	PendingRematch:      {Code: gate.CodePending, Params: map[string]Kind{"former": Number, "now": Number}, Who: Nobody, Retries: true},
	PendingFormer:       {Params: map[string]Kind{"former": Number, "now": Number}, Who: Nobody},

	// SCAN_FAILED.
	ScanFailed:       {Code: gate.CodeScanFailed, Who: Author},
	ScanFailedQueued: {Code: gate.CodeScanFailed, Params: map[string]Kind{"why": Inner}, Who: Nobody, Retries: true},
	ScanFailedAfter:  {Code: gate.CodeScanFailed, Params: map[string]Kind{"why": Inner, "after": Time}, Who: Author},
	ScanFailedAgain:  {Code: gate.CodeScanFailed, Params: map[string]Kind{"why": Inner}, Who: Author},
	ScanUnrecorded:   {Who: Nobody},
	ScanIncomplete:   {Code: gate.CodeScanFailed, Params: map[string]Kind{"what": Inner, "entries": Found}, Who: Author},
	RiskFailed:       {Params: map[string]Kind{"risk": Name, "found": Inner}, Who: Nobody},
	RiskIncomplete:   {Params: map[string]Kind{"risk": Name, "found": Inner}, Who: Nobody},
	RiskUnrecorded:   {Who: Nobody},
	GapsUnlisted:     {Params: map[string]Kind{"number": Number, "kinds": Name}, Who: Nobody},
	GapsMore:         {Params: map[string]Kind{"first": Found, "more": Number}, Who: Nobody},
	LetThrough:       {Params: map[string]Kind{"entry": Name, "what": Inner}, Who: Nobody},

	// UNASSESSABLE.
	Unassessable:          {Code: gate.CodeUnassessable, Who: Author},
	UnassessableBecause:   {Code: gate.CodeUnassessable, Params: map[string]Kind{"why": Inner}, Who: Author},
	UnassessableDigest:    {Code: gate.CodeUnassessable, Params: map[string]Kind{"platform": Quote, "digest": Quote}, Who: Author},
	UnassessablePlatforms: {Code: gate.CodeUnassessable, Who: Author},
	UnassessableChild:     {Code: gate.CodeUnassessable, Params: map[string]Kind{"digest": Name, "kind": Quote}, Who: Author},
	UnassessableKind:      {Code: gate.CodeUnassessable, Params: map[string]Kind{"kind": Quote}, Who: Author},
	OrAllow:               {Code: gate.CodeUnassessable, Params: map[string]Kind{"what": Inner, "entry": Quote}, Who: Author},
	DatabaseUnread:        {Params: map[string]Kind{"release": Found, "path": Quote, "manager": Name}, Who: Nobody},
	DatabaseMissing:       {Params: map[string]Kind{"release": Found}, Who: Nobody},
	ReleaseUnknown:        {Params: map[string]Kind{"why": Found}, Who: Nobody},

	// QUOTA_EXHAUSTED, and what waits for the quota.
	QuotaUsed:    {Code: gate.CodeQuotaExhausted, Who: Operators},
	QuotaWaits:   {Code: gate.CodeQuotaExhausted, Params: map[string]Kind{"why": Inner}, Who: Operators, Retries: true},
	QuotaUntil:   {Params: map[string]Kind{"until": Time}, Who: Operators},
	QuotaForGood: {Who: Operators},
	QuotaRenewed: {Params: map[string]Kind{"until": Time}, Who: Nobody},
	QuotaFirst:   {Params: map[string]Kind{"why": Inner}, Who: Nobody},

	// STALE.
	Stale:         {Code: gate.CodeStale, Who: Operators},
	StaleUndated:  {Code: gate.CodeStale, Who: Operators},
	StaleFuture:   {Code: gate.CodeStale, Params: map[string]Kind{"at": Time}, Who: Operators},
	StaleBucket:   {Code: gate.CodeStale, Params: map[string]Kind{"bucket": Quote, "at": Time, "age": Span, "most": Span, "key": Name}, Who: Operators},
	StaleRefused:  {Code: gate.CodeStale, Params: map[string]Kind{"at": Time, "age": Span, "most": Span}, Who: Operators},
	StaleAccepted: {Code: gate.CodeStale, Params: map[string]Kind{"what": Inner, "until": Time}, Who: Nobody},
	StaleOld:      {Code: gate.CodeStale, Params: map[string]Kind{"at": Time, "age": Span, "most": Span}, Who: Operators},
	TableMissing:  {Code: gate.CodeStale, Params: map[string]Kind{"table": Name, "key": Name}, Who: Operators},

	// POLICY, POLICY_ERROR, INTERNAL.
	Policy:          {Code: gate.CodePolicy, Who: Author},
	PolicyError:     {Code: gate.CodePolicyError, Who: Operators},
	PolicyNoAnswer:  {Code: gate.CodePolicyError, Params: map[string]Kind{"why": Found}, Who: Operators},
	Internal:        {Code: gate.CodeInternal, Who: Operators},
	InternalRequest: {Code: gate.CodeInternal, Params: map[string]Kind{"id": Name}, Who: Operators},
	InternalLogged:  {Code: gate.CodeInternal, Params: map[string]Kind{"doing": Found}, Who: Operators},
	While:           {Params: map[string]Kind{"doing": Found, "why": Inner}, Who: Nobody},

	// OBJECT_UNSUPPORTED, REVIEW_INVALID, TOO_LARGE.
	ObjectUnsupported: {Code: gate.CodeObjectUnsupported, Who: Author},
	ReviewInvalid:     {Code: gate.CodeReviewInvalid, Who: Author},
	ReviewUser:        {Code: gate.CodeReviewInvalid, Params: map[string]Kind{"bytes": Number, "most": Number}, Who: Author},
	TooLarge:          {Code: gate.CodeTooLarge, Who: Author},
	TooLargeReview:    {Code: gate.CodeTooLarge, Params: map[string]Kind{"most": Name}, Who: Author},
	TemplateBlank:     {Code: gate.CodeRefInvalid, Who: Author},

	// STORE_UNAVAILABLE.
	StoreUnavailable: {Code: gate.CodeStoreUnavailable, Who: Nobody},
	StoreFault:       {Code: gate.CodeStoreUnavailable, Params: map[string]Kind{"why": Found}, Who: Nobody},
	StoreUnqueued:    {Code: gate.CodeStoreUnavailable, Params: map[string]Kind{"why": Found}, Who: Nobody},
	TagUnwritten:     {Code: gate.CodeStoreUnavailable, Params: map[string]Kind{"tag": Quote, "why": Found}, Who: Nobody},

	// TIMEOUT.
	Timeout:          {Code: gate.CodeTimeout, Who: Nobody},
	TagUnknown:       {Code: gate.CodeTimeout, Params: map[string]Kind{"tag": Quote, "why": Inner}, Who: Nobody},
	NamespaceUnknown: {Code: gate.CodeTimeout, Params: map[string]Kind{"why": Found}, Who: Nobody},
	TagSilent:        {Code: gate.CodeTimeout, Params: map[string]Kind{"registry": Quote, "tag": Quote}, Who: Nobody},

	// BUSY.
	Busy:          {Code: gate.CodeBusy, Who: Nobody},
	BusyScans:     {Code: gate.CodeBusy, Params: map[string]Kind{"registry": Quote}, Who: Nobody},
	BusyTags:      {Code: gate.CodeBusy, Params: map[string]Kind{"registry": Quote}, Who: Nobody},
	TagPushed:     {Code: gate.CodeBusy, Params: map[string]Kind{"tag": Quote}, Who: Nobody},
	RegistryMoved: {Code: gate.CodeBusy, Params: map[string]Kind{"registry": Quote}, Who: Nobody},

	// Answers of the API that are about the server and not about an image.
	ServerStore:    {Who: Nobody},
	ServerTimeout:  {Who: Nobody},
	ServerResource: {Who: Operators},
	ServerBusy:     {Who: Nobody},
	ServerInternal: {Who: Operators},

	// Causes: why a job waits or has failed, as a part of another text.
	Registry:           {Params: map[string]Kind{"name": Quote}, Who: Nobody},
	RegistryElsewhere:  {Who: Nobody},
	CauseElsewhere:     {Who: Author},
	CauseUnreadable:    {Who: Nobody},
	CauseKind:          {Params: map[string]Kind{"kind": Name}, Who: Nobody},
	CauseCredentials:   {Params: map[string]Kind{"registry": Inner}, Who: Operators},
	CauseMissing:       {Params: map[string]Kind{"registry": Inner, "repository": Quote}, Who: Author},
	CauseRefused:       {Params: map[string]Kind{"registry": Inner}, Who: RegistryOwners},
	CauseServed:        {Params: map[string]Kind{"registry": Inner}, Who: Author},
	CauseNotConfigured: {Params: map[string]Kind{"registry": Inner}, Who: Operators},
	CauseAsked:         {Params: map[string]Kind{"registry": Inner}, Who: Nobody},
	CauseAskedUntil:    {Params: map[string]Kind{"registry": Inner, "until": Time}, Who: Nobody},
	CauseName:          {Params: map[string]Kind{"registry": Inner}, Who: Operators},
	CauseCertificate:   {Params: map[string]Kind{"registry": Inner}, Who: Operators},
	CauseUnreachable:   {Params: map[string]Kind{"registry": Inner}, Who: Nobody},
	CauseFailing:       {Params: map[string]Kind{"registry": Inner}, Who: Nobody},
	CauseQuota:         {Who: Operators},
	CausePulls:         {Params: map[string]Kind{"registry": Inner}, Who: Nobody},
	CausePullsUntil:    {Params: map[string]Kind{"registry": Inner, "until": Time}, Who: Nobody},
	CauseWorker:        {Who: Nobody},
	CauseResource:      {Who: Operators},
	CauseAdvisories:    {Who: Operators},
	CauseStore:         {Who: Nobody},
	CauseInternal:      {Who: Operators},
	TriedAgain:         {Params: map[string]Kind{"why": Inner, "at": Time}, Who: Nobody},
	AttemptFailed:      {Params: map[string]Kind{"why": Inner}, Who: Nobody},
}

// Of is what the key of a text means; ok is false for one that is not in the table.
func Of(t gate.Text) (m Meaning, ok bool) {
	m, ok = table[Key(t.Key)]
	return m, ok
}

// usual is the sentence of a refusal that says nothing else.
var usual = map[gate.Code]Key{
	gate.CodeRefInvalid:         RefInvalid,
	gate.CodeRefAmbiguous:       RefAmbiguous,
	gate.CodeDigestRequired:     DigestRequired,
	gate.CodeRegistryNotTrusted: RegistryUnknown,
	gate.CodeUnscanned:          Unscanned,
	gate.CodePending:            Pending,
	gate.CodeScanFailed:         ScanFailed,
	gate.CodeUnassessable:       Unassessable,
	gate.CodeQuotaExhausted:     QuotaUsed,
	gate.CodeStale:              Stale,
	gate.CodePolicy:             Policy,
	gate.CodePolicyError:        PolicyError,
	gate.CodeInternal:           Internal,
	gate.CodeObjectUnsupported:  ObjectUnsupported,
	gate.CodeReviewInvalid:      ReviewInvalid,
	gate.CodeTooLarge:           TooLarge,
	gate.CodeStoreUnavailable:   StoreUnavailable,
	gate.CodeTimeout:            Timeout,
	gate.CodeBusy:               Busy,
}

// Usual is the text of a refusal with a code that says nothing else; an unknown code
// reads as gate.CodeInternal.
func Usual(code gate.Code) gate.Text {
	key, ok := usual[code]
	if !ok {
		key = Internal
	}
	return Say(key, nil)
}

package refusal

// english is the table in English. A sentence has no full stop and begins in lower case:
// it stands after the code and the image that it is about.
var english = Language{
	Then:  "; ",
	Retry: "a controller retries by itself, a bare Pod must be applied again",
	Words: map[Key]Words{
		And:    {Say: "{one}; {more}"},
		Detail: {Say: "{text}"},

		// REF_INVALID, REF_AMBIGUOUS.
		RefInvalid:   {Say: "this is not a valid image reference", Do: "correct the reference"},
		RefAmbiguous: {Say: "a node might run something else than a registry serves", Do: "name a repository and a digest"},

		// DIGEST_REQUIRED.
		DigestRequired:   {Say: "images must be referenced by digest (name@sha256:...) here"},
		DigestRequiredOf: {Say: "a tag may move", Do: "name the digest instead ({repository}@sha256:...)"},

		// REGISTRY_NOT_TRUSTED.
		RegistryUnknown:       {Say: "this registry or repository is not configured here", Do: "use an image from a configured registry, or ask the operators to add it"},
		RegistryNotConfigured: {Say: "registry {host} is not configured here", Do: "use an image from a configured registry, or ask the operators to add it"},
		RepositoryDenied:      {Say: "images of repository {repository} are not allowed here", Do: "use another image, or ask the operators to allow it (admission.repositories)"},
		RepositoryUnlisted:    {Say: "repository {repository} is not among the allowed ones", Do: "use another image, or ask the operators to allow it (admission.repositories)"},

		// UNSCANNED.
		Unscanned:            {Say: "the image has not been scanned", Do: "push it to a configured registry, or ask for a scan with POST /api/v1/scans"},
		UnscannedDryRun:      {Say: "not scanned yet", Do: "this was a dry run, so nothing was queued"},
		UnscannedQueued:      {Say: "not scanned yet; its scan is queued now"},
		UnscannedQueuedUsual: {Say: "not scanned yet; its scan is queued now, usually about {seconds} s"},
		UnscannedWaits:       {Say: "not scanned yet; its scan waits: {why}"},
		UnscannedCancelled:   {Say: "its scan was cancelled", Do: "ask for it again with POST /api/v1/scans"},
		UnscannedFailed:      {Say: "not scanned: {why}", Do: "after {after} an admission starts the scan again, a push or POST /api/v1/scans does so at once"},
		UnscannedLeft:        {Say: "not scanned: the last attempt is {state} and is not repeated yet"},
		BudgetNamespace:      {Say: "not scanned, and namespace {namespace} has asked for its {limit} new images of this hour (admission.newDigestsPerHour); it may ask for more from {from}", Do: "push the image again, or ask the operators to scan it"},
		BudgetNewcomers:      {Say: "not scanned, and namespaces in which no image was admitted before, like {namespace}, have asked for their {limit} new images of this hour (half of admission.newDigestsPerHourTotal); it may ask for more from {from}", Do: "push the image again, or ask the operators to scan it"},
		BudgetAll:            {Say: "not scanned, and all namespaces together have asked for their {limit} new images of this hour (admission.newDigestsPerHourTotal); it may ask for more from {from}", Do: "push the image again, or ask the operators to scan it"},
		TagMissing:           {Say: "registry {registry} has no tag {tag} in repository {repository}", Do: "push it, or correct the reference"},
		TagRefused:           {Say: "registry {registry} refuses tag {tag} of repository {repository}: blocked by its own policy or removed", Do: "ask those who run the registry to allow it, or use another tag"},
		TagCredentials:       {Say: "registry {registry} refuses the credentials it is read with", Do: "the operators must renew them, or use a digest that is known here"},

		// PENDING.
		Pending:             {Say: "the scan of the image has not ended"},
		PendingQueued:       {Say: "its scan is queued"},
		PendingQueuedUsual:  {Say: "its scan is queued, usually about {seconds} s"},
		PendingRunning:      {Say: "its scan is running"},
		PendingRunningUsual: {Say: "its scan is running, usually about {seconds} s"},
		PendingWaits:        {Say: "its scan waits: {why}"},
		PendingMatch:        {Say: "the image has been read and has not been compared with the vulnerability data yet"},
		PendingRematch:      {Say: "the image has not been compared with the vulnerability data in use (generation {now}) yet; its findings are of generation {former}"},
		PendingFormer:       {Say: "decided with generation {former} of the vulnerability data, because the image has not been compared yet with generation {now}, which is in use now"},
		PendingAdvisories:   {Say: "the image has been read; no vulnerability data is loaded yet to compare it with", Do: "the operators must load it"},

		// SCAN_FAILED.
		ScanFailed:       {Say: "the scan of the image failed", Do: "the job says why, and a new push or POST /api/v1/scans scans it again"},
		ScanFailedQueued: {Say: "its scan failed: {why}; it is queued once more"},
		ScanFailedAfter:  {Say: "its scan failed: {why}", Do: "after {after} an admission starts it again, a push or POST /api/v1/scans does so at once"},
		ScanFailedAgain:  {Say: "its scan failed: {why}", Do: "a push or POST /api/v1/scans starts it again"},
		ScanUnrecorded:   {Say: "the reason was not recorded"},
		ScanIncomplete:   {Say: "{what}", Do: "remove the cause from the image, or let the operators of digestgate add {entries} to policy.allowIncomplete"},
		RiskFailed:       {Say: "the scan for {risk} failed: {found}"},
		RiskIncomplete:   {Say: "the scan is incomplete for {risk}: {found}"},
		RiskUnrecorded:   {Say: "no reason is recorded"},
		GapsUnlisted:     {Say: "{number} gaps ({kinds}) that are not listed"},
		GapsMore:         {Say: "{first}, and {more} more"},
		LetThrough:       {Say: "policy.allowIncomplete names {entry}, which lets this through: {what}"},

		// UNASSESSABLE.
		Unassessable:          {Say: "the image cannot be assessed", Do: "use another image, or ask the operators of digestgate"},
		UnassessableBecause:   {Say: "the image cannot be assessed: {why}", Do: "use another image, or ask the operators of digestgate"},
		UnassessableDigest:    {Say: "the index names its image for {platform} by the digest {digest}, but only sha256 digests can be read", Do: "push it again with a tool that uses sha256"},
		UnassessablePlatforms: {Say: "none of its platforms is among those that are scanned here", Do: "use another image, or ask the operators to add its platform (scan.platforms)"},
		UnassessableChild:     {Say: "the index names {digest} as an image, but its kind is {kind}", Do: "push the index again without it"},
		UnassessableKind:      {Say: "this is not an image that can run, its kind is {kind}", Do: "correct the reference"},
		OrAllow:               {Say: "{what}, or let the operators of digestgate add {entry} to policy.allowIncomplete"},
		DatabaseUnread:        {Say: "the image is built from a distribution ({release}) whose package database {path} ({manager}) could not be read, so what is installed is not known", Do: "use a base image with packages of dpkg, apk or rpm"},
		DatabaseMissing:       {Say: "the image is built from a distribution ({release}) but its package database is missing, so what is installed is not known", Do: "do not delete the package database in the build"},
		ReleaseUnknown:        {Say: "the vulnerability data cannot judge the image: {why}", Do: "use an image that it can judge, or ask the operators of digestgate"},

		// QUOTA_EXHAUSTED, and what waits for the quota.
		QuotaUsed:    {Say: "the scan quota (quota.limit) is used up", Do: "the scan continues in the next period, or earlier if the operators raise the quota"},
		QuotaWaits:   {Say: "its scan waits: {why}"},
		QuotaUntil:   {Say: "the scan quota (quota.limit) is used up until {until}", Do: "then the scan continues by itself, or earlier if the operators raise the quota"},
		QuotaForGood: {Say: "the scan quota (quota.limit) is used up and does not renew by itself", Do: "the operators can raise it"},
		QuotaRenewed: {Say: "the scan quota (quota.limit) was used up until {until}", Do: "since then the images that wait are scanned in their turn"},
		QuotaFirst:   {Say: "an image that was never scanned needs a place in the scan quota first: {why}"},

		// STALE.
		Stale:         {Say: "the vulnerability data is too old to decide", Do: "ask the operators of digestgate to refresh it"},
		StaleUndated:  {Say: "the age of the vulnerability data is not known: its sources state no time", Do: "ask the operators of digestgate to build it with --updated-at, or to load current data"},
		StaleFuture:   {Say: "the age of the vulnerability data is not known: it is dated {at}, which is in the future", Do: "ask the operators of digestgate to load current data, or to correct the clock"},
		StaleBucket:   {Say: "the vulnerability data of {bucket} is of {at}, {age} old, and at most {most} are allowed ({key})", Do: "ask the operators of digestgate to refresh it, or to accept it until a date (digestgate advisories accept)"},
		StaleRefused:  {Say: "the vulnerability data is of {at}, {age} old, and at most {most} are allowed (advisories.refuseAge)", Do: "ask the operators of digestgate to refresh it, or to accept it until a date (digestgate advisories accept)"},
		StaleAccepted: {Say: "{what}; the operators of digestgate have accepted that until {until}"},
		StaleOld:      {Say: "the vulnerability data is of {at}, {age} old, and at most {most} are allowed (advisories.maxAge)", Do: "ask the operators of digestgate to refresh it"},
		TableMissing:  {Say: "the policies look at the {table}, and this installation has none", Do: "ask the operators of digestgate to set {key}, or to wait until what it names is loaded"},

		// POLICY, POLICY_ERROR, INTERNAL.
		Policy:          {Say: "refused by policy"},
		PolicyError:     {Say: "the policies could not be evaluated", Do: "tell the operators"},
		PolicyNoAnswer:  {Say: "the policies gave no answer: {why}", Do: "ask the operators of digestgate to correct them"},
		Internal:        {Say: "internal error", Do: "tell the operators"},
		InternalRequest: {Say: "internal error", Do: "tell the operators the request id {id}"},
		InternalLogged:  {Say: "{doing} failed", Do: "the log of digestgate says why"},
		While:           {Say: "{doing}: {why}"},

		// OBJECT_UNSUPPORTED, REVIEW_INVALID, TOO_LARGE.
		ObjectUnsupported: {Say: "this kind of object is not understood here"},
		ReviewInvalid:     {Say: "the review is not well formed"},
		ReviewUser:        {Say: "the policies read the name of the user, which has {bytes} bytes, more than {most}", Do: "use an account with a shorter name"},
		TooLarge:          {Say: "too many images in one object"},
		TooLargeReview:    {Say: "a review may have {most}", Do: "make the object smaller"},
		TemplateBlank:     {Say: "no image is named yet", Do: "something must fill it in before there are Pods, as OpenShift does from the annotation image.openshift.io/triggers"},

		// STORE_UNAVAILABLE.
		StoreUnavailable: {Say: "the scan results cannot be read at the moment", Do: "try again"},
		StoreFault:       {Say: "the scan results cannot be read at the moment: {why}", Do: "try again"},
		StoreUnqueued:    {Say: "not scanned yet, and its scan cannot be queued: {why}", Do: "try again"},
		TagUnwritten:     {Say: "tag {tag} was pushed, and what it names now cannot be recorded: {why}", Do: "try again, or use the digest"},

		// TIMEOUT.
		Timeout:          {Say: "no decision in time", Do: "try again"},
		NamespaceUnknown: {Say: "the policies read the labels of the namespace, which are not known: {why}", Do: "try again"},
		TagUnknown:       {Say: "what tag {tag} names is not known: {why}", Do: "try again, or use the digest"},
		TagSilent:        {Say: "registry {registry} did not say in time what tag {tag} names", Do: "try again, or use the digest"},

		// BUSY.
		Busy:          {Say: "too many reviews at once", Do: "try again"},
		BusyScans:     {Say: "too many reviews wait for scans of registry {registry} already; its scan stays queued", Do: "try again"},
		BusyTags:      {Say: "too many reviews wait for registry {registry} already", Do: "try again, or use the digest"},
		TagPushed:     {Say: "tag {tag} is being pushed", Do: "try again, or use the digest"},
		RegistryMoved: {Say: "registry {registry} was given another host in the configuration while it was read", Do: "try again"},

		// Answers of the API that are about the server and not about an image.
		ServerStore:    {Say: "the store did not answer", Do: "try again"},
		ServerTimeout:  {Say: "no answer in time", Do: "try again"},
		ServerResource: {Say: "this machine lacks something, the log says what", Do: "try again later"},
		ServerBusy:     {Say: "too much is waiting already", Do: "try again later"},
		ServerInternal: {Say: "internal error", Do: "the log has the details"},

		// Causes: why a job waits or has failed, as a part of another text.
		Registry:           {Say: "registry {name}"},
		RegistryElsewhere:  {Say: "the registry that it is read from"},
		CauseElsewhere:     {Say: "it cannot be read from the place that it was pushed to first", Do: "push it again here"},
		CauseUnreadable:    {Say: "its content cannot be read"},
		CauseKind:          {Say: "it is not an image, its kind is {kind}"},
		CauseCredentials:   {Say: "{registry} refuses the credentials that digestgate reads with", Do: "the operators must renew them, or allow them to pull"},
		CauseMissing:       {Say: "{registry} does not have it in repository {repository}", Do: "push it again, or correct the reference"},
		CauseRefused:       {Say: "{registry} refuses this image: blocked by its own policy or removed", Do: "ask those who run the registry to allow it, or use another image"},
		CauseServed:        {Say: "{registry} serves content that does not match its digest", Do: "push it again"},
		CauseNotConfigured: {Say: "{registry} is not configured any more"},
		CauseAsked:         {Say: "{registry} asked to wait"},
		CauseAskedUntil:    {Say: "{registry} asked to wait until {until}"},
		CauseName:          {Say: "the name of {registry} cannot be resolved", Do: "the operators must correct its host or the name service"},
		CauseCertificate:   {Say: "the certificate of {registry} is not accepted", Do: "the operators must correct it, or caFile"},
		CauseUnreachable:   {Say: "{registry} does not answer"},
		CauseFailing:       {Say: "{registry} answers with errors"},
		CauseQuota:         {Say: "the scan quota (quota.limit) is used up"},
		CausePulls:         {Say: "the hourly pulls of {registry} (pullsPerHour) are used up"},
		CausePullsUntil:    {Say: "the hourly pulls of {registry} (pullsPerHour) are used up until {until}"},
		CauseWorker:        {Say: "the process that scanned it was lost"},
		CauseResource:      {Say: "digestgate has no disk space or memory left for it", Do: "the operators find the details in its log"},
		CauseAdvisories:    {Say: "no vulnerability data is loaded yet"},
		CauseStore:         {Say: "digestgate's store did not answer"},
		CauseInternal:      {Say: "an error of digestgate itself", Do: "the operators find it in its log"},
		TriedAgain:         {Say: "{why}; it is tried again at {at}"},
		AttemptFailed:      {Say: "the last attempt failed, and the next one is queued: {why}"},
	},
}

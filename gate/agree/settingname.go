package agree

import "strconv"

// The settings of the store, all of them: the few values that every process on
// it shares. What is stored under a name stays readable by later versions, so
// that a name never changes and is not used for anything else later.
const (
	SettingPolicies      = "policies/active"
	SettingAdvisories    = "advisories/current"
	SettingLift          = "advisories/lift"
	SettingRefresh       = "advisories/refresh"
	SettingOrders        = "advisories/orders"
	SettingHolders       = "advisories/holders"
	SettingEPSS          = "tables/epss"
	SettingKEV           = "tables/kev"
	SettingEOL           = "tables/eol"
	SettingVEX           = "tables/vex"
	SettingAnalyzerSet   = "analyzer/set"
	SettingAdminToken    = "auth/admin-token"
	SettingAuthority     = "admission/authority"
	SettingAsked         = "admission/asked"
	SettingSchedules     = "schedules/made"
	SettingScanTasks     = "scans/tasks"
	SettingNotifyTargets = "notifications/targets"
	SettingCopyProgress  = SettingsOfCopies + "progress"
	SettingsOfCopies     = "copy/" // those that say how a copy of the store stands, and are not copied
	settingNotifyState   = "notifications/state/"
	settingNotifyLog     = "notifications/log/"
	settingNamespaces    = "admission-namespaces/"
	settingLastEvent     = "last-event/"
	settingSchedule      = "schedule/"
	settingSync          = "sync/"
	settingSyncRequested = "sync-ask/"
	settingTurn          = "turn/"
	settingLiftPart      = "advisories/lift-part/"
)

// SettingNamespaces holds the namespaces of a cluster that have had an image
// admitted.
func SettingNamespaces(cluster string) string { return settingNamespaces + cluster }

// SettingLastEvent holds when a registry was last heard of.
func SettingLastEvent(registry string) string { return settingLastEvent + registry }

// SettingSchedule holds the last tick of a schedule.
func SettingSchedule(name string) string { return settingSchedule + name }

// SettingSync holds the run of a registry's synchronisation that is under way,
// or the last one.
func SettingSync(registry string) string { return settingSync + registry }

// SettingSyncRequested holds the last request for a synchronisation.
func SettingSyncRequested(registry string) string { return settingSyncRequested + registry }

// SettingLiftPart holds a part of the findings that stand in the advisory data in force.
func SettingLiftPart(n int) string { return settingLiftPart + strconv.Itoa(n) }

// SettingNotifyState holds how far a target of notifications has been notified, and what
// waits for it.
func SettingNotifyState(target string) string { return settingNotifyState + target }

// SettingNotifyLog holds the last deliveries to a target of notifications.
func SettingNotifyLog(target string) string { return settingNotifyLog + target }

// SettingTurn holds which process does a piece of work that one does for all.
func SettingTurn(work string) string { return settingTurn + work }

// SettingUse is a row of the table of settings.
type SettingUse struct {
	Name string // one in capitals stands for a part of the name
	Use  string // what the setting is for, in words
}

// SettingUses is the table of all settings, by name. A setting that is in no row
// does not exist; docs/redis.md lists the same.
func SettingUses() []SettingUse {
	return []SettingUse{
		{SettingAuthority, "the authority of admission's own certificates, sealed"},
		{SettingAsked, "the digests that admission was asked for last"},
		{SettingNamespaces("CLUSTER"), "namespaces that have had an image admitted"},
		{SettingAdvisories, "which advisory data is in force"},
		{SettingRefresh, "how asking the repositories of advisory data goes"},
		{SettingOrders, "what people ordered about advisory data: rollbacks, overrides"},
		{SettingHolders, "which processes keep which generations of advisory data"},
		{SettingLift, "which findings the advisory data in force leaves unchanged"},
		{settingLiftPart + "N", "a part of these findings"},
		{SettingAnalyzerSet, "the analysers of the worker that started last"},
		{SettingAdminToken, "the admin token of the API, sealed"},
		{SettingCopyProgress, "how far a copy to this store has got"},
		{SettingLastEvent("REGISTRY"), "when a registry was last heard of"},
		{SettingNotifyLog("NAME"), "the last deliveries to a target of notifications"},
		{SettingNotifyState("NAME"), "how far a target of notifications has been notified, and what waits for it"},
		{SettingNotifyTargets, "the targets of notifications that were set through the API, their secrets sealed"},
		{SettingPolicies, "which policies are in force, with the policies"},
		{SettingSchedule("NAME"), "the last tick of a schedule"},
		{SettingSchedules, "the schedules that were made through the API"},
		{SettingScanTasks, "the scan tasks, and how far they are"},
		{SettingSyncRequested("REGISTRY"), "the last request for a synchronisation"},
		{SettingSync("REGISTRY"), "the synchronisation of a registry"},
		{SettingEPSS, "the scores of EPSS in force"},
		{SettingKEV, "the list of known exploited vulnerabilities in force"},
		{SettingEOL, "the dates of ends of life in force"},
		{SettingVEX, "the VEX statements in force"},
		{SettingTurn("NAME"), "which process does what one does for all"},
	}
}

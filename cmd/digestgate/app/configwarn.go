package app

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/bmatcuk/doublestar/v4"

	"github.com/digestgate/digestgate/gate/lookup"
	"github.com/digestgate/digestgate/scanner/advisory/source"
	"github.com/digestgate/digestgate/scanner/joined/vex"
	"github.com/digestgate/digestgate/store"
)

// Warn says what the configuration means that its author may not want: keys
// that this version does not use, and settings with which nothing can ever be
// admitted.
func (l *loaded) Warn() {
	if l.Places.Unread() {
		return // what is not written is not known
	}
	l.warnUnused()
	l.warnRefusesAll()
	l.warnRoles()
}

func (l *loaded) warnUnused() {
	for i, r := range l.Registries {
		if r.Region != "" {
			l.Places.Warn(fmt.Sprintf("registries[%d].region", i),
				fmt.Sprintf("%q is not used by this version yet: images are pulled from host, with username, credentials.dockerConfig or credentials.helper; remove it", r.Region))
		}
	}
	unused := map[string]bool{"advisories.repositories": len(l.Advisories.Repositories) > 0, "advisories.refresh": !l.asksOthers()}
	for _, key := range slices.Sorted(maps.Keys(unused)) {
		if l.Places.Given(key) && l.Advisories.Path != "" && unused[key] {
			l.Places.Warn(key, "has no effect while advisories.path names a directory, which is looked at every 15 s; remove one of the two")
		}
	}
	if !l.Store.Shared() && l.Store.Prefix != store.Default().Prefix {
		l.Places.Warn("store.prefix", fmt.Sprintf("%q has no effect on an SQLite store; remove it", l.Store.Prefix))
	}
}

// asksOthers reports whether a source of advisories besides the database is asked at
// advisories.refresh.
func (l *loaded) asksOthers() bool {
	a := l.Advisories
	remote := func(s source.Config) bool { return s.Feed != "" || s.Repository != "" }
	url := func(place string) bool { return strings.Contains(place, "://") }
	return slices.ContainsFunc(a.Sources, remote) || len(a.Java.Repositories) > 0 || url(a.EPSS) || url(a.KEV) || url(a.EOL) ||
		slices.ContainsFunc(a.VEX, func(v vex.Config) bool { return url(v.Path) })
}

// smallestImage is below what any image in use has.
const smallestImage = 1 << 20

// warnRefusesAll is about what can never admit a new image, whatever happens.
func (l *loaded) warnRefusesAll() {
	all := func(path, format string, args ...any) { l.Places.Warn(path, fmt.Sprintf(format, args...)) }
	switch {
	case len(l.Registries) == 0:
		all("registries", "no registry is configured: every image is refused as REGISTRY_NOT_TRUSTED; list the registries that your images come from")
	default:
		l.warnRepositories()
	}
	if l.used(needs[partAdvisories]...) && l.Advisories.Path == "" && len(l.Advisories.Repositories) == 0 {
		all("advisories.path", "there is no advisory data: new images stay PENDING and are never admitted; name a directory with trivy.db and metadata.json, or advisories.repositories to download it from (docs/advisories.md)")
	}
	if size := l.Scan.MaxImageBytes; size > 0 && size < smallestImage {
		all("scan.maxImageBytes", "%s is less than any image has: every image is refused as UNASSESSABLE", size)
	}
	if l.used(RoleAdmission) && len(l.Admission.Clusters) == 0 {
		all("admission.clusters", "the list is empty: no cluster may ask, every request is answered 401; name at least {name: default}")
	}
}

// warnRepositories looks for registries of which nothing may be admitted, and
// for patterns that no registry fits.
func (l *loaded) warnRepositories() {
	var refused []string
	rules := lookupOptions(l.Admission).Repositories
	for _, r := range l.Registries {
		if r.Name != "" && refusesAll(rules, r.Name) {
			refused = append(refused, r.Name)
		}
	}
	if len(refused) == len(l.Registries) {
		l.Places.Warn("admission.repositories", "no repository of any configured registry is allowed: every image is refused as REGISTRY_NOT_TRUSTED; allow some, as in {pattern: \"NAME/**\", admission: allowed} with the name of a registry")
		return
	}
	for i, rule := range rules {
		name, _, _ := strings.Cut(rule.Pattern, "/")
		fits := slices.ContainsFunc(l.Registries, func(r RegistryConfig) bool { ok, _ := doublestar.Match(name, r.Name); return ok })
		if !fits && !strings.ContainsAny(name, "*?[{\\") {
			l.Places.Warn(fmt.Sprintf("admission.repositories[%d].pattern", i),
				fmt.Sprintf("%q begins with %q, which is not the name of a configured registry: it matches nothing", rule.Pattern, name))
		}
	}
}

// refusesAll reports whether the rules let no repository of a registry in. It
// tries names that no pattern mentions: of the whole registry where nothing is
// allowed by name, otherwise of each pattern that allows.
func refusesAll(rules []lookup.RepositoryRule, registry string) bool {
	tried := []string{registry + "/**"}
	if slices.ContainsFunc(rules, func(r lookup.RepositoryRule) bool { return r.Allowed }) {
		tried = nil
	}
	for _, r := range rules {
		name, rest, _ := strings.Cut(r.Pattern, "/")
		if !r.Allowed {
			continue
		}
		if strings.ContainsAny(r.Pattern, "{[\\") {
			return false // it may fit
		}
		if fits, _ := doublestar.Match(name, registry); fits {
			tried = append(tried, registry+"/"+rest)
		}
	}
	denied := func(repository string) bool {
		return slices.ContainsFunc(rules, func(r lookup.RepositoryRule) bool {
			match, _ := doublestar.Match(r.Pattern, repository)
			return match && !r.Allowed
		})
	}
	for _, pattern := range tried {
		for _, some := range []string{"q7", "q7/q7", "q7/q7/q7"} {
			if !denied(strings.NewReplacer("**", some, "*", "q7", "?", "q").Replace(pattern)) {
				return false
			}
		}
	}
	return true
}

// warnRoles says what nobody does: an SQLite store belongs to one process.
func (l *loaded) warnRoles() {
	for _, text := range l.Config.undone() {
		l.Places.Warn("roles", text)
	}
	if l.used(roleWebhooks) && l.Listen.HTTP == "" && l.Listen.Webhooks == "" {
		l.Places.Warn("listen.webhooks", "the role webhooks has no listener: listen.http and listen.webhooks are both empty, so that no delivery arrives")
	}
	if l.used(roleAPI) && l.Listen.HTTP == "" {
		l.Places.Warn("listen.http", "the role api has no listener: listen.http is empty, so the API cannot be reached")
	}
}

// undone says what this process leaves undone that no other process can do.
func (c Config) undone() []string {
	if c.Store.Shared() {
		return nil
	}
	var texts []string
	for _, m := range c.missing() {
		texts = append(texts, fmt.Sprintf("the role %s is left out, and an SQLite store belongs to one process: %s; add it, or share a store on Redis with a process that has it", m.role, m.undone))
	}
	return texts
}

// missingRole is a role that a process does not have, and what is not done then.
type missingRole struct{ role, undone string }

// missing are the roles without which answers are not made or not kept current.
func (c Config) missing() []missingRole {
	all := []missingRole{
		{RoleWorker, "no image is ever analysed, so that new ones are never admitted"},
		{roleScheduler, "stored images are never matched again when advisories or policies change, schedules do not run and registries are not synchronised"},
	}
	return slices.DeleteFunc(all, func(m missingRole) bool { return c.used(m.role) })
}

// elsewhere are those that another process on a shared store must have.
func (c Config) elsewhere() []missingRole {
	if !c.Store.Shared() {
		return nil // nobody can
	}
	return c.missing()
}

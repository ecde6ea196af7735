package webhooks

import (
	"strings"

	"github.com/digestgate/digestgate/gate"
)

// Translate is r for a registry that names itself and its repositories
// otherwise in deliveries than in references to its images (Config.Hosts and
// Config.Repositories). Without such names it is r itself.
func Translate(r Receiver, c Config) Receiver {
	if len(c.Hosts) == 0 && len(c.Repositories) == 0 {
		return r
	}
	parse := r.Parse
	r.Parse = func(d Delivery) ([]gate.Push, error) {
		pushes, err := parse(d)
		for i := range pushes {
			pushes[i] = c.translate(pushes[i])
		}
		return pushes, err
	}
	return r
}

func (c Config) translate(p gate.Push) gate.Push {
	if p.Kind == gate.PushIgnored {
		return p
	}
	for _, host := range c.Hosts {
		if gate.CanonicalHost(host) == gate.CanonicalHost(p.Host) {
			p.Host = "" // as good as the registry's own; it is not used further
			break
		}
	}
	if len(c.Repositories) == 0 {
		return p
	}
	name, ok := c.rename(p.Repository)
	if !ok {
		ignored := gate.Ignored("repository %s is below none of those that webhook.repositories lists", gate.Quoted(p.Repository, 255))
		ignored.Repository = p.Repository
		return ignored
	}
	p.Repository = name
	return p
}

// rename replaces the longest listed beginning of whole parts of a name.
func (c Config) rename(repository string) (string, bool) {
	for end := len(repository); end > 0; end = strings.LastIndexByte(repository[:end], '/') {
		prefix, ok := c.Repositories[repository[:end]]
		if !ok {
			continue
		}
		rest := strings.TrimPrefix(repository[end:], "/")
		switch {
		case prefix == "":
			return rest, true
		case rest == "":
			return prefix, true
		}
		return prefix + "/" + rest, true
	}
	return "", false
}

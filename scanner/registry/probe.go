package registry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/outbound"
)

const (
	// probeTimeout bounds a whole connection test.
	probeTimeout = 25 * time.Second
	// probeRepositories is how many repositories are looked into for a tag.
	probeRepositories = 5
)

// Probe tests the connection to a registry step by step (reachability,
// certificate, login, catalog, pull) and says for each what works and what to
// do otherwise. It reads lists, one image's manifest and the beginning of one
// blob, because a registry may send for content to another host than its own.
// repository is where a manifest is looked for, "" for one that the registry
// lists. Error: gate.ErrNotFound for a registry that is not
// configured.
func (c *Client) Probe(ctx context.Context, registry, repository string) ([]gate.ProbeStep, error) {
	s, ok := c.named(registry)
	if !ok {
		return nil, fmt.Errorf("testing registry %s, which is not configured: %w", gate.Quoted(registry, 80), gate.ErrNotFound)
	}
	if repository != "" {
		if err := checkRepository(repository); err != nil {
			return nil, err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	p := &prober{session: s}
	p.step("reachability", func() gate.ProbeStep { return p.reach(ctx) })
	p.step("certificate", func() gate.ProbeStep { return p.certificate(ctx) })
	p.step("login", func() gate.ProbeStep { return p.login(ctx) })
	if p.failed && !p.refused {
		p.skip("catalog", "pull")
		return p.steps, nil
	}
	// A registry may refuse a login without a scope and permit a pull.
	p.failed = false
	p.step("catalog", func() gate.ProbeStep { return p.catalog(ctx) })
	p.failed = false // a list is not needed to pull
	p.step("pull", func() gate.ProbeStep { return p.pull(ctx, repository) })
	return p.steps, nil
}

type prober struct {
	*session
	steps   []gate.ProbeStep
	failed  bool     // a step that the others need
	refused bool     // the registry answered, and took no login
	listed  []string // repositories that may hold a tag
}

func (p *prober) step(name string, run func() gate.ProbeStep) {
	if p.failed {
		p.skip(name)
		return
	}
	step := run()
	step.Name, p.failed = name, step.Result == gate.ProbeFailed
	step.Text, step.Advice = gate.Printable(step.Text, 600), gate.Printable(step.Advice, 600)
	p.steps = append(p.steps, step)
}

func (p *prober) skip(list ...string) {
	for _, name := range list {
		p.steps = append(p.steps, gate.ProbeStep{Name: name, Result: gate.ProbeSkipped, Text: "needs the steps before it"})
	}
}

func fine(format string, args ...any) gate.ProbeStep {
	return gate.ProbeStep{Result: gate.ProbeOK, Text: fmt.Sprintf(format, args...)}
}

func warning(advice, format string, args ...any) gate.ProbeStep {
	return gate.ProbeStep{Result: gate.ProbeWarning, Text: fmt.Sprintf(format, args...), Advice: advice}
}

func failed(advice, format string, args ...any) gate.ProbeStep {
	return gate.ProbeStep{Result: gate.ProbeFailed, Text: fmt.Sprintf(format, args...), Advice: advice}
}

// reach resolves the name and connects, through the guard.
func (p *prober) reach(ctx context.Context) gate.ProbeStep {
	host, _, err := net.SplitHostPort(p.origin)
	if err != nil {
		return failed("correct host", "%v", err)
	}
	ctx, cancel := context.WithTimeout(ctx, p.wait.connect)
	defer cancel()
	addresses, err := p.guard.LookupNetIP(ctx, host)
	if err != nil {
		return failed("check host and the name service of this machine or cluster", "the name %q cannot be resolved: %v", host, err)
	}
	for i := range addresses {
		addresses[i] = addresses[i].Unmap()
	}
	began := time.Now()
	conn, err := p.guard.DialContext(ctx, "tcp", p.origin)
	var blocked *outbound.BlockedError
	switch {
	case errors.As(err, &blocked):
		return failed("use the registry's own host name or address in host", "%v", blocked)
	case err != nil:
		return failed("check the port in host, firewalls and network policies between this process and the registry",
			"%q (%v) cannot be connected to: %v", p.origin, addresses, err)
	}
	_ = conn.Close()
	return fine("%s is reached at %s in %s", p.origin, conn.RemoteAddr(), time.Since(began).Round(time.Millisecond))
}

// login asks for the root of the API, which is what docker login does.
func (p *prober) login(ctx context.Context) gate.ProbeStep {
	l, err := p.secrets.get(ctx, "")
	known := l != (login{})
	if err != nil {
		p.refused = true
		return failed("repair the file or the helper that the credentials come from", "%v", err)
	}
	err = p.retry(ctx, func() error {
		res, err := p.sendTo(ctx, &call{}, http.MethodGet, &url.URL{Path: "/v2/"}, nil, http.StatusOK)
		if err == nil {
			closeBody(res)
		}
		return err
	})
	if err != nil {
		return p.loginFailed(err, known)
	}
	switch {
	case known && p.asked():
		return fine("the credentials are accepted")
	case known:
		return warning("", "the registry did not ask for the credentials: the pull below shows whether they are needed")
	}
	return fine("no credentials are configured and none are wanted so far")
}

// asked reports whether the registry has wanted a login yet.
func (p *prober) asked() bool {
	_, token := p.tokens.get((&call{}).scope())
	return token || p.basic.Load()
}

func (p *prober) loginFailed(err error, known bool) gate.ProbeStep {
	var realm *realmError
	switch {
	case errors.As(err, &realm):
		p.refused = true
		return failed(fmt.Sprintf("if %s belongs to the registry, add it to tokenHosts: the credentials will be sent there", gate.Printable(realm.host, 100)),
			"the registry sends its clients to %s for tokens, and nothing was sent there", gate.Quoted(realm.host, 100))
	case errors.Is(err, gate.ErrRegistryAuth) && known:
		p.refused = true
		return failed("check user and password; for a robot account also its expiry, and that the name is complete (robot$name)", "%v", err)
	case errors.Is(err, gate.ErrRegistryAuth):
		p.refused = true
		return failed("configure username and passwordFile, or credentials", "%v", err)
	case errors.Is(err, gate.ErrNotFound):
		return failed("check host: a registry answers at https://HOST/v2/; some products want a name of their own for each repository", "%v", err)
	}
	return failed("", "%v", err)
}

// catalog lists the repositories as a synchronisation does, but not to the end.
func (p *prober) catalog(ctx context.Context) gate.ProbeStep {
	list, err := p.repositories(ctx, pageSize)
	p.listed = list.Names
	const name = "name repositories in include without wildcards"
	switch {
	case err != nil:
		p.listed = p.configured()
		advice := "for a synchronisation give the account the permission to list repositories, or " + name
		return failed(advice, "%v", err)
	case list.Note != "" && len(list.Names) == 0:
		return warning(name+" to have them synchronised", "%s", list.Note)
	case len(list.Names) == 0:
		return warning("check include and exclude, and what the account may see", "no repository is listed")
	case withoutCatalog(p.cfg.Type):
		return fine("%d repositories are named in include", len(list.Names))
	case !list.Complete:
		return fine("%d repositories and more", len(list.Names))
	}
	return fine("%d repositories", len(list.Names))
}

// pull asks for the digest of one tag, and for the content behind it.
func (p *prober) pull(ctx context.Context, repository string) gate.ProbeStep {
	candidates := p.listed[:min(len(p.listed), probeRepositories)]
	if repository != "" {
		candidates = []string{repository}
	}
	if len(candidates) == 0 {
		return gate.ProbeStep{Result: gate.ProbeSkipped, Text: "no repository is known to look into", Advice: "name one in the test"}
	}
	var last error
	for _, repo := range candidates {
		tags, err := p.tags(ctx, repo)
		if err != nil {
			last = err
			continue
		}
		for _, t := range tags.Tags[:min(len(tags.Tags), 1)] {
			d, said, err := p.head(ctx, repo, t.Tag)
			if err != nil {
				last = err
				continue
			}
			if err := p.content(ctx, repo, t.Tag); err != nil {
				return contentFailed(repo+":"+t.Tag, err)
			}
			if !said {
				return warning("", "%s:%s can be read; the registry does not answer HEAD with its digest, so that each check reads the manifest", repo, t.Tag)
			}
			return fine("%s:%s is %s and can be read", repo, t.Tag, d)
		}
	}
	switch {
	case errors.Is(last, gate.ErrRegistryAuth):
		return failed("give the account the permission to pull", "%v", last)
	case last != nil:
		return failed("", "%v", last)
	}
	return gate.ProbeStep{Result: gate.ProbeSkipped, Text: fmt.Sprintf("no tag was found in %d repositories", len(candidates)), Advice: "push an image, or name a repository in the test"}
}

// content reads the manifest of a tag, of an index one of its manifests too,
// and the first byte of a layer. What cannot be judged says nothing about the
// connection.
func (p *prober) content(ctx context.Context, repo, ref string) error {
	for range 2 {
		raw, err := p.readManifest(ctx, repo, ref)
		if err != nil {
			return err
		}
		d, err := parseDocument(raw.contentType, raw.body)
		switch {
		case err != nil || d.artifact:
			return nil
		case d.index && (len(d.Manifests) == 0 || !d.Manifests[0].Digest.Valid()):
			return nil
		case d.index:
			ref = string(d.Manifests[0].Digest)
			continue
		}
		blob := d.Config // where a layer is, it is what is sent elsewhere
		if len(d.Layers) > 0 && len(d.Layers[0].URLs) == 0 {
			blob = d.Layers[0]
		}
		if checkBlob(blob.Digest, blob.Size) != nil || blob.Size == 0 {
			return nil
		}
		b, err := p.openBlob(ctx, probeBody, repo, blob.Digest, blob.Size)
		if err != nil {
			return err
		}
		defer b.Close()
		if _, err := b.Read(make([]byte, 1)); err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		return nil
	}
	return nil
}

func contentFailed(image string, err error) gate.ProbeStep {
	if errors.Is(err, gate.ErrRegistryRefused) {
		return failed("name another repository in the test to learn whether others can be read", "the content of %s cannot be read: %v", image, err)
	}
	if errors.Is(err, gate.ErrRegistryAuth) {
		return failed("give the account the permission to pull", "the content of %s cannot be read: %v", image, err)
	}
	return failed("a scan reads the same way. A host of the registry's own store in a private network goes in blobHosts; one with an authority of its own needs caFile too",
		"%s is there, but its content cannot be read: %v", image, err)
}

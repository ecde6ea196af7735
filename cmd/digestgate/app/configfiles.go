package app

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/api"
	"github.com/digestgate/digestgate/gate/notify"
	"github.com/digestgate/digestgate/gate/outbound"
	"github.com/digestgate/digestgate/policy"
	"github.com/digestgate/digestgate/scanner/advisory"
	"github.com/digestgate/digestgate/scanner/joined"
	"github.com/digestgate/digestgate/store"
	"github.com/digestgate/digestgate/store/redis"
)

// used reports whether this process does one of the roles.
func (c Config) used(roles ...string) bool {
	return slices.ContainsFunc(roles, func(r string) bool { return slices.Contains(c.Roles, r) })
}

// note is a finding about a file; where only roles use it that this process
// does not have, it is a warning.
func (l *loaded) note(path string, err error, roles ...string) {
	for _, text := range separate(err) {
		if len(roles) == 0 || l.used(roles...) {
			l.Places.Add(path, text)
			continue
		}
		l.Places.Warn(path, text+"; this process does not use it (roles)")
	}
}

// openFiles reads what a server needs at its start: what the parts have not
// read when they were validated.
func (l *loaded) openFiles() {
	l.openPair("http.tls", l.HTTP.TLS.CertFile, l.HTTP.TLS.KeyFile, roleWebhooks, roleAPI)
	t := l.Admission.TLS
	l.openPair("admission.tls", t.CertFile, t.KeyFile, RoleAdmission)
	l.openAuthorities("admission.tls.clientCAFile", t.ClientCAFile, RoleAdmission)
	if file := l.Auth.AdminTokenFile; file != "" {
		l.note("auth.adminTokenFile", api.CheckToken(file))
	}
	l.openStoreFiles()
}

func (l *loaded) openStoreFiles() {
	c := l.Store
	if !c.Shared() {
		return // which refuses the files
	}
	if c.PasswordFile != "" {
		text, err := gate.ReadSmallFile(c.PasswordFile)
		if err == nil && strings.TrimSpace(string(text)) == "" {
			err = fmt.Errorf("%q is empty; write the password of Redis into it", c.PasswordFile)
		}
		l.note("store.passwordFile", err)
	}
	l.openAuthorities("store.caFile", c.CAFile)
	if c.MACKeyFile != "" {
		_, err := redis.ReadKeys(c.MACKeyFile)
		l.note("store.macKeyFile", err)
	}
	if t, err := store.ParseRedis(c.URL); err == nil && t.SentinelPasswordFile != "" {
		_, err := gate.ReadSmallFile(t.SentinelPasswordFile)
		l.note("store.url", err)
	}
}

func (l *loaded) openPair(path, certFile, keyFile string, roles ...string) {
	if certFile == "" || keyFile == "" {
		return // one alone is refused
	}
	certificate, certErr := gate.ReadSmallFile(certFile)
	l.note(path+".certFile", certErr, roles...)
	key, keyErr := gate.ReadSmallFile(keyFile)
	l.note(path+".keyFile", keyErr, roles...)
	if certErr != nil || keyErr != nil {
		return
	}
	pair, err := tls.X509KeyPair(certificate, key)
	if err != nil {
		err = fmt.Errorf("%q and %q are not a certificate and its key in PEM: %w", certFile, keyFile, err)
		l.note(path+".certFile", err, roles...)
		return
	}
	if pair.Leaf != nil && time.Now().After(pair.Leaf.NotAfter) {
		l.Places.Warn(path+".certFile", fmt.Sprintf("the certificate in %q expired on %s; callers will refuse it", certFile, pair.Leaf.NotAfter.UTC().Format(time.RFC3339)))
	}
}

func (l *loaded) openAuthorities(path, file string, roles ...string) {
	if file == "" {
		return
	}
	text, err := gate.ReadSmallFile(file)
	if err == nil && !x509.NewCertPool().AppendCertsFromPEM(text) {
		err = fmt.Errorf("%q holds no certificate in PEM", file)
	}
	l.note(path, err, roles...)
}

// OpenAll opens everything else that is named, for `config check`: a server
// starts without advisory data and follows it, and tries policies itself.
func (l *loaded) OpenAll(ctx context.Context) {
	l.openFiles()
	l.openPolicies(ctx)
	l.openAdvisories(ctx)
	l.openTables(ctx)
	l.openTargets(ctx)
	for i, r := range l.Registries {
		if r.Webhook.Enabled() {
			for file, text := range r.Webhook.ShortSecrets() {
				l.Places.Warn(fmt.Sprintf("registries[%d].webhook.secretFiles[%d]", i, file), text)
			}
		}
		helper := r.Credentials.Helper
		if helper == "" {
			continue
		}
		if _, err := exec.LookPath("docker-credential-" + helper); errors.Is(err, exec.ErrNotFound) {
			l.note(fmt.Sprintf("registries[%d].credentials.helper", i),
				fmt.Errorf("the program docker-credential-%s is not on the PATH; install it, or use another way for credentials", helper), needs[partSource]...)
		}
	}
}

// openTargets warns of targets of notifications that cannot be used, with their files and
// templates: the gate works without them, and a
// server says so itself when it opens them. Nothing is connected to.
func (l *loaded) openTargets(ctx context.Context) {
	allow, err := outbound.ParseAllow(l.Outbound.Allow)
	if err != nil {
		return // which is refused
	}
	targets := notify.Targets{Maker: notify.Maker{Vendors: Notifiers(), Allow: allow, Link: l.HTTP.ExternalURL, Now: time.Now}}
	for i, c := range l.Notifications {
		if err := targets.Check(ctx, notify.FromFile(c)); err != nil {
			l.Places.Warn(fmt.Sprintf("notifications[%d]", i), fmt.Sprintf("this target cannot be used as it is set: %s", gate.Sentence(err)))
		}
	}
}

// openPolicies tries the policies as a server does before it uses them.
func (l *loaded) openPolicies(ctx context.Context) {
	files, err := policy.Read(l.Policy.Paths)
	var set *policy.Set
	if err == nil {
		set, err = TryPolicies(ctx, files)
	}
	var problems policy.Problems
	if errors.As(err, &problems) {
		for _, p := range problems {
			l.note("policy.paths", errors.New(p.String()), needs[partPolicies]...)
		}
		return
	}
	l.note("policy.paths", err, needs[partPolicies]...)
	if set == nil {
		return
	}
	for _, always := range set.Always() {
		l.Places.Warn("policy.paths", always+" denies without any condition: every image is refused as POLICY")
	}
}

// openTables reads the files that are joined to findings, and looks at the places of
// other sources of advisories.
func (l *loaded) openTables(ctx context.Context) {
	c := l.Advisories
	for _, p := range joined.CheckFiles(ctx, joined.Options{EPSS: c.EPSS, KEV: c.KEV, EOL: c.EOL, VEX: c.VEX, Now: time.Now}) {
		l.note("advisories."+p.Key, errors.New(gate.Sentence(p.Err)), needs[partTables]...)
	}
	if c.Java.Path != "" {
		_, err := advisory.InspectJava(ctx, c.Java.Path, time.Now())
		l.note("advisories.java.path", err, needs[partAdvisories]...)
	}
	for i, s := range c.Sources {
		if s.Path == "" {
			continue
		}
		f, err := os.Open(s.Path)
		if err == nil {
			_, err = f.Stat()
			f.Close()
		}
		if err == nil {
			if _, missing := os.Stat(filepath.Join(s.Path, "trivy.db")); missing == nil {
				_, err = advisory.Inspect(ctx, s.Path, time.Now())
			}
		}
		l.note(fmt.Sprintf("advisories.sources[%d].path", i), err, needs[partAdvisories]...)
	}
}

// openAdvisories checks the database completely, as a server does before it
// uses it.
func (l *loaded) openAdvisories(ctx context.Context) {
	c := l.Advisories
	if c.Path == "" {
		return // the warning is that of a configuration that admits nothing
	}
	db, err := advisory.Inspect(ctx, c.Path, time.Now())
	if err != nil {
		l.note("advisories.path", err, needs[partAdvisories]...)
		return
	}
	if old := c.TooOld(db.UpdatedAt, time.Now()); old != "" {
		l.Places.Warn("advisories.path", fmt.Sprintf("the data in %q is of %s, %s", c.Path, db.UpdatedAt.UTC().Format(time.RFC3339), old))
	}
}

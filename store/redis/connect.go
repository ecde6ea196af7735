package redis

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/store"
)

// quiet keeps the client from writing to standard error by itself: what goes
// wrong comes back as an error, and is logged by whoever asked.
var quiet = sync.OnceFunc(func() { redis.SetLogger(silence{}) })

type silence struct{}

func (silence) Printf(context.Context, string, ...any) {}

// use is what connections are for.
type use int

const (
	forWork use = iota
	forAdmission
)

// dialing is how connections are made.
type dialing struct {
	target   store.RedisTarget
	username string
	password string // a file
	sentinel string // the sentinels' password
	tls      *tls.Config
}

func newDialing(c store.Config, target store.RedisTarget) (dialing, error) {
	d := dialing{target: target, username: target.Username, password: c.PasswordFile}
	if d.username == "" {
		d.username = c.Username
	}
	if target.SentinelPasswordFile != "" {
		text, err := gate.ReadSmallFile(target.SentinelPasswordFile)
		if err != nil {
			return d, fmt.Errorf("reading the sentinels' password: %w: %w", gate.ErrInvalid, err)
		}
		d.sentinel = strings.TrimSpace(string(text))
	}
	if !target.TLS {
		return d, nil
	}
	d.tls = &tls.Config{MinVersion: tls.VersionTLS12}
	if c.CAFile == "" {
		return d, nil
	}
	pem, err := gate.ReadSmallFile(c.CAFile)
	if err != nil {
		return d, fmt.Errorf("reading store.caFile: %w: %w", gate.ErrInvalid, err)
	}
	d.tls.RootCAs = x509.NewCertPool()
	if !d.tls.RootCAs.AppendCertsFromPEM(pem) {
		return d, fmt.Errorf("store.caFile %q holds no certificate in PEM: %w", c.CAFile, gate.ErrInvalid)
	}
	return d, nil
}

// credentials are read for each connection, so that a new password is used
// without a restart.
func (d dialing) credentials(context.Context) (username, password string, err error) {
	if d.password == "" {
		return d.username, "", nil
	}
	text, err := gate.ReadSmallFile(d.password)
	if err != nil {
		return "", "", fmt.Errorf("reading store.passwordFile: %w", err)
	}
	return d.username, strings.TrimSpace(string(text)), nil
}

// limits of connections. Admission has 500 ms for its read (DESIGN.md §7); what
// works in the background may wait longer, and moves inventories of many
// megabytes.
func (u use) limits() (timeout time.Duration, connections, retries int) {
	if u == forAdmission {
		return 500 * time.Millisecond, 32, 1
	}
	return 10 * time.Second, 64, 3
}

// client makes the client for a use. Every option that has a default which harms
// is set here and nowhere else: without ContextTimeoutEnabled a server that
// accepts and never answers holds a call for 5 s whatever its context says, and
// maintenance notifications are a command that Redis before 8 and Valkey do not
// know. CLIENT SETINFO is left out for the same reason, and because an ACL that
// is good for every version could not name it.
func (d dialing) client(u use) redis.UniversalClient {
	timeout, connections, retries := u.limits()
	o := &redis.UniversalOptions{
		Addrs: d.target.Addrs, DB: d.target.Database, MasterName: d.target.Master, IsClusterMode: d.target.Kind == store.RedisCluster,
		ClientName: "digestgate", DisableIdentity: true, TLSConfig: d.tls,
		CredentialsProviderContext: d.credentials,
		SentinelUsername:           d.target.SentinelUsername, SentinelPassword: d.sentinel,
		DialTimeout: min(timeout, 2*time.Second), ReadTimeout: timeout, WriteTimeout: timeout, PoolTimeout: timeout,
		ContextTimeoutEnabled: true,
		MaxRetries:            retries, MinRetryBackoff: 10 * time.Millisecond, MaxRetryBackoff: 300 * time.Millisecond,
		PoolSize: connections, MinIdleConns: 1, ConnMaxIdleTime: 5 * time.Minute,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	}
	if d.tls != nil {
		o.Dialer = d.dialTLS(o.DialTimeout)
	}
	return redis.NewUniversalClient(o)
}

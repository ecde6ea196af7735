package notify

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/notify/text"
	"github.com/digestgate/digestgate/gate/outbound"
)

// tryTimeout is of one try: a chat answers in less than a second.
const tryTimeout = 10 * time.Second

// Secrets are what a target is reached with. They are never shown.
type Secrets struct {
	URL      string `json:"url,omitempty"`
	Secret   string `json:"secret,omitempty"`
	Password string `json:"password,omitempty"`
}

// Definition is a target with everything that it takes to use it.
type Definition struct {
	Config
	Secrets Secrets
	CA      []byte // PEM
	// File: it is in the configuration file.
	File bool
	// Problem says why it cannot be used, "" when it can.
	Problem string
}

// fingerprint changes with everything that matters to what sends.
func (d Definition) fingerprint() string {
	value, _ := json.Marshal(struct {
		C Config
		S Secrets
		A []byte
		F bool
		P string
	}{d.Config, d.Secrets, d.CA, d.File, d.Problem})
	sum := sha256.Sum256(value)
	return hex.EncodeToString(sum[:])
}

// target is a definition that is open: it can be sent to.
type target struct {
	Definition
	vendor   Vendor
	template *text.Template
	sender   Sender
	// templateProblem is why the shipped template is used instead of that of the target.
	templateProblem error
}

// Maker opens targets.
type Maker struct {
	Vendors []Vendor
	// Allow is the rule for targets that were set at run time.
	Allow outbound.Allow
	// Link is where the installation is reached, "" when that is not known.
	Link string
	Now  func() time.Time
	// Dialed and Adjust are for tests: Adjust may change how a target is reached.
	Dialed func(target string)
	Adjust func(*Access)
}

// open makes a definition usable, and tries its template; that of a file which does not
// work is passed over. gate.ErrInvalid: the definition is not sound; the text has no secret.
func (k *Maker) open(ctx context.Context, d Definition) (*target, error) {
	v, ok := Find(k.Vendors, d.Type)
	if !ok {
		return nil, fmt.Errorf("type: got %s: %w", gate.Quoted(d.Type, 40), gate.ErrInvalid)
	}
	t := &target{Definition: d, vendor: v}
	t.Config = d.Config.WithDefaults()
	if d.Problem != "" {
		return nil, fmt.Errorf("%s: %w", d.Problem, gate.ErrInvalid)
	}
	if d.Template != "" {
		parsed, err := text.Parse(d.Template)
		if err == nil {
			err = try(ctx, v, parsed, k.Now())
		}
		switch {
		case err == nil:
			t.template = parsed
		case d.File && !errors.Is(err, gate.ErrTimeout): // an edit of a file stops no messages
			t.templateProblem = err
		default:
			return nil, err
		}
	}
	a := Access{
		URL: d.Secrets.URL, Secret: []byte(d.Secrets.Secret), Password: d.Secrets.Password, Timeout: tryTimeout, Source: k.Link, Dialed: k.Dialed,
		Mail: Mail{Server: d.Mail.Server, TLS: t.Mail.TLS, Username: d.Mail.Username, From: d.Mail.From, To: d.Mail.To, ClearCredentials: d.Mail.ClearCredentials},
	}
	if !d.File {
		a.Allow = &k.Allow
	}
	if len(d.CA) > 0 {
		roots := x509.NewCertPool()
		if !roots.AppendCertsFromPEM(d.CA) {
			return nil, fmt.Errorf("caFile: it holds no certificate in PEM: %w", gate.ErrInvalid)
		}
		a.TLS = &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
	}
	if k.Adjust != nil {
		k.Adjust(&a)
	}
	var err error
	t.sender, err = v.Open(a)
	return t, err
}

// FromFile reads the files that an entry of the configuration file names. A file that
// cannot be read is a problem of its target only.
func FromFile(c Config) Definition {
	d := Definition{Config: c, File: true}
	read := func(key, path string) string {
		if path == "" || d.Problem != "" {
			return ""
		}
		raw, err := gate.ReadSmallFile(path)
		if err == nil {
			raw, err = gate.SecretText(raw)
		}
		switch {
		case err != nil:
			d.Problem = fmt.Sprintf("%s: %v", key, err)
		case len(raw) == 0:
			d.Problem = fmt.Sprintf("%s: the file %s is empty", key, gate.Quoted(path, 200))
		}
		return string(raw)
	}
	d.Secrets = Secrets{URL: read("urlFile", c.URLFile), Secret: read("secretFile", c.SecretFile), Password: read("mail.passwordFile", c.Mail.PasswordFile)}
	d.CA = []byte(read("caFile", c.CAFile))
	if c.TemplateFile != "" {
		d.Template, d.TemplateFile = read("templateFile", c.TemplateFile), "" // the text stands for the file from here on
	}
	return d
}

// deliver makes one try of a message.
func (t *target) deliver(ctx context.Context, m *Message, now time.Time) (answer Answer, took time.Duration, templateFailed error, err error) {
	l, templateFailed := render(ctx, t.vendor, t.template, m, now)
	began := time.Now()
	ctx, cancel := context.WithTimeout(ctx, tryTimeout+time.Second)
	defer cancel()
	answer, err = t.sender.Send(ctx, l)
	return answer, time.Since(began), templateFailed, err
}

package notify

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/bmatcuk/doublestar/v4"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/notify/text"
)

// Config is one entry of the list "notifications" of the configuration: one target. Its
// zero values are the defaults of [Config.WithDefaults].
type Config struct {
	// Name identifies the target: lower-case letters, digits and hyphens, at most 63.
	Name string `yaml:"name" json:"name"`
	// Type is that of a [Vendor].
	Type string `yaml:"type" json:"type"`
	// URLFile holds the address that is posted to, which is a secret; SecretFile what
	// messages are signed with, "" for nothing. CAFile holds the authorities that the
	// target's certificate is checked with, "" for those of the system.
	URLFile    string `yaml:"urlFile" json:"-"`
	SecretFile string `yaml:"secretFile" json:"-"`
	CAFile     string `yaml:"caFile" json:"-"`
	// Mail is for the type mail.
	Mail MailConfig `yaml:"mail" json:"mail,omitzero"`

	// Events are what the target is sent messages about; empty is all.
	Events []Event `yaml:"events" json:"events,omitempty"`
	// OnlyDenied leaves out verdicts that flip to something else than deny.
	OnlyDenied bool `yaml:"onlyDenied" json:"onlyDenied,omitempty"`
	// MinSeverity and OnlyFixable are about findings: the lowest severity, "" for all, and
	// whether a fixed version has to be known.
	MinSeverity gate.Severity `yaml:"minSeverity" json:"minSeverity,omitempty"`
	OnlyFixable bool          `yaml:"onlyFixable" json:"onlyFixable,omitempty"`
	// FirstScans adds what the first scan of an image finds. Otherwise messages are about
	// what became different of images that were known.
	FirstScans bool `yaml:"firstScans" json:"firstScans,omitempty"`
	// Registries (names) and Repositories (patterns as in registries.include) limit which
	// images messages are about; empty is all. Running: only those that admission was
	// asked for lately.
	Registries   []string `yaml:"registries" json:"registries,omitempty"`
	Repositories []string `yaml:"repositories" json:"repositories,omitempty"`
	Running      bool     `yaml:"running" json:"running,omitempty"`

	// Gather is for how long changes are gathered for one message, from the first one;
	// 0 is DefaultGather. A day makes a daily digest.
	Gather time.Duration `yaml:"gather" json:"gather,omitempty"`
	// MaxAge is after how long an undelivered message is given up; 0 is DefaultMaxAge.
	MaxAge time.Duration `yaml:"maxAge" json:"maxAge,omitempty"`
	// Template is the text of a template, TemplateFile a file with one; both "" for the
	// shipped one.
	Template     string `yaml:"template" json:"template,omitempty"`
	TemplateFile string `yaml:"templateFile" json:"-"`
}

// MailConfig is how mail is sent.
type MailConfig struct {
	Server           string   `yaml:"server" json:"server,omitempty"` // host:port
	TLS              string   `yaml:"tls" json:"tls,omitempty"`       // starttls (the default), tls or none
	Username         string   `yaml:"username" json:"username,omitempty"`
	PasswordFile     string   `yaml:"passwordFile" json:"-"`
	From             string   `yaml:"from" json:"from,omitempty"`
	To               []string `yaml:"to" json:"to,omitempty"`
	ClearCredentials bool     `yaml:"clearCredentials" json:"clearCredentials,omitempty"` // with tls none, and said
}

// The defaults and bounds of times.
const (
	// DefaultGather: a new generation reaches the images that run within seconds, all of
	// 100,000 within three minutes, which makes one message or three.
	DefaultGather = time.Minute
	MinGather     = time.Second
	MaxGather     = 7 * 24 * time.Hour
	DefaultMaxAge = 24 * time.Hour
	MinMaxAge     = time.Minute
	MaxMaxAge     = 30 * 24 * time.Hour
	// MaxTargets bounds both lists together.
	MaxTargets = 50
	maxPattern = 255
	maxScope   = 100
)

var namePattern = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,62}$`)

// ReservedName is a word of the API's paths, and no name.
const ReservedName = "deliveries"

// Default is the list without any target.
func Default() []Config { return []Config{} }

// SetDefaults is called for each entry of the configuration file before it is read.
func (c *Config) SetDefaults() { c.Gather, c.MaxAge = DefaultGather, DefaultMaxAge }

// WithDefaults fills in what is not written.
func (c Config) WithDefaults() Config {
	if len(c.Events) == 0 {
		c.Events = Events()
	}
	if c.Gather == 0 {
		c.Gather = DefaultGather
	}
	if c.MaxAge == 0 {
		c.MaxAge = DefaultMaxAge
	}
	if c.Mail.TLS == "" {
		c.Mail.TLS = TLSStart
	}
	return c
}

// Validate reports every problem of a list of the configuration file with its key, such
// as "notifications[0].type". Files are read when targets are opened, not here.
func Validate(list []Config, vendors []Vendor) error {
	var problems []error
	seen := map[string]bool{}
	for i, c := range list {
		for _, err := range c.problems(vendors, true) {
			problems = append(problems, fmt.Errorf("notifications[%d].%w: %w", i, err, gate.ErrInvalid))
		}
		if c.Name != "" && seen[c.Name] {
			problems = append(problems, fmt.Errorf("notifications[%d].name: %s is used twice; choose another name: %w", i, gate.Quoted(c.Name, 70), gate.ErrInvalid))
		}
		seen[c.Name] = true
	}
	if len(list) > MaxTargets {
		problems = append(problems, fmt.Errorf("notifications: there are %d targets, more than %d; remove some: %w", len(list), MaxTargets, gate.ErrInvalid))
	}
	return errors.Join(problems...)
}

// problems are those of one target; each begins with its key. In a file secrets are files.
func (c Config) problems(vendors []Vendor, file bool) (list []error) {
	bad := func(key, format string, args ...any) {
		list = append(list, fmt.Errorf("%s: %s", key, fmt.Sprintf(format, args...)))
	}
	switch {
	case !namePattern.MatchString(c.Name):
		bad("name", "got %s, want lower-case letters, digits and hyphens, at most 63", gate.Quoted(c.Name, 70))
	case c.Name == ReservedName:
		bad("name", "%q is a word in the paths of the API; choose another name", c.Name)
	}
	v, ok := Find(vendors, c.Type)
	if !ok {
		bad("type", "got %s, want one of %s", gate.Quoted(c.Type, 40), strings.Join(Types(vendors), ", "))
	}
	if ok && file {
		c.fileProblems(v, bad)
	}
	c.thresholdProblems(bad)
	switch {
	case c.Gather != 0 && (c.Gather < MinGather || c.Gather > MaxGather):
		bad("gather", "%s is not between %s and %s", c.Gather, MinGather, MaxGather)
	}
	if c.MaxAge != 0 && (c.MaxAge < MinMaxAge || c.MaxAge > MaxMaxAge) {
		bad("maxAge", "%s is not between %s and %s", c.MaxAge, MinMaxAge, MaxMaxAge)
	}
	if c.Template != "" && c.TemplateFile != "" {
		bad("templateFile", "template is set too; leave out one of them")
	}
	if c.Template != "" {
		if _, err := text.Parse(c.Template); err != nil {
			bad("template", "%v", err)
		}
	}
	return list
}

func (c Config) fileProblems(v Vendor, bad func(key, format string, args ...any)) {
	switch {
	case v.Mail && c.Mail.Server == "":
		bad("mail.server", "empty; give host:port of a mail server")
	case v.Mail && c.URLFile != "":
		bad("urlFile", "a target of the type %s has no address; its server is mail.server", v.Type)
	case !v.Mail && c.URLFile == "":
		bad("urlFile", "empty; name a file that holds the webhook address, which is a secret")
	case !v.Mail && (c.Mail.Server != "" || len(c.Mail.To) > 0):
		bad("mail", "only for the type mail")
	}
	if c.SecretFile != "" && !v.TakesSecret {
		bad("secretFile", "messages of the type %s are not signed; leave it out", v.Type)
	}
}

func (c Config) thresholdProblems(bad func(key, format string, args ...any)) {
	for i, e := range c.Events {
		switch {
		case e == "exceptions":
			bad(fmt.Sprintf("events[%d]", i), "this version has no exceptions, so none can expire; leave it out")
		case !slices.Contains(Events(), e):
			bad(fmt.Sprintf("events[%d]", i), "got %s, want one of %s", gate.Quoted(string(e), 40), joined(Events()))
		}
	}
	if c.MinSeverity != "" && !slices.Contains(gate.Severities(), c.MinSeverity) {
		bad("minSeverity", "got %s, want one of %s", gate.Quoted(string(c.MinSeverity), 40), joined(gate.Severities()))
	}
	if len(c.Registries) > maxScope || len(c.Repositories) > maxScope {
		bad("registries", "more than %d entries here or in repositories; leave some out", maxScope)
	}
	for i, r := range c.Registries {
		if r == "" || len(r) > 63 {
			bad(fmt.Sprintf("registries[%d]", i), "got %s, want the name of a registry", gate.Quoted(r, 70))
		}
	}
	for i, p := range c.Repositories {
		if p == "" || len(p) > maxPattern || !doublestar.ValidatePattern(p) {
			bad(fmt.Sprintf("repositories[%d]", i), "got %s, want a pattern such as team/**", gate.Quoted(p, 70))
		}
	}
}

func joined[T ~string](list []T) string {
	words := make([]string, len(list))
	for i, w := range list {
		words[i] = string(w)
	}
	return strings.Join(words, ", ")
}

// Find is the vendor of a type.
func Find(vendors []Vendor, name string) (Vendor, bool) {
	i := slices.IndexFunc(vendors, func(v Vendor) bool { return v.Type == name })
	if i < 0 {
		return Vendor{}, false
	}
	return vendors[i], true
}

// Types are the names of vendors, in their order.
func Types(vendors []Vendor) []string {
	list := make([]string, len(vendors))
	for i, v := range vendors {
		list[i] = v.Type
	}
	return list
}

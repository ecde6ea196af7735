package app

import (
	"fmt"
	"log/slog"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/store"
)

// sayStart writes the first lines of a server's log: what runs here, read from
// where. They come before anything that can take long or fail.
func (l *loaded) sayStart(log *slog.Logger, version, file string) {
	if file == "" {
		file = "none, defaults only"
	}
	names := make([]string, len(l.Registries))
	for i, r := range l.Registries {
		names[i] = r.Name
	}
	log.Info("digestgate starts", "version", version, "config", file, "roles", l.Roles, "store", storeText(l.Store), "dataDir", l.DataDir,
		"mode", modeText(l.Config), "registries", names)
	for _, missing := range l.elsewhere() {
		log.Info("this process leaves a part of the work to others", "role", missing.role, "undone", missing.undone)
	}
	l.sayWarnings(log)
}

// sayWarnings tells the log what `config check` warns about.
func (l *loaded) sayWarnings(log *slog.Logger) {
	for _, w := range l.Places.Warnings() {
		log.Warn("about the configuration", "key", w.Path, "at", placeText(w.Origin, w.Line), "text", w.Text)
	}
}

// storeText names the store without anything secret: a URL holds none, but one
// that was refused may.
func storeText(c store.Config) string {
	if path, err := c.SQLitePath(); err == nil {
		return "sqlite " + path
	}
	t, err := store.ParseRedis(c.URL)
	if err != nil {
		return "unknown"
	}
	return fmt.Sprintf("redis %s %v database %d prefix %s", t.Kind, t.Addrs, t.Database, c.Prefix)
}

// modeText is the mode of admission, with the namespaces that have another.
func modeText(c Config) string {
	if !c.used(RoleAdmission) {
		return "none, no role admission here"
	}
	text := string(c.Admission.Mode)
	others := 0
	for _, n := range c.Admission.Namespaces {
		if n.Mode != c.Admission.Mode {
			others++
		}
	}
	if others > 0 {
		text += fmt.Sprintf(", another one in %d namespaces", others)
	}
	return gate.Printable(text, 100)
}

func placeText(origin string, line int) string {
	if line > 0 {
		return fmt.Sprintf("%s:%d", origin, line)
	}
	if origin == "" {
		return "default"
	}
	return origin
}

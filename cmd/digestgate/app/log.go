package app

import (
	"fmt"
	"io"
	"log/slog"
	"strings"

	"github.com/digestgate/digestgate/cmd/digestgate/thinlog"
)

// The values of --log-format and --log-level.
var (
	logLevels = map[string]slog.Level{"debug": slog.LevelDebug, "info": slog.LevelInfo, "warn": slog.LevelWarn, "error": slog.LevelError}
)

// checkLog refuses a form or level of the log that does not exist: a person who
// parses the log would otherwise find out from what is missing.
func (o *Options) checkLog() error {
	if o.logFormat != "text" && o.logFormat != "json" {
		return fmt.Errorf("--log-format %q: want text or json", o.logFormat)
	}
	if _, ok := logLevels[strings.ToLower(o.LogLevel)]; !ok {
		return fmt.Errorf("--log-level %q: want debug, info, warn or error", o.LogLevel)
	}
	return nil
}

// Logger writes to stderr: stdout is for answers.
func (o *Options) Logger(w io.Writer) *slog.Logger { return slog.New(o.logHandler(w)) }

// serverLog is the logger of a server, which runs long enough that the same
// failure would fill the log. flush ends it.
func (o *Options) serverLog(w io.Writer) (log *slog.Logger, flush func()) {
	h := thinlog.New(o.logHandler(w))
	return slog.New(h), h.Flush
}

func (o *Options) logHandler(w io.Writer) slog.Handler {
	options := &slog.HandlerOptions{Level: logLevels[strings.ToLower(o.LogLevel)]}
	if o.logFormat == "json" {
		options.ReplaceAttr = withUnits
		return slog.NewJSONHandler(w, options)
	}
	return slog.NewTextHandler(w, options)
}

// withUnits writes durations as the text handler does, "1.5s": a bare number of
// nanoseconds says nothing to a reader.
func withUnits(_ []string, a slog.Attr) slog.Attr {
	if a.Value.Kind() == slog.KindDuration {
		return slog.String(a.Key, a.Value.Duration().String())
	}
	return a
}

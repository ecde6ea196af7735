package app

import (
	"fmt"
	"io"
	"log/slog"
	"strings"

	"github.com/digestgate/digestgate/cmd/digestgate/quicklog"
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
	level := logLevels[strings.ToLower(o.LogLevel)]
	if o.logFormat == "json" {
		return quicklog.JSON(w, level)
	}
	return quicklog.Text(w, level)
}

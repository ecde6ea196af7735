package main

import (
	"fmt"
	"io"
	"log/slog"
	"strings"
)

// The values of --log-format and --log-level.
var (
	logLevels = map[string]slog.Level{"debug": slog.LevelDebug, "info": slog.LevelInfo, "warn": slog.LevelWarn, "error": slog.LevelError}
)

// checkLog refuses a form or level of the log that does not exist: somebody who
// parses the log would otherwise find out from what is missing.
func (o *rootOptions) checkLog() error {
	if o.logFormat != "text" && o.logFormat != "json" {
		return fmt.Errorf("--log-format %q: want text or json", o.logFormat)
	}
	if _, ok := logLevels[strings.ToLower(o.logLevel)]; !ok {
		return fmt.Errorf("--log-level %q: want debug, info, warn or error", o.logLevel)
	}
	return nil
}

// logger writes to stderr: stdout is for answers.
func (o *rootOptions) logger(w io.Writer) *slog.Logger {
	options := &slog.HandlerOptions{Level: logLevels[strings.ToLower(o.logLevel)]}
	if o.logFormat == "json" {
		options.ReplaceAttr = withUnits
		return slog.New(slog.NewJSONHandler(w, options))
	}
	return slog.New(slog.NewTextHandler(w, options))
}

// withUnits writes durations as the text handler does, "1.5s": a bare number of
// nanoseconds says nothing to a reader.
func withUnits(_ []string, a slog.Attr) slog.Attr {
	if a.Value.Kind() == slog.KindDuration {
		return slog.String(a.Key, a.Value.Duration().String())
	}
	return a
}

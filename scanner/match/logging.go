package match

import (
	"context"
	"log/slog"

	trivylog "github.com/aquasecurity/trivy/pkg/log"
)

// DependencyLog is a handler for slog.Default in a program that links Trivy: it
// passes errors on and drops the rest. What Trivy says below that level repeats
// with every match, and all of it that matters is in the findings.
func DependencyLog(h slog.Handler) slog.Handler {
	return dependencyLog{h.WithAttrs([]slog.Attr{slog.String("from", "dependency")})}
}

type dependencyLog struct{ next slog.Handler }

func (d dependencyLog) Enabled(ctx context.Context, level slog.Level) bool {
	return level >= slog.LevelError && d.next.Enabled(ctx, level)
}

func (d dependencyLog) Handle(ctx context.Context, r slog.Record) error {
	return d.next.Handle(ctx, r)
}

func (d dependencyLog) WithAttrs(attrs []slog.Attr) slog.Handler {
	return dependencyLog{d.next.WithAttrs(attrs)}
}

func (d dependencyLog) WithGroup(name string) slog.Handler {
	return dependencyLog{d.next.WithGroup(name)}
}

// replaceDeferred takes the place of the handler that importing Trivy installed,
// if the program left it there.
func replaceDeferred(logger *slog.Logger) {
	if _, ok := slog.Default().Handler().(*trivylog.DeferredHandler); ok {
		slog.SetDefault(slog.New(DependencyLog(logger.Handler())))
	}
}

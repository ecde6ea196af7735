// Command digestgate is the gate between container registries and Kubernetes:
// its servers, its queue worker and its command line in one program. The
// analysers that parse hostile images are another program, digestgate-analyzer,
// which this one starts.
package main

import (
	"context"
	"log/slog"
	"os"

	"github.com/digestgate/digestgate/cmd/digestgate/app"
	"github.com/digestgate/digestgate/scanner/match"
)

func main() { os.Exit(program()) }

// program is the whole program; it returns the exit code.
func program() int {
	// Trivy's logging package installs a handler that keeps every record for
	// ever; ours replaces it before anything is said.
	slog.SetDefault(slog.New(match.DependencyLog(slog.NewTextHandler(os.Stderr, nil))))
	ctx, stop := app.UntilSignal(context.Background())
	defer stop()
	return run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
}

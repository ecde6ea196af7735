// Command cluster runs the example's cluster until it is interrupted, for
// trying things by hand.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/digestgate/digestgate/examples/cluster/cluster"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("cluster", flag.ContinueOnError)
	flags.SetOutput(stderr)
	bin := flags.String("bin", "bin", "folder of etcd, kube-apiserver and kubectl")
	if err := flags.Parse(args); err != nil {
		return 2
	}
	c, err := cluster.Start(ctx, cluster.Options{BinDir: *bin, Logger: slog.New(slog.NewTextHandler(stderr, nil))})
	if err == nil {
		printHints(stdout, c, *bin)
		<-ctx.Done()
		err = c.Stop()
	}
	if err != nil {
		fmt.Fprintln(stderr, "cluster:", err)
		return 1
	}
	return 0
}

// printHints shows commands that can be pasted into another terminal.
func printHints(w io.Writer, c *cluster.Cluster, bin string) {
	kubectl, err := filepath.Abs(filepath.Join(bin, "kubectl"))
	if err != nil {
		kubectl = "kubectl"
	}
	fmt.Fprintf(w, `
The API server listens on %s. In another terminal:

  export KUBECONFIG=%s
  alias kubectl=%s
  kubectl run web --image=registry.example/web:1     # as the developer
  kubectl --context=admin get pods --all-namespaces

The head of webhook.yaml shows how to put a digestgate in front of it.
Ctrl-C stops the cluster and removes its files.
`, c.URL(), c.Kubeconfig(), kubectl)
}

// Command digestgate-figures measures digestgate at the size of a large installation and
// prints the table of docs/performance.md: it fills a store with realistic images
// (store/storetest/stock), runs the real program on it, and asks it over the network.
// The server, the always-allow server that it is compared with and this program are
// processes of their own, so that processor time is the server's alone.
//
//	go build -o bin/ ./cmd/digestgate ./cmd/digestgate-figures
//	bin/digestgate-figures -images 10000
//
// Everything listens on loopback. What is stored is in a temporary directory and removed.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"syscall"
	"time"
)

// options are the flags.
type options struct {
	images, asked, small, resolves int
	days, mib                      int
	rate                           int
	length                         time.Duration
	seed                           uint64
	stores, only                   string
	dir, filled, program, analyzer string
	serve, profiles                bool
	limit                          time.Duration
}

// alwaysAllowName is the word after which this program is the server to compare with.
const alwaysAllowName = "always-allow"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	err := func() error {
		if len(args) == 2 && args[0] == alwaysAllowName {
			return alwaysAllow(ctx, args[1], stdout)
		}
		o, err := parse(args, stderr)
		if err != nil {
			return err
		}
		return measureAll(ctx, o, stdout, stderr)
	}()
	switch {
	case err == nil || errors.Is(err, flag.ErrHelp):
		return 0
	default:
		fmt.Fprintln(stderr, "digestgate-figures: "+err.Error())
		return 1
	}
}

func parse(args []string, stderr io.Writer) (options, error) {
	var o options
	set := flag.NewFlagSet("digestgate-figures", flag.ContinueOnError)
	set.SetOutput(stderr)
	set.IntVar(&o.images, "images", 2_000, "how many images are stored")
	set.IntVar(&o.asked, "asked", 0, "how many different images reviews ask for; 0: a tenth of -images")
	set.IntVar(&o.small, "small", 0, "how many images are stored for the figures policy, rematch and resolves; 0: a twentieth of -images")
	set.IntVar(&o.resolves, "resolves", 2_000, "how many tags are resolved")
	set.IntVar(&o.days, "days", 90, "how many days pass in the figures growth and history")
	set.IntVar(&o.mib, "mib", 0, "how large the compressed database of the figure flip is, in MiB, about; 0: as small as its advisories are, 90: as Trivy's of 2026, which takes 8 GB of disk")
	set.IntVar(&o.rate, "rate", 1_000, "how many reviews are sent in a second")
	set.DurationVar(&o.length, "for", 15*time.Second, "how long reviews are sent to each of the two servers, the gate and the one that always allows")
	set.Uint64Var(&o.seed, "seed", 0, "seed of the generated images; the same seed gives the same bytes")
	set.StringVar(&o.stores, "stores", "sqlite,redis", "stores to measure, separated by commas")
	set.StringVar(&o.only, "only", "", "figures to measure, separated by commas; empty: all but growth, history and flip, which are "+strings.Join(figureNames(), ", "))
	set.StringVar(&o.dir, "dir", "", "existing directory for the stores of this run, empty: the system's temporary directory; profiles are written into it, or else into the current directory")
	set.StringVar(&o.filled, "filled", "", "directory where filled stores are kept for later runs (SQLite about 34 kB an image, Redis as much again); empty: none are kept")
	set.StringVar(&o.program, "program", "bin/digestgate", "path of the program that is measured")
	set.StringVar(&o.analyzer, "analyzer", "bin/digestgate-analyzer", "path of digestgate-analyzer, which the figure resolves needs")
	set.BoolVar(&o.serve, "serve", false, "fill the first store, serve it until interrupted, and measure nothing")
	set.BoolVar(&o.profiles, "profiles", false, "write a processor profile of the server for each figure into -dir")
	set.DurationVar(&o.limit, "limit", 20*time.Minute, "how long one figure may take; one that takes longer is reported as not measured")
	if err := set.Parse(args); err != nil {
		return o, err
	}
	if set.NArg() > 0 {
		return o, fmt.Errorf("%q: no flag takes this argument; -profiles and -serve take no value, -dir says where files are written", set.Arg(0))
	}
	if o.asked == 0 {
		o.asked = max(o.images/10, 3)
	}
	if o.small == 0 {
		o.small = max(o.images/20, 1)
	}
	if o.images < 1 || o.asked < 3 || o.asked > o.images || o.small > o.images || o.rate < 1 {
		return o, fmt.Errorf("-images %d, -asked %d, -small %d, -rate %d: want 3 or more for -asked, at most -images for -asked and -small, and 1 or more for -rate", o.images, o.asked, o.small, o.rate)
	}
	for name := range strings.SplitSeq(o.only, ",") {
		if name != "" && !slices.Contains(figureNames(), name) {
			return o, fmt.Errorf("-only %q: want some of %s", name, strings.Join(figureNames(), ", "))
		}
	}
	for name := range strings.SplitSeq(o.stores, ",") {
		if name != "sqlite" && name != "redis" {
			return o, fmt.Errorf("-stores %q: want sqlite, redis or both", name)
		}
	}
	for _, path := range []*string{&o.program, &o.analyzer, &o.filled} {
		var err error
		if *path == "" {
			continue
		}
		if *path, err = filepath.Abs(*path); err != nil {
			return o, err
		}
	}
	return o, nil
}

// measureAll measures each store and prints the rows.
func measureAll(ctx context.Context, o options, stdout, stderr io.Writer) error {
	dir, err := os.MkdirTemp(o.dir, "digestgate-figures-")
	if err != nil {
		return fmt.Errorf("making a temporary directory: %w", err)
	}
	defer os.RemoveAll(dir)
	if dir, err = filepath.Abs(dir); err != nil {
		return err
	}
	debug.SetGCPercent(400) // filling is mostly encoding; the servers are other processes
	t := &table{}
	for kind := range strings.SplitSeq(o.stores, ",") {
		b := &bench{options: o, kind: kind, dir: filepath.Join(dir, kind), table: t, out: stderr}
		if err = b.run(ctx); err != nil {
			err = fmt.Errorf("measuring on %s: %w", kind, err)
			break
		}
	}
	fmt.Fprintf(stdout, "%d images, %d asked for, %s, %d processors, load %s\n\n", o.images, o.asked, runtime.Version(), runtime.NumCPU(), load())
	t.print(stdout)
	return err
}

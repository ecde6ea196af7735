//go:build goexperiment.jsonv2

package main

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/scanner/analyzer"
	"github.com/digestgate/digestgate/scanner/registry"
)

// playWorker analyses images as a worker with the default configuration and an empty
// cache does, two at a time, and writes down what that took from the first on.
func playWorker(ctx context.Context, images []string) (err error) {
	src, err := registry.New(registry.Options{Registries: []registry.Config{{Name: "local", Type: "distribution", Host: *hostFlag, PlainHTTP: true}}})
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "compare-worker-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := os.Chmod(dir, 0o755); err != nil {
		return err
	}
	opt := analyzer.Options{ChildPath: *analyzerFlag, DataDir: dir, Source: src, Config: analyzer.Default()}
	opt.Config.Secrets.MaxFileBytes = gate.ByteSize(*capFlag)
	a, err := analyzer.New(ctx, opt)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, a.Close()) }()
	digests, err := resolve(images)
	if err != nil {
		return err
	}
	var c cost
	var mu sync.Mutex
	var running sync.WaitGroup
	queue := make(chan int, len(images))
	for i := range images {
		queue <- i
	}
	close(queue)
	before, start := used(), time.Now()
	for range opt.Config.Concurrency {
		running.Go(func() {
			for i := range queue {
				repository, _, _ := strings.Cut(images[i], ":")
				inv, aerr := a.Analyze(ctx, gate.AnalyzeRequest{Digest: digests[i], Location: gate.Location{Registry: "local", Repository: repository}})
				mu.Lock()
				err = errors.Join(err, aerr)
				if aerr == nil {
					c.Packages, c.Secrets = c.Packages+inv.PackageCount(), c.Secrets+len(inv.Secrets)
				}
				mu.Unlock()
			}
		})
	}
	running.Wait()
	c.Wall, c.CPU = time.Since(start), used()-before
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(c)
}

func resolve(images []string) ([]gate.Digest, error) {
	var out []gate.Digest
	for _, i := range images {
		ref, err := name.ParseReference(*hostFlag+"/"+i, name.Insecure)
		if err != nil {
			return nil, err
		}
		d, err := remote.Head(ref)
		if err != nil {
			return nil, err
		}
		out = append(out, gate.Digest(d.Digest.String()))
	}
	return out, nil
}

// used is the processor time of this process and of its ended children.
func used() (cpu time.Duration) {
	for _, who := range []int{syscall.RUSAGE_SELF, syscall.RUSAGE_CHILDREN} {
		var u syscall.Rusage
		if syscall.Getrusage(who, &u) == nil {
			cpu += time.Duration(u.Utime.Nano() + u.Stime.Nano())
		}
	}
	return cpu
}

func middle(list []time.Duration) time.Duration {
	slices.Sort(list)
	return list[len(list)/2]
}

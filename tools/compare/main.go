//go:build goexperiment.jsonv2

// Command compare measures what the analysis of images costs beside Trivy, on the same
// images, alternately, with empty caches:
//
//	make build
//	cd tools/compare && GOEXPERIMENT=jsonv2 CGO_ENABLED=0 go build -o ../../bin/compare .
//	../../bin/compare -analyzer ../../bin/digestgate-analyzer
//
// Trivy is its own pipeline (artifact/image and applier of the version that digestgate
// has pinned, with the same analysers and risks) in a program that is started for each
// image, as "trivy image" is. digestgate is a worker that runs, as on a server: its own
// processor time counts, and all of every child. Both pull from one registry in this
// process, over HTTP on loopback. The images are generated, so that no registry is
// needed; -layer adds one that has the given gzip archive as its only layer.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

var (
	trivyFlag    = flag.String("trivy", "", "analyse this image with Trivy (the program calls itself with this flag)")
	oursFlag     = flag.Bool("ours", false, "be the worker of digestgate (the program calls itself with this flag)")
	hostFlag     = flag.String("registry", "", "host and port of the registry (the program calls itself with this flag)")
	analyzerFlag = flag.String("analyzer", "bin/digestgate-analyzer", "path of digestgate-analyzer")
	roundsFlag   = flag.Int("rounds", 5, "how often each image is measured; the medians are printed")
	layerFlag    = flag.String("layer", "", "path of a gzip archive: measure one more image that has it as its only layer")
	onlyFlag     = flag.String("only", "", "measure only images whose name contains this text")
	capFlag      = flag.Int64("max-file-bytes", 20<<20, "digestgate searches files up to this size for secrets, in bytes (scan.secrets.maxFileBytes); 0: all files, as Trivy does")
	keepFlag     = flag.Bool("warm-trivy", false, "let Trivy keep its cache from one image of a case to the next")
)

// cost is what one case took.
type cost struct {
	Wall, CPU time.Duration
	Packages  int
	Secrets   int
}

func main() {
	flag.Parse()
	var err error
	switch {
	case *trivyFlag != "":
		err = playTrivy(context.Background(), *trivyFlag)
	case *oursFlag:
		err = playWorker(context.Background(), flag.Args())
	default:
		err = compare()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "compare:", err)
		os.Exit(1)
	}
}

func compare() error {
	cases, err := cases()
	if err != nil {
		return err
	}
	host, stop, err := serve(cases)
	if err != nil {
		return err
	}
	defer stop()
	fmt.Printf("| %-28s | %-22s | %-22s | %-22s | %-13s |\n", "image, with secrets", "digestgate: cpu, wall", "Trivy: cpu, wall", "ratio: cpu, wall", "packages")
	for _, c := range cases {
		if !strings.Contains(c.name, *onlyFlag) {
			continue
		}
		var ours, theirs []cost
		for range *roundsFlag {
			o, err := runOurs(host, c.images)
			if err != nil {
				return fmt.Errorf("%s: digestgate: %w", c.name, err)
			}
			t, err := runTrivy(host, c.images)
			if err != nil {
				return fmt.Errorf("%s: Trivy: %w", c.name, err)
			}
			ours, theirs = append(ours, o), append(theirs, t)
		}
		o, t := median(ours), median(theirs)
		fmt.Printf("| %-28s | %-22s | %-22s | %-22s | %-13s |\n", c.name, o, t,
			fmt.Sprintf("%.2f, %.2f", o.CPU.Seconds()/t.CPU.Seconds(), o.Wall.Seconds()/t.Wall.Seconds()),
			fmt.Sprintf("%d / %d", o.Packages, t.Packages))
	}
	return nil
}

func (c cost) String() string {
	return fmt.Sprintf("%.2f s, %.2f s", c.CPU.Seconds(), c.Wall.Seconds())
}

// runTrivy starts the program for one image after the other.
func runTrivy(host string, images []string) (cost, error) {
	var sum cost
	dir, err := os.MkdirTemp("", "compare-trivy-")
	if err != nil {
		return sum, err
	}
	defer os.RemoveAll(dir)
	for i, name := range images {
		cache := filepath.Join(dir, fmt.Sprint(i))
		if *keepFlag {
			cache = filepath.Join(dir, "0")
		}
		cmd := exec.Command("/proc/self/exe", "-trivy", host+"/"+name)
		cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "TMPDIR=" + dir, "CACHE=" + cache}
		cmd.Stderr = os.Stderr
		start := time.Now()
		out, err := cmd.Output()
		if err != nil {
			return sum, err
		}
		sum.Wall += time.Since(start)
		sum.CPU += cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
		var one cost
		if err := json.Unmarshal(out, &one); err != nil {
			return sum, err
		}
		sum.Packages, sum.Secrets = sum.Packages+one.Packages, sum.Secrets+one.Secrets
	}
	return sum, nil
}

// runOurs starts a worker with an empty cache, which analyses the images and says what
// that took.
func runOurs(host string, images []string) (cost, error) {
	var c cost
	child, err := filepath.Abs(*analyzerFlag)
	if err != nil {
		return c, err
	}
	cmd := exec.Command("/proc/self/exe", append([]string{"-ours", "-registry", host, "-analyzer", child,
		"-max-file-bytes", fmt.Sprint(*capFlag)}, images...)...)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return c, err
	}
	return c, json.Unmarshal(out, &c)
}

// median is the cost whose processor time is in the middle, with the wall time in the
// middle.
func median(list []cost) cost {
	cpu, wall := make([]time.Duration, 0, len(list)), make([]time.Duration, 0, len(list))
	for _, c := range list {
		cpu, wall = append(cpu, c.CPU), append(wall, c.Wall)
	}
	m := list[0]
	m.CPU, m.Wall = middle(cpu), middle(wall)
	return m
}

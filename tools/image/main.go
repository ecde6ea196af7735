// Command image makes the container image of digestgate without Docker: from the two
// programs, built before, and pinned Debian packages. The same input gives the same bytes.
//
//	image build -programs DIR -out DIR   an OCI layout, and archives of it
//	image tree -programs DIR -out DIR    the files of the image, for a Dockerfile
//	image push -layout DIR -to NAME      pushes the layout with its SBOMs
//
// DIR has a folder for each platform, such as linux-amd64, with both programs.
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
	"slices"
	"strings"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "image:", err)
		os.Exit(1)
	}
}

const usage = "usage: image build|tree|push [flags]; image COMMAND -h lists them"

func run(ctx context.Context, args []string, out io.Writer) error {
	if len(args) == 0 {
		return errors.New(usage)
	}
	switch args[0] {
	case "build":
		return runBuild(ctx, args[1:], out)
	case "tree":
		return runTree(ctx, args[1:])
	case "push":
		return runPush(ctx, args[1:], out)
	}
	return fmt.Errorf("unknown command %q; %s", args[0], usage)
}

// input are the flags that build and tree have in common.
type input struct {
	programs, license, cache, mirror string
}

func (i *input) add(flags *flag.FlagSet) {
	flags.StringVar(&i.programs, "programs", "", "folder with linux-amd64 and so on, each with both programs")
	flags.StringVar(&i.license, "license", "LICENSE", "the file with the licence")
	flags.StringVar(&i.cache, "cache", filepath.Join(os.TempDir(), "digestgate-packages"), "where downloaded packages are kept")
	flags.StringVar(&i.mirror, "mirror", "https://deb.debian.org", "the Debian mirror, above debian and debian-security")
}

// base makes the files that are the same on every platform.
func (i input) base(ctx context.Context) (tree, []packageInfo, error) {
	packages, err := fetchAll(ctx, fetcher{cache: i.cache, mirrors: []string{i.mirror, snapshot}})
	if err != nil {
		return nil, nil, err
	}
	license, err := os.ReadFile(i.license)
	if err != nil {
		return nil, nil, err
	}
	return baseTree(packages, license)
}

func parse(flags *flag.FlagSet, args []string) error {
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("%s takes no argument, got %q", flags.Name(), flags.Args())
	}
	return nil
}

func runBuild(ctx context.Context, args []string, out io.Writer) error {
	var i input
	var dir, platforms string
	var about about
	var created int64
	flags := flag.NewFlagSet("build", flag.ContinueOnError)
	i.add(flags)
	flags.StringVar(&dir, "out", "", "where the layout and the archives go; what is there is replaced")
	flags.StringVar(&platforms, "platforms", "linux/amd64,linux/arm64", "platforms, separated by commas")
	flags.StringVar(&about.version, "version", "dev", "the version, which is the tag too")
	flags.StringVar(&about.revision, "revision", "", "the commit that the programs are built from")
	flags.Int64Var(&created, "created", 0, "when the image counts as made, in seconds since 1970: the time of the commit")
	if err := parse(flags, args); err != nil {
		return err
	}
	about.created = time.Unix(created, 0).UTC()
	base, packages, err := i.base(ctx)
	if err != nil {
		return err
	}
	built := result{about: about}
	list := strings.Split(platforms, ",")
	slices.Sort(list) // the digest must not depend on the order in which they are named
	for _, platform := range list {
		one, err := buildPlatform(platform, i.programs, base, packages, about)
		if err != nil {
			return fmt.Errorf("building the image for %s: %w", platform, err)
		}
		built.platforms = append(built.platforms, one)
	}
	digest, err := built.write(dir)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "%s %s\n", digest, filepath.Join(dir, "layout"))
	return err
}

func runTree(ctx context.Context, args []string) error {
	var i input
	var dir, platform string
	flags := flag.NewFlagSet("tree", flag.ContinueOnError)
	i.add(flags)
	flags.StringVar(&dir, "out", "", "where the files go: root/ belongs to root, what is in own/lib and own/home to the user of the image")
	flags.StringVar(&platform, "platform", "linux/amd64", "the platform of the programs")
	if err := parse(flags, args); err != nil {
		return err
	}
	base, _, err := i.base(ctx)
	if err != nil {
		return err
	}
	programs, err := programTrees(platform, i.programs)
	if err != nil {
		return err
	}
	return writeForDockerfile(dir, append([]tree{base}, programs...)...)
}

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// version is set by the linker.
var version = "dev"

// rootOptions are the flags of every command.
type rootOptions struct {
	configFile string
	dataDir    string
	set        []string
	fixed      []fixedKey
	logLevel   string
	logFormat  string
	environ    []string
}

// run executes one command line and returns its exit code.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	root := newRootCommand(os.Environ())
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	if err != nil && err.Error() != "" {
		fmt.Fprintf(stderr, "digestgate: %s\n", inWords(err))
	}
	return exitCode(err)
}

func newRootCommand(environ []string) *cobra.Command {
	o := &rootOptions{environ: environ}
	root := &cobra.Command{
		Use:           "digestgate",
		Short:         "The gate between container registries and Kubernetes",
		Long:          "digestgate scans each pushed image once, evaluates Rego policies on what it finds, and keeps\nunscanned and non-compliant images out of Kubernetes.\n\nTry it: digestgate demo",
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	flags := root.PersistentFlags()
	flags.StringVarP(&o.configFile, "config", "c", "", "configuration file (also DIGESTGATE_CONFIG)")
	flags.StringVar(&o.dataDir, "data-dir", "", "directory of everything that is kept (key dataDir)")
	flags.StringArrayVar(&o.set, "set", nil, "set a key of the configuration, such as scan.timeout=5m (repeatable)")
	flags.StringVar(&o.logLevel, "log-level", "info", "debug, info, warn or error")
	flags.StringVar(&o.logFormat, "log-format", "text", "text or json")
	root.AddCommand(
		newServeCommand(o), newWorkerCommand(o), newCheckCommand(o), newWaitCommand(o), newAdmitCommand(o),
		newReplayCommand(o), newRegistriesCommand(o), newQuotaCommand(o),
		newImagesCommand(o), newFindingsCommand(o), newJobsCommand(o), newScanCommand(o), newCancelCommand(o), newDemoCommand(o), newConfigCommand(o), newVersionCommand(),
		newAdvisoriesCommand(o), newPolicyCommand(o), newPolicyTrialCommand(), newStoreCommand(o),
	)
	root.PersistentPreRunE = func(*cobra.Command, []string) error { return o.checkLog() }
	root.Version = version
	root.SetVersionTemplate(versionText())
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return fmt.Errorf("%w (%s --help lists the flags)", err, cmd.CommandPath())
	})
	root.InitDefaultCompletionCmd()
	refuseTopics(root)
	refuseUnknown(root)
	refuseArguments(root)
	return root
}

// load reads the configuration: flags over environment over file.
func (o *rootOptions) load() (Config, error) {
	c, err := o.source().load()
	return c, configError(err)
}

// source is where this command line takes its configuration from.
func (o *rootOptions) source() configSource {
	s := configSource{file: o.configFile, environ: o.environ, set: o.set, fixed: o.fixed}
	if s.file == "" {
		for _, pair := range o.environ {
			if file, ok := strings.CutPrefix(pair, envPrefix+"CONFIG="); ok {
				s.file = file
			}
		}
	}
	if o.dataDir != "" {
		s.fixed = append(slices.Clone(s.fixed), fixedKey{"--data-dir", "dataDir", o.dataDir})
	}
	return s
}

func indent(err error) error {
	return errors.New("  " + strings.ReplaceAll(err.Error(), "\n", "\n  "))
}

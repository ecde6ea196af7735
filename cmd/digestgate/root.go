package main

import (
	"context"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"
)

// version is set by the linker.
var version = "dev"

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
	o := newRootOptions(environ, version)
	root := &cobra.Command{
		Use:           "digestgate",
		Short:         "The gate between container registries and Kubernetes",
		Long:          "digestgate scans each pushed image once, evaluates Rego policies on what it finds, and keeps\nunscanned and non-compliant images out of Kubernetes.\n\nTry it: digestgate demo",
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	o.addFlags(root)
	root.AddCommand(
		newServeCommand(o), newWorkerCommand(o), newCheckCommand(o), newWaitCommand(o), newAdmitCommand(o),
		newReplayCommand(o), newRegistriesCommand(o), newQuotaCommand(o),
		newImagesCommand(o), newFindingsCommand(o), newJobsCommand(o), newScanCommand(o), newCancelCommand(o), newDemoCommand(o), newConfigCommand(o), newVersionCommand(o),
		newAdvisoriesCommand(o), newPolicyCommand(o), newPolicyTrialCommand(), newStoreCommand(o),
	)
	root.Version = version
	root.SetVersionTemplate(versionText(version))
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return fmt.Errorf("%w (%s --help lists the flags)", err, cmd.CommandPath())
	})
	root.InitDefaultCompletionCmd()
	refuseTopics(root)
	refuseUnknown(root)
	refuseArguments(root)
	return root
}

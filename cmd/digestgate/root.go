package main

import (
	"context"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/digestgate/digestgate/cmd/digestgate/app"
	"github.com/digestgate/digestgate/cmd/digestgate/client"
	"github.com/digestgate/digestgate/cmd/digestgate/demo"
	"github.com/digestgate/digestgate/cmd/digestgate/local"
	"github.com/digestgate/digestgate/cmd/digestgate/show"
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
		fmt.Fprintf(stderr, "digestgate: %s\n", show.InWords(err))
	}
	return show.ExitCode(err)
}

func newRootCommand(environ []string) *cobra.Command {
	o := app.NewOptions(environ, version)
	root := &cobra.Command{
		Use:           "digestgate",
		Short:         "The gate between container registries and Kubernetes",
		Long:          "Each pushed image is scanned once, Rego policies are evaluated on what was found, and\nunscanned and non-compliant images are kept out of Kubernetes.\n\nTry it: digestgate demo",
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	o.AddFlags(root)
	root.AddCommand(
		app.NewServeCommand(o), app.NewWorkerCommand(o), local.NewCheckCommand(o), client.NewWaitCommand(o), local.NewAdmitCommand(o),
		client.NewReplayCommand(o), client.NewRegistriesCommand(o), client.NewQuotaCommand(o), client.NewNotificationsCommand(o),
		client.NewImagesCommand(o), client.NewFindingsCommand(o), client.NewVulnerabilityCommand(o), client.NewJobsCommand(o), client.NewScanCommand(o), client.NewCancelCommand(o), client.NewScansCommand(o), client.NewSchedulesCommand(o), demo.NewCommand(o), local.NewConfigCommand(o), local.NewVersionCommand(o),
		local.NewAdvisoriesCommand(o, client.NewAdvisoriesCommands(o), client.AskAdvisories), local.NewPolicyCommand(o), app.NewPolicyTrialCommand(), local.NewStoreCommand(o),
		local.NewCACommand(o), local.NewTokenCommand(o), client.NewHealthCommand(o),
	)
	root.Version = version
	root.SetVersionTemplate(app.VersionText(version))
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return fmt.Errorf("%w (%s --help lists the flags)", err, cmd.CommandPath())
	})
	root.InitDefaultCompletionCmd()
	refuseTopics(root)
	refuseUnknown(root)
	refuseArguments(root)
	return root
}

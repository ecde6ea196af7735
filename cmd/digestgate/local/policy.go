package local

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"

	"github.com/spf13/cobra"

	"github.com/digestgate/digestgate/cmd/digestgate/app"
	"github.com/digestgate/digestgate/cmd/digestgate/show"
	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/policy"
)

// NewPolicyCommand is `digestgate policy …`: writing and testing policies. No
// server is needed.
func NewPolicyCommand(o *app.Options) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "policy",
		Short: "Write, check and test policies",
	}
	cmd.AddCommand(
		newPolicyInitCommand(), newPolicyCheckCommand(), newPolicyTestCommand(), newPolicyEvalCommand(),
		newPolicyActivateCommand(o),
		newPolicyPrintCommand("schema", "Print the JSON Schema of the input", policy.Schema, ""),
		newPolicyPrintCommand("input", "Print a sample input, to be changed and given to `policy eval`", policy.SampleInput,
			"not filled by this version, and refused in rules: "+strings.Join(policy.NotFilled(), ", ")),
	)
	return cmd
}

func newPolicyInitCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "init DIR",
		Short: "Write the starter set with its tests into DIR",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			names, err := policy.WriteStarter(args[0])
			if err != nil {
				return err
			}
			for _, n := range names {
				fmt.Fprintln(cmd.OutOrStdout(), n)
			}
			fmt.Fprintf(cmd.ErrOrStderr(), "try: digestgate policy test %s\n", args[0])
			return nil
		},
	}
}

func newPolicyCheckCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "check [PATH…]",
		Short: "Load policies as the server would and say what is wrong; without PATH the starter set",
		RunE: func(cmd *cobra.Command, args []string) error {
			files, err := policy.Read(args)
			if err != nil {
				return err
			}
			set, err := app.TryPolicies(cmd.Context(), files)
			if err != nil {
				return reportProblems(cmd, err)
			}
			fmt.Fprintf(cmd.OutOrStdout(), "ok: %d rules in %d files\n", set.Rules(), len(set.Files()))
			if watched := set.Watched(); len(watched) > 0 {
				fmt.Fprintf(cmd.ErrOrStderr(), "they load only where kubernetes.watch is true: %s\n", watched[0])
			}
			return nil
		},
	}
}

// reportProblems prints the problems of a set, one a line, and asks for exit
// code 1; other errors it hands on.
func reportProblems(cmd *cobra.Command, err error) error {
	var problems policy.Problems
	if !errors.As(err, &problems) {
		return err
	}
	for _, p := range problems {
		fmt.Fprintln(cmd.ErrOrStderr(), p)
	}
	return show.ExitError{Code: show.ExitFailure}
}

func newPolicyTestCommand() *cobra.Command {
	var filter string
	var verbose bool
	cmd := &cobra.Command{
		Use:   "test [PATH…]",
		Short: "Run the rules test_… of *_test.rego files; without PATH the starter set",
		RunE: func(cmd *cobra.Command, args []string) error {
			if _, err := regexp.Compile(filter); err != nil {
				return fmt.Errorf("--run %q: %w", filter, err)
			}
			files, err := policy.Read(args)
			if err != nil {
				return err
			}
			results, err := policy.Test(cmd.Context(), files, filter)
			if err != nil {
				return reportProblems(cmd, err)
			}
			passed, failed := printTests(cmd.OutOrStdout(), results, verbose)
			if failed > 0 {
				return show.ExitError{Code: show.ExitFailure}
			}
			if passed == 0 {
				fmt.Fprintf(cmd.ErrOrStderr(), "nothing was tested: all %d tests are skipped; rename todo_test_… to test_…\n", len(results))
				return show.ExitError{Code: show.ExitFailure}
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&filter, "run", "", "run only tests whose name matches this regular expression")
	cmd.Flags().BoolVarP(&verbose, "verbose", "v", false, "list tests that pass, and what they print")
	return cmd
}

// printTests lists failures (all tests with verbose) and a summary, and counts
// what passed and what failed.
func printTests(w io.Writer, results []policy.TestResult, verbose bool) (passed, failed int) {
	skipped := 0
	for _, r := range results {
		word := "FAIL"
		switch {
		case r.Skipped:
			word, skipped = "SKIP", skipped+1
		case r.Passed:
			word, passed = "PASS", passed+1
		default:
			failed++
		}
		if word == "PASS" && !verbose {
			continue
		}
		fmt.Fprintf(w, "%s %s:%d: %s", word, r.File, r.Row, r.Name)
		if r.Error != "" {
			fmt.Fprintf(w, ": %s", r.Error)
		}
		fmt.Fprintln(w)
		if r.Failure != nil {
			for _, line := range r.Failure.Lines() {
				fmt.Fprintf(w, "    %s\n", line)
			}
		}
		for _, line := range strings.Split(strings.TrimRight(r.Output, "\n"), "\n") {
			if line != "" {
				fmt.Fprintf(w, "    %s\n", line)
			}
		}
	}
	fmt.Fprintf(w, "%d passed, %d failed, %d skipped\n", passed, failed, skipped)
	return passed, failed
}

func newPolicyEvalCommand() *cobra.Command {
	var input string
	cmd := &cobra.Command{
		Use:   "eval --input FILE [PATH…]",
		Short: "Decide one input document; exit code 0 for allow and warn, 2 for deny",
		RunE: func(cmd *cobra.Command, args []string) error {
			files, err := policy.Read(args)
			if err != nil {
				return err
			}
			document, err := readInput(cmd.InOrStdin(), input)
			if err != nil {
				return err
			}
			decision, err := policy.DryRun(cmd.Context(), files, document, cmd.ErrOrStderr())
			if err != nil {
				return reportProblems(cmd, err)
			}
			out := json.NewEncoder(cmd.OutOrStdout())
			out.SetIndent("", "  ")
			if err := out.Encode(policyAnswer(decision)); err != nil {
				return fmt.Errorf("writing the decision: %w", err)
			}
			if decision.Outcome == gate.OutcomeDeny {
				return show.ExitError{Code: show.ExitDeny}
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&input, "input", "", "the input document; - for standard input (required)")
	_ = cmd.MarkFlagRequired("input") // the flag is defined one line above
	return cmd
}

// policyAnswer leaves out what a decision without an image has not: a time.
func policyAnswer(d gate.Decision) any {
	return struct {
		Outcome  gate.Outcome  `json:"decision"`
		Code     gate.Code     `json:"code,omitempty"`
		Reasons  []gate.Reason `json:"reasons"`
		Revision string        `json:"policyRevision"`
	}{d.Outcome, d.Code, d.Reasons, d.PolicyRevision}
}

// maxInputBytes bounds an input document: 50,000 vulnerabilities fit.
const maxInputBytes = 128 << 20

func readInput(stdin io.Reader, name string) ([]byte, error) {
	r, err := openInput(stdin, name)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	data, err := io.ReadAll(io.LimitReader(r, maxInputBytes+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("reading the input: %w", err)
	case len(data) > maxInputBytes:
		return nil, fmt.Errorf("reading the input: larger than %s: %w", gate.ByteSize(maxInputBytes), gate.ErrTooLarge)
	}
	return data, nil
}

// openInput opens a file of the command line.
func openInput(stdin io.Reader, name string) (io.ReadCloser, error) {
	if name == "-" {
		return io.NopCloser(stdin), nil
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("reading the input: %w", err)
	}
	return f, nil
}

// newPolicyPrintCommand prints a document, and a note for people on stderr.
func newPolicyPrintCommand(name, short string, text func() []byte, note string) *cobra.Command {
	return &cobra.Command{
		Use:   name,
		Short: short,
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if note != "" {
				fmt.Fprintln(cmd.ErrOrStderr(), note)
			}
			_, err := cmd.OutOrStdout().Write(text())
			return err
		},
	}
}

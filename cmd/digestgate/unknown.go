package main

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/digestgate/digestgate/gate"
)

// refuseUnknown makes every command that only groups others refuse a word that
// is none of them. Cobra prints the help and succeeds, so that a misspelt step
// of a pipeline would pass.
func refuseUnknown(cmd *cobra.Command) {
	for _, sub := range cmd.Commands() {
		refuseUnknown(sub)
	}
	if !cmd.HasSubCommands() || cmd.Runnable() {
		return
	}
	cmd.Args = cobra.ArbitraryArgs
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return cmd.Help()
		}
		return unknownCommand(cmd, args[0])
	}
}

// refuseArguments makes every command say in words which arguments it takes, where
// cobra says "accepts 1 arg(s), received 0" or, about a file that needs a flag,
// "unknown command".
func refuseArguments(cmd *cobra.Command) {
	for _, sub := range cmd.Commands() {
		refuseArguments(sub)
	}
	check := cmd.Args
	if check == nil || !cmd.Runnable() {
		return
	}
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		if check(cmd, args) == nil {
			return nil
		}
		return wrongArguments(cmd, args)
	}
}

func wrongArguments(cmd *cobra.Command, args []string) error {
	got := "none"
	if len(args) > 0 {
		quoted := make([]string, len(args))
		for i, a := range args {
			quoted[i] = gate.Quoted(a, 200)
		}
		got = strings.Join(quoted[:min(len(quoted), 5)], ", ")
		if len(quoted) > 5 {
			got += fmt.Sprintf(" and %d more", len(quoted)-5)
		}
	}
	_, takes, _ := strings.Cut(cmd.Use, " ")
	if takes == "" || strings.HasPrefix(takes, "-") {
		takes = "no argument"
	}
	hint := ""
	if len(args) > 0 && slices.Contains([]string{".yaml", ".yml", ".json"}, filepath.Ext(args[0])) {
		hint = "; name a configuration file with -c"
		if cmd.LocalFlags().Lookup("file") != nil {
			hint = "; name a file with -f"
		}
	}
	name := strings.TrimPrefix(cmd.CommandPath(), cmd.Root().Name()+" ")
	return fmt.Errorf("%s takes %s, got %s%s (%s --help shows how it is used)", name, takes, got, hint, cmd.CommandPath())
}

// refuseTopics makes "help WORD" refuse a word that is no command, as the command
// line does without help.
func refuseTopics(root *cobra.Command) {
	root.InitDefaultHelpCmd()
	help, _, err := root.Find([]string{"help"})
	if err != nil {
		return // there is none
	}
	help.Run = nil
	help.RunE = func(help *cobra.Command, args []string) error {
		cmd, rest, err := help.Root().Find(args)
		if err != nil || cmd == nil {
			return unknownCommand(help.Root(), strings.Join(args, " "))
		}
		if len(rest) > 0 && cmd.HasSubCommands() {
			return unknownCommand(cmd, rest[0])
		}
		cmd.InitDefaultHelpFlag()
		return cmd.Help()
	}
}

func unknownCommand(cmd *cobra.Command, word string) error {
	hint := ""
	if cmd.SuggestionsMinimumDistance <= 0 {
		cmd.SuggestionsMinimumDistance = 2
	}
	if near := cmd.SuggestionsFor(word); len(near) > 0 {
		hint = "; did you mean " + strings.Join(near, " or ") + "?"
	}
	return fmt.Errorf("unknown command %q%s (%s --help lists the commands)", word, hint, cmd.CommandPath())
}

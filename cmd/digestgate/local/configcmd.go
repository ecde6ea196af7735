package local

import (
	"fmt"

	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v3"

	"github.com/digestgate/digestgate/cmd/digestgate/app"
)

func NewConfigCommand(o *app.Options) *cobra.Command {
	cmd := &cobra.Command{Use: "config", Short: "Show and check the configuration"}
	cmd.AddCommand(
		&cobra.Command{
			Use: "print", Short: "Print the configuration as it is in force, with every default",
			Args: cobra.NoArgs,
			RunE: func(cmd *cobra.Command, _ []string) error {
				c, err := o.Load()
				if err != nil {
					return err
				}
				enc := yaml.NewEncoder(cmd.OutOrStdout())
				enc.SetIndent(2)
				if err := enc.Encode(c); err != nil {
					return fmt.Errorf("printing the configuration: %w", err)
				}
				return enc.Close()
			},
		},
		&cobra.Command{
			Use: "check", Short: "Check the configuration and the files it names; every problem at once",
			Long: `Check the configuration as a server would read it: the file, the environment and
--set together. Every file that is named is opened, policies are loaded and the
advisory data is checked; no connection is made. Problems are printed with the
file, the line and the path of the key. Warnings are about keys that this version
does not use, and about settings with which no image is ever admitted.

Exit status: 0 usable, with or without warnings; 1 not usable.`,
			Args: cobra.NoArgs,
			RunE: func(cmd *cobra.Command, _ []string) error {
				l := o.Source().Read()
				l.OpenAll(cmd.Context())
				l.Warn()
				for _, w := range l.Places.Warnings() {
					fmt.Fprintf(cmd.ErrOrStderr(), "warning: %s\n", w.Error())
				}
				if err := l.Places.Err(); err != nil {
					return app.ConfigError(err)
				}
				text := "the configuration is usable"
				switch n := len(l.Places.Warnings()); {
				case n == 1:
					text += ", with the warning on standard error"
				case n > 1:
					text += fmt.Sprintf(", with the %d warnings on standard error", n)
				}
				_, err := fmt.Fprintln(cmd.OutOrStdout(), text)
				return err
			},
		},
	)
	return cmd
}

func NewVersionCommand(o *app.Options) *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Print the version of the program and of what it is built with",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := fmt.Fprint(cmd.OutOrStdout(), app.VersionText(o.Version))
			return err
		},
	}
}

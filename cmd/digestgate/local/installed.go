package local

import (
	"encoding/base64"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/digestgate/digestgate/cmd/digestgate/app"
)

// NewCACommand prints the authority of admission: a container without a shell has no
// other way to get at the file.
func NewCACommand(o *app.Options) *cobra.Command {
	var encoded bool
	cmd := &cobra.Command{
		Use:   "ca",
		Short: "Print the certificate of the authority of admission, for caBundle",
		Long: `Print the certificate of the authority that signs the certificate of admission, in
PEM. With --ca-bundle it is one line, as clientConfig.caBundle of a webhook
configuration takes it. The key of the authority is never printed.

The certificate is read from the store when this is Redis, and otherwise from
dataDir. Nothing is made: the first start of a server does that. A server that uses
a certificate of your own (admission.tls) has no authority to print.

Exit status: 0, or 1 when there is no authority to print.`,
		Example: "  kubectl exec deploy/digestgate-admission -n digestgate -- digestgate ca --ca-bundle",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := o.Load()
			if err != nil {
				return err
			}
			text, note, err := app.Authority(cmd.Context(), c, quiet(o).Logger(cmd.ErrOrStderr()))
			if err != nil {
				return err
			}
			if note != "" {
				fmt.Fprintf(cmd.ErrOrStderr(), "note: %s\n", note)
			}
			if encoded {
				text = append([]byte(base64.StdEncoding.EncodeToString(text)), '\n')
			}
			_, err = cmd.OutOrStdout().Write(text)
			return err
		},
	}
	cmd.Flags().BoolVar(&encoded, "ca-bundle", false, "print one line, as caBundle takes it")
	return cmd
}

// quiet are the options of a command whose output is one value: that the store was opened
// is not worth a line beside it.
func quiet(o *app.Options) *app.Options {
	q := *o
	if q.LogLevel == "info" {
		q.LogLevel = "warn"
	}
	return &q
}

// NewTokenCommand prints the admin token to those who may read its file, or the MAC key of
// the shared store: it shows nothing that its caller could not read already.
func NewTokenCommand(o *app.Options) *cobra.Command {
	var path bool
	cmd := &cobra.Command{
		Use:   "token",
		Short: "Print the admin token of the API, or the file that it is in",
		Long: `Print the admin token of the API, which is in auth.adminTokenFile or, without this
key, in the file admin-token in dataDir. With --path only the name of the file is
printed. Nothing is made: the first start of a server does that.

The command reads what its caller may read: the file or, when it does not exist and
the store is Redis, the sealed copy in the store with the key in store.macKeyFile.
The token is a password: do not let it into the log of a pipeline.

Exit status: 0, or 1 when there is no token or it cannot be read.`,
		Example: "  export DIGESTGATE_TOKEN=$(kubectl exec deploy/digestgate-api -n digestgate -- digestgate token)",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := o.Load()
			if err != nil {
				return err
			}
			text := c.TokenFile()
			if !path {
				if text, err = app.AdminToken(cmd.Context(), c, quiet(o).Logger(cmd.ErrOrStderr())); err != nil {
					return err
				}
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), text)
			return err
		},
	}
	cmd.Flags().BoolVar(&path, "path", false, "print the name of the file, not the token")
	return cmd
}

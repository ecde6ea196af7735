package client

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/digestgate/digestgate/cmd/digestgate/app"
	"github.com/digestgate/digestgate/webhooks"
)

func NewReplayCommand(o *app.Options) *cobra.Command {
	var name, headers, server string
	cmd := &cobra.Command{
		Use:   "replay FILE",
		Short: "Send a recorded delivery of a registry to a running server",
		Long: `Send the body in FILE to /webhooks/REGISTRY of a running server, authenticated with
the secret that the configuration names for that registry, and print the answer.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := o.Load()
			if err != nil {
				return err
			}
			var found *app.RegistryConfig
			var names []string
			for i := range c.Registries {
				if c.Registries[i].Webhook.Enabled() {
					names = append(names, c.Registries[i].Name)
				}
				if c.Registries[i].Name == name {
					found = &c.Registries[i]
				}
			}
			if found == nil || !found.Webhook.Enabled() {
				known := "there is none in the configuration, whose file -c names"
				if len(names) > 0 {
					known = "those are " + strings.Join(names, ", ")
				}
				return fmt.Errorf("--registry %q is not a configured registry with a webhook; %s", name, known)
			}
			auth, err := webhooks.NewAuthenticator(found.Webhook, time.Now, o.Logger(cmd.ErrOrStderr()), webhooks.WithClient(app.IssuerClient(found.Webhook)))
			if err != nil {
				return err
			}
			if !auth.CanSign() {
				return fmt.Errorf("deliveries of registry %q are authenticated by auth %s, for which only the sender has the key; send the file with a program that has one", name, found.Webhook.Auth)
			}
			recording, err := webhooks.ReadRecording(args[0], headers)
			if err != nil {
				return err
			}
			url := strings.TrimSuffix(server, "/") + c.HTTP.PathPrefix + "/webhooks/" + name
			answer, err := webhooks.Post(cmd.Context(), &http.Client{Timeout: 30 * time.Second}, url, recording, auth)
			if err != nil {
				return err
			}
			if answer.Status != http.StatusAccepted {
				return fmt.Errorf("the server answered %d: %s", answer.Status, answer.Detail)
			}
			enc := json.NewEncoder(cmd.OutOrStdout())
			enc.SetIndent("", "  ")
			return enc.Encode(answer.Answer)
		},
	}
	cmd.Flags().StringVar(&name, "registry", "", "configured name of the registry that sent it")
	cmd.Flags().StringVar(&headers, "headers", "", "file with the recorded headers (optional)")
	cmd.Flags().StringVar(&server, "server", "http://127.0.0.1:8080", "URL of the server, without the http.pathPrefix of the configuration")
	_ = cmd.MarkFlagRequired("registry")
	return cmd
}

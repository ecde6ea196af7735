package client

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/digestgate/digestgate/cmd/digestgate/app"
	"github.com/digestgate/digestgate/cmd/digestgate/show"
	"github.com/digestgate/digestgate/gate"
)

// NewNotificationsCommand is about the targets that a server notifies.
func NewNotificationsCommand(o *app.Options) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "notifications",
		Short: "List, set and test the notification targets of a server, and see its deliveries",
	}
	cmd.AddCommand(newNotificationsListCommand(o), newNotificationsShowCommand(o), newNotificationsAddCommand(o), newNotificationsRemoveCommand(o),
		newNotificationsTestCommand(o), newNotificationsDeliveriesCommand(o), newNotificationsRedeliverCommand(o))
	return cmd
}

func newNotificationsListCommand(o *app.Options) *cobra.Command {
	return asking(o, &cobra.Command{
		Use: "list", Short: "List the targets with what waits, was delivered and was given up", Args: cobra.NoArgs,
	}, func(c *Client, cmd *cobra.Command, _ []string, format string) error {
		var out struct {
			Targets []gate.NotificationTarget `json:"targets"`
		}
		if err := c.Call(cmd.Context(), http.MethodGet, "/notifications", nil, &out); err != nil {
			return err
		}
		if format == "json" {
			return show.PrintJSON(cmd.OutOrStdout(), out)
		}
		w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
		fmt.Fprintln(w, "NAME\tTYPE\tSOURCE\tHOST\tWAITING\tDELIVERED\tGIVEN UP\tPROBLEM")
		for _, t := range out.Targets {
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%d\t%d\t%d\t%s\n", t.Name, t.Type, t.Source, gate.Printable(t.Address, 100), t.Waiting, t.Delivered, t.GivenUp, gate.Printable(problemOf(t), 100))
		}
		return w.Flush()
	})
}

func problemOf(t gate.NotificationTarget) string {
	if t.Problem != "" {
		return t.Problem
	}
	return t.LastProblem
}

func newNotificationsShowCommand(o *app.Options) *cobra.Command {
	return asking(o, &cobra.Command{
		Use: "show NAME", Short: "Show one target, without its secrets", Args: cobra.ExactArgs(1),
	}, func(c *Client, cmd *cobra.Command, args []string, format string) error {
		var t gate.NotificationTarget
		if err := c.Call(cmd.Context(), http.MethodGet, "/notifications/"+url.PathEscape(args[0]), nil, &t); err != nil {
			return err
		}
		return printTarget(cmd.OutOrStdout(), t, format)
	})
}

func printTarget(out io.Writer, t gate.NotificationTarget, format string) error {
	if format == "json" {
		return show.PrintJSON(out, t)
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	row := func(name, value string) {
		if value != "" {
			fmt.Fprintf(w, "%s\t%s\n", name, gate.Printable(value, 500))
		}
	}
	yes := func(b bool, text string) string {
		if b {
			return text
		}
		return ""
	}
	row("name", t.Name)
	row("type", t.Type)
	row("source", t.Source)
	row("host", t.Address)
	row("events", strings.Join(t.Events, ", "))
	row("verdicts", yes(t.OnlyDenied, "only those that flip to deny"))
	row("severity", t.MinSeverity)
	row("findings", yes(t.OnlyFixable, "only those with a fixed version"))
	row("first scans", yes(t.FirstScans, "also"))
	row("registries", strings.Join(t.Registries, ", "))
	row("repositories", strings.Join(t.Repositories, ", "))
	row("images", yes(t.Running, "only those that admission was asked for lately"))
	row("gathers for", t.Gather)
	row("gives up after", t.MaxAge)
	if m := t.Mail; m != nil {
		row("mail", fmt.Sprintf("from %s to %s by %s (%s)", m.From, strings.Join(m.To, ", "), m.Server, m.TLS))
	}
	row("waiting", fmt.Sprintf("%d messages", t.Waiting))
	if !t.NextTryAt.IsZero() {
		row("next try", t.NextTryAt.UTC().Format(time.RFC3339))
	}
	row("delivered", fmt.Sprint(t.Delivered))
	row("given up", fmt.Sprint(t.GivenUp))
	row("problem", problemOf(t))
	return w.Flush()
}

// targetTypes are the types of targets that servers of this version know.
const targetTypes = "webhook, cloudevents, slack, dingtalk, feishu, wecom, teams or mail"

// secretFlags are the files that secrets are read from: never the command line, which
// other users of the machine see.
type secretFlags struct{ url, secret, password, ca, template string }

func newNotificationsAddCommand(o *app.Options) *cobra.Command {
	var in gate.NotificationRequest
	var mail gate.NotificationMailSettings
	var files secretFlags
	var replace bool
	cmd := asking(o, &cobra.Command{
		Use:   "add NAME --type TYPE",
		Short: "Set a notification target in a running server",
		Long: `Set a notification target in a running server, for all its processes. The host of the target must
be in outbound.allow of the configuration file. Secrets are read from files ("-" is the standard input)
and are never shown again. A target can also be written in the configuration file (key notifications).`,
		Example: "  digestgate notifications add ops --type slack --url-file ./slack-url --min-severity HIGH --server https://gate.example.com",
		Args:    cobra.ExactArgs(1),
	}, func(c *Client, cmd *cobra.Command, args []string, format string) error {
		if in.Type == "" {
			return errors.New("--type is empty: give one of " + targetTypes)
		}
		in.Name = args[0]
		if mail.Server != "" {
			in.Mail = &mail
		}
		for _, f := range []struct {
			flag, path string
			to         *string
		}{{"--url-file", files.url, &in.URL}, {"--secret-file", files.secret, &in.Secret}, {"--password-file", files.password, &in.Password}, {"--target-ca-file", files.ca, &in.CA}, {"--template-file", files.template, &in.Template}} {
			if err := readInto(cmd.InOrStdin(), f.flag, f.path, f.to); err != nil {
				return err
			}
		}
		method, path := http.MethodPost, "/notifications"
		if replace {
			method, path = http.MethodPut, path+"/"+url.PathEscape(in.Name)
		}
		var t gate.NotificationTarget
		if err := c.Call(cmd.Context(), method, path, in, &t); err != nil {
			return err
		}
		return printTarget(cmd.OutOrStdout(), t, format)
	})
	f := cmd.Flags()
	f.StringVar(&in.Type, "type", "", targetTypes)
	f.StringVar(&files.url, "url-file", "", "file with the address that messages are posted to")
	f.StringVar(&files.secret, "secret-file", "", "file with the secret that signs messages")
	f.StringVar(&files.ca, "target-ca-file", "", "file with certificate authorities (PEM) to check the target's certificate (default: those of the system)")
	f.StringVar(&files.template, "template-file", "", "file with a template (default: the shipped one)")
	f.StringSliceVar(&in.Events, "event", nil, "verdicts, new, fixed, quota or stale (repeatable; default: all)")
	f.BoolVar(&in.OnlyDenied, "only-denied", false, "report only verdicts that flip to deny")
	f.StringVar(&in.MinSeverity, "min-severity", "", "lowest severity of findings: CRITICAL, HIGH, MEDIUM, LOW or UNKNOWN")
	f.BoolVar(&in.OnlyFixable, "only-fixable", false, "only findings with a fixed version")
	f.BoolVar(&in.FirstScans, "first-scans", false, "report findings of first scans too")
	f.StringSliceVar(&in.Registries, "registry", nil, "only images of this registry (repeatable)")
	f.StringSliceVar(&in.Repositories, "repository", nil, "only repositories that match this pattern, such as team/** (repeatable)")
	f.BoolVar(&in.Running, "running", false, "only images that admission was asked for lately")
	f.StringVar(&in.Gather, "gather", "", "how long changes are gathered for one message (default 1m)")
	f.StringVar(&in.MaxAge, "max-age", "", "age at which an undelivered message is given up (default 24h)")
	f.StringVar(&mail.Server, "mail-server", "", "host:port of the mail server, for the type mail")
	f.StringVar(&mail.TLS, "mail-tls", "", "starttls, tls or none (default starttls)")
	f.StringVar(&mail.Username, "mail-username", "", "user at the mail server")
	f.StringVar(&files.password, "password-file", "", "file with the password of --mail-username")
	f.StringVar(&mail.From, "mail-from", "", "address of the sender")
	f.StringSliceVar(&mail.To, "mail-to", nil, "address of a recipient (repeatable)")
	f.BoolVar(&mail.ClearCredentials, "mail-clear-credentials", false, "the password may be sent without TLS, with --mail-tls none")
	f.BoolVar(&replace, "replace", false, "replace the target with this name, and its secrets")
	return cmd
}

// readInto reads a file, or the standard input for "-".
func readInto(stdin io.Reader, flag, path string, to *string) error {
	if path == "" {
		return nil
	}
	var raw []byte
	var err error
	if path == "-" {
		raw, err = io.ReadAll(io.LimitReader(stdin, 1<<20))
	} else {
		raw, err = gate.ReadSmallFile(path)
	}
	if err == nil && flag != "--template-file" {
		raw, err = gate.SecretText(raw)
	}
	if err == nil && len(raw) == 0 {
		err = fmt.Errorf("it is empty: %w", gate.ErrInvalid)
	}
	if err != nil {
		return fmt.Errorf("reading the file of %s: %w", flag, err)
	}
	*to = string(raw)
	return nil
}

func newNotificationsRemoveCommand(o *app.Options) *cobra.Command {
	return asking(o, &cobra.Command{
		Use: "remove NAME", Short: "Remove a target that was set in a running server, and the messages that wait for it", Args: cobra.ExactArgs(1),
	}, func(c *Client, cmd *cobra.Command, args []string, format string) error {
		if err := c.Call(cmd.Context(), http.MethodDelete, "/notifications/"+url.PathEscape(args[0]), nil, nil); err != nil {
			return err
		}
		if format == "json" {
			return show.PrintJSON(cmd.OutOrStdout(), map[string]string{"removed": args[0]})
		}
		_, err := fmt.Fprintf(cmd.OutOrStdout(), "removed the target %s\n", gate.Printable(args[0], 70))
		return err
	})
}

func newNotificationsTestCommand(o *app.Options) *cobra.Command {
	return asking(o, &cobra.Command{
		Use:   "test NAME",
		Short: "Send a test to a target, and show the status of its answer and how long it took",
		Long:  "The server sends a test message to the target. This shows the status of the answer and how long it took,\nnever its text.\n\nExit status: 0 when the target accepted the test, otherwise 1.",
		Args:  cobra.ExactArgs(1),
	}, func(c *Client, cmd *cobra.Command, args []string, format string) error {
		var d gate.NotificationDelivery
		if err := c.Call(cmd.Context(), http.MethodPost, "/notifications/"+url.PathEscape(args[0])+"/test", nil, &d); err != nil {
			return err
		}
		if format == "json" {
			if err := show.PrintJSON(cmd.OutOrStdout(), d); err != nil {
				return err
			}
		} else {
			fmt.Fprintf(cmd.OutOrStdout(), "%s: %s, status %d, %d ms%s\n", d.Target, d.Outcome, d.Status, d.LatencyMS, because(d))
		}
		if d.Outcome != "delivered" {
			return errors.New("the target did not accept the test; its reason is above")
		}
		return nil
	})
}

func because(d gate.NotificationDelivery) string {
	if d.Reason == "" {
		return ""
	}
	return ": " + gate.Printable(d.Reason, 300)
}

func newNotificationsDeliveriesCommand(o *app.Options) *cobra.Command {
	var target string
	cmd := asking(o, &cobra.Command{
		Use: "deliveries", Short: "List the last deliveries, the newest first", Args: cobra.NoArgs,
	}, func(c *Client, cmd *cobra.Command, _ []string, format string) error {
		path := "/notifications/deliveries"
		if target != "" {
			path += "?target=" + url.QueryEscape(target)
		}
		var out struct {
			Deliveries []gate.NotificationDelivery `json:"deliveries"`
		}
		if err := c.Call(cmd.Context(), http.MethodGet, path, nil, &out); err != nil {
			return err
		}
		if format == "json" {
			return show.PrintJSON(cmd.OutOrStdout(), out)
		}
		w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
		fmt.Fprintln(w, "ID\tTARGET\tTRIED\tATTEMPTS\tOUTCOME\tSTATUS\tMS\tTITLE")
		for _, d := range out.Deliveries {
			fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%s\t%d\t%d\t%s%s\n", d.ID, d.Target, d.TriedAt.UTC().Format(time.RFC3339), d.Attempts, d.Outcome, d.Status, d.LatencyMS, gate.Printable(d.Title, 100), because(d))
		}
		return w.Flush()
	})
	cmd.Flags().StringVar(&target, "target", "", "only those of this target")
	return cmd
}

func newNotificationsRedeliverCommand(o *app.Options) *cobra.Command {
	return asking(o, &cobra.Command{
		Use: "redeliver ID", Short: "Send a message that is still kept again, under the same id", Args: cobra.ExactArgs(1),
	}, func(c *Client, cmd *cobra.Command, args []string, format string) error {
		var d gate.NotificationDelivery
		if err := c.Call(cmd.Context(), http.MethodPost, "/notifications/deliveries/"+url.PathEscape(args[0])+"/redeliver", nil, &d); err != nil {
			return err
		}
		if format == "json" {
			return show.PrintJSON(cmd.OutOrStdout(), d)
		}
		_, err := fmt.Fprintf(cmd.OutOrStdout(), "queued for %s; see \"digestgate notifications deliveries --target %s\"\n", d.Target, d.Target)
		return err
	})
}

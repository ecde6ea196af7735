package client

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"

	"github.com/spf13/cobra"

	"github.com/digestgate/digestgate/cmd/digestgate/app"
	"github.com/digestgate/digestgate/gate"
)

// runVerbs are what people want of a scan that is under way.
func runVerbs() []struct{ verb, short string } {
	return []struct{ verb, short string }{{"pause", "Pause"}, {"resume", "Continue paused"}, {"cancel", "Cancel"}}
}

// verbCommand is a command that does one thing with each of its arguments.
type verbCommand struct {
	use, short, long string
	method           string // POST by default
	path             func(arg string) string
	print            func(w io.Writer, format string, rows []json.RawMessage) error // nil: says what was done
	done             string
}

func newVerbCommand(o *app.Options, v verbCommand) *cobra.Command {
	if v.method == "" {
		v.method = http.MethodPost
	}
	return asking(o, &cobra.Command{
		Use: v.use, Short: v.short, Long: v.long, Args: cobra.MinimumNArgs(1),
	}, func(c *Client, cmd *cobra.Command, args []string, format string) (err error) {
		rows := []json.RawMessage{}
		for _, arg := range args {
			var raw json.RawMessage
			if v.print == nil {
				err = c.Call(cmd.Context(), v.method, v.path(arg), nil, nil)
			} else {
				err = c.Call(cmd.Context(), v.method, v.path(arg), nil, &raw)
			}
			if err != nil {
				err = fmt.Errorf("%s: %w", gate.Quoted(arg, 100), err)
				break
			}
			if v.print == nil {
				fmt.Fprintf(cmd.OutOrStdout(), "%s %s\n", gate.Printable(arg, 100), v.done)
			}
			rows = append(rows, raw)
		}
		if v.print == nil || len(rows) == 0 {
			return err
		}
		if printed := v.print(cmd.OutOrStdout(), format, rows); err == nil {
			err = printed
		}
		return err
	})
}

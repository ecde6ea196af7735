package client

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/digestgate/digestgate/cmd/digestgate/app"
	"github.com/digestgate/digestgate/cmd/digestgate/show"
	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/view"
)

// listFlags are those of every command that lists.
type listFlags struct {
	clientFlags
	format string
	limit  int
	cursor string
	all    bool
}

func (f *listFlags) add(cmd *cobra.Command) {
	f.clientFlags.add(cmd)
	addFormat(cmd, &f.format)
	cmd.Flags().IntVar(&f.limit, "limit", 50, "how many are listed")
	cmd.Flags().StringVar(&f.cursor, "cursor", "", "continue a list; the list before says with what")
	cmd.Flags().BoolVar(&f.all, "all", false, "list all, whatever --limit says")
}

// alone refuses flags of the list beside the one thing that is asked for: they would
// be passed over in silence.
func alone(cmd *cobra.Command, thing string, filters ...string) error {
	var given []string
	for _, name := range append(filters, "all", "cursor", "limit") {
		if cmd.Flags().Changed(name) {
			given = append(given, "--"+name)
		}
	}
	if len(given) == 0 {
		return nil
	}
	return fmt.Errorf("%s: for the list only, and %s asks for one; leave out one or the other", strings.Join(given, ", "), thing)
}

// open checks the flags and makes the client.
func (f *listFlags) open(o *app.Options) (*Client, error) {
	if f.limit < 1 {
		return nil, fmt.Errorf("--limit %d: want 1 or more, or --all", f.limit)
	}
	return forFormat(o, &f.clientFlags, f.format)
}

// list asks for one page after the other. rows are as the server wrote them.
func (f *listFlags) list(ctx context.Context, c *Client, key string, filters url.Values) (rows []json.RawMessage, next string, err error) {
	return f.listAt(ctx, c, key, key, filters)
}

// listAt is list for a path whose rows have another name.
func (f *listFlags) listAt(ctx context.Context, c *Client, path, key string, filters url.Values) (rows []json.RawMessage, next string, err error) {
	q := url.Values{}
	for name, values := range filters {
		if values[0] != "" {
			q[name] = values
		}
	}
	next = f.cursor
	rows = []json.RawMessage{}
	for {
		size := gate.MaxPage
		if !f.all {
			size = min(size, f.limit-len(rows))
		}
		q.Set("limit", strconv.Itoa(size))
		if next != "" {
			q.Set("cursor", next)
		}
		var page map[string]json.RawMessage
		if err := c.Call(ctx, http.MethodGet, "/"+path+"?"+q.Encode(), nil, &page); err != nil {
			return nil, "", err
		}
		var part []json.RawMessage
		before := next
		if err := json.Unmarshal(page[key], &part); err != nil {
			return nil, "", fmt.Errorf("reading the server's answer: %q is not a list of %s", "/"+key, key)
		}
		if err := json.Unmarshal(page["next"], &next); err != nil {
			return nil, "", fmt.Errorf("reading the server's answer: %q has no next", "/"+key)
		}
		rows = append(rows, part...)
		if next == "" || !f.all && len(rows) >= f.limit {
			return rows, next, nil
		}
		if next == before {
			return nil, "", fmt.Errorf("reading the server's answer: the list of %s does not end", key)
		}
	}
}

// printList prints rows in the format that was asked for. A list that continues says how.
func printList[T any](out, notes io.Writer, format, key string, rows []json.RawMessage, next, header string, line func(T) string) error {
	if format == "json" {
		return show.PrintJSON(out, map[string]any{key: rows, "next": next})
	}
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, header)
	for _, raw := range rows {
		var row T
		if err := json.Unmarshal(raw, &row); err != nil {
			return fmt.Errorf("reading the server's answer: %w", err)
		}
		fmt.Fprintln(t, line(row))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	if next != "" {
		fmt.Fprintf(notes, "there are more: --all lists them, --cursor %s continues here\n", next)
	}
	return nil
}

// oneOf refuses a value of a flag that is not one of its words; "" is no value.
func oneOf[T ~string](flag, value string, words ...T) error {
	if value == "" || slices.Contains(words, T(value)) {
		return nil
	}
	list := make([]string, len(words))
	for i, w := range words {
		list[i] = string(w)
	}
	return fmt.Errorf("--%s %s: want one of %s", flag, gate.Quoted(value, 60), strings.Join(list, ", "))
}

// eachImage calls what with the images that a query finds, page by page, until
// it answers false.
func (c *Client) eachImage(ctx context.Context, q url.Values, what func(view.Image) bool) error {
	q.Set("limit", strconv.Itoa(gate.MaxPage))
	for {
		var page struct {
			Images []view.Image
			Next   string
		}
		if err := c.Call(ctx, http.MethodGet, "/images?"+q.Encode(), nil, &page); err != nil {
			return err
		}
		for _, i := range page.Images {
			if !what(i) {
				return nil
			}
		}
		if page.Next == "" {
			return nil
		}
		q.Set("cursor", page.Next)
	}
}

// Command attack plays bounded attacks on a digestgate of your own and prints
// what they cost it: the memory of its process and how long a review beside the
// attack took. Every target must be on loopback, every attack ends by itself.
//
//	go run . NAME [flags]
//
// Without a name it lists the attacks.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
)

// An attack is one entry of the table: a file of its own holds each.
type attack struct {
	name string
	what string // one line for the list
	run  func(ctx context.Context, args []string, out io.Writer) error
}

// attacks is the table of all attacks.
func attacks() []attack {
	return []attack{
		{"idle", "thousands of connections that fall silent, beside reviews", idle},
		{"namespaces", "reviews from namespaces that are invented, or whose names have megabytes", namespaces},
		{"nested", "reviews with an unknown field that nests thousands of levels deep", nested},
		{"quiet", "nothing but the reviews, for comparison or beside the attack of another process", quiet},
		{"stall", "reviews that wait for a registry which never answers, beside one that needs the store only", stall},
		{"streams", "HTTP/2 streams that announce a large body and send one byte", streams},
	}
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	all := attacks()
	if len(args) > 0 {
		if i := slices.IndexFunc(all, func(a attack) bool { return a.name == args[0] }); i >= 0 {
			if err := all[i].run(ctx, args[1:], stdout); err != nil {
				fmt.Fprintln(stderr, "attack "+all[i].name+": "+err.Error())
				return 1
			}
			return 0
		}
	}
	var list strings.Builder
	list.WriteString("usage: attack NAME [flags]; attack NAME -h lists the flags of one\n")
	for _, a := range all {
		fmt.Fprintf(&list, "  %-14s %s\n", a.name, a.what)
	}
	fmt.Fprint(stderr, list.String())
	return 2
}

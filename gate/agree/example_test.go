package agree_test

import (
	"context"
	"fmt"
	"time"

	"github.com/digestgate/digestgate/gate/agree"
)

// exceptionsKind says what a user of the package agrees on: here a list that
// people change, for all processes at once.
var exceptionsKind = agree.Kind{
	Setting: "exceptions/active", // a name of gate's table
	Format:  1, Wins: agree.ByHistory, PutBack: true, File: "exceptions/active.json",
	Words: agree.Words{
		What: "exceptions", Here: "the file here", Number: "exception list", InUse: "exceptions in force",
		OtherWay: `put another list in force with "digestgate exceptions put"`,
	},
}

// exceptions are CVEs that rules let pass. This type is all that a new kind of
// content needs: what it is, how it is loaded, and what asks it.
type exceptions struct{ live *agree.Live[map[string]bool] }

func newExceptions(o agree.Options) *exceptions {
	o.Kind = exceptionsKind
	return &exceptions{agree.NewLive(agree.NewMember(o), agree.Loading[map[string]bool]{
		Load: func(_ context.Context, a agree.Activation) (map[string]bool, error) {
			list, err := agree.UnpackJSON[[]string](a)
			set := map[string]bool{}
			for _, cve := range list {
				set[cve] = true
			}
			return set, err
		},
	})}
}

// Put replaces the list for all processes.
func (x *exceptions) Put(ctx context.Context, list ...string) (number int64, err error) {
	content, err := agree.PackJSON(list)
	if err != nil {
		return 0, err
	}
	active, err := x.live.Put(ctx, content)
	return active.Number, err
}

// Has answers from memory; Run keeps it current.
func (x *exceptions) Has(cve string) bool { set, _, _ := x.live.Current(); return set[cve] }

// Run follows what other processes put in force, until ctx ends.
func (x *exceptions) Run(ctx context.Context) { x.live.Run(ctx, agree.DefaultFollowEvery) }

// Two processes share a list: what one puts in force, the other has at its next
// look. What the store loses, either puts back.
func Example() {
	ctx, store := context.Background(), agree.NewOwnStore(time.Now)
	a, b := newExceptions(agree.Options{Store: store, By: "a"}), newExceptions(agree.Options{Store: store, By: "b"})
	for _, list := range [][]string{{"CVE-2026-1"}, {"CVE-2026-1", "CVE-2026-2"}} {
		number, err := a.Put(ctx, list...)
		fmt.Println(number, err)
	}
	fmt.Println(b.Has("CVE-2026-2"))
	if err := b.live.Follow(ctx); err != nil {
		fmt.Println(err)
	}
	fmt.Println(b.Has("CVE-2026-2"), b.Has("CVE-2026-3"))
	// Output:
	// 1 <nil>
	// 2 <nil>
	// false
	// true false
}

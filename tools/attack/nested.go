package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"sync"
)

// nested sends reviews of 1 MB whose pod spec has one unknown field, nested
// thousands of levels deep.
func nested(ctx context.Context, args []string, out io.Writer) error {
	f := newFlags("nested", "https://127.0.0.1:8443/admission/validate")
	reviews := f.Int("reviews", 8, "reviews, four at a time")
	levels := f.Int("levels", 9900, "levels, 10,000 at most")
	bytes := f.Int("bytes", 1_000_000, "bytes of the innermost text")
	if _, err := f.parse(args); err != nil {
		return err
	}
	body := review("default", "app", *f.image, `"zzz":`+strings.Repeat(`{"a":`, *levels)+`"`+strings.Repeat("x", *bytes)+`"`+strings.Repeat("}", *levels)+",")
	return f.run(ctx, out, func(context.Context) (string, error) {
		answers := atOnce(4, *reviews, *f.target, func(int) []byte { return body })
		return fmt.Sprintf("nested: %d reviews of %d bytes, answers %v", *reviews, len(body), answers), nil
	})
}

// atOnce sends n reviews, some at once, and counts the answers.
func atOnce(callers, n int, target string, body func(i int) []byte) map[string]int {
	answers := map[string]int{}
	var mu sync.Mutex
	var wg sync.WaitGroup
	next := make(chan int)
	for range callers {
		wg.Go(func() {
			c := client()
			defer c.CloseIdleConnections()
			for i := range next {
				answer := ask(c, target, body(i))
				mu.Lock()
				answers[answer]++
				mu.Unlock()
			}
		})
	}
	for i := range n {
		next <- i
	}
	close(next)
	wg.Wait()
	return answers
}
